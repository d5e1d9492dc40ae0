"""The gate's judgement of histories whose truth is known; from a real Prometheus: tests/gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import bake_error_rates
import pytest
import yaml
from histories import Truth, pair
from process_model import bake
from process_model.bake import FAIL, INCONCLUSIVE, PASS, Block, Judgement, Margins, Rules, decide
from process_model.intervals import Interval

ROOT = Path(__file__).resolve().parents[2]
SAME = Truth(noise=bake_error_rates.CALM)
SEED = 3


def judge(after: Truth = SAME, before: Truth = SAME, doubts: Sequence[str] = (), **rules: Any) -> Judgement:
    old, new = pair(before, after, SEED)
    return bake.judge(old, new, SAME.hosts, 3600, Rules(**rules), doubts)


def signals(judgement: Judgement, verdict: str) -> set[str]:
    return {each.signal for each in judgement.findings if each.verdict == verdict}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.1, 0.1, PASS), (0.05, 0.15, INCONCLUSIVE), (0.11, 0.2, FAIL), (-0.5, 0.5, INCONCLUSIVE)],
)
def test_the_whole_interval_decides(low: float, high: float, verdict: str) -> None:
    assert decide(Interval(0.0, low, high), 0.1) == verdict


def test_what_did_not_change_passes() -> None:
    found = judge()
    assert (found.verdict, found.reasons) == (PASS, [])
    assert signals(found, PASS) == {"memory", "latency", "errors", "restarts"}


@pytest.mark.parametrize(
    ("truth", "signal"),
    [
        (replace(SAME, memory=1.3), "memory"),
        (replace(SAME, memory=0.6, growth=0.5), "memory"),
        (replace(SAME, slower={"p50": 1.5}), "latency"),
        (replace(SAME, slower={"p95": 1.8}), "latency"),
        (replace(SAME, slower={"p99": 2.2}), "latency"),
        (replace(SAME, slower_at_peak={"p50": 2.2, "p95": 2.2, "p99": 2.2}), "latency"),
        (replace(SAME, errors=0.006), "errors"),
        (replace(SAME, errors_at_peak=0.02), "errors"),
        (replace(SAME, restarts=14), "restarts"),
    ],
)
def test_each_signal_fails_alone(truth: Truth, signal: str) -> None:
    found = judge(truth)
    assert found.verdict == FAIL
    assert signals(found, FAIL) == {signal}


@pytest.mark.parametrize(
    ("truth", "rules", "said"),
    [
        (replace(SAME, requests=50), {}, "too little traffic"),
        (replace(SAME, requests=70_000), {}, "another load:"),
        (replace(SAME, heavy_share=0.09), {}, "another mix: route page-description"),
        (SAME, {"requests": 10_000_000}, "too little traffic"),
    ],
)
def test_what_cannot_be_compared_is_inconclusive(truth: Truth, rules: dict[str, Any], said: str) -> None:
    found = judge(truth, **rules)
    assert found.verdict == INCONCLUSIVE
    assert said in found.reasons[0]


def test_a_doubt_outweighs_a_pass_and_a_failure() -> None:
    assert judge(doubts=["Prometheus was restarted"]).verdict == INCONCLUSIVE
    found = judge(replace(SAME, memory=1.5), doubts=["Prometheus was restarted"])
    assert found.verdict == INCONCLUSIVE
    assert any("memory of a host" in reason for reason in found.reasons), "what failed is said all the same"


def test_one_block_with_a_gap_is_enough() -> None:
    old, new = pair(SAME, SAME, SEED)
    holed = [replace(block, covered=0.5) if number == 20 else block for number, block in enumerate(new)]
    found = bake.judge(old, holed, 2, 3600, Rules())
    assert found.verdict == INCONCLUSIVE
    assert "gaps in scraping in the window: 1 of 48 blocks" in found.reasons[0]


def test_a_signal_that_nobody_saw_is_not_well() -> None:
    old, new = pair(SAME, SAME, SEED)
    found = bake.judge(old, [replace(block, memory=None) for block in new], 2, 3600, Rules())
    assert found.verdict == INCONCLUSIVE
    assert found.reasons == ["not judged, too few blocks with values: memory"]


def test_nothing_at_all_is_inconclusive() -> None:
    empty = [Block({}, 0, {}, None, 0)] * bake.BLOCKS
    assert bake.judge(empty, empty, 2, 3600, Rules()).verdict == INCONCLUSIVE


def test_a_negative_margin_asks_for_less() -> None:
    asked = Rules(Margins(memory=-0.2))
    for memory, verdict in ((0.6, PASS), (1.0, FAIL)):
        old, new = pair(SAME, replace(SAME, memory=memory), SEED)
        assert bake.judge(old, new, 2, 3600, asked).verdict == verdict


def test_a_service_that_fails_fails_all() -> None:
    good, bad, unsure = (Judgement(verdict, [verdict], []) for verdict in (PASS, FAIL, INCONCLUSIVE))
    assert bake.overall({"a": good}).verdict == PASS
    assert bake.overall({"a": good, "b": unsure}).verdict == INCONCLUSIVE
    assert bake.overall({"a": bad, "b": unsure}).verdict == FAIL
    assert bake.overall({}).verdict == INCONCLUSIVE


@pytest.mark.parametrize(
    ("given", "said"),
    [({"memroy": 0.1}, "'memroy' is not known"), ({"p95": "20"}, "p95 is '20'"), ({"errors": 0}, "above 0")],
)
def test_a_margin_that_is_none_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Margins.of(given)


def test_the_roles_documentation_names_the_margins_and_their_defaults() -> None:
    spec = yaml.safe_load((ROOT / "ansible/roles/plane_release/meta/argument_specs.yml").read_text())
    documented = spec["argument_specs"]["main"]["options"]["plane_release_gate_margins"]["options"]
    assert list(documented) == [each.name for each in fields(Margins)]
    for name, option in documented.items():
        assert f"{getattr(Margins(), name):g} where it is left open" in option["description"], name


@pytest.mark.parametrize(
    ("may_pass", "may_fail", "passes", "fails", "wrong"),
    [
        (False, False, 1, 5, False),
        (False, False, 2, 0, True),
        (False, False, 0, 6, True),
        (True, False, 90, 6, True),
        (True, False, 95, 5, False),
        (False, True, 0, 99, False),
    ],
)
def test_error_rates_are_held_to_what_is_promised(
    may_pass: bool, may_fail: bool, passes: int, fails: int, wrong: bool
) -> None:
    case = bake_error_rates.Case(SAME, SAME, may_pass, may_fail)
    assert bake_error_rates.wrong(case, {PASS: passes, FAIL: fails}, 100) is wrong
