"""A pooler between the service and its database: PgBouncer in transaction mode, side by side with none.

    make bench-pooler
    make bench-pooler ARGS='--connections 2'

Two instances of the deployed release, gthread 2×8, with nothing in front, on a host of the lab's own: one asks
PostgreSQL, the other PgBouncer on the same host as it. In turns, clients ask each for small calls: ratios of answers a
second and of the 99th percentile, and how many connections PostgreSQL had. Then what a client may rely on with either.
Writes build/bench/pooler.json.
"""

from __future__ import annotations

import argparse
import functools
import json
import shlex
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench import generator
from bench.compare import differs
from bench.data import HERE, Load, Release, Variant, release
from bench.instances import FIRST_PORT, SERVICE, alone, python_of, warm
from process_model.calibrate import Peak
from process_model.report import columns
from support import ROOT, Host, inventory_hosts, seed, site, succeeded, wait_for

FILE = ROOT / "build" / "bench" / "pooler.json"
SESSIONS = Path(__file__).with_name("pooler_sessions.py")
PORT = 6432
FOLDER = "/run/plane-bench-pooler"
MODEL = {"GUNICORN_WORKER_CLASS": "gthread", "GUNICORN_WORKERS": "2", "GUNICORN_THREADS": "8"}
CLIENTS = (1, 16)
ASKED = "small"
DIRECT, POOLED = "PostgreSQL alone", "PgBouncer in between"
# Between two looks at how many connections there are.
LOOKS_EVERY = 0.3


@dataclass(frozen=True)
class Measured:
    """One measurement. connections: that PostgreSQL had at the most, of all databases' clients but who looked."""

    way: str
    clients: int
    rate: float
    p99_ms: float
    failed: int
    connections: int


def database_url(api: Host) -> str:
    return api.run(f"sed -n 's/^DATABASE_URL=//p' /etc/{SERVICE}/{api.live()}/environment").strip().strip("'\"")


@contextmanager
def pooler(database: Host, url: str, connections: int) -> Iterator[str]:
    """PgBouncer beside the database, until the block ends; the address that leads through it. Raises AssertionError
    where it does not answer.
    """
    parts = urlsplit(url)
    settings = f"""[databases]
{parts.path[1:]} = host=127.0.0.1 port={parts.port or 5432} user={parts.username} password={parts.password}
[pgbouncer]
listen_addr = *
listen_port = {PORT}
auth_type = scram-sha-256
auth_file = {FOLDER}/users
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 1000
unix_socket_dir =
"""
    unit = "plane-bench-pooler.service"
    try:
        database.run(f"install -d -o postgres -m 0700 {FOLDER} && cat >{FOLDER}/settings.ini", stdin=settings)
        database.run(f"cat >{FOLDER}/users", stdin=f'"{parts.username}" "{parts.password}"\n')
        database.run(
            f"chown -R postgres {FOLDER} && "
            f"systemd-run --quiet --collect --unit={unit} -p User=postgres pgbouncer {FOLDER}/settings.ini"
        )
        wait_for(lambda: database.succeeds(f"ss -ltn | grep -q :{PORT}"))
        yield parts._replace(netloc=f"{parts.username}:{parts.password}@{database.address}:{PORT}").geturl()
    finally:
        database.run(f"systemctl stop {unit}; rm -rf {FOLDER}", check=False)


def connections_of(database: Host) -> int:
    """How many clients' connections PostgreSQL has."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    return int(database.run(f'runuser -u postgres -- psql -At -c "{query}"'))


def measured(way: str, base: str, of: Release, clients: int, seconds: float, database: Host) -> Measured:
    with Peak(functools.partial(connections_of, database), every=LOOKS_EVERY) as connections:
        loads = {ASKED: (of.paths[ASKED], Load(rate=0, clients=clients))}
        found = generator.run(base, of.headers, loads, seconds)[ASKED]
    if found.unfit:
        sys.exit(f"bench-pooler: {way}, {clients} clients: {', '.join(found.unfit)}")
    return Measured(way, clients, found.rate, 1000 * found.p99, sum(found.failed.values()), connections.most)


def table(results: Sequence[Measured]) -> list[list[str]]:
    """Medians of each way; the ratio is of measurements that followed each other."""
    lines = [["clients", "way", "answers a second", "p99, ms", "connections", "failed", "against PostgreSQL alone"]]
    for clients in CLIENTS:
        found = {way: [one for one in results if (one.way, one.clients) == (way, clients)] for way in (DIRECT, POOLED)}
        ratios = [pooled.rate / direct.rate for direct, pooled in zip(found[DIRECT], found[POOLED])]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        for way, mine in found.items():
            lines.append([
                str(clients), way, f"{statistics.median(one.rate for one in mine):.0f}",
                f"{statistics.median(one.p99_ms for one in mine):.0f}", str(max(one.connections for one in mine)),
                str(sum(one.failed for one in mine)),
                "" if way == DIRECT else spread if differs(ratios) else f"{spread}, no real difference",
            ])  # fmt: skip
    return lines


def relied_on(api: Host, urls: list[str]) -> dict[str, list[str]]:
    """What pooler_sessions.py found with each address, on the host of the service."""
    found: dict[str, list[str]] = json.loads(
        api.run(f"{python_of(api)} - {shlex.join(urls)}", stdin=SESSIONS.read_text(encoding="utf-8"))
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=4, help="of PgBouncer to PostgreSQL at the most")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--repetitions", type=int, default=4)
    given = parser.parse_args()
    if given.connections < 2:
        sys.exit(f"bench-pooler: --connections is {given.connections}, allowed are 2 or more")
    api, database = (Host(*next(iter(inventory_hosts(group=group).items()))) for group in ("plane_api", "lab_data"))
    of = release(HERE / "requests.yml")
    succeeded(site(api.name, plane_api_max_requests=0, plane_release_migrate=True))
    seed(api)
    url = database_url(api)
    with pooler(database, url, given.connections) as through:
        ways = {
            DIRECT: Variant("direct", DIRECT, direct=MODEL),
            POOLED: Variant("pooled", POOLED, direct={**MODEL, "DATABASE_URL": through}),
        }
        results: list[Measured] = []
        with (
            alone(ways[DIRECT], api, FIRST_PORT, of, now=True) as direct,
            alone(ways[POOLED], api, FIRST_PORT + 1, of, now=True) as pooled,
        ):
            bases = {DIRECT: direct.base, POOLED: pooled.base}
            for instance in (direct, pooled):
                warm(instance, of)
            for clients in CLIENTS:
                for repetition in range(given.repetitions):
                    for way in list(bases)[:: -1 if repetition % 2 else 1]:
                        one = measured(way, bases[way], of, clients, given.seconds, database)
                        results.append(one)
                        print(f"{clients} clients, {way}: {one.rate:.0f} answers a second", flush=True)
        found = relied_on(api, [url, through])
    ways_table = [["may be relied on", DIRECT, POOLED]]
    ways_table += [[name, *(said or "yes" for said in each)] for name, each in found.items()]
    FILE.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "connections": given.connections, "measured": [asdict(one) for one in results], "relied_on": found,
    }  # fmt: skip
    FILE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print("\n".join(["", *columns(table(results)), "", *columns(ways_table), "", str(FILE)]))
    broken = [name for name, (alone_said, _) in found.items() if alone_said]
    if broken or any(one.failed for one in results):
        sys.exit(f"bench-pooler: requests failed, or without a pooler too this does not work: {', '.join(broken)}")


if __name__ == "__main__":
    main()
