"""Injects the faults, one on each host at a time so that a run serves several of them, and prints the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import client
import pytest
from faults import FAULTS, Fault
from process_model.colours import other
from support import (
    CONTAINED,
    PORTS,
    Host,
    a_change,
    failure_of,
    hosts_of,
    load,
    messages,
    on_colour,
    report,
    site,
    succeeded,
    verify,
)

VERIFY_IDLE = "Verify, while it has no traffic"
# Long enough to start on a busy machine, short enough to wait for an instance that will never be right.
START_SECONDS = 12


@dataclass
class Outcome:
    """What came of one fault. said: verify's messages; printed: the run's output; lost: requests that failed."""

    noticed: bool
    said: str
    printed: str
    repaired: bool = False
    repair: str = ""
    switched: bool = False
    lost: dict[str, dict[str, int]] = field(default_factory=dict)
    served: int = 0


OUTCOMES: dict[tuple[str, str], Outcome] = {}
RUNTIME = "compose" if CONTAINED else "systemd"
# Of this inventory's hosts.
HERE = [fault for fault in FAULTS if fault.runtime in (None, RUNTIME)]


# What is broken at the same time: no two faults of one host's service.
Batch = list[tuple[Host, Fault]]


def batches(faults: list[Fault], hosts: dict[str, Host], together: bool) -> Iterator[Batch]:
    """One fault for each host at a time; together: for each service of a host."""
    places = {service: [hosts[name] for name in hosts_of(service)] for service in PORTS}
    waiting = list(faults)
    while waiting:
        batch: Batch = []
        for fault in list(waiting):
            alone = fault.shared or any(each.shared for _, each in batch)
            taken = [host for host, each in batch if each.service == fault.service or alone or not together]
            free = [host for host in places[fault.service] if host not in taken]
            if free:
                batch.append((free[0], fault))
                waiting.remove(fault)
        yield batch


def undo(batch: Batch, colours: list[str]) -> None:
    for (host, fault), colour in zip(batch, colours):
        if fault.undo:
            host.run(on_colour(host, fault.service, colour, fault.undo))


def break_live(batch: Batch) -> None:
    colours = [host.live(fault.service) for host, fault in batch]
    names = ",".join({host.name for host, _ in batch})
    for (host, fault), colour in zip(batch, colours):
        host.run(on_colour(host, fault.service, colour, fault.inject))
    done = verify(names)
    for host, fault in batch:
        # What both services share is perhaps missed by the other one.
        missed_by = report()["hosts"][host.name] if fault.shared else [fault.service]
        OUTCOMES["live", fault.name] = Outcome(
            noticed=done.returncode != 0 and not report()["hosts"][host.name][fault.service]["match"],
            said="\n".join(message for service in missed_by for message in messages(host.name, service)),
            printed=done.stdout,
        )
    undo(batch, colours)
    repair = site(names)
    for host, fault in batch:
        outcome = OUTCOMES["live", fault.name]
        outcome.repaired = repair.returncode == 0 and report()["hosts"][host.name][fault.service]["match"]
        outcome.repair = repair.stdout + repair.stderr


def break_idle(batch: Batch) -> None:
    """A run that changes something, so that it prepares the idle colour, which is broken before it is verified."""
    before = [host.live(fault.service) for host, fault in batch]
    idle = [other(colour) for colour in before]
    # REST's instances are verified before GraphQL's is even started: only what runs by then gets its fault.
    commands = [
        host.command(on_colour(host, fault.service, colour, f"systemctl -q is-active $UNIT || exit 0; {fault.inject}"))
        for (host, fault), colour in zip(batch, idle)
    ]
    fronts = [host.front(fault.service) for host, fault in batch]
    with load([(front, client.small(front), 1) for front in fronts], pause=0.25) as clients:
        done = site(
            ",".join(host.name for host, _ in batch),
            before_task={VERIFY_IDLE: commands},
            **a_change(),
            plane_api_start_timeout=START_SECONDS,
            plane_graphql_start_timeout=START_SECONDS,
        )
    undo(batch, idle)
    for (host, fault), colour in zip(batch, before):
        OUTCOMES["idle", fault.name] = Outcome(
            noticed=done.returncode != 0,
            said=failure_of(host.name, done.stdout),
            printed=done.stdout + done.stderr,
            switched=host.live(fault.service) != colour,
            lost=clients.failed,
            served=clients.requests,
        )


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest, hosts: dict[str, Host], deployed: None) -> dict[tuple[str, str], Outcome]:
    """The outcome of every fault that this session asks for, by (live or idle, its name)."""
    wanted = {item.callspec.params.get("key") for item in request.session.items if hasattr(item, "callspec")}
    progress = request.config.pluginmanager.getplugin("terminalreporter")
    for place, inject in (("live", break_live), ("idle", break_idle)):
        asked = [fault for fault in HERE if (place, fault.name) in wanted]
        for batch in batches(asked, hosts, together=place == "live"):
            progress.write_line(f"injecting in the {place} colour: {', '.join(fault.name for _, fault in batch)}")
            inject(batch)
    # A fault in an idle colour may be in what both colours share: the next run repairs that too.
    succeeded(site())
    return OUTCOMES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of the faults: where each was injected, whether it was caught, and by which words."""
    if not OUTCOMES:
        return
    terminalreporter.section("faults")
    by_name = {fault.name: fault for fault in HERE}
    width = max(map(len, by_name))
    for (place, name), outcome in OUTCOMES.items():
        fault = by_name[name]
        words = fault.caught_by if place == "live" else fault.caught_in_idle_by
        caught = outcome.noticed and all(word in outcome.said for word in words)
        after = ("repaired" if outcome.repaired else "NOT REPAIRED") if place == "live" else (
            "SWITCHED" if outcome.switched else f"not switched, {outcome.served} requests served"
        )  # fmt: skip
        line = f"{place}  {name:<{width}}  {'caught' if caught else 'MISSED'}  {after}  ({words[0]})"
        terminalreporter.write_line(line, green=caught, red=not caught)
