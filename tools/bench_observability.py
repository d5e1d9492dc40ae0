"""What it costs a host to be watched: throughput with and without it, side by side, and memory.

    make bench-observability
    make bench-observability ARGS='--pairs 80'

One host, watched and not watched in turn, in pairs whose order alternates, under the same clients. Not watched: no
exporter runs, and HAProxy has neither the line for its metrics nor the one for mtail. Each pair gives a ratio; their
median is printed with a 95 % interval (bootstrap). Beside it, which no neighbour on the machine disturbs: the processor
time of everything that watches, as a share of what the service itself uses meanwhile.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import client
from support import Host, inventory_hosts, load, playbook, seed, succeeded, wait_for

EXPORTERS = "plane-exporter-requests.service plane-exporter-host.service plane-exporter-processes.timer"
LOOKED = "systemctl show -P ExecMainExitTimestampMonotonic plane-exporter-processes.service"
CONFIGURATION = "/etc/plane-admission/haproxy.cfg"
# Everything that the role admission writes for who is watched.
UNWATCHED = r"/admission\.sock/d; /^# What HAProxy counts/,$d"
CLIENTS = 16
MOST_COST, MOST_BYTES = 0.03, 30 * 1000 * 1000


def interval(ratios: Sequence[float], draws: int = 4000, seed: int = 1) -> tuple[float, float]:
    """95 % of the medians of samples drawn again from the ratios."""
    dice = random.Random(seed)
    medians = sorted(statistics.median(dice.choices(ratios, k=len(ratios))) for _ in range(draws))
    return medians[int(0.025 * draws)], medians[int(0.975 * draws) - 1]


def reload(host: Host, text: str) -> None:
    """Give HAProxy a configuration, and wait until the process that has it answers."""
    before = process_of(host)
    host.run(f"cat > {CONFIGURATION} && systemctl reload plane-admission", stdin=text)
    wait_for(lambda: process_of(host) not in ("", before), 20)


def process_of(host: Host) -> str:
    """Nothing while a reload hands the socket over."""
    shown = re.search(r"^Pid: (\d+)", host.admission("show info", check=False), re.MULTILINE)
    return shown[1] if shown else ""


@contextmanager
def restored(host: Host) -> Iterator[str]:
    """The configuration as it was deployed, which is there again afterwards, and the exporters with it."""
    text = host.run(f"cat {CONFIGURATION}")
    try:
        yield text
    finally:
        watch(host, text)


def watch(host: Host, text: str) -> None:
    before = host.run(LOOKED)
    host.run(f"systemctl start {EXPORTERS}")
    # The look that comes with the start of its timer is none of what watching costs.
    wait_for(lambda: host.run(LOOKED) != before, 60)
    reload(host, text)


def unwatch(host: Host, text: str) -> None:
    host.run(f"systemctl stop {EXPORTERS}")
    reload(host, host.run(f"sed '{UNWATCHED}'", stdin=text))


def used(host: Host, group: str) -> float:
    """Seconds of processor that a slice has used."""
    files = f"/sys/fs/cgroup/unified/plane.slice/{group}/cpu.stat /sys/fs/cgroup/plane.slice/{group}/cpu.stat"
    return int(host.run(f"cat {files} 2>/dev/null | sed -n 's/^usage_usec //p'", check=False).split()[0]) / 1e6


def memory(host: Host) -> dict[str, int]:
    """Bytes: what the processes that watch hold for themselves at the most in 20 seconds, which a look is part of, and
    what of their programs is loaded, which the kernel drops where it is short.
    """
    group = "plane.slice/plane-observability.slice/memory.stat"
    own = host.run(
        "for _ in $(seq 200); do "
        f"sed -En 's/^(total_rss|anon) //p' /sys/fs/cgroup/memory/{group} /sys/fs/cgroup/{group}; sleep 0.1; "
        "done 2>/dev/null | sort -n | tail -n 1"
    )
    programs = host.run(
        "for unit in plane-exporter-requests plane-exporter-host; do "
        "sed -n 's/^RssFile:\\s*\\([0-9]*\\) kB/\\1/p' /proc/$(systemctl show -P MainPID $unit)/status; done"
    )
    return {"own": int(own), "programs": sum(int(size) for size in programs.split()) * 1024}


def round_of(host: Host, seconds: float) -> float:
    """Requests a second that were answered rightly."""
    began = time.monotonic()
    with load([("small", client.small(f"http://{host.address}:8000"), CLIENTS)]) as found:
        # How long is measured, not waited for.
        time.sleep(seconds)
    if found.failed:
        sys.exit(f"{host.name}: requests failed: {found.failed}")
    return found.requests / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=15, help="of each round; the timer's, or a multiple of them")
    given = parser.parse_args()
    name, address = next((name, address) for name, address in inventory_hosts().items() if name.endswith("api1"))
    host = Host(name, address)
    succeeded(playbook("site.yml", "staging"))
    seed(host)
    if not host.succeeds("systemctl is-active plane-exporter-requests"):
        sys.exit(f"{name} is not watched: its inventory needs a host in the group plane_monitoring")
    ratios: list[float] = []
    costs: list[float] = []
    with restored(host) as text:
        round_of(host, 3)
        for number in range(given.pairs):
            rates = {}
            for watched in (True, False) if number % 2 else (False, True):
                (watch if watched else unwatch)(host, text)
                before = used(host, "plane-observability.slice"), used(host, "plane-api.slice")
                rates[watched] = round_of(host, given.seconds)
                if watched:
                    after = used(host, "plane-observability.slice"), used(host, "plane-api.slice")
                    costs.append((after[0] - before[0]) / (after[1] - before[1]))
            ratios.append(rates[True] / rates[False])
            print(f"pair {number + 1:>2}: {rates[False]:6.1f} requests/s not watched, {rates[True]:6.1f} watched, "
                  f"ratio {ratios[-1]:.3f}; processor {costs[-1]:.1%} of the service's", flush=True)  # fmt: skip
        watch(host, text)
        with load([("small", client.small(f"http://{host.address}:8000"), CLIENTS)]):
            held = memory(host)
    low, high = interval(ratios)
    print(f"\nthroughput watched / not watched: {statistics.median(ratios):.3f} (95 %: {low:.3f} to {high:.3f})")
    print(f"processor of what watches / of the service: {statistics.median(costs):.3f}")
    print(
        f"memory of what watches: {held['own'] / 1e6:.1f} MB of its own at the most, "
        f"and {held['programs'] / 1e6:.1f} MB of program files, which the kernel can drop"
    )
    if low < 1 - MOST_COST <= high:
        print(
            f"whether throughput loses more than {MOST_COST:.0%} is not shown: more pairs, or a machine with less to do"
        )
    missed = [
        what
        for what, holds_true in (
            (f"throughput loses more than {MOST_COST:.0%} for certain", high < 1 - MOST_COST),
            (f"memory is more than {MOST_BYTES / 1e6:.0f} MB", held["own"] > MOST_BYTES),
        )
        if holds_true
    ]
    if missed:
        sys.exit("; ".join(missed))


if __name__ == "__main__":
    main()
