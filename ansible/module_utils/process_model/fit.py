"""Whether a service fits its limit of memory, its host and its database: the preflight's arithmetic. No I/O.

What does not fit is a risk with a name. The inventory may accept a risk by its name; verify repeats it every time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import sizing

# Name -> the setting that changes it. Inventories accept risks by these names.
RISKS = {
    "memory-peak": "memory_limit",
    "memory-change": "memory_limit",
    "processors": "workers",
    "host": "memory_limit",
    "database-connections": "slots",
}
# A risk that is said, and refused by nobody.
WARNINGS = {"processors"}
# Below this share of a processor for each worker, workers wait for each other and not for the database: the proposal
# gives its smallest tier half of one.
LEAST_PROCESSOR = 0.5


@dataclass(frozen=True)
class Risk:
    """name: one of RISKS. message: the arithmetic, and what is allowed."""

    name: str
    message: str


@dataclass(frozen=True)
class Host:
    """What the host has: bytes of memory, processors."""

    memory: int
    processors: int


def mib(size: float) -> str:
    return f"{size / sizing.MIB:,.0f} MiB"


def model_of(desired: Mapping[str, Any]) -> sizing.Model:
    """The calculator's model of what should run; under uvicorn admission alone bounds how much runs at once."""
    heavy = [backend for backend in desired["front_door"]["backends"] if backend["path"] is not None]
    slots = sum(backend["slots"] for backend in desired["front_door"]["backends"])
    heavy_slots = sum(backend["slots"] for backend in heavy)
    payloads = sum(backend["slots"] * backend["payload"] for backend in heavy)
    return sizing.Model(
        workers=desired["model"]["workers"],
        threads=desired["model"]["threads"] or 1,
        slots=slots,
        heavy_slots=heavy_slots,
        # Each route at its own largest answer: their sum is all that the peak asks for.
        heavy_payloads={payloads // heavy_slots if heavy_slots else 0: 1.0},
        preload=desired["model"]["preload"] == "true",
    )


def costs_of(desired: Mapping[str, Any], workers_pss: Sequence[int] = ()) -> sizing.Coefficients:
    """What one of each costs: as the inventory's measurements say, else as on real Plane; workers as they are here.

    workers_pss: bytes of each live worker, by which what they share is counted once. Raises sizing.SizingError.
    """
    measurements = desired["sizing"]["measurements"]
    costs = sizing.Coefficients(**measurements) if measurements else sizing.MEASURED
    if not workers_pss:
        return costs
    each = max(sum(workers_pss) / len(workers_pss), 1)
    return replace(costs, warm=each, cold=min(costs.cold, each), shared=0, source=f"{costs.source}; workers as here")


def memory_risks(desired: Mapping[str, Any], costs: sizing.Coefficients) -> list[Risk]:
    """Whether every slot may be busy at once, and whether a second instance may start beside the first."""
    model = model_of(desired)
    limit, margin = desired["limits"]["memory_bytes"], 1 + desired["sizing"]["margin"]
    taken = sizing.memory(model, costs)
    found = []
    payload = model.bounded_heavy_slots * model.largest
    arithmetic = (
        f"{model.workers} workers and the master take {mib(taken.rest)}, {model.all_slots} busy slots "
        f"{mib(taken.peak - taken.rest)} ({model.bounded_heavy_slots} of them for heavy routes hold "
        f"{costs.copies:g} × {mib(payload)})"
    )
    if taken.peak * margin > limit:
        found.append(
            Risk(
                "memory-peak",
                f"is {mib(limit)}, but {arithmetic}: {mib(taken.peak)}, and {desired['sizing']['margin']:.0%} to spare "
                f"({costs.source}). Allowed: {mib(taken.peak * margin)} or more, or fewer slots",
            )
        )
    if desired["change"] == "start-first" and taken.peak + taken.rest > limit:
        found.append(
            Risk(
                "memory-change",
                f"is {mib(limit)}, but a change starts a second instance: {mib(taken.rest)} beside one that has "
                f"{mib(taken.rest)} at rest and {mib(taken.peak)} with every slot busy ({costs.source}). "
                f"Allowed: {mib(taken.peak + taken.rest)} or more, or {prefix(desired)}_change: stop-first",
            )
        )
    return found


def host_risks(desired: Mapping[str, Any], host: Host) -> list[Risk]:
    """Whether the host is as large as the limits, and the limit of processors large enough for the workers."""
    limits, workers = desired["limits"], desired["model"]["workers"]
    found = []
    if limits["memory_bytes"] > host.memory:
        found.append(
            Risk(
                "host", f"is {mib(limits['memory_bytes'])}, but this host has {mib(host.memory)}. Allowed: that at most"
            )
        )
    if limits["cpu"] > host.processors:
        found.append(
            Risk(
                "host",
                f"goes with {prefix(desired)}_cpu_limit {limits['cpu']:g}, but this host has {host.processors} "
                f"processors. Allowed: that at most",
            )
        )
    if limits["cpu"] < LEAST_PROCESSOR * workers:
        found.append(
            Risk(
                "processors",
                f"is {workers}, but {prefix(desired)}_cpu_limit is {limits['cpu']:g}: workers wait for each other. "
                f"Allowed: {int(limits['cpu'] / LEAST_PROCESSOR)} at most, or {LEAST_PROCESSOR * workers:g} processors",
            )
        )
    return found


@dataclass(frozen=True)
class Database:
    """What the database itself says. most: max_connections. reserved: of these, for its administrators.

    others: connections that are open now and come from none of the fleet's hosts. error: why it could not be asked.
    """

    most: int = 0
    reserved: int = 0
    others: int = 0
    error: str = ""


def connections(plans: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Service -> connections that all its hosts open at the most, from what should run (`desired`) on some of them.

    Of a stack: its tasks, which all change at once.
    """
    found: dict[str, int] = {}
    for desired in plans:
        stack = desired.get("stack")
        replicas = stack["replicas"] if stack else desired["sizing"]["hosts"]
        changing = replicas if stack else 1
        persistent = desired["sizing"]["persistent_connections"]
        most = sizing.database_connections(
            model_of(desired), replicas, persistent, changing=changing if persistent else 0
        )
        found[desired["service"]] = max(most, found.get(desired["service"], 0))
    return found


def database_risks(plans: Sequence[Mapping[str, Any]], database: Database) -> list[Risk]:
    """Whether the database allows what all slots of all services open at once, beside what others hold there."""
    wanted = connections(plans)
    left = database.most - database.reserved - database.others
    if database.error or sum(wanted.values()) <= left:
        return []
    parts = " + ".join(f"{count} of {service}" for service, count in sorted(wanted.items()))
    return [
        Risk(
            "database-connections",
            f"allows {parts} = {sum(wanted.values())} connections at once, but the database allows {database.most}, "
            f"of which {database.reserved} are reserved and {database.others} are held by others now. Allowed: {left} "
            "at most: fewer slots or hosts, a pooler, or a larger max_connections",
        )
    ]


def database_question(plans: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Which host asks the database for its connections, and as what; empty where nothing is to change, or nobody can.

    plans: host -> service -> `desired` and the `state` that preflight found.
    """
    every = [
        (host, plan["desired"], plan["state"]["live"]) for host, services in plans.items() for plan in services.values()
    ]
    changes = not all(plan["state"]["match"] for services in plans.values() for plan in services.values())
    return _first_who_can_ask(every) if changes else {}


def accepted_database_question(verdicts: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The same for verify, which asks only where the inventory accepts that the connections are too few.

    verdicts: host -> service -> what the module `process_model` returned.
    """
    every = [
        (host, verdict["desired"], verdict["live"])
        for host, services in verdicts.items()
        for verdict in services.values()
    ]
    accepts = any("database-connections" in desired["sizing"]["accepted"] for _, desired, _ in every)
    return _first_who_can_ask(every) if accepts else {}


def _first_who_can_ask(every: Sequence[tuple[str, Mapping[str, Any], str | None]]) -> dict[str, Any]:
    """every: host, `desired` and live colour of each service."""
    for host, desired, live in every:
        if live:
            return {
                "host": host,
                "service": desired["service"],
                "colour": live,
                "addresses": desired["sizing"]["addresses"],
                "contained": bool(desired.get("installation")),
            }
    return {}


def prefix(desired: Mapping[str, Any]) -> str:
    return str(desired["service"]).replace("-", "_")


@dataclass(frozen=True)
class Verdict:
    """Risks as lines: what is refused, what the inventory accepted by name, and what is only said."""

    refused: list[str]
    accepted: list[str]
    warned: list[str]


def judge(desired: Mapping[str, Any], risks: Sequence[Risk], where: str) -> Verdict:
    """where: the folder whose files hold the settings."""
    verdict = Verdict([], [], [])
    for risk in risks:
        line = f"{prefix(desired)}_{RISKS[risk.name]} {risk.message}"
        if risk.name in desired["sizing"]["accepted"]:
            verdict.accepted.append(f"accepted risk {risk.name}: {line}")
        elif risk.name in WARNINGS:
            verdict.warned.append(f"{line}. Change it in {where}")
        else:
            verdict.refused.append(f"{line}, or {risk.name} in {prefix(desired)}_accepted_risks. Change it in {where}")
    return verdict


def judge_database(plans: Sequence[Mapping[str, Any]], answer: Mapping[str, Any] | None, where: str) -> Verdict:
    """The same for the connections of a whole fleet.

    plans: `desired` of each host and service. answer: of the database, or None where no host could ask it, as none has
    a release yet: that refuses nothing.
    """
    if not plans or not answer:
        return Verdict([], [], [])
    database = Database(**answer)
    if database.error:
        return Verdict([], [], [f"the database was not asked for its connections: {database.error}"])
    return judge(plans[0], database_risks(plans, database), where)
