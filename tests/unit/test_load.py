"""The verdict of a load test; the test itself runs against the lab (make loadtest)."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from load_verdict import FAIL, PASS, Answer, Thresholds, judge, percentile, summaries

ROOT = Path(__file__).resolve().parents[2]
GOOD = [Answer("me", "api1", number, 0.1) for number in range(95)] + [
    Answer("page", "api1", number, 4.0) for number in range(5)
]
LIMITS = Thresholds()


def verdict(*more: Answer, wanted: set[str] | None = None) -> tuple[str, list[str]]:
    found = judge(summaries([*GOOD, *more]), LIMITS, {"page"}, wanted or {"me", "page"})
    return found.verdict, found.reasons


def test_what_is_within_the_thresholds_passes() -> None:
    assert verdict() == (PASS, [])


def test_pages_have_a_threshold_of_their_own() -> None:
    assert verdict(*[Answer("me", "api1", 1, 4.0)] * 20)[1] == [
        "api1: me: p95 is 4.00 s, allowed are 1 s",
        "api1: me: p99 is 4.00 s, allowed are 3 s",
    ]
    assert verdict(*[Answer("page", "api1", 1, 16.0)] * 5)[1] == ["api1: page: p95 is 16.00 s, allowed are 15 s"]


def test_a_failed_request_in_a_hundred_is_too_many() -> None:
    assert verdict(Answer("me", "api1", 1, 0.1, failed="status 503"))[1] == [
        "api1: 1 of 101 requests failed, allowed is a share of 0.001"
    ]


def test_one_wrong_answer_fails_whatever_the_thresholds_are() -> None:
    assert verdict(Answer("page", "api1", 1, 0.1, wrong="12 bytes instead of 5242880")) == (
        FAIL,
        ["api1: page: 1 times 12 bytes instead of 5242880"],
    )


def test_what_nobody_asked_for_was_not_tested() -> None:
    assert verdict(wanted={"me", "page", "graphql"}) == (FAIL, ["nobody asked for graphql"])


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.95, 10), (0.1, 1)])
def test_percentiles_are_values_that_were_seen(share: float, value: float) -> None:
    assert percentile(list(range(1, 11)), share) == value


def test_a_threshold_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'p59' is not known"):
        Thresholds.of({"p59": 1})


def test_the_roles_documentation_names_the_thresholds_and_their_defaults() -> None:
    spec = yaml.safe_load((ROOT / "ansible/roles/plane_release/meta/argument_specs.yml").read_text())
    documented = spec["argument_specs"]["main"]["options"]["plane_release_load_thresholds"]["options"]
    assert list(documented) == [each.name for each in fields(Thresholds)]
    for name, option in documented.items():
        assert f"{getattr(LIMITS, name):g} where it is left open" in option["description"], name
