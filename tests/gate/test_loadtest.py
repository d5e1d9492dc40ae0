"""`make loadtest`: what it refuses before it asks anybody, and which wrong answers it notices.

The service here is a few lines that answer as the stand-in does, or wrongly; the run against hosts is `make loadtest`.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT

PYTHON = ROOT / "build/load/bin/python"


def loadtest(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}/ansible/module_utils:{ROOT}/tools"}
    command = [str(PYTHON), str(ROOT / "tools/loadtest.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("environment", ["cloud", "commercial", "community"])
def test_an_environment_with_real_users_is_not_loaded(environment: str) -> None:
    done = loadtest(environment)
    assert done.returncode != 0
    assert f"{environment} has real users. Nothing was asked" in done.stderr


def test_an_inventory_of_another_environment_is_refused() -> None:
    done = loadtest("staging", "--inventory", "inventories/cloud")
    assert "is cloud, not staging" in done.stderr


def test_a_threshold_that_is_none_is_refused(tmp_path: Path) -> None:
    variables = tmp_path / "group_vars" / "staging"
    variables.mkdir(parents=True)
    (variables / "main.yml").write_text("plane_environment: staging\nplane_release_load_thresholds: {p59: 1}\n")
    (tmp_path / "hosts.yml").write_text("plane_api: {hosts: {api1: {ansible_host: 127.0.0.1}}}\n")
    assert "threshold 'p59' is not known" in loadtest("staging", "--inventory", str(tmp_path)).stderr


PAGE = bytes(range(256)) * 20
MIX: dict[str, Any] = {
    "seed": 1, "seconds": 4, "users": 4, "ramp": 20, "think_seconds": [0.02, 0.05], "headers": {},
    "mix": [
        {"name": "me", "weight": 1, "path": "/me/"},
        {"name": "page", "weight": 1, "path": "/page/", "bytes": len(PAGE)},
        {"name": "write", "weight": 1, "method": "POST", "path": "/issues/", "body": {}, "mark": "external_id"},
    ],
    "burst": {"users": 3, "every_seconds": 1, "request": {"name": "page, burst", "path": "/page/", "bytes": len(PAGE)}},
    "graphql": {"users": 1, "query": "{ me }", "answer": {"data": {"me": 1}}},
}  # fmt: skip


@contextmanager
def service(fault: str) -> Iterator[tuple[str, int]]:
    """A service that answers right, but for one fault, one time in ten."""
    stored: dict[str, Any] = {}
    asked = iter(range(1_000_000))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any, **__: Any) -> None:
            """Say nothing."""

        def answer(self, body: bytes, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def faulty(self, name: str) -> bool:
            return fault == name and next(asked) % 10 == 9

        def do_GET(self) -> None:
            if self.faulty("error"):
                return self.answer(b"{}", 500)
            if self.path == "/page/":
                body = PAGE[:-1] if self.faulty("truncated") else PAGE
                return self.answer(PAGE[::-1] if self.faulty("mixed up") else body)
            if self.path == "/gone/":
                return self.answer(b"{}", 404)
            if self.path.startswith("/issues/"):
                return self.answer(json.dumps(stored[self.path.split("/")[2]]).encode())
            return self.answer(b"{}")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/graphql/":
                return self.answer(b'{"data": {"me": 1}}')
            issue = {**body, "id": uuid.uuid4().hex}
            stored[issue["id"]] = {**issue, "external_id": "lost"} if self.faulty("lost write") else issue
            return self.answer(json.dumps(issue).encode(), 201)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield "127.0.0.1", server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run_against(address: str, port: int, mix: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    variables = folder / "group_vars" / "staging"
    variables.mkdir(parents=True)
    settings = {
        "plane_environment": "staging", "plane_api_port": port, "plane_graphql_port": port,
        "plane_release_load_thresholds": {"p95": 30, "p99": 30, "page_p95": 30},
    }  # fmt: skip
    (variables / "main.yml").write_text(yaml.safe_dump(settings))
    hosts = {"hosts": {"api1": {"ansible_host": address}}}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"plane_api": hosts, "plane_graphql": hosts}))
    (folder / "mix.yml").write_text(yaml.safe_dump(mix))
    return loadtest("staging", "--inventory", str(folder), "--mix", str(folder / "mix.yml"))


def test_what_is_not_there_is_not_loaded(tmp_path: Path) -> None:
    mix = {**MIX, "mix": [*MIX["mix"], {"name": "gone", "weight": 1, "path": "/gone/"}]}
    with service("") as (address, port):
        done = run_against(address, port, mix, tmp_path)
    assert done.returncode == 1
    assert "nothing was measured" in done.stderr
    assert "api1: /gone/ is answered by status 404" in done.stderr
    assert "/me/" not in done.stderr
    assert "requests a second" not in done.stdout


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("", ""),
        ("truncated", f"{len(PAGE) - 1} bytes instead of {len(PAGE)}"),
        ("mixed up", "another content than the first answer had"),
        ("lost write", "write, read back: "),
        ("error", "requests failed, allowed is a share of 0.001"),
    ],
)
def test_every_wrong_answer_fails_the_test(fault: str, said: str, tmp_path: Path) -> None:
    with service(fault) as (address, port):
        done = run_against(address, port, MIX, tmp_path)
    found = json.loads((ROOT / "build/reports/loadtest-staging.json").read_text())
    kinds = found["targets"]["api1"]
    assert set(kinds) >= {"me", "page", "page, burst", "write", "write, read back", "graphql"}, done.stderr
    assert found["verdict"] == ("fail" if fault else "pass"), found["reasons"]
    assert done.returncode == (1 if fault else 0), done.stdout + done.stderr
    assert any(said in reason for reason in found["reasons"]) or not fault
    assert "data:image/png;base64" in (ROOT / "build/reports/loadtest-staging.html").read_text()
