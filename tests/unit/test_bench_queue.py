"""What the benchmark of the queue compares with: ideal slots wait as Erlang's formula says."""

from __future__ import annotations

import pytest
from bench_queue import LINE, SHARE, SLOTS, Request, ideal_waits, requests
from process_model import sizing

LINE_OF_LOG = (
    "10.203.10.1:51818 [26/Nov/2026:05:00:00.100] plane-api plane-api/blue 0/12/1/402/415 200 180 - - ---- "
    '3/3/2/2/0 0/1 "GET /api/debug/sleep/?seconds=0.4 HTTP/1.1"'
)


def test_with_a_free_slot_nobody_waits() -> None:
    assert ideal_waits([Request(0, 5), Request(1, 5)], slots=2) == [0, 0]


def test_who_finds_all_slots_taken_waits_for_the_first_that_is_free() -> None:
    assert ideal_waits([Request(0, 5), Request(1, 2), Request(2, 1)], slots=2) == [0, 0, 1]


def test_in_the_long_run_ideal_slots_are_erlangs() -> None:
    waits = ideal_waits(requests(20_000, 0.5, seed=4))
    expected = sizing.waiting(SHARE * SLOTS / 0.5, 0.5, SLOTS)
    assert sum(each > 0 for each in waits) / len(waits) == pytest.approx(expected.waits, rel=0.05)
    assert sum(waits) / len(waits) == pytest.approx(expected.mean_wait, rel=0.1)


def test_the_log_names_the_wait_second() -> None:
    match = LINE.search(LINE_OF_LOG)
    assert match
    assert match[2] == "12"
