"""What clients lose while hosts change, workers are renewed or die: one table, no request may fail.

    make zero-loss
    make zero-loss ARGS='--packages pins --operations flip,recycle --requests 0'
    make zero-loss ARGS=--unprotected

Runs each operation on the lab's two REST hosts under clients that read, write and download 5 MB through admission, with
kept and with closed connections at once. A request fails that is refused, reset, cut, answered wrongly or with 500 or
above. Every acknowledged write is looked for in the database: it has to be there once. Exit status 1 where anything was
lost. kill -9 cuts what its worker is sending at that moment: nobody can repeat an answer that has begun, so these are
counted by themselves, as `cut`. Every operation is done once, and then again until --requests were made.

--workers is how many workers are to be renewed at the least, by each operation that does so. Afterwards, without load,
renewed workers are asked one request after the other: what their first one took, against the median.

With --unprotected each protection is switched off by hand, and clients must lose something: exit status 1 where they do
not, because then nothing of the other table is proved.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count

import client
from support import (
    Host,
    Load,
    a_change,
    inventory_hosts,
    load,
    playbook,
    rollback,
    rollout,
    seed,
    site,
    stored_wrongly,
    succeeded,
)

HOSTS = [Host(name, address) for name, address in inventory_hosts().items() if "-api" in name]
DATA = next(Host(name, address) for name, address in inventory_hosts().items() if "-data" in name)
LIMIT = ",".join(host.name for host in HOSTS)
PACKAGES = ("pins", "newest")
CONNECTIONS = {"keep-alive": True, "close": False}
# Reads, writes and downloads for each host and kind of connection, in a closed loop.
CLIENTS: dict[str, tuple[Callable[[str], client.Request], int]] = {
    "GET": (client.small, 3),
    "POST": (client.write, 2),
    "GET 5 MB": (client.heavy, 1),
}
# Seconds between a client's requests: two processors have to do the operations too.
PAUSE = 0.01
# Enough for each worker to be renewed several times while the clients run.
RECYCLE = {"plane_api_max_requests": 60, "plane_api_max_requests_jitter": 30}
RENEWED_WORKERS = 50
RECYCLE_SECONDS = 400.0
KILLS = 10
# How the client calls an answer that ended before its length.
CUT = "ClientPayloadError"
REQUESTS = 100_000
# Rotations of each host, and requests after each, from which the first ones of renewed workers are taken.
ROTATIONS, ASKED = 3, 60
# Where a client reaches the live instance without admission: a forwarder of the host that changes nothing.
DIRECT_PORT = 9000


@dataclass(frozen=True)
class Row:
    """One line of the table. cut: answers that had begun when kill -9 ended them. slowest: seconds."""

    packages: str
    connection: str
    operation: str
    method: str
    requests: int
    failed: Counter[str]
    cut: int
    slowest: float

    def __str__(self) -> str:
        total = sum(self.failed.values())
        what = f"  {dict(self.failed)}" if self.failed else ""
        return (
            f"{self.packages:<10}{self.operation:<32}{self.connection:<12}{self.method:<10}"
            f"{self.requests:>9}{total:>8}{self.cut:>5}{self.slowest:>9.2f}{what}"
        )


HEADINGS = (
    f"{'packages':<10}{'operation':<32}{'connection':<12}{'method':<10}{'requests':>9}{'failed':>8}{'cut':>5}"
    f"{'slowest':>9}"
)


def flip() -> None:
    """gthread to uvicorn by unsetting the class, and back."""
    succeeded(site(LIMIT, plane_api_worker_class=""))
    succeeded(site(LIMIT))


def release() -> None:
    succeeded(
        rollout(
            LIMIT,
            plane_release_canary_shares=[20],
            plane_release_canary_seconds=3,
            plane_release_watch_seconds=1,
            **a_change(),
        )
    )


def go_back() -> None:
    succeeded(rollback(LIMIT))


def kill() -> None:
    """kill -9 of one worker after the other. A write that it held is lost by its nature: nobody may repeat it."""
    for _ in range(KILLS):
        for host in HOSTS:
            host.run(f"kill -9 $(pgrep -P {host.master()} | shuf -n 1)")
        time.sleep(1)


def started_workers(since: float) -> int:
    """Workers of the two colours that were started; those of the instance that stands in for one are no renewal."""
    units = "-u plane-api@blue -u plane-api@green"
    asked = f"journalctl --since=@{since:.0f} {units} | grep -c 'Worker .* is warm' || true"
    return sum(int(host.run(asked)) for host in HOSTS)


def recycle(workers: int = RENEWED_WORKERS) -> None:
    """Until enough workers were renewed: by rotation where that is the strategy, else by gunicorn itself."""
    rotates = "null" not in HOSTS[0].run("cat /etc/plane-api/rotation.json")
    began = time.time()
    while started_workers(began) < workers and time.time() - began < RECYCLE_SECONDS:
        if not rotates:
            time.sleep(2)
            continue
        for host in HOSTS:
            host.run("plane-process-model rotate plane-api")
    print(
        f"          {started_workers(began)} workers were renewed by {'rotation' if rotates else 'gunicorn'}",
        flush=True,
    )


OPERATIONS: dict[str, Callable[[], None]] = {
    "flip": flip,
    "release": release,
    "rollback": go_back,
    "recycle": recycle,
    "recycle-uvicorn": recycle,
    "kill": kill,
}
RENEWING = ("recycle", "recycle-uvicorn")


def prepare(operation: str) -> None:
    """What the operation needs before the clients start: mostly what the inventory says."""
    if operation == "rollback":
        return  # to what an earlier operation has left, whichever that is
    uvicorn = {"plane_api_worker_class": ""} if operation == "recycle-uvicorn" else {}
    succeeded(site(LIMIT, **(RECYCLE if operation in RENEWING else {}), **uvicorn))


def groups(port: int, without: str = "") -> list[tuple[str, client.Request, int]]:
    return [
        (f"{method} {host.name}", make(f"http://{host.address}:{port}"), clients)
        for host in HOSTS
        for method, (make, clients) in CLIENTS.items()
        if method != without
    ]


def rows(found: Load, packages: str, connection: str, operation: str) -> list[Row]:
    result = []
    for method in CLIENTS:
        tallies = [found.tallies[f"{method} {host.name}"] for host in HOSTS if f"{method} {host.name}" in found.tallies]
        if tallies:
            failed: Counter[str] = Counter()
            for tally in tallies:
                failed.update(tally.failed)
            cut = failed.pop(CUT, 0) if operation == "kill" else 0
            slowest = max((second for tally in tallies for second in tally.seconds), default=0.0)
            requests = sum(tally.requests for tally in tallies)
            result.append(Row(packages, connection, operation, method, requests, failed, cut, slowest))
    return result


def measure(
    operation: str, packages: str, run: Callable[[], None], port: int = 8000, without: str = ""
) -> tuple[list[Row], list[str]]:
    """Run an operation under both kinds of connections; its rows, printed, and the acknowledged writes."""
    with (
        load(groups(port, without), keep_alive=True, pause=PAUSE) as kept,
        load(groups(port, without), keep_alive=False, pause=PAUSE) as closed,
    ):
        run()
    table = rows(kept, packages, "keep-alive", operation) + rows(closed, packages, "close", operation)
    for row in table:
        print(row, flush=True)
    return table, kept.acknowledged + closed.acknowledged


def protected(packages: list[str], operations: list[str], workers: int, requests: int) -> int:
    """The table, and how much was lost."""
    table: list[Row] = []
    marks: list[str] = []

    def made() -> int:
        return sum(row.requests for row in table)

    for round_ in count():
        for chosen in packages:
            os.environ["PLANE_LAB_REQUIREMENTS"] = chosen
            succeeded(site(LIMIT))
            seed(HOSTS[0])
            for operation in operations:
                if round_ and made() >= requests:
                    break
                prepare(operation)
                without = "POST" if operation == "kill" else ""
                run = partial(recycle, workers) if operation in RENEWING else OPERATIONS[operation]
                found, written = measure(operation, chosen, run, without=without)
                table += found
                marks += written
                if operation == "recycle" and requests and not round_:
                    first_requests()
        if made() >= requests:
            break
    os.environ.pop("PLANE_LAB_REQUIREMENTS")
    wrong = len(stored_wrongly(DATA, marks))
    failed = sum(sum(row.failed.values()) for row in table)
    print(f"{made()} requests through admission, {failed} failed, {sum(row.cut for row in table)} cut by kill -9; "
          f"{len(marks)} acknowledged writes, {wrong} of them not stored exactly once")  # fmt: skip
    return failed + wrong


@contextmanager
def direct() -> Iterator[None]:
    """A port of each host that leads straight to gunicorn: one connection to it for each of a client's."""
    for host in HOSTS:
        host.run(
            f"systemd-run --quiet --collect --unit=lab-direct --socket-property=ListenStream={DIRECT_PORT} "
            "/usr/lib/systemd/systemd-socket-proxyd /run/plane-api/live.sock"
        )
    try:
        yield
    finally:
        for host in HOSTS:
            host.run("systemctl stop lab-direct.socket lab-direct.service")


def let_gunicorn_recycle() -> None:
    """By hand, as a run would refuse it: the pinned gunicorn ends its workers itself."""
    for host in HOSTS:
        environment = f"/etc/plane-api/{host.live()}/environment"
        host.run(
            "systemctl stop plane-api-rotation.timer; "
            f"sed -i -e 's/^GUNICORN_MAX_REQUESTS=.*/GUNICORN_MAX_REQUESTS=\"60\"/' "
            f"-e 's/^GUNICORN_MAX_REQUESTS_JITTER=.*/GUNICORN_MAX_REQUESTS_JITTER=\"30\"/' {environment}; "
            f"systemctl restart plane-api@{host.live()}"
        )


def wait_for_recycling(workers: int = RENEWED_WORKERS) -> None:
    began = time.time()
    while started_workers(began) < workers and time.time() - began < RECYCLE_SECONDS:
        time.sleep(2)


def first_requests() -> None:
    """What the first request of a renewed worker takes, without load, by the application's own log."""
    first: list[float] = []
    others: list[float] = []
    for host in HOSTS * ROTATIONS:
        host.run("plane-process-model rotate plane-api")
        began = time.time()
        front = f"http://{host.address}:8000"
        asyncio.run(client.run([("GET", client.small(front), 1)], lambda: False, keep_alive=False, most=ASKED))
        log = host.run(f"journalctl --since=@{began:.6f} --output=json -u plane-api@{host.live()}")
        seen: set[str] = set()
        for entry in map(json.loads, log.splitlines()):
            if f"GET {client.SMALL} 200" in entry["MESSAGE"]:
                took = float(entry["MESSAGE"].split()[-2])
                (others if entry["_PID"] in seen else first).append(took)
                seen.add(entry["_PID"])
    median = statistics.median(others)
    print(f"          first request of {len(first)} renewed workers: median {statistics.median(first) / median:.1f} ×, "
          f"slowest {max(first) / median:.1f} × the median request ({median:.1f} ms)", flush=True)  # fmt: skip


def restart() -> None:
    for host in HOSTS:
        host.run(f"systemctl restart plane-api@{host.live()}")


def stop_first() -> None:
    succeeded(site(LIMIT, plane_api_change="stop-first", **a_change()))


def repeat_nothing() -> None:
    for host in HOSTS:
        host.run("sed -i 's/retry-on conn-failure empty-response/retry-on none/' /etc/plane-admission/haproxy.cfg; "
                 "systemctl reload plane-admission")  # fmt: skip


def unprotected() -> int:
    """The same clients where a protection is missing; how many of the rows lost nothing."""
    blind = 0

    def lose(operation: str, run: Callable[[], None], port: int = 8000) -> None:
        nonlocal blind
        found, _ = measure(operation, "pins", run, port)
        blind += not any(row.failed for row in found)

    os.environ["PLANE_LAB_REQUIREMENTS"] = "pins"
    succeeded(site(LIMIT))
    seed(HOSTS[0])
    lose("a restart, no second instance", restart)
    let_gunicorn_recycle()
    with direct():
        lose("gunicorn recycles, no admission", wait_for_recycling, DIRECT_PORT)
    repeat_nothing()
    lose("gunicorn recycles, no repeat", wait_for_recycling)
    succeeded(site(LIMIT))
    lose("stop-first", stop_first)
    os.environ.pop("PLANE_LAB_REQUIREMENTS")
    print(f"{blind} operations lost nothing, though a protection was missing")
    return blind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", default=",".join(PACKAGES))
    parser.add_argument("--operations", default=",".join(OPERATIONS))
    parser.add_argument("--workers", type=int, default=RENEWED_WORKERS)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--unprotected", action="store_true")
    given = parser.parse_args()
    print(HEADINGS, flush=True)
    try:
        packages, operations = given.packages.split(","), given.operations.split(",")
        lost = unprotected() if given.unprotected else protected(packages, operations, given.workers, given.requests)
    finally:
        succeeded(playbook("site.yml", LIMIT))
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
