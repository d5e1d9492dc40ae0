"""What a release's own processes take, for the calculator: memory of workers, threads and requests, growth, time.

An instance of its own is started from the live colour's files, in a unit of its own, so that its control group holds
nothing else; the live colour goes on serving and is not asked. It shares the service's limit of memory with it, as a
second colour does during a change. Sizes are bytes, times seconds.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import math
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import colours, containers, observe, procfs, report, saturation, transient
from .audit import UnixConnection
from .sizing import MIB, Coefficients

KIB = 1024
START_SECONDS = 120.0
PURPOSE = "calibrate"
# Requests that each worker has served when it counts as warm.
WARMING = 10
# Times that a path is asked for, by one client and by all at once: not every time is as bad as the worst.
ROUNDS = 8
# Where many ask for large answers at once, the last one waits for all others.
ANSWER_SECONDS = 300.0
# All slots are taken once no further answer has begun for so long.
PATIENCE_SECONDS = 15.0
# Samples of the growth, and requests of each path between two of them.
CHUNKS, CHUNK = 20, 5
POLL_SECONDS = 0.002
CLIENTS, MOST_CLIENTS = 16, 64


class CalibrationError(Exception):
    """The calibration could not be made; the message says why."""


@dataclass(frozen=True)
class Requests:
    """What is asked for. headers: of every request. clients: that ask at once for the peak."""

    paths: Sequence[str]
    headers: Mapping[str, str]
    clients: int


def read_requests(text: str) -> Requests:
    """The requests of a file: {"paths": ["/…"], "headers": {name: value}, "clients": 16}; only paths are needed.

    Raises CalibrationError that says what is allowed.
    """
    try:
        found = json.loads(text)
        requests = Requests(list(found["paths"]), dict(found.get("headers", {})), int(found.get("clients", CLIENTS)))
    except (ValueError, KeyError, TypeError) as error:
        raise CalibrationError(
            'the file is not JSON of the form {"paths": ["/api/…"], "headers": {"X-Api-Key": "…"}, "clients": 16}: '
            f"{type(error).__name__}: {error}"
        ) from error
    if not requests.paths or not all(str(path).startswith("/") for path in requests.paths):
        raise CalibrationError("paths that begin with / are needed, a small and a large answer among them")
    if not 1 <= requests.clients <= MOST_CLIENTS:
        raise CalibrationError(f"clients is {requests.clients}. Allowed: a whole number from 1 to {MOST_CLIENTS}")
    return requests


@dataclass(frozen=True)
class Endpoint:
    """What one path takes. payload: of its answer. alone: what one request adds at its peak. together: what as many add
    as had all begun their answers before one was read to its end: `begun`. waiting: what these hold once all have.
    seconds: the median of one that runs alone.
    """

    path: str
    payload: int
    alone: float
    together: float
    waiting: float
    begun: int
    seconds: float


@dataclass(frozen=True)
class Growth:
    """Bytes that the instance grows with each request, and the half-width of its 95 % interval."""

    bytes_per_request: float
    margin: float
    requests: int


@dataclass(frozen=True)
class Calibration:
    """kept: bytes that the instance holds afterwards, at rest, more than before."""

    coefficients: Coefficients
    kept: int
    endpoints: Sequence[Endpoint]
    growth: Growth

    def lines(self) -> list[str]:
        """The same to be read: MiB, KiB and milliseconds."""
        costs, growing = self.coefficients, self.growth
        table = [["path", "answer", "adds alone", "all clients", "takes"]]
        table += [
            [found.path, f"{found.payload / KIB:,.0f} KiB", f"{found.alone / MIB:,.1f} MiB",
             f"{found.together / MIB:,.1f} MiB", f"{found.seconds * 1000:,.0f} ms"]
            for found in self.endpoints
        ]  # fmt: skip
        return [
            f"{costs.source}: master {costs.master / MIB:,.0f} MiB, worker {costs.cold / MIB:,.0f} MiB started,",
            f"{costs.warm / MIB:,.0f} warm, {costs.shared / MIB:,.0f} of it shared",
            f"a busy thread: {costs.thread / KIB:,.0f} KiB",
            f"a request: {costs.request / KIB:,.0f} KiB, and {costs.copies:.1f} times its payload",
            f"while it is put together: {costs.transient:.1f} times more, {costs.at_once:.1f} of {costs.asked} at once",
            f"growth: {growing.bytes_per_request:,.0f} ± {growing.margin:,.0f} bytes each, over {growing.requests}",
            *report.columns(table),
        ]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class PerRequest:
    """As in sizing.Coefficients."""

    request: float
    copies: float
    transient: float
    at_once: float
    asked: int


def fit_requests(endpoints: Sequence[Endpoint], thread: float) -> PerRequest:
    """What requests take, from the smallest and the largest answer.

    The smallest says what a request takes beside its payload. Of the largest, those that wait to be read say how often
    each holds its payload; one alone, what it takes more while it is put together; and the peak of all, how many are at
    once.
    """
    small = min(endpoints, key=lambda found: found.payload)
    large = max(endpoints, key=lambda found: found.payload)
    request = max(0.0, small.together / small.begun - thread) if small is not large else 0.0
    if large.payload == 0:
        return PerRequest(max(0.0, large.together / large.begun - thread), 0.0, 0.0, 1.0, 1)

    def payloads(held: float, requests: int) -> float:
        return max(0.0, held - requests * (thread + request)) / large.payload

    copies = payloads(large.waiting, large.begun) / large.begun
    transient = max(0.0, payloads(large.alone, 1) - copies)
    more = max(0.0, payloads(large.together, large.begun) - large.begun * copies)
    if transient == 0:
        # Where one alone takes no more than one that waits, the peak of many is their own.
        return PerRequest(request, copies + more / large.begun, 0.0, 1.0, 1)
    return PerRequest(request, copies, transient, min(max(more / transient, 1.0), float(large.begun)), large.begun)


def growth(samples: Sequence[float], step: int) -> Growth:
    """The slope of samples that are `step` requests apart, as a straight line through them."""
    requests = [float(number * step) for number in range(len(samples))]
    line = statistics.linear_regression(requests, samples)
    rest = [sample - line.slope * x - line.intercept for x, sample in zip(requests, samples)]
    spread = sum((x - statistics.fmean(requests)) ** 2 for x in requests)
    error = math.sqrt(sum(one * one for one in rest) / (len(samples) - 2) / spread)
    # With 20 samples Student's factor is 2.1.
    return Growth(line.slope, 2.1 * error, int(requests[-1]))


def held(group: Path) -> int:
    """Bytes of a control group that the kernel cannot take back: all but cached files. Reads v1 or v2."""
    found = {}
    for line in procfs.read(group / "memory.stat").splitlines():
        name, _, number = line.partition(" ")
        found[name] = int(number)
    if "total_rss" in found:
        kernel = procfs.read(group / "memory.kmem.usage_in_bytes").strip()
        return found["total_rss"] + found.get("total_shmem", 0) + int(kernel or 0)
    return found.get("anon", 0) + found.get("shmem", 0) + found.get("kernel", 0) + found.get("sock", 0)


class Peak:
    """The most of what can only be looked at, while the block ran: `most`. every: seconds between two looks."""

    def __init__(self, look: Callable[[], int], every: float = POLL_SECONDS) -> None:
        self.look = look
        self.every = every
        self.most = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self) -> None:
        while not self.over.wait(self.every):
            self.most = max(self.most, self.look())

    def __enter__(self) -> Peak:
        self.most = self.look()
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.over.set()
        self.thread.join()


@contextlib.contextmanager
def instance(
    desired: Mapping[str, Any], colour: str, variables: Mapping[str, str], own_limits: bool = False, memory: int = 0
) -> Iterator[tuple[str, int, Path]]:
    """Run an instance of its own of a colour's files: its socket, its master and its control group.

    desired: what the colour was deployed as. variables: of the entrypoint, over the colour's own. own_limits: it has
    none of the service's, but `memory` bytes where that is not 0. Raises CalibrationError, transient.InstanceError or
    containers.DockerError.
    """
    service = str(desired["service"])
    directory = colours.directory_of(service, colour)
    given = {
        "GUNICORN_BIND": f"unix:{transient.folder_of(service, PURPOSE)}/{transient.SOCKET}",
        "GUNICORN_CONFIG": f"{directory}/gunicorn.conf.py",
        "PLANE_PRESTART": "skip",
        **variables,
    }
    installation = containers.Installation.of(desired)
    if installation:
        # As much for swap as for memory: none of it.
        limits = {"mem_limit": str(memory), "memswap_limit": str(memory)} if memory else {}
        started = transient.contained(
            service, colour, PURPOSE, installation, given, limits if own_limits else None, START_SECONDS
        )
    else:
        command = ["/usr/bin/env", *(f"{name}={value}" for name, value in given.items()), f"{directory}/entrypoint.sh"]
        options = ["--property=MemoryAccounting=yes", "--property=OOMPolicy=continue"]
        options += [f"--property=MemoryMax={memory}"] if memory else []
        started = transient.instance(service, colour, PURPOSE, command, options, START_SECONDS, own_limits)
    with started as path:
        master = observe.master_of_socket(path)
        if master is None:
            raise CalibrationError(f"nothing runs behind {path}")
        yield path, master, procfs.memory_group(master)


def class_variables(worker_class: str, model: Mapping[str, Any]) -> dict[str, str]:
    """Variables of the entrypoint under which a colour of `model` runs with a class that may be another."""
    gthread = worker_class == "gthread"
    return {
        "GUNICORN_WORKER_CLASS": worker_class,
        "GUNICORN_THREADS": str(model["threads"] or 1),
        "GUNICORN_ISOLATE_REQUESTS": str(gthread and model["isolate_requests"] is not False).lower(),
    }


class Gate:
    """Holds answers that have begun until `most` of them have: then every slot is taken at the same time.

    Where fewer get a slot, it opens once no further one has begun for `patience` seconds. look: asked right before it
    opens; `found` is its answer.
    """

    def __init__(self, most: int, patience: float = PATIENCE_SECONDS, look: Callable[[], int] = lambda: 0) -> None:
        self.most = most
        self.patience = patience
        self.look = look
        self.found = 0
        self.begun = 0
        self.is_open = False
        self.changed = threading.Condition()

    def wait(self) -> None:
        """To be called when an answer has begun; returns when it may be read on."""
        with self.changed:
            self.begun += not self.is_open
            if self.begun >= self.most:
                self.open()
            self.changed.notify_all()
            while not self.is_open:
                if not self.changed.wait(self.patience):
                    self.open()

    def open(self) -> None:
        if not self.is_open:
            self.found = self.look()
            self.is_open = True
            self.changed.notify_all()

    def stalls(self, seconds: float) -> bool:
        """Wait until it opens (false), or no further answer begins for `seconds` (true)."""
        with self.changed:
            while not self.is_open and self.changed.wait(seconds):
                pass
            return not self.is_open


def at_once(clients: int, ask: Callable[[], object]) -> list[BaseException]:
    """Ask from several threads that begin together; what went wrong, for each that failed."""
    ready = threading.Barrier(clients)

    def one() -> None:
        ready.wait()
        ask()

    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(one) for _ in range(clients)]
        return [error for error in (each.exception() for each in asked) if error is not None]


@dataclass(frozen=True)
class Asked:
    """Who is asked, and in whose name."""

    socket: str
    host: str
    headers: Mapping[str, str]

    def get(self, path: str, gate: Gate | None = None) -> int:
        """Bytes of the answer. Raises CalibrationError where it is none, or not 200.

        gate: to wait at before it is read; what does not fit into the socket stays in the service's memory until then.
        """
        connection = UnixConnection(self.socket, ANSWER_SECONDS)
        try:
            connection.request("GET", path, headers={"Host": self.host, **self.headers})
            answer = connection.getresponse()
            size = 0
            if gate and answer.status == 200:
                # Under ASGI headers are sent before there is a body.
                size += len(answer.read(1))
                gate.wait()
            while block := answer.read(65536):
                size += len(block)
        except (OSError, http.client.HTTPException) as error:
            raise CalibrationError(f"GET {path} was not answered: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise CalibrationError(f"GET {path} was answered {answer.status}, and only 200 can be measured")
        return size


def calibrate(
    desired: Mapping[str, Any], colour: str, requests: Requests, worker_class: str | None = None
) -> Calibration:
    """Measure the colour's release, run as `desired` says, or under another class. Raises CalibrationError."""
    model, door, paths = desired["model"], desired["front_door"], requests.paths
    chosen = worker_class or model["worker_class"]
    with instance(desired, colour, class_variables(chosen, model)) as (socket, master, group):
        asked = Asked(socket, door["health_host"], requests.headers)
        cold = workers_at_rest(group, master)
        sizes = {path: asked.get(path) for path in paths}
        smallest = min(paths, key=lambda path: sizes[path])
        for _ in range(WARMING * model["workers"]):
            asked.get(door["health_path"])
            asked.get(smallest)
        warm = workers_at_rest(group, master)
        thread = busy_thread(group, master, asked, door["health_path"], warm.total) if chosen == "gthread" else 0.0
        endpoints = [
            endpoint(group, asked, path, requests.clients, warm.total) for path in sorted(paths, key=sizes.__getitem__)
        ]
        samples = []
        for _ in range(CHUNKS):
            for path in list(paths) * CHUNK:
                asked.get(path)
            samples.append(float(held(group)))
        kept = held(group) - warm.total
    each = fit_requests(endpoints, thread)
    return Calibration(
        Coefficients(
            source=f"measured on {os.uname().nodename} under {chosen}",
            master=warm.master,
            cold=min(cold.each, warm.each),
            warm=warm.each,
            shared=warm.shared,
            thread=thread,
            request=each.request,
            copies=each.copies,
            transient=each.transient,
            at_once=each.at_once,
            asked=each.asked,
            allocator=0,
        ),
        kept,
        endpoints,
        growth(samples, CHUNK * len(paths)),
    )


@dataclass(frozen=True)
class Workers:
    """At rest: of the whole instance, of the master, of each worker, and what of that all of them share."""

    total: int
    master: float
    each: float
    shared: float


def workers_at_rest(group: Path, master: int) -> Workers:
    """What processes hold by themselves is theirs. The rest of the control group is shared where the application was
    loaded before the fork, and counts for the master where it was not."""
    workers = procfs.children(master)
    total, alone = held(group), procfs.memory(master).get("private", 0)
    each = statistics.fmean([procfs.memory(pid).get("private", 0) for pid in workers] or [0])
    rest = max(0.0, total - alone - len(workers) * each)
    if observe.preload_fact(master, workers).value:
        return Workers(total, float(alone), each + rest, rest)
    return Workers(total, alone + rest, each, 0.0)


def busy_thread(group: Path, master: int, asked: Asked, path: str, rest: int) -> float:
    """What a thread adds that holds a request, by filling every worker."""
    workers = procfs.children(master)
    with Peak(lambda: held(group)) as peak:
        probe = saturation.saturate(asked.socket, workers, path, asked.host, alone=True)
    busy = sum(probe.per_worker.values())
    return max(0.0, (peak.most - rest) / busy) if busy else 0.0


def endpoint(group: Path, asked: Asked, path: str, clients: int, rest: int) -> Endpoint:
    """rest: what the instance held before any of this; what earlier requests left behind is used again by these."""
    seconds, sizes = [], []
    with Peak(lambda: held(group)) as alone:
        for _ in range(ROUNDS):
            began = time.monotonic()
            sizes.append(asked.get(path))
            seconds.append(time.monotonic() - began)
    begun = waiting = 0
    with Peak(lambda: held(group)) as together:
        for _ in range(ROUNDS):
            gate = Gate(clients, look=lambda: held(group))
            for error in at_once(clients, functools.partial(asked.get, path, gate)):
                raise error
            begun, waiting = max((begun, waiting), (gate.begun, gate.found))
    return Endpoint(
        path,
        max(sizes),
        alone=max(0.0, alone.most - rest),
        together=max(0.0, together.most - rest),
        waiting=max(0.0, waiting - rest),
        begun=begun,
        seconds=statistics.median(seconds),
    )
