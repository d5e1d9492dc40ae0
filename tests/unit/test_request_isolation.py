"""Request state under real gthread: what a request finds of the one that its thread served before."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from entrypoint_process import PYTHONS, Service, render

# Every mechanism is read at the start of a request and set in it, by nobody reset.
APPLICATION = """
    import contextvars, json, threading
    from asgiref.local import Local
    from django.conf import settings
    import django
    from django.utils import timezone, translation

    settings.configure(USE_TZ=True, TIME_ZONE="UTC", USE_I18N=True, LANGUAGE_CODE="en")
    django.setup()
    variable = contextvars.ContextVar("variable", default=None)
    local = Local()
    critical = Local(thread_critical=True)
    of_thread = threading.local()

    def state():
        return {
            "ContextVar": variable.get(),
            "asgiref Local": getattr(local, "user", None),
            "time zone": timezone.get_current_timezone_name(),
            "language": translation.get_language(),
            "asgiref Local, thread-critical": getattr(critical, "user", None),
            "threading.local": getattr(of_thread, "user", None),
        }

    class Answer:
        def __init__(self, user, start):
            self.user, self.start = user, start

        def __iter__(self):
            # Made after the application has returned, as a streaming answer's parts are.
            yield json.dumps({"at_start": self.start, "while_streaming": state()}).encode()

        def close(self):
            with open("closed", "a") as closed:
                print(variable.get(), file=closed)

    def application(environ, start_response):
        start, user = state(), environ["QUERY_STRING"]
        if environ["PATH_INFO"] == "/file":
            start_response("200 OK", [("Content-Length", "5")])
            return environ["wsgi.file_wrapper"](open("file", "rb"))
        if environ["PATH_INFO"] == "/broken":
            variable.set(user)
            raise RuntimeError("as asked")
        variable.set(user)
        local.user = critical.user = of_thread.user = user
        timezone.activate("Asia/Tokyo")
        translation.activate("de")
        start_response("200 OK", [("Content-Type", "application/json")])
        return Answer(user, start)
"""
FRESH = {"ContextVar": None, "asgiref Local": None, "time zone": "UTC", "language": "en"}
# A context does not carry these: they are the thread's own.
OF_THREAD = ("asgiref Local, thread-critical", "threading.local")


@contextmanager
def serving(python: str, folder: Path, isolate: str) -> Iterator[Service]:
    """One worker with one thread, so that every request follows another on the same thread."""
    package = folder / "stateful"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "wsgi.py").write_text(textwrap.dedent(APPLICATION))
    (folder / "file").write_text("bytes")
    settings = {
        "GUNICORN_WORKER_CLASS": "gthread",
        "GUNICORN_WORKERS": "1",
        "GUNICORN_THREADS": "1",
        "GUNICORN_ISOLATE_REQUESTS": isolate,
    }
    with Service(python, folder, settings, render(application="stateful")) as service:
        service.wait_for("is warm")
        yield service


@pytest.mark.parametrize("python", PYTHONS)
def test_an_isolated_request_starts_with_nothing_of_an_earlier_one(
    python: str, tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    with serving(python, tmp_path, "true") as service:
        for user in ("ada", "grace", "edith"):
            answer = service.get(f"/?{user}")
            assert answer.headers["x-request-context"] == "fresh"
            start, streaming = answer.json["at_start"], answer.json["while_streaming"]
            assert {name: start[name] for name in FRESH} == FRESH
            assert streaming["ContextVar"] == streaming["asgiref Local"] == user
            assert (streaming["time zone"], streaming["language"]) == ("Asia/Tokyo", "de")
        assert start["threading.local"] == start["asgiref Local, thread-critical"] == "grace", "the thread's own stays"
        # An answer is closed in its request's context, after the client has read it.
        wait_for(lambda: (tmp_path / "closed").read_text().split() == ["ada", "grace", "edith"])


@pytest.mark.parametrize("python", PYTHONS)
def test_without_isolation_a_request_finds_what_an_earlier_one_left(python: str, tmp_path: Path) -> None:
    """The test above can fail: this is what gthread does by itself."""
    with serving(python, tmp_path, "false") as service:
        service.get("/?ada")
        answer = service.get("/?grace")
        assert "x-request-context" not in answer.headers
        left = {"ContextVar": "ada", "asgiref Local": "ada", "time zone": "Asia/Tokyo", "language": "de"}
        assert answer.json["at_start"] == {**left, **dict.fromkeys(OF_THREAD, "ada")}


@pytest.mark.parametrize("python", PYTHONS)
def test_isolation_serves_files_and_survives_errors(python: str, tmp_path: Path) -> None:
    with serving(python, tmp_path, "true") as service:
        assert service.get("/file").body == b"bytes"
        assert service.get("/broken?ada").status == 500
        assert service.get("/?grace").json["at_start"]["ContextVar"] is None


@pytest.mark.parametrize("python", PYTHONS)
def test_a_word_that_is_none_is_refused(python: str, tmp_path: Path) -> None:
    with Service(python, tmp_path, {"GUNICORN_ISOLATE_REQUESTS": "yes"}) as service:
        assert service.exit_status() == 64
        assert "GUNICORN_ISOLATE_REQUESTS is 'yes', allowed are true and false" in service.said()
