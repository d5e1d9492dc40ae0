"""How full a service is: memory of its slice, and how long its requests waited in admission's queue.

Both as CloudWatch takes them (the list that `aws cloudwatch put-metric-data --metric-data` reads), for the alarms of
terraform/modules/alarms. Nothing is decided here.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from . import journal, procfs

# HAProxy's `option httplog`: client, [date], frontend, backend/server, TR/Tw/Tc/Tr/Ta. Tw is what was waited, in ms; -1
# where the request ended before it was in a queue.
REQUEST = re.compile(r"\S+ \[[^]]*\] (?P<frontend>\S+) \S+/\S+ -?\d+/(?P<waited>-?\d+)/-?\d+/-?\d+/\+?-?\d+ ")
# CloudWatch takes 150 different values at once: hundredths of the first second, then whole seconds of the first minute.
LONGEST = 50.0


def rounded(seconds: float) -> float:
    """`seconds` as one of at most 150 values; none is taken for shorter than it was by more than its step."""
    return round(seconds, 2) if seconds < 1 else min(float(round(seconds)), LONGEST)


def queue_times(lines: Iterable[str], service: str) -> Counter[float]:
    """Seconds waited -> how many requests of the service waited so long, from admission's log."""
    found: Counter[float] = Counter()
    for line in lines:
        match = REQUEST.match(line)
        if match and match["frontend"] == service and (waited := int(match["waited"])) >= 0:
            found[rounded(waited / 1000)] += 1
    return found


def numbers_in(properties: str) -> dict[str, int]:
    """Name -> number, of `systemctl show`; what is not set, or without a limit, is missing."""
    pairs = (line.split("=", 1) for line in properties.splitlines() if "=" in line)
    # systemd writes 2**64 - 1 where nothing is known.
    return {name: int(value) for name, value in pairs if value.isdigit() and int(value) < procfs.NO_LIMIT}


def slice_properties(service: str) -> dict[str, int]:
    """What both colours together take and may take: MemoryCurrent and MemoryMax, in bytes."""
    return numbers_in(
        subprocess.run(
            ["systemctl", "show", f"{service}.slice", "--property=MemoryCurrent,MemoryMax"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    )


def memory_percent(found: Mapping[str, int]) -> float | None:
    """Share of its limit that a slice holds, of its properties; None without a limit, or where it holds nothing."""
    try:
        return 100 * found["MemoryCurrent"] / found["MemoryMax"]
    except (KeyError, ZeroDivisionError):
        return None


def metric_data(
    environment: str, service: str, memory: float | None, waited: Mapping[float, int]
) -> list[dict[str, Any]]:
    """One entry for each signal that there is something to say of."""
    # The names that Ansible's groups and Terraform's alarms have.
    dimensions = [
        {"Name": "Environment", "Value": environment},
        {"Name": "Service", "Value": service.replace("-", "_")},
    ]
    found: list[dict[str, Any]] = []
    if memory is not None:
        found.append({"MetricName": "MemoryUsedPercent", "Unit": "Percent", "Value": round(memory, 2)})
    if waited:
        values = sorted(waited)
        found.append(
            {
                "MetricName": "QueueTimeSeconds",
                "Unit": "Seconds",
                "Values": values,
                "Counts": [waited[value] for value in values],
            }
        )
    return [{**each, "Dimensions": dimensions} for each in found]


def read(environment: str, service: str, seconds: float) -> list[dict[str, Any]]:
    """The signals of a service of this host, its queue over the last `seconds`."""
    lines = journal.last_lines("plane-admission", since=time.time() - seconds)
    return metric_data(environment, service, memory_percent(slice_properties(service)), queue_times(lines, service))
