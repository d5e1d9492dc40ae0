"""The examples of Caddy and HAProxy in plane_proxy's README, run as they are written, in an installation's network.

They stand in front of what `test_split.py` has taken apart, at a port of their own.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import client
import pytest
from support import DEAF, ROOT, Host, load, seed, site, succeeded, wait_for

README = ROOT / "ansible" / "roles" / "plane_proxy" / "README.md"
PORT = 8081
READERS = 40
SLOTS = 14
NETWORK = "plane_default"
CADDY, HAPROXY = "localhost/plane-lab/proxy-commercial:v1", "localhost/plane-lab/haproxy:3.0"
# Debian's Caddy is older than the word of the example, and the README says how it was before.
OLDER = ("response_buffers 16MiB", "buffer_responses\n      max_buffer_size 16MiB")


def example(name: str) -> str:
    """The configuration that the README shows after the proxy's name."""
    found = re.search(rf"^\*\*{name}\*\*.*?^```\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert found
    return found.group(1)


def in_the_installation(text: str, second: str) -> str:
    """The same with the names of the installation's network, without a certificate. second: the second REST host."""
    for documented, here in (
        ("192.0.2.11:8000", "api:8000"),
        ("192.0.2.12:8000", second),
        ("192.0.2.21:8001", "plane-admission:8001"),
        ("plane.example.com {", f":{PORT} {{"),
        ("bind :443 ssl crt /etc/haproxy/plane.pem alpn h2,http/1.1", f"bind :{PORT}"),
    ):
        text = text.replace(documented, here)
    assert "192.0.2." not in text
    return text


@contextmanager
def running(host: Host, name: str, second: str = "plane-admission:8000") -> Iterator[str]:
    """The proxy in front of the installation; where it is called."""
    text = in_the_installation(example(name), second)
    if name == "Caddy":
        assert OLDER[0] in text
        image, command = CADDY, "caddy run --adapter caddyfile --config /edge"
        text = text.replace(*OLDER)
    else:
        image, command = HAPROXY, "haproxy -db -f /edge"
    host.run("cat >/root/edge", stdin=text)
    host.run(
        f"docker run --detach --name edge --network {NETWORK} --publish {PORT}:{PORT} --volume /root/edge:/edge:ro "
        f"--pull never {image} {command}"
    )
    try:
        front = f"http://{host.address}:{PORT}"
        wait_for(lambda: host.succeeds(f"curl --fail --silent {front}/"))
        yield front
    finally:
        print(host.run("docker logs --tail 5 edge 2>&1; docker rm --force edge >/dev/null"))


@pytest.fixture(scope="module")
def apart(hosts: dict[str, Host]) -> Iterator[Host]:
    """The installation as its inventory says, with the endpoints for tests, and data.

    And with a queue that is patient with 40 answers of 8 MiB one after the other, however busy this machine is.
    """
    (host,) = hosts.values()
    succeeded(site(plane_api_variables={"PLANE_STANDIN_DEBUG": "1"}, plane_api_queue_timeout=80))
    seed(host)
    yield host
    host.run("docker rm --force edge deaf >/dev/null 2>&1")


def ask(front: str, path: str, method: str = "GET") -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection(front.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, path, headers=client.KEY)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def inside(host: Host) -> int:
    """Requests inside gunicorn at this moment, but for those of the heavy route: each of them has a thread."""
    return int(host.statistics()["plane-api", host.live()]["scur"])


@pytest.mark.parametrize("name", ["Caddy", "HAProxy"])
def test_both_services_are_reached_through_it_and_a_flip_of_rest_loses_nothing(name: str, apart: Host) -> None:
    with running(apart, name) as front:
        groups = [
            ("reads", client.small(front), 2),
            ("writes", client.write(front), 1),
            ("queries", client.query(front), 1),
            ("5 MB", client.heavy(front), 1),
        ]
        with load(groups, pause=0.1) as clients:
            apart.run("plane-process-model rotate plane-api")
        assert clients.failed == {}
        assert all(tally.requests > 0 for tally in clients.tallies.values())
        print(f"{name}: {clients.requests} requests during a rotation, none failed")
        headers = json.loads(ask(front, "/api/debug/echo/")[2])["headers"]
        assert headers["X-Forwarded-For"].count(",") == 1, "the client, and who asked admission"


@pytest.mark.parametrize("name", ["Caddy", "HAProxy"])
def test_a_503_of_admission_arrives_with_retry_after_and_is_asked_once(name: str, apart: Host) -> None:
    with running(apart, name) as front:
        unit = f"plane-api@{apart.live()}"
        apart.run(f"systemctl stop {unit}")
        before = int(apart.statistics()["plane-api", "FRONTEND"]["req_tot"])
        answers = [ask(front, client.SMALL) for _ in range(4)]
        asked = int(apart.statistics()["plane-api", "FRONTEND"]["req_tot"]) - before
        apart.run(f"systemctl start {unit}")
        wait_for(lambda: ask(front, client.SMALL)[0] == 200)
    assert {(status, headers["Retry-After"]) for status, headers, _ in answers} == {(503, "2")}
    assert asked == len(answers)


@pytest.mark.parametrize(("name", "held"), [("Caddy", 0), ("HAProxy", SLOTS)])
def test_slow_readers_hold_threads_behind_haproxy_and_none_behind_caddy(name: str, held: int, apart: Host) -> None:
    with running(apart, name):
        with client.slow_readers((apart.address, PORT), READERS) as readers:
            assert readers[0].recv(12).split()[1] == b"200"
            # Behind Caddy they are all inside at first, and leave.
            wait_for(lambda: inside(apart) == held)
            if name == "Caddy":
                begun = [reader.recv(12) for reader in readers[1:]]
                assert {answer.split()[1] for answer in begun} == {b"200"}
                assert inside(apart) == 0
        # While the proxy is there to say that they are gone: a slot waits a minute for a client that just vanished.
        wait_for(lambda: inside(apart) == 0)
    print(f"{READERS} slow readers behind {name}: {held} of {SLOTS} slots held")


@pytest.fixture
def deaf(apart: Host) -> Iterator[Host]:
    """A second REST host that takes requests, writes down which, and ends without an answer."""
    apart.run("cat >/root/deaf.py", stdin=DEAF)
    apart.run(
        f"docker run --detach --name deaf --network {NETWORK} --volume /root/deaf.py:/deaf.py:ro --pull never "
        f"{CADDY} python3 /deaf.py ''"
    )
    yield apart
    apart.run("docker rm --force deaf >/dev/null")


@pytest.mark.parametrize(
    ("name", "method", "repeated"), [("Caddy", "GET", True), ("Caddy", "POST", False), ("HAProxy", "POST", False)]
)
def test_a_write_is_asked_of_one_host_alone(name: str, method: str, repeated: bool, deaf: Host) -> None:
    with running(deaf, name, second="deaf:8000") as front:
        path = f"/api/debug/echo/?mark={name}-{method}"

        def heard() -> int:
            return deaf.run("docker logs deaf").count(f"{method} {path}")

        statuses = []
        while not heard():
            statuses.append(ask(front, path, method)[0])
        assert heard() == 1
    assert (statuses[-1] == 200) is repeated
    assert set(statuses[:-1]) <= {200}
