"""From measurements to what may be said: the order they are made in, medians and spread, ratios, goals, refusals."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.data import BEST, Aim, Experiment, Goal, Release, Variant
from bench.generator import Tally

# With fewer repetitions, or by less, nothing is said to differ: of two that are the same, all of three repetitions lie
# on one side every fourth time.
FEWEST = 3
LEAST = 0.05


class RefusedError(Exception):
    """What was measured may not be published; the message says why."""


@dataclass(frozen=True)
class Measurement:
    """One variant in one case, once. cpu: seconds of processor that the service used meanwhile. peak, held: bytes of
    its control group at the most, and afterwards; not a number where its processes were not new ones.
    """

    case: str
    variant: str
    repetition: int
    tallies: Mapping[str, Tally]
    cpu: float
    peak: float = float("nan")
    held: float = float("nan")

    def value(self, load: str, metric: str) -> float:
        """A metric of a load; milliseconds where it is a time, MB where it is memory."""
        found = self.tallies[load]
        if metric == "rate":
            return found.rate
        if metric == "settled":
            return found.settled
        if metric in ("peak", "held"):
            return float(getattr(self, metric)) / 1e6
        if metric == "cpu":
            answers = sum(each.answered for each in self.tallies.values())
            return 1000 * self.cpu / answers if answers else float("nan")
        return 1000 * float(getattr(found, metric))

    @property
    def unfit(self) -> list[str]:
        """Why this says nothing about the server."""
        return [reason for one in self.tallies.values() for reason in one.unfit]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Measurement:
        tallies = {name: Tally(**each) for name, each in said["tallies"].items()}
        return cls(said["case"], said["variant"], said["repetition"], tallies, said["cpu"], said["peak"], said["held"])


@dataclass(frozen=True)
class Spread:
    """Of repetitions: median, least and most; not numbers where nothing was answered in any."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        known = [value for value in values if not math.isnan(value)] or [math.nan]
        return cls(statistics.median(known), min(known), max(known))


@dataclass(frozen=True)
class Row:
    """What is shown of one load of one variant in one case. ratio: to the first variant, pair by pair; None for itself.

    differs: every repetition says so, and there are enough of them. failed: of all repetitions. refused: why it has no
    figures.
    """

    case: str
    variant: str
    load: str
    values: Mapping[str, Spread]
    ratios: Mapping[str, Spread]
    differs: Mapping[str, bool]
    failed: Mapping[str, int]
    answered: int
    refused: Sequence[str]


def order(experiment: Experiment) -> list[tuple[str, str, int]]:
    """Case, variant, repetition, in the order of measuring: variants alternate, every other repetition backwards.

    So neither a machine that slows down nor who comes first favours one of them.
    """
    return [
        (case, variant, repetition)
        for case in experiment.cases
        for repetition in range(experiment.repetitions)
        for variant in list(experiment.variants)[:: -1 if repetition % 2 else 1]
    ]


def key(experiment: Experiment, case: str, variant: Variant, release: Release) -> str:
    """What a result has to have been measured with to be used again: the data files, as far as they concern it."""
    loads = {name: [asdict(load), asdict(release.paths[name])] for name, load in experiment.cases[case].items()}
    said = [loads, dict(release.headers), experiment.seconds, experiment.fresh, experiment.settle, asdict(variant)]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def differs(ratios: Sequence[float]) -> bool:
    """Whether every repetition says so, by enough."""
    one_sided = len(ratios) >= FEWEST and (min(ratios) > 1 or max(ratios) < 1)
    return one_sided and abs(statistics.median(ratios) - 1) >= LEAST


def rows(experiment: Experiment, found: Sequence[Measurement], metrics: Sequence[str]) -> list[Row]:
    """Every load of every variant in every case, in the experiment's order."""
    shown = []
    first = experiment.variants[0]
    for case, loads in experiment.cases.items():
        for variant in experiment.variants:
            mine = _of(found, case, variant)
            for load in loads:
                refused = sorted({reason for each in mine for reason in each.unfit})
                if not mine:
                    refused = ["not measured"]
                values, ratios, apart = {}, {}, {}
                for metric in metrics if not refused else ():
                    values[metric] = Spread.of([each.value(load, metric) for each in mine])
                    pairs = _ratios(mine, _of(found, case, first), load, metric) if variant != first else []
                    if pairs:
                        ratios[metric], apart[metric] = Spread.of(pairs), differs(pairs)
                failed: dict[str, int] = {}
                for each in mine:
                    for reason, count in each.tallies[load].failed.items():
                        failed[reason] = failed.get(reason, 0) + count
                answered = sum(each.tallies[load].answered for each in mine)
                shown.append(Row(case, variant, load, values, ratios, apart, failed, answered, refused))
    return shown


def _of(found: Sequence[Measurement], case: str, variant: str) -> list[Measurement]:
    return [each for each in found if each.case == case and each.variant == variant]


def _ratios(mine: Sequence[Measurement], theirs: Sequence[Measurement], load: str, metric: str) -> list[float]:
    """Repetition by repetition, so that what slowed the machine down is in both. Unfit ones are left out."""
    against = {each.repetition: each for each in theirs if not each.unfit}
    pairs = [
        each.value(load, metric) / against[each.repetition].value(load, metric)
        for each in mine
        if each.repetition in against and against[each.repetition].value(load, metric)
    ]
    return [ratio for ratio in pairs if not math.isnan(ratio)]


def front(aims: Sequence[Aim], case: str, shown: Sequence[Row]) -> list[str]:
    """The variants that no other one equals in all aims and beats in one, by their medians, in the order shown.

    A variant that was refused a figure is none of them.
    """
    reached: dict[str, tuple[float, ...]] = {}
    found = {(row.variant, row.load): row.values for row in shown if row.case == case}
    for variant in dict.fromkeys(row.variant for row in shown):
        values = [found.get((variant, aim.load), {}).get(aim.metric) for aim in aims]
        if all(value is not None and not math.isnan(value.median) for value in values):
            reached[variant] = tuple(sign(aim.metric) * value.median for aim, value in zip(aims, values) if value)
    return [
        variant
        for variant, mine in reached.items()
        if not any(
            all(other <= own for other, own in zip(theirs, mine)) and theirs != mine for theirs in reached.values()
        )
    ]


def sign(metric: str) -> int:
    """1 where less of a metric is better, -1 where more is."""
    return -1 if metric == "rate" else 1


def ranking(case: str, aim: Aim, shown: Sequence[Row]) -> list[list[str]]:
    """Variants from the best on, in groups: of two groups every repetition lies on its own side.

    Within a group they are in the order shown, as more cannot be said. A variant that has no figure is in none.
    """
    reached = {
        row.variant: sorted(
            sign(aim.metric) * bound for bound in (row.values[aim.metric].least, row.values[aim.metric].most)
        )
        for row in shown
        if row.case == case and row.load == aim.load and aim.metric in row.values
    }
    reached = {variant: bounds for variant, bounds in reached.items() if not math.isnan(bounds[0])}
    groups: list[list[str]] = []
    worst = -math.inf
    for variant in sorted(reached, key=lambda name: reached[name][0]):
        best_of_it, worst_of_it = reached[variant]
        if not groups or best_of_it > worst:
            groups.append([])
        groups[-1].append(variant)
        worst = max(worst, worst_of_it)
    return [[variant for variant in reached if variant in group] for group in groups]


@dataclass(frozen=True)
class Verdict:
    """A goal's ratio, and whether it was reached; None where it cannot be said."""

    goal: Goal
    against: str
    ratio: float | None
    reached: bool | None


def verdict(goal: Goal, shown: Sequence[Row]) -> Verdict:
    """Of medians; a row that was refused says nothing."""
    values = {
        (row.variant, row.case): row.values[goal.metric].median
        for row in shown
        if row.load == goal.load and goal.metric in row.values and not math.isnan(row.values[goal.metric].median)
    }
    against = goal.against_variant
    if against == BEST:
        candidates = {variant: value for (variant, case), value in values.items() if case == goal.against_case}
        against = min(candidates, key=lambda name: sign(goal.metric) * candidates[name], default=BEST)
    mine, theirs = values.get((goal.variant, goal.case)), values.get((against, goal.against_case))
    if mine is None or not theirs:
        return Verdict(goal, against, None, None)
    ratio = mine / theirs
    low = goal.at_least if goal.at_least is not None else float("-inf")
    high = goal.at_most if goal.at_most is not None else float("inf")
    return Verdict(goal, against, ratio, low <= ratio <= high)


def refuse(shown: Sequence[Row], found: Sequence[Measurement], text: str) -> None:
    """Raises RefusedError where errors were seen that the report does not show, or figures stand where none may.

    text: the report, as a reader sees it.
    """
    seen = sum(sum(one.failed.values()) for each in found for one in each.tallies.values())
    said = sum(sum(row.failed.values()) for row in shown)
    if seen != said:
        raise RefusedError(f"{seen} requests failed, and the report accounts for {said}")
    hidden = [f"{row.variant} in {row.case}" for row in shown if row.failed and failures(row.failed) not in text]
    if hidden:
        raise RefusedError(f"errors are not shown: {', '.join(hidden)}")
    bottleneck = [f"{row.variant} in {row.case}" for row in shown if row.refused and row.values]
    if bottleneck:
        raise RefusedError(f"figures of a client, not of the server: {', '.join(bottleneck)}")


def failures(failed: Mapping[str, int]) -> str:
    return ", ".join(f"{count} × {reason}" for reason, count in sorted(failed.items())) or "none"
