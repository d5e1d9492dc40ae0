"""The proposal's claims, measured side by side on the lab: build/bench/report.html.

    make bench
    make bench QUICK=1
    make bench ARGS='--experiment executor'
    make bench ARGS='--requests mine.yml'      another release: what is asked of it
    make bench ARGS=--report                   the report again, of what is there

Results are kept in build/bench/results, one file for each measurement, and a run that was interrupted goes on where it
was; what was measured with other data files, another release or other seconds is measured again. A quick run begins
anew each time. Hosts that are not the lab's: set ANSIBLE_INVENTORY and PYTHONPATH as the Makefile does, and run
`python -m bench` alone. Exit status 1 where something could not be said: a client that was the bottleneck.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import environments
from support import ROOT, Host, inventory_hosts

from bench import generator, plots, report
from bench.compare import Measurement, RefusedError, Row, failures, key, order, rows, verdict
from bench.data import (
    EXPERIMENTS,
    HERE,
    DataError,
    Experiment,
    Plot,
    Release,
    Variant,
    experiment,
    release,
    variants,
    variants_of,
)
from bench.instances import Instance, machine_of, release_of, running

FOLDER = ROOT / "build" / "bench"
# A quick run has a folder of its own, so that it takes nothing of a long one's away.
QUICK = FOLDER / "quick"
# What a measurement takes beside its seconds, and new processes do.
BESIDE, RENEWAL = 1.5, 8.0
# How often a measurement is made at the most, until its client was not the bottleneck.
ATTEMPTS = 3


def file_of(folder: Path, name: str, case: str, variant: str, repetition: int) -> Path:
    plain = "".join(letter if letter.isalnum() else "-" for letter in case)
    return folder / "results" / name / f"{plain}--{variant}--{repetition}.json"


@dataclass(frozen=True)
class Kept:
    """A result that is there. key: of what it was measured with; release: which code, on which host."""

    key: str
    release: str
    measurement: Measurement


def kept(path: Path, wanted: str) -> Kept | None:
    """A result that is there, where it was measured with what is wanted."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        found = Kept(said["key"], said["release"], Measurement.from_dict(said["measurement"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.key == wanted else None


def keep(path: Path, said: Mapping[str, Any] | Sequence[Any]) -> None:
    """In one step, so that an interruption leaves no half of a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    half.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    half.replace(path)


def length(asked: Experiment) -> float:
    """About how many seconds a measurement takes."""
    return asked.seconds + BESIDE + (RENEWAL + asked.settle if asked.fresh else 0)


def measure(case: str, repetition: int, instance: Instance, asked: Experiment, of: Release) -> Measurement:
    if asked.fresh:
        instance.renew(of)
    loads = {name: (of.paths[name], each) for name, each in asked.cases[case].items()}
    with instance.prepared():
        before = instance.cpu()
        tallies = generator.run(instance.base, of.headers, loads, asked.seconds)
        used = instance.cpu() - before
    found = Measurement(case, instance.variant.name, repetition, tallies, used)
    if asked.fresh:
        # Not waited for: how much is held after this time is what is asked.
        time.sleep(asked.settle)
        peak, held = instance.memory()
        found = replace(found, peak=peak, held=held)
        instance.rest()
    return found


def line(found: Measurement) -> str:
    shown = [
        f"{name}: p50 {1000 * one.p50:.0f}, p99 {1000 * one.p99:.0f} ms, {one.rate:.1f}/s, "
        f"failed: {failures(one.failed)}"
        for name, one in found.tallies.items()
    ]
    return f"{found.case} | {found.variant} | {'; '.join(shown)}"


def measure_all(
    folder: Path,
    asked: Sequence[Experiment],
    instances: Mapping[str, Instance],
    of: Release,
    known: Mapping[str, Variant],
) -> None:
    """Measure what no result is there for, and say how long the rest takes."""
    releases = {name: f"{instance.host.name} {release_of(instance)}" for name, instance in instances.items()}
    machines = {instance.host.name: machine_of(instance.host) for instance in instances.values()}
    keep(folder / "machines.json", machines)
    waiting = []
    for each in asked:
        for case, variant, repetition in order(each):
            wanted = key(each, case, known[variant], of)
            path = file_of(folder, each.name, case, variant, repetition)
            found = kept(path, wanted)
            if found is None or found.release != releases[variant]:
                waiting.append((each, case, variant, repetition, wanted, path))
    left = sum(length(each) for each, *_ in waiting)
    print(f"{len(waiting)} measurements, about {left / 60:.0f} minutes", flush=True)
    for each, case, variant, repetition, wanted, path in waiting:
        instance = instances[variant]
        for _ in range(ATTEMPTS):
            found_now = measure(case, repetition, instance, each, of)
            if not found_now.unfit:
                break
            print(f"{each.name} | {case} | {variant}, again: {', '.join(found_now.unfit)}", flush=True)
        keep(path, {
            "key": wanted, "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "release": releases[variant], "machine": machines[instance.host.name], "variant": asdict(known[variant]),
            "measurement": found_now.to_dict(),
        })  # fmt: skip
        left -= length(each)
        print(f"{each.name} | {line(found_now)} | {left / 60:.1f} min left", flush=True)


def picture(
    each: Experiment, shown: Sequence[Row], plot: Plot, known: Mapping[str, Variant], number: int
) -> dict[str, Any]:
    """What plots.py draws: medians with least and most, by case and variant; None where a row was refused or
    nothing was answered.

    grid: workers and threads, whose variants are then in the order of a table's cells, row by row.
    """
    cases = [case for case, loads in each.cases.items() if plot.load == "all" or plot.load in loads]
    grid = [[str(value) for value in values] for values in each.grid] if each.grid else None
    series: dict[str, list[list[float] | None]] = {}
    for variant in each.variants:
        found = {row.case: row for row in shown if row.variant == variant and plot.load in ("all", row.load)}
        spreads = [found[case].values.get(plot.metric) for case in cases]
        series[known[variant].title] = [
            [one.median, one.least, one.most] if one and not math.isnan(one.median) else None for one in spreads
        ]
    return {
        "file": f"{each.name}-{number}.png", "title": each.question, "cases": cases, "series": series,
        "unit": plot.unit if plot.load == "all" else f"{plot.load}: {plot.metric}, {plot.unit}", "scale": plot.scale,
        "grid": grid,
    }  # fmt: skip


def publish(folder: Path, asked: Sequence[Experiment], of: Release, known: Mapping[str, Variant]) -> list[str]:
    """Write the report of all results; what could not be said. Raises RefusedError, and writes nothing then."""
    parts, pictures, unsaid = [], [], []
    releases = set()
    for each in asked:
        results = [
            found
            for case, variant, repetition in order(each)
            if (
                found := kept(
                    file_of(folder, each.name, case, variant, repetition), key(each, case, known[variant], of)
                )
            )
        ]
        releases |= {Path(found.release).name for found in results}
        measured = [found.measurement for found in results]
        shown = rows(each, measured, report.METRICS)
        verdicts = [verdict(goal, shown) for goal in each.goals]
        drawn = [picture(each, shown, plot, known, number) for number, plot in enumerate(each.plots)]
        parts.append(report.Part(each, shown, verdicts, measured, [plot["file"] for plot in drawn]))
        pictures += drawn
        unsaid += [
            f"{each.name}: {row.variant} in {row.case}: {', '.join(row.refused)}" for row in shown if row.refused
        ]
        print("\n".join([report.sentence(one, known) for one in verdicts] + report.in_order(parts[-1], known)))
    if len(releases) != 1:
        raise RefusedError(f"results are of {len(releases)} releases: run it again, or with --fresh")
    machines = json.loads((folder / "machines.json").read_text(encoding="utf-8"))
    text = report.page(parts, known, machines, f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC")
    keep(folder / "plots.json", pictures)
    subprocess.run([environments.PLOTTER, plots.__file__, folder], check=True)
    (folder / "report.html").write_text(text, encoding="utf-8")
    print(folder / "report.html")
    return unsaid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", action="append", help="one of tools/bench/experiments, or a file; default: all")
    parser.add_argument("--requests", type=Path, default=HERE / "requests.yml", help="what is asked of the release")
    parser.add_argument("--quick", action="store_true", help="less of each: whether the order of variants is as it was")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured")
    given = parser.parse_args()
    try:
        known, of = variants(), release(given.requests)
        files = [
            Path(name) if name.endswith(".yml") else EXPERIMENTS / f"{name}.yml" for name in given.experiment or ()
        ]
        asked = [experiment(path, given.quick, known, of) for path in files or sorted(EXPERIMENTS.glob("*.yml"))]
        asked = [each for each in asked if each.cases]
        own = {name: variant for each in asked for name, variant in variants_of(each.grid).items()}
        known = {**known, **own}
    except (DataError, OSError) as error:
        sys.exit(f"bench: {error}")
    folder = QUICK if given.quick else FOLDER
    if not given.report:
        if shutil.which("h2load") is None:
            sys.exit("bench: no h2load on PATH: tools/setup.sh bench installs it")
        if given.fresh or given.quick:
            shutil.rmtree(folder / "results", ignore_errors=True)
        # With those that another one is set up from.
        names = list(
            dict.fromkeys(
                name for each in asked for asks in each.variants for name in (known[asks].rests_on, asks) if name
            )
        )
        hosts = [Host(name, address) for name, address in inventory_hosts(group="plane_api").items()]
        began = time.monotonic()
        try:
            with running([known[name] for name in names], hosts, of, later=own) as instances:
                measure_all(folder, asked, instances, of, known)
        except ValueError as error:
            sys.exit(f"bench: {error}")
        print(f"measured in {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    try:
        unsaid = publish(folder, asked, of, known)
    except RefusedError as error:
        sys.exit(f"bench: nothing is published: {error}")
    if unsaid:
        sys.exit("bench: not shown in the report:\n" + "\n".join(unsaid))


if __name__ == "__main__":
    main()
