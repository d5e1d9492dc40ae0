"""What a rollout reads of HAProxy while it watches a host."""

from __future__ import annotations

import pytest
from process_model.watch import Answers, answers_of, reasons_against

HEADER = {"hrsp_1xx": "0", "hrsp_3xx": "0", "hrsp_4xx": "", "hrsp_other": "0"}


def row(backend: str, server: str, good: int, errors: int = 0, lost: int = 0) -> dict[str, str]:
    return {**HEADER, "pxname": backend, "svname": server, "hrsp_2xx": str(good), "hrsp_5xx": str(errors),
            "econ": str(lost), "eresp": "0"}  # fmt: skip


def test_the_answers_of_all_routes_of_the_service_and_of_no_other_are_counted() -> None:
    statistics = [
        row("plane-api", "FRONTEND", 900, 90),
        row("plane-api", "blue", 10, 1),
        row("plane-api", "canary", 3, 2),
        row("plane-api", "BACKEND", 900, 90),
        row("plane-api.page-description", "blue", 5, 0, 2),
        row("plane-api-other", "blue", 70, 7),
        row("plane-graphql", "green", 40, 4),
    ]
    assert answers_of("plane-api", statistics) == Answers(total=16, errors=1, lost=2)
    assert answers_of("plane-api", statistics, canary=True) == Answers(total=5, errors=2, lost=0)


def test_only_what_came_since_counts() -> None:
    assert Answers(12, 3, 1).since(Answers(10, 3, 0)) == Answers(2, 0, 1)


@pytest.mark.parametrize(
    ("answers", "share", "bad"),
    [
        (Answers(0, 0, 0), 0.0, False),
        (Answers(100, 1, 0), 0.01, False),
        (Answers(100, 2, 0), 0.01, True),
        (Answers(99, 0, 1), 0.0, True),
        (Answers(0, 0, 1), 0.5, True),
    ],
)
def test_more_failed_requests_than_allowed_are_a_reason(answers: Answers, share: float, bad: bool) -> None:
    assert bool(reasons_against(answers, share)) is bad
