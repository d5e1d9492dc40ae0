from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from process_model import observe, procfs


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """Wait until a condition holds; fail after a generous limit, so that a slow machine is no failure."""

    def wait(condition: Callable[[], bool], limit_seconds: float = 30) -> None:
        deadline = time.monotonic() + limit_seconds
        while True:
            try:
                if condition():
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline, "the condition did not come true in time"
            time.sleep(0.02)

    return wait


APPLICATION = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
"""


class Gunicorn:
    """A real gunicorn of the test environment on a Unix socket, with a small application."""

    def __init__(self, folder: Path, arguments: list[str], **environment: str) -> None:
        self.folder = folder
        self.path = str(folder / "s")
        (folder / "small.py").write_text(APPLICATION)
        self.log = folder / "log"
        self.process = subprocess.Popen(
            [str(Path(sys.executable).parent / "gunicorn"), "--bind", f"unix:{self.path}", *arguments],
            cwd=folder, stdout=self.log.open("w"), stderr=subprocess.STDOUT, env={**os.environ, **environment},
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.process.pid

    def workers(self) -> list[int]:
        return procfs.children(self.pid)

    def ready(self, workers: int) -> bool:
        return len(self.workers()) == workers and observe.request(self.path).status is not None

    def stop(self) -> None:
        for pid in self.workers():
            os.kill(pid, signal.SIGCONT)
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def gunicorn(tmp_path: Path, wait_for: Callable[..., None]) -> Iterator[Callable[..., Gunicorn]]:
    """Start a gunicorn and wait until all of its workers are there and it answers."""
    started: list[Gunicorn] = []

    def start(*arguments: str, workers: int = 2, **environment: str) -> Gunicorn:
        found = Gunicorn(tmp_path, list(arguments), **environment)
        started.append(found)
        wait_for(lambda: found.ready(workers))
        return found

    yield start
    for found in started:
        found.stop()
