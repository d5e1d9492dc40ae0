"""The data files of the benchmark: variants, what is asked, experiments. Everything is checked as it is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
EXPERIMENTS = HERE / "experiments"
METRICS = ("p50", "p95", "p99", "worst", "settled", "rate", "cpu", "peak", "held")
# Of a goal's `against`: the variant that did best.
BEST = "best"
# What a variant may be.
KINDS = {"direct", "inventory", "python", "heavy_slots", "heavy_pool"}


class DataError(ValueError):
    """A data file that cannot be right; the message names file, what was found and what is allowed."""


@dataclass(frozen=True)
class Variant:
    """direct: variables of the entrypoint, None: as deployed; inventory: variables of the inventory; python: arguments
    of the release's Python, in which {port}, {wsgi} and {asgi} stand for the port and the release's applications;
    heavy_slots: how many the heavy routes of a variant behind admission have, by its name; heavy_pool: variables of the
    entrypoint of a gunicorn that has these routes for itself, by the name of a variant too. All but one are None.
    """

    name: str
    title: str
    direct: Mapping[str, str | None] | None = None
    inventory: Mapping[str, Any] | None = None
    python: str | None = None
    heavy_slots: Mapping[str, int] | None = None
    heavy_pool: Mapping[str, Mapping[str, str]] | None = None

    @property
    def rests_on(self) -> str | None:
        """The variant behind admission that this one changes as it runs."""
        return next(iter(self.heavy_slots or self.heavy_pool or ()), None)


@dataclass(frozen=True)
class Asked:
    """bytes: length of the answer, 0 where it is not checked."""

    path: str
    bytes: int


@dataclass(frozen=True)
class Release:
    """What is asked of a release, by name, with which headers; before: commands of manage.py that make its data;
    variables: of the inventory, that deploy it.
    """

    headers: Mapping[str, str]
    paths: Mapping[str, Asked]
    before: Sequence[str] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Load:
    """rate: requests a second, whatever was answered (open loop); clients: that ask again once answered; at_once: that
    ask once, together; slow: that ask once, together, and read nothing until its end. One of them is not 0. seconds:
    where it ends before the measurement does; 0: it does not.
    """

    rate: float
    clients: int
    at_once: int = 0
    seconds: float = 0.0
    slow: int = 0


@dataclass(frozen=True)
class Plot:
    """load: its name, or "all". unit: of the axis. scale: linear or log."""

    load: str
    metric: str
    unit: str
    scale: str


@dataclass(frozen=True)
class Aim:
    """What is wanted of a load in a case: more of `rate`, less of every other metric."""

    load: str
    metric: str


@dataclass(frozen=True)
class Goal:
    """A ratio, of `variant` in `case` against another variant in the same case, or the same variant in another case."""

    load: str
    metric: str
    variant: str
    case: str
    against_variant: str
    against_case: str
    at_most: float | None
    at_least: float | None


@dataclass(frozen=True)
class Experiment:
    """cases: name -> loads that run side by side, by what they ask for. seconds: of each measurement, where the load
    has no end of its own. fresh: the processes of the variant are new ones each time, so that its peak of memory is
    that of the measurement; settle: seconds after which what is held then is looked at. grid: its variants are gthread
    alone with these workers (first) and threads (second), of which only the one that is asked runs, and its plots are
    maps of them; front: case -> by what the report says which variants nothing else beats in everything.
    """

    name: str
    question: str
    claim: str
    variants: Sequence[str]
    repetitions: int
    seconds: float
    cases: Mapping[str, Mapping[str, Load]]
    plots: Sequence[Plot]
    goals: Sequence[Goal]
    fresh: bool = False
    settle: float = 0.0
    grid: tuple[Sequence[int], Sequence[int]] | None = None
    front: Mapping[str, Sequence[Aim]] = field(default_factory=dict)


def of_grid(workers: int, threads: int) -> Variant:
    variables: dict[str, str | None] = {
        "GUNICORN_WORKER_CLASS": "gthread", "GUNICORN_WORKERS": str(workers), "GUNICORN_THREADS": str(threads)
    }  # fmt: skip
    return Variant(f"gthread-{workers}x{threads}", f"gthread {workers}×{threads}", variables)


def variants_of(grid: tuple[Sequence[int], Sequence[int]] | None) -> dict[str, Variant]:
    """By name, in the order of the grid."""
    found = [of_grid(workers, threads) for workers in grid[0] for threads in grid[1]] if grid else []
    return {variant.name: variant for variant in found}


def load(path: Path) -> dict[str, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise DataError(f"{path}: a mapping is needed, not {type(found).__name__}")
    return found


def variants(path: Path = HERE / "variants.yml") -> dict[str, Variant]:
    found = {}
    for name, said in load(path).items():
        direct = said.get("direct")
        if len(said) != 2 or not set(said) - {"title"} <= KINDS:
            raise DataError(f"{path}: {name} has {sorted(said)}. Allowed: title, and one of {sorted(KINDS)}")
        words = (
            None if direct is None else {key: None if value is None else str(value) for key, value in direct.items()}
        )
        found[name] = Variant(
            name, str(said["title"]), words, said.get("inventory"), said.get("python"), said.get("heavy_slots"),
            said.get("heavy_pool"),
        )  # fmt: skip
    deployed = sorted(each.name for each in found.values() if each.inventory is not None)
    for name, variant in found.items():
        if variant.rests_on not in (None, *deployed):
            raise DataError(f"{path}: {name} changes {variant.rests_on}. Allowed: {deployed}")
    return found


def release(path: Path = HERE / "requests.yml") -> Release:
    said = load(path)
    paths = {name: Asked(str(each["path"]), int(each.get("bytes", 0))) for name, each in said["paths"].items()}
    wrong = [each.path for each in paths.values() if not each.path.startswith("/")]
    if wrong:
        raise DataError(f"{path}: paths begin with /, not as {wrong}")
    headers = {str(key): str(value) for key, value in said.get("headers", {}).items()}
    return Release(headers, paths, said.get("before", ()), said.get("variables", {}))


def _load(where: str, said: Mapping[str, Any]) -> Load:
    kinds = set(said) - {"seconds"}
    if len(kinds) != 1 or not kinds <= {"rate", "clients", "at_once", "slow"} or min(said.values()) <= 0:
        raise DataError(
            f"{where} is {dict(said)}. Allowed: one of rate, clients, at_once, slow, and seconds, with numbers above 0"
        )
    if "rate" in said and 1000 % said["rate"]:
        raise DataError(f"{where} is {dict(said)}. Allowed: a rate that divides 1000, as h2load counts milliseconds")
    return Load(
        float(said.get("rate", 0)),
        int(said.get("clients", 0)),
        int(said.get("at_once", 0)),
        float(said.get("seconds", 0)),
        int(said.get("slow", 0)),
    )


def _cases(path: Path, said: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Load]]:
    return {
        case: {name: _load(f"{path}: {name} in {case}", each) for name, each in loads.items()}
        for case, loads in said.items()
    }


def _goal(said: Mapping[str, Any]) -> Goal:
    against = said["against"]
    return Goal(
        said["load"], said["metric"], said["variant"], said["case"], against.get("variant", said["variant"]),
        against.get("case", said["case"]), said.get("at_most"), said.get("at_least"),
    )  # fmt: skip


def experiment(path: Path, quick: bool, known: Mapping[str, Variant], asked: Release) -> Experiment:
    """An experiment's file; quick: with the repetitions, seconds and cases of its `quick`. Raises DataError.

    A case is left out whose paths the release has none of. There may be no case then, and in a quick run of one that
    has no `quick`.
    """
    said = load(path)
    cases = _cases(path, said["cases"])
    grid = (said["grid"]["workers"], said["grid"]["threads"]) if "grid" in said else None
    own = variants_of(grid)
    found = Experiment(
        path.stem, said["question"], said["claim"], list(own) or said["variants"], int(said["repetitions"]),
        float(said["seconds"]), cases,
        [Plot(each["load"], each["metric"], each["unit"], each.get("scale", "linear")) for each in said["plots"]],
        [_goal(each) for each in said.get("goals", [])], bool(said.get("fresh", False)), float(said.get("settle", 0)),
        grid, {case: [Aim(*each) for each in aims] for case, aims in said.get("front", {}).items()},
    )  # fmt: skip
    _check(path, found, {**known, **own}, {**release().paths, **asked.paths})
    if quick:
        less = {**said, "cases": {}, **said.get("quick", {})}
        found = replace(found, repetitions=int(less["repetitions"]), seconds=float(less["seconds"]))
        cases = _cases(path, less["cases"])
    cases = {case: loads for case, loads in cases.items() if set(loads) <= set(asked.paths)}
    return replace(
        found, cases=cases,
        front={case: aims for case, aims in found.front.items() if case in cases},
        goals=[goal for goal in found.goals if {goal.case, goal.against_case} <= set(cases)],
    )  # fmt: skip


def _check(path: Path, found: Experiment, known: Mapping[str, Variant], paths: Collection[str]) -> None:
    """Raises DataError where a name is none."""
    loads = {name for case in found.cases.values() for name in case}
    variants_of_goals = {name for goal in found.goals for name in (goal.variant, goal.against_variant)} - {BEST}
    aims = [aim for each in found.front.values() for aim in each]
    everywhere: Sequence[Plot | Goal | Aim] = [*found.plots, *found.goals, *aims]
    shown = [(each.load, each.metric) for each in everywhere]
    for what, names, allowed in (
        ("variants", set(found.variants), set(known)),
        ("paths", loads, set(paths)),
        ("loads of plots and goals", {name for name, _ in shown}, loads | {"all"}),
        ("metrics", {metric for _, metric in shown}, set(METRICS)),
        ("variants of goals", variants_of_goals, set(found.variants)),
        ("cases of goals", {name for goal in found.goals for name in (goal.case, goal.against_case)}, set(found.cases)),
        ("cases of front", set(found.front), set(found.cases)),
    ):
        if names - allowed:
            raise DataError(f"{path}: {what} {sorted(names - allowed)} are not known. Allowed: {sorted(allowed)}")
    if found.grid and not found.fresh:
        raise DataError(f"{path}: a grid needs fresh: true, as only the variant that is asked runs")
    if not found.fresh and {metric for _, metric in shown} & {"peak", "held"}:
        raise DataError(f"{path}: peak and held need fresh: true, as the kernel's peak is that of a whole life")
