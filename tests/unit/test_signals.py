"""What is published of a service's memory and queue."""

from __future__ import annotations

import pytest
from process_model import signals

LOG = """\
10.0.0.1:4000 [26/Nov/2026:00:00:00.000] plane-api plane-api/blue 0/0/0/3/3 200 120 - - ---- 1/1/0/0/0 0/0 "GET / HTTP/1.1"
10.0.0.1:4001 [26/Nov/2026:00:00:00.000] plane-api plane-api.pages/blue 0/1284/0/90/1374 200 5242880 - - ---- 1/1/0/0/0 0/0 "GET /d HTTP/1.1"
10.0.0.1:4002 [26/Nov/2026:00:00:00.000] plane-api plane-api/blue 0/-1/-1/-1/4 503 120 - - SQ-- 1/1/0/0/0 0/1 "GET / HTTP/1.1"
10.0.0.1:4003 [26/Nov/2026:00:00:00.000] plane-graphql plane-graphql/blue 0/17/0/3/+20 200 120 - - ---- 1/1/0/0/0 0/0 "POST /graphql/ HTTP/1.1"
Proxy plane-api started.
"""  # noqa: E501 - HAProxy's own lines


def test_queue_times_are_those_of_the_service_heavy_routes_included() -> None:
    assert signals.queue_times(LOG.splitlines(), "plane-api") == {0.0: 1, 1.0: 1}
    assert signals.queue_times(LOG.splitlines(), "plane-graphql") == {0.02: 1}


def test_no_more_values_than_cloudwatch_takes() -> None:
    assert len({signals.rounded(hundredths / 1000) for hundredths in range(200_000)}) <= 150


@pytest.mark.parametrize(
    ("properties", "percent"),
    [
        ("MemoryCurrent=1073741824\nMemoryMax=2147483648\n", 50.0),
        ("MemoryCurrent=[not set]\nMemoryMax=2147483648\n", None),
        ("MemoryCurrent=1\nMemoryMax=infinity\n", None),
        ("", None),
    ],
)
def test_memory_is_a_share_of_the_limit_where_there_is_one(properties: str, percent: float | None) -> None:
    assert signals.memory_percent(signals.numbers_in(properties)) == percent


def test_what_cannot_be_known_is_not_published() -> None:
    assert signals.metric_data("staging", "plane-api", None, {}) == []
    (memory,) = signals.metric_data("staging", "plane-api", 50.0, {})
    assert memory["MetricName"] == "MemoryUsedPercent"


def test_entries_carry_the_dimensions_of_the_alarms() -> None:
    entries = signals.metric_data("cloud", "plane-graphql", 50.0, {0.01: 3, 0.0: 7})
    assert [each["Dimensions"] for each in entries] == [
        [{"Name": "Environment", "Value": "cloud"}, {"Name": "Service", "Value": "plane_graphql"}]
    ] * 2
    assert (entries[1]["Values"], entries[1]["Counts"]) == ([0.0, 0.01], [7, 3])
