"""The page of `make bench`: every row with its errors, every goal with its verdict, and the plots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from bench.compare import Measurement, Row, Spread, Verdict, failures, front, ranking, refuse
from bench.data import Aim, Experiment, Variant

COLUMNS = {
    "p50": "p50, ms",
    "p95": "p95, ms",
    "p99": "p99, ms",
    "worst": "worst, ms",
    "settled": "last one late, s",
    "rate": "answers a second",
    "cpu": "processor, ms each",
    "peak": "memory, most, MB",
    "held": "memory afterwards, MB",
}
# As the report's tables show them.
METRICS = tuple(COLUMNS)


@dataclass(frozen=True)
class Part:
    """One experiment as it was measured. plots: file names. machine: of each host, what it is and runs."""

    experiment: Experiment
    rows: Sequence[Row]
    verdicts: Sequence[Verdict]
    found: Sequence[Measurement]
    plots: Sequence[str]


def figure(spread: Spread) -> str:
    """The median with its spread; as many digits as mean something."""

    def one(value: float) -> str:
        if math.isnan(value):
            return ""
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

    same = one(spread.least) == one(spread.most)
    return one(spread.median) if same else f"{one(spread.median)} ({one(spread.least)}–{one(spread.most)})"


def ratio(row: Row, metric: str) -> str:
    """Against the first variant; a difference that not every repetition shows is none."""
    if metric not in row.ratios:
        return ""
    return f"× {row.ratios[metric].median:.2g}" if row.differs[metric] else "not told apart"


def sentence(verdict: Verdict, variants: Mapping[str, Variant]) -> str:
    goal = verdict.goal
    bound = f"at most {goal.at_most:g}" if goal.at_most is not None else f"at least {goal.at_least:g}"
    said = variants[verdict.against].title if verdict.against in variants else verdict.against
    against = f"{said}, {goal.against_case}"
    answer = {True: "met", False: "NOT met", None: "cannot be said"}[verdict.reached]
    shown = "" if verdict.ratio is None else f" ({verdict.ratio:.3g})"
    return (
        f"{COLUMNS[goal.metric]} of {goal.load}: {variants[goal.variant].title}, {goal.case}, against {against}: "
        f"{bound} times: {answer}{shown}"
    )


def on_front(part: Part, case: str, variants: Mapping[str, Variant]) -> str:
    """Which variants no other one beats."""
    aims = part.experiment.front[case]
    names = [variants[name].title for name in front(aims, case, part.rows)]
    by = ", ".join(f"{COLUMNS[aim.metric]} ({aim.load})" for aim in aims)
    return f"{case}: nothing beats {', '.join(names) or 'what could not be said'} in all of {by}"


def in_order(part: Part, variants: Mapping[str, Variant]) -> list[str]:
    """Of each case the variants by what the experiment's first plot shows, the best first."""
    lines = []
    for plot in part.experiment.plots[:1]:
        for case, loads in part.experiment.cases.items():
            for load in loads if plot.load == "all" else {plot.load} & set(loads):
                groups = ranking(case, Aim(load, plot.metric), part.rows)
                named = " < ".join(" ~ ".join(variants[name].title for name in group) for group in groups)
                if named:
                    lines.append(f"{case}, {COLUMNS[plot.metric]} ({load}), the best first: {named}")
    return lines


TEMPLATE = Path(__file__).with_name("report.html.j2")
PAGES = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)


def commands(parts: Sequence[Part]) -> list[str]:
    """Of the first repetition: its log's place is another one each time."""
    return [
        f"{each.case} | {each.variant} | {' '.join(word for word in one.command if not word.startswith('--log-file'))}"
        for part in parts
        for each in part.found
        if each.repetition == 0
        for one in each.tallies.values()
    ]


def page(
    parts: Sequence[Part], variants: Mapping[str, Variant], machines: Mapping[str, Mapping[str, str]], when: str
) -> str:
    """The report as HTML. Raises compare.RefusedError where it would say what it may not."""
    text = PAGES.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        parts=parts, variants=variants, machines=machines, when=when, columns=COLUMNS, commands=commands(parts),
        figure=figure, ratio=ratio, sentence=sentence, on_front=on_front, in_order=in_order, failures=failures,
    )  # fmt: skip
    for part in parts:
        refuse(part.rows, part.found, text)
    return text
