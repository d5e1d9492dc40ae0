"""What clients lose while hosts change, a worker dies or workers are recycled: one table, no request may fail.

    make zero-loss ARGS='--packages pins,newest --operations flip,release,rollback,kill,recycle'

Runs each operation on the lab's two REST hosts under clients that read, write and download 5 MB through admission, with
kept and with closed connections. A request fails that is refused, reset, cut, answered wrongly or with 500 or above.
Every acknowledged write is looked for in the database: it has to be there once. Exit status 1 where anything was lost.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import client
from support import Host, Load, a_change, inventory_hosts, load, playbook, rollback, rollout, seed, site, succeeded

HOSTS = [Host(name, address) for name, address in inventory_hosts().items() if "-api" in name]
DATA = next(Host(name, address) for name, address in inventory_hosts().items() if "-data" in name)
LIMIT = ",".join(host.name for host in HOSTS)
PACKAGES = ("pins", "newest")
# Reads, writes and downloads for each host; a closed loop with a pause, so that two processors also get the work done.
CLIENTS: dict[str, tuple[Callable[[str], client.Request], int]] = {
    "GET": (client.small, 4),
    "POST": (client.write, 3),
    "GET 5 MB": (client.heavy, 1),
}
PAUSE = 0.02
# Enough to recycle each worker several times in the time that the clients run.
RECYCLE = {"plane_api_max_requests": 60, "plane_api_max_requests_jitter": 30}
RECYCLE_SECONDS = 60.0
KILLS = 10


@dataclass(frozen=True)
class Row:
    """One line of the table. slowest: seconds of the slowest request."""

    packages: str
    connection: str
    operation: str
    method: str
    requests: int
    failed: Counter[str]
    slowest: float

    def __str__(self) -> str:
        total = sum(self.failed.values())
        what = f"  {dict(self.failed)}" if self.failed else ""
        return (
            f"{self.packages:<10}{self.connection:<12}{self.operation:<28}{self.method:<10}"
            f"{self.requests:>9}{total:>8}{self.slowest:>9.2f}{what}"
        )


HEADINGS = (
    f"{'packages':<10}{'connection':<12}{'operation':<28}{'method':<10}{'requests':>9}{'failed':>8}{'slowest':>9}"
)


def flip() -> None:
    """gthread to uvicorn by unsetting the class, and back."""
    succeeded(site(LIMIT, plane_api_worker_class=""))
    succeeded(site(LIMIT))


def release() -> None:
    succeeded(rollout(LIMIT, plane_release_canary_seconds=2, plane_release_watch_seconds=1, **a_change()))


def go_back() -> None:
    succeeded(rollback(LIMIT))


def kill() -> None:
    """kill -9 of one worker after the other. A write that it held is lost by its nature: nobody may repeat it."""
    for _ in range(KILLS):
        for host in HOSTS:
            host.run(f"kill -9 $(pgrep -P {host.master()} | shuf -n 1)")
        time.sleep(1)


def recycle() -> None:
    time.sleep(RECYCLE_SECONDS)


OPERATIONS: dict[str, Callable[[], None]] = {
    "flip": flip,
    "release": release,
    "rollback": go_back,
    "kill": kill,
    "recycle": recycle,
}


def prepare(operation: str) -> None:
    """What the operation needs before the clients start: mostly what the inventory says."""
    succeeded(site(LIMIT, **RECYCLE) if operation == "recycle" else site(LIMIT))


def groups(operation: str) -> list[tuple[str, client.Request, int]]:
    return [
        (f"{method} {host.name}", make(f"http://{host.address}:8000"), clients)
        for host in HOSTS
        for method, (make, clients) in CLIENTS.items()
        if not (operation == "kill" and method == "POST")
    ]


def rows(found: Load, packages: str, connection: str, operation: str) -> list[Row]:
    result = []
    for method in CLIENTS:
        tallies = [found.tallies[f"{method} {host.name}"] for host in HOSTS if f"{method} {host.name}" in found.tallies]
        if tallies:
            failed: Counter[str] = Counter()
            for tally in tallies:
                failed.update(tally.failed)
            slowest = max((second for tally in tallies for second in tally.seconds), default=0.0)
            requests = sum(tally.requests for tally in tallies)
            result.append(Row(packages, connection, operation, method, requests, failed, slowest))
    return result


def stored_wrongly(marks: list[str]) -> int:
    """How many acknowledged writes are not in the database exactly once."""
    query = "SELECT external_id FROM db_issue WHERE external_id IS NOT NULL"
    stored = Counter(DATA.run(f"runuser -u postgres -- psql -At -d plane -c '{query}'").split())
    return sum(1 for mark in marks if stored[mark] != 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", default=",".join(PACKAGES))
    parser.add_argument("--operations", default=",".join(OPERATIONS))
    given = parser.parse_args()
    print(HEADINGS, flush=True)
    table: list[Row] = []
    marks: list[str] = []
    for packages in given.packages.split(","):
        os.environ["PLANE_LAB_REQUIREMENTS"] = packages
        succeeded(site(LIMIT))
        seed(HOSTS[0])
        for connection, keep_alive in (("keep-alive", True), ("close", False)):
            for operation in given.operations.split(","):
                prepare(operation)
                with load(groups(operation), keep_alive, PAUSE) as found:
                    OPERATIONS[operation]()
                for row in rows(found, packages, connection, operation):
                    table.append(row)
                    print(row, flush=True)
                marks += [mark for tally in found.tallies.values() for mark in tally.acknowledged]
    os.environ.pop("PLANE_LAB_REQUIREMENTS")
    succeeded(playbook("site.yml", LIMIT))
    wrong = stored_wrongly(marks)
    failed = sum(sum(row.failed.values()) for row in table)
    print(f"{sum(row.requests for row in table)} requests, {failed} failed; {len(marks)} acknowledged writes, "
          f"{wrong} of them not stored exactly once")  # fmt: skip
    sys.exit(1 if failed or wrong else 0)


if __name__ == "__main__":
    main()
