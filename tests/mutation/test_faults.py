"""Every fault is caught with the right words: in a live colour by verify, in an idle one before the switch."""

from __future__ import annotations

import pytest
from conftest import HERE, Outcome
from support import PORTS, Host, hosts_of, report, succeeded, verify

CLEAN_RUNS = 10
LIVE = {("live", fault.name): fault for fault in HERE}
IDLE = {("idle", fault.name): fault for fault in HERE if fault.caught_in_idle_by}
Outcomes = dict[tuple[str, str], Outcome]


@pytest.mark.parametrize("key", LIVE, ids=lambda key: key[1])
def test_a_fault_in_the_live_colour_is_caught_and_the_next_run_repairs_it(
    key: tuple[str, str], outcomes: Outcomes
) -> None:
    outcome = outcomes[key]
    assert outcome.noticed, outcome.printed[-3000:]
    for words in LIVE[key].caught_by:
        assert words in outcome.said
        assert words in outcome.printed, "the run itself says so too"
    assert outcome.repaired, outcome.repair[-3000:]


@pytest.mark.parametrize("key", IDLE, ids=lambda key: key[1])
def test_a_fault_in_the_idle_colour_is_caught_before_the_switch(key: tuple[str, str], outcomes: Outcomes) -> None:
    outcome = outcomes[key]
    assert outcome.noticed, outcome.printed[-3000:]
    for words in IDLE[key].caught_in_idle_by:
        assert words in outcome.said
    assert not outcome.switched
    assert outcome.lost == {}


def test_healthy_hosts_raise_no_alarm(outcomes: Outcomes, hosts: dict[str, Host]) -> None:
    """Each host by itself, again and again: what it does not share with others is all that could differ."""
    served = sorted({hosts[name].name for service in PORTS for name in hosts_of(service)})
    for number in range(CLEAN_RUNS):
        succeeded(verify(served[number % len(served)]))
        assert report()["match"]
