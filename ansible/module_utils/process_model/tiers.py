"""The schema of ansible/vars/tiers.yml. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .sizing import MOST_THREADS, MOST_WORKERS, parse_size


@dataclass(frozen=True)
class Field:
    """holds: whether a value is right. allowed: what is, in words."""

    holds: Callable[[Any], bool]
    allowed: str


@dataclass(frozen=True)
class Wrong:
    """name: plane_tiers.<row>.<field>. value: as it is shown."""

    name: str
    value: str
    allowed: str


def _whole(low: int, high: int) -> Field:
    def holds(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return Field(holds, f"a whole number from {low} to {high}")


def _is_size(value: Any) -> bool:
    try:
        return parse_size(value) > 0
    except ValueError:
        return False


def _is_processors(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1024


SIZE = Field(_is_size, "a whole number and KiB, MiB, GiB or TiB, for example 2GiB")
REPLICAS = _whole(1, 1000)
SCHEMA: Mapping[str, Field] = {
    "cpu": Field(_is_processors, "processors, a number above 0"),
    "memory": SIZE,
    "memory_request": SIZE,
    "workers": _whole(1, MOST_WORKERS),
    "threads": _whole(1, MOST_THREADS),
    "replicas_min": REPLICAS,
    "replicas_max": Field(
        lambda value: value is None or REPLICAS.holds(value), f"{REPLICAS.allowed}, or null: as many as are needed"
    ),
}


def wrong(tiers: Any) -> list[Wrong]:
    """What in the table cannot be right; empty where nothing is."""
    if not isinstance(tiers, Mapping) or not tiers:
        return [Wrong("plane_tiers", repr(tiers), "a mapping of names to rows")]
    return [each for name, row in tiers.items() for each in _wrong_in_row(f"plane_tiers.{name}", row)]


def _wrong_in_row(name: str, row: Any) -> list[Wrong]:
    if not isinstance(row, Mapping):
        return [Wrong(name, repr(row), f"a row of {', '.join(SCHEMA)}")]
    found = [Wrong(f"{name}.{field}", "not known", ", ".join(SCHEMA)) for field in row if field not in SCHEMA]
    for field, rule in SCHEMA.items():
        if field not in row:
            found.append(Wrong(f"{name}.{field}", "missing", rule.allowed))
        elif not rule.holds(row[field]):
            found.append(Wrong(f"{name}.{field}", repr(row[field]), rule.allowed))
    if found:
        return found
    if parse_size(row["memory_request"]) > parse_size(row["memory"]):
        found.append(Wrong(f"{name}.memory_request", repr(row["memory_request"]), f"at most memory, {row['memory']}"))
    if row["replicas_max"] is not None and row["replicas_max"] < row["replicas_min"]:
        least = f"at least replicas_min, {row['replicas_min']}"
        found.append(Wrong(f"{name}.replicas_max", repr(row["replicas_max"]), least))
    return found
