"""The rendered entrypoint as a process: against a stub gunicorn that records how it was called, or for real.

Real processes run with the interpreter of the tests; PROCESS_MODEL_TEST_PYTHONS names more, separated by colons,
each in a virtual environment with gunicorn, uvicorn and Django of its own.
"""

from __future__ import annotations

import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import jinja2

FILES = Path(__file__).resolve().parents[2] / "files"
CONFIGURATION = FILES / "gunicorn.conf.py"
PYTHONS = [sys.executable, *filter(None, os.environ.get("PROCESS_MODEL_TEST_PYTHONS", "").split(":"))]
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
# Starting Python, Django and two workers takes a second or two; a busy machine may take many times that.
PATIENCE = 60.0


def render(prestart: Sequence[str] = (), service: str = "plane-api", application: str = "plane") -> str:
    """The entrypoint as the role renders it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FILES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - a shell script, quoted by its own filter
    )
    environment.filters["quote"] = shlex.quote
    return environment.get_template("entrypoint.sh.j2").render(
        gunicorn_service_name=service,
        plane_release_wsgi=f"{application}.wsgi:application",
        plane_release_asgi=f"{application}.asgi:application",
        plane_release_manage="manage.py",
        gunicorn_service_prestart=list(prestart),
    )


def executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def eventually(what: Callable[[], Any], why: Callable[[], str] = lambda: "", seconds: float = PATIENCE) -> Any:
    """The first true answer of `what`; fails with what `why` says when none comes."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s; {why()}"
        time.sleep(0.05)


# What `manage.py` and the application write down, one line each time: who loaded or ran what.
PROJECT = {
    "manage.py": """
        import os, sys, time
        from pathlib import Path
        with open("steps", "a") as steps:
            print(*sys.argv[1:], sep="|", file=steps)
        if sys.argv[1] == "fail":
            sys.exit(int(sys.argv[2]) if sys.argv[2].isdigit() else sys.argv[2])
        if sys.argv[1] == "kill":
            os.kill(os.getpid(), 9)
        if sys.argv[1] == "wait_for_ever":
            time.sleep(600)
    """,
    "plane/__init__.py": "",
    "plane/settings.py": """
        import os
        SECRET_KEY = "only for tests"
        ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "*").split(",")
        ROOT_URLCONF = "plane.urls"
        SECURE_PROXY_SSL_HEADER = None
        MIDDLEWARE = []
        CACHES = {"default": {"BACKEND": "plane.stores.Cache"}}
        DATABASES = {"default": {"ENGINE": "plane.stores", "NAME": ":memory:"}}
    """,
    "plane/stores/__init__.py": """
        import os, time
        from django.core.cache.backends.dummy import DummyCache
        def opened(what):
            with open(f"opened-{what}", "a") as file:
                print(os.getpid(), file=file)
            if os.environ.get("TROUBLE") == f"{what} is away":
                raise ConnectionError(f"{what} is away")
            if os.environ.get("TROUBLE") == f"{what} does not answer":
                time.sleep(600)
        class Cache(DummyCache):
            def get(self, key, default=None, version=None):
                opened("cache")
                return default
    """,
    "plane/stores/base.py": """
        import os
        from django.db.backends.sqlite3 import base
        from plane import stores
        class DatabaseWrapper(base.DatabaseWrapper):
            def get_new_connection(self, parameters):
                stores.opened("database")
                return super().get_new_connection({"database": ":memory:", "check_same_thread": False})
            def close(self):
                with open("closed-database", "a") as file:
                    print(os.getpid(), file=file)
                super().close()
    """,
    "plane/load.py": """
        import os, socket, threading, time
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "plane.settings")
        trouble = os.environ.get("TROUBLE", "")
        if trouble == "thread":
            threading.Thread(target=time.sleep, args=(600,), name="metrics-exporter", daemon=True).start()
        elif trouble == "connection":
            connection = socket.create_connection(("127.0.0.1", int(os.environ["TROUBLE_PORT"])))
        elif trouble == "broken":
            raise RuntimeError("no such setting")
        elif trouble == "exit":
            os._exit(7)
        elif trouble == "orphan":
            if os.fork() == 0:
                time.sleep(3)
                os._exit(0)
    """,
    "plane/wsgi.py": """
        import plane.load
        from django.core.wsgi import get_wsgi_application
        application = get_wsgi_application()
    """,
    "plane/asgi.py": """
        import plane.load
        from django.core.asgi import get_asgi_application
        application = get_asgi_application()
    """,
    "plane/urls.py": """
        import os
        from pathlib import Path
        if Path("urlconf-is-broken").exists():
            raise RuntimeError("the database is away")
        with open("loaded", "a") as loaded:
            print(os.getpid(), file=loaded)
        from django.urls import include, path
        from plane import views
        urlpatterns = [path("", views.health), path("about/", views.about), path("asked/", views.asked),
                       path("sleep/", views.sleep),
                       path("late/", include("plane.late"))]
    """,
    "plane/late.py": """
        import os
        with open("loaded-late", "a") as loaded:
            print(os.getpid(), file=loaded)
        urlpatterns = []
    """,
    "plane/warm.py": """
        import os
        with open("warmed", "a") as warmed:
            print(os.getpid(), file=warmed)
    """,
    "plane/views.py": """
        import os, sys, threading, time
        from django.http import JsonResponse
        def health(request):
            return JsonResponse({"status": "OK"})
        def asked(request):
            with open(f"asked-at-{request.get_host()}", "a") as asked:
                print(os.getpid(), file=asked)
            if "fail" in request.GET:
                raise RuntimeError("as asked")
            return JsonResponse({})
        def about(request):
            return JsonResponse({
                "kind": type(request).__name__, "pid": os.getpid(), "scheme": request.scheme, "path": request.path,
                "client": request.META.get("REMOTE_ADDR"), "late": request.META.get("SCRIPT_NAME", ""),
                "worker": sorted(set(sys.modules) & {"gunicorn.workers.gthread", "uvicorn.workers", "uvicorn_worker"}),
            })
        def sleep(request):
            began = time.monotonic()
            time.sleep(float(request.GET["seconds"]))
            return JsonResponse({"pid": os.getpid(), "began": began, "ended": time.monotonic()})
    """,
    "bare.py": """
        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"no Django here"]
    """,
}


def write_project(folder: Path) -> Path:
    import textwrap

    for name, text in PROJECT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self.path))


@dataclass
class Service:
    """One run of the entrypoint, with gunicorn, in a folder of its own; ends with the `with` block."""

    python: str
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    script: str = ""
    tcp: bool = False

    def __enter__(self) -> Service:
        write_project(self.folder)
        self.log = self.folder / "log"
        self.socket = self.folder / "gunicorn.sock"
        self.port = 0
        environment = {
            "PATH": f"{Path(self.python).parent}:{SYSTEM_PATH}",
            "HOME": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "GUNICORN_WORKERS": "2",
            "GUNICORN_CONFIG": str(CONFIGURATION),
        }
        if self.tcp:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            environment["PORT"] = str(self.port)
        else:
            environment["GUNICORN_BIND"] = f"unix:{self.socket}"
        environment.update(self.settings)
        script = executable(self.folder / "entrypoint.sh", self.script or render())
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["bash", script], cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        if error is not None:
            error.add_note(self.said())

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str, times: int = 1) -> None:
        def found() -> bool:
            return self.said().count(text) >= times

        def running() -> bool:
            assert found() or self.process.poll() is None, f"ended with {self.process.poll()}:\n{self.said()}"
            return found()

        eventually(running, lambda: f"{times} × {text!r} not in:\n{self.said()}")

    def warm(self) -> Service:
        self.wait_for("is warm", 2)
        return self

    def exit_status(self) -> int:
        return self.process.wait(PATIENCE)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        connection = (
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            if self.tcp
            else _UnixConnection(self.socket)
        )
        try:
            connection.request("GET", path, headers={"Connection": "close", **(headers or {})})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def answers(self, path: str) -> Answer | None:
        """Its answer, or none while nobody listens."""
        try:
            return self.get(path)
        except OSError:
            assert self.process.poll() is None, self.said()
            return None

    def workers(self) -> set[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in children.read_text().split()}

    def pids(self, name: str) -> list[int]:
        """Who wrote into one of the project's files."""
        path = self.folder / name
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []
