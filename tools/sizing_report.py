"""Predicted memory against what real processes took, and limits just above and just below it.

    make sizing-report
    make sizing-report ARGS=--quick

On the first REST host of each runtime that the inventory has (ANSIBLE_INVENTORY, else staging's), measures the release
under both worker classes, as `make calibrate` does, predicts by process_model.sizing what every tier takes with its
slots busy with page descriptions of several sizes, and fills instances of their own with just that. Writes
build/reports/sizing.json, sizing.md and two plots. Exit status 1 where a prediction is off by more than 15 %, or a
limit did not do what was predicted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import client
import environments
import sizing_plots
import yaml
from process_model import sizing
from process_model.report import columns
from support import ROOT, Host, inventory_hosts, seed

TOLERANCE = 0.15
CLASSES = ("gthread", "uvicorn")
PAYLOADS = (1, 5, 10, 25)  # MiB
# Slots of heavy routes: as the default of plane_api_heavy_routes has it.
HEAVY_SLOTS = 2
# Requests of each point, in as many rounds: not every one is as bad as the worst where few run at once. Under uvicorn
# how many answers are put together at once differs from round to round where many run, too.
REQUESTS = 32
LEAST_ROUNDS = {"gthread": 1, "uvicorn": 4}
# Clients for each slot, and at the most: workers take connections unevenly, and every one is to be full.
CROWD, MOST_CROWD = 2, 4
# Of the predicted peak: with the first nothing fails, with the second the kernel kills.
ABOVE, BELOW = 1 + TOLERANCE, 1 - TOLERANCE
# Workers, threads, MiB: each under both classes. All of them on the first runtime, the first on the other one.
PAIRS = ((2, 8, 5), (2, 8, 25), (3, 8, 10))
# Clients that ask for 5 MiB at once: what bounds them is the class, and the database.
CONCURRENCY = (16, 80, 160)
CONCURRENCY_MODEL = (2, 8, 5)
# Of the machine's free memory, what an instance may be predicted to take: the database holds as much again.
SHARE = 0.4
FOLDER = ROOT / "build" / "reports"
TIERS = ROOT / "ansible" / "vars" / "tiers.yml"
FILL = (ROOT / "lab" / "fill.py").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Site:
    """Where instances are filled. runtime: as plane_release_runtime has it. costs: of each worker class."""

    runtime: str
    api: Host
    costs: Mapping[str, sizing.Coefficients]


@dataclass(frozen=True)
class Machine:
    """memory: bytes that are free."""

    memory: int
    processors: int


@dataclass(frozen=True)
class Tier:
    """What of a tier runs on this machine; note says where that is less than the tier."""

    name: str
    workers: int
    threads: int
    note: str


@dataclass(frozen=True)
class Point:
    """One instance that was filled. bounded: by the slots of heavy routes. slots: to be filled; begun: that were.

    payload in MiB; predicted and observed in bytes, at the peak and at rest. The prediction is for what was filled.
    """

    runtime: str
    tier: str
    worker_class: str
    workers: int
    threads: int
    bounded: bool
    slots: int
    payload: int
    predicted: float
    observed: float
    predicted_rest: float
    observed_rest: float
    begun: int
    failed: Mapping[str, int]

    @property
    def off(self) -> float:
        return self.predicted / self.observed - 1

    @property
    def within(self) -> bool:
        return abs(self.off) <= TOLERANCE


@dataclass(frozen=True)
class Pair:
    """The same instance under a limit above and one below its predicted peak; above and below as lab/fill.py says."""

    runtime: str
    worker_class: str
    workers: int
    threads: int
    payload: int
    predicted: float
    above: Mapping[str, Any]
    below: Mapping[str, Any]

    @property
    def as_predicted(self) -> bool:
        lives = not self.above["killed"] and not self.above["failed"]
        return bool(lives and self.below["killed"] and self.below["journal"])


@dataclass(frozen=True)
class Crowd:
    """What an instance held, and had open at the database, when so many clients asked at once; memory in bytes."""

    worker_class: str
    clients: int
    peak: float
    after: float
    connections: int
    failed: Mapping[str, int]


def tier_here(name: str, tier: Mapping[str, Any], machine: Machine, costs: Sequence[sizing.Coefficients]) -> Tier:
    """The tier with as many threads as the machine has memory for, every slot busy with the largest payload."""
    workers, threads = int(tier["workers"]), int(tier["threads"])
    model = sizing.Model(workers, threads, heavy_payloads={max(PAYLOADS) * sizing.MIB: 1.0})
    fits = min(sizing.most_threads(int(machine.memory * SHARE), model, each) for each in costs)
    notes = []
    if fits < threads:
        notes.append(f"{fits} of {threads} threads, as {machine.memory / sizing.GIB:.0f} GiB are free")
    if machine.processors < tier["cpu"]:
        notes.append(f"on {machine.processors} of {tier['cpu']} processors")
    return Tier(name, workers, min(threads, fits), ", ".join(notes))


def model_of(costs: sizing.Coefficients, workers: int, threads: int, slots: int, payload: int) -> sizing.Model:
    """Slots that are busy with the payload (MiB), the others idle. What workers share is there only with preload."""
    return sizing.Model(
        workers=workers,
        threads=threads,
        slots=slots,
        heavy_slots=slots,
        heavy_payloads={payload * sizing.MIB: 1.0},
        preload=costs.shared > 0,
    )


def path_of(payload: int) -> str:
    return f"{client.PROJECT}/pages/{uuid.UUID(int=3000 + payload)}/description/"


def fill_of(worker_class: str, slots: int, most: int, payload: int, rounds: int | None = None) -> dict[str, Any]:
    """One of lab/fill.py's: so many ask at once that `slots` run.

    most: what gthread runs at once; the more wait. uvicorn runs them all.
    """
    crowded = worker_class == "gthread" and slots == most
    return {
        "path": path_of(payload),
        "clients": slots * CROWD if crowded else slots,
        "most": slots * MOST_CROWD if crowded else slots,
        "slots": slots,
        "rounds": max(LEAST_ROUNDS[worker_class], REQUESTS // slots) if rounds is None else rounds,
    }


def run_fills(
    api: Host,
    worker_class: str,
    workers: int,
    threads: int,
    fills: Sequence[Mapping[str, Any]],
    limit: float = 0,
) -> dict[str, Any]:
    """What lab/fill.py says of one instance."""
    experiment = {
        "worker_class": worker_class, "workers": workers, "threads": threads, "warm_path": client.SMALL,
        "headers": client.KEY, "fills": fills, "limit": int(limit),
    }  # fmt: skip
    found: dict[str, Any] = json.loads(api.run(f"python3 - '{json.dumps(experiment)}'", stdin=FILL))
    return found


def calibrated(api: Host, worker_class: str) -> sizing.Coefficients:
    """What the release takes under a class, by a small and a large answer and one instance of two workers."""
    request = {"paths": [client.SMALL, path_of(5)], "headers": client.KEY, "clients": 16}
    file = "/run/plane-process-model/requests.json"
    api.run(f"cat >{file}", stdin=json.dumps(request))
    calibrate = f"plane-process-model calibrate plane-api {file} --worker-class {worker_class}"
    text = api.run(f"trap 'rm {file}' EXIT; {calibrate}")
    return sizing.Coefficients(**json.loads(text)["coefficients"])


def machine_of(api: Host) -> Machine:
    free = int(api.run("awk '/^MemAvailable/ { print $2 }' /proc/meminfo")) * 1024
    return Machine(free, int(api.run("nproc")))


def sites() -> Iterator[Site]:
    """The first REST host of each runtime, with the lab's data and the sizes of PAYLOADS in its database."""
    found: dict[str, Host] = {}
    for name, address in inventory_hosts(group="plane_api").items():
        host = Host(name, address)
        found.setdefault("compose" if host.is_contained() else "systemd", host)
    for runtime, api in sorted(found.items(), reverse=True):
        seed(api, arguments=f"--sizes {' '.join(map(str, PAYLOADS))}")
        yield Site(runtime, api, {each: calibrated(api, each) for each in CLASSES})


def points(site: Site, tiers: Sequence[Tier], payloads: Sequence[int]) -> Iterator[Point]:
    """Each tier under each class: an instance that is filled again and again, with more each time."""
    for worker_class in CLASSES:
        for tier in tiers:
            every = tier.workers * tier.threads
            busy = [(slots, payload) for slots in (HEAVY_SLOTS, every) for payload in payloads]
            fills = [fill_of(worker_class, slots, every, payload) for slots, payload in busy]
            found = run_fills(site.api, worker_class, tier.workers, tier.threads, fills)
            for (slots, payload), fill in zip(busy, found["fills"]):
                costs = site.costs[worker_class]
                model = model_of(costs, tier.workers, tier.threads, fill["begun"] or slots, payload)
                taken = sizing.memory(model, costs)
                yield Point(
                    site.runtime, tier.name, worker_class, tier.workers, tier.threads, slots != every, slots, payload,
                    taken.peak, fill["peak"], taken.rest, found["rest"], fill["begun"], fill["failed"],
                )  # fmt: skip


def pairs(site: Site, shapes: Sequence[tuple[int, int, int]]) -> Iterator[Pair]:
    for worker_class in CLASSES:
        for workers, threads, payload in shapes:
            slots = workers * threads
            costs = site.costs[worker_class]
            peak = sizing.memory(model_of(costs, workers, threads, slots, payload), costs).peak
            fill = fill_of(worker_class, slots, slots, payload)
            above, below = (
                run_fills(site.api, worker_class, workers, threads, [fill], limit=peak * share)
                for share in (ABOVE, BELOW)
            )
            yield Pair(
                site.runtime, worker_class, workers, threads, payload, peak,
                {**above.pop("fills")[0], **above}, {**below.pop("fills")[0], **below},
            )  # fmt: skip


def crowds(api: Host) -> Iterator[Crowd]:
    workers, threads, payload = CONCURRENCY_MODEL
    for worker_class in CLASSES:
        for clients in CONCURRENCY:
            slots = workers * threads if worker_class == "gthread" else clients
            fill = {**fill_of(worker_class, slots, 0, payload, rounds=1), "clients": clients, "most": clients}
            (found,) = run_fills(api, worker_class, workers, threads, [fill])["fills"]
            yield Crowd(worker_class, clients, found["peak"], found["after"], found["connections"], found["failed"])


def mib(size: float) -> str:
    return f"{size / sizing.MIB:,.0f}"


def failures(failed: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in failed.items()) or "none"


def point_cells(point: Point) -> list[str]:
    return [
        point.runtime, point.tier, point.worker_class, f"{point.workers}×{point.threads}",
        f"{point.begun} of heavy routes" if point.bounded else f"{point.begun} of {point.slots}", f"{point.payload} MB",
        mib(point.predicted), mib(point.observed), f"{point.off:+.1%}", mib(point.predicted_rest),
        mib(point.observed_rest), failures(point.failed),
    ]  # fmt: skip


POINTS = ["runtime", "tier", "class", "model", "slots busy", "each", "predicted MiB", "observed MiB", "off",
          "predicted at rest", "observed at rest", "failed"]  # fmt: skip


def pair_cells(pair: Pair) -> list[str]:
    return [
        pair.runtime, pair.worker_class, f"{pair.workers}×{pair.threads}", f"{pair.payload} MB", mib(pair.predicted),
        f"{mib(pair.predicted * ABOVE)}: {pair.above['killed']} killed, failed: {failures(pair.above['failed'])}",
        f"{mib(pair.predicted * BELOW)}: {pair.below['killed']} killed, failed: {failures(pair.below['failed'])}",
        "as predicted" if pair.as_predicted else "NOT AS PREDICTED",
    ]  # fmt: skip


LIMITS = ["runtime", "class", "model", "each", "predicted MiB", "limit above, MiB", "limit below, MiB", "verdict"]


def crowd_cells(crowd: Crowd) -> list[str]:
    return [crowd.worker_class, str(crowd.clients), mib(crowd.peak), mib(crowd.after), str(crowd.connections),
            failures(crowd.failed)]  # fmt: skip


CROWDS = ["class", "clients at once", "peak MiB", "held afterwards MiB", "database connections", "failed"]


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in [headings, ["---"] * len(headings), *rows]]


def cost_lines(found: Sequence[Site]) -> list[str]:
    return [
        f"{site.runtime}, {name}: master {mib(costs.master)} MiB, worker {mib(costs.warm)} MiB warm, "
        f"{mib(costs.shared)} of it shared; a request {costs.request / sizing.MIB:.1f} MiB and {costs.copies:.2f} × "
        f"its payload, {costs.transient:.2f} × more while it is put together, {costs.at_once:.1f} of {costs.asked} at "
        "once"
        for site in found
        for name, costs in site.costs.items()
    ]


def verdict_on(measured: Sequence[Point], limits: Sequence[Pair]) -> tuple[bool, str]:
    """Whether everything was as predicted, and a sentence."""
    right, as_predicted = sum(point.within for point in measured), sum(pair.as_predicted for pair in limits)
    return right == len(measured) and as_predicted == len(limits), (
        f"{right} of {len(measured)} predictions are within {TOLERANCE:.0%}, "
        f"{as_predicted} of {len(limits)} pairs of limits did as predicted"
    )


def write(
    found: Sequence[Site],
    notes: Sequence[str],
    measured: Sequence[Point],
    limits: Sequence[Pair],
    asked: Sequence[Crowd],
) -> list[str]:
    """The report's files; the tables as text."""
    _, verdict = verdict_on(measured, limits)
    document = {
        "verdict": verdict,
        "tolerance": TOLERANCE,
        "notes": notes,
        "coefficients": {site.runtime: {each: asdict(one) for each, one in site.costs.items()} for site in found},
        "points": [{**asdict(point), "off": point.off, "within": point.within} for point in measured],
        "pairs": [{**asdict(pair), "as_predicted": pair.as_predicted} for pair in limits],
        "concurrency": [asdict(crowd) for crowd in asked],
    }
    tables = [
        (POINTS, [point_cells(point) for point in measured]),
        (LIMITS, [pair_cells(pair) for pair in limits]),
        (CROWDS, [crowd_cells(crowd) for crowd in asked]),
    ]
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "sizing.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    text = [
        "# Sizing: predicted and observed",
        "",
        verdict,
        "",
        *(f"- {line}" for line in [*cost_lines(found), *notes]),
    ]
    for headings, cells in tables:
        text += ["", *markdown(headings, cells)]
    (FOLDER / "sizing.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    subprocess.run([environments.PLOTTER, sizing_plots.__file__, FOLDER], check=True)
    return [line for headings, cells in tables for line in ["", *columns([headings, *cells])]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest tier, two sizes and one pair for each class")
    quick = parser.parse_args().quick
    found = list(sites())
    print("\n".join(cost_lines(found)), flush=True)
    machine = machine_of(found[0].api)
    rows = yaml.safe_load(TIERS.read_text(encoding="utf-8"))["plane_tiers"]
    every = [costs for site in found for costs in site.costs.values()]
    tiers = [tier_here(each, row, machine, every) for each, row in rows.items()][: 1 if quick else None]
    notes = [f"tier {tier.name} is scaled to this machine: {tier.note}" for tier in tiers if tier.note]
    print("\n".join(notes), flush=True)
    measured: list[Point] = []
    limits: list[Pair] = []
    asked: list[Crowd] = []
    for site in found:
        for point in points(site, tiers, PAYLOADS[1::2] if quick else PAYLOADS):
            measured.append(point)
            print("  ".join(point_cells(point)), flush=True)
        for pair in pairs(site, PAIRS[:1] if quick or site is not found[0] else PAIRS):
            limits.append(pair)
            print("  ".join(pair_cells(pair)), flush=True)
        # What was measured is not lost where the database gives up under the last and largest crowd.
        write(found, notes, measured, limits, asked)
    for crowd in crowds(found[0].api) if not quick else ():
        asked.append(crowd)
        print("  ".join(crowd_cells(crowd)), flush=True)
    print("\n".join(write(found, notes, measured, limits, asked)))
    right, verdict = verdict_on(measured, limits)
    print(f"\n{verdict}\n{FOLDER}: sizing.json, sizing.md, {sizing_plots.PREDICTED}, {sizing_plots.CONCURRENCY}")
    if not right:
        sys.exit(1)


if __name__ == "__main__":
    main()
