"""The load test's report as one page with its plots."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from bake_plots import encoded
from load_verdict import Answer, percentile
from process_model.report import columns

CLASSES = ("gthread", "uvicorn")
COLOURS = ("#1f5fa8", "#c8531c", "#2f7d32", "#7a3fa0", "#8a6d00", "#444444")
# Of the course: answers of so many seconds make one point.
POINT = 5.0
QUANTILES = ("p50", "p95", "p99")


def table(targets: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    lines = [["TARGET", "KIND", "REQUESTS", "P50 ms", "P95 ms", "P99 ms", "FAILED", "WRONG"]]
    for target, kinds in targets.items():
        for kind, each in kinds.items():
            times = [f"{each[name] * 1000:,.0f}" for name in QUANTILES]
            bad = [
                ", ".join(f"{count} {what}" for what, count in each[name].items()) or "-"
                for name in ("failed", "wrong")
            ]
            lines.append([target, kind, str(each["requests"]), *times, *bad])
    return columns(lines)


def course(answers: Sequence[Answer]) -> str:
    """p95 and requests a second of each kind, in the course of the test."""
    from matplotlib.figure import Figure

    kinds = sorted({each.kind for each in answers})
    figure = Figure(figsize=(11, 2.2 * len(kinds)), layout="constrained")
    for axes, kind in zip(figure.subplots(len(kinds), 1, sharex=True, squeeze=False)[:, 0], kinds):
        for target, colour in zip(sorted({each.target for each in answers}), COLOURS):
            points: dict[float, list[float]] = {}
            for each in answers:
                if (each.kind, each.target) == (kind, target):
                    points.setdefault(each.began // POINT * POINT, []).append(each.seconds)
            times = sorted(points)
            axes.plot(times, [percentile(points[time], 0.95) * 1000 for time in times], ".", color=colour, label=target)
            bad = [
                each for each in answers if (each.kind, each.target) == (kind, target) and (each.failed or each.wrong)
            ]
            axes.plot([each.began for each in bad], [0] * len(bad), "x", color="#b3261e")
        axes.set_ylabel(f"{kind}\np95, ms", fontsize=8)
        axes.set_ylim(bottom=0)
        axes.grid(True, linewidth=0.3)
    figure.axes[0].legend(loc="upper right", fontsize=8)
    figure.axes[-1].set_xlabel(f"seconds since the beginning; a point is {POINT:g} s, a red cross a bad answer")
    return encoded(figure)


def bars(targets: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """Percentiles of each kind, targets beside each other."""
    from matplotlib.figure import Figure

    kinds = sorted({kind for each in targets.values() for kind in each})
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    width = 0.8 / max(1, len(targets))
    for axes, name in zip(figure.subplots(1, len(QUANTILES), sharey=True), QUANTILES):
        for number, ((target, found), colour) in enumerate(zip(targets.items(), COLOURS)):
            places = [place + number * width for place in range(len(kinds))]
            axes.bar(places, [found[kind][name] * 1000 if kind in found else 0 for kind in kinds], width, color=colour,
                     label=target)  # fmt: skip
        axes.set_xticks(
            [place + 0.4 - width / 2 for place in range(len(kinds))], kinds, rotation=40, ha="right", fontsize=8
        )
        axes.set_title(f"{name}, ms", fontsize=10)
        axes.set_yscale("log")
        axes.grid(True, axis="y", linewidth=0.3)
    figure.axes[0].legend(fontsize=8)
    return encoded(figure)


def page(document: Mapping[str, Any], answers: Sequence[Answer]) -> str:
    lines = table(document["targets"])
    servers = "; ".join(f"{target}: {', '.join(names)}" for target, names in document["servers"].items())
    reasons = "".join(f"<li>{html.escape(each)}" for each in document["reasons"])
    style = (
        "body{font:15px/1.5 sans-serif;max-width:1200px;margin:2em auto;padding:0 1em}img{max-width:100%}"
        ".pass{color:#2f7d32}.fail{color:#b3261e}pre{overflow:auto}"
    )
    plots = f'<img alt="percentiles" src="{bars(document["targets"])}"><img alt="course" src="{course(answers)}">'
    name, verdict = html.escape(document["environment"]), document["verdict"]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Load test of {name}</title><style>{style}</style>"
        f"<h1>Load test of {name}: <span class={verdict}>{verdict}</span></h1><ul>{reasons}</ul>"
        f"<p>Who answered: {html.escape(servers)}</p><pre>{html.escape(chr(10).join(lines))}</pre>"
        f"{plots if answers else ''}</html>\n"
    )
