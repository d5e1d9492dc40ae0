"""A run of site.yml that has nothing to do, against gathering facts and pinging the same hosts, side by side.

Prints the seconds of each round, the medians and their ratio. The lab has to be deployed (`make bench-converge` does).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5
MOST = 3.0


def seconds(playbook: str) -> float:
    began = time.monotonic()
    done = subprocess.run(
        ["ansible-playbook", playbook, "-l", "staging"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    took = time.monotonic() - began
    if done.returncode:
        sys.exit(f"{playbook} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    recap = done.stdout.partition("PLAY RECAP")[2].splitlines()
    if any("changed=" in line and "changed=0" not in line for line in recap):
        sys.exit(f"{playbook} changed something: run `make staging` first")
    return took


def main() -> None:
    print(f"{'round':<8}{'site.yml':>10}{'facts+ping':>12}{'ratio':>8}")
    pairs = []
    for number in range(1, ROUNDS + 1):
        pair = seconds("site.yml"), seconds("tools/gather_and_ping.yml")
        pairs.append(pair)
        print(f"{number:<8}{pair[0]:>8.1f} s{pair[1]:>10.1f} s{pair[0] / pair[1]:>8.2f}", flush=True)
    site, least = (statistics.median(column) for column in zip(*pairs))
    print(f"{'median':<8}{site:>8.1f} s{least:>10.1f} s{site / least:>8.2f}   (allowed: {MOST})")


if __name__ == "__main__":
    main()
