"""The saturation probe: how many requests an instance really runs at once, found by filling it.

A thread pool fills lazily and a command line may lie, so a bound is proved by reaching it. The probe opens requests
whose header never ends: each holds a thread of gunicorn's, whatever the application is. It goes on until every worker
has a request that it accepted and does not run, counts what each runs (threads that read from one of these
connections, from /proc/<pid>/task/<tid>/syscall), sees one further request wait, lets go, and sees all of them finish.

Only for an instance without traffic, or where a moment of full load is acceptable.
"""

from __future__ import annotations

import platform
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from . import procfs

# Numbers of the system calls that read from a socket: read, recvfrom, recvmsg.
READS = {"x86_64": {0, 45, 47}, "aarch64": {63, 207, 212}}
HELD = "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nX-Held: "
RELEASE = b"released\r\n\r\n"
# How long the probe may take, and how long it waits each time for workers that have something to do: those that serve
# others too never rest. Without other traffic they do, however long they wait for a processor on a busy host, and are
# not judged before.
LIMIT_SECONDS, RESTLESS_SECONDS = 10.0, 1.0
ALONE_SECONDS = 60.0


@dataclass(frozen=True)
class Saturation:
    """bounded: every worker was filled, and a further request waited until the held ones were let go.

    per_worker: pid -> requests that it ran at once. held: requests that were held open in all.
    """

    bounded: bool
    per_worker: dict[int, int] = field(default_factory=dict)
    held: int = 0
    further_waited: bool = False
    further_finished: bool = False
    seconds: float = 0.0
    source: str = "/proc/<worker>/task/*/syscall"
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "per_worker": {str(pid): count for pid, count in self.per_worker.items()}}


def reading_descriptor(text: str, reads: set[int]) -> int | None:
    """The file descriptor that a thread reads from, by the text of /proc/<pid>/task/<tid>/syscall."""
    words = text.split()
    if len(words) < 2 or not words[0].isdigit() or int(words[0]) not in reads:
        return None
    return int(words[1], 16)


@dataclass(frozen=True)
class Counts:
    """Of one worker: connections that it accepted, and of these the ones that a thread reads from.

    restless: a thread runs, or waits for a processor or a disk, so the counts may still change. It is not compared.
    """

    running: int = 0
    accepted: int = 0
    restless: bool = field(default=False, compare=False)


def count(pid: int, path: str) -> Counts:
    """What the worker does with its connections to `path`."""
    connections = procfs.unix_connections(path)
    accepted = {descriptor for inode, descriptor in procfs.socket_inodes(pid).items() if inode in connections}
    reads = READS.get(platform.machine(), READS["x86_64"])
    tasks = [procfs.PROC / str(pid) / "task" / str(thread) for thread in procfs.threads(pid)]
    calls = [procfs.read(task / "syscall") for task in tasks]
    return Counts(
        running=sum(reading_descriptor(text, reads) in accepted for text in calls),
        accepted=len(accepted),
        restless=any(text.startswith("running") for text in calls)
        or any(procfs.read(task / "stat").rpartition(")")[2].startswith(" D") for task in tasks),
    )


class Probe:
    """Requests held open on one Unix socket. Use as a context: whatever happens, they are let go."""

    def __init__(self, path: str, unfinished: bytes) -> None:
        self.path = path
        self.unfinished = unfinished
        self.connections: list[socket.socket] = []

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *exception: object) -> None:
        for connection in self.connections:
            connection.close()

    def hold(self, count: int) -> None:
        for _ in range(count):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(2)
            connection.connect(self.path)
            connection.sendall(self.unfinished)
            self.connections.append(connection)

    def release(self, deadline: float) -> int:
        """End every header and wait for the answers; how many came."""
        for connection in self.connections:
            connection.sendall(RELEASE)
        waiting = {connection.fileno(): connection for connection in self.connections}
        answered = 0
        while waiting and time.monotonic() < deadline:
            ready, _, _ = select.select(list(waiting), [], [], 0.1)
            for descriptor in ready:
                answered += waiting.pop(descriptor).recv(16).startswith(b"HTTP/1.")
        return answered


def saturate(
    path: str,
    workers: Sequence[int],
    http_path: str = "/",
    host: str = "localhost",
    most: int = 400,
    alone: bool = False,
) -> Saturation:
    """Fill the instance that listens at the Unix socket `path` and count what each of `workers` runs at once.

    Holds `most` requests at the most. alone: it serves nobody else; then the probe may take longer.
    """
    began = time.monotonic()
    deadline = began + (ALONE_SECONDS if alone else LIMIT_SECONDS)
    restless_seconds = ALONE_SECONDS if alone else RESTLESS_SECONDS
    unfinished = HELD.format(path=http_path, host=host).encode()
    try:
        with Probe(path, unfinished) as probe:
            counts = _fill(probe, workers, most, deadline, restless_seconds)
            full_at_rest = all(_is_full(found) and not (alone and found.restless) for found in counts.values())
            late = not full_at_rest and time.monotonic() > deadline - 2
            per_worker = {pid: found.running for pid, found in counts.items()}
            full = bool(workers) and all(running >= 1 for running in per_worker.values())
            waited, further = _offer(path, unfinished + RELEASE, wait=0.25)
            try:
                answered = probe.release(deadline)
                finished = _finishes(further, deadline)
            finally:
                further.close()
            held = len(probe.connections)
    except OSError as failure:
        return Saturation(bounded=False, seconds=round(time.monotonic() - began, 2), error=f"{path}: {failure}")
    error = ""
    if full and answered < held:
        error = f"{held - answered} of {held} held requests were not answered after they were let go"
    elif not full and any(per_worker.values()):
        idle = [str(pid) for pid, running in per_worker.items() if not running]
        error = f"worker {', '.join(idle)} took none of {held} requests"
    elif late:
        error = f"not every worker was filled in {deadline - began:.0f} s: the host may be too busy to tell"
    return Saturation(
        bounded=full and waited and finished and not error,
        per_worker=per_worker,
        held=held,
        further_waited=waited,
        further_finished=finished,
        seconds=round(time.monotonic() - began, 2),
        error=error,
    )


def _is_full(found: Counts) -> bool:
    return found.accepted > found.running >= 1


def _fill(
    probe: Probe, workers: Sequence[int], most: int, deadline: float, restless_seconds: float
) -> dict[int, Counts]:
    """Hold more and more until each worker has accepted what it does not run, or nothing more is accepted.

    What a worker runs is believed once it was the same with still more to run: a thread may be late.
    """
    counts = dict.fromkeys(workers, Counts())
    idle_rounds = 0
    while time.monotonic() < deadline - 2 and len(probe.connections) < most:
        probe.hold(min(4 * max(len(workers), 1), most - len(probe.connections)))
        before = counts
        counts = _settle(probe.path, workers, deadline, restless_seconds)
        same = all(found.running == before[pid].running for pid, found in counts.items())
        if same and all(map(_is_full, counts.values())):
            break
        # A worker without any bound accepts everything and runs none of it in a thread.
        if len(probe.connections) >= 24 and not any(found.running for found in counts.values()):
            break
        idle_rounds = idle_rounds + 1 if counts == before else 0
        if idle_rounds >= 3:
            break
    return counts


def _settle(path: str, workers: Sequence[int], deadline: float, restless_seconds: float) -> dict[int, Counts]:
    """Counts once they have stayed the same for a moment in which no worker had anything to do.

    Threads start one after another, and where processors are short, or the limit of processors is reached, each waits
    for its turn: that is awaited for `restless_seconds`.
    """
    last: dict[int, Counts] = {}
    same = 0
    patience = time.monotonic() + restless_seconds
    while time.monotonic() < deadline - 2:
        counts = {pid: count(pid, path) for pid in workers}
        restless = any(found.restless for found in counts.values()) and time.monotonic() < patience
        same = same + 1 if counts == last and not restless else 0
        if same >= 2:
            break
        last = counts
        time.sleep(0.03)
    return last


def _offer(path: str, request: bytes, wait: float) -> tuple[bool, socket.socket]:
    """Send one further, whole request; whether it was still unanswered after `wait` seconds."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(2)
    connection.connect(path)
    connection.sendall(request)
    ready, _, _ = select.select([connection], [], [], wait)
    return not ready, connection


def _finishes(connection: socket.socket, deadline: float) -> bool:
    connection.settimeout(max(deadline - time.monotonic(), 0.1))
    try:
        return connection.recv(16).startswith(b"HTTP/1.")
    except OSError:
        return False
