"""Clients of the lab: they ask its own hosts, bounded in count and time, and count every answer that is not right."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import aiohttp

PROJECT = "/api/workspaces/lab/projects/00000000-0000-0000-0000-000000000001"
SMALL = "/api/users/me/"
ISSUES = f"{PROJECT}/issues/"
HEAVY = f"{PROJECT}/pages/00000000-0000-0000-0000-0000000007d1/description/"
HEAVY_BYTES = 5 * 1024 * 1024
# More than a socket buffers, for slow readers; their own end takes next to nothing.
LARGE = "/api/debug/large/?mebibytes=8"
LARGE_BYTES = 8 << 20
KEY = {"X-Api-Key": "lab-ada", "Accept-Encoding": "identity"}
# A change takes a fraction of it, on a busy machine too.
MOST_SECONDS = 600.0
REQUEST_SECONDS = 60.0


@dataclass
class Tally:
    """What a client saw: answers by what they were, seconds of each, and the marks of writes that were acknowledged."""

    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return sum(self.outcomes.values())

    @property
    def failed(self) -> dict[str, int]:
        """Everything but a right answer."""
        return {outcome: count for outcome, count in self.outcomes.items() if outcome != "ok"}

    def percentile(self, share: int) -> float:
        """Seconds within which `share` percent were answered."""
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[share - 1]


Request = Callable[[aiohttp.ClientSession, Tally], Awaitable[str]]


async def get(session: aiohttp.ClientSession, url: str, size: int | None = None) -> str:
    """`ok`, or what was wrong: the status, a wrong length, or the error."""
    async with session.get(url, headers=KEY) as response:
        body = await response.read()
        if response.status != 200:
            return f"status {response.status}"
        return "ok" if size is None or len(body) == size else f"truncated to {len(body)}"


def small(base: str) -> Request:
    return lambda session, tally: get(session, base + SMALL)


def listing(base: str) -> Request:
    return lambda session, tally: get(session, base + ISSUES)


def heavy(base: str) -> Request:
    return lambda session, tally: get(session, base + HEAVY, HEAVY_BYTES)


def write(base: str) -> Request:
    async def post(session: aiohttp.ClientSession, tally: Tally) -> str:
        mark = uuid.uuid4().hex
        async with session.post(
            base + ISSUES, headers=KEY, json={"name": "written by a client", "external_id": mark}
        ) as response:
            if response.status != 201:
                return f"status {response.status}"
            if (await response.json())["external_id"] != mark:
                return "another write's answer"
        tally.acknowledged.append(mark)
        return "ok"

    return post


def query(base: str) -> Request:
    """One of GraphQL: its answer is that of the stand-in's data, and of no other service."""

    async def post(session: aiohttp.ClientSession, tally: Tally) -> str:
        async with session.post(f"{base}/graphql/", json={"query": "{ workspaces { slug } }"}) as response:
            answer = await response.json()
            return "ok" if answer == {"data": {"workspaces": [{"slug": "lab"}]}} else f"status {response.status}"

    return post


async def loop(
    session: aiohttp.ClientSession, request: Request, tally: Tally, until: Callable[[], bool], most: int, pause: float
) -> None:
    """One closed-loop client: the next request follows the last answer, after `pause` seconds."""
    for _ in range(most):
        if until():
            return
        began = time.monotonic()
        try:
            outcome = await request(session, tally)
        except (aiohttp.ClientError, asyncio.TimeoutError, ValueError, OSError) as error:
            outcome = type(error).__name__
        tally.outcomes[outcome] += 1
        tally.seconds.append(time.monotonic() - began)
        await asyncio.sleep(pause)


async def run(
    groups: list[tuple[str, Request, int]],
    until: Callable[[], bool],
    keep_alive: bool = True,
    most: int = 100_000,
    pause: float = 0,
) -> dict[str, Tally]:
    """Run groups (name, request, clients) side by side until `until()`, MOST_SECONDS or `most` requests a client.

    pause: seconds between a client's requests, where the load is not to be the most that the machine can do.
    """
    tallies = {name: Tally() for name, _, _ in groups}
    end = time.monotonic() + MOST_SECONDS

    def over() -> bool:
        return until() or time.monotonic() > end

    connector = aiohttp.TCPConnector(limit=0, force_close=not keep_alive)
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        # Left alone, aiohttp asks a second time itself where a GET got no answer, and nothing would be counted. There
        # is no public switch; a unit test notices where this one is gone.
        session._retry_connection = False
        await asyncio.gather(*(
            loop(session, request, tallies[name], over, most, pause)
            for name, request, clients in groups
            for _ in range(clients)
        ))  # fmt: skip
    return tallies


@contextmanager
def slow_readers(
    address: tuple[str, int], number: int, path: str = LARGE, headers: Mapping[str, str] = KEY
) -> Iterator[Sequence[socket.socket]]:
    """Clients that ask once and read nothing, until the block ends; they read what the block reads of them."""
    said = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "lab", "Connection": "close", **headers}.items())
    with ExitStack() as stack:
        connections = []
        for _ in range(number):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(90)
            connection.connect(address)
            connection.sendall(f"GET {path} HTTP/1.1\r\n{said}\r\n".encode())
            connections.append(connection)
        yield connections
