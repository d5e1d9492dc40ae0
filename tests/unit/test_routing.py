"""What is read from Docker's answers about an installation's proxy; the real ones are in tests/commercial."""

from __future__ import annotations

from typing import Any

import pytest
from process_model import containers, routing
from process_model.routing import Answer, Door

INSTALLATION = containers.Installation("/opt/plane", "plane", "docker-compose.yml", "plane.env", "api", "haproxy:3.0")


def inspected(name: str, service: str, address: str = "172.18.0.5", **ports: Any) -> dict[str, Any]:
    return {
        "Name": f"/{name}",
        "Id": f"{name}-id",
        "State": {"Pid": 4711},
        "Image": "sha256:abc",
        "Config": {"Labels": {containers.SERVICE_LABEL: service}},
        "NetworkSettings": {
            "Networks": {"plane_default": {"IPAddress": address}},
            "Ports": {f"{number.removeprefix('p')}/{kind}": published for number, (kind, published) in ports.items()},
        },
    }


PUBLISHED = [{"HostIp": "127.0.0.1", "HostPort": "8080"}]
ALL = [
    inspected("plane-proxy-1", "proxy", "172.18.0.9", p80=("tcp", PUBLISHED), p443=("tcp", PUBLISHED)),
    inspected("plane-plane-mq-1", "plane-mq", p5672=("tcp", None), p53=("udp", PUBLISHED)),
    inspected("plane-api-1", "api", p8000=("tcp", None)),
    inspected("plane-api-blue", "plane-api-blue"),
    inspected("plane-graphql-green", "plane-graphql-green"),
    inspected("plane-admission", "plane-admission"),
]


def test_the_doors_are_the_tcp_ports_that_are_published() -> None:
    assert routing.doors(ALL) == [Door("plane-proxy-1", "172.18.0.9", 80), Door("plane-proxy-1", "172.18.0.9", 443)]
    assert [door.secure for door in routing.doors(ALL)] == [False, True]


def test_who_may_answer_is_the_own_service_and_every_colour_of_ours() -> None:
    assert routing.candidates(ALL, "api") == ["plane-api-1", "plane-api-blue", "plane-graphql-green"]


@pytest.mark.parametrize(
    ("answer", "served"),
    [
        (Answer("/graphql/", 200, "plane-api-1"), True),
        (Answer("/graphql/", 501, "plane-api-blue"), True),  # under WSGI already
        (Answer("/graphql/", 404, "plane-api-1"), False),  # community's REST has no such path
        (Answer("/graphql/", 200, ""), False),  # the web interface answers everything else
    ],
)
def test_a_path_is_served_where_rest_has_more_to_say_than_not_found(answer: Answer, served: bool) -> None:
    assert answer.served is served


@pytest.fixture
def installation(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Docker and a proxy as tables: what each container has logged, by what was asked for."""
    logs: dict[str, str] = {"plane-api-1": "", "plane-api-blue": "", "plane-graphql-green": ""}

    def docker(*arguments: str) -> str:
        return logs[arguments[-1]]

    monkeypatch.setattr(routing, "_inspect", lambda _: ALL)
    monkeypatch.setattr(containers, "docker", docker)
    monkeypatch.setattr(routing, "LATE_SECONDS", 0.0)
    monkeypatch.setattr(routing, "LOGGED_SECONDS", 0.1)
    return logs


def answering(logs: dict[str, str], **places: str) -> Any:
    """A proxy that leads /api/ and /graphql/ to the containers that are named for them, on its port 443 alone."""

    def get(door: Door, path: str, host: str) -> int:
        if not door.secure:
            return 308
        place = places.get(path.split("/")[1], "")
        if place:
            logs[place] += f"GET {path}\n"
        return 200

    return get


def test_who_answers_is_told_by_the_logs_whichever_door_it_was(
    installation: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "get", answering(installation, api="plane-api-blue", graphql="plane-graphql-green"))
    assert routing.ask(INSTALLATION, ["/graphql/"], "plane.example") == [
        Answer("/graphql/", 200, "plane-graphql-green"),
        Answer("/api/", 200, "plane-api-blue"),
    ]


def test_a_proxy_that_leads_graphql_elsewhere_is_told_from_one_that_leads_nowhere(
    installation: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "get", answering(installation, api="plane-api-1"))
    assert routing.ask(INSTALLATION, ["/graphql/"], "plane.example")[0] == Answer("/graphql/", 200, "")
    monkeypatch.setattr(routing, "get", answering(installation))
    with pytest.raises(routing.RoutingError, match="through none of plane-proxy-1:80, plane-proxy-1:443"):
        routing.ask(INSTALLATION, ["/graphql/"], "other.example")


def test_without_a_published_port_nobody_can_say_where_a_proxy_leads(
    installation: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "_inspect", lambda _: ALL[1:])
    with pytest.raises(routing.RoutingError, match="no running container publishes a port"):
        routing.ask(INSTALLATION, ["/graphql/"], "plane.example")
