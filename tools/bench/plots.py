"""The plots of the benchmark's report: python tools/bench/plots.py build/bench

Needs matplotlib (requirements/plots.txt), which the benchmark itself runs without: it reads what that wrote.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLOURS = ("#c8531c", "#1f5fa8", "#e0a458", "#2f7d32", "#7a4fa3", "#555555")
WIDTH = 0.8


def write(folder: Path) -> None:
    """A picture for each entry of plots.json: file, title, unit, scale, cases, and values by series and case."""
    for plot in json.loads((folder / "plots.json").read_text(encoding="utf-8")):
        draw = mapped if plot["grid"] else drawn
        draw(plot).savefig(folder / plot["file"], dpi=120)


def mapped(plot: Mapping[str, Any]) -> Any:
    """By case a map of workers and threads, with each median in its cell; empty where there is none."""
    from matplotlib.figure import Figure

    workers, threads = plot["grid"]
    cases: Sequence[str] = plot["cases"]
    figure = Figure(figsize=(4.2 * len(cases) + 1, 4.2), layout="constrained")
    for place, case in enumerate(cases):
        axes = figure.add_subplot(1, len(cases), place + 1)
        flat = [values[place][0] if values[place] else float("nan") for values in plot["series"].values()]
        rows = [flat[number : number + len(threads)] for number in range(0, len(flat), len(threads))]
        shown = axes.imshow(rows, cmap="YlOrRd", aspect="auto", origin="lower")
        there = sorted(value for value in flat if value == value)
        for number, value in enumerate(flat):
            if value == value:
                # Dark cells have light figures.
                dark = value > (there[0] + 2 * there[-1]) / 3
                row, column = divmod(number, len(threads))
                axes.text(column, row, said(value), ha="center", va="center", color="white" if dark else "black")
        axes.set_xticks(range(len(threads)), threads)
        axes.set_yticks(range(len(workers)), workers)
        axes.set(title=case, xlabel="threads of each worker", ylabel="workers")
        figure.colorbar(shown, ax=axes, label=plot["unit"] if place == len(cases) - 1 else "")
    figure.suptitle(plot["title"])
    return figure


def drawn(plot: Mapping[str, Any]) -> Any:
    """By case a point for each variant, its median; the line is from the least to the most."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    cases: Sequence[str] = plot["cases"]
    series: Mapping[str, Sequence[Sequence[float] | None]] = plot["series"]
    figure = Figure(figsize=(max(7.5, 0.6 * len(cases) * len(series)), 4.6), layout="constrained")
    axes = figure.subplots()
    step = WIDTH / len(series)
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        axes.plot([], [], "o", color=colour, label=name)
        for place, value in enumerate(values):
            if value is None:
                continue
            median, least, most = value
            middle = place - WIDTH / 2 + step * (number + 0.5)
            axes.plot([middle, middle], [least, most], color=colour, linewidth=2, alpha=0.5)
            axes.plot(middle, median, "o", color=colour, markersize=6)
            axes.annotate(said(median), (middle, median), (6, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_xticks(range(len(cases)), cases)
    axes.set(title=plot["title"], ylabel=plot["unit"], yscale=plot["scale"])
    if plot["scale"] == "log":
        # Less than a decade would make a mountain of what is chance.
        shown = [value for values in series.values() for each in values if each for value in each[1:]]
        if shown:
            axes.set_ylim(min(shown) / 2.5, max(shown) * 2.5)
    for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        which(FuncFormatter(lambda value, _: f"{value:,.10g}" if f"{value:e}"[0] in "125" else ""))
    if plot["scale"] == "linear":
        axes.set_ymargin(0.1)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    for edge in range(1, len(cases)):
        axes.axvline(edge - 0.5, color="#cccccc", linewidth=0.8)
    axes.set_xlim(-0.5, len(cases) - 0.5)
    axes.grid(True, axis="y", linewidth=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def said(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
