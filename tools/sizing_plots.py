"""The plots of the sizing report; the only thing here that needs matplotlib (requirements/plots.txt)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MIB = 1 << 20
COLOURS = {"gthread": "#1f5fa8", "uvicorn": "#c8531c"}
MARKS = {1: "o", 5: "s", 10: "^", 25: "D"}
PREDICTED = "sizing-predicted.png"
CONCURRENCY = "sizing-concurrency.png"


def write(document: Mapping[str, Any], folder: Path, tolerance: float) -> None:
    """Both plots of what sizing.json holds; the second where that was measured. tolerance: a share of the observed."""
    predicted(document["points"], tolerance).savefig(folder / PREDICTED, dpi=120)
    if document["concurrency"]:
        concurrency(document["concurrency"]).savefig(folder / CONCURRENCY, dpi=120)


def predicted(points: Sequence[Mapping[str, Any]], tolerance: float) -> Any:
    """Each point's prediction against what was observed, with the band that they have to be in."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 7), layout="constrained")
    axes = figure.subplots()
    sizes = [point[which] / MIB for point in points for which in ("predicted", "observed")]
    ends = [min(sizes) * 0.8, max(sizes) * 1.25]
    below, above = [end * (1 - tolerance) for end in ends], [end * (1 + tolerance) for end in ends]
    axes.fill_between(ends, below, above, color="#dddddd", label=f"±{tolerance:.0%}")
    axes.plot(ends, ends, color="#888888", linewidth=1)
    for point in points:
        face = "none" if point["bounded"] else COLOURS[point["worker_class"]]
        axes.plot(
            point["observed"] / MIB, point["predicted"] / MIB, MARKS.get(point["payload"], "o"), markersize=7,
            color=COLOURS[point["worker_class"]], markerfacecolor=face,
        )  # fmt: skip
    for name, colour in COLOURS.items():
        axes.plot([], [], "o", color=colour, label=name)
    for size in sorted({point["payload"] for point in points}):
        axes.plot([], [], MARKS.get(size, "o"), color="#555555", label=f"{size} MB each")
    axes.plot([], [], "o", color="#555555", markerfacecolor="none", label="slots of heavy routes only")
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, title="Memory with every slot busy")
    axes.set(xlabel="observed peak of the control group, MiB", ylabel="predicted peak, MiB")
    axes.legend(loc="upper left")
    axes.grid(True, which="both", linewidth=0.3)
    return figure


def concurrency(crowds: Sequence[Mapping[str, Any]]) -> Any:
    """Memory of each class against the clients that ask at once."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.subplots()
    for name, colour in COLOURS.items():
        mine = [crowd for crowd in crowds if crowd["worker_class"] == name]
        clients = [crowd["clients"] for crowd in mine]
        axes.plot(clients, [crowd["peak"] / MIB for crowd in mine], "o-", color=colour, label=f"{name}, peak")
        after = [crowd["after"] / MIB for crowd in mine]
        axes.plot(clients, after, "o:", color=colour, label=f"{name}, held afterwards")
    axes.set(xlabel="clients that ask for 5 MB at once", ylabel="memory of the control group, MiB", ylim=(0, None))
    axes.set_title("Memory against concurrency, 2 workers, no admission in front")
    axes.legend()
    axes.grid(True, linewidth=0.3)
    return figure
