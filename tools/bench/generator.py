"""The load generator: h2load (Debian's nghttp2-client), its command, its log of each request, and what it used itself.

With `rate`, every request is a connection of its own that is made at its time, whatever was answered before: what waits
is counted. With `clients`, each keeps its connection and asks again once it was answered; with `at_once`, asks once.
Slow readers (`slow`) are this process's own: h2load reads what comes.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from urllib.parse import urlsplit

import client

from bench.data import Asked, Load

# One thread each: more than this share of a processor, and the client may be what is measured.
MOST_PROCESSOR = 0.8
# So much later than its time a request may begin: more, and the client did not offer what was asked of it.
MOST_LATE_SECONDS = 0.25
# An answer that took longer came late.
SLOW_SECONDS = 0.5
# A connection that has not answered by then is given up, and counted as failed.
PATIENCE_SECONDS = 60
PERCENTILES = (50, 95, 99)
# Before all that is measured, as if it had a machine of its own: a busy one would make it late, and its times longer.
FIRST = ["chrt", "--fifo", "1"] if os.geteuid() == 0 else []
DONE = re.compile(
    r"^requests: (?P<total>\d+) total, (?P<started>\d+) started, \d+ done, (?P<ok>\d+) succeeded, "
    r"(?P<failed>\d+) failed, (?P<errored>\d+) errored, (?P<timeout>\d+) timeout$",
    re.MULTILINE,
)
BODIES = re.compile(r"\((\d+)\) data$", re.MULTILINE)


@dataclass(frozen=True)
class Tally:
    """What one load saw in one measurement. Times are seconds; percentiles and worst are of right answers.

    rate: right answers a second. failed: what went wrong -> how often. settled: when the last request was over that
    failed or took more than half a second, from the first one on (open loop; 0: none was). late: of the request that
    began latest after its time (open loop). client: share of a processor that the generator used. command: as it was
    run, without the values of headers.
    """

    command: Sequence[str]
    answered: int
    failed: Mapping[str, int]
    seconds: float
    p50: float
    p95: float
    p99: float
    worst: float
    settled: float
    late: float
    client: float

    @property
    def rate(self) -> float:
        return self.answered / self.seconds

    @property
    def unfit(self) -> list[str]:
        """Why this says nothing about the server."""
        found = []
        if self.client > MOST_PROCESSOR:
            found.append(f"the client used {self.client:.0%} of a processor")
        if self.late > MOST_LATE_SECONDS:
            found.append(f"the client began a request {self.late:.2f} s late")
        return found


def bounded(seconds: float) -> list[str]:
    """Against connections that are refused at once, for ever: h2load makes new ones and never ends."""
    return ["timeout", f"{seconds + 2 * PATIENCE_SECONDS:.0f}"]


def command(base: str, asked: Asked, headers: Mapping[str, str], load: Load, seconds: float, log: str) -> list[str]:
    words = [
        "h2load",
        "--h1",
        "--threads=1",
        f"--log-file={log}",
        f"--connection-inactivity-timeout={PATIENCE_SECONDS}",
    ]
    # It sends a Host of its own beside a header Host, and two are refused: this is what that one is made of.
    named = {":authority" if name.lower() == "host" else name: value for name, value in headers.items()}
    words += [f"--header={name}: {value}" for name, value in named.items()]
    if load.rate:
        requests = max(1, round(load.rate * seconds))
        words += [
            f"--requests={requests}",
            f"--clients={requests}",
            "--rate=1",
            f"--rate-period={1000 / load.rate:.0f}ms",
        ]
    elif load.at_once:
        words += [f"--requests={load.at_once}", f"--clients={load.at_once}"]
    else:
        words += [f"--clients={load.clients}", f"--duration={seconds * 1000:.0f}ms"]
    return [*words, base + asked.path]


def percentile(values: Sequence[float], share: int) -> float:
    """The least value that `share` percent of all do not exceed; values are sorted."""
    return values[max(0, -(-len(values) * share // 100) - 1)]


def tally(
    words: Sequence[str], log: str, said: str, asked: Asked, load: Load, seconds: float, processor: float
) -> Tally:
    """Of h2load's log and summary. seconds: that it ran; processor: seconds that it used."""
    rows = [line.split("\t")[:3] for line in log.splitlines()]
    right = sorted(int(row[2]) / 1e6 for row in rows if row[1] == "200")
    # Of a streamed answer h2load logs a failure as -1, of a refused connection nothing.
    failed = Counter("no answer" if row[1] == "-1" else f"status {row[1]}" for row in rows if row[1] != "200")
    done = DONE.search(said)
    if done is None:
        failed["h2load said nothing"] += 1
    else:
        lost = int(done["failed"]) - sum(failed.values())
        if lost > 0:
            failed["no answer"] += lost
    bodies = BODIES.search(said)
    if asked.bytes and bodies and int(bodies[1]) < len(right) * asked.bytes:
        failed["shorter than it should be"] += 1
    late = 0.0
    settled = float("nan")
    if load.rate and rows:
        began = sorted(int(row[0]) / 1e6 for row in rows)
        late = max(at - began[0] - number / load.rate for number, at in enumerate(began))
        slow = [
            (int(row[0]) + int(row[2])) / 1e6 for row in rows if row[1] != "200" or int(row[2]) / 1e6 > SLOW_SECONDS
        ]
        settled = max(slow) - began[0] if slow else 0.0
    p50, p95, p99 = (percentile(right, share) if right else float("nan") for share in PERCENTILES)
    worst = right[-1] if right else float("nan")
    # A header may be a key that protects something.
    shown = [f"{word.partition(': ')[0]}: …" if word.startswith("--header=") else word for word in words]
    return Tally(shown, len(right), dict(failed), seconds, p50, p95, p99, worst, settled, late, processor / seconds)


def time_of(load: Load, seconds: float, took: float) -> float:
    """Seconds in which the answers of a load came: clients end after their time, the others with their last answer."""
    if load.clients:
        return seconds
    return took if load.at_once else max(seconds, took)


def read_slowly(base: str, asked: Asked, headers: Mapping[str, str], load: Load, seconds: float) -> Tally:
    """Ask, wait, and go without having read; right is what has begun with 200 by then. It has no times."""
    target = urlsplit(base)
    with client.slow_readers((str(target.hostname), target.port or 80), load.slow, asked.path, headers) as connections:
        # The load itself, not a condition that could be waited for.
        time.sleep(seconds)
        begun = Counter(beginning(each) for each in connections)
    right = begun.pop("200", 0)
    nothing = float("nan")
    return Tally(
        [f"{load.slow} slow readers of {asked.path}"], right, {f"status {each}": begun[each] for each in begun if each},
        seconds, nothing, nothing, nothing, nothing, nothing, 0.0, 0.0,
    )  # fmt: skip


def beginning(connection: socket.socket) -> str:
    """The status of an answer that has begun; empty where none has."""
    connection.setblocking(False)
    try:
        return connection.recv(12).decode("ascii").partition(" ")[2]
    except BlockingIOError:
        return ""


Started = tuple[list[str], Path, TextIOWrapper, float, subprocess.Popen[bytes]]


def run(
    base: str, release_headers: Mapping[str, str], loads: Mapping[str, tuple[Asked, Load]], seconds: float
) -> dict[str, Tally]:
    """Run loads side by side, each in a process of its own; what each saw."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as here:
        running: dict[str, Started] = {}
        slow = {
            name: here.submit(read_slowly, base, asked, release_headers, load, load.seconds or seconds)
            for name, (asked, load) in loads.items()
            if load.slow
        }
        for name, (asked, load) in loads.items():
            if load.slow:
                continue
            log = Path(folder) / f"{len(running)}.log"
            words = command(base, asked, release_headers, load, load.seconds or seconds, str(log))
            said = log.with_suffix(".said").open("w")
            running[name] = (
                words,
                log,
                said,
                time.monotonic(),
                subprocess.Popen([*bounded(seconds), *FIRST, *words], stdout=said, stderr=said),
            )
        found = {}
        for name, (words, log, said, began, process) in running.items():
            _, _, used = os.wait4(process.pid, 0)
            # Others may have ended before: an open loop's own time is what it was asked for, and what it waited.
            took = time.monotonic() - began
            process.returncode = 0
            said.close()
            asked, load = loads[name]
            text = log.read_text(encoding="ascii") if log.exists() else ""
            found[name] = tally(
                words, text, log.with_suffix(".said").read_text(encoding="utf-8"), asked, load,
                time_of(load, load.seconds or seconds, took), used.ru_utime + used.ru_stime,
            )  # fmt: skip
        return {**found, **{name: each.result() for name, each in slow.items()}}
