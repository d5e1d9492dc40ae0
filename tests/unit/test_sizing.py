"""The calculator: the proposal's tables as it prints them, what was measured, and what must hold for any numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from process_model.sizing import (
    GIB,
    MEASURED,
    MIB,
    PROPOSAL,
    Coefficients,
    Model,
    SizingError,
    at_rest,
    budget_per_request,
    database_connections,
    memory,
    most_heavy_slots,
    most_threads,
    put_together_at_once,
    report,
    slots_for,
    smallest_limits,
    waiting,
)

PROPOSED = Model(workers=2, threads=8)


@pytest.mark.parametrize(("workers", "base", "remaining"), [(2, 300, 1.7), (3, 450, 1.55), (4, 600, 1.4)])
def test_the_proposals_table_of_workers(workers: int, base: int, remaining: float) -> None:
    rest = memory(Model(workers=workers, threads=8), PROPOSAL).rest
    assert rest == base * MIB
    assert round((2 * GIB - rest) / GIB * 20) / 20 == remaining, "the proposal rounds to 0.05 GB"


@pytest.mark.parametrize(("threads", "concurrency", "stacks"), [(4, 8, 64), (8, 16, 128), (10, 20, 160)])
def test_the_proposals_table_of_threads(threads: int, concurrency: int, stacks: int) -> None:
    model = Model(workers=2, threads=threads)
    assert model.all_slots == concurrency
    assert model.all_slots * PROPOSAL.thread == stacks * MIB


def test_the_proposals_budget_of_a_request() -> None:
    assert budget_per_request(2 * GIB, PROPOSED, PROPOSAL) * 16 == 1500 * MIB
    assert round(budget_per_request(2 * GIB, PROPOSED, PROPOSAL) / MIB) == 94


@pytest.mark.parametrize(("concurrency", "megabytes"), [(80, 800), (16, 160)])
def test_the_proposals_worst_case(concurrency: int, megabytes: int) -> None:
    assert concurrency * PROPOSAL.copies * 5 * MIB == megabytes * MIB


@pytest.mark.parametrize(("workers", "threads", "concurrency"), [(2, 8, 16), (3, 8, 24), (5, 10, 50)])
def test_the_proposals_tiers(workers: int, threads: int, concurrency: int) -> None:
    assert Model(workers=workers, threads=threads).all_slots == concurrency


@pytest.mark.parametrize(
    ("model", "measured"),
    [
        (PROPOSED, 801),
        (Model(workers=2, threads=8, slots=14, heavy_slots=2), 375),
        (Model(workers=2, threads=8, slots=14, heavy_slots=2, preload=True), 263),
    ],
    ids=["gthread", "with admission", "with admission and preload"],
)
def test_the_peak_on_real_plane_is_predicted_within_15_percent(model: Model, measured: int) -> None:
    """160 requests of 5 MB at once, the rest of the slots idle: docs/claims.md, figure 4."""
    busy = model.bounded_heavy_slots
    only_heavy = Model(
        workers=model.workers, threads=model.threads, slots=busy, heavy_slots=busy, preload=model.preload
    )
    assert memory(only_heavy, MEASURED).peak / MIB == pytest.approx(measured, rel=0.15)


def test_two_warm_workers_on_real_plane() -> None:
    assert memory(PROPOSED, MEASURED).rest / MIB == pytest.approx(287, abs=1)
    assert memory(Model(workers=2, threads=8, preload=True), MEASURED).rest / MIB == pytest.approx(194, abs=1)


def test_what_fits_is_what_the_peak_says() -> None:
    threads = most_threads(2 * GIB, PROPOSED, MEASURED)
    assert memory(Model(workers=2, threads=threads), MEASURED).peak <= 2 * GIB
    assert memory(Model(workers=2, threads=threads + 1), MEASURED).peak > 2 * GIB
    heavy = most_heavy_slots(500 * MIB, PROPOSED, MEASURED)
    assert memory(Model(workers=2, threads=8, heavy_slots=heavy), MEASURED).peak <= 500 * MIB
    assert memory(Model(workers=2, threads=8, heavy_slots=heavy + 1), MEASURED).peak > 500 * MIB
    assert most_threads(100 * MIB, PROPOSED, MEASURED) == 0
    assert most_heavy_slots(100 * MIB, PROPOSED, MEASURED) == -1


def test_a_change_needs_room_for_a_second_instance_at_rest() -> None:
    taken, limits = memory(PROPOSED, MEASURED), smallest_limits(PROPOSED, MEASURED)
    assert limits.alone == taken.peak
    assert limits.change == taken.peak + taken.rest
    assert limits.change_at_rest == 2 * taken.rest


def test_database_connections() -> None:
    assert database_connections(PROPOSED, replicas=3) == 48
    assert database_connections(PROPOSED, replicas=3, persistent=True, changing=1) == 64
    assert database_connections(Model(workers=2, threads=8, slots=14), replicas=2) == 28


def test_waiting_is_erlangs_formula() -> None:
    """Two servers, offered load 1: C = 1/3, a textbook's value; one server: C is the utilisation."""
    assert waiting(10, 0.1, 2).waits == pytest.approx(1 / 3)
    assert waiting(5, 0.1, 1).waits == pytest.approx(0.5)
    assert waiting(5, 0.1, 1).mean_wait == pytest.approx(0.1)
    full = waiting(20, 0.1, 2)
    assert (full.utilisation, full.waits, full.mean_wait) == (1, 1, math.inf)
    assert waiting(0, 0.1, 2).waits == 0


def test_the_fewest_slots_for_a_wait() -> None:
    slots = slots_for(100, 0.1, wait_p99=0.05)
    assert waiting(100, 0.1, slots).wait_p99 <= 0.05
    assert waiting(100, 0.1, slots - 1).wait_p99 > 0.05


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Model(workers=0, threads=8), "workers is 0. Allowed: a whole number from 1 to 128"),
        (lambda: Model(workers=2, threads=True), "threads is True"),
        (
            lambda: Model(workers=2, threads=8, heavy_slots=17),
            "heavy_slots is 17. Allowed: a whole number from 0 to 16",
        ),
        (lambda: Model(workers=2, threads=8, heavy_payloads={5: 0.5}), "heavy_payloads' shares sum up to 0.5"),
        (lambda: Model(workers=2, threads=8, heavy_payloads={}), "heavy_payloads is empty"),
        (lambda: Coefficients("x", 0, 2, 1, 0, 0, 0, 0, 0, 1, 1, 0), "cold is 2. Allowed: at most warm, 1"),
        (lambda: Coefficients("x", 0, 1, 1, 0, 0, 0, math.nan, 0, 1, 1, 0), "copies is nan"),
        (lambda: budget_per_request(0, PROPOSED, MEASURED), "limit is 0"),
        (lambda: database_connections(PROPOSED, 2, changing=3), "changing is 3. Allowed: a whole number from 0 to 2"),
        (lambda: waiting(-1, 0.1, 2), "rate is -1. Allowed: a number from 0"),
    ],
)
def test_nonsense_is_an_error_that_names_the_field(make: Any, said: str) -> None:
    with pytest.raises(SizingError, match="Allowed") as error:
        make()
    assert said in str(error.value)


MODELS = st.builds(
    Model,
    workers=st.integers(1, 12),
    threads=st.integers(1, 32),
    heavy_payloads=st.integers(0, 50 * MIB).map(lambda size: {size: 1.0}),
    payload=st.integers(0, MIB),
    preload=st.booleans(),
)
SIZES = st.floats(0, 2**30)
COSTS = st.builds(
    lambda master, warm, cold, shared, *others: Coefficients("any", master, cold * warm, warm, shared * warm, *others),
    SIZES, SIZES, st.floats(0, 1), st.floats(0, 1), SIZES, SIZES, st.floats(0, 20), st.floats(0, 20), st.floats(0, 64),
    st.integers(1, 64),    SIZES,
)  # fmt: skip


@given(MODELS, COSTS)
def test_more_of_anything_never_takes_less(model: Model, costs: Coefficients) -> None:
    def peak(**changed: Any) -> float:
        return memory(replace(model, **changed), costs).peak

    size = model.largest
    assert peak(workers=model.workers + 1) >= peak()
    assert peak(threads=model.threads + 1) >= peak()
    assert peak(heavy_payloads={size + MIB: 1.0}) >= peak()
    mixed = {0: 0.5, size + 1: 0.5}
    assert peak(heavy_payloads=mixed) == peak(heavy_payloads={size + 1: 1.0}), "the peak is that of the largest"


@given(MODELS, COSTS, st.integers(1, 64 * GIB), st.integers(1, 50))
def test_no_figure_is_negative_or_no_number(model: Model, costs: Coefficients, limit: int, replicas: int) -> None:
    def numbers(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [number for inner in value.values() for number in numbers(inner)]
        return [] if isinstance(value, str) else [float(value)]

    found = report(limit, model, costs, replicas)
    nothing_fits = found.pop("most_heavy_slots")
    assert nothing_fits >= -1
    assert all(math.isfinite(number) and number >= 0 for number in numbers(found))
    assert found["memory"]["cold"] <= found["memory"]["rest"] <= found["memory"]["expected"] + 1e-6
    assert found["memory"]["expected"] <= found["memory"]["peak"] * (1 + 1e-9)


@given(st.floats(0.001, 1000), st.floats(0.001, 10), st.integers(1, 200))
def test_more_slots_never_make_anybody_wait_longer(rate: float, seconds: float, slots: int) -> None:
    few, more = waiting(rate, seconds, slots), waiting(rate, seconds, slots + 1)
    assert 0 <= more.waits <= few.waits <= 1
    assert more.wait_p99 <= few.wait_p99
    assert not math.isnan(few.mean_wait)


def test_preload_counts_what_is_shared_once() -> None:
    costs = Coefficients(
        "x",
        master=1,
        cold=4,
        warm=4,
        shared=3,
        thread=0,
        request=0,
        copies=0,
        transient=0,
        at_once=1,
        asked=1,
        allocator=0,
    )
    assert at_rest(Model(workers=2, threads=1), costs, 4) == 9
    assert at_rest(Model(workers=2, threads=1, preload=True), costs, 4) == 6


def test_the_more_requests_the_more_answers_are_put_together_at_once() -> None:
    costs = replace(MEASURED, at_once=4, asked=16)
    assert [put_together_at_once(requests, costs) for requests in (1, 6, 16, 51)] == [1, 2, 4, 11]
    assert put_together_at_once(50, MEASURED) == 1
