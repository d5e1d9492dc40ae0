"""Who may go on: the order, the gate before, its age, its identity; and records that nobody can change unseen."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from process_model import promotion
from process_model.promotion import GATE, OVERRIDE, PROMOTION, PromotionError, Record

ORDER = ["staging", "cloud", "commercial", "community"]
NOW = promotion.utc_now().replace(microsecond=0)
IDENTITY = {"plane-api": {"release": "r" * 64, "entrypoint": "e" * 64, "model": "m" * 64}}
VALID = dict.fromkeys(ORDER, 168.0)


def at(hours: float) -> str:
    return (NOW - timedelta(hours=hours)).isoformat()


def gate(folder: Path, environment: str = "staging", verdict: str = "pass", hours: float = 1, **more: Any) -> Record:
    content = {"time": at(hours), "verdict": verdict, "reasons": ["p95 is slower"], "identity": IDENTITY, **more}
    promotion.append(folder, environment, GATE, content)
    return promotion.read(folder, environment)[-1]


def promoted(folder: Path, environment: str, rests_on: str | None, kind: str = PROMOTION, hours: float = 50) -> None:
    content = {"time": at(hours), "identity": IDENTITY, "shown": {"plane-api": "release 1, gthread 2×8"},
               "rests_on": rests_on, "by": "ada", "why": "an outage"}  # fmt: skip
    promotion.append(folder, environment, kind, content)


def refused(folder: Path, environment: str, identity: Any = IDENTITY, **more: Any) -> list[str]:
    records = promotion.read_all(folder, ORDER)
    return promotion.allowed(ORDER, environment, records, NOW, 168, identity, **more).refused


def test_the_first_environment_needs_no_gate(tmp_path: Path) -> None:
    assert refused(tmp_path, "staging") == []


def test_the_next_needs_the_gate_before_it(tmp_path: Path) -> None:
    assert refused(tmp_path, "cloud") == ["staging has no record of its gate: make bake ENV=staging"]
    gate(tmp_path)
    assert refused(tmp_path, "cloud") == []
    assert refused(tmp_path, "commercial") == ["cloud has no record of its gate: make bake ENV=cloud"]


def test_an_environment_without_a_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromotionError, match="demo has no place in the order of promotion: staging -> cloud"):
        refused(tmp_path, "demo")


@pytest.mark.parametrize("verdict", ["fail", "inconclusive", "", "PASS"])
def test_only_a_pass_counts_and_the_newest_one(tmp_path: Path, verdict: str) -> None:
    gate(tmp_path)
    gate(tmp_path, verdict=verdict)
    assert refused(tmp_path, "cloud")[0].startswith(f"the gate of staging says {verdict}")
    gate(tmp_path)
    assert refused(tmp_path, "cloud") == []


def test_a_gate_grows_too_old(tmp_path: Path) -> None:
    gate(tmp_path, hours=169)
    assert "the gate of staging is 169 h old, plane_release_gate_validity_hours is 168" in refused(tmp_path, "cloud")[0]


def test_a_gate_of_the_future_is_none(tmp_path: Path) -> None:
    gate(tmp_path, hours=-2)
    assert "is of the future" in refused(tmp_path, "cloud")[0]


@pytest.mark.parametrize("part", ["release", "entrypoint", "model"])
@pytest.mark.parametrize("mine", ["x" * 64, "", None])
def test_something_else_than_what_passed_is_refused(tmp_path: Path, part: str, mine: str | None) -> None:
    gate(tmp_path)
    other = {"plane-api": {**IDENTITY["plane-api"], part: mine}}
    (said,) = refused(tmp_path, "cloud", other)
    assert f"the {promotion.PARTS[part]} of plane-api is not the one that passed in staging" in said


def test_a_service_that_was_not_judged_is_refused(tmp_path: Path) -> None:
    gate(tmp_path)
    both = {**IDENTITY, "plane-graphql": IDENTITY["plane-api"]}
    assert refused(tmp_path, "cloud", both) == ["plane-graphql was not judged in staging"]


def test_another_edition_names_the_release_that_it_was_built_from(tmp_path: Path) -> None:
    gate(tmp_path)
    edition = {"plane-api": {**IDENTITY["plane-api"], "release": "c" * 64}}
    assert refused(tmp_path, "cloud", edition, built_from="r" * 64) == []
    assert "the release of plane-api" in refused(tmp_path, "cloud", edition, built_from="q" * 64)[0]


def change(path: str, **values: Any) -> None:
    file = Path(path)
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_a_record_that_was_changed_is_seen(tmp_path: Path) -> None:
    record = gate(tmp_path, verdict="fail")
    change(record.path, verdict="pass")
    assert "was changed after it was written" in refused(tmp_path, "cloud")[0]


def test_a_record_that_was_changed_with_its_digest_is_seen_by_the_next(tmp_path: Path) -> None:
    record = gate(tmp_path, verdict="fail")
    gate(tmp_path, hours=0.5)
    forged = {**record.content, "verdict": "pass"}
    change(record.path, verdict="pass", digest=promotion.digest_of(forged))
    assert "0002-gate.json does not follow the record before it" in refused(tmp_path, "cloud")[0]


def test_a_record_that_was_taken_away_is_seen(tmp_path: Path) -> None:
    first = gate(tmp_path, verdict="fail")
    gate(tmp_path)
    Path(first.path).unlink()
    assert "one is missing or was put in" in refused(tmp_path, "cloud")[0]


def test_the_gate_that_a_promotion_rests_on_cannot_be_taken_away(tmp_path: Path) -> None:
    record = gate(tmp_path)
    promoted(tmp_path, "cloud", record.digest)
    Path(record.path).unlink()
    assert "rests on a record that is not there" in promotion.broken(promotion.read_all(tmp_path, ORDER))[0]


def test_a_file_that_is_no_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging/0001-gate.json").write_text("{}")
    with pytest.raises(PromotionError, match=r"0001-gate\.json is no record"):
        promotion.read(tmp_path, "staging")


def test_the_pipeline_says_what_comes_next(tmp_path: Path) -> None:
    def stages() -> dict[str, promotion.Stage]:
        found = promotion.pipeline(ORDER, promotion.read_all(tmp_path, ORDER), NOW, VALID)
        return {stage.environment: stage for stage in found}

    assert stages()["staging"].next == "make bake ENV=staging"
    assert stages()["cloud"].next == "wait for staging"
    passed = gate(tmp_path, services={"plane-api": {"runs": ["release 1, gthread 2×8"]}})
    assert (stages()["staging"].gate, stages()["staging"].age) == ("pass", "1 h")
    assert stages()["staging"].runs == "plane-api: release 1, gthread 2×8"
    assert stages()["cloud"].next == "ansible-playbook ansible/playbooks/promote.yml -l cloud"
    promoted(tmp_path, "cloud", passed.digest)
    assert (stages()["cloud"].gate, stages()["cloud"].next) == ("none", "make bake ENV=cloud")
    gate(tmp_path, "cloud", "fail")
    assert stages()["cloud"].next.startswith("mend what failed")
    assert stages()["commercial"].next == "wait for cloud"
    gate(tmp_path, "cloud")
    assert stages()["cloud"].next == "go on with commercial"


def test_an_override_stays_visible_until_the_next_promotion(tmp_path: Path) -> None:
    promoted(tmp_path, "cloud", None, OVERRIDE)
    gate(tmp_path, "cloud")

    def overridden() -> str:
        return promotion.pipeline(ORDER, promotion.read_all(tmp_path, ORDER), NOW, VALID)[1].overridden

    assert overridden() == "by ada: an outage"
    promoted(tmp_path, "cloud", gate(tmp_path).digest)
    assert overridden() == ""
