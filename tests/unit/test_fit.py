"""Whether a service fits: each refusal with its arithmetic, what is accepted by name, and what is only said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from process_model import fit
from process_model.fit import Database, Host, Risk, judge
from process_model.sizing import GIB, MIB

ROLES = Path(__file__).resolve().parents[2] / "ansible" / "roles"
WHERE = "inventories/staging/group_vars/staging/"
LARGE = Host(memory=64 * GIB, processors=16)


def desired(
    memory: int = 2 * GIB,
    cpu: float = 1,
    workers: int = 2,
    threads: int | None = 8,
    heavy: tuple[tuple[int, int], ...] = ((2, 5 * MIB),),
    slots: int = 16,
    **sizing: Any,
) -> dict[str, Any]:
    """As the role describes it. heavy: slots and bytes of the largest answer of each route."""
    backends: list[dict[str, Any]] = [{"path": None, "slots": slots - sum(taken for taken, _ in heavy), "payload": 0}]
    backends += [{"path": f"^/{number}", "slots": taken, "payload": size} for number, (taken, size) in enumerate(heavy)]
    return {
        "service": sizing.pop("service", "plane-api"),
        "environment": "staging",
        "change": sizing.pop("change", "start-first"),
        "limits": {"memory_bytes": memory, "cpu": cpu},
        "model": {"workers": workers, "threads": threads, "preload": sizing.pop("preload", "auto")},
        "front_door": {"backends": backends},
        "sizing": {
            "margin": 0.1,
            "accepted": [],
            "measurements": None,
            "hosts": 2,
            "addresses": [],
            "persistent_connections": False,
            **sizing,
        },
    }


def memory(*pss: int, **what: Any) -> list[Risk]:
    plan = desired(**what)
    return fit.memory_risks(plan, fit.costs_of(plan, pss))


@pytest.mark.parametrize("tier", [(2 * GIB, 1, 2, 8), (4 * GIB, 2, 3, 8), (4 * GIB, 4, 5, 10)])
def test_the_proposals_tiers_fit(tier: tuple[int, float, int, int]) -> None:
    limit, cpu, workers, threads = tier
    plan = desired(memory=limit, cpu=cpu, workers=workers, threads=threads, slots=workers * threads)
    assert fit.memory_risks(plan, fit.costs_of(plan)) + fit.host_risks(plan, LARGE) == []


def test_a_peak_above_the_limit_is_refused_with_its_arithmetic() -> None:
    """287 at rest, 16 slots × 1.6, two answers of 50 MiB that are held 6.5 times: 962.6."""
    risks = memory(memory=1000 * MIB, heavy=((2, 50 * MIB),), change="stop-first")
    assert [risk.name for risk in risks] == ["memory-peak"]
    for words in ("is 1,000 MiB", "take 287 MiB", "16 busy slots 676 MiB", "6.5 × 100 MiB", "963 MiB", "10% to spare",
                  "1,059 MiB or more"):  # fmt: skip
        assert words in risks[0].message
    assert memory(memory=1060 * MIB, heavy=((2, 50 * MIB),), change="stop-first") == []


def test_every_route_counts_with_its_own_answers() -> None:
    both = memory(memory=600 * MIB, heavy=((1, 25 * MIB), (4, MIB)), change="stop-first")
    assert both == []
    assert memory(memory=600 * MIB, heavy=((5, 25 * MIB),), change="stop-first") != []


@pytest.mark.parametrize(("change", "limit", "refused"), [
    ("start-first", 664, True), ("start-first", 665, False), ("stop-first", 664, False),
])  # fmt: skip
def test_a_second_instance_needs_room_beside_one_at_its_peak(change: str, limit: int, refused: bool) -> None:
    """287 at rest beside 377.6 at the peak."""
    risks = memory(memory=limit * MIB, change=change)
    assert [risk.name for risk in risks] == (["memory-change"] if refused else [])
    if refused:
        assert "287 MiB beside one that has 287 MiB at rest and 378 MiB" in risks[0].message
        assert "plane_api_change: stop-first" in risks[0].message


def test_live_workers_count_as_they_are_here() -> None:
    (risk,) = memory(300 * MIB, 300 * MIB, memory=GIB)
    assert risk.name == "memory-change"
    assert "607 MiB" in risk.message
    assert "workers as here" in risk.message
    assert memory(50 * MIB, 50 * MIB, memory=512 * MIB) == []


def test_measurements_of_the_inventory_win_over_real_planes() -> None:
    own = {"source": "measured on staging-api1", "master": 0, "cold": 0, "warm": 500 * MIB, "shared": 0, "thread": 0,
           "request": 0, "copies": 1, "transient": 0, "at_once": 1, "asked": 1, "allocator": 0}  # fmt: skip
    (risk,) = memory(memory=GIB, measurements=own, change="stop-first")
    assert "take 1,000 MiB" in risk.message
    assert "measured on staging-api1" in risk.message


def test_under_uvicorn_admission_bounds_what_runs_at_once() -> None:
    assert fit.model_of(desired(threads=None, slots=40)).all_slots == 40


@pytest.mark.parametrize(("host", "said"), [
    (Host(GIB, 16), "is 2,048 MiB, but this host has 1,024 MiB"),
    (Host(64 * GIB, 1), "cpu_limit 2, but this host has 1"),
])  # fmt: skip
def test_a_host_that_is_smaller_than_the_tier_is_refused(host: Host, said: str) -> None:
    (risk,) = fit.host_risks(desired(cpu=2), host)
    assert risk.name == "host"
    assert said in risk.message


def test_too_little_processor_is_said_and_not_refused() -> None:
    plan = desired(workers=3)
    risks = fit.host_risks(plan, LARGE)
    verdict = judge(plan, risks, WHERE)
    assert verdict.refused == []
    (line,) = verdict.warned
    assert "plane_api_workers is 3, but plane_api_cpu_limit is 1: workers wait for each other" in line
    assert f"Allowed: 2 at most, or 1.5 processors. Change it in {WHERE}" in line


# --- the database -----------------------------------------------------------------------------------------------------

FLEET = [desired(), desired(), desired(service="plane-graphql", hosts=1, heavy=(), slots=20)]


def test_all_services_on_all_hosts_count() -> None:
    """A service once, however many of its hosts this run has."""
    assert fit.connections(FLEET) == {"plane-api": 32, "plane-graphql": 20}


def test_persistent_connections_are_kept_by_both_colours() -> None:
    assert fit.connections([desired(persistent_connections=True)]) == {"plane-api": 48}


def test_every_task_of_a_stack_opens_connections_and_all_of_them_change_at_once() -> None:
    stack = {"name": "plane", "address": "192.0.2.1", "replicas": 5, "nodes": 2}
    assert fit.connections([{**desired(), "stack": stack}]) == {"plane-api": 80}
    assert fit.connections([{**desired(persistent_connections=True), "stack": stack}]) == {"plane-api": 160}


@pytest.mark.parametrize(("most", "refused"), [(69, True), (70, False)])
def test_more_connections_than_the_database_allows_are_refused(most: int, refused: bool) -> None:
    risks = fit.database_risks(FLEET, Database(most=most, reserved=3, others=15))
    assert [risk.name for risk in risks] == (["database-connections"] if refused else [])
    if refused:
        (line,) = judge(FLEET[0], risks, WHERE).refused
        assert line.startswith("plane_api_slots allows 32 of plane-api + 20 of plane-graphql = 52 connections at once")
        assert "the database allows 69, of which 3 are reserved and 15 are held by others now. Allowed: 51" in line


@pytest.mark.parametrize("answer", [None, {"error": "connection refused"}])
def test_a_database_that_does_not_answer_refuses_nothing(answer: dict[str, Any] | None) -> None:
    verdict = fit.judge_database(FLEET, answer, WHERE)
    assert verdict.refused == []
    assert verdict.warned == (["the database was not asked for its connections: connection refused"] if answer else [])


def test_an_answer_is_judged_for_the_whole_fleet() -> None:
    assert len(fit.judge_database(FLEET, {"most": 20, "reserved": 3, "others": 0}, WHERE).refused) == 1


def plan(live: str | None, match: bool = False) -> dict[str, Any]:
    return {"desired": desired(), "state": {"live": live, "match": match}}


def test_one_host_asks_the_database_for_all_and_only_where_something_changes() -> None:
    plans = {
        "api1": {"plane-api": plan(None)},
        "api2": {"plane-api": plan("green")},
        "api3": {"plane-api": plan("blue")},
    }
    found = fit.database_question(plans)
    assert (found["host"], found["service"], found["colour"]) == ("api2", "plane-api", "green")
    assert fit.database_question({"api1": {"plane-api": plan(None)}}) == {}, "nobody has a release yet"
    assert fit.database_question({"api2": {"plane-api": plan("green", match=True)}}) == {}, "nothing changes"


@pytest.mark.parametrize(("accepted", "host"), [([], None), (["database-connections"], "api2")])
def test_verify_has_one_host_ask_where_too_few_are_accepted(accepted: list[str], host: str | None) -> None:
    verdicts = {
        name: {"plane-api": {"desired": desired(accepted=accepted), "live": live}}
        for name, live in (("api1", None), ("api2", "green"), ("api3", "blue"))
    }
    assert fit.accepted_database_question(verdicts).get("host") == host
    assert fit.accepted_database_question({}) == {}


@pytest.mark.parametrize("role", ["plane_api", "plane_graphql"])
def test_an_inventory_may_accept_every_risk_by_its_name(role: str) -> None:
    specs = yaml.safe_load((ROLES / role / "meta" / "argument_specs.yml").read_text())
    assert specs["argument_specs"]["main"]["options"][f"{role}_accepted_risks"]["choices"] == list(fit.RISKS)


# --- what an inventory accepts ----------------------------------------------------------------------------------------


def test_a_risk_that_the_inventory_names_is_accepted_and_repeated() -> None:
    plan = desired(memory=300 * MIB, accepted=["memory-peak"])
    verdict = judge(plan, fit.memory_risks(plan, fit.costs_of(plan)), WHERE)
    (accepted,) = verdict.accepted
    assert accepted.startswith("accepted risk memory-peak: plane_api_memory_limit is 300 MiB, but ")
    (refused,) = verdict.refused
    assert "stop-first, or memory-change in plane_api_accepted_risks. Change it in inventories/staging/" in refused
