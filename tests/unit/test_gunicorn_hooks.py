"""files/gunicorn.conf.py under real gunicorn: warm workers, preload with its check, what a private socket may say."""

from __future__ import annotations

import ast
import asyncio
import gc
import os
import runpy
import signal
import socket
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest
from entrypoint_process import CONFIGURATION, PYTHONS, Service, eventually, render
from gunicorn.config import make_settings

CLASSES = ["gthread", "uvicorn"]
# gunicorn ends with 3 where a worker does not boot; 23.0.0 with 1 where its second worker fails while it ends.
BOOT_FAILED = (1, 3)


@pytest.fixture(params=PYTHONS)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=CLASSES)
def worker_class(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def recycled(service: Service) -> set[int]:
    """Ask until both workers were replaced; the pids of the new ones."""
    first = service.workers()

    def all_new() -> set[int]:
        service.answers("/")
        now = service.workers()
        return now if len(now) == 2 and not now & first else set()

    new: set[int] = eventually(all_new, lambda: f"workers {service.workers()}")
    return new


# --- the file itself --------------------------------------------------------------------------------------------------


def test_it_sets_nothing_of_the_process_model() -> None:
    """gunicorn takes every global name that is a setting: an import or a helper could become one by accident."""
    names = set()
    for node in ast.walk(ast.parse(CONFIGURATION.read_text())):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
    assert names & set(make_settings()) == {
        "preload_app", "worker_tmp_dir", "forwarded_allow_ips", "forwarder_headers", "secure_scheme_headers",
        "on_starting", "when_ready", "child_exit", "post_worker_init",
    }  # fmt: skip


def test_the_role_may_render_it_as_a_template() -> None:
    text = CONFIGURATION.read_text()
    assert jinja2.Template(text, keep_trailing_newline=True).render() == text


# --- warm workers -----------------------------------------------------------------------------------------------------


def test_a_worker_loads_the_urlconf_before_its_first_request(python: str, worker_class: str, tmp_path: Path) -> None:
    with Service(python, tmp_path, {"GUNICORN_WORKER_CLASS": worker_class}) as service:
        service.warm()
        assert "preload off" in service.said()
        assert set(service.pids("loaded")) == service.workers()
        assert set(service.pids("loaded-late")) == service.workers()
        assert service.get("/about/").json["pid"] in service.workers()


def test_a_recycled_worker_is_warm_too(python: str, worker_class: str, tmp_path: Path) -> None:
    settings = {
        "GUNICORN_WORKER_CLASS": worker_class,
        "GUNICORN_MAX_REQUESTS": "5",
        "GUNICORN_MAX_REQUESTS_JITTER": "0",
    }
    with Service(python, tmp_path, settings) as service:
        service.warm()
        new = recycled(service)
        eventually(lambda: new <= set(service.pids("loaded")))
        eventually(lambda: all(f"Worker {pid} is warm" in service.said() for pid in new))


def test_a_worker_killed_for_silence_is_replaced_by_a_warm_one(python: str, tmp_path: Path) -> None:
    with Service(python, tmp_path, {"GUNICORN_WORKER_CLASS": "gthread", "GUNICORN_TIMEOUT": "2"}) as service:
        service.warm()
        stopped = min(service.workers())
        os.kill(stopped, signal.SIGSTOP)
        service.wait_for(f"WORKER TIMEOUT (pid:{stopped})")
        service.wait_for("is warm", 3)
        assert stopped not in eventually(lambda: service.workers() if len(service.workers()) == 2 else None)


def test_named_modules_are_imported_too(python: str, tmp_path: Path) -> None:
    with Service(python, tmp_path, {"GUNICORN_WARM_UP": "plane.warm plane.views"}) as service:
        service.warm()
        assert set(service.pids("warmed")) == service.workers()


def test_a_worker_opens_each_cache_and_database_once_and_closes_it(
    python: str, worker_class: str, tmp_path: Path
) -> None:
    """In the worker, not before the fork: what the master opens would be shared."""
    settings = {"GUNICORN_WORKER_CLASS": worker_class, "GUNICORN_PRELOAD": "auto"}
    with Service(python, tmp_path, settings) as service:
        service.warm()
        assert "preload on" in service.said()
        assert sorted(service.pids("opened-cache")) == sorted(service.workers())
        assert sorted(service.pids("opened-database")) == sorted(service.workers())
        assert set(service.pids("closed-database")) == service.workers()


@pytest.mark.parametrize("path", ["/asked/", "/asked/?fail"])
def test_a_worker_asks_itself_the_named_paths(python: str, tmp_path: Path, path: str) -> None:
    settings = {"GUNICORN_WORKER_CLASS": "gthread", "GUNICORN_WARM_UP": f"plane.warm {path} /nowhere/"}
    with Service(python, tmp_path, settings) as service:
        service.warm()
        assert set(service.pids("warmed")) == service.workers()
        assert sorted(service.pids("asked-at-localhost")) == sorted(service.workers())


def test_it_asks_in_the_name_of_a_host_that_the_application_allows(python: str, tmp_path: Path) -> None:
    settings = {"GUNICORN_WARM_UP": "/asked/", "ALLOWED_HOSTS": ".example.org,plane.example.org,localhost"}
    with Service(python, tmp_path, {"GUNICORN_WORKER_CLASS": "gthread", **settings}) as service:
        service.warm()
        assert set(service.pids("asked-at-plane.example.org")) == service.workers()


@pytest.mark.parametrize("what", ["cache", "database"])
def test_a_worker_serves_although_a_store_is_away(python: str, worker_class: str, tmp_path: Path, what: str) -> None:
    """Also at the first start: the way back has to work while the database is away."""
    settings = {"GUNICORN_WORKER_CLASS": worker_class, "TROUBLE": f"{what} is away"}
    with Service(python, tmp_path, settings) as service:
        service.warm()
        assert f"could not open caches and databases: ConnectionError: {what} is away" in service.said()


@pytest.mark.parametrize("what", ["cache", "database"])
def test_a_store_that_does_not_answer_holds_a_worker_no_longer_than_gunicorn_would_wait(
    python: str, worker_class: str, tmp_path: Path, what: str
) -> None:
    settings = {
        "GUNICORN_WORKER_CLASS": worker_class,
        "GUNICORN_TIMEOUT": "4",
        "TROUBLE": f"{what} does not answer",
    }
    with Service(python, tmp_path, settings) as service:
        service.warm()
        assert "did not answer within 2.0 s" in service.said()
        assert "WORKER TIMEOUT" not in service.said()


def test_an_application_without_django_has_nothing_to_warm(python: str, tmp_path: Path) -> None:
    script = render().replace("plane.wsgi:application", "bare:application")
    settings = {"GUNICORN_WORKER_CLASS": "gthread", "GUNICORN_PRELOAD": "auto"}
    with Service(python, tmp_path, settings, script=script) as service:
        service.warm()
        assert service.get("/").body == b"no Django here"
        assert "preload on" in service.said()


def test_a_release_whose_urlconf_does_not_load_does_not_start(python: str, worker_class: str, tmp_path: Path) -> None:
    (tmp_path / "urlconf-is-broken").touch()
    with Service(python, tmp_path, {"GUNICORN_WORKER_CLASS": worker_class}) as service:
        assert service.exit_status() in BOOT_FAILED
        assert "RuntimeError: the database is away" in service.said()


def test_a_service_that_runs_outlives_a_urlconf_that_does_not_load(
    python: str, worker_class: str, tmp_path: Path
) -> None:
    settings = {
        "GUNICORN_WORKER_CLASS": worker_class,
        "GUNICORN_MAX_REQUESTS": "5",
        "GUNICORN_MAX_REQUESTS_JITTER": "0",
    }
    with Service(python, tmp_path, settings) as service:
        service.warm()
        broken = tmp_path / "urlconf-is-broken"
        broken.touch()
        recycled(service)
        service.wait_for("serves without warm-up", 2)
        broken.unlink()
        eventually(lambda: (answer := service.answers("/about/")) and answer.status == 200)
        assert service.process.poll() is None


# --- preload ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preload", ["auto", "true"])
def test_preload_loads_once_for_all_workers(python: str, worker_class: str, tmp_path: Path, preload: str) -> None:
    settings = {"GUNICORN_WORKER_CLASS": worker_class, "GUNICORN_PRELOAD": preload, "GUNICORN_MAX_REQUESTS": "5",
                "GUNICORN_MAX_REQUESTS_JITTER": "0"}  # fmt: skip
    with Service(python, tmp_path, settings) as service:
        service.warm()
        assert "preload on (checked in " in service.said()
        loaded = service.pids("loaded")
        assert loaded == [service.process.pid], "once, and by the master"
        assert service.get("/about/").status == 200
        recycled(service)
        assert service.pids("loaded") == loaded


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("thread", "2 threads run after loading the application (MainThread, metrics-exporter)"),
        ("connection", "1 connection is open after loading the application (to 127.0.0.1:"),
    ],
)
def test_auto_does_not_preload_what_a_fork_would_break(python: str, tmp_path: Path, trouble: str, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = {"GUNICORN_PRELOAD": "auto", "TROUBLE": trouble, "TROUBLE_PORT": str(server.getsockname()[1])}
        with Service(python, tmp_path, settings) as service:
            service.warm()
            assert f"preload off: {reason}" in service.said()
            assert service.pids("loaded")[0] == service.process.pid, "the master tried it"
            assert sorted(service.pids("loaded")[1:]) == sorted(service.workers()), "and each worker has its own"
            assert len(list(Path(f"/proc/{service.process.pid}/task").iterdir())) == 1, "of which it kept no thread"
            environ = Path(f"/proc/{service.process.pid}/environ").read_text()
            assert "DJANGO_SETTINGS_MODULE" not in environ, "and no variable"
            assert service.get("/about/").status == 200


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("thread", "2 threads run after loading"),
        ("connection", "1 connection is open after loading the application (to 127.0.0.1:"),
        ("broken", "the application does not load: RuntimeError: no such setting"),
    ],
)
def test_true_refuses_to_start_and_says_why(python: str, tmp_path: Path, trouble: str, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = {"GUNICORN_PRELOAD": "true", "TROUBLE": trouble, "TROUBLE_PORT": str(server.getsockname()[1])}
        with Service(python, tmp_path, settings) as service:
            assert service.exit_status() == 1
            said = service.said()
            assert "GUNICORN_PRELOAD is true, but preloading is not safe: " in said
            assert reason in said
            assert said.count("\n") == 1
            assert "Booting worker" not in said


def test_an_application_that_ends_the_process_ends_it_before_gunicorn_starts(python: str, tmp_path: Path) -> None:
    with Service(python, tmp_path, {"GUNICORN_PRELOAD": "auto", "TROUBLE": "exit"}) as service:
        assert service.exit_status() == 7
        assert "Starting gunicorn" not in service.said()


def test_a_process_that_the_application_leaves_behind_does_not_hold_the_check(python: str, tmp_path: Path) -> None:
    with Service(python, tmp_path, {"GUNICORN_PRELOAD": "auto", "TROUBLE": "orphan"}) as service:
        service.warm()
        assert "preload o" in service.said()


def test_an_application_that_does_not_load_fails_by_gunicorns_own_words(python: str, tmp_path: Path) -> None:
    with Service(python, tmp_path, {"GUNICORN_PRELOAD": "auto", "TROUBLE": "broken"}) as service:
        assert service.exit_status() in BOOT_FAILED
        assert "preload off: the application does not load: RuntimeError: no such setting" in service.said()
        assert "Traceback" in service.said()


def test_a_preload_that_is_none_is_refused_without_the_entrypoint_too(python: str, tmp_path: Path) -> None:
    script = f"exec gunicorn --config {CONFIGURATION} bare:application"
    with Service(python, tmp_path, {"GUNICORN_PRELOAD": "yes"}, script=script) as service:
        assert service.exit_status() == 64
        assert service.said() == "GUNICORN_PRELOAD is 'yes', allowed are auto, true and false\n"


def test_without_the_entrypoint_the_application_is_not_known(python: str, tmp_path: Path) -> None:
    script = f"exec gunicorn --bind unix:{tmp_path}/gunicorn.sock --workers 2 --config {CONFIGURATION} bare:application"
    with Service(python, tmp_path, {"GUNICORN_PRELOAD": "auto"}, script=script) as service:
        service.warm()
        assert "preload off: GUNICORN_APPLICATION is not set" in service.said()


@pytest.mark.parametrize("preload", ["auto", "false"])
def test_sighup_replaces_the_workers_and_keeps_the_decision(python: str, tmp_path: Path, preload: str) -> None:
    with Service(python, tmp_path, {"GUNICORN_WORKER_CLASS": "gthread", "GUNICORN_PRELOAD": preload}) as service:
        service.warm()
        first, loaded = service.workers(), service.pids("loaded")
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("is warm", 4)
        eventually(lambda: len(service.workers()) == 2 and not service.workers() & first)
        if preload == "auto":
            assert service.pids("loaded") == loaded
        assert service.get("/about/").status == 200
        service.process.send_signal(signal.SIGTERM)
        assert service.exit_status() == 0


# --- what large answers leave behind ----------------------------------------------------------------------------------


class Held:
    """Stands for an answer; in a cycle with itself, as a future with its callbacks is."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.parametrize(("size", "is_held"), [(1 << 20, False), (1000, True)])
def test_under_asgi_only_a_large_answer_is_collected_at_once(size: int, is_held: bool) -> None:
    collected = runpy.run_path(str(CONFIGURATION))["collected"]
    held: list[weakref.ref[Held]] = []
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        answer = Held()
        held.append(weakref.ref(answer))
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"1" * size})

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def serve() -> bool:
        await asyncio.gather(*(asyncio.create_task(collected(application)({}, None, send)) for _ in range(3)))
        await asyncio.sleep(0)
        return any(each() for each in held)

    gc.disable()
    try:
        assert asyncio.run(serve()) is is_held
    finally:
        gc.enable()
    assert sent.count("http.response.body") == 3


def test_an_answer_that_fails_is_the_servers_as_before() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise ConnectionError("the client is gone")

    with pytest.raises(ConnectionError, match="the client is gone"):
        asyncio.run(runpy.run_path(str(CONFIGURATION))["collected"](application)({}, None, None))


# --- what the kernel kills --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/plane.slice/blue\n", "plane.slice/blue/memory.events"),
        ("5:cpu:/\n4:memory:/plane.slice/blue\n0::/\n", "memory/plane.slice/blue/memory.oom_control"),
        ("4:memory:/docker/4711\n", "memory/memory.oom_control"),
    ],
    ids=["v2", "v1", "in a container"],
)
def test_a_worker_that_was_killed_for_memory_is_said_to_be_so(
    tmp_path: Path, groups: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GUNICORN_PRELOAD", raising=False)
    hooks = runpy.run_path(str(CONFIGURATION))
    own, counts = tmp_path / "cgroup", tmp_path / file
    own.write_text(groups)
    counts.parent.mkdir(parents=True, exist_ok=True)
    said: list[str] = []
    server = SimpleNamespace(log=SimpleNamespace(error=lambda text, *words: said.append(text % words)))
    worker = SimpleNamespace(pid=7)

    child_exit = hooks["child_exit"]
    child_exit.__globals__.update(CGROUP_OF_PROCESS=str(own), CGROUPS=str(tmp_path))

    def one_ends(killed: int) -> None:
        counts.write_text(f"max 12\noom_kill {killed}\n")
        child_exit(server, worker)

    for killed in (0, 1, 1):
        one_ends(killed)
    assert len(said) == 1, "one that ends for another reason is not said to be killed"
    assert said[0].startswith("Worker 7 ended, out of memory: ")
    assert said[0].endswith("(1 so far)")
    one_ends(3)
    assert said[1].endswith("(3 so far)")


def test_where_nothing_is_counted_nothing_is_said(tmp_path: Path) -> None:
    assert runpy.run_path(str(CONFIGURATION))["killed_for_memory"](str(tmp_path / "none"), str(tmp_path)) == 0


# --- what systemd is told ---------------------------------------------------------------------------------------------


def test_ready_comes_after_loading_where_the_application_is_preloaded(python: str, tmp_path: Path) -> None:
    """Without preload gunicorn says READY=1 as soon as it listens, before any worker exists: a start is not a proof."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        settings = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "GUNICORN_PRELOAD": "true"}
        with Service(python, tmp_path, settings) as service:
            assert b"READY=1" in systemd.recv(4096)
            assert service.process.pid in service.pids("loaded")


# --- what a private socket may say ------------------------------------------------------------------------------------


def test_admissions_headers_are_believed_on_its_socket(python: str, worker_class: str, tmp_path: Path) -> None:
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
    with Service(python, tmp_path, {"GUNICORN_WORKER_CLASS": worker_class}) as service:
        about = service.warm().get("/about/", headers).json
        assert about["scheme"] == "https"
        if worker_class == "uvicorn":
            assert about["client"] == "192.0.2.7"


def test_a_client_cannot_move_the_path_by_a_header(python: str, worker_class: str, tmp_path: Path) -> None:
    """Else /x/api/… with SCRIPT_NAME /x is another route to admission than to Django."""
    with Service(python, tmp_path, {"GUNICORN_WORKER_CLASS": worker_class}) as service:
        service.warm()
        assert service.get("/x/about/", {"SCRIPT_NAME": "/x"}).status == 404
        assert service.get("/about/", {"SCRIPT_NAME": "/about"}).json["path"] == "/about/"


def test_a_scheme_header_that_admission_does_not_set_says_nothing(python: str, tmp_path: Path) -> None:
    headers = {"X-Forwarded-Proto": "http", "X-Forwarded-Ssl": "on", "X-Forwarded-Protocol": "ssl"}
    with Service(python, tmp_path, {"GUNICORN_WORKER_CLASS": "gthread"}) as service:
        answer = service.warm().get("/about/", headers)
        assert (answer.status, answer.json["scheme"]) == (200, "http")


def test_a_port_believes_nobody_but_this_host(python: str, worker_class: str, tmp_path: Path) -> None:
    """gunicorn's default for addresses stays: the folder of a socket is what makes it private."""
    settings = {"GUNICORN_WORKER_CLASS": worker_class, "FORWARDED_ALLOW_IPS": "192.0.2.1"}
    with Service(python, tmp_path, settings, tcp=True) as service:
        assert service.warm().get("/about/", {"X-Forwarded-Proto": "https"}).json["scheme"] == "http"


def test_no_socket_takes_commands(python: str, tmp_path: Path) -> None:
    """gunicorn 25.1 and newer would put one into $HOME."""
    with Service(python, tmp_path, {"GUNICORN_WORKER_CLASS": "gthread"}) as service:
        service.warm()
        service.get("/")
        assert "Control socket" not in service.said()
        assert not list(tmp_path.rglob("gunicorn.ctl"))
