"""Queue time and slots in use under a load whose answer is known: Poisson arrivals at 80 % of 16 slots.

    make bench-queue
    make bench-queue ARGS='--workers 2'

Requests come at random, each holds its slot for a random time (exponential). What waited is read from admission's log,
one line a request, and how many slots were in use from HAProxy's socket; both are compared with Erlang's formula C. The
formula is for an endless time, and what a few minutes of chance wait differs by a third from it: so the arrivals are
those of the first seed with which ideal slots would be within 5 % of the formula.

One worker has all 16 threads, unless --workers says otherwise. Of several, the kernel gives some more connections than
they have threads, and who waits inside a worker holds a slot meanwhile: more slots are in use, and more requests wait.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import random
import re
import sys
import time
from dataclasses import dataclass
from typing import Any

import aiohttp
from client import KEY
from process_model import sizing
from process_model.report import columns
from support import Host, inventory_hosts, playbook, succeeded

SLOTS = 16
SHARE = 0.8
TOLERANCE = 0.2
TYPICAL = 0.05
MOST_SEEDS = 1000
SLEEP = "/api/debug/sleep/"
# A wait below this is the log's resolution and the kernel's, and no queue: the log has whole milliseconds.
NO_WAIT = 0.001
SAMPLES_EVERY = 0.5
# TR/Tw/Tc/Tr/Ta of HAProxy's httplog, for requests of this benchmark alone.
LINE = re.compile(r" (\d+)/(\d+)/(\d+)/(\d+)/(\d+) 200 .*GET /api/debug/sleep/")


@dataclass(frozen=True)
class Request:
    """When it comes and how long it holds a slot, in seconds."""

    arrives: float
    holds: float


def requests(seconds: float, mean: float, seed: int) -> list[Request]:
    chance = random.Random(seed)
    rate = SHARE * SLOTS / mean
    found, now = [], 0.0
    while (now := now + chance.expovariate(rate)) < seconds:
        found.append(Request(now, chance.expovariate(1 / mean)))
    return found


def ideal_waits(arriving: list[Request], slots: int = SLOTS) -> list[float]:
    """What each would wait in front of so many slots: first come, first served."""
    free = [0.0] * slots
    waits = []
    for each in arriving:
        begins = max(each.arrives, heapq.heappop(free))
        waits.append(begins - each.arrives)
        heapq.heappush(free, begins + each.holds)
    return waits


def typical(seconds: float, mean: float, expected: sizing.Waiting) -> list[Request]:
    """Arrivals that wait in front of ideal slots as the formula says, within TYPICAL."""
    for seed in range(MOST_SEEDS):
        found = requests(seconds, mean, seed)
        waits = ideal_waits(found)
        share, wait = sum(each > NO_WAIT for each in waits) / len(waits), sum(waits) / len(waits)
        if abs(share / expected.waits - 1) < TYPICAL and abs(wait / expected.mean_wait - 1) < TYPICAL:
            return found
    sys.exit(f"bench-queue: no arrivals of {seconds:g} s are typical: more seconds are needed")


async def send(base: str, arriving: list[Request], samples: list[int], host: Host) -> int:
    """Ask each at its time; how many were not answered by 200."""
    began = time.monotonic()
    failed = 0
    over = asyncio.Event()

    async def one(session: aiohttp.ClientSession, each: Request) -> None:
        nonlocal failed
        await asyncio.sleep(max(0.0, began + each.arrives - time.monotonic()))
        async with session.get(f"{base}{SLEEP}?seconds={each.holds:.4f}", headers=KEY) as response:
            failed += response.status != 200
            await response.read()

    async def watch() -> None:
        while not over.is_set():
            samples.append(await asyncio.to_thread(in_use, host))
            await asyncio.sleep(SAMPLES_EVERY)

    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(one(session, each) for each in arriving))
        over.set()
        await watching
    return failed


def in_use(host: Host) -> int:
    return sum(
        int(row["scur"])
        for (proxy, server), row in host.statistics().items()
        if proxy == "plane-api" and server not in ("FRONTEND", "BACKEND")
    )


def waits_of(host: Host, since: float) -> list[float]:
    """Seconds that each request waited for its slot, by admission's log."""
    said = host.run(f"journalctl -t plane-admission -o cat --no-pager --since=@{since:.0f}")
    return [int(match[2]) / 1000 for match in map(LINE.search, said.splitlines()) if match]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="staging-api1")
    parser.add_argument("--seconds", type=float, default=400.0)
    parser.add_argument("--mean", type=float, default=1.0, help="seconds that a request holds its slot")
    parser.add_argument("--workers", type=int, default=1, choices=[1, 2, 4, 8], help=f"of {SLOTS} threads in all")
    given = parser.parse_args()
    host = Host(given.host, inventory_hosts()[given.host])
    model = {"plane_api_workers": given.workers, "plane_api_threads": SLOTS // given.workers}
    succeeded(playbook("site.yml", given.host, plane_api_heavy_routes=[], **model))
    expected = sizing.waiting(SHARE * SLOTS / given.mean, given.mean, SLOTS)
    arriving = typical(given.seconds, given.mean, expected)
    ideal = ideal_waits(arriving)
    samples: list[int] = []
    since = time.time()
    print(f"{len(arriving)} requests in {given.seconds:g} s", flush=True)
    failed = asyncio.run(send(f"http://{host.address}:8000", arriving, samples, host))
    waits = waits_of(host, since)

    def waited(values: list[float]) -> float:
        return sum(value > NO_WAIT for value in values) / len(values)

    rows: list[tuple[str, float, float, float]] = [
        ("share that waits", expected.waits, waited(ideal), waited(waits)),
        ("mean wait, ms", expected.mean_wait * 1000, 1000 * sum(ideal) / len(ideal), 1000 * sum(waits) / len(waits)),
        ("slots in use", SHARE * SLOTS, sum(each.holds for each in arriving) / given.seconds, mean_of(samples[2:-2])),
    ]
    lines: list[list[Any]] = [["", "Erlang C", "same arrivals, ideal", "measured", "against Erlang C"]]
    lines += [
        [name, f"{formula:.3g}", f"{same:.3g}", f"{found:.3g}", f"{found / formula - 1:+.0%}"]
        for name, formula, same, found in rows
    ]
    print("\n".join(columns(lines)))
    print(f"{len(waits)} of {len(arriving)} requests in the log, {failed} failed")
    succeeded(playbook("site.yml", given.host))
    far = [name for name, formula, _, found in rows if abs(found / formula - 1) > TOLERANCE]
    if far or failed or len(waits) != len(arriving):
        sys.exit(f"bench-queue: more than {TOLERANCE:.0%} away: {', '.join(far) or 'nothing, but requests were lost'}")


def mean_of(values: list[int]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
