"""The plots of the gate's report, as pictures inside the page; needs matplotlib (requirements/plots.txt)."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any

from process_model.bake import Block, Finding

BEFORE, AFTER = "#888888", "#1f5fa8"
VERDICTS = {"pass": "#2f7d32", "fail": "#b3261e", "inconclusive": "#b26a00"}
MIB = 1 << 20


def encoded(figure: Any) -> str:
    """The figure as an address that a page can show without another file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def course(before: Sequence[Block], after: Sequence[Block], seconds: float, routes: Sequence[str]) -> str:
    """Load, memory, latency, errors and restarts, block by block, before the switch and after it."""
    from matplotlib.figure import Figure

    rows: list[tuple[str, Callable[[Block], float | None]]] = [
        ("requests a second", lambda block: block.all_requests / seconds),
        ("memory of a host, MiB", lambda block: None if block.memory is None else block.memory / MIB),
        *(
            (f"{name}, {route}, ms", lambda block, route=route, name=name: _milliseconds(block, route, name))
            for route in routes
            for name in ("p50", "p95", "p99")
        ),
        ("errors, %", lambda block: 100 * block.errors / block.all_requests if block.all_requests else None),
        ("restarts, unasked", lambda block: block.restarts),
    ]
    figure = Figure(figsize=(11, 1.7 * len(rows)), layout="constrained")
    hours = [number * seconds / 3600 for number in range(len(after))]
    for axes, (title, value) in zip(figure.subplots(len(rows), 1, sharex=True), rows):
        for blocks, colour, name in ((before, BEFORE, "before"), (after, AFTER, "now")):
            axes.plot(hours, [_or_nothing(value(block)) for block in blocks], color=colour, label=name, linewidth=1.4)
        axes.set_ylabel(title, fontsize=8)
        axes.set_ylim(bottom=0)
        axes.grid(True, linewidth=0.3)
    figure.axes[0].legend(loc="upper right", fontsize=8)
    figure.axes[-1].set_xlabel("hours since the beginning of each stretch")
    return encoded(figure)


def _or_nothing(value: float | None) -> float:
    return float("nan") if value is None else value


def _milliseconds(block: Block, route: str, name: str) -> float | None:
    value = block.latency.get(route, {}).get(name)
    return None if value is None else value * 1000


def intervals(findings: Sequence[Finding]) -> str:
    """Each comparison's interval as a share of its margin: what lies left of 1 is allowed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 0.8 + 0.32 * len(findings)), layout="constrained")
    axes = figure.subplots()
    for place, each in enumerate(reversed(findings)):
        scale = abs(each.margin) or 1.0
        low, middle, high = (max(-4.0, min(4.0, value / scale)) for value in (each.low, each.change, each.high))
        axes.plot([low, high], [place, place], color=VERDICTS[each.verdict], linewidth=3, solid_capstyle="butt")
        axes.plot([middle], [place], "o", color=VERDICTS[each.verdict], markersize=5)
    axes.axvline(1, color="#444444", linewidth=1)
    axes.axvline(0, color="#bbbbbb", linewidth=1)
    axes.set_yticks(range(len(findings)), [each.what for each in reversed(findings)], fontsize=8)
    axes.set_xlabel("change, in margins: 0 is unchanged, what lies right of 1 is too much (cut at 4)")
    axes.set_xlim(-4.1, 4.1)
    return encoded(figure)
