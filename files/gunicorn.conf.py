"""Hooks of gunicorn: a worker is warm before it serves, the application is loaded once where that is safe, a request
finds nothing that an earlier one left on its thread, and under uvicorn a large answer leaves no garbage behind.

Nothing here sets the process model: class, workers and threads are on the command line, which wins over this file.
It works with any application: one that is not Django has no URLconf to load. Read from the environment:

    GUNICORN_PRELOAD      auto, true or false (default). auto: load the application before the fork where the check
                          below allows it, and say in the log why not. true: refuse to start where it does not.
    GUNICORN_APPLICATION  module:object that gunicorn runs; the entrypoint exports it. Preload has to know it.
    GUNICORN_WARM_UP      separated by blanks: modules that a worker imports before it serves (what views import late),
                          and paths, which begin with a slash, that it asks itself (WSGI only; any answer will do).
    GUNICORN_ISOLATE_REQUESTS
                          true or false (default). true: with gthread, each request runs in a context of its own.
    GUNICORN_BIND         where gunicorn listens; a Unix socket is reached by admission alone.

Exit status: 64 for a variable that is none of its words, 1 where it is true and the check does not allow it.

On SIGHUP gunicorn reads this file again; what was decided about preload stays. A preloaded application keeps its code.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import importlib
import os
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn
from wsgiref.util import setup_testing_defaults

# The decision of this process, for the next time that it reads this file: "<pid>:on (…" or "<pid>:off: …".
DECIDED = "GUNICORN_PRELOAD_DECIDED"

# The file that a worker touches to say that it lives must not wait for a disk.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None  # noqa: S108 - memory, not /tmp

# gunicorn 25.1 and newer: a socket that takes commands, among them "more workers". Nobody here uses it.
control_socket_disable = True

if os.environ.get("GUNICORN_BIND", "").startswith("unix:"):
    # Only admission reaches the socket. It sets these headers itself and drops a client's own, so they are believed:
    # gunicorn does so on every Unix socket, uvicorn only when told.
    forwarded_allow_ips = "*"
    # But nothing more than it sets. A client's SCRIPT_NAME would move the path, so that admission and Django see two
    # different routes; an X-Forwarded-Ssl that contradicts X-Forwarded-Proto would be answered with 400.
    forwarder_headers = ""
    secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}


# The longest that a worker waits, before it serves, for what it opens and asks: a database may not answer at all.
OPENING_SECONDS = 5.0


def warm_up_words(paths: bool) -> list[str]:
    """The paths of GUNICORN_WARM_UP, or its modules."""
    return [word for word in os.environ.get("GUNICORN_WARM_UP", "").split() if word.startswith("/") == paths]


def django_settings() -> Any:
    """Django's settings, or nothing where the application is another or has none yet."""
    settings = importlib.import_module("django.conf").settings if "django" in sys.modules else None
    return settings if settings is not None and settings.configured else None


def warm_up() -> None:
    """Load what Django leaves to the first request: the URLconf with all views, and the modules of GUNICORN_WARM_UP."""
    for module in warm_up_words(paths=False):
        importlib.import_module(module)
    settings = django_settings()
    if settings is not None and getattr(settings, "ROOT_URLCONF", None):
        # Reading it walks through every include.
        _ = importlib.import_module("django.urls").get_resolver().reverse_dict


def open_once() -> None:
    """Open each cache and database once, as a first request would: their clients are imported with that. And close."""
    settings = django_settings()
    if settings is None:
        return
    caches = importlib.import_module("django.core.cache").caches
    connections = importlib.import_module("django.db").connections
    try:
        for alias in settings.CACHES:
            caches[alias].get("warm-up")
        for alias in connections:
            # What Django puts there when an application has no database.
            if connections.settings[alias]["ENGINE"] != "django.db.backends.dummy":
                connections[alias].ensure_connection()
    finally:
        caches.close_all()
        connections.close_all()


def ask(application: Callable[..., Any], path: str) -> None:
    """One GET of the path, without a server in between. Whatever it answers, what the answer takes is loaded."""
    allowed = getattr(django_settings(), "ALLOWED_HOSTS", [])
    name, _, query = path.partition("?")
    environ = {
        "PATH_INFO": name,
        "QUERY_STRING": query,
        "HTTP_HOST": next((host for host in allowed if not host.startswith(("*", "."))), "localhost"),
        "wsgi.multithread": True,
    }
    setup_testing_defaults(environ)
    answer = application(environ, lambda status, headers, *further: lambda data: None)
    try:
        for _ in answer:
            pass
    finally:
        getattr(answer, "close", lambda: None)()


def warm_up_in_worker(worker: Any) -> None:
    """What must not be done before the fork, as it opens connections: in a thread of its own, whose connections these
    are, and bounded in time. None of it keeps a worker from serving: the first request tries again."""

    def steps() -> None:
        paths = warm_up_words(paths=True) if worker.cfg.worker_class_str == "gthread" else []
        for name, step in [("open caches and databases", open_once)] + [
            (f"ask {path}", functools.partial(ask, worker.wsgi, path)) for path in paths
        ]:
            try:
                step()
            except Exception as error:
                worker.log.warning("Worker %s could not %s: %s: %s", worker.pid, name, type(error).__name__, error)

    # Half of the time after which gunicorn takes a silent worker for stuck; 0 is never.
    most = min(OPENING_SECONDS, worker.timeout or OPENING_SECONDS)
    thread = threading.Thread(target=steps, name="warm-up", daemon=True)
    thread.start()
    thread.join(most)
    if thread.is_alive():
        worker.log.warning("Worker %s serves although its caches, databases or paths did not answer within %.1f s",
                           worker.pid, most)  # fmt: skip


def descriptors() -> dict[int, str]:
    """Open file descriptors that a fork must not share: all but files and terminals. Number -> what it is."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            mode = os.fstat(int(name)).st_mode
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the one that listed the folder
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISCHR(mode)):
            found[int(name)] = target
    return found


def described(descriptor: int, target: str) -> str:
    """What a person would call it: the address that a socket is connected to."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as opened:
            peer = opened.getpeername()
        address = ":".join(map(str, peer[:2])) if isinstance(peer, tuple) else peer
        return f"to {address}" if address else target
    except OSError:
        return target


def reason_against_preload() -> str:
    """Load the application in this process, and say why processes forked from it must not share it; or nothing.

    A thread does not survive a fork, and a connection would be used by all workers at once.
    """
    if not os.environ.get("GUNICORN_APPLICATION"):
        return "GUNICORN_APPLICATION is not set"
    before = descriptors()
    try:
        importlib.import_module("gunicorn.util").import_app(os.environ["GUNICORN_APPLICATION"])
        warm_up()
    except (Exception, SystemExit) as error:
        return " ".join(f"the application does not load: {type(error).__name__}: {error}".split())[:1000]
    running = len(os.listdir("/proc/self/task"))
    if running > 1:
        names = ", ".join(thread.name for thread in threading.enumerate())
        return f"{running} threads run after loading the application ({names})"
    opened = {number: target for number, target in descriptors().items() if before.get(number) != target}
    if opened:
        what = ", ".join(described(number, target) for number, target in opened.items())
        are = "connection is" if len(opened) == 1 else "connections are"
        return f"{len(opened)} {are} open after loading the application ({what})"
    return ""


def refuse(status: int, message: str) -> NoReturn:
    print(message, file=sys.stderr, flush=True)
    sys.exit(status)


def decide_preload() -> tuple[bool, str]:
    """Whether to preload, and a sentence for the log.

    This process tries it: where it is safe, that was the one time that the application is loaded. Where it is not, the
    process begins anew, as it was started, with nothing of what the application left in it.
    """
    wanted = os.environ.get("GUNICORN_PRELOAD") or "false"
    if wanted not in ("auto", "true", "false"):
        refuse(64, f"GUNICORN_PRELOAD is {wanted!r}, allowed are auto, true and false")
    if wanted == "false":
        return False, "off"
    pid, _, decided = os.environ.get(DECIDED, "").partition(":")
    if pid != str(os.getpid()):
        as_started, began = dict(os.environ), time.monotonic()
        reason = reason_against_preload()
        if reason and wanted == "true":
            refuse(1, f"GUNICORN_PRELOAD is true, but preloading is not safe: {reason}. Allowed here: auto or false")
        decided = f"{f'off: {reason}' if reason else 'on'} (checked in {time.monotonic() - began:.1f} s)"
        os.environ[DECIDED] = as_started[DECIDED] = f"{os.getpid()}:{decided}"
        if reason:
            arguments = getattr(sys, "orig_argv", [sys.executable, *sys.argv])  # Python 3.10 and newer know it
            # exec keeps the number of the process, which systemd knows.
            os.execve(sys.executable, arguments, as_started)
    return decided.startswith("on"), decided


preload_app, PRELOAD_VERDICT = decide_preload()

# Says to who verifies this process, on its private socket, that requests are isolated. Admission takes it off.
ISOLATED = ("X-Request-Context", "fresh")
isolate_requests = os.environ.get("GUNICORN_ISOLATE_REQUESTS") or "false"
if isolate_requests not in ("true", "false"):
    refuse(64, f"GUNICORN_ISOLATE_REQUESTS is {isolate_requests!r}, allowed are true and false")


class InContext:
    """An answer whose parts are made, and which is closed, in the context of its request."""

    def __init__(self, context: contextvars.Context, answer: Any) -> None:
        self.context = context
        self.answer = answer
        self.parts = context.run(iter, answer)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        part: bytes = self.context.run(next, self.parts)
        return part

    def close(self) -> None:
        close = getattr(self.answer, "close", None)
        if close is not None:
            self.context.run(close)


def isolated(application: Callable[..., Any]) -> Callable[..., Any]:
    """The WSGI application, each request of which starts in an empty context.

    gthread's threads serve one request after the other, and a thread's context outlives the request that set it. An
    empty context is what the first request of a thread has. It carries every ContextVar, so asgiref's Local and
    Django's time zone, language and URLconf too. It does not carry threading.local and asgiref's
    Local(thread_critical=True): Django's database connections, which are to be kept, but also what django-crum and
    applications put there.
    """

    def in_a_fresh_context(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *further: Any) -> Any:
            return start_response(status, [*headers, ISOLATED], *further)

        context = contextvars.Context()
        answer = context.run(application, environ, start)
        # A file is sent by the kernel, and gunicorn knows it by its class.
        if isinstance(answer, environ.get("wsgi.file_wrapper", ())):
            return answer
        return InContext(context, answer)

    return in_a_fresh_context


# Bytes of an answer from which on its garbage is collected at once.
LARGE_ANSWER = 1 << 20


def collected(application: Callable[..., Any]) -> Callable[..., Any]:
    """The ASGI application, with the garbage of large answers collected as soon as they are over.

    What a view returned to asyncio from its thread is in a cycle (the future with its own callbacks), so an answer is
    held until the collector runs; and that counts objects, not bytes. Answers that wait for their readers live through
    its first rounds, and the last one seldom comes. Many that end together are collected once.
    """
    due = False

    def collect() -> None:
        nonlocal due
        due = False
        gc.collect()

    async def collect_after(scope: Any, receive: Any, send: Any) -> None:
        nonlocal due
        sent = 0

        async def counting(message: Any) -> None:
            nonlocal sent
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await application(scope, receive, counting)
        finally:
            if sent >= LARGE_ANSWER and not due:
                due = True
                # When this task is over: until then it holds the answer itself.
                asyncio.get_running_loop().call_soon(collect)

    return collect_after


def on_starting(server: Any) -> None:
    """In the master, once, before it listens and before it tells systemd that it is ready."""
    server.log.info("preload %s", PRELOAD_VERDICT)
    if server.cfg.preload_app:
        warm_up()


def when_ready(server: Any) -> None:
    """In the master, right before the first fork: keep the collector from writing to memory that workers share."""
    if server.cfg.preload_app:
        gc.collect()
        gc.freeze()


CGROUP_OF_PROCESS, CGROUPS = "/proc/self/cgroup", "/sys/fs/cgroup"


def killed_for_memory(own: str, top: str) -> int:
    """Processes of this control group that the kernel has killed, as a limit of memory was reached. Reads v1 or v2."""
    try:
        with open(own, encoding="utf-8") as file:
            groups = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return 0
    for number, controllers, path in groups:
        if number != "0" and "memory" not in controllers.split(","):
            continue
        root = top if number == "0" else f"{top}/memory"
        # In a container the path may be that of the host, where the container itself has its own group as the root.
        for folder in (root + path, root):
            try:
                with open(f"{folder}/{'memory.events' if number == '0' else 'memory.oom_control'}") as file:
                    return int(dict(line.split() for line in file).get("oom_kill", 0))
            except (OSError, ValueError):
                continue
    return 0


def child_exit(server: Any, worker: Any) -> None:
    """In the master, after a worker has ended: what gunicorn calls SIGKILL, and systemd 137, gets its name."""
    killed = killed_for_memory(CGROUP_OF_PROCESS, CGROUPS)
    if killed > getattr(server, "killed_for_memory", 0):
        server.killed_for_memory = killed
        server.log.error("Worker %s ended, out of memory: at its limit the kernel killed a process of this "
                         "service (%s so far)", worker.pid, killed)  # fmt: skip


def post_worker_init(worker: Any) -> None:
    """In each worker, a recycled one too, after loading the application and before it takes a request."""
    if isolate_requests == "true" and worker.cfg.worker_class_str == "gthread":
        worker.wsgi = isolated(worker.wsgi)
    began = time.monotonic()
    try:
        warm_up()
        warm_up_in_worker(worker)
    except Exception:
        # A release that does not load must not start. But a service that runs must not end because one of its workers
        # was replaced while, say, the database was away: Django tries again with the first request.
        if worker.age <= worker.cfg.workers:
            raise
        worker.log.exception("Worker %s serves without warm-up", worker.pid)
    else:
        worker.log.info("Worker %s is warm (%.1f s)", worker.pid, time.monotonic() - began)
    if "uvicorn" in worker.cfg.worker_class_str:
        worker.wsgi = collected(worker.wsgi)
        # What is there for good needs no looking at each time.
        gc.collect()
        gc.freeze()
