"""The plots of the sizing report: python tools/sizing_plots.py build/reports

Needs matplotlib (requirements/plots.txt), which the report itself runs without.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MIB = 1 << 20
COLOURS = {"gthread": "#1f5fa8", "uvicorn": "#c8531c"}
MARKS = {1: "o", 5: "s", 10: "^", 25: "D"}
TICKS = (100, 200, 300, 500, 1000, 2000, 3000, 5000, 10000)
PREDICTED = "sizing-predicted.png"
CONCURRENCY = "sizing-concurrency.png"


def write(folder: Path) -> None:
    """Both plots of what sizing.json holds; the second where that was measured."""
    document = json.loads((folder / "sizing.json").read_text(encoding="utf-8"))
    predicted(document["points"], document["tolerance"]).savefig(folder / PREDICTED, dpi=120)
    if document["concurrency"]:
        concurrency(document["concurrency"]).savefig(folder / CONCURRENCY, dpi=120)


def predicted(points: Sequence[Mapping[str, Any]], tolerance: float) -> Any:
    """Each point's prediction against what was observed, with the band (a share) that they have to be in."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    runtimes = list(dict.fromkeys(point["runtime"] for point in points))
    figure = Figure(figsize=(6.5 * len(runtimes), 6.5), layout="constrained")
    sizes = [point[which] / MIB for point in points for which in ("predicted", "observed")]
    ends = [min(sizes) * 0.8, max(sizes) * 1.25]
    for axes, runtime in zip(figure.subplots(1, len(runtimes), squeeze=False)[0], runtimes):
        mine = [point for point in points if point["runtime"] == runtime]
        below, above = [end * (1 - tolerance) for end in ends], [end * (1 + tolerance) for end in ends]
        axes.fill_between(ends, below, above, color="#dddddd", label=f"±{tolerance:.0%}")
        axes.plot(ends, ends, color="#888888", linewidth=1)
        for point in mine:
            face = "none" if point["bounded"] else COLOURS[point["worker_class"]]
            axes.plot(
                point["observed"] / MIB, point["predicted"] / MIB, MARKS.get(point["payload"], "o"), markersize=7,
                color=COLOURS[point["worker_class"]], markerfacecolor=face,
            )  # fmt: skip
        for name, colour in COLOURS.items():
            axes.fill_between([], [], color=colour, label=name)
        for size in sorted({point["payload"] for point in mine}):
            axes.plot([], [], MARKS.get(size, "o"), color="#555555", linestyle="none", label=f"{size} MB each")
        axes.plot([], [], "o", color="#555555", markerfacecolor="none", label="slots of heavy routes only")
        axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, title=f"{runtime}: {len(mine)} peaks, slots busy")
        axes.set(xlabel="observed peak of the control group, MiB", ylabel="predicted peak, MiB")
        ticks = [tick for tick in TICKS if ends[0] <= tick <= ends[1]]
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks(ticks)
            axis.set_ticks([], minor=True)
            axis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
        axes.grid(True, linewidth=0.3)
        if runtime == runtimes[0]:
            axes.legend(loc="upper left")
    return figure


def concurrency(crowds: Sequence[Mapping[str, Any]]) -> Any:
    """Memory of each class against the clients that ask at once."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.subplots()
    for name, colour in COLOURS.items():
        mine = [crowd for crowd in crowds if crowd["worker_class"] == name]
        clients = [crowd["clients"] for crowd in mine]
        axes.plot(clients, [crowd["peak"] / MIB for crowd in mine], "o-", color=colour, label=f"{name}, peak")
        after = [crowd["after"] / MIB for crowd in mine]
        axes.plot(clients, after, "o:", color=colour, label=f"{name}, held afterwards")
    axes.set(xlabel="clients that ask for 5 MB at once", ylabel="memory of the control group, MiB", ylim=(0, None))
    axes.set_xticks(sorted({crowd["clients"] for crowd in crowds}))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    axes.set_title("Memory against concurrency, 2 workers, no admission in front")
    axes.legend()
    axes.grid(True, linewidth=0.3)
    return figure


if __name__ == "__main__":
    write(Path(sys.argv[1]))
