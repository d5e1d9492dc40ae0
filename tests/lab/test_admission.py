"""Admission between client and gunicorn: headers, streams, bodies, retries, and a live colour that survives everything.

Slots, queues and refusals are proved in molecule/default.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from typing import Any

import aiohttp
import client
import pytest
from support import Host, load, report, succeeded, verify, wait_for

PORT = 8000
MEBIBYTE = 1 << 20


def ask(host: Host, path: str, method: str = "GET", body: Any = None, port: int = PORT, **headers: Any) -> Any:
    connection = http.client.HTTPConnection(host.address, port, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def seen(host: Host, **headers: Any) -> dict[str, Any]:
    """What the application sees of a request with these headers."""
    status, body = ask(host, "/api/debug/echo/", **headers)
    assert status == 200, body
    found: dict[str, Any] = json.loads(body)
    return found


def test_what_a_client_says_about_itself_is_not_believed(api1: Host) -> None:
    lies: dict[str, Any] = {
        "X_Forwarded_For": "198.51.100.7",
        "X_Forwarded_Proto": "https",
        "X_Forwarded_Host": "evil.example",
        "Forwarded": "for=198.51.100.7",
        "X_Request_Start": "t=1",
    }
    told = seen(api1, **lies)
    headers = told["headers"]
    assert "198.51.100.7" not in headers["X-Forwarded-For"]
    assert headers["X-Forwarded-Proto"] == "http"
    assert not told["secure"]
    assert "X-Forwarded-Host" not in headers
    assert "Forwarded" not in headers
    assert headers["X-Request-Start"] != "t=1"


def test_the_application_is_told_when_the_host_took_the_request(api1: Host) -> None:
    before = time.time()
    started = seen(api1)["headers"]["X-Request-Start"]
    assert started.startswith("t=")
    assert before <= int(started[2:]) / 1_000_000 <= time.time(), "the lab's hosts share this machine's clock"


def test_a_websocket_passes(graphql1: Host) -> None:
    async def echo() -> str:
        url = f"http://{graphql1.address}:8001/ws/echo/"
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as connection:
            await connection.send_str("hello")
            return str((await connection.receive(timeout=20)).data)

    assert asyncio.run(echo()) == "hello"


def test_graphql_answers_from_its_asynchronous_resolvers(graphql1: Host) -> None:
    query = json.dumps({"query": "{ workspaces { slug } }"})
    status, body = ask(graphql1, "/graphql/", "POST", query, port=8001, Content_Type="application/json")
    assert (status, json.loads(body)) == (200, {"data": {"workspaces": [{"slug": "lab"}]}})


def test_graphql_at_the_rest_service_says_that_it_needs_asgi(api1: Host) -> None:
    assert ask(api1, "/graphql/", "POST", "{}", Content_Type="application/json")[0] == 501


def test_an_answer_is_passed_on_while_it_is_made(api1: Host) -> None:
    connection = http.client.HTTPConnection(api1.address, PORT, timeout=60)
    connection.request("GET", "/api/debug/stream/?parts=300&pause=0.2")
    answer = connection.getresponse()
    assert answer.read1().startswith(b"0\n")
    assert api1.statistics()["plane-api", api1.live()]["scur"] == "1", (
        "its first part came while gunicorn was still making the others"
    )
    connection.close()


@pytest.mark.parametrize("size", [5 * MEBIBYTE, 64 * MEBIBYTE])
def test_a_body_passes_up_to_what_the_application_takes(api1: Host, size: int) -> None:
    status, body = ask(api1, "/api/debug/echo/", "POST", bytes(size), Content_Type="application/octet-stream")
    assert (status, json.loads(body)["body_bytes"]) == (200, size)


@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "close"])
def test_a_reload_drops_nothing(api1: Host, keep_alive: bool) -> None:
    base = f"http://{api1.address}:{PORT}"
    with load([("small", client.small(base), 4), ("write", client.write(base), 2)], keep_alive) as clients:
        for _ in range(10):
            before = api1.run("pgrep haproxy").split()
            api1.run("systemctl reload plane-admission")
            wait_for(lambda: not set(api1.run("pgrep -n haproxy").split()) <= set(before))  # noqa: B023 - awaited here
    assert clients.failed == {}
    assert clients.requests > 100


def test_the_live_colour_survives_a_crash_of_admission(api1: Host) -> None:
    before = api1.live()
    main = api1.run("systemctl show -P MainPID plane-admission").strip()
    api1.run("kill -9 $(pgrep haproxy)")
    wait_for(lambda: api1.run("systemctl show -P MainPID plane-admission").strip() not in ("0", main))
    wait_for(lambda: answers(api1))
    assert api1.live() == before
    wait_for(api1.is_right)


def test_the_live_colour_survives_a_crash_of_gunicorn(api1: Host) -> None:
    before, master = api1.live(), api1.master()
    api1.run(f"kill -9 {master}")
    wait_for(lambda: api1.master() not in (0, master))
    wait_for(lambda: answers(api1))
    assert api1.live() == before
    wait_for(api1.is_right)


def test_the_live_colour_survives_a_reboot(api2: Host) -> None:
    before = api2.live()
    subprocess.run(["podman", "restart", "--time=20", api2.name], check=True, capture_output=True)
    wait_for(lambda: answers(api2))
    assert api2.live() == before
    succeeded(verify(api2.name))
    (host,) = report()["hosts"].values()
    assert host["plane-api"]["live"] == before


def answers(host: Host) -> bool:
    try:
        return bool(ask(host, "/")[0] == 200)
    except OSError:
        return False


# Takes the place of gunicorn: closes the first connection of each kind without an answer, answers the second.
FALSE_GUNICORN = """
import os, socket, sys
path = sys.argv[1]
os.path.exists(path) and os.unlink(path)
server = socket.socket(socket.AF_UNIX); server.bind(path); os.chmod(path, 0o666); server.listen(50)
seen = {}
while True:
    connection, _ = server.accept()
    request = connection.recv(65536).split(b" ")
    key = b" ".join(request[:2])
    seen[key] = seen.get(key, 0) + 1
    if seen[key] > 1:
        body = b"%d" % seen[key]
        head = b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body)
        connection.sendall(head + body)
    connection.close()
"""


@pytest.fixture
def false_gunicorn(api2: Host) -> Iterator[str]:
    """The command that starts it on the live colour's socket; afterwards gunicorn is back."""
    live = api2.live()
    folder = f"/run/plane-api/{live}"
    api2.run(f"systemctl stop plane-api@{live} && mkdir -p {folder} && chown plane-api:plane {folder}")
    api2.run("cat >/tmp/false_gunicorn.py", stdin=FALSE_GUNICORN)
    yield f"systemd-run --quiet --collect --unit=false-gunicorn python3 /tmp/false_gunicorn.py {folder}/gunicorn.sock"
    api2.run(f"systemctl stop false-gunicorn; systemctl start plane-api@{live}")
    wait_for(lambda: answers(api2))


def test_an_empty_answer_is_repeated_for_safe_methods_alone(api2: Host, false_gunicorn: str) -> None:
    api2.run(false_gunicorn)
    wait_for(lambda: api2.succeeds("systemctl is-active false-gunicorn && test -S /run/plane-api/*/gunicorn.sock"))
    for method in ("GET", "HEAD", "OPTIONS"):
        assert ask(api2, f"/{method}", method)[0] == 200, method
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert ask(api2, f"/{method}", method)[0] == 502, "it may have been carried out: who sent it decides"
        status, body = ask(api2, f"/{method}", method)
        assert (status, body) == (200, b"2"), "it had been sent once, not twice"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_connection_is_repeated_for_every_method(api2: Host, false_gunicorn: str, method: str) -> None:
    """Nobody listens. Over a Unix socket HAProxy tries again at once, then says when a client may."""
    path = f"/refused-{uuid.uuid4().hex}"
    status, body = ask(api2, path, method)
    assert (status, json.loads(body)) == (503, {"error": "plane-api is at its limit, try again"})
    wait_for(lambda: path in api2.run("journalctl -t plane-admission -o cat"))
    (line,) = [line for line in api2.run("journalctl -t plane-admission -o cat").splitlines() if path in line]
    # The log's timers, and then actconn/feconn/beconn/srv_conn/retries.
    _, connections = [word for word in line.split() if word.count("/") == 4]
    assert connections.rpartition("/")[2].lstrip("+") == "3", line
