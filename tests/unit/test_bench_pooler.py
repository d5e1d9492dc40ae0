"""What the benchmark of the pooler says of what it measured."""

from __future__ import annotations

from bench_pooler import CLIENTS, DIRECT, POOLED, Measured, table


def results(direct: list[float], pooled: list[float]) -> list[Measured]:
    return [
        Measured(way, clients, rate, 20 + rate, 0, number)
        for clients in CLIENTS
        for way, rates in ((DIRECT, direct), (POOLED, pooled))
        for number, rate in enumerate(rates)
    ]


def test_ratios_are_of_measurements_that_followed_each_other() -> None:
    _, *lines = table(results(direct=[100, 200, 400], pooled=[150, 300, 800]))
    assert lines == [
        row
        for clients in CLIENTS
        for row in (
            [str(clients), DIRECT, "200", "220", "2", "0", ""],
            [str(clients), POOLED, "300", "320", "2", "0", "1.50 (1.50 to 2.00)"],
        )
    ]


def test_what_is_not_the_same_every_time_is_said_to_be_no_difference() -> None:
    lines = table(results(direct=[100, 100, 100], pooled=[150, 99, 150]))
    assert lines[-1][-1] == "1.50 (0.99 to 1.50), no real difference"
