"""When a host replaces its processes: turns, windows, requests, age and memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from process_model import rotation
from process_model.rotation import Plan, Seen

SETTINGS: dict[str, Any] = {
    "turn": 0,
    "turns": 2,
    "window": "00:00-00:00",
    "max_requests": 4400,
    "max_age_seconds": 24 * 3600,
    "memory_bytes": 2 << 30,
    "start_seconds": 120,
    "drain_seconds": 30,
}
NOON = 20_000 * rotation.DAY + 12 * 3600


def plan(**settings: Any) -> Plan:
    return rotation.make_plan("plane-api", {**SETTINGS, **settings})


def seen(**found: Any) -> Seen:
    return Seen(**{"master": 1, "start_ticks": 1, "started": NOON - 3600, **found})


def test_a_plan_survives_its_file() -> None:
    made = plan(window="22:30-04:00")

    assert rotation.plan_of(json.dumps(made.to_dict())) == made
    assert rotation.plan_of("null") is None


@pytest.mark.parametrize("text", ["", "2:00-5:00", "24:00-05:00", "02:00", "02:00-05:60", "02:00 - 05:00"])
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(ValueError, match="02:00-05:00"):
        rotation.parse_window(text)


def test_a_window_in_which_not_every_host_has_its_turn_is_refused() -> None:
    with pytest.raises(ValueError, match=r"plane_api_rotation_window is 02:00-02:30, too short for 5 hosts .* 35 min"):
        plan(window="02:00-02:30", turns=5)


@pytest.mark.parametrize("window", ["00:00-00:00", "02:00-05:00", "22:15-03:10"])
@pytest.mark.parametrize("turns", [1, 2, 7])
def test_two_hosts_never_rotate_at_once_and_each_has_its_turn(window: str, turns: int) -> None:
    plans = [plan(window=window, turn=turn, turns=turns) for turn in range(turns)]
    longest = plans[0].turn_seconds - rotation.BEGIN_SECONDS
    begun: list[tuple[int, int]] = []
    for now in range(NOON, NOON + 2 * rotation.DAY, 10):
        begun += [(now, one.turn) for one in plans if rotation.is_turn(one, now)]

    assert {turn for _, turn in begun} == set(range(turns))
    for (first, host), (second, other) in zip(begun, begun[1:]):
        assert host == other or second >= first + longest, "the next host begins when this one may still be at it"


def test_no_rotation_begins_outside_of_the_window() -> None:
    night = plan(window="02:00-05:00", turns=1)
    hours = {now % rotation.DAY // 3600 for now in range(NOON, NOON + rotation.DAY, 10) if rotation.is_turn(night, now)}

    assert hours == {2, 3, 4}


def test_a_fresh_instance_is_not_due() -> None:
    assert rotation.due(plan(), seen(requests=4399), NOON) == ""


def test_due_by_requests() -> None:
    assert rotation.due(plan(), seen(requests=4400), NOON) == (
        "it has answered 4400 requests, and is replaced after 4400"
    )
    assert rotation.due(plan(max_requests=0), seen(requests=10**9), NOON) == ""


def test_due_by_age() -> None:
    old = seen(started=NOON - 25 * 3600)

    assert rotation.due(plan(), old, NOON) == "it is 25.0 h old, and is replaced after 24 h"
    assert rotation.due(plan(max_age_seconds=0), old, NOON) == ""


def growing(by_minute: float, start: float = 300.0, minutes: int = 120) -> Seen:
    """Memory in MiB, with a wave on it that is no growth."""
    return seen(
        samples=[
            (NOON + 60 * minute, int((start + by_minute * minute + (minute % 7)) * 2**20)) for minute in range(minutes)
        ]
    )


def test_due_while_a_second_instance_still_fits() -> None:
    assert rotation.due(plan(), growing(0), NOON) == ""
    assert rotation.due(plan(), growing(1), NOON) == "", "420 MiB, and 28 more until the next turn"
    said = rotation.due(plan(), growing(11.5), NOON)
    assert said.startswith("its memory grows by 690 MiB an hour from 16")
    assert said.endswith("a second instance would soon not fit beside it into 2048 MiB")


def test_growth_is_not_told_from_few_samples() -> None:
    assert rotation.due(plan(), growing(100, minutes=rotation.ENOUGH_SAMPLES - 1), NOON) == ""


def test_with_a_window_growth_is_looked_at_a_day_ahead() -> None:
    assert rotation.due(plan(window="02:00-05:00"), growing(1), NOON) != ""


def test_requests_are_counted_over_reloads_of_haproxy() -> None:
    one = seen()
    one.add(NOON, process=10, answered=100, memory=1)
    one.add(NOON + 30, process=10, answered=150, memory=1)
    one.add(NOON + 60, process=11, answered=20, memory=1)

    assert one.requests == 70, "what was answered before it was first looked at is not its own"


def test_samples_are_kept_for_a_while_only() -> None:
    one = seen()
    for number in range(rotation.MOST_SAMPLES + 5):
        one.add(NOON + number, process=1, answered=number, memory=number)

    assert len(one.samples) == rotation.MOST_SAMPLES
