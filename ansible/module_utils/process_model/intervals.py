"""Intervals for differences between two stretches of time whose values are not independent of each other. No I/O.

Values of neighbouring blocks of time resemble each other, so many of them say less than as many independent ones.
Levels (memory, latency) are therefore taken as a regression with errors that are autocorrelated of order 1; counts
(errors, restarts) as Poisson counts whose dispersion is measured. No bootstrap: with two days of blocks its intervals
are too narrow (`make bake-error-rates` shows how often these here are wrong).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

# Of the autocorrelation: beyond it two days hold too few independent values, and the interval is endless anyway.
MOST_CORRELATED = 0.95
FEWEST_FREEDOM = 3.0
NEGLIGIBLE = 1e-4


@dataclass(frozen=True)
class Interval:
    """An estimate, and between what the truth lies with the confidence that was asked for."""

    value: float
    low: float
    high: float


def t_quantile(share: float, freedom: float) -> float:
    """Quantile of Student's t, by the expansion of Cornish and Fisher; within 2 % from 3 degrees of freedom on."""
    z = NormalDist().inv_cdf(share)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right))


def _orthonormal(columns: Sequence[Sequence[float]]) -> list[list[float]]:
    """The columns' own directions, one after the other; a column that the others already say is left out."""
    found: list[list[float]] = []
    for column in columns:
        rest = list(column)
        for each in found:
            share = _dot(rest, each)
            rest = [value - share * part for value, part in zip(rest, each)]
        length = math.sqrt(_dot(rest, rest))
        if length > 1e-9 * math.sqrt(_dot(column, column) or 1):
            found.append([value / length for value in rest])
    return found


def _variance(weights: Sequence[float], places: Sequence[int], correlation: float) -> float:
    """Of a weighted sum of values with variance 1, autocorrelated of order 1, at these places in time."""
    found = _dot(weights, weights)
    power = correlation
    for lag in range(1, places[-1] - places[0] + 1):
        if power < NEGLIGIBLE:
            break
        later = dict(zip((place - lag for place in places), weights))
        found += 2 * power * sum(weight * later.get(place, 0.0) for place, weight in zip(places, weights))
        power *= correlation
    return found


@dataclass(frozen=True)
class Level:
    """Differences (of logarithms, most often) at places in time, and what was learnt about their noise.

    correlation: between neighbours. deviation: of one difference around the level. freedom: degrees of freedom.
    """

    places: Sequence[int]
    differences: Sequence[float]
    correlation: float
    deviation: float
    freedom: float

    def weighted(self, weights: Sequence[float], confidence: float) -> Interval:
        """The interval of a weighted sum of the differences, `confidence` on each side (0.99: 1 % beyond each end)."""
        value = _dot(weights, self.differences)
        spread = self.deviation * math.sqrt(_variance(weights, self.places, self.correlation))
        reach = t_quantile(confidence, self.freedom) * spread
        return Interval(value, value - reach, value + reach)

    def mean(self, chosen: Sequence[bool], confidence: float) -> Interval:
        """Of the differences that are chosen."""
        count = sum(chosen)
        return self.weighted([1 / count if each else 0.0 for each in chosen], confidence)

    def growth(self, confidence: float) -> Interval:
        """By how much the differences grow from one place to the next."""
        middle = sum(self.places) / len(self.places)
        apart = [place - middle for place in self.places]
        square = _dot(apart, apart)
        return self.weighted([each / square for each in apart], confidence)


def level(places: Sequence[int], differences: Sequence[float], groups: Sequence[Sequence[float]]) -> Level:
    """Learn the noise of the differences around their mean, their trend, and those of `groups` (1 in, 0 out).

    At least 12 differences. The estimate of the autocorrelation is corrected for its bias, which is towards 0.
    """
    count = len(differences)
    columns = _orthonormal([[1.0] * count, [float(place) for place in places], *groups])
    rest = list(differences)
    for column in columns:
        share = _dot(rest, column)
        rest = [value - share * part for value, part in zip(rest, column)]
    total = _dot(rest, rest)
    if total <= 1e-18:
        return Level(places, differences, 0.0, math.sqrt(total / count), float(count - len(columns)))
    neighbours = [(a, b) for a, b, at, after in zip(rest, rest[1:], places, places[1:]) if after - at == 1]
    seen = sum(a * b for a, b in neighbours) / total * (count - 1) / max(1, len(neighbours))
    known = len(columns)
    likely = (count * seen + known) / (count - known - 2)
    # Too low makes the interval too narrow, too high only makes it wider: so one standard error more.
    careful = likely + math.sqrt(max(0.0, 1 - likely**2) / count)
    correlation = min(MOST_CORRELATED, max(0.0, careful))
    taken = sum(_variance(column, places, correlation) for column in columns)
    deviation = math.sqrt(total / max(1.0, count - taken))
    independent = count * (1 - correlation**2) / (1 + correlation**2)
    return Level(places, differences, correlation, deviation, max(FEWEST_FREEDOM, independent - known))


def poisson_limits(count: float, confidence: float) -> tuple[float, float]:
    """Between what the expectation of a Poisson count lies (Byar's approximation to the exact limits)."""
    z = NormalDist().inv_cdf(confidence)
    low = 0.0 if count <= 0 else count * max(0.0, 1 - 1 / (9 * count) - z / (3 * math.sqrt(count))) ** 3
    more = count + 1
    return low, more * (1 - 1 / (9 * more) + z / (3 * math.sqrt(more))) ** 3


def dispersion(counts: Sequence[float], exposures: Sequence[float]) -> float:
    """How much more the counts vary than Poisson's would, runs of many or few included; at least 1.

    exposures: what each count is a share of (requests, or time), above 0.
    """
    rate = sum(counts) / sum(exposures)
    if rate <= 0 or len(counts) < 2:
        return 1.0
    rest = [(count - rate * exposure) / math.sqrt(rate * exposure) for count, exposure in zip(counts, exposures)]
    total = _dot(rest, rest)
    ratio = total / (len(counts) - 1)
    if ratio <= 0:
        return 1.0
    correlation = min(0.9, max(0.0, sum(a * b for a, b in zip(rest, rest[1:])) / total))
    return max(1.0, ratio * (1 + correlation) / (1 - correlation))


@dataclass(frozen=True)
class Counts:
    """Events and what they are counted against, block by block."""

    events: Sequence[float]
    exposures: Sequence[float]

    def rate(self, confidence: float) -> Interval:
        """Events per exposure; blocks without any exposure say nothing."""
        pairs = [(event, exposure) for event, exposure in zip(self.events, self.exposures) if exposure > 0]
        if not pairs:
            return Interval(math.nan, 0.0, math.inf)
        events, exposures = [event for event, _ in pairs], [exposure for _, exposure in pairs]
        spread = dispersion(events, exposures)
        low, high = poisson_limits(sum(events) / spread, confidence)
        whole = sum(exposures)
        return Interval(sum(events) / whole, low * spread / whole, high * spread / whole)


def rate_difference(before: Counts, after: Counts, confidence: float) -> Interval:
    """`after` less `before`, from the limits of each (the method of variance estimates recovery)."""
    was, found = before.rate(confidence), after.rate(confidence)
    value = found.value - was.value
    return Interval(
        value,
        value - math.hypot(found.value - found.low, was.high - was.value),
        value + math.hypot(found.high - found.value, was.value - was.low),
    )
