"""What a process model takes, what fits, and who waits, by the calculator of process_model.sizing.

    make size
    make size ARGS='--tier medium --replicas 3'
    make size ARGS='--memory 2GiB --workers 2 --threads 8 --heavy-slots none --payload 5MiB'
    make size ARGS='--rate 40 --service-ms 120 --json'

Prints the proposal's assumptions beside what was measured. A tier fills what is not given.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml
from process_model import sizing
from process_model.report import columns
from process_model.sizing import parse_size

ANSIBLE = Path(__file__).resolve().parent.parent / "ansible"
TIERS = ANSIBLE / "vars" / "tiers.yml"
DEFAULTS = ANSIBLE / "roles" / "plane_api" / "defaults" / "main.yml"


def payloads(text: str) -> dict[int, float]:
    """`5MiB`, or `1MiB:0.8,25MiB:0.2`: sizes and their shares."""
    pairs = (part.partition(":") for part in text.split(","))
    return {parse_size(size): float(share or 1) for size, _, share in pairs}


def mebibytes(size: float) -> str:
    return f"{size / sizing.MIB:,.0f} MiB"


def rows(found: list[dict[str, Any]]) -> list[list[str]]:
    """One row for each figure, one column for each set of coefficients."""

    def row(title: str, show: Any) -> list[str]:
        return [title, *(show(each) for each in found)]

    return [
        ["", *(each["source"] for each in found)],
        row("limit of memory", lambda each: mebibytes(each["limit"])),
        row("started", lambda each: mebibytes(each["memory"]["cold"])),
        row("warm, without a request", lambda each: mebibytes(each["memory"]["rest"])),
        row("every slot busy", lambda each: mebibytes(each["memory"]["peak"])),
        row("does that fit", lambda each: "yes" if each["fits"] else "NO"),
        row("left for each request", lambda each: mebibytes(each["budget_per_request"])),
        row("most threads that fit", lambda each: str(each["most_threads"])),
        row(
            "most heavy slots that fit",
            lambda each: "none" if each["most_heavy_slots"] < 0 else str(each["most_heavy_slots"]),
        ),
        row("smallest limit, stop-first", lambda each: mebibytes(each["smallest_limits"]["alone"])),
        row("smallest limit, start-first under load", lambda each: mebibytes(each["smallest_limits"]["change"])),
        row("database connections", lambda each: str(each["database_connections"]["each_request_its_own"])),
        row("the same, persistent", lambda each: str(each["database_connections"]["persistent_while_one_changes"])),
    ]


def waiting_lines(rate: float, seconds: float, model: sizing.Model, replicas: int) -> list[str]:
    """What a queue in front of all slots does, and what one step more of each kind would do."""
    steps = [
        ("as it is", model.all_slots * replicas),
        ("2 threads more for each worker", replace(model, threads=model.threads + 2).all_slots * replicas),
        ("one worker more", replace(model, workers=model.workers + 1).all_slots * replicas),
        ("one replica more", model.all_slots * (replicas + 1)),
    ]
    table = [["", "slots", "busy", "wait at all", "99 % wait up to"]]
    for title, slots in steps:
        found = sizing.waiting(rate, seconds, slots)
        table.append(
            [title, str(slots), f"{found.utilisation:.0%}", f"{found.waits:.1%}", f"{found.wait_p99 * 1000:,.0f} ms"]
        )
    return columns(table)


def main() -> None:
    tiers = yaml.safe_load(TIERS.read_text(encoding="utf-8"))["plane_tiers"]
    routes = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))["plane_api_heavy_routes"]
    heavy_slots = str(sum(route["slots"] for route in routes))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tier", choices=sorted(tiers), default="low")
    parser.add_argument("--memory", help="limit of a host, for example 2GiB (default: the tier's)")
    parser.add_argument("--workers", type=int, help="default: the tier's")
    parser.add_argument("--threads", type=int, help="default: the tier's")
    parser.add_argument("--replicas", type=int, help="hosts of the service (default: the tier's least)")
    parser.add_argument("--heavy-slots", default=heavy_slots, help="slots of the heavy routes, or none: no bound")
    parser.add_argument("--payload", default="5MiB", help="of a heavy answer: 5MiB, or 1MiB:0.8,25MiB:0.2")
    parser.add_argument("--preload", action="store_true", help="the application is loaded before the fork")
    parser.add_argument("--rate", type=float, help="requests a second, of all replicas")
    parser.add_argument("--service-ms", type=float, default=100.0, help="how long a request holds a slot")
    parser.add_argument("--json", action="store_true", help="for programs; sizes in bytes")
    given = parser.parse_args()
    tier = tiers[given.tier]
    try:
        model = sizing.Model(
            workers=tier["workers"] if given.workers is None else given.workers,
            threads=tier["threads"] if given.threads is None else given.threads,
            heavy_slots=None if given.heavy_slots == "none" else int(given.heavy_slots),
            heavy_payloads=payloads(given.payload),
            preload=given.preload,
        )
        limit = parse_size(given.memory or tier["memory"])
        replicas = given.replicas or tier["replicas_min"]
        found = [sizing.report(limit, model, costs, replicas) for costs in (sizing.PROPOSAL, sizing.MEASURED)]
        seconds = given.service_ms / 1000
        queue = waiting_lines(given.rate, seconds, model, replicas) if given.rate is not None else []
        waiting = sizing.waiting(given.rate or 0, seconds, model.all_slots * replicas)
    except ValueError as error:
        sys.exit(f"size: {error}")
    if given.json:
        print(json.dumps({"replicas": replicas, "sizes": found, "waiting": asdict(waiting)}, indent=2))
        return
    print(f"{model.workers} workers × {model.threads} threads, {given.heavy_slots} slots for heavy routes, "
          f"{replicas} replicas")  # fmt: skip
    print("\n".join(columns(rows(found))))
    if queue:
        print(f"\n{given.rate:g} requests a second, each {given.service_ms:g} ms in a slot:")
        print("\n".join(queue))


if __name__ == "__main__":
    main()
