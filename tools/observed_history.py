"""What Prometheus recorded of one service, as the blocks that the gate compares, and what makes it doubtful.

Names of metrics are those of ansible/vars/metrics.yml.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from process_model.bake import BLOCKS, DAY, FEWEST_PAIRS, QUANTILES, Block
from prometheus import MOST_POINTS, Prometheus, Series

# How far back the switch is looked for: Prometheus's own default of what it keeps.
LOOK_BACK = 15 * DAY
# The shortest time that is told apart: two scrapes.
FINEST = 30.0
# A window is cut into as many blocks as two days have hours, unless they would be shorter than this.
SHORTEST_BLOCK = 60.0
# Reasons for which a worker ends as it should; every other one was not asked for.
ASKED_FOR = {"recycled"}


@dataclass(frozen=True, order=True)
class Identity:
    """What runs on a host, as its processes say. fingerprint: of the live colour's files."""

    release: str
    worker_class: str
    workers: str
    threads: str
    fingerprint: str

    @property
    def shown(self) -> str:
        size = f"{self.workers}×{self.threads}" if self.worker_class == "gthread" else f"×{self.workers}"
        return f"release {self.release}, {self.worker_class} {size}"


@dataclass(frozen=True)
class Times:
    """Beginnings and ends in seconds since 1970; both stretches have as many blocks of `block` seconds.

    aligned: whether they are whole days apart, so that each block has the same time of day as its partner.
    """

    before: float
    after: float
    block: float
    blocks: int = BLOCKS

    @property
    def end(self) -> float:
        return self.after + self.blocks * self.block

    @property
    def before_end(self) -> float:
        return self.before + self.blocks * self.block


@dataclass(frozen=True)
class Switch:
    """By host. running: what runs there at the end. began: since when. changes: all that ran, in turn."""

    running: Mapping[str, Identity]
    began: Mapping[str, float]
    changes: Mapping[str, Sequence[tuple[float, Identity]]]

    @property
    def first(self) -> float:
        return min(self.began.values())

    @property
    def last(self) -> float:
        return max(self.began.values())

    @property
    def happened(self) -> bool:
        """Whether any host ran something else before."""
        return any(len(seen) > 1 for seen in self.changes.values())


def switched_at(service: str, switches: Mapping[str, Switch]) -> float:
    """When the first host was switched to what the service runs now.

    A service that was not switched at all is compared over the switch of another one: that must not harm it either.
    """
    others = [each.first for each in switches.values() if each.happened]
    return max(others) if others and not switches[service].happened else switches[service].first


def selector(environment: str, service: str) -> str:
    return f'{{environment="{environment}",service="{service}"}}'


def counted(metric: str, by: str, where: str, seconds: float) -> str:
    """By how much a counter rose in the last `seconds`, resets included.

    `increase` does not see the first value of a series, and a counter of errors begins with the first error: a series
    that was not there at the beginning rose by all that it has.
    """
    name = f"{metric}{where}"
    return f"sum by ({by}) (({name} unless {name} offset {seconds:.0f}s) or increase({name}[{seconds:.0f}s]))"


def find_switch(prometheus: Prometheus, environment: str, service: str, end: float, step: float) -> Switch:
    """Since when each host runs what it runs at `end`. Times are exact to `step` seconds."""
    steps = min(MOST_POINTS - 1, int(LOOK_BACK / step))
    query = f"count_over_time(plane_service_info{selector(environment, service)}[{step:.0f}s])"
    found = prometheus.over(query, end - steps * step, end, step)
    changes: dict[str, list[tuple[float, Identity]]] = {}
    for host in sorted({each.labels.get("instance", "?") for each in found}):
        mine = [each for each in found if each.labels.get("instance", "?") == host]
        changes[host] = runs(mine)
    running = {host: seen[-1][1] for host, seen in changes.items() if seen}
    return Switch(running, {host: changes[host][-1][0] for host in running}, changes)


def identity_of(labels: Mapping[str, str]) -> Identity:
    names = ("release", "worker_class", "workers", "threads", "fingerprint")
    return Identity(*(labels.get(name, "") for name in names))


def runs(series: Iterable[Series]) -> list[tuple[float, Identity]]:
    """What ran on one host one after the other, and since when. Where a step saw two, the newer one counts."""
    at: dict[float, set[Identity]] = {}
    for each in series:
        for time in each.points:
            at.setdefault(time, set()).add(identity_of(each.labels))
    found: list[tuple[float, Identity]] = []
    for time in sorted(at):
        now = at[time] - ({found[-1][1]} if found and len(at[time]) > 1 else set())
        if not found or found[-1][1] not in now:
            found.append((time, sorted(now)[0]))
    return found


def block_of(seconds: float) -> tuple[float, int]:
    """Length of a block and how many a window of so many seconds has. Raises ValueError for one that is too short."""
    blocks = BLOCKS if seconds / BLOCKS >= SHORTEST_BLOCK else FEWEST_PAIRS
    if seconds / blocks < FINEST:
        raise ValueError(f"{seconds / 60:g} minutes are too few to judge; at least {blocks * FINEST / 60:g} are needed")
    return seconds / blocks, blocks


def plan(switched: float, end: float, seconds: float, step: float) -> Times:
    """The window that ends at `end`, and the stretch of the same length before the first host was switched."""
    block, blocks = block_of(seconds)
    away = end - (switched - step)
    if seconds >= DAY:
        away = math.ceil(away / DAY) * DAY
    return Times(before=end - away - seconds, after=end - seconds, block=block, blocks=blocks)


def doubts_about(switch: Switch, times: Times, hosts: Sequence[str], step: float) -> list[str]:
    """Changes where there should be none, and hosts that run something else."""
    found = []
    silent = [host for host in hosts if host not in switch.running]
    if silent:
        found.append(f"nobody says what runs on {', '.join(silent)}")
    kinds: dict[str, list[str]] = {}
    for host, identity in switch.running.items():
        if host in hosts:
            kinds.setdefault(identity.shown, []).append(host)
    if len(kinds) > 1:
        said = "; ".join(f"{shown} on {', '.join(where)}" for shown, where in sorted(kinds.items()))
        found.append(f"not every host runs the same, a canary is no fleet: {said}")
    stretches = (
        (times.after + step, times.end, "in the window"),
        (times.before + step, times.before_end, "in the time before"),
    )
    for begins, ends, when in stretches:
        for host in hosts:
            inside = [change for change in switch.changes.get(host, []) if begins < change[0] <= ends]
            if inside:
                shown = inside[-1][1].shown
                found.append(f"{host} was changed {when}: {shown} since {(times.end - inside[-1][0]) / 3600:.1f} h")
    for host in hosts:
        seen = switch.changes.get(host, [])
        if len(seen) == 1 and seen[0][0] > times.before + step:
            found.append(f"nothing to compare with: {host} has run nothing else since it is observed")
    return found


def read_blocks(prometheus: Prometheus, environment: str, service: str, start: float, times: Times,
                covered: Sequence[float]) -> list[Block]:  # fmt: skip
    """The blocks that begin at `start`. covered: of each block, as `coverage` says."""
    seconds, where = times.block, selector(environment, service)
    ends = [start + (number + 1) * seconds for number in range(times.blocks)]

    def read(query: str) -> list[Series]:
        found = prometheus.over(query, ends[0], ends[-1], seconds)
        # The times of an answer are rounded to milliseconds: each is the nearest end.
        return [
            Series(each.labels, {_nearest(time, ends[0], seconds, ends): value for time, value in each.points.items()})
            for each in found
        ]

    requests = read(counted("plane_requests_total", "route", where, seconds))
    errors = read(counted("plane_requests_total", "environment", where[:-1] + ',code="5xx"}', seconds))
    memory = read(f"avg(avg_over_time(plane_service_memory_bytes{where}[{seconds:.0f}s]))")
    workers = read(counted("plane_worker_restarts_total", "reason", where, seconds))
    instances = read(counted("plane_instance_restarts_total", "environment", where, seconds))
    latency = {}
    for name in QUANTILES:
        rising = counted("plane_request_duration_seconds_bucket", "route, le", where, seconds)
        latency[name] = read(f"histogram_quantile({int(name[1:]) / 100}, {rising})")

    def total(series: Iterable[Series], at: float) -> float:
        return sum(each.value(at) or 0.0 for each in series)

    unasked = [each for each in workers if each.labels.get("reason") not in ASKED_FOR] + instances
    recycled = [each for each in workers if each.labels.get("reason") in ASKED_FOR]
    found = []
    for end, share in zip(ends, covered):
        quantiles: dict[str, dict[str, float]] = {}
        for name, series in latency.items():
            for each in series:
                value = each.value(end)
                if value is not None:
                    quantiles.setdefault(each.labels.get("route", ""), {})[name] = value
        found.append(
            Block(
                requests={each.labels.get("route", ""): each.value(end) or 0.0 for each in requests},
                errors=total(errors, end),
                latency=quantiles,
                memory=memory[0].value(end) if memory else None,
                restarts=total(unasked, end),
                recycled=total(recycled, end),
                covered=share,
            )
        )
    return found


def _nearest(time: float, first: float, step: float, ends: Sequence[float]) -> float:
    return ends[min(len(ends) - 1, max(0, round((time - first) / step)))]


@dataclass(frozen=True)
class Coverage:
    """before, after: of each block, the share of scrapes that arrived, of the target with the fewest."""

    before: Sequence[float]
    after: Sequence[float]
    doubts: Sequence[str]


def coverage(prometheus: Prometheus, environment: str, hosts: Sequence[str], times: Times) -> Coverage:
    """Whether every target was scraped all the time, and whether who observes was itself restarted."""
    seconds = times.block
    where = f'{{environment="{environment}",instance=~"{"|".join(hosts)}"}}'
    shares: list[list[float]] = []
    arrived = [
        prometheus.over(
            f"sum by (instance, job) (sum_over_time(up{where}[{seconds:.0f}s]))", start + seconds, end, seconds
        )
        for start, end in ((times.before, times.before_end), (times.after, times.end))
    ]
    counts_seen = [value for found in arrived for each in found for value in each.points.values() if value]
    usual = statistics.median(counts_seen) if counts_seen else 0.0
    targets = {(each.labels["instance"], each.labels["job"]) for found in arrived for each in found}
    doubts = [f"{host} is not scraped" for host in hosts if host not in {name for name, _ in targets}]
    for start, found in zip((times.before, times.after), arrived):
        per_target = {}
        for each in found:
            counts = [0.0] * times.blocks
            for time, value in each.points.items():
                counts[min(times.blocks - 1, max(0, round((time - start) / seconds) - 1))] = value
            per_target[(each.labels["instance"], each.labels["job"])] = counts
        nothing = [0.0] * times.blocks
        fewest = [
            min((per_target.get(target, nothing)[number] for target in targets), default=0.0)
            for number in range(times.blocks)
        ]
        # One scrape more or less falls into a block by chance.
        shares.append([min(1.0, (count + 1) / usual) if usual and count else 0.0 for count in fewest])
    return Coverage(shares[0], shares[1], doubts + restarts_of_observers(prometheus, environment, hosts, times))


def restarts_of_observers(prometheus: Prometheus, environment: str, hosts: Sequence[str], times: Times) -> list[str]:
    own = 'process_start_time_seconds{job="prometheus"}'
    where = f'environment="{environment}",instance=~"{"|".join(hosts)}",job!="prometheus"'
    theirs = f"process_start_time_seconds{{{where}}}"
    length = times.blocks * times.block
    doubts = []
    for end, when in ((times.before_end, "before the switch"), (times.end, "in the window")):
        if not prometheus.at(f"count_over_time({own}[{length:.0f}s])", end):
            doubts.append(
                f"whether Prometheus was restarted {when} is not known: it does not scrape itself (job prometheus)"
            )
        for name in (own, theirs):
            query = f"sum by (job, instance) (changes({name}[{length:.0f}s])) > 0"
            for each in prometheus.at(query, end):
                who = "Prometheus" if name == own else f"{each.labels.get('job')} of {each.labels.get('instance')}"
                doubts.append(f"{who} was restarted {when}: what happened meanwhile nobody saw")
    return doubts
