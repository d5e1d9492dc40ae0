"""nginx at the edge, in front of two REST hosts and one of GraphQL: what it keeps, passes on, repeats and refuses."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import CompletedProcess
from typing import Any

import aiohttp
import client
import pytest
from support import (
    DEAF,
    Host,
    changed,
    failures,
    load,
    report,
    site,
    stored_wrongly,
    succeeded,
    verify,
    wait_for,
)

READERS = 40
DROP_IN = "/etc/systemd/system/nginx.service.d/plane-proxy.conf"
CERTIFICATE, KEY = "/etc/ssl/private/edge.pem", "/etc/ssl/private/edge.key"
TLS = {"plane_proxy_certificate": CERTIFICATE, "plane_proxy_certificate_key": KEY}


@pytest.fixture(scope="session")
def edge(hosts: dict[str, Host]) -> Host:
    return hosts["edge1"]


@pytest.fixture(scope="session")
def checked(edge: Host) -> tuple[bool, CompletedProcess[str]]:
    """Check mode before the first converge; whether it was the first."""
    first = not edge.succeeds(f"test -e {DROP_IN}")
    return first, succeeded(site("staging", "--check"))


@pytest.fixture(scope="session")
def untouched(checked: tuple[bool, CompletedProcess[str]], edge: Host) -> bool:
    """Whether check mode left the host as it was."""
    return checked[0] == (not edge.succeeds(f"test -e {DROP_IN}"))


@pytest.fixture(scope="session")
def front(untouched: bool, deployed: None, edge: Host) -> str:
    return f"http://{edge.address}"


def ask(host: Host, path: str, method: str = "GET", body: Any = None, port: int = 80, **headers: str) -> Any:
    """Status, headers and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection(host.address, port, timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def inside(host: Host) -> int:
    """Requests inside gunicorn at this moment: each of them has a thread."""
    return int(host.statistics()["plane-api", host.live()]["scur"])


def asked(host: Host) -> int:
    """Requests that the host's front door has taken so far."""
    return int(host.statistics()["plane-api", "FRONTEND"]["req_tot"])


def verdict(edge: Host) -> dict[str, Any]:
    found: dict[str, Any] = report()["hosts"][edge.name]["plane-proxy"]
    return found


def said(edge: Host) -> str:
    return "\n".join(mismatch["message"] for mismatch in verdict(edge)["mismatches"])


def groups(front: str) -> list[tuple[str, client.Request, int]]:
    return [
        ("reads", client.small(front), 2),
        ("writes", client.write(front), 1),
        ("queries", client.query(front), 1),
        ("5 MB", client.heavy(front), 1),
    ]


def test_check_mode_says_what_the_first_run_does_and_does_nothing(
    checked: tuple[bool, CompletedProcess[str]], untouched: bool, edge: Host
) -> None:
    first, done = checked
    assert untouched
    assert (changed(done)[edge.name] > 0) == first


def test_every_host_answers_through_it_by_the_instance_that_was_verified(front: str, edge: Host) -> None:
    found = verdict(edge)
    assert found["match"], found["mismatches"]
    assert found["observed"]["doors"] == ["10.203.60.11:8000", "10.203.60.12:8000", "10.203.60.21:8001"]
    assert "by verified instances on proxy-api1, proxy-api2, proxy-graphql1" in found["evidence"]
    assert set(found) == set(report()["hosts"]["proxy-api1"]["plane-api"]), "the same keys"


def test_a_second_run_changes_nothing(front: str) -> None:
    assert set(changed(succeeded(site())).values()) == {0}
    assert set(changed(succeeded(site("staging", "--check"))).values()) == {0}


def test_rest_and_graphql_have_routes_of_their_own(front: str, edge: Host) -> None:
    for path in ("/", client.SMALL):
        assert ask(edge, path, X_Api_Key="lab-ada")[0] == 200
    assert ask(edge, "/auth/sign-in/", "POST", '{"api_key": "lab-ada"}', Content_Type="application/json")[0] == 200
    with load([("queries", client.query(front), 1)], pause=0.05) as clients:
        wait_for(lambda: edge.succeeds("journalctl -t plane_proxy --since=-60s | grep -q 'POST /graphql/'"))
    assert clients.failed == {}


def test_the_application_is_told_the_truth_about_the_client(front: str, edge: Host) -> None:
    lies: dict[str, Any] = {
        "X_Forwarded_For": "198.51.100.7",
        "X_Forwarded_Proto": "https",
        "X_Forwarded_Host": "evil.example",
        "Forwarded": "for=198.51.100.7",
        "X_Request_Start": "t=1",
        "Host": "plane.example:8080",
    }
    headers = json.loads(ask(edge, "/api/debug/echo/", **lies)[2])["headers"]
    client_address, _, hop = headers["X-Forwarded-For"].replace(" ", "").partition(",")
    assert hop == edge.address, "admission has added who asked it, and believed the proxy"
    assert client_address == "10.203.60.1", "the lab's gateway, which this machine is"
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Forwarded-Host"] == headers["Host"] == "plane.example:8080"
    assert "Forwarded" not in headers
    assert headers["X-Request-Start"] != "t=1"


def test_a_body_may_be_as_large_as_the_application_takes(front: str, edge: Host) -> None:
    status, _, answer = ask(edge, "/api/debug/echo/", "POST", b"x" * (5 << 20))
    assert (status, json.loads(answer)["body_bytes"]) == (200, 5 << 20)
    assert ask(edge, "/api/debug/echo/", "POST", b"x" * ((5 << 20) + 1))[0] == 413


def test_what_is_only_for_its_own_host_is_shown_to_nobody_else(front: str, edge: Host) -> None:
    assert "X-Plane-Proxy" not in ask(edge, "/")[1]
    assert "nginx/" not in ask(edge, "/")[1]["Server"]


def test_a_websocket_passes_where_its_path_goes_to_graphql(front: str, edge: Host) -> None:
    async def echo() -> str:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{front}/ws/echo/") as connection:
            await connection.send_str("hello")
            return str((await connection.receive(timeout=20)).data)

    succeeded(site(edge.name, plane_proxy_graphql_paths=["/graphql/", "/ws/"]))
    assert asyncio.run(echo()) == "hello"
    succeeded(site(edge.name))


def test_slow_readers_hold_every_thread_without_the_proxy(front: str, hosts: dict[str, Host]) -> None:
    api = hosts["api1"]
    with client.slow_readers((api.address, 8000), READERS):
        wait_for(lambda: inside(api) == 14)
        small_call = http.client.HTTPConnection(api.address, 8000, timeout=3)
        small_call.request("GET", "/")
        with pytest.raises(TimeoutError):
            small_call.getresponse()
        held = inside(api)
    assert held == 14, "all but the two of the heavy route"
    wait_for(lambda: inside(api) == 0)
    print(f"{READERS} slow readers straight at a host: {held} of its 14 slots held, a small call waits")


def test_slow_readers_leave_every_thread_free_through_the_proxy(front: str, edge: Host, hosts: dict[str, Host]) -> None:
    apis = [hosts["api1"], hosts["api2"]]
    with client.slow_readers((edge.address, 80), READERS) as readers:
        begun = [reader.recv(12) for reader in readers]
        assert {answer.split()[1] for answer in begun} == {b"200"}
        wait_for(lambda: sum(map(inside, apis)) == 0)
        for api in apis:
            assert ask(api, "/", port=8000)[0] == 200
        assert sum(map(inside, apis)) == 0
        # They did not have it all yet: this one reads on to the end.
        rest = 0
        while chunk := readers[-1].recv(1 << 16):
            rest += len(chunk)
        assert rest > client.LARGE_BYTES
    print(f"{READERS} slow readers through the proxy: 0 of 28 slots held, their answers wait in nginx")


def processor_ticks(host: Host) -> int:
    """Processor time of REST's workers so far, in clock ticks."""
    stats = host.run(f"cat $(pgrep --parent {host.master()} | sed 's:.*:/proc/&/stat:')").splitlines()
    return sum(sum(map(int, line.rpartition(")")[2].split()[11:13])) for line in stats)


def test_the_edge_compresses_and_the_workers_do_not(front: str, edge: Host, hosts: dict[str, Host]) -> None:
    apis = [hosts["api1"], hosts["api2"]]
    headers: dict[str, Any] = {"X_Api_Key": "lab-ada", "Accept_Encoding": "gzip"}
    _, shown, _ = ask(edge, client.ISSUES, **headers)
    assert shown["Content-Encoding"] == "gzip"
    assert any("Accept-Encoding" in value for value in shown.get_all("Vary"))
    ticks = {}
    for way, place, port in (("straight", apis[0], 8000), ("through the proxy", edge, 80)):
        before = sum(map(processor_ticks, apis))
        for _ in range(10):
            assert ask(place, client.HEAVY, port=port, **headers)[0] == 200
        ticks[way] = sum(map(processor_ticks, apis)) - before
    print(f"10 answers of 5 MB to a client that accepts gzip: {ticks} ticks (10 ms) of the workers")
    assert ticks["through the proxy"] < ticks["straight"]


def test_a_503_of_admission_arrives_with_retry_after_and_is_asked_of_nobody_else(
    front: str, edge: Host, hosts: dict[str, Host]
) -> None:
    apis = [hosts["api1"], hosts["api2"]]
    for api in apis:
        api.run(f"systemctl stop plane-api@{api.live()}")
    before = sum(map(asked, apis))
    answers = [ask(edge, client.SMALL) for _ in range(6)]
    counted = sum(map(asked, apis)) - before
    for api in apis:
        api.run(f"systemctl start plane-api@{api.live()}")
    wait_for(lambda: all(ask(api, "/", port=8000)[0] == 200 for api in apis))
    assert {(status, headers["Retry-After"]) for status, headers, _ in answers} == {(503, "2")}
    assert json.loads(answers[0][2]) == {"error": "plane-api is at its limit, try again"}
    assert counted == len(answers)


def test_a_flip_to_uvicorn_and_back_loses_nothing(front: str, data1: Host) -> None:
    seen = []
    for changes, expected in (({"plane_api_worker_class": ""}, "uvicorn"), ({}, "gthread")):
        with load(groups(front), pause=0.2) as clients:
            succeeded(site("plane_api", **changes))
        models = {services["plane-api"]["observed"]["worker_class"] for services in report()["hosts"].values()}
        assert models == {expected}
        assert clients.failed == {}
        assert stored_wrongly(data1, clients.acknowledged) == []
        seen.append(clients.requests)
    print(f"{' and '.join(map(str, seen))} requests through the proxy during a flip and back, none failed")


@contextmanager
def without_admission(api: Host) -> Iterator[None]:
    """The host's front door is gone, as with a host that died: who asks is refused."""
    folder = "/run/systemd/system/plane-admission.service.d"
    api.run(
        f"mkdir -p {folder} && printf '[Service]\\nRestart=no\\n' >{folder}/stay-down.conf; systemctl daemon-reload"
    )
    api.run("systemctl kill --signal=KILL plane-admission; while ss -ltn | grep -q :8000; do sleep 0.05; done")
    try:
        yield
    finally:
        api.run(f"rm -r {folder}; systemctl daemon-reload; systemctl start plane-admission")


def test_reads_go_on_when_a_host_dies_and_no_write_is_lost(front: str, edge: Host, api2: Host, data1: Host) -> None:
    refused = f"journalctl -t plane_proxy --since=@{edge.run('date +%s').strip()} | grep -q 'Connection refused'"
    with load([("reads", client.small(front), 3), ("writes", client.write(front), 1)], pause=0.05) as clients:
        with without_admission(api2):
            wait_for(lambda: edge.succeeds(refused))
        wait_for(lambda: asked(api2) > 0)
    # What was inside the host when it died has no answer; whether it was stored, nobody can know.
    assert set(clients.failed) <= {"writes"}
    assert sum(clients.failed.get("writes", {}).values()) <= 1
    assert stored_wrongly(data1, clients.acknowledged) == []


@pytest.fixture
def deaf(api2: Host) -> Iterator[Host]:
    """A host that takes requests, writes down which, and ends without an answer."""
    with without_admission(api2):
        api2.run("cat >/root/deaf.py; rm -f /root/deaf.log", stdin=DEAF)
        api2.run(
            "systemd-run --quiet --unit=lab-deaf --property=StandardOutput=file:/root/deaf.log "
            f"python3 /root/deaf.py {api2.address}; until ss -ltn | grep -q :8000; do sleep 0.05; done"
        )
        yield api2
        api2.run("systemctl stop lab-deaf")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_only_what_may_be_repeated_is_asked_of_a_second_host(
    method: str, front: str, edge: Host, api1: Host, deaf: Host
) -> None:
    marks: dict[str, int] = {}

    def heard() -> list[str]:
        return re.findall(rf"{method} \S+mark=(\w+)", deaf.run("cat /root/deaf.log"))

    def one_was_heard() -> bool:
        mark = uuid.uuid4().hex
        marks[mark] = ask(edge, f"/api/debug/echo/?mark={mark}", method)[0]
        return mark in heard()

    wait_for(one_was_heard)
    (mark,) = heard()

    def reached_the_other(mark: str) -> bool:
        return api1.succeeds(f"journalctl -t plane-admission --since=-180s | grep -q {mark}")

    ask(edge, "/api/debug/echo/?mark=afterwards-" + mark)
    wait_for(lambda: reached_the_other("afterwards-" + mark))
    again = reached_the_other(f"?mark={mark}")
    assert (marks[mark], again) == ((200, True) if method == "GET" else (502, False))
    assert {status for other, status in marks.items() if other != mark} <= {200}


LOSE_A_RELOAD = (
    "cp /etc/nginx/nginx.conf /root/; sed -Ei 's/[0-9a-f]{64}/another/' /etc/nginx/nginx.conf; systemctl reload nginx; "
    "until curl -sI $ADDRESS | grep -q another; do sleep 0.1; done; cp /root/nginx.conf /etc/nginx/"
)
FAULTS = {
    "its file is edited by hand": (
        "sed -i 's/client_max_body_size.*/client_max_body_size 1;/' /etc/nginx/nginx.conf",
        "/etc/nginx/nginx.conf is not what the inventory renders",
    ),
    "a reload was lost": (LOSE_A_RELOAD, "nginx runs another configuration than the inventory renders"),
    "it is stopped": ("systemctl stop nginx", "nothing answers at 10.203.60.41:80"),
}


@pytest.mark.parametrize(("fault", "words"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_and_the_next_run_repairs_it(fault: str, words: str, front: str, edge: Host) -> None:
    edge.run(f"ADDRESS={edge.address}; {fault}")
    assert verify(edge.name).returncode != 0
    assert words in said(edge)
    succeeded(site(edge.name))
    assert verdict(edge)["match"]


def test_a_host_that_does_not_answer_is_named(front: str, edge: Host, api2: Host) -> None:
    with without_admission(api2):
        assert verify(edge.name).returncode != 0
        assert "through the proxy came from plane-api of proxy-api2 (10.203.60.12:8000)" in said(edge)
    succeeded(verify())


def make_certificate(edge: Host, begin: str, end: str) -> None:
    edge.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=plane.example "
        f"-not_before {begin} -not_after {end} -keyout {KEY} -out {CERTIFICATE} 2>/dev/null"
    )


@pytest.fixture
def with_tls(front: str, edge: Host) -> Iterator[None]:
    make_certificate(edge, "20250101000000Z", "20991231000000Z")
    succeeded(site(edge.name, **TLS))
    yield
    succeeded(site(edge.name))


def test_tls_and_http2_with_a_certificate(with_tls: None, edge: Host, data1: Host) -> None:
    url = f"https://{edge.address}"
    written = "-o /dev/null -w '%{http_code} %{http_version}'"
    assert data1.run(f"curl -sk --http2 {written} {url}/") == "200 2"
    assert data1.run(f"curl -sk --http1.1 {written} {url}/") == "200 1.1"
    assert not data1.succeeds(f"curl -sk --tls-max 1.1 {url}/"), "no older protocol"
    headers = json.loads(data1.run(f"curl -sk {url}/api/debug/echo/"))["headers"]
    assert headers["X-Forwarded-Proto"] == "https"
    status, shown, _ = ask(edge, "/api/users/me/?a=b", Host="plane.example")
    assert (status, shown["Location"]) == (308, "https://plane.example/api/users/me/?a=b")
    assert {"certificate until 2099-12-31", "HTTP/2"} <= set(verdict(edge)["evidence"])


@pytest.mark.fault(
    "the certificate of the edge expires",
    said="the certificate that nginx serves expired on its day: renew it",
    clients="refused by each client's own check, until it is renewed",
    recovered="a new file, and a reload of nginx",
)
def test_a_certificate_that_was_renewed_or_has_expired_is_named(with_tls: None, edge: Host) -> None:
    make_certificate(edge, "20240101000000Z", "20240201000000Z")
    assert verify(edge.name, **TLS).returncode != 0
    assert f"the certificate that nginx serves is not the one in {CERTIFICATE}" in said(edge)
    assert site(edge.name, **TLS).returncode != 0
    assert f"the certificate that nginx serves, {CERTIFICATE}, expired on 2024-02-01" in said(edge)
    assert len(verdict(edge)["mismatches"]) == 1, "it is served now"
    checks = f"curl -s -o /dev/null --cacert {CERTIFICATE} --connect-to ::{edge.address}: https://plane.example/"
    assert "certificate has expired" in edge.run(f"{checks} -S 2>&1", check=False)
    make_certificate(edge, "20250101000000Z", "20991231000000Z")
    edge.run(f"systemctl reload nginx; until {checks}; do sleep 0.1; done")
    succeeded(verify(edge.name, **TLS))


def test_a_configuration_that_nginx_refuses_does_not_go_live(with_tls: None, edge: Host) -> None:
    before = edge.run("sha256sum /etc/nginx/nginx.conf; systemctl show -P MainPID nginx")
    edge.run("openssl ecparam -name prime256v1 -genkey -noout -out /etc/ssl/private/another.key")
    done = site(edge.name, **{**TLS, "plane_proxy_certificate_key": "/etc/ssl/private/another.key"})
    assert done.returncode != 0
    assert "key values mismatch" in " ".join(failures(done.stdout))
    assert edge.run("sha256sum /etc/nginx/nginx.conf; systemctl show -P MainPID nginx") == before
    assert edge.run(f"curl -sk -o /dev/null -w '%{{http_code}}' https://{edge.address}/") == "200"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"plane_proxy_response_timeout": 140},
            "plane_proxy_response_timeout is 140. Allowed: a whole number from 141",
        ),
        (
            {"plane_proxy_response_timeout": 300},
            "plane_proxy_response_timeout is 300. Allowed: a whole number from 1 to",
        ),
        (
            {"plane_proxy_listen_address": "edge1"},
            "plane_proxy_listen_address is 'edge1'. Allowed: an address of the host",
        ),
        (
            {"plane_proxy_certificate": "/etc/ssl/a.pem"},
            "plane_proxy_certificate_key is missing. Allowed: a file of the",
        ),
        (
            {**TLS, "plane_proxy_certificate": "/nowhere.pem"},
            "plane_proxy_certificate is /nowhere.pem, which is no file",
        ),
        ({"plane_proxy_graphql_path": "/graphql/"}, "the nearest is plane_proxy_graphql_paths"),
    ],
)
def test_what_cannot_be_right_is_refused_before_any_host_is_touched(
    settings: dict[str, Any], words: str, front: str
) -> None:
    done = site("staging", **settings)
    text = " ".join((done.stdout + done.stderr).split())
    assert words in text
    assert "Change it in inventories/" in text
    assert "Bring every service to its desired process model" not in text, "a later play was begun"
    assert set(changed(done).values()) == {0}
