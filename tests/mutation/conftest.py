"""Injects the faults, one on each host at a time so that a run serves several of them, and prints the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import client
import pytest
from faults import FAULTS, Fault
from process_model.colours import other
from support import PORTS, Host, a_change, failure_of, load, messages, on_colour, report, site, succeeded, verify

VERIFY_IDLE = "Verify, while it has no traffic"
# Long enough to start on a busy machine, short enough to wait for an instance that will never be right.
START_SECONDS = 20


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


def batches(faults: list[Fault], hosts: dict[str, Host]) -> Iterator[dict[Host, Fault]]:
    """One fault for each host at a time."""
    places = {
        "plane-api": [hosts["api1"], hosts["api2"]],
        "plane-graphql": [hosts["graphql1"]],
    }
    waiting = list(faults)
    while waiting:
        batch: dict[Host, Fault] = {}
        for fault in list(waiting):
            free = [host for host in places[fault.service] if host not in batch]
            if free:
                batch[free[0]] = fault
                waiting.remove(fault)
        yield batch


def undo(batch: dict[Host, Fault], colours: dict[Host, str]) -> None:
    for host, fault in batch.items():
        if fault.undo:
            host.run(on_colour(host, fault.service, colours[host], fault.undo))


def break_live(batch: dict[Host, Fault]) -> None:
    colours = {host: host.live(fault.service) for host, fault in batch.items()}
    names = ",".join(host.name for host in batch)
    for host, fault in batch.items():
        host.run(on_colour(host, fault.service, colours[host], fault.inject))
    done = verify(names)
    for host, fault in batch.items():
        OUTCOMES["live", fault.name] = Outcome(
            noticed=done.returncode != 0 and not report()["hosts"][host.name][fault.service]["match"],
            said="\n".join(messages(host.name, fault.service)),
            printed=done.stdout,
        )
    undo(batch, colours)
    repair = site(names)
    for host, fault in batch.items():
        outcome = OUTCOMES["live", fault.name]
        outcome.repaired = repair.returncode == 0 and report()["hosts"][host.name][fault.service]["match"]
        outcome.repair = repair.stdout + repair.stderr


def break_idle(batch: dict[Host, Fault]) -> None:
    """A run that changes something, so that it prepares the idle colour, which is broken before it is verified."""
    before = {host: host.live(fault.service) for host, fault in batch.items()}
    idle = {host: other(colour) for host, colour in before.items()}
    # REST's instances are verified before GraphQL's is even started: only what runs by then gets its fault.
    commands = [
        host.command(
            on_colour(host, fault.service, idle[host], f"systemctl -q is-active $UNIT || exit 0; {fault.inject}")
        )
        for host, fault in batch.items()
    ]
    fronts = [f"http://{host.address}:{PORTS[fault.service]}" for host, fault in batch.items()]
    with load([(front, client.small(front), 1) for front in fronts], pause=0.1) as clients:
        done = site(
            ",".join(host.name for host in batch),
            before_task={VERIFY_IDLE: commands},
            **a_change(),
            plane_api_start_timeout=START_SECONDS,
            plane_graphql_start_timeout=START_SECONDS,
        )
    undo(batch, idle)
    for host, fault in batch.items():
        OUTCOMES["idle", fault.name] = Outcome(
            noticed=done.returncode != 0,
            said=failure_of(host.name, done.stdout),
            printed=done.stdout + done.stderr,
            switched=host.live(fault.service) != before[host],
            lost=clients.failed,
            served=clients.requests,
        )


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest, hosts: dict[str, Host], deployed: None) -> dict[tuple[str, str], Outcome]:
    """The outcome of every fault that this session asks for, by (live or idle, its name)."""
    wanted = {item.callspec.params.get("key") for item in request.session.items if hasattr(item, "callspec")}
    progress = request.config.pluginmanager.getplugin("terminalreporter")
    for place, inject in (("live", break_live), ("idle", break_idle)):
        for batch in batches([fault for fault in FAULTS if (place, fault.name) in wanted], hosts):
            progress.write_line(f"injecting in the {place} colour: {', '.join(fault.name for fault in batch.values())}")
            inject(batch)
    # A fault in an idle colour may be in what both colours share: the next run repairs that too.
    succeeded(site())
    return OUTCOMES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of the faults: where each was injected, whether it was caught, and by which words."""
    if not OUTCOMES:
        return
    terminalreporter.section("faults")
    by_name = {fault.name: fault for fault in FAULTS}
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
