"""What a request finds of others, by mechanism and worker class: one table, and what request isolation costs.

    make request-state

Starts one real gunicorn worker after the other on loopback and asks it 1,200 times from 24 clients, each time as
another user: over kept connections, and with one connection for each request, as admission does it. mixed: requests
that saw another request's value after setting their own. stale: requests that began with a value which an earlier one
had left. Exit status 1 where the isolated gthread has either in what a context carries.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

HERE = Path(__file__).resolve().parent
HOOKS = HERE.parents[1] / "files" / "gunicorn.conf.py"
REQUESTS = 1200
CLIENTS = 24
# What a thread keeps for itself, whatever context a request runs in.
OF_THREAD = frozenset({"asgiref Local, thread-critical", "threading.local"})
CONNECTIONS = {"kept connections": True, "a connection for each request": False}
COST_ROUNDS = 5
COST_REQUESTS = 2000


@dataclass(frozen=True)
class Setting:
    """One column of the table. arguments: gunicorn's, beside those that all share."""

    name: str
    arguments: tuple[str, ...]
    application: str = "wsgi"
    isolated: bool = False


GTHREAD = ("--worker-class", "gthread", "--threads", "8")
SETTINGS = (
    Setting("gthread", GTHREAD),
    Setting("gthread, isolated", GTHREAD, isolated=True),
    Setting("uvicorn", ("--worker-class", "uvicorn.workers.UvicornWorker"), application="asgi"),
    Setting("gevent", ("--worker-class", "gevent")),
    Setting("eventlet", ("--worker-class", "eventlet")),
)


@dataclass(frozen=True)
class Found:
    """Requests by mechanism."""

    mixed: Mapping[str, int]
    stale: Mapping[str, int]


@contextmanager
def serving(setting: Setting) -> Iterator[str]:
    """One worker of this class; its address. Ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    isolate = "true" if setting.isolated else "false"
    # eventlet says at each start that it is deprecated.
    variables = {"GUNICORN_ISOLATE_REQUESTS": isolate, "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *setting.arguments, "--workers", "1", "--config", str(HOOKS),
         "--bind", f"127.0.0.1:{port}", "--log-level", "error", f"application:{setting.application}"],
        cwd=HERE, env={**os.environ, **variables}, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"gunicorn does not serve as {setting.name}")
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def ask(base: str, keep: bool, requests: int = REQUESTS, clients: int = CLIENTS) -> Found:
    """Ask as another user each time, and count what belonged to somebody else."""
    mixed: Counter[str] = Counter()
    stale: Counter[str] = Counter()
    numbers = iter(range(requests))

    async def client(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            name, zone = f"user-{number}", f"Etc/GMT+{number % 12 + 1}"
            async with session.get(f"{base}/state/", headers={"X-User": name, "X-Zone": zone}) as response:
                response.raise_for_status()
                said = await response.json()
            for mechanism, value in said["at_start"].items():
                stale[mechanism] += bool(value)
                mixed[mechanism] += said["held"][mechanism] != (zone if mechanism == "time zone" else name)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=not keep)) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    return Found(mixed, stale)


async def per_second(base: str) -> float:
    """Requests that do nothing, a second."""
    numbers = iter(range(COST_REQUESTS))

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in numbers:
            async with session.get(f"{base}/", headers={"X-User": "nobody"}) as response:
                response.raise_for_status()

    async with aiohttp.ClientSession() as session:
        began = time.monotonic()
        await asyncio.gather(*(client(session) for _ in range(8)))
        return COST_REQUESTS / (time.monotonic() - began)


def cost() -> tuple[float, float]:
    """Median requests a second without and with isolation, measured in turn in one run."""
    without, isolated = SETTINGS[0], SETTINGS[1]
    found: dict[str, list[float]] = {without.name: [], isolated.name: []}
    with serving(without) as one, serving(isolated) as other:
        for base in (one, other):
            asyncio.run(per_second(base))
        for _ in range(COST_ROUNDS):
            for setting, base in ((without, one), (isolated, other)):
                found[setting.name].append(asyncio.run(per_second(base)))
    return statistics.median(found[without.name]), statistics.median(found[isolated.name])


def leaks(found: Iterable[Found]) -> set[str]:
    """Mechanisms that a context carries, and in which a request still met another one."""
    return {
        mechanism
        for counts in found
        for mechanism in counts.stale
        if mechanism not in OF_THREAD and counts.stale[mechanism] + counts.mixed[mechanism]
    }


def table(title: str, found: Mapping[str, Found]) -> list[str]:
    """Mechanisms down, worker classes across, `mixed / stale` in each field."""
    mechanisms = list(next(iter(found.values())).stale)
    lines = [f"{title:<34}" + "".join(f"{name:>20}" for name in found)]
    for mechanism in mechanisms:
        fields = (f"{counts.mixed[mechanism]} / {counts.stale[mechanism]}" for counts in found.values())
        lines.append(f"{mechanism:<34}" + "".join(f"{field:>20}" for field in fields))
    return lines


def main() -> None:
    found: dict[str, dict[str, Found]] = {title: {} for title in CONNECTIONS}
    for setting in SETTINGS:
        print(f"asking {setting.name}", file=sys.stderr, flush=True)
        with serving(setting) as base:
            for title, keep in CONNECTIONS.items():
                found[title][setting.name] = asyncio.run(ask(base, keep))
    print(f"mixed / stale, of {REQUESTS} requests each")
    for title, columns in found.items():
        print("\n" + "\n".join(table(title, columns)))
    without, isolated = cost()
    print(f"\nisolation costs {(1 - isolated / without) * 100:.1f} % of requests that do nothing else "
          f"({without:.0f} and {isolated:.0f} a second, medians of {COST_ROUNDS} rounds in turn)")  # fmt: skip
    wrong = leaks(columns["gthread, isolated"] for columns in found.values())
    sys.exit(f"isolation does not hold for {', '.join(sorted(wrong))}" if wrong else 0)


if __name__ == "__main__":
    main()
