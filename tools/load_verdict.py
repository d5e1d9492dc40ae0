"""What a load test found, and its verdict. No locust here: the verdict is tested without it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

PASS, FAIL = "pass", "fail"


@dataclass(frozen=True)
class Thresholds:
    """p95, p99: seconds of every kind but pages; page_p95: of those with `bytes`. errors: share of requests."""

    p95: float = 1.0
    p99: float = 3.0
    page_p95: float = 15.0
    errors: float = 0.001

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Thresholds:
        """From an inventory. Raises ValueError for a name or a value that is none."""
        known = [each.name for each in fields(cls)]
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"threshold {name!r} is not known. Allowed: {', '.join(known)}")
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                raise ValueError(f"threshold {name} is {value!r}. Allowed: a number of at least 0")
        return cls(**{name: float(value) for name, value in given.items()})


@dataclass(frozen=True)
class Answer:
    """One request: when it began (seconds since the beginning), what it took, and what was wrong; empty where right.

    wrong: an answer that says something else than it should, which no threshold allows; failed: none, or an error.
    """

    kind: str
    target: str
    began: float
    seconds: float
    failed: str = ""
    wrong: str = ""


@dataclass(frozen=True)
class Summary:
    """Of one kind of requests to one target; percentiles in seconds."""

    requests: int
    p50: float
    p95: float
    p99: float
    failed: Mapping[str, int]
    wrong: Mapping[str, int]


@dataclass(frozen=True)
class Verdict:
    verdict: str
    reasons: list[str] = field(default_factory=list)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many are not above; not a number where there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def summaries(answers: Sequence[Answer]) -> dict[str, dict[str, Summary]]:
    """Target -> kind -> what it was like."""
    found: dict[str, dict[str, Summary]] = {}
    for target, kind in sorted({(each.target, each.kind) for each in answers}):
        mine = [each for each in answers if (each.target, each.kind) == (target, kind)]
        times = [each.seconds for each in mine]
        found.setdefault(target, {})[kind] = Summary(
            requests=len(mine),
            p50=percentile(times, 0.5),
            p95=percentile(times, 0.95),
            p99=percentile(times, 0.99),
            failed=dict(Counter(each.failed for each in mine if each.failed)),
            wrong=dict(Counter(each.wrong for each in mine if each.wrong)),
        )
    return found


def judge(
    found: Mapping[str, Mapping[str, Summary]], thresholds: Thresholds, pages: set[str], wanted: set[str]
) -> Verdict:
    """wanted: the kinds that had to be asked; one that was not is a failure, as nothing was seen of it."""
    reasons = [
        f"nobody asked for {kind}" for kind in sorted(wanted - {kind for each in found.values() for kind in each})
    ]
    for target, kinds in found.items():
        asked = sum(each.requests for each in kinds.values())
        failed = sum(sum(each.failed.values()) for each in kinds.values())
        if failed > thresholds.errors * asked:
            reasons.append(
                f"{target}: {failed} of {asked} requests failed, allowed is a share of {thresholds.errors:g}"
            )
        for kind, each in kinds.items():
            reasons += [f"{target}: {kind}: {count} times {what}" for what, count in each.wrong.items()]
            limits = {"p95": thresholds.page_p95} if kind in pages else {"p95": thresholds.p95, "p99": thresholds.p99}
            for name, most in limits.items():
                value = getattr(each, name)
                if value > most:
                    reasons.append(f"{target}: {kind}: {name} is {value:.2f} s, allowed are {most:g} s")
    return Verdict(FAIL if reasons else PASS, reasons)
