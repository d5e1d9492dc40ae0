"""The gate: judges what an environment runs now against what it ran before the switch, by what Prometheus recorded.

    make bake ENV=staging
    make bake ENV=staging ARGS='--hours 24'
    make bake ENV=staging ARGS='--prometheus http://10.203.10.41:9090 --until 2026-11-26T12:00:00Z'

Writes build/reports/bake-<environment>.html and .json and, unless the verdict is `inconclusive`, a record that can be
committed (records/<environment>). Exit status 0 for `pass`, 1 for `fail`, 3 for `inconclusive`.
"""

from __future__ import annotations

import argparse
import html
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import bake_plots
import environments
from observed_history import (
    FINEST,
    Coverage,
    Switch,
    Times,
    block_of,
    coverage,
    doubts_about,
    find_switch,
    plan,
    read_blocks,
    switched_at,
)
from process_model import bake, promotion
from process_model.report import columns
from prometheus import Prometheus, PrometheusError

REPORTS = environments.ROOT / "build" / "reports"
STATUS = {bake.PASS: 0, bake.FAIL: 1, bake.INCONCLUSIVE: 3}


@dataclass(frozen=True)
class Service:
    """What was found out about one service. before and after are empty where there is nothing to compare."""

    judgement: bake.Judgement
    times: Times | None
    switch: Switch
    before: Sequence[bake.Block]
    after: Sequence[bake.Block]


def rules_of(environment: environments.Environment) -> bake.Rules:
    """Raises SettingsError."""
    try:
        margins = bake.Margins.of(environment.variables.get("plane_release_gate_margins") or {})
    except ValueError as error:
        raise environments.SettingsError(f"plane_release_gate_margins: {error}") from error
    return bake.Rules(
        margins,
        environment.number("plane_release_gate_load", 0.01),
        int(environment.number("plane_release_gate_requests", 1)),
    )


def judge_service(
    prometheus: Prometheus,
    environment: environments.Environment,
    service: str,
    switches: Mapping[str, Switch],
    end: float,
    seconds: float,
) -> Service:
    """Raises PrometheusError."""
    hosts, switch, step = environment.services[service], switches[service], step_of(seconds)
    if not switch.running:
        reasons = [f"Prometheus knows nothing of {service} in {environment.name}"]
        return Service(bake.Judgement(bake.INCONCLUSIVE, reasons, []), None, switch, [], [])
    times = plan(switched_at(service, switches), end, seconds, step)
    doubts = doubts_about(switch, times, hosts, step)
    covered: Coverage = coverage(prometheus, environment.name, hosts, times)
    before = read_blocks(prometheus, environment.name, service, times.before, times, covered.before)
    after = read_blocks(prometheus, environment.name, service, times.after, times, covered.after)
    judgement = bake.judge(before, after, len(hosts), times.block, rules_of(environment), [*doubts, *covered.doubts])
    return Service(judgement, times, switch, before, after)


def step_of(seconds: float) -> float:
    """To how many seconds the time of a switch is looked for."""
    return max(FINEST, round(block_of(seconds)[0] / 12))


def identity_doubts(identity: Mapping[str, Any], switches: Mapping[str, Switch], hosts: Mapping[str, list[str]],
                    fingerprints: Mapping[str, Mapping[str, str]]) -> list[str]:  # fmt: skip
    """Why what Prometheus saw is not certainly what was verified; only that can be promoted."""
    doubts = []
    for service, switch in switches.items():
        if service not in identity:
            doubts.append(f"{service}: no verification says what release, entrypoint and model it is: run verify.yml")
            continue
        for host in hosts[service]:
            seen = switch.running[host].fingerprint if host in switch.running else ""
            verified = fingerprints.get(host, {}).get(service, "")
            if not seen or not verified.startswith(seen):
                doubts.append(
                    f"{service} on {host} is not what was verified last: run verify.yml, and mend what it says"
                )
    return doubts


def verified(path: Path, environment: str) -> tuple[dict[str, Any], dict[str, dict[str, str]], list[str]]:
    """Identity of each service, fingerprints by host and service, and doubts, from the report of verify.yml."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}, {}, [f"{path} holds no verification of {environment}: run verify.yml -l {environment}"]
    if report.get("environment") != environment or not report.get("match"):
        return {}, {}, [f"{path} is no verification of {environment} that found everything right: run verify.yml"]
    identity: dict[str, Any] = {}
    fingerprints: dict[str, dict[str, str]] = {}
    doubts = []
    for host, services in report["hosts"].items():
        for service, verdict in services.items():
            desired = verdict["desired"]
            if "identity" not in desired:
                continue
            fingerprints.setdefault(host, {})[service] = desired["fingerprint"]
            if identity.setdefault(service, desired["identity"]) != desired["identity"]:
                doubts.append(f"{service} is not the same on every host of {environment}")
    return identity, fingerprints, doubts


def table(judgement: bake.Judgement) -> list[str]:
    lines = [["SIGNAL", "COMPARISON", "VERDICT"]]
    lines += [[each.signal, str(each), each.verdict] for each in judgement.findings]
    return columns(lines)


def instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def page(environment: str, verdict: bake.Judgement, services: Mapping[str, Service]) -> str:
    """The report as one page without any other file."""
    parts = [
        f"<h1>Gate of {html.escape(environment)}: <span class={verdict.verdict}>{verdict.verdict}</span></h1>",
        *([f"<ul>{''.join(f'<li>{html.escape(each)}' for each in verdict.reasons)}</ul>"] if verdict.reasons else []),
    ]
    for name, service in services.items():
        parts.append(f"<h2>{name}: <span class={service.judgement.verdict}>{service.judgement.verdict}</span></h2>")
        if service.times is None:
            continue
        times = service.times
        kinds = sorted({identity.shown for identity in service.switch.running.values()})
        parts.append(
            f"<p>{html.escape('; '.join(kinds))}, since {instant(service.switch.last)} on every host.<br>"
            f"Now: {instant(times.after)} to {instant(times.end)}. Before: {instant(times.before)} to "
            f"{instant(times.before_end)}. {times.blocks} blocks of {times.block / 60:g} minutes each.</p>"
        )
        if service.judgement.findings:
            rows = "".join(
                f"<tr><td>{each.signal}<td>{html.escape(str(each))}<td class={each.verdict}>{each.verdict}"
                for each in service.judgement.findings
            )
            parts.append(f"<table><tr><th>signal<th>comparison<th>verdict{rows}</table>")
            parts.append(f'<img alt="intervals" src="{bake_plots.intervals(service.judgement.findings)}">')
        routes = bake.judged_routes(service.before, service.after)
        parts.append(
            f'<img alt="course" src="{bake_plots.course(service.before, service.after, times.block, routes)}">'
        )
    style = (
        "body{font:15px/1.5 sans-serif;max-width:1200px;margin:2em auto;padding:0 1em}table{border-collapse:collapse}"
        "td,th{padding:.2em .8em .2em 0;text-align:left;border-bottom:1px solid #ddd}img{max-width:100%}"
        ".pass{color:#2f7d32}.fail{color:#b3261e}.inconclusive{color:#b26a00}"
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Gate of {html.escape(environment)}</title>"
        f"<style>{style}</style>{''.join(parts)}</html>\n"
    )


def document_of(
    environment: str,
    hours: float,
    verdict: bake.Judgement,
    services: Mapping[str, Service],
    identity: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "environment": environment,
        "time": instant(time.time()),
        "hours": hours,
        "verdict": verdict.verdict,
        "reasons": verdict.reasons,
        "identity": dict(identity),
        "services": {
            name: {
                "verdict": each.judgement.verdict,
                "runs": sorted({identity.shown for identity in each.switch.running.values()}),
                "window": None if each.times is None else [instant(each.times.after), instant(each.times.end)],
                "before": None if each.times is None else [instant(each.times.before), instant(each.times.before_end)],
                "findings": [asdict(finding) for finding in each.judgement.findings],
            }
            for name, each in services.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment")
    parser.add_argument("--inventory", type=Path, help="default: inventories/<environment>")
    parser.add_argument(
        "--prometheus", help="default: plane_release_gate_prometheus, else the host of plane_monitoring"
    )
    parser.add_argument("--hours", type=float, help="length of the window (default: plane_release_gate_hours)")
    parser.add_argument("--until", type=datetime.fromisoformat, help="end of the window (default: now)")
    parser.add_argument("--service", action="append", help="judge this service alone; default: all of the inventory")
    parser.add_argument("--verified", type=Path, default=REPORTS / "verify.json", help="the report of verify.yml")
    parser.add_argument("--records", type=Path, default=environments.ROOT / "records")
    given = parser.parse_args()
    try:
        environment = environments.read(given.inventory or environments.ROOT / "inventories" / given.environment)
        hours = given.hours or environment.number("plane_release_gate_hours", 0.1)
        prometheus = Prometheus(environments.prometheus_of(environment, given.prometheus))
        end = given.until.timestamp() if given.until else time.time()
        chosen = [name for name in environment.services if not given.service or name in given.service]
        seconds = hours * 3600
        switches = {
            name: find_switch(prometheus, environment.name, name, end, step_of(seconds))
            for name in environment.services
        }
        services = {name: judge_service(prometheus, environment, name, switches, end, seconds) for name in chosen}
    except PrometheusError as error:
        # Nobody saw anything: that is no failure of what runs, and never a pass.
        print(f"bake: inconclusive: {error}")
        sys.exit(STATUS[bake.INCONCLUSIVE])
    except ValueError as error:
        sys.exit(f"bake: {error}")
    verdict = bake.overall({name: service.judgement for name, service in services.items()})
    identity, fingerprints, doubts = verified(given.verified, environment.name)
    if not doubts:
        judged = {name: switches[name] for name in chosen}
        doubts = identity_doubts(identity, judged, environment.services, fingerprints)
    if doubts and verdict.verdict != bake.FAIL:
        verdict = bake.Judgement(bake.INCONCLUSIVE, [*doubts, *verdict.reasons], verdict.findings)
    document = document_of(environment.name, hours, verdict, services, {name: identity.get(name) for name in chosen})
    REPORTS.mkdir(parents=True, exist_ok=True)
    path = REPORTS / f"bake-{environment.name}"
    path.with_suffix(".json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".html").write_text(page(environment.name, verdict, services), encoding="utf-8")
    for name, service in services.items():
        print(f"{name}: {service.judgement.verdict}")
        if service.judgement.findings:
            print("\n".join(table(service.judgement)))
    for reason in verdict.reasons:
        print(f"- {reason}")
    if verdict.verdict != bake.INCONCLUSIVE:
        print(f"record: {promotion.append(given.records, environment.name, promotion.GATE, document)}")
    print(f"report: {path.with_suffix('.html')}")
    print(f"verdict: {verdict.verdict}")
    sys.exit(STATUS[verdict.verdict])


if __name__ == "__main__":
    main()
