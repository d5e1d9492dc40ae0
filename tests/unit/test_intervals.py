"""Intervals are as wide as tables of Student's t and of Poisson's limits say, and wider where values linger."""

from __future__ import annotations

import random

import pytest
from process_model.intervals import Counts, dispersion, level, poisson_limits, rate_difference, t_quantile


@pytest.mark.parametrize(
    ("share", "freedom", "tabled"),
    [(0.99, 5, 3.365), (0.99, 10, 2.764), (0.99, 30, 2.457), (0.995, 4, 4.604), (0.995, 40, 2.704), (0.975, 8, 2.306)],
)
def test_quantiles_are_those_of_the_tables(share: float, freedom: float, tabled: float) -> None:
    assert t_quantile(share, freedom) == pytest.approx(tabled, rel=0.02)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(0, 0, 4.605), (1, 0.01, 6.638), (5, 1.279, 13.11), (20, 11.08, 33.1), (100, 78.2, 125.8)],
)
def test_limits_of_a_count_are_poissons(count: float, low: float, high: float) -> None:
    found = poisson_limits(count, 0.99)
    assert found[0] == pytest.approx(low, abs=0.05)
    assert found[1] == pytest.approx(high, rel=0.01)


def values(correlation: float, seed: int = 5, count: int = 48) -> list[float]:
    chance = random.Random(seed)  # noqa: S311 - of a simulation
    found = [chance.gauss(0, 1)]
    while len(found) < count:
        found.append(correlation * found[-1] + chance.gauss(0, (1 - correlation**2) ** 0.5))
    return found


def width(correlation: float) -> float:
    wide = [
        level(range(48), values(correlation, seed), []).mean([True] * 48, 0.99) for seed in range(40)
    ]  # fmt: skip
    return sum(each.high - each.low for each in wide) / len(wide)


def test_the_interval_is_wider_where_neighbours_resemble_each_other() -> None:
    assert width(0.0) < 0.8 * width(0.5)
    assert width(0.5) < 0.8 * width(0.8)


def test_what_is_the_same_everywhere_has_no_width() -> None:
    found = level(range(30), [0.25] * 30, []).mean([True] * 30, 0.99)
    assert (found.low, found.value, found.high) == pytest.approx((0.25, 0.25, 0.25), abs=1e-6)


def test_growth_is_that_of_one_place_to_the_next_and_gaps_are_no_neighbours() -> None:
    places = [place for place in range(48) if place not in (7, 8, 30)]
    found = level(places, [0.01 * place for place in places], []).growth(0.99)
    assert found.value == pytest.approx(0.01)
    assert found.high - found.low < 1e-6


def test_counts_in_bursts_vary_more_than_poissons() -> None:
    assert dispersion([1, 0, 1, 1, 0, 1], [1.0] * 6) == 1.0
    assert dispersion([30, 0, 0, 28, 0, 0], [1.0] * 6) > 10


def test_no_errors_in_a_thousand_requests_say_less_than_in_a_million() -> None:
    few, many = (Counts([0.0] * 48, [requests / 48] * 48) for requests in (1e3, 1e6))
    assert rate_difference(few, few, 0.99).high == pytest.approx(4.6e-3, rel=0.02)
    assert rate_difference(many, many, 0.99).high == pytest.approx(4.6e-6, rel=0.02)


def test_blocks_without_requests_say_nothing() -> None:
    assert Counts([0.0, 2.0], [0.0, 100.0]).rate(0.99) == Counts([2.0], [100.0]).rate(0.99)
