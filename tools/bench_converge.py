"""A run of site.yml that has nothing to do, against gathering facts and pinging the same hosts, side by side.

    make bench-converge      staging's hosts: the ratio of the two
    make bench-growth        1, 2, 4, 8 and 16 hosts: what another host adds to each

The hosts have to be deployed (both targets do that). Facts and pings are the yardstick, so they are timed with Ansible
as it comes: what this project adds to make its own runs quicker (ansible/callback_plugins) would shorten it too.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from support import inventory_hosts

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5
MOST = 3.0
GROWTH, GROWTH_ROUNDS = (1, 2, 4, 8, 16), 3


# None of this project's; a variable that is empty would be none either, but Ansible does not take it.
AS_IT_COMES = {"ANSIBLE_CALLBACKS_ENABLED": "ansible.builtin.default"}


def seconds(playbook: str, limit: str, **variables: str) -> float:
    """Of one run of the playbook; variables: of its environment, beside those of this process."""
    began = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", playbook, "-l", limit],
        cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    took = time.monotonic() - began
    if done.returncode:
        sys.exit(f"{playbook} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    recap = done.stdout.partition("PLAY RECAP")[2].splitlines()
    if any("changed=" in line and "changed=0" not in line for line in recap):
        sys.exit(f"{playbook} changed something: run site.yml first")
    return took


def medians(limit: str, rounds: int) -> tuple[float, float]:
    """Seconds of site.yml, and of gathering facts and pinging; every round is printed."""
    pairs = []
    for number in range(1, rounds + 1):
        pair = seconds("site.yml", limit), seconds("tools/gather_and_ping.yml", limit, **AS_IT_COMES)
        pairs.append(pair)
        print(f"{number:<8}{pair[0]:>8.1f} s{pair[1]:>10.1f} s{pair[0] / pair[1]:>8.2f}", flush=True)
    site, least = (statistics.median(column) for column in zip(*pairs))
    print(f"{'median':<8}{site:>8.1f} s{least:>10.1f} s{site / least:>8.2f}", flush=True)
    return site, least


def line(name: str, counts: Sequence[int], values: Sequence[float]) -> str:
    """The straight line through them, and how straight it is."""
    slope, start = statistics.linear_regression(counts, values)
    straight = statistics.correlation(counts, values) ** 2
    return f"{name}: {start:.1f} s, and {slope:.2f} s for each host (r² = {straight:.3f})"


def main() -> None:
    print(f"{'round':<8}{'site.yml':>10}{'facts+ping':>12}{'ratio':>8}")
    if sys.argv[1:] != ["--growth"]:
        site, least = medians("staging", ROUNDS)
        print(f"ratio {site / least:.2f}, allowed: {MOST}")
        return
    hosts = list(inventory_hosts(group="plane_api"))
    found = []
    for count in GROWTH:
        print(f"{count} hosts", flush=True)
        found.append(medians(",".join(hosts[:count]), GROWTH_ROUNDS))
    sites, least_ones = zip(*found)
    print(line("site.yml", GROWTH, sites))
    print(line("facts and ping", GROWTH, least_ones))


if __name__ == "__main__":
    main()
