"""How sure the benchmark of what it costs to be watched is."""

from __future__ import annotations

import bench_observability


def test_the_interval_holds_the_median_and_is_the_same_every_time() -> None:
    ratios = [0.95, 0.98, 1.0, 0.99, 1.02, 0.97, 1.01, 0.99]
    low, high = bench_observability.interval(ratios)
    assert low <= 0.99 <= high
    assert (low, high) == bench_observability.interval(ratios)


def test_the_interval_of_equal_ratios_is_their_value() -> None:
    assert bench_observability.interval([0.98] * 5) == (0.98, 0.98)
