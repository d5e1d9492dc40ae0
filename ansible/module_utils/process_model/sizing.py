"""Sizing: what a process model takes at rest and filled to the brim, what fits under a limit, and who waits. No I/O.

Memory is a sum. At rest an instance holds its master and its workers; every busy slot adds its thread and its request,
and a request holds its payload several times over. What one of each costs is a set of coefficients: the proposal's, or
measured ones. All sizes are bytes, all times seconds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

SIZE_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
MIB = 1 << 20
GIB = 1 << 30
# Beyond these a number is a mistake: a unit that was mixed up, most often.
MOST_WORKERS = 128
MOST_THREADS = 512
MOST_BYTES = 1 << 50


class SizingError(ValueError):
    """A number that makes no sense; the message names the field, the value and what is allowed."""


def parse_size(text: Any) -> int:
    """Bytes of `2GiB`, `512MiB`: a whole number and a binary unit. Raises ValueError that says so."""
    match = re.match(r"([1-9]\d{0,8})(KiB|MiB|GiB|TiB)\Z", str(text))
    if not match:
        raise ValueError(f"{text!r} is no size: a whole number and KiB, MiB, GiB or TiB, for example 2GiB")
    return int(match.group(1)) * SIZE_UNITS[match.group(2)]


def check(name: str, value: float, low: float, high: float) -> None:
    """Raises SizingError unless `value` is a number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise SizingError(f"{name} is {value!r}. Allowed: a number from {low:g} to {high:g}")


def check_whole(name: str, value: int, low: int, high: int) -> None:
    """Raises SizingError unless `value` is a whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SizingError(f"{name} is {value!r}. Allowed: a whole number from {low} to {high}")


@dataclass(frozen=True)
class Coefficients:
    """What one of each costs, in bytes; `source` says who says so.

    master: gunicorn's master. cold: a worker that was started; warm: after its first requests. shared: of each worker,
    what it has in common with the master where the application is loaded before the fork. thread: a busy thread.
    request: a busy request beside its payload. copies: bytes held for each byte of the payload, until it is read.
    transient: the same, more, while the answer is put together. at_once: for so many requests where `asked` come
    together, and in proportion where more or fewer come, down to one, that is always by itself.
    allocator: what the allocator keeps, once for the instance.
    """

    source: str
    master: float
    cold: float
    warm: float
    shared: float
    thread: float
    request: float
    copies: float
    transient: float
    at_once: float
    asked: int
    allocator: float

    def __post_init__(self) -> None:
        for each in fields(self):
            if each.name != "source":
                check(each.name, getattr(self, each.name), 0, MOST_BYTES)
        if self.cold > self.warm:
            raise SizingError(f"cold is {self.cold!r}. Allowed: at most warm, {self.warm!r}")
        if self.shared > self.warm:
            raise SizingError(f"shared is {self.shared!r}. Allowed: at most warm, {self.warm!r}")


# The proposal's assumptions, its megabytes being 2^20 bytes. It names neither a master nor a cold worker, and counts a
# payload once where it speaks of the danger, twice where it compares (80 requests of 5 MB: 800 MB).
PROPOSAL = Coefficients(
    source="the proposal's assumptions",
    master=0,
    cold=150 * MIB,
    warm=150 * MIB,
    shared=0,
    thread=8 * MIB,
    request=0,
    copies=2,
    transient=0,
    at_once=1,
    asked=1,
    allocator=120 * MIB,
)
# Real Plane, community backend of 2026-05 on its own pins (docs/claims.md, figures 4 and 5): two warm workers 287 MB,
# 194 with preload; a page description of 5 MB adds 34. What a thread adds is in the request's figure.
MEASURED = Coefficients(
    source="measured on real Plane",
    master=7 * MIB,
    cold=75 * MIB,
    warm=140 * MIB,
    shared=93 * MIB,
    thread=0.1 * MIB,
    request=1.5 * MIB,
    copies=6.5,
    transient=0,
    at_once=1,
    asked=1,
    allocator=0,
)


@dataclass(frozen=True)
class Model:
    """One instance of a service: how many requests it runs at once, and how large their payloads get.

    slots: requests inside gunicorn at once, None for workers × threads. heavy_slots: how many of them the heavy routes
    may take, None where nothing bounds them. heavy_payloads: size of an answer of a heavy route -> its share, which sum
    up to 1. payload: of all other requests.
    """

    workers: int
    threads: int
    slots: int | None = None
    heavy_slots: int | None = None
    heavy_payloads: Mapping[int, float] = field(default_factory=lambda: {5 * MIB: 1.0})
    payload: int = 0
    preload: bool = False

    def __post_init__(self) -> None:
        check_whole("workers", self.workers, 1, MOST_WORKERS)
        check_whole("threads", self.threads, 1, MOST_THREADS)
        if self.slots is not None:
            check_whole("slots", self.slots, 1, MOST_WORKERS * MOST_THREADS)
        if self.heavy_slots is not None:
            check_whole("heavy_slots", self.heavy_slots, 0, self.all_slots)
        check_whole("payload", self.payload, 0, MOST_BYTES)
        if not self.heavy_payloads:
            raise SizingError("heavy_payloads is empty. Allowed: at least one size and its share")
        for size, share in self.heavy_payloads.items():
            check_whole("heavy_payloads' size", size, 0, MOST_BYTES)
            check(f"heavy_payloads' share of {size} bytes", share, 0, 1)
        if not math.isclose(sum(self.heavy_payloads.values()), 1, abs_tol=1e-6):
            raise SizingError(f"heavy_payloads' shares sum up to {sum(self.heavy_payloads.values()):g}. Allowed: 1")

    @property
    def all_slots(self) -> int:
        return self.slots if self.slots is not None else self.workers * self.threads

    @property
    def bounded_heavy_slots(self) -> int:
        """How many requests of heavy routes run at once at the most: any slot, where nothing bounds them."""
        return self.all_slots if self.heavy_slots is None else self.heavy_slots

    @property
    def largest(self) -> int:
        return max(size for size, share in self.heavy_payloads.items() if share > 0)

    @property
    def mean(self) -> float:
        return sum(size * share for size, share in self.heavy_payloads.items())


@dataclass(frozen=True)
class Memory:
    """Of one instance, in bytes. cold and rest: without a request, before and after the first ones.

    peak: every slot busy, each heavy one with the largest payload. expected: the same with the mean payload.
    """

    cold: float
    rest: float
    peak: float
    expected: float


def at_rest(model: Model, costs: Coefficients, worker: float) -> float:
    """Without a request; `worker` is what one takes by itself. What is shared counts once, for the master."""
    shared = min(costs.shared, worker) if model.preload else 0
    return costs.master + shared + model.workers * (worker - shared)


def put_together_at_once(requests: int, costs: Coefficients) -> float:
    """How many answers of so many requests are put together at the same time, at the worst."""
    if requests <= 1 or costs.at_once <= 1:
        return 1.0
    return 1 + (costs.at_once - 1) * (requests - 1) / max(costs.asked - 1, 1)


def busy(model: Model, costs: Coefficients, heavy_payload: float) -> float:
    """What requests add where every slot is busy, those of heavy routes with `heavy_payload` each."""
    heavy = model.bounded_heavy_slots
    payloads = heavy * heavy_payload + (model.all_slots - heavy) * model.payload
    put_together = min(heavy, 1) * put_together_at_once(heavy, costs) * heavy_payload
    each = model.all_slots * (costs.thread + costs.request)
    return each + costs.copies * payloads + costs.transient * put_together + costs.allocator


def memory(model: Model, costs: Coefficients) -> Memory:
    rest = at_rest(model, costs, costs.warm)
    return Memory(
        cold=at_rest(model, costs, costs.cold),
        rest=rest,
        peak=rest + busy(model, costs, model.largest),
        expected=rest + busy(model, costs, model.mean),
    )


def budget_per_request(limit: int, model: Model, costs: Coefficients) -> float:
    """Bytes that each request may take where all slots are busy; 0 where the workers alone fill the limit."""
    check_whole("limit", limit, 1, MOST_BYTES)
    left = limit - at_rest(model, costs, costs.warm) - model.all_slots * costs.thread - costs.allocator
    return max(0.0, left) / model.all_slots


def _most(low: int, high: int, fits: Any) -> int:
    """The largest number from `low` to `high` that fits, where all below it fit too; `low - 1` where none does."""
    while low <= high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if fits(middle) else (low, middle - 1)
    return high


def most_threads(limit: int, model: Model, costs: Coefficients) -> int:
    """The most threads for each worker with which the peak fits; 0 where not even one does."""
    check_whole("limit", limit, 1, MOST_BYTES)

    def fits(threads: int) -> bool:
        heavy = None if model.heavy_slots is None else min(model.heavy_slots, model.workers * threads)
        return memory(replace(model, threads=threads, slots=None, heavy_slots=heavy), costs).peak <= limit

    return _most(1, MOST_THREADS, fits)


def most_heavy_slots(limit: int, model: Model, costs: Coefficients) -> int:
    """The most slots for heavy routes with which the peak fits; -1 where not even none does."""
    check_whole("limit", limit, 1, MOST_BYTES)
    return _most(0, model.all_slots, lambda slots: memory(replace(model, heavy_slots=slots), costs).peak <= limit)


@dataclass(frozen=True)
class Limits:
    """The smallest limits of memory that hold, in bytes.

    alone: one instance at its peak, which is enough with stop-first. change_at_rest: two colours that serve nobody.
    change: one at its peak beside one that is prepared, which is what start-first asks for under load.
    """

    alone: float
    change_at_rest: float
    change: float


def smallest_limits(model: Model, costs: Coefficients) -> Limits:
    taken = memory(model, costs)
    return Limits(alone=taken.peak, change_at_rest=2 * taken.rest, change=taken.peak + taken.rest)


def database_connections(model: Model, replicas: int, persistent: bool = False, changing: int = 0) -> int:
    """Connections to the database that a service opens at the most.

    Without persistent connections each busy request holds one. With them each thread that has served keeps its own, in
    both colours of the `changing` replicas that have two at the moment.
    """
    check_whole("replicas", replicas, 1, 100_000)
    check_whole("changing", changing, 0, replicas)
    if not persistent:
        return replicas * model.all_slots
    return (replicas + changing) * max(model.all_slots, model.workers * model.threads)


@dataclass(frozen=True)
class Waiting:
    """A queue in front of `slots`, requests coming at random (M/M/c, Erlang's formula C).

    utilisation: the share of slots that is busy; from 1 on the queue grows without end, and the other figures are
    infinite. waits: the share of requests that wait. mean_wait: of all requests. wait_p99: 99 of 100 wait no longer.
    """

    utilisation: float
    waits: float
    mean_wait: float
    wait_p99: float


def waiting(rate: float, service_seconds: float, slots: int) -> Waiting:
    """rate: requests a second. service_seconds: how long one request holds its slot, on average."""
    check("rate", rate, 0, 1e9)
    check("service_seconds", service_seconds, 0, 86_400)
    check_whole("slots", slots, 1, MOST_WORKERS * MOST_THREADS)
    offered = rate * service_seconds
    utilisation = offered / slots
    if offered == 0:
        return Waiting(0.0, 0.0, 0.0, 0.0)
    if utilisation >= 1:
        return Waiting(utilisation, 1.0, math.inf, math.inf)
    blocked = 1.0  # Erlang's formula B, step by step: no factorial to overflow
    for servers in range(1, slots + 1):
        blocked = offered * blocked / (servers + offered * blocked)
    waits = blocked / (1 - utilisation * (1 - blocked))
    drain = slots / service_seconds - rate
    return Waiting(
        utilisation=utilisation,
        waits=waits,
        mean_wait=waits / drain,
        wait_p99=max(0.0, math.log(waits / 0.01) / drain) if waits > 0 else 0.0,
    )


def slots_for(rate: float, service_seconds: float, wait_p99: float) -> int:
    """The fewest slots with which 99 of 100 requests wait no longer than `wait_p99` seconds."""
    check("wait_p99", wait_p99, 0, 86_400)
    most = MOST_WORKERS * MOST_THREADS
    # More slots never make anybody wait longer, so the ones that are too few come first.
    too_few = _most(1, most, lambda slots: waiting(rate, service_seconds, slots).wait_p99 > wait_p99)
    if too_few >= most:
        raise SizingError(f"rate is {rate!r}. Allowed: what {most} slots can serve at {service_seconds} s each")
    return too_few + 1


def report(limit: int, model: Model, costs: Coefficients, replicas: int) -> dict[str, Any]:
    """Every figure of one model under one limit, for tables and programs; sizes in bytes."""
    taken = memory(model, costs)
    return {
        "source": costs.source,
        "limit": limit,
        "slots": model.all_slots,
        "heavy_slots": model.bounded_heavy_slots,
        "memory": asdict(taken),
        "fits": taken.peak <= limit,
        "budget_per_request": budget_per_request(limit, model, costs),
        "most_threads": most_threads(limit, model, costs),
        "most_heavy_slots": most_heavy_slots(limit, model, costs),
        "smallest_limits": asdict(smallest_limits(model, costs)),
        "database_connections": {
            "each_request_its_own": database_connections(model, replicas),
            "persistent": database_connections(model, replicas, persistent=True),
            "persistent_while_one_changes": database_connections(model, replicas, persistent=True, changing=1),
        },
    }
