"""Made-up histories of a service, for the gate's own tests: busy days and quiet nights, with noise that lingers.

The truth behind a history is known (Truth), so what the gate says about it can be right or wrong.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from process_model.bake import BLOCKS, Block

HOURS = 24
HEAVY_SHARE = 0.04
# Time of the median of both kinds of requests, in seconds, and the spread of their logarithms.
MEDIANS = {"default": 0.06, "page-description": 0.45}
SPREAD = 0.9
# Memory of a host at rest, and what the load of noon adds, in bytes.
REST, BUSY = 300 << 20, 80 << 20
# Hours of the day in which what is wrong only at peak is wrong.
PEAK_HOURS = range(10, 16)
Z = {"p50": 0.0, "p95": 1.6449, "p99": 2.3263}


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the logarithms of each hour's level, and how much an hour resembles the one before."""

    load: float = 0.08
    latency: float = 0.04
    memory: float = 0.015
    correlation: float = 0.5


@dataclass(frozen=True)
class Truth:
    """What a history is like. requests: an hour at noon. memory: what multiplies that of a host.

    errors: share of requests. slower: what multiplies a quantile of the latency; slower_at_peak: the same in the peak's
    hours. growth: share of the memory a day. restarts: unasked, of a host and day. bursts: of so
    many errors each.
    """

    requests: float = 36_000
    heavy_share: float = HEAVY_SHARE
    slower: Mapping[str, float] = field(default_factory=dict)
    slower_at_peak: Mapping[str, float] = field(default_factory=dict)
    memory: float = 1.0
    growth: float = 0.0
    errors: float = 0.0005
    errors_at_peak: float = 0.0
    bursts: float = 1.0
    restarts: float = 0.2
    hosts: int = 2
    noise: Noise = field(default_factory=Noise)


def of_day(hour: int) -> float:
    """The load of an hour as a share of noon's: 1 at 13 o'clock, a tenth at night."""
    return 0.1 + 0.9 * math.exp(-(((hour % HOURS - 13) / 4.5) ** 2))


def lingering(chance: random.Random, count: int, deviation: float, correlation: float) -> list[float]:
    """Noise of order 1: each value resembles the one before."""
    value = chance.gauss(0, deviation)
    found = []
    for _ in range(count):
        found.append(value)
        value = correlation * value + chance.gauss(0, deviation * math.sqrt(1 - correlation**2))
    return found


def poisson(chance: random.Random, mean: float) -> int:
    if mean > 50:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    count, product, least = 0, chance.random(), math.exp(-mean)
    while product > least:
        count += 1
        product *= chance.random()
    return count


def at(truth: Truth, hour: int, quantile: str) -> float:
    """What multiplies a quantile of the latency in an hour."""
    at_peak = truth.slower_at_peak.get(quantile, 1.0) if hour % HOURS in PEAK_HOURS else 1.0
    return truth.slower.get(quantile, 1.0) * at_peak


def history(truth: Truth, seed: int, blocks: int = BLOCKS) -> list[Block]:
    """Hour by hour, from midnight on. Sampling errors of the quantiles are those of as many answers."""
    chance = random.Random(seed)  # noqa: S311 - of a simulation
    noise = truth.noise
    loads = lingering(chance, blocks, noise.load, noise.correlation)
    memories = lingering(chance, blocks, noise.memory, min(0.9, noise.correlation + 0.2))
    levels = {route: lingering(chance, blocks, noise.latency, noise.correlation) for route in MEDIANS}
    tails = lingering(chance, blocks, noise.latency, noise.correlation)
    found = []
    for hour in range(blocks):
        busy = of_day(hour) * math.exp(loads[hour])
        requests: dict[str, float] = {
            "default": poisson(chance, truth.requests * busy * (1 - truth.heavy_share)),
            "page-description": poisson(chance, truth.requests * busy * truth.heavy_share),
        }
        share = truth.errors + (truth.errors_at_peak if hour % HOURS in PEAK_HOURS else 0.0)
        failed = poisson(chance, sum(requests.values()) * share / truth.bursts) * truth.bursts
        found.append(
            Block(
                requests=requests,
                errors=failed,
                latency={
                    route: _quantiles(chance, truth, hour, route, requests[route], levels[route][hour], tails[hour])
                    for route in MEDIANS
                },
                memory=truth.memory
                * (REST + BUSY * busy)
                * math.exp(memories[hour])
                * (1 + truth.growth * hour / HOURS),
                restarts=poisson(chance, truth.restarts * truth.hosts / HOURS),
            )
        )
    return found


def _quantiles(chance: random.Random, truth: Truth, hour: int, route: str, count: float, level: float, tail: float
               ) -> Mapping[str, float]:  # fmt: skip
    found = {}
    for name, z in Z.items():
        share = {"p50": 0.5, "p95": 0.95, "p99": 0.99}[name]
        density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi) / SPREAD
        sampling = math.sqrt(share * (1 - share) / max(1.0, count)) / density
        more = tail if name == "p99" else tail / 2 if name == "p95" else 0.0
        logarithm = SPREAD * z + level + more + chance.gauss(0, sampling)
        found[name] = MEDIANS[route] * at(truth, hour, name) * (1 + 0.4 * of_day(hour)) * math.exp(logarithm)
    return found


def pair(before: Truth, after: Truth, seed: int) -> tuple[Sequence[Block], Sequence[Block]]:
    return history(before, 2 * seed), history(after, 2 * seed + 1)
