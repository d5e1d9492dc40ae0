"""The dashboard's plots as one HTML page, for whoever has no Grafana: make report

    make report                                             the last hour of the lab's Prometheus
    make report ARGS='--prometheus http://192.0.2.51:9090 --hours 48 --service plane-api'

Asks Prometheus over its API; the page needs nothing but itself.
"""

from __future__ import annotations

import argparse
import html
import io
import math
import re
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

import dashboard
import environments
from prometheus import Prometheus, PrometheusError, Series

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "build" / "reports" / "observability.html"
POINTS = 240
# Colours that differ for most of those who see few colours, in a fixed order.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#5d5d5d", "#8c564b")
SCALES = {"bytes": 1 / (1 << 20), "percentunit": 100.0}
UNITS = {"bytes": "MiB", "percentunit": "%", "s": "s", "reqps": "requests/s", "none": ""}
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1240px; padding: 0 1rem; color: #1b1f24 }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { margin: 2.2rem 0 .6rem; font-size: 1.2rem }
h3 { font-size: 1rem; margin: 0 } p { margin: .2rem 0 .4rem; color: #57606a }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(380px, 1fr)); gap: 1rem }
.panel { border: 1px solid #d0d7de; border-radius: 6px; padding: .7rem .8rem; overflow-x: auto }
.wide { grid-column: 1 / -1 } svg { width: 100%; height: auto } table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #d0d7de; white-space: nowrap }
.key { list-style: none; margin: .2rem 0 0; padding: 0; font-size: .75rem }
.key { display: flex; flex-wrap: wrap; gap: .1rem .9rem }
.key i { display: inline-block; width: 1.2rem; margin-right: .35rem; vertical-align: middle }
.bad { color: #b42318; font-weight: 600 } .good { color: #1a7f37; font-weight: 600 }
"""

ALL = ".+"
# A switch of colours is seen for a minute.
SWITCHED = "changes(plane_service_live{OF}[1m]) > 0"
SWITCH_SECONDS = 120.0


def step_of(start: float, end: float) -> float:
    """Seconds between two points of a plot."""
    return max(15.0, (end - start) / POINTS)


def over_time(prometheus: Prometheus, expression: str, start: float, end: float) -> list[Series]:
    """Each series of a query that has values."""
    found = prometheus.over(expression, start, end, step_of(start, end))
    return [each for each in found if each.points]


def name_of(legend: str, labels: Mapping[str, str]) -> str:
    """Grafana's `{{ label }}`, filled in."""
    return re.sub(r"{{ *(\w+) *}}", lambda match: labels.get(match[1], ""), legend).strip()


def first_of_each(times: Sequence[float]) -> list[float]:
    """The first of those times that are less than SWITCH_SECONDS apart."""
    ordered = sorted(set(times))
    return [when for before, when in zip([float("-inf"), *ordered], ordered) if when - before > SWITCH_SECONDS]


def look_of(index: int) -> tuple[str, str, str]:
    """Colour and line of a plot's series, for matplotlib and for the page."""
    line, border = (("-", "solid"), ("--", "dashed"), (":", "dotted"))[index // len(COLOURS) % 3]
    return COLOURS[index % len(COLOURS)], line, border


def key_of(names: Sequence[str]) -> str:
    """Which line is which, below a plot."""
    looks = [look_of(index) for index in range(len(names))]
    items = [
        f'<li><i style="border-top: 2px {border} {colour}"></i>{html.escape(name)}</li>'
        for name, (colour, _, border) in zip(names, looks)
    ]
    return f'<ul class="key">{"".join(items)}</ul>'


def with_gaps(values: Mapping[float, float], step: float) -> dict[float, float]:
    """What ends a line where nothing was recorded, so that none is drawn to where it goes on."""
    found: dict[float, float] = {}
    for when, value in sorted(values.items()):
        if found and when - next(reversed(found)) > 1.5 * step:
            found[when - step / 2] = math.nan
        found[when] = value
    return found


def plot(found: Sequence[tuple[str, Mapping[float, float]]], unit: str, stacked: bool, start: float, end: float,
         switches: Sequence[float]) -> str:  # fmt: skip
    """An SVG of named series. switches: times at which traffic was switched."""
    import matplotlib
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.fonttype"] = "none"  # letters stay letters: small, and found by a search
    matplotlib.rcParams["svg.hashsalt"] = "plane"
    scale = SCALES.get(unit, 1.0)
    figure = Figure(figsize=(5.0, 3.1), layout="constrained")
    axes = figure.subplots()
    bottoms: dict[float, float] = {}
    step = step_of(start, end)
    for index, (name, points) in enumerate(found):
        values = with_gaps(points, step)
        times = [datetime.fromtimestamp(when, timezone.utc) for when in values]
        heights = [value * scale for value in values.values()]
        colour, line, _ = look_of(index)
        if stacked:
            below = [bottoms.get(when, 0.0) for when in values]
            heights = [low + height for low, height in zip(below, heights)]
            bottoms.update(zip(values, heights))
            axes.fill_between(times, below, heights, color=colour, alpha=0.35, linewidth=0)
        axes.plot(times, heights, line, color=colour, linewidth=1.6, label=name)
    for when in switches:
        axes.axvline(datetime.fromtimestamp(when, timezone.utc), color="#1b1f24", linewidth=0.9, linestyle=":")
    axes.set_ylim(bottom=0)
    if axes.get_ylim()[1] < 1e-6 or all(value == 0 for _, values in found for value in values.values()):
        axes.set_ylim(0, 1)
    axes.set_xlim(*(datetime.fromtimestamp(when, timezone.utc) for when in (start, end)))
    locator = AutoDateLocator(maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_ylabel(UNITS.get(unit, unit))
    axes.grid(True, linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return re.sub(r"^.*?(?=<svg)", "", file.getvalue(), flags=re.DOTALL)


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """What runs: a row for each host and service."""
    columns = (
        "instance",
        "service",
        "colour",
        "worker_class",
        "workers",
        "threads",
        "release",
        "fingerprint",
        "gunicorn",
    )
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in columns)
    cells = ["".join(f"<td>{html.escape(row.get(name, '') or '–')}</td>" for name in columns) for row in rows]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{each}</tr>' for each in cells)}</table>"


def alerts_of(prometheus: Prometheus, environment: str) -> str:
    """What fires now, in a list."""
    firing = [
        alert
        for alert in prometheus.ask("alerts")["alerts"]
        if alert["state"] == "firing" and re.fullmatch(environment, alert["labels"].get("environment", ""))
    ]
    if not firing:
        return '<p class="good">No alert fires.</p>'
    lines = []
    for each in firing:
        said = " ".join(f"{each['annotations'].get(name, '')}." for name in ("summary", "suggestion"))
        title = f"<b>{html.escape(each['labels']['alertname'])}</b> ({html.escape(each['labels'].get('severity', ''))})"
        lines.append(f"<li>{title}: {html.escape(said)}</li>")
    return f'<p class="bad">{len(firing)} alerts fire:</p><ul>{"".join(lines)}</ul>'


def page(prometheus: Prometheus, hours: float, environment: str, service: str) -> tuple[str, list[str]]:
    """The page, and the titles of panels that have no data. Raises PrometheusError."""
    end = time.time()
    start = end - hours * 3600
    switches = first_of_each(
        [
            when
            for each in over_time(prometheus, dashboard.query(SWITCHED, environment, service), start, end)
            for when in each.points
        ]
    )
    parts, empty = [], []
    for row in dashboard.read():
        panels = []
        for panel in row["panels"]:
            style = panel.get("style", "line")
            found: list[tuple[str, Mapping[float, float]]] = []
            if style == "table":
                expression = dashboard.query(panel["queries"][0]["expr"], environment, service)
                rows = [each.labels for each in prometheus.at(expression, end)]
                drawn, has_data = table(rows), bool(rows)
            else:
                for each in panel["queries"]:
                    expression = dashboard.query(each["expr"], environment, service)
                    found += [(name_of(each["legend"], series.labels), series.points)
                              for series in over_time(prometheus, expression, start, end)]  # fmt: skip
                has_data = bool(found)
                drawn = "<p>no data</p>"
                if found:
                    drawn = plot(found, panel["unit"], style == "stack", start, end, switches)
                    drawn += key_of([name for name, _ in found])
            if not has_data:
                empty.append(panel["title"])
            text = f"<p>{html.escape(panel['text'])}</p>" if panel.get("text") else ""
            kind = "panel wide" if style == "table" else "panel"
            panels.append(f'<div class="{kind}"><h3>{html.escape(panel["title"])}</h3>{text}{drawn}</div>')
        parts.append(f'<h2>{html.escape(row["question"])}</h2><div class="panels">{"".join(panels)}</div>')
    said = " to ".join(f"{datetime.fromtimestamp(when, timezone.utc):%Y-%m-%d %H:%M}" for when in (start, end))
    of = "".join(f", {name}" for name in (environment, service) if name != ALL)
    dots = "; dotted: traffic was switched" if switches else ""
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Plane, {said}</title><style>{STYLE}</style>'
        f"<h1>Plane: process model, health, slots, latency</h1><p>{said} UTC{html.escape(of)}{dots}</p>"
        f"{alerts_of(prometheus, environment)}{''.join(parts)}</html>\n"
    )
    return text, empty


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inventory", type=Path, default=ROOT / "tests" / "observability" / "inventory",
                        help="whose host of plane_monitoring is asked; default: the lab's")  # fmt: skip
    parser.add_argument("--prometheus", help="its address instead, for example http://192.0.2.51:9090")
    parser.add_argument("--hours", type=float, default=1.0, help="how far back; default 1")
    parser.add_argument("--environment", default=ALL, help="a regular expression; default all")
    parser.add_argument("--service", default=ALL, help="a regular expression; default all")
    parser.add_argument("--output", type=Path, default=PAGE)
    given = parser.parse_args()
    try:
        address = environments.prometheus_of(environments.read(given.inventory), given.prometheus)
        text, empty = page(Prometheus(address), given.hours, given.environment, given.service)
    except (environments.SettingsError, PrometheusError) as error:
        sys.exit(str(error))
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(text, encoding="utf-8")
    print(f"{given.output} ({len(text) >> 10} KiB)" + (f"; without data: {', '.join(empty)}" if empty else ""))


if __name__ == "__main__":
    main()
