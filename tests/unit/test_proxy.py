"""The proxy at the edge: whom it stands in front of, and what is said of what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from process_model.journal import parse_units
from process_model.proxy import (
    Answer,
    Behind,
    compare_answers,
    compare_certificate,
    compare_running,
    find_behind,
    judge_units,
    parse_shown,
    passed_on,
    sites_of_others,
)
from process_model.report import build_report, rows

DEFAULTS: dict[str, Any] = {
    "plane_api_port": 8000,
    "plane_api_queue_timeout": 10,
    "plane_api_heavy_routes": [{"name": "large", "queue_timeout": 20}, {"name": "other"}],
    "plane_api_listen_address": "",
    "plane_graphql_port": 8001,
    "plane_graphql_queue_timeout": 10,
    "plane_graphql_heavy_routes": [],
    "plane_graphql_listen_address": "",
    "plane_release_runtime": "systemd",
    "gunicorn_service_response_timeout": 120,
}
GROUPS = {
    "plane_api": ["api1", "api2", "elsewhere1"],
    "plane_graphql": ["graphql1"],
    "cloud": ["api1", "api2", "graphql1", "edge1"],
    "all": ["api1", "api2", "graphql1", "edge1", "elsewhere1"],
}


def variables(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = {
        host: {"plane_api_listen_address": address, "plane_graphql_listen_address": address, "ansible_host": address}
        for host, address in (("api1", "192.0.2.11"), ("api2", "192.0.2.12"), ("graphql1", "192.0.2.21"))
    }
    for host, more in changes.items():
        found[host].update(more)
    return found


def behind(groups: Mapping[str, Iterable[str]] = GROUPS, **changes: dict[str, Any]) -> list[Behind]:
    return find_behind(groups, variables(**changes), "cloud", DEFAULTS)


def test_every_rest_and_graphql_host_of_the_environment_is_behind_it_and_no_other() -> None:
    assert [(one.service, one.host, one.door) for one in behind()] == [
        ("plane-api", "api1", "192.0.2.11:8000"),
        ("plane-api", "api2", "192.0.2.12:8000"),
        ("plane-graphql", "graphql1", "192.0.2.21:8001"),
    ]


def test_a_host_s_own_port_and_address_count() -> None:
    changes: dict[str, Any] = {
        "api1": {"plane_api_port": 9000, "plane_api_listen_address": "*"},
        "api2": {"plane_api_listen_address": "2001:db8::2"},
    }
    assert [one.door for one in behind(**changes)][:2] == ["192.0.2.11:9000", "[2001:db8::2]:8000"]


def test_community_has_no_graphql_behind_it() -> None:
    groups = {**GROUPS, "plane_graphql": []}
    assert {one.service for one in behind(groups)} == {"plane-api"}


def test_the_longest_queue_and_the_wait_for_gunicorn_are_what_an_answer_may_take() -> None:
    assert [one.answer_seconds for one in behind(api2={"plane_api_queue_timeout": 60})] == [140, 180, 130]


def test_what_nginx_says_of_itself_names_the_door_that_answered() -> None:
    assert parse_shown("abc 192.0.2.11:8000") == ("abc", "192.0.2.11:8000")
    assert parse_shown("abc 192.0.2.11:8000, 192.0.2.12:8000") == ("abc", "192.0.2.12:8000")
    assert parse_shown("") == ("", "")


def desired() -> dict[str, Any]:
    return {
        "fingerprint": "abc",
        "address": "192.0.2.41",
        "http_port": 80,
        "https_port": 443,
        "certificate": None,
        "paths": {"plane-api": "/", "plane-graphql": "/graphql/"},
        "behind": [one.to_dict() for one in behind()],
    }


def answers(**status: int) -> list[Answer]:
    return [
        Answer(one.service, f"mark-{one.host}", status.get(one.host, 200), "abc", one.door, one.host)
        for one in behind()
    ]


def test_good_answers_of_everybody_are_no_mismatch() -> None:
    # A query that is none is no fault of the proxy.
    assert compare_answers(desired(), answers(graphql1=405)) == []
    assert compare_running(desired(), answers()[0]) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answers()[1:], "no answer to GET / through the proxy came from plane-api of api1 (192.0.2.11:8000)"),
        (answers(api2=404), "was answered 404 by plane-api of api2"),
        (answers(graphql1=502), "GET /graphql/ through the proxy was answered 502 by plane-graphql of graphql1"),
        (
            [*answers(), Answer("plane-api", "m", 200, "abc", "192.0.2.99:80")],
            "went to 192.0.2.99:80, no front door of",
        ),
    ],
)
def test_who_does_not_answer_as_he_should_is_named(given: list[Answer], said: str) -> None:
    (mismatch,) = compare_answers(desired(), given)
    assert said in mismatch.message


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Answer("plane-api", "m", error="refused"), "nothing answers at 192.0.2.41:80 (refused)"),
        (Answer("plane-api", "m", 200), "is not the proxy that site.yml made"),
        (Answer("plane-api", "m", 200, "another"), "nginx runs another configuration"),
    ],
)
def test_a_proxy_that_runs_something_else_is_named(seen: Answer, said: str) -> None:
    (mismatch,) = compare_running(desired(), seen)
    assert said in mismatch.message


def judged(units: dict[str, str], **live: str) -> dict[str, Any]:
    state = {"answers": [vars(answer) for answer in answers()], "evidence": [], "mismatches": [], "match": True}
    services = {"api1": "plane-api", "api2": "plane-api", "graphql1": "plane-graphql"}
    return judge_units(
        state,
        {host: {f"mark-{host}": unit} for host, unit in units.items()},
        {host: {services[host]: colour} for host, colour in live.items()},
    )


UNITS = {"api1": "plane-api@blue.service", "api2": "plane-api@spare.service", "graphql1": "plane-graphql@green.service"}


def test_answers_of_the_instances_that_were_verified_are_evidence() -> None:
    found = judged(UNITS, api1="blue", api2="green", graphql1="green")
    assert found["match"]
    assert found["evidence"] == ["by verified instances on api1, api2, graphql1"]


def of_swarm(**units: dict[str, str]) -> dict[str, Any]:
    """What is judged where api1's request left no line in its own journal, and api2 was asked for it."""
    state = {"answers": [vars(answer) for answer in answers()[:1]], "evidence": [], "mismatches": []}
    return judge_units(state, {"api1": {}, **units}, {"api1": {"plane-api": "blue"}, "api2": {"plane-api": "green"}})


def test_what_a_node_of_a_swarm_passed_on_is_looked_for_on_the_others() -> None:
    wanted = desired()
    state = {"desired": wanted, "answers": [vars(answer) for answer in answers()]}
    assert passed_on(state, {"api1": {}, "api2": {}}) == [], "a host that is no node has nobody to pass it on to"
    for one in wanted["behind"]:
        one["runtime"] = "swarm"
    assert passed_on(state, {"api1": {}, "api2": {"mark-api2": UNITS["api2"]}}) == ["mark-api1"]
    assert passed_on(state, {}) == [], "nobody was asked: none of them was verified"


def test_what_was_passed_on_has_to_reach_what_was_verified_there() -> None:
    found = of_swarm(api2={"mark-api1": "plane-api@green.service"})
    assert found["match"]
    assert found["evidence"] == ["by verified instances on api1", "passed on from api1 to api2"]
    found = of_swarm(api2={"mark-api1": "plane-api@blue.service"})
    assert "to api1 was answered by plane-api@blue.service of api2, not by plane-api@green.service" in str(found)
    assert not found["match"]
    assert "was answered by no unit that logs it, not by plane-api@blue.service" in str(of_swarm(api2={}))
    assert of_swarm(api3={"mark-api1": "x"})["evidence"] == ["not verified in this run: api3"]


def test_an_answer_of_another_process_is_a_mismatch() -> None:
    found = judged({**UNITS, "api1": "lab-deaf.service"}, api1="blue", api2="green", graphql1="green")
    assert not found["match"]
    (mismatch,) = found["mismatches"]
    assert "to api1 was answered by lab-deaf.service, not by plane-api@blue.service" in mismatch["message"]


def test_a_host_that_this_run_did_not_verify_is_said() -> None:
    found = judged({"api1": UNITS["api1"]}, api1="blue")
    assert found["match"]
    assert found["evidence"][-1] == "not verified in this run: api2, graphql1"


def test_an_expired_and_a_replaced_certificate_are_named() -> None:
    path, end = "/a.pem", "Feb  1 00:00:00 2024 GMT"
    assert compare_certificate(path, "a", "a", end, now=0) == ([], "2024-02-01")
    found, _ = compare_certificate(path, "a", "b", end, now=2e9)
    assert [mismatch.message for mismatch in found] == [
        "the certificate that nginx serves, /a.pem, expired on 2024-02-01: renew it, then systemctl reload nginx",
        "the certificate that nginx serves is not the one in /a.pem: systemctl reload nginx, or run site.yml",
    ]


def test_sites_of_others_are_seen_where_the_configuration_is_not_ours(tmp_path: Path) -> None:
    configuration = tmp_path / "nginx.conf"
    assert sites_of_others(configuration) == []
    configuration.write_text("# the distribution's")
    (tmp_path / "sites-enabled").mkdir()
    (tmp_path / "sites-enabled" / "default").touch()
    assert sites_of_others(configuration) == []
    (tmp_path / "sites-enabled" / "shop").touch()
    assert sites_of_others(configuration) == [f"{tmp_path}/sites-enabled/shop"]
    configuration.write_text("# Ansible managed (role plane_proxy)")
    assert sites_of_others(configuration) == []


def test_who_passes_a_request_on_did_not_answer_it() -> None:
    text = "\n\n".join(
        f"_SYSTEMD_UNIT={unit}\nSYSLOG_IDENTIFIER={identifier}\nMESSAGE=GET /?verify=abc"
        for unit, identifier in (
            ("plane-api@blue.service", "plane-api-blue"),
            ("plane-admission.service", "plane-admission"),
            ("nginx.service", "plane_proxy"),
            ("ssh.service", "ansible-answering_units"),
        )
    )
    assert parse_units(text, ["abc", "def"]) == {"abc": "plane-api@blue.service"}


def test_the_report_counts_the_front_doors() -> None:
    verdict = {"desired": desired(), "observed": {"doors": ["a", "b"]}, "evidence": [], "mismatches": [{}], "match": 0}
    (row,) = rows(build_report("cloud", "t", {"edge1": {"plane-proxy": verdict}}))
    assert row.cells[:5] == ("edge1", "plane-proxy", "-", "nginx: 3 doors", "nginx: 2 doors")
