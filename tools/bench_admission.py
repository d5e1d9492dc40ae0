"""What admission's heavy routes do for small calls: 40 clients on the heavy route, closed loop, routes on and off.

One host of the lab, the same processes but for admission's file. Prints percentiles of the small call, requests a
second of both kinds, and what went wrong. Ratios within one run are what counts, not seconds.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import client
import yaml
from support import Host, inventory_hosts, playbook, seed, succeeded

ROOT = Path(__file__).resolve().parent.parent

HOST = "staging-api1"
PORT = 8000
SECONDS = 25.0
HEAVY_CLIENTS = 40
SMALL_CLIENTS = 4
WIDTH = 50


def measure(base: str, heavy: int) -> dict[str, client.Tally]:
    groups = [("small", client.small(base), SMALL_CLIENTS)]
    if heavy:
        groups.append(("heavy", client.heavy(base), heavy))
    end = time.monotonic() + SECONDS
    return asyncio.run(client.run(groups, lambda: time.monotonic() > end))


def line(name: str, tallies: dict[str, client.Tally]) -> str:
    small, heavy = tallies["small"], tallies.get("heavy", client.Tally())
    failed = {**small.failed, **heavy.failed}
    return (
        f"{name:<30}{small.percentile(50) * 1000:>8.0f}{small.percentile(95) * 1000:>8.0f}"
        f"{small.percentile(99) * 1000:>8.0f}{small.requests / SECONDS:>10.1f}{heavy.requests / SECONDS:>10.1f}"
        f"   {failed or 'none'}"
    )


def bars(found: dict[str, dict[str, client.Tally]]) -> list[str]:
    """The p99 of the small call as bars, on one linear scale."""
    values = {name: tallies["small"].percentile(99) for name, tallies in found.items()}
    most = max(values.values())
    return [
        f"{name:<30}{'#' * max(1, round(WIDTH * value / most))} {value * 1000:.0f} ms" for name, value in values.items()
    ]


def main() -> None:
    host = Host(HOST, inventory_hosts()[HOST])
    seed(host)
    base = f"http://{host.address}:{PORT}"
    routes = yaml.safe_load((ROOT / "ansible/roles/plane_api/defaults/main.yml").read_text())["plane_api_heavy_routes"]
    found = {}
    for name, heavy_routes, heavy in (
        ("nobody downloads", routes, 0),
        ("40 downloads, routes off", [], HEAVY_CLIENTS),
        ("40 downloads, routes on", routes, HEAVY_CLIENTS),
    ):
        print(f"measuring: {name}", flush=True)
        succeeded(playbook("site.yml", HOST, plane_api_heavy_routes=heavy_routes))
        found[name] = measure(base, heavy)
    print(
        f"\n{'gthread 2×8, one host':<30}{'p50 ms':>8}{'p95 ms':>8}{'p99 ms':>8}{'small/s':>10}{'heavy/s':>10}   failed"
    )
    for name, tallies in found.items():
        print(line(name, tallies))
    print("\np99 of the small call")
    print("\n".join(bars(found)))


if __name__ == "__main__":
    main()
