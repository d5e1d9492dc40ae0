"""On a host of the lab: start an instance of a colour's files with another model, fill it, say what it held.

    python3 - <experiment> < fill.py          experiment: JSON, the fields of Experiment; the answer is JSON too

It imports what `plane-process-model` brought to the host. The instance is in a unit of its own, without the service's
limits. Peaks are the kernel's own of the instance's control group.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, "/usr/local/lib/plane-process-model")

from process_model import calibrate, command, metrics, procfs

SERVICE = "plane-api"
UNIT = f"{SERVICE}-{calibrate.PURPOSE}"
WARMING = 10
# How long what was killed may take to be in the journal.
JOURNAL_SECONDS = 10.0
# After so long without a further answer that begins, more clients ask. Shorter than a gate's patience.
STALLS_SECONDS = 2.0
# What was held before a fill is given back when it was not less in so many looks, a tenth of a second each.
CALM_LOOKS, LETTING_GO_SECONDS = 5, 10.0
# By our own hook: gunicorn itself only asks whether it might be that.
SAID = "ended, out of memory"


@dataclass(frozen=True)
class Fill:
    """path: asked by `clients` at once, `rounds` times. slots: how many of them can run at once.

    most: clients, where those do not fill every slot: gunicorn's workers take connections unevenly, so that one has
    more than it runs while another has threads to spare.
    """

    path: str
    clients: int
    most: int
    slots: int
    rounds: int


@dataclass(frozen=True)
class Experiment:
    """worker_class, workers, threads: the model. fills: one after the other, as Fill says. warm_path: asked before.

    limit: bytes of memory; 0: none.
    """

    worker_class: str
    workers: int
    threads: int
    warm_path: str
    headers: dict[str, str]
    fills: list[dict[str, Any]]
    limit: int


def forget_peak(group: Path) -> None:
    """The kernel's peak begins anew. On cgroup v2 only newer kernels can; there it is that of the whole life."""
    for name in ("memory.max_usage_in_bytes", "memory.peak"):
        if (group / name).exists():
            (group / name).write_text("0")
            return


def wait_until_let_go(group: Path) -> None:
    """What a fill held is given back only after its last byte was read: else it is in the peak of the next one."""
    least, calm = calibrate.held(group), 0
    deadline = time.monotonic() + LETTING_GO_SECONDS
    while calm < CALM_LOOKS and time.monotonic() < deadline:
        time.sleep(0.1)
        now = calibrate.held(group)
        calm = 0 if now < least else calm + 1
        least = min(least, now)


def database_connections(master: int) -> int:
    """Open connections to the port of the database, of this host or of the container that the process is in."""
    return len(procfs.tcp_connections_to(metrics.DATABASE_PORT, master))


def journal_since(began: float) -> list[str]:
    command = ["journalctl", f"--unit={UNIT}", f"--since=@{began:.0f}", "--output=cat", "--no-pager"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [line for line in said.splitlines() if SAID in line]


def kind_of(message: str, path: str) -> str:
    """`was answered 500` or `was not answered`, of CalibrationError's message."""
    return re.split("[:,]", message.partition(f"GET {path} ")[2])[0]


def ask_all(ask: Callable[[], object], fill: Fill, gate: calibrate.Gate) -> list[BaseException]:
    """Fill the slots; what went wrong, for each that failed."""
    with ThreadPoolExecutor(fill.most) as pool:
        asked = [pool.submit(ask) for _ in range(fill.clients)]
        while gate.stalls(STALLS_SECONDS) and len(asked) < fill.most and not any(each.done() for each in asked):
            more = min(fill.slots - gate.begun, fill.most - len(asked))
            asked += [pool.submit(ask) for _ in range(more)]
        return [error for error in (each.exception() for each in asked) if error is not None]


def filled(asked: calibrate.Asked, group: Path, master: int, fill: Fill) -> dict[str, Any]:
    """What the instance held at its peak, how many answers were held at once, and who was answered otherwise."""
    failed: Counter[str] = Counter()
    begun = 0
    wait_until_let_go(group)
    forget_peak(group)
    with calibrate.Peak(functools.partial(database_connections, master)) as connections:
        for _ in range(fill.rounds):
            gate = calibrate.Gate(fill.slots)
            errors = ask_all(functools.partial(asked.get, fill.path, gate), fill, gate)
            failed.update(kind_of(str(error), fill.path) for error in errors)
            begun = max(begun, gate.begun)
    return {
        "peak": procfs.peak_of_memory(group),
        "after": calibrate.held(group),
        "begun": begun,
        "failed": dict(failed),
        "connections": connections.most,
    }


def main() -> dict[str, Any]:
    experiment = Experiment(**json.loads(sys.argv[1]))
    live, desired = command.live_as_deployed(SERVICE)
    variables = {
        "GUNICORN_WORKER_CLASS": experiment.worker_class,
        "GUNICORN_WORKERS": str(experiment.workers),
        "GUNICORN_THREADS": str(experiment.threads),
        "GUNICORN_TIMEOUT": "300",
        "GUNICORN_MAX_REQUESTS": "0",
        "GUNICORN_ISOLATE_REQUESTS": "true" if experiment.worker_class == "gthread" else "false",
    }
    began = time.time()
    running = calibrate.instance(desired, live, variables, own_limits=True, memory=experiment.limit)
    with running as (socket, master, group):
        asked = calibrate.Asked(socket, "localhost", experiment.headers)
        for _ in range(WARMING * experiment.workers):
            asked.get(experiment.warm_path)
        rest = calibrate.held(group)
        fills = [filled(asked, group, master, Fill(**fill)) for fill in experiment.fills]
        killed = procfs.killed_for_memory(group)
        deadline = time.monotonic() + JOURNAL_SECONDS
        while killed and not journal_since(began) and time.monotonic() < deadline:
            time.sleep(0.1)
        return {"rest": rest, "fills": fills, "killed": killed, "journal": journal_since(began)[:3]}


print(json.dumps(main()))
