"""gunicorn's hooks with a real Django: workers are warm before they serve, preload only where it is safe."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HOOKS = Path(__file__).resolve().parents[2] / "files" / "gunicorn.conf.py"
SETTINGS = "SECRET_KEY='x'\nROOT_URLCONF='site_urls'\nALLOWED_HOSTS=['*']\nUSE_TZ=True\n"
URLS = """
import json, os, time
from django.http import HttpResponse
from django.urls import path

LOADED_BY, LOADED_AT = os.getpid(), time.monotonic()
SERVED = []


def view(request):
    SERVED.append(1)
    return HttpResponse(json.dumps({
        "loaded_by": LOADED_BY, "pid": os.getpid(), "master": os.getppid(), "loaded_before": LOADED_AT < request.arrived,
        "secure": request.is_secure()}))


urlpatterns = [path("", view)]
"""
WSGI = """
import os, time
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
from django.core.wsgi import get_wsgi_application
{extra}
inner = get_wsgi_application()


def application(environ, start_response):
    from django.core.handlers.wsgi import WSGIRequest
    WSGIRequest.arrived = time.monotonic()
    return inner(environ, start_response)
"""


@pytest.fixture
def django(tmp_path: Path, gunicorn: Callable[..., Any]) -> Callable[..., Any]:
    def start(extra: str = "", preload: str = "false", *arguments: str, **environment: str) -> Any:
        (tmp_path / "site_settings.py").write_text(SETTINGS)
        (tmp_path / "site_urls.py").write_text(URLS)
        (tmp_path / "site_wsgi.py").write_text(WSGI.format(extra=extra))
        return gunicorn(
            "--workers", "2", "--worker-class", "gthread", "--threads", "2", "--config", str(HOOKS), *arguments,
            "site_wsgi:application", GUNICORN_APPLICATION="site_wsgi:application", GUNICORN_PRELOAD=preload, **environment,
        )  # fmt: skip

    return start


def ask(running: Any) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(running.path)
        connection.sendall(b"GET / HTTP/1.0\r\nX-Forwarded-Proto: https\r\n\r\n")
        received = b""
        while chunk := connection.recv(4096):
            received += chunk
    return json.loads(received.decode().partition("\r\n\r\n")[2])


def test_the_urlconf_is_loaded_before_the_first_request(django: Callable[..., Any]) -> None:
    answer = ask(django())
    assert answer["loaded_before"]
    assert answer["loaded_by"] == answer["pid"], "without preload each worker loads its own"


def test_a_recycled_worker_is_warm_too(django: Callable[..., Any], wait_for: Callable[..., None]) -> None:
    running = django("", "false", "--max-requests", "3")
    before = set(running.workers())
    wait_for(lambda: bool(ask(running)) and not before & set(running.workers()) and len(running.workers()) == 2)
    assert ask(running)["loaded_before"]


@pytest.mark.parametrize("preload", ["auto", "true"])
def test_preload_loads_the_urlconf_before_the_fork(django: Callable[..., Any], preload: str) -> None:
    running = django("", preload)
    answer = ask(running)
    assert answer["loaded_by"] == running.pid == answer["master"]
    assert "preload on" in running.log.read_text()


THREAD = "import threading; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"
CONNECTION = "import socket; KEPT = socket.socketpair()"


@pytest.mark.parametrize(("extra", "reason"), [(THREAD, "2 threads run"), (CONNECTION, "2 connections are open")])
def test_auto_does_not_preload_where_it_is_not_safe(django: Callable[..., Any], extra: str, reason: str) -> None:
    running = django(extra, "auto")
    assert ask(running)["loaded_by"] != running.pid
    assert f"preload off: {reason}" in running.log.read_text()


def test_true_refuses_to_start_where_it_is_not_safe(tmp_path: Path) -> None:
    (tmp_path / "threaded.py").write_text(f"import time\n{THREAD}\ndef application(environ, start): pass\n")
    done = subprocess.run(
        [Path(sys.executable).parent / "gunicorn", "--config", HOOKS, "--bind", "unix:s", "threaded:application"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30,
        env={**os.environ, "GUNICORN_APPLICATION": "threaded:application", "GUNICORN_PRELOAD": "true"},
    )  # fmt: skip
    assert done.returncode != 0
    assert "GUNICORN_PRELOAD is true, but preloading is not safe: 2 threads run" in done.stderr


def test_what_admission_forwards_is_believed_on_a_unix_socket(django: Callable[..., Any]) -> None:
    assert ask(django(GUNICORN_BIND="unix:s"))["secure"]
