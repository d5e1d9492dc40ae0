"""The tiers are what the schema says, and what the calculator says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from process_model import sizing, tiers

TIERS: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).resolve().parents[2] / "ansible" / "vars" / "tiers.yml").read_text(encoding="utf-8")
)["plane_tiers"]


def test_the_tiers_are_as_the_schema_says() -> None:
    assert tiers.wrong(TIERS) == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("cpu", 0, "processors, a number above 0"),
        ("cpu", "1", "processors, a number above 0"),
        ("memory", "2GB", "KiB, MiB, GiB or TiB"),
        ("memory", 2048, "KiB, MiB, GiB or TiB"),
        ("memory_request", "3GiB", "at most memory, 2GiB"),
        ("workers", 0, "a whole number from 1 to 128"),
        ("threads", True, "a whole number from 1 to 512"),
        ("replicas_min", None, "a whole number from 1 to 1000"),
        ("replicas_max", 1, "at least replicas_min, 2"),
    ],
)
def test_a_value_that_cannot_be_right_names_its_row_and_field(field: str, value: Any, said: str) -> None:
    (found,) = tiers.wrong({**TIERS, "low": {**TIERS["low"], field: value}})
    assert found.name == f"plane_tiers.low.{field}"
    assert found.value == repr(value)
    assert said in found.allowed


def test_fields_that_are_missing_or_unknown_are_named() -> None:
    row = {("ram" if field == "memory" else field): value for field, value in TIERS["low"].items()}
    assert [(found.name, found.value) for found in tiers.wrong({"low": row})] == [
        ("plane_tiers.low.ram", "not known"),
        ("plane_tiers.low.memory", "missing"),
    ]
    assert [found.name for found in tiers.wrong({"low": 2})] == ["plane_tiers.low"]
    assert [found.name for found in tiers.wrong(None)] == ["plane_tiers"]


@pytest.mark.parametrize("name", TIERS)
def test_what_a_tier_requests_is_what_a_change_takes_under_load(name: str) -> None:
    row = TIERS[name]
    model = sizing.Model(row["workers"], row["threads"], heavy_slots=2, preload=True)
    change = sizing.smallest_limits(model, sizing.MEASURED).change
    assert change <= sizing.parse_size(row["memory_request"]) < 2 * change
