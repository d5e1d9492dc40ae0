"""Keep, or more threads, workers, hosts or memory, or fewer hosts: from what was observed, by the calculator. No I/O.

The proposal's scaling guidelines in their order: what is out of memory needs memory before anything else; what computes
all the time needs processors and not threads; what only waits needs slots.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import sizing

# Waiting for a slot that a user does not notice beside the answer's own time, in seconds.
NOTICED = 0.25
# The proposal's: beyond it a worker more, where it is not the disk that is waited for.
BUSY_PROCESSORS = 0.8
WAITING_FOR_DISK = 0.1
# The proposal's: threads are raised to 10 to 12, and no further.
MOST_THREADS = 12
STEP_OF_THREADS = 2
NEAR_LIMIT = 0.9
# Half of a processor for each worker, as the proposal's smallest tier has it.
LEAST_PROCESSOR = 0.5
# Without one host the others have to hold the peak; and with one host nothing is left.
FEWEST_HOSTS = 2
SPARE = 0.5

KEEP, THREADS, WORKERS, HOSTS, MEMORY, FEWER = (
    "keep", "more threads", "more workers", "more hosts", "more memory", "fewer hosts",
)  # fmt: skip


@dataclass(frozen=True)
class Observed:
    """One service at its peak. Sizes in bytes, times in seconds; memory and processors of the busiest host.

    rate: requests a second of all hosts, without the heavy routes. held: how long each holds its slot. slots: for
    them, of one host. waited: 99 of 100 waited no longer. processors: share of the limit that is used. disk: share of
    the time that processors wait for disks. cpu_limit: processors of one host.
    """

    worker_class: str
    hosts: int
    workers: int
    threads: int
    rate: float
    held: float
    slots: int
    waited: float
    memory: float
    memory_limit: float
    processors: float
    disk: float
    cpu_limit: float
    heavy_slots: int = 0
    payload: int = 5 * sizing.MIB


@dataclass(frozen=True)
class Advice:
    """what: one of the constants. why, effect: the arithmetic, a line each. settings: lines for the inventory."""

    what: str
    why: list[str]
    effect: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)


def mib(size: float) -> str:
    return f"{size / sizing.MIB:,.0f} MiB"


def _model(seen: Observed, workers: int, threads: int) -> sizing.Model:
    slots = None if seen.worker_class == "gthread" else seen.slots + seen.heavy_slots
    return sizing.Model(
        workers=workers,
        threads=max(1, threads),
        slots=slots,
        heavy_slots=seen.heavy_slots,
        heavy_payloads={seen.payload: 1.0},
    )


def _memory_with(seen: Observed, costs: sizing.Coefficients, workers: int, threads: int) -> float:
    """What was observed at the peak, and what the calculator adds for the difference."""
    now, then = (
        sizing.memory(_model(seen, *each), costs).peak for each in ((seen.workers, seen.threads), (workers, threads))
    )
    return seen.memory + then - now


def _queue(seen: Observed, slots: float, hosts: int) -> str:
    found = sizing.waiting(seen.rate, seen.held, max(1, int(slots * hosts)))
    wait = "without end" if math.isinf(found.wait_p99) else f"up to {found.wait_p99 * 1000:,.0f} ms"
    return f"{slots:g} slots × {hosts} hosts: {found.utilisation:.0%} busy, {found.waits:.1%} wait, 99 of 100 {wait}"


def _wait(seen: Observed, slots: float, hosts: int) -> float:
    return sizing.waiting(seen.rate, seen.held, max(1, int(slots * hosts))).wait_p99


def advise(seen: Observed, service: str, costs: sizing.Coefficients = sizing.MEASURED) -> Advice:
    """One step. service: plane_api or plane_graphql, the prefix of its settings."""
    now = _queue(seen, seen.slots, seen.hosts)
    why = [
        f"{seen.rate:.1f} requests a second at the peak, each holds a slot for {seen.held * 1000:,.0f} ms: {now}",
        f"waited at the peak: 99 of 100 up to {seen.waited * 1000:,.0f} ms; {NOTICED * 1000:,.0f} ms are noticed",
        f"processors: {seen.processors:.0%} of {seen.cpu_limit:g} used, {seen.disk:.0%} of the time waiting for disks",
        f"memory: {mib(seen.memory)} of {mib(seen.memory_limit)} ({seen.memory / seen.memory_limit:.0%})",
    ]
    computes = seen.processors > BUSY_PROCESSORS and seen.disk < WAITING_FOR_DISK
    waits = max(seen.waited, _wait(seen, seen.slots, seen.hosts)) > NOTICED
    if seen.memory > NEAR_LIMIT * seen.memory_limit:
        return _for_memory(seen, service, why)
    if computes:
        return _for_processors(seen, service, costs, why)
    if waits:
        return _for_slots(seen, service, costs, why)
    return _fewer(seen, why) or Advice(KEEP, why)


def _more_hosts(seen: Observed, why: Sequence[str], because: str) -> Advice:
    hosts = seen.hosts + 1
    while _wait(seen, seen.slots, hosts) > NOTICED or seen.processors * seen.hosts / hosts > BUSY_PROCESSORS:
        hosts += 1
    share = seen.hosts / hosts
    return Advice(
        HOSTS,
        [*why, because],
        [_queue(seen, seen.slots, hosts), f"processors: {seen.processors:.0%} -> {seen.processors * share:.0%}"],
        [f"hosts.yml: {hosts - seen.hosts} more in the group of the service ({hosts} in all)"],
    )


def _for_memory(seen: Observed, service: str, why: Sequence[str]) -> Advice:
    wanted = math.ceil(seen.memory / NEAR_LIMIT / sizing.GIB * 1.25) * sizing.GIB
    because = f"memory is above {NEAR_LIMIT:.0%} of its limit: neither threads nor workers fit"
    if seen.threads <= MOST_THREADS - 2 * STEP_OF_THREADS and seen.heavy_slots <= 1:
        return _more_hosts(seen, why, f"{because}, and there are few threads: fewer requests for each host")
    return Advice(
        MEMORY,
        [*why, because],
        [f"memory: {seen.memory / seen.memory_limit:.0%} -> {seen.memory / wanted:.0%} of the limit"],
        [f"{service}_memory_limit: {wanted // sizing.GIB}GiB # or fewer slots for heavy routes (make size)"],
    )


def _for_processors(seen: Observed, service: str, costs: sizing.Coefficients, why: Sequence[str]) -> Advice:
    workers = seen.workers + 1
    because = f"processors are above {BUSY_PROCESSORS:.0%} and do not wait for disks: threads would only wait longer"
    memory = _memory_with(seen, costs, workers, seen.threads)
    # All of the limit is used by the workers that there are: another one has no processor to run on.
    has_processor = seen.cpu_limit / workers >= LEAST_PROCESSOR and seen.cpu_limit > seen.workers
    if not has_processor:
        return _more_hosts(seen, why, f"{because}; {seen.workers} workers use all of {seen.cpu_limit:g} processors")
    if memory > NEAR_LIMIT * seen.memory_limit:
        return _more_hosts(seen, why, f"{because}; a worker more would take {mib(memory)} of {mib(seen.memory_limit)}")
    slots = seen.slots + (seen.threads if seen.worker_class == "gthread" else 0)
    return Advice(
        WORKERS,
        [*why, because],
        [_queue(seen, slots, seen.hosts), f"memory: {mib(seen.memory)} -> {mib(memory)}"],
        [f"{service}_workers: {workers}"],
    )


def _for_slots(seen: Observed, service: str, costs: sizing.Coefficients, why: Sequence[str]) -> Advice:
    because = "requests wait for a slot while processors have time"
    if seen.worker_class != "gthread":
        slots = seen.slots + seen.heavy_slots
        while _wait(seen, slots - seen.heavy_slots, seen.hosts) > NOTICED and slots < sizing.MOST_THREADS:
            slots += 1
        effect = [_queue(seen, slots - seen.heavy_slots, seen.hosts)]
        return Advice(THREADS, [*why, because], effect, [f"{service}_slots: {slots} # make size: does the memory fit"])
    for threads in range(seen.threads + STEP_OF_THREADS, MOST_THREADS + 1, STEP_OF_THREADS):
        memory = _memory_with(seen, costs, seen.workers, threads)
        if memory > NEAR_LIMIT * seen.memory_limit:
            break
        slots = seen.slots + seen.workers * (threads - seen.threads)
        if _wait(seen, slots, seen.hosts) <= NOTICED or threads + STEP_OF_THREADS > MOST_THREADS:
            if _wait(seen, slots, seen.hosts) > NOTICED:
                break
            return Advice(
                THREADS,
                [*why, because],
                [_queue(seen, slots, seen.hosts), f"memory: {mib(seen.memory)} -> {mib(memory)}"],
                [f"{service}_threads: {threads}"],
            )
    return _more_hosts(seen, why, f"{because}, and up to {MOST_THREADS} threads that fit are too few")


def _fewer(seen: Observed, why: Sequence[str]) -> Advice | None:
    hosts = seen.hosts
    while hosts > FEWEST_HOSTS:
        more = seen.hosts / (hosts - 1)
        busy = sizing.waiting(seen.rate, seen.held, seen.slots * (hosts - 1)).utilisation
        if busy > SPARE or seen.processors * more > SPARE or seen.memory * more > NEAR_LIMIT * seen.memory_limit:
            break
        hosts -= 1
    if hosts == seen.hosts:
        return None
    share = seen.hosts / hosts
    return Advice(
        FEWER,
        [*why, f"{hosts} hosts hold the peak with half of their slots and processors to spare"],
        [_queue(seen, seen.slots, hosts), f"processors: {seen.processors:.0%} -> {seen.processors * share:.0%}"],
        [f"hosts.yml: {seen.hosts - hosts} fewer in the group of the service ({hosts} in all)"],
    )
