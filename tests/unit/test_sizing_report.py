"""What the sizing report decides by itself; its runs are `make sizing-report`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from process_model.sizing import GIB, MEASURED, MIB, memory
from sizing_report import Machine, Pair, Point, fill_of, model_of, tier_here

HIGH = {"cpu": 4, "workers": 5, "threads": 10}
POINT = Point("systemd", "low", "gthread", 2, 8, False, 16, 5, 1.0, 1.0, 1.0, 1.0, 16, {})


def test_a_tier_runs_as_it_is_where_the_machine_is_large_enough() -> None:
    found = tier_here("high", HIGH, Machine(64 * GIB, 8), [MEASURED])
    assert (found.workers, found.threads, found.note) == (5, 10, "")


def test_a_tier_that_is_too_large_for_the_machine_is_scaled_and_said_to_be() -> None:
    found = tier_here("high", HIGH, Machine(10 * GIB, 2), [MEASURED, replace(MEASURED, copies=1)])
    assert 1 <= found.threads < 10
    assert found.note == f"{found.threads} of 10 threads, as 10 GiB are free, on 2 of 4 processors"


@pytest.mark.parametrize(("predicted", "within"), [(0.84, False), (0.86, True), (1.14, True), (1.16, False)])
def test_a_prediction_is_right_within_15_percent(predicted: float, within: bool) -> None:
    assert replace(POINT, predicted=predicted).within is within


@pytest.mark.parametrize(
    ("above", "below", "as_predicted"),
    [
        ({}, {"killed": 1, "journal": ["out of memory"]}, True),
        ({"killed": 1}, {"killed": 1, "journal": ["out of memory"]}, False),
        ({"failed": {"was answered 500": 1}}, {"killed": 1, "journal": ["out of memory"]}, False),
        ({}, {"killed": 1}, False),
        ({}, {}, False),
    ],
    ids=["right", "killed above", "failed above", "killed and not said", "not killed"],
)
def test_a_pair_is_right_where_one_lives_and_the_other_is_out_of_memory(
    above: dict[str, Any], below: dict[str, Any], as_predicted: bool
) -> None:
    nothing: dict[str, Any] = {"killed": 0, "failed": {}, "journal": []}
    assert (
        Pair("systemd", "gthread", 2, 8, 5, 1.0, {**nothing, **above}, {**nothing, **below}).as_predicted
        is as_predicted
    )


def test_more_ask_than_gthread_runs_so_that_every_worker_is_full() -> None:
    assert fill_of("gthread", 16, most=16, payload=5)["most"] == 64
    assert fill_of("gthread", 2, most=16, payload=5)["most"] == 2
    assert fill_of("uvicorn", 16, most=16, payload=5)["most"] == 16


def test_few_slots_are_filled_more_often() -> None:
    assert [fill_of("gthread", slots, 50, payload=5)["rounds"] for slots in (2, 16, 50)] == [16, 2, 1]
    assert [fill_of("uvicorn", slots, 50, payload=5)["rounds"] for slots in (2, 16, 50)] == [16, 4, 4]


def test_only_what_was_measured_as_shared_counts_once() -> None:
    assert not model_of(replace(MEASURED, shared=0), 2, 8, 16, 5).preload
    model = model_of(MEASURED, 2, 8, 16, 5)
    assert memory(model, MEASURED).peak - memory(model, MEASURED).rest > 16 * 5 * MIB
