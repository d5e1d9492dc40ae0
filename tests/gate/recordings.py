"""Three days before a switch and two after it, as Prometheus would have recorded them, in the OpenMetrics text format.

What a service does comes from tools/histories.py; here it becomes counters, buckets and gauges under the names of
ansible/vars/metrics.yml, one environment a scenario.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bake_error_rates import CALM
from histories import BUSY, MEDIANS, REST, SPREAD, Truth, at, lingering, of_day
from process_model.bake import BLOCKS, QUANTILES

HOUR = 3600
SCRAPE = 240
# Midnight, so that the hours of histories.py are those of the day. The switch is right before the window.
END = 1_795_392_000
# The stretch before the switch ends whole days before the window does, and before the switch: three of them.
START = END - 72 * HOUR - BLOCKS * HOUR
SWITCH = END - BLOCKS * HOUR - 600
HOSTS = ("api1", "api2")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, math.inf)
JOBS = ("plane-admission", "plane-requests", "plane-host")
FINGERPRINTS = {"before": "b" * 64, "after": "a" * 64}

Labels = Mapping[str, str]
Sample = tuple[int, float]
SAME = Truth(noise=CALM)


@dataclass(frozen=True)
class Scenario:
    """What happened in an environment, and what the gate has to say of it.

    gaps: seconds since 1970 between which a job of the first host was not scraped. resets: when counters of every host
    began anew. switched: hosts that were switched, and when; a second switch of a host is a change in the window.
    observers: when the exporter of a host was restarted. beside: what GraphQL, which was not switched, is like after
    the switch; None: there is no GraphQL.
    """

    verdict: str
    said: str
    before: Truth = SAME
    after: Truth = SAME
    gaps: Sequence[tuple[int, int]] = ()
    resets: Sequence[int] = ()
    switched: Mapping[str, Sequence[int]] = field(default_factory=lambda: dict.fromkeys(HOSTS, (SWITCH,)))
    observers: Sequence[int] = ()
    prometheus: Sequence[int] = ()
    beside: Truth | None = None

    @property
    def services(self) -> dict[str, Truth]:
        """What each service is like after the switch."""
        return {"plane-api": self.after, **({"plane-graphql": self.beside} if self.beside else {})}


IN_WINDOW = SWITCH + 30 * HOUR
SCENARIOS: dict[str, Scenario] = {
    "clean": Scenario("pass", "", after=replace(SAME, memory=0.7)),
    "nothing-better": Scenario("pass", ""),
    "memory": Scenario("fail", "memory of a host:", after=replace(SAME, memory=1.35)),
    "leak": Scenario("fail", "memory of a host, growth", after=replace(SAME, memory=0.6, growth=0.5)),
    "median": Scenario("fail", "p50 of route default", after=replace(SAME, slower={"p50": 1.6})),
    "latency": Scenario("fail", "p95 of route", after=replace(SAME, slower=dict.fromkeys(QUANTILES, 1.7))),
    "latency-at-peak": Scenario(
        "fail", "at peak", after=replace(SAME, slower_at_peak=dict.fromkeys(QUANTILES, 2.2))
    ),
    "errors": Scenario("fail", "requests that failed:", after=replace(SAME, errors=0.006)),
    "first-errors": Scenario(
        "fail", "requests that failed:", before=replace(SAME, errors=0), after=replace(SAME, errors=0.006)
    ),
    "restarts": Scenario("fail", "workers that ended unasked", after=replace(SAME, restarts=15)),
    "no-traffic": Scenario(
        "inconclusive", "too little traffic", before=replace(SAME, requests=20), after=replace(SAME, requests=20)
    ),
    "gaps": Scenario("inconclusive", "gaps in scraping in the window", gaps=[(IN_WINDOW, IN_WINDOW + HOUR)]),
    "gap-before": Scenario(
        "inconclusive", "gaps in scraping before the switch", gaps=[(START + 9 * HOUR, START + 10 * HOUR)]
    ),
    "counter-resets": Scenario("pass", "", resets=[START + 20 * HOUR, IN_WINDOW, IN_WINDOW + 5 * HOUR]),
    "another-load": Scenario("inconclusive", "another load", after=replace(SAME, requests=15_000)),
    "another-mix": Scenario("inconclusive", "another mix", after=replace(SAME, heavy_share=0.1)),
    "canary": Scenario("inconclusive", "a canary is no fleet", switched={"api1": (SWITCH,), "api2": ()}),
    "changed-in-window": Scenario(
        "inconclusive", "was changed in the window", switched={"api1": (SWITCH, IN_WINDOW), "api2": (SWITCH,)}
    ),
    "never-switched": Scenario("inconclusive", "nothing to compare with", switched={"api1": (), "api2": ()}),
    "exporter-restarted": Scenario("inconclusive", "plane-requests of api1 was restarted", observers=[IN_WINDOW]),
    "slower-but-broken-scrapes": Scenario(
        "inconclusive", "gaps in scraping", after=replace(SAME, slower=dict.fromkeys(QUANTILES, 1.7)),
        gaps=[(IN_WINDOW, IN_WINDOW + 2 * HOUR)],
    ),
    "rest-alone": Scenario("pass", "", beside=SAME),
    "rest-harms-graphql": Scenario(
        "fail", "plane-graphql: p95 of route", beside=replace(SAME, slower=dict.fromkeys(QUANTILES, 1.7))
    ),
}  # fmt: skip


def distribution(truth: Truth, hour: int, route: str, level: float) -> Callable[[float], float]:
    """Share of the answers that take up to so many seconds: a lognormal whose quantiles are moved as the truth says."""
    moved = {name: math.log(at(truth, hour, name)) for name in QUANTILES}
    middle = math.log(MEDIANS[route] * (1 + 0.4 * of_day(hour))) + level

    def share(seconds: float) -> float:
        if math.isinf(seconds):
            return 1.0
        # Where in the distribution this is decides how much it was moved; twice is exact enough.
        logarithm = math.log(seconds)
        z = (logarithm - middle) / SPREAD
        for _ in range(2):
            by = moved["p50"] if z < 1 else moved["p95"] if z < 2 else moved["p99"]
            z = (logarithm - middle - by) / SPREAD
        return 0.5 * math.erfc(-z / math.sqrt(2))

    return share


@dataclass
class Counter:
    """A counter that begins anew when told."""

    value: float = 0.0
    samples: list[Sample] = field(default_factory=list)

    def rise(self, time: int, by: float, resets: bool) -> None:
        self.value = by if resets else self.value + by
        self.samples.append((time, self.value))


def record(environment: str, scenario: Scenario, seed: int) -> dict[str, list[tuple[Labels, list[Sample]]]]:
    """Metric family -> its series. Counters and buckets are those of each host."""
    chance = random.Random(seed)
    families: dict[str, list[tuple[Labels, list[Sample]]]] = {}
    hours = (END - START) // HOUR
    noise = scenario.before.noise
    loads = lingering(chance, hours, noise.load, noise.correlation)
    memories = lingering(chance, hours, noise.memory, noise.correlation)
    levels = {route: lingering(chance, hours, noise.latency, noise.correlation) for route in MEDIANS}
    times = range(START - HOUR, END + SCRAPE, SCRAPE)
    for host, (service, after) in itertools.product(HOSTS, scenario.services.items()):
        where = {"environment": environment, "instance": host}
        counters: dict[tuple[str, tuple[tuple[str, str], ...]], Counter] = {}

        def rise(name: str, labels: Labels, time: int, by: float, reset: bool,
                 counters: dict[tuple[str, tuple[tuple[str, str], ...]], Counter] = counters,
                 where: Labels = where) -> None:  # fmt: skip
            key = (name, tuple({**where, **labels}.items()))
            # A counter of what did not happen yet is not there: mtail makes it with the first event.
            if by or key in counters:
                counters.setdefault(key, Counter()).rise(time, by, reset)

        memory: list[Sample] = []
        resets = sorted(scenario.resets)
        for time in times:
            hour = max(0, min(hours - 1, (time - START) // HOUR))
            truth = after if time >= SWITCH + 600 else scenario.before
            reset = bool(resets) and time >= resets[0]
            if reset:
                resets.pop(0)
            busy = of_day(hour) * math.exp(loads[hour])
            for route in MEDIANS:
                share = truth.heavy_share if route == "page-description" else 1 - truth.heavy_share
                mean = truth.requests * busy * share * SCRAPE / HOUR / len(HOSTS)
                count = max(0, round(chance.gauss(mean, math.sqrt(mean)))) if mean > 3 else int(chance.random() < mean)
                labels = {"service": service, "route": route, "method": "GET"}
                failed = min(count, sum(chance.random() < truth.errors for _ in range(count)))
                rise("plane_requests", {**labels, "code": "2xx", "colour": "blue"}, time, count - failed, reset)
                rise("plane_requests", {**labels, "code": "5xx", "colour": "blue"}, time, failed, reset)
                below = distribution(truth, hour, route, levels[route][hour])
                for bucket in BUCKETS:
                    le = "+Inf" if math.isinf(bucket) else f"{bucket:g}"
                    name = "plane_request_duration_seconds_bucket"
                    rise(name, {**labels, "le": le}, time, count * below(bucket), reset)
            ended = int(chance.random() < truth.restarts * SCRAPE / 86_400)
            own = {"service": service}
            rise("plane_worker_restarts", {**own, "reason": "killed"}, time, ended, reset)
            rise("plane_worker_restarts", {**own, "reason": "recycled"}, time, int(chance.random() < 0.02), reset)
            grown = 1 + truth.growth * max(0, time - SWITCH) / 86_400
            memory.append((time, truth.memory * (REST + BUSY * busy) * math.exp(memories[hour]) * grown))
        for (name, pairs), counter in counters.items():
            families.setdefault(name, []).append((dict(pairs), counter.samples))
        families.setdefault("plane_service_memory_bytes", []).append(({**where, "service": service}, memory))
        families.setdefault("plane_service_info", []).extend(infos(scenario, host, where, service, times))
    for host in HOSTS:
        where = {"environment": environment, "instance": host}
        for job in JOBS:
            gaps = scenario.gaps if job == "plane-host" and host == HOSTS[0] else ()
            up = [(time, 0.0 if any(begin <= time < end for begin, end in gaps) else 1.0) for time in times]
            families.setdefault("up", []).append(({**where, "job": job}, up))
        restarts = scenario.observers if host == HOSTS[0] else ()
        started = [
            (time, float(max([START - 9 * HOUR, *(each for each in restarts if each <= time)]))) for time in times
        ]
        families.setdefault("process_start_time_seconds", []).append(({**where, "job": "plane-requests"}, started))
    return families


def infos(scenario: Scenario, host: str, where: Labels, service: str, times: Sequence[int]
          ) -> Iterator[tuple[Labels, list[Sample]]]:  # fmt: skip
    """What ran on the host, one series for each release."""
    switched = scenario.switched[host] if service == "plane-api" else ()
    switches = [START - 10 * HOUR, *switched, END + 10 * HOUR]
    for number, (begin, end) in enumerate(zip(switches, switches[1:])):
        model = {"worker_class": "gthread" if number else "uvicorn", "workers": "2", "threads": "8" if number else "0"}
        kind = "after" if number else "before"
        labels = {**where, "service": service, "colour": "green" if number % 2 else "blue",
                  "release": f"release-{number}", "fingerprint": FINGERPRINTS[kind], **model}  # fmt: skip
        yield labels, [(time, 1.0) for time in times if begin <= time < end]


def of_prometheus(scenario: Scenario) -> tuple[Labels, list[Sample]]:
    times = range(START - HOUR, END + SCRAPE, SCRAPE)
    started = [
        (time, float(max([START - 9 * HOUR, *(each for each in scenario.prometheus if each <= time)])))
        for time in times
    ]
    return {"job": "prometheus", "instance": "localhost:9090"}, started


def text(families: Mapping[str, Sequence[tuple[Labels, list[Sample]]]]) -> Iterator[str]:
    """The OpenMetrics text format, as promtool reads it."""
    counters = {"plane_requests", "plane_worker_restarts"}
    for name, series in families.items():
        kind = "counter" if name in counters else "unknown"
        yield f"# TYPE {name} {kind}\n"
        suffix = "_total" if kind == "counter" else ""
        for labels, samples in series:
            said = ",".join(f'{key}="{value}"' for key, value in labels.items())
            for time, value in samples:
                yield f"{name}{suffix}{{{said}}} {value:.10g} {time}\n"
    yield "# EOF\n"
