"""Which units run with older files than there are: asked of systemd and the files, so no run has to remember it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone


def seconds_of(text: str) -> float:
    """`Thu 2026-11-26 04:36:25.064965 UTC` in seconds since 1970; 0 where systemd has no answer."""
    try:
        return datetime.strptime(text, "%a %Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0.0


def changed_at(unit: str) -> float:
    """When the unit was last started, restarted or reloaded."""
    shown = subprocess.run(
        ["systemctl", "show", "--timestamp=us+utc", "--property=StateChangeTimestamp", "--value", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    return seconds_of(shown.stdout.strip())


def newest(files: Iterable[str]) -> float:
    """When the last of the files changed; 0 where there is none."""
    times = [0.0]
    for file in files:
        try:
            times.append(os.stat(file).st_mtime)
        except OSError:
            continue
    return max(times)


def stale(units: Mapping[str, Iterable[str]]) -> list[str]:
    """The units that were started or reloaded before one of their files changed."""
    return [unit for unit, files in units.items() if changed_at(unit) < newest(files)]
