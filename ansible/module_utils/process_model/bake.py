"""The gate: is what runs now as good as what ran before, by the four signals of the proposal's rollout plan? No I/O.

Two histories of the same length are compared block by block: with 48 hours a block is an hour, and its partner the same
hour of a day before the switch. Each comparison asks whether the change is smaller than a margin (non-inferiority): it
passes where the whole interval lies below the margin, fails where the whole of it lies above, and else says nothing.
A pass needs a pass of every comparison, so none has to be surer because there are many. Whatever makes the two
histories incomparable makes the verdict `inconclusive`, whichever way the signals point.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .intervals import Counts, Interval, Level, level, rate_difference

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"
DAY = 86_400.0
BLOCKS = 48
# Of each end of an interval: one in a hundred passes wrongly at the margin, and as many fail. The nominal value is
# higher, as two days hold few independent values: `make bake-error-rates` says what it comes to.
CONFIDENCE = 0.997
# Pairs of blocks below which nothing is said about a level.
FEWEST_PAIRS = 24
# The busiest share of the blocks is judged by itself too: what is wrong only then drowns in the rest of the day. A
# quarter of the blocks says half as much as all of them, so it is held to twice the margin.
PEAK = 0.25
PEAK_MARGIN = 2.0
# A route with a smaller share of the requests is not judged by itself; its errors count all the same.
SMALLEST_ROUTE = 0.01
# A block in which a smaller share of the scrapes arrived has a gap.
COVERED = 0.9
# A block with fewer requests has no percentiles worth the name.
FEWEST_IN_BLOCK = 30
QUANTILES = ("p50", "p95", "p99")


@dataclass(frozen=True)
class Margins:
    """How much worse each signal may be and still count as not worse.

    memory, p50, p95, p99: shares of what it was; a negative one asks for less than before. memory_growth: share of the
    memory that it may grow a day beyond what it grew before. errors: share of all requests that may fail beyond what
    failed before. restarts: workers that end unasked, more than before, for each host and day.
    """

    memory: float = 0.1
    memory_growth: float = 0.15
    p50: float = 0.15
    p95: float = 0.2
    p99: float = 0.3
    errors: float = 0.001
    restarts: float = 3.0

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Margins:
        """From an inventory; what it leaves open is the default. Raises ValueError for what is no margin."""
        known = {each.name for each in fields(cls)}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"margin {name!r} is not known. Allowed: {', '.join(sorted(known))}")
            lowest = -1.0 if name in ("memory", "p50", "p95", "p99") else 0.0
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= lowest:
                raise ValueError(f"margin {name} is {value!r}. Allowed: a number above {lowest:g}")
        return cls(**{name: float(value) for name, value in given.items()})


@dataclass(frozen=True)
class Rules:
    """margins: as above. load: share by which the load of both histories may differ. requests: the fewest in each."""

    margins: Margins = field(default_factory=Margins)
    load: float = 0.3
    requests: int = 10_000


@dataclass(frozen=True)
class Block:
    """One stretch of time of one service, all hosts together.

    requests: by route. errors: answers of 500 and above. latency: route -> p50, p95 and p99 in seconds. memory: bytes,
    mean of the hosts; None where unknown. restarts: workers that ended unasked. recycled: those that were renewed.
    covered: the share of scrapes that arrived, of the target with the fewest.
    """

    requests: Mapping[str, float]
    errors: float
    latency: Mapping[str, Mapping[str, float]]
    memory: float | None
    restarts: float
    recycled: float = 0.0
    covered: float = 1.0

    @property
    def all_requests(self) -> float:
        return sum(self.requests.values())


@dataclass(frozen=True)
class Finding:
    """One comparison. before, after, change, low, high and margin have the unit that `unit` names.

    unit: `share` (of what it was), `share of requests`, or `a host and day`. before and after of a `share` are in
    seconds or bytes.
    """

    signal: str
    what: str
    unit: str
    before: float
    after: float
    change: float
    low: float
    high: float
    margin: float
    verdict: str

    def __str__(self) -> str:
        return (
            f"{self.what}: {_shown(self, self.before)} -> {_shown(self, self.after)}, "
            f"change {_change(self, self.change)} ({_change(self, self.low)} to {_change(self, self.high)}), "
            f"allowed {_change(self, self.margin)}"
        )


@dataclass(frozen=True)
class Judgement:
    """verdict: pass, fail or inconclusive. reasons: why it is not a pass, the deciding ones first."""

    verdict: str
    reasons: list[str]
    findings: list[Finding]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _shown(finding: Finding, value: float) -> str:
    if finding.signal == "memory":
        return f"{value / (1 << 20):,.0f} MiB"
    if finding.signal == "latency":
        return f"{value * 1000:,.0f} ms"
    return f"{value:.3%}" if finding.signal == "errors" else f"{value:.2f} {finding.unit}"


def _change(finding: Finding, value: float) -> str:
    if finding.signal == "restarts":
        return f"{value:+.2f}"
    return f"{value:+.3%}" if finding.signal == "errors" else f"{value:+.1%}"


def decide(interval: Interval, margin: float) -> str:
    """Below the margin with all of the interval, above it with all of it, or neither."""
    if interval.high <= margin:
        return PASS
    return FAIL if interval.low > margin else INCONCLUSIVE


def _logarithm(pair: tuple[float | None, float | None]) -> float | None:
    before, after = pair
    if not before or not after or before <= 0 or after <= 0 or math.isnan(before) or math.isnan(after):
        return None
    return math.log(after / before)


def peaks(before: Sequence[Block], after: Sequence[Block]) -> list[bool]:
    """Which pairs are the busiest."""
    busy = [old.all_requests + new.all_requests for old, new in zip(before, after)]
    least = sorted(busy, reverse=True)[max(1, round(PEAK * len(busy))) - 1]
    return [each >= least for each in busy]


def _geometric(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def _of_level(
    signal: str,
    what: str,
    pairs: Sequence[tuple[float | None, float | None]],
    busiest: Sequence[bool],
    margin: float,
) -> tuple[list[Finding], Level | None]:
    """A level over all blocks and over the busiest ones; nothing and None where there are too few."""
    logs = [_logarithm(pair) for pair in pairs]
    places = [place for place, each in enumerate(logs) if each is not None]
    if len(places) < FEWEST_PAIRS:
        return [], None
    at_peak = [busiest[place] for place in places]
    learnt = level(places, [each for each in logs if each is not None], [[float(each) for each in at_peak]])
    found = []
    for chosen, when, allowed in (
        ([True] * len(places), "", margin),
        (at_peak, ", at peak", margin * PEAK_MARGIN if margin > 0 else margin),
    ):
        if not any(chosen):
            continue
        of_logs = learnt.mean(chosen, CONFIDENCE)
        shares = Interval(*(math.expm1(min(50.0, each)) for each in (of_logs.value, of_logs.low, of_logs.high)))
        kept = [pairs[place] for place, each in zip(places, chosen) if each]
        was = _geometric(pair[0] for pair in kept if pair[0])
        found.append(
            Finding(
                signal,
                what + when,
                "share",
                was,
                was * (1 + shares.value),
                shares.value,
                shares.low,
                shares.high,
                allowed,
                decide(shares, allowed),
            )
        )
    return found, learnt


def _memory(
    before: Sequence[Block], after: Sequence[Block], busiest: Sequence[bool], seconds: float, margins: Margins
) -> list[Finding]:
    pairs = [(old.memory, new.memory) for old, new in zip(before, after)]
    found, learnt = _of_level("memory", "memory of a host", pairs, busiest, margins.memory)
    if learnt is not None:
        # Of a window shorter than a day the growth is that of the window: nobody can extrapolate minutes to a day.
        unit = min(DAY, len(pairs) * seconds)
        a_block = learnt.growth(CONFIDENCE)
        growth = Interval(*(each * unit / seconds for each in (a_block.value, a_block.low, a_block.high)))
        ends = found[0]
        found.append(
            Finding(
                "memory",
                f"memory of a host, growth in {unit / 3600:g} h",
                "share",
                ends.before,
                ends.after,
                growth.value,
                growth.low,
                growth.high,
                margins.memory_growth,
                decide(growth, margins.memory_growth),
            )
        )
    return found


def judged_routes(before: Sequence[Block], after: Sequence[Block]) -> list[str]:
    """The routes that are judged by themselves: those with a share of the requests in either history."""
    routes = sorted({route for block in (*before, *after) for route in block.requests})

    def share(blocks: Sequence[Block], route: str) -> float:
        whole = sum(block.all_requests for block in blocks)
        return sum(block.requests.get(route, 0.0) for block in blocks) / whole if whole else 0.0

    return [route for route in routes if max(share(before, route), share(after, route)) >= SMALLEST_ROUTE]


def _latency(
    before: Sequence[Block], after: Sequence[Block], busiest: Sequence[bool], margins: Margins
) -> list[Finding]:
    found = []
    for route in judged_routes(before, after):
        enough = [
            min(old.requests.get(route, 0), new.requests.get(route, 0)) >= FEWEST_IN_BLOCK
            for old, new in zip(before, after)
        ]
        for quantile in QUANTILES:
            pairs = [
                (_quantile(old, route, quantile), _quantile(new, route, quantile)) if each else (None, None)
                for old, new, each in zip(before, after, enough)
            ]
            found += _of_level("latency", f"{quantile} of route {route}", pairs, busiest, getattr(margins, quantile))[0]
    return found


def _quantile(block: Block, route: str, quantile: str) -> float | None:
    return block.latency.get(route, {}).get(quantile)


def _counted(
    signal: str,
    what: str,
    unit: str,
    before: Counts,
    after: Counts,
    margin: float,
) -> Finding:
    change = rate_difference(before, after, CONFIDENCE)
    return Finding(
        signal,
        what,
        unit,
        before.rate(CONFIDENCE).value,
        after.rate(CONFIDENCE).value,
        change.value,
        change.low,
        change.high,
        margin,
        decide(change, margin),
    )


def _errors(
    before: Sequence[Block], after: Sequence[Block], busiest: Sequence[bool], margins: Margins
) -> list[Finding]:
    found = []
    for chosen, when, allowed in (
        ([True] * len(before), "", margins.errors),
        (list(busiest), ", at peak", margins.errors * PEAK_MARGIN),
    ):
        counts = [
            Counts(
                [block.errors for block, each in zip(blocks, chosen) if each],
                [block.all_requests for block, each in zip(blocks, chosen) if each],
            )
            for blocks in (before, after)
        ]
        if all(sum(each.exposures) > 0 for each in counts):
            what = f"requests that failed{when}"
            found.append(_counted("errors", what, "share of requests", counts[0], counts[1], allowed))
    return found


def _restarts(before: Sequence[Block], after: Sequence[Block], hosts: int, seconds: float, margins: Margins) -> Finding:
    # As with memory's growth: a day, or all of a window that is shorter.
    unit = min(DAY, len(after) * seconds)
    counts = [
        Counts([block.restarts for block in blocks], [hosts * seconds / unit] * len(blocks))
        for blocks in (before, after)
    ]
    name = "a host and day" if unit == DAY else "a host and window"
    return _counted("restarts", "workers that ended unasked", name, counts[0], counts[1], margins.restarts)


def load_doubts(before: Sequence[Block], after: Sequence[Block], rules: Rules) -> list[str]:
    """Why the two histories cannot be compared: too little traffic, or another load."""
    was, found = (sum(block.all_requests for block in blocks) for blocks in (before, after))
    doubts = [
        f"too little traffic: {count:,.0f} requests {when}, needed are {rules.requests:,}"
        for count, when in ((was, "before the switch"), (found, "in the window"))
        if count < rules.requests
    ]
    if doubts:
        return doubts

    def differs(old: float, new: float) -> bool:
        return not 1 / (1 + rules.load) <= (new / old if old else math.inf) <= 1 + rules.load

    if differs(was, found):
        doubts.append(f"another load: {was:,.0f} requests before the switch, {found:,.0f} in the window")
    busiest = peaks(before, after)
    top = [sum(block.all_requests for block, each in zip(blocks, busiest) if each) for blocks in (before, after)]
    if not doubts and differs(*top):
        doubts.append(f"another load at peak: {top[0]:,.0f} requests before the switch, {top[1]:,.0f} in the window")
    for route in judged_routes(before, after):
        old, new = (sum(block.requests.get(route, 0.0) for block in blocks) for blocks in (before, after))
        if not doubts and differs(old / was, new / found):
            doubts.append(f"another mix: route {route} had {old / was:.1%} of the requests, now {new / found:.1%}")
    return doubts


def gap_doubts(before: Sequence[Block], after: Sequence[Block], seconds: float) -> list[str]:
    doubts = []
    for blocks, when in ((before, "before the switch"), (after, "in the window")):
        gaps = [block.covered for block in blocks if block.covered < COVERED]
        if gaps:
            doubts.append(
                f"gaps in scraping {when}: {len(gaps)} of {len(blocks)} blocks of {seconds / 60:g} minutes; in the "
                f"worst {min(gaps):.0%} of the scrapes arrived, needed are {COVERED:.0%}"
            )
    return doubts


def judge(
    before: Sequence[Block],
    after: Sequence[Block],
    hosts: int,
    seconds: float,
    rules: Rules,
    doubts: Sequence[str] = (),
) -> Judgement:
    """Judge one service. seconds: of a block. doubts: what is already known to make the histories incomparable."""
    if len(before) != len(after):
        raise ValueError(f"{len(before)} blocks before the switch, {len(after)} in the window: as many are needed")
    reasons = [*doubts, *gap_doubts(before, after, seconds), *load_doubts(before, after, rules)]
    findings: list[Finding] = []
    if all(sum(block.all_requests for block in blocks) > 0 for blocks in (before, after)):
        busiest = peaks(before, after)
        findings = [
            *_memory(before, after, busiest, seconds, rules.margins),
            *_latency(before, after, busiest, rules.margins),
            *_errors(before, after, busiest, rules.margins),
            _restarts(before, after, hosts, seconds, rules.margins),
        ]
        reasons += missing_signals(before, after, findings)
    undecided = [str(each) for each in findings if each.verdict == INCONCLUSIVE]
    failed = [str(each) for each in findings if each.verdict == FAIL]
    if reasons:
        return Judgement(INCONCLUSIVE, reasons + failed, findings)
    if failed:
        return Judgement(FAIL, failed, findings)
    return Judgement(INCONCLUSIVE if undecided else PASS, undecided, findings)


def missing_signals(before: Sequence[Block], after: Sequence[Block], findings: Sequence[Finding]) -> list[str]:
    """What could not be judged at all: a signal that nobody saw is no signal that is well."""
    seen = {each.what for each in findings}
    missing = [] if "memory of a host" in seen else ["memory"]
    missing += [
        f"{quantile} of route {route}"
        for route in judged_routes(before, after)
        for quantile in QUANTILES
        if f"{quantile} of route {route}" not in seen
    ]
    return [f"not judged, too few blocks with values: {', '.join(missing)}"] if missing else []


def overall(judgements: Mapping[str, Judgement]) -> Judgement:
    """Of several services: fails with any, and passes only with all of them."""
    reasons = [f"{service}: {reason}" for service, each in judgements.items() for reason in each.reasons]
    findings = [finding for each in judgements.values() for finding in each.findings]
    verdicts = {each.verdict for each in judgements.values()}
    if not verdicts:
        return Judgement(INCONCLUSIVE, ["no service was judged"], [])
    verdict = FAIL if FAIL in verdicts else INCONCLUSIVE if INCONCLUSIVE in verdicts else PASS
    return Judgement(verdict, reasons, findings)
