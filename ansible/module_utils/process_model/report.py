"""The verification report: one JSON document and one table, from what every host answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import fit
from .compare import settings_folder

HEADINGS = ("HOST", "SERVICE", "COLOUR", "DESIRED", "OBSERVED", "EVIDENCE", "VERDICT")


@dataclass(frozen=True)
class Row:
    """One line of the table; `match` decides its colour on a terminal."""

    cells: tuple[str, ...]
    match: bool


def build_report(
    environment: str,
    time: str,
    verdicts: Mapping[str, Mapping[str, Any]],
    database: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The document: environment, time, match, hosts -> services -> desired, observed, evidence, mismatches, match.

    out_of_memory: what killed_lines says. database: what it said of its connections, where it was asked.

    verdicts: host -> service -> what the module `process_model` returned; a host without an answer has
    {"unreachable": reason}.
    """
    hosts: dict[str, Any] = {}
    for host, services in sorted(verdicts.items()):
        hosts[host] = {
            service: {
                key: verdict.get(key)
                for key in (
                    "live",
                    "desired",
                    "observed",
                    "evidence",
                    "mismatches",
                    "accepted",
                    "match",
                    "seconds",
                )
            }
            for service, verdict in sorted(services.items())
        }
    match = bool(hosts) and all(service["match"] for services in hosts.values() for service in services.values())
    document = {"environment": environment, "time": time, "match": match, "hosts": hosts}
    document["database"] = database
    return {**document, "out_of_memory": killed_lines(document)}


def describe_model(worker_class: Any, workers: Any, threads: Any) -> str:
    """`gthread 2×8` or `uvicorn ×2`; a value that nobody knows is shown as `?`."""
    if worker_class is None:
        return "nothing runs" if workers is None else f"? ×{workers}"
    if worker_class == "gthread":
        return f"gthread {workers or '?'}×{threads or '?'}"
    return f"{worker_class} ×{workers or '?'}"


def describe_doors(doors: Sequence[Any] | None) -> str:
    """What the proxy stands in front of: front doors of hosts."""
    return "nginx: ?" if doors is None else f"nginx: {len(doors)} door{'' if len(doors) == 1 else 's'}"


def rows(report: Mapping[str, Any]) -> list[Row]:
    found = []
    for host, services in report["hosts"].items():
        for service, verdict in services.items():
            desired, observed = verdict["desired"], verdict["observed"] or {}
            shown: tuple[str, ...]
            if "behind" in desired:
                shown = (describe_doors(desired["behind"]), describe_doors(observed.get("doors")))
            else:
                shown = tuple(
                    describe_model(model.get("worker_class"), model.get("workers"), model.get("threads"))
                    for model in (desired["model"], observed)
                )
            found.append(
                Row(
                    cells=(
                        host,
                        service,
                        verdict["live"] or "-",
                        *shown,
                        ", ".join(verdict["evidence"] or []) or "-",
                        "ok" if verdict["match"] else f"{len(verdict['mismatches'])} mismatch(es)",
                    ),
                    match=bool(verdict["match"]),
                )
            )
    return found


def columns(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells as text, each column as wide as its widest cell."""
    widths = [max(map(len, cells)) for cells in zip(*lines)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip() for cells in lines]


def table(found: list[Row]) -> list[str]:
    """The rows as text, the headings first."""
    return columns([HEADINGS, *(row.cells for row in found)])


def mismatch_lines(report: Mapping[str, Any]) -> list[str]:
    """One line per mismatch: where, what, and what to do."""
    return [
        f"{host} {service}: {mismatch['message']}"
        for host, services in report["hosts"].items()
        for service, verdict in services.items()
        for mismatch in verdict["mismatches"]
    ]


def killed_lines(report: Mapping[str, Any]) -> list[str]:
    """One line per instance of which the kernel killed processes because their limit of memory was reached.

    gunicorn has replaced them, so the process model is as it should be: it is said, and no mismatch.
    """
    found = []
    for host, services in report["hosts"].items():
        for service, verdict in services.items():
            observed = verdict["observed"] or {}
            if observed.get("killed_for_memory"):
                setting = f"{fit.prefix(verdict['desired'])}_memory_limit"
                limit = fit.mib(verdict["desired"]["limits"]["memory_bytes"])
                found.append(
                    f"{host} {service}: out of memory: since {observed['colour']} was started the kernel has killed "
                    f"{observed['killed_for_memory']} of its processes; {setting} is {limit}: fewer slots for heavy "
                    "routes, or more memory (docs/sizing.md)"
                )
    return found


def accepted_lines(report: Mapping[str, Any]) -> list[str]:
    """One line per risk that the inventory accepted by name: of each host, and of the fleet in its database."""
    plans = [
        verdict["desired"]
        for services in report["hosts"].values()
        for verdict in services.values()
        if "behind" not in verdict["desired"]  # the proxy asks no database
    ]
    where = settings_folder(report["environment"])
    return [
        f"{host} {service}: {line}"
        for host, services in report["hosts"].items()
        for service, verdict in services.items()
        for line in verdict["accepted"] or []
    ] + fit.judge_database(plans, report["database"], where).accepted
