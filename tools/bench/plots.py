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
        drawn(plot).savefig(folder / plot["file"], dpi=120)


def drawn(plot: Mapping[str, Any]) -> Any:
    """Bars by case, one for each variant, from nothing to the median; the line is from the least to the most."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    cases: Sequence[str] = plot["cases"]
    series: Mapping[str, Sequence[Sequence[float] | None]] = plot["series"]
    figure = Figure(figsize=(max(7.5, 2.2 * len(cases)), 4.6), layout="constrained")
    axes = figure.subplots()
    each = WIDTH / len(series)
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        axes.bar([], [], color=colour, label=name)
        for place, value in enumerate(values):
            if value is None:
                continue
            median, least, most = value
            middle = place - WIDTH / 2 + each * (number + 0.5)
            axes.bar(middle, median, each * 0.92, color=colour)
            axes.plot([middle, middle], [least, most], color="#222222", linewidth=1.2)
            axes.annotate(said(median), (middle, most), ha="center", va="bottom", fontsize=7)
    axes.set_xticks(range(len(cases)), cases)
    axes.set(title=plot["title"], ylabel=plot["unit"], yscale=plot["scale"])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.margins(y=0.15)
    axes.grid(True, axis="y", linewidth=0.3)
    axes.legend(fontsize=8)
    return figure


def said(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
