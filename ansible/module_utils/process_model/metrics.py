"""What runs on this host, as numbers for Prometheus: node_exporter's textfile collector hands them on.

Only what nobody else knows: workers, their requests, memory and ends, and whether the model is the desired one.
Requests, queues and slots are admission's to tell, processors and memory of the host node_exporter's.
ansible/vars/metrics.yml lists every name.

A look at the processes reads /proc and the journal. A whole examination, which asks the service two requests as verify
does, is made where the process is another one than last time, and else every EXAMINED_SECONDS.

    plane-process-model metrics [--file FILE]     printed, or written to a file in one step
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import colours, journal, observe, procfs, recycling, signals

# What this command remembers from one look to the next; gone with a reboot, as what it counts is.
REMEMBERED = colours.STATE / "metrics.json"
EXAMINED_SECONDS = 60.0
INSTANCES = (*colours.COLOURS, colours.SPARE)
DATABASE_PORT = 5432

# Why a worker ended, strongest first: one end may be said twice, by gunicorn (SIGKILL) and by our hook (out of memory).
REASONS = ("out-of-memory", "timeout", "killed", "failed", "recycled")
# gunicorn's own format: [time] [process] [level] words.
LINE = re.compile(r"\[[^]]+\] \[(?P<pid>\d+)\] \[\w+\] (?P<words>.*)")
ENDS = (
    ("out-of-memory", re.compile(r"Worker (?P<pid>\d+) ended, out of memory")),
    ("timeout", re.compile(r"WORKER TIMEOUT \(pid:(?P<pid>\d+)\)")),
    ("killed", re.compile(r"Worker \(pid:(?P<pid>\d+)\) was sent SIG")),
    ("failed", re.compile(r"Worker \(pid:(?P<pid>\d+)\) exited with code")),
    ("recycled", re.compile(r"Autorestarting worker after current request|Maximum request limit of \d+ exceeded")),
)
# A master that is told to stop, as rotation and a switch do. gunicorn then says of uvicorn's workers that they were
# sent a signal, or exited with a code.
STOPPING = "stopping"
STRENGTH = (*REASONS, STOPPING)
TOLD_TO_STOP = re.compile(r"Handling signal: (term|int|quit)\b")


@dataclass(frozen=True)
class Sample:
    """One number of one series."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass
class Remembered:
    """since: until when the journal was read, in seconds since 1970. ends: service -> reason -> workers.

    recent: what `ends_in` found at the last look. examined: service -> what was found, when, of whom.
    """

    since: float
    ends: dict[str, dict[str, int]] = field(default_factory=dict)
    recent: dict[str, str] = field(default_factory=dict)
    examined: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Worker:
    """One worker now. requests: connections that it has accepted. cpu: seconds. memory: bytes (PSS)."""

    pid: int
    requests: int
    memory: int
    cpu: float
    started: float


@dataclass(frozen=True)
class Instance:
    """One colour of a service now; master None: it does not run."""

    colour: str
    master: int | None
    restarts: int = 0
    workers: Sequence[Worker] = ()
    database_connections: int = 0
    killed_for_memory: int = 0


def text_of(samples: Iterable[Sample]) -> str:
    """Prometheus's text format; the samples of one name stand together."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    lines = []
    for name, found in sorted(by_name.items()):
        lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
        for sample in found:
            labels = ",".join(f'{label}="{escaped(value)}"' for label, value in sample.labels.items())
            lines.append(f"{name}{{{labels}}} {sample.value:.15g}" if labels else f"{name} {sample.value:.15g}")
    return "\n".join(lines) + "\n"


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def ends_in(lines: Iterable[str], recent: Mapping[str, str]) -> dict[str, str]:
    """Process number -> why that worker ended, from gunicorn's journal: its strongest reason.

    A worker of a master that was told to stop ended as asked, and is left out; the master is there instead, as
    `stopping`. recent: what the look before found.
    """
    stopping = {pid for pid, reason in recent.items() if reason == STOPPING}
    found: dict[str, str] = {}
    for line in lines:
        said = LINE.match(line)
        if not said:
            continue
        if TOLD_TO_STOP.match(said["words"]):
            stopping.add(said["pid"])
            found.setdefault(said["pid"], STOPPING)
            continue
        for reason, pattern in ENDS:
            match = pattern.match(said["words"])
            if match and not (said["pid"] in stopping and reason in ("killed", "failed")):
                pid = match.groupdict().get("pid") or said["pid"]
                found[pid] = min(reason, found.get(pid, reason), key=STRENGTH.index)
                break
    return found


def count_ends(service: str, ends: Mapping[str, str], remembered: Remembered) -> None:
    """Add the ends of a look to what is remembered; one that was counted by the look before is not counted again."""
    counts = remembered.ends.setdefault(service, dict.fromkeys(REASONS, 0))
    for pid, reason in ends.items():
        if pid not in remembered.recent and reason != STOPPING:
            counts[reason] += 1


def busy(requests: int, threads: int | None) -> int:
    """Threads that work: those above that number wait inside the worker. uvicorn gives every request one of its own."""
    return requests if threads is None else min(requests, threads)


def samples_of_instance(service: str, found: Instance, live: str | None, threads: int | None) -> list[Sample]:
    """threads: of each worker; None for uvicorn."""
    labels = {"service": service, "colour": found.colour}
    samples = [
        Sample("plane_service_live", labels, float(found.colour == live)),
        Sample("plane_instance_up", labels, float(found.master is not None)),
        Sample("plane_workers", labels, len(found.workers)),
    ]
    if found.master is None:
        return samples
    samples += [
        Sample("plane_instance_start_time_seconds", labels, round(procfs.started_at(found.master), 2)),
        Sample("plane_instance_restarts_total", labels, found.restarts),
    ]
    for number, worker in enumerate(sorted(found.workers, key=lambda worker: (worker.started, worker.pid)), 1):
        each = {**labels, "worker": str(number)}
        works = busy(worker.requests, threads)
        samples += [
            Sample("plane_worker_requests", each, worker.requests),
            Sample("plane_worker_threads_busy", each, works),
            *([Sample("plane_worker_threads_idle", each, threads - works)] if threads is not None else []),
            Sample("plane_worker_memory_bytes", each, worker.memory),
            Sample("plane_worker_cpu_seconds_total", each, worker.cpu),
            Sample("plane_worker_start_time_seconds", each, round(worker.started, 2)),
        ]
    return samples


def samples_of_model(service: str, desired: Mapping[str, Any], examined: Mapping[str, Any]) -> list[Sample]:
    """What should run, and what the last examination found. desired: as in desired.json."""
    model = desired["model"]
    of = {"service": service}
    samples = [
        Sample("plane_workers_desired", of, model["workers"]),
        Sample("plane_threads_desired", of, model["threads"] or 0),
        Sample("plane_service_cpu_limit", of, desired["limits"]["cpu"]),
        Sample("plane_process_model_mismatches", of, examined["mismatches"]),
    ]
    observed = examined["observed"]
    if not observed:
        return samples
    worker_class = str(observed["worker_class"])
    safe = recycling_is_safe(worker_class, str(observed["gunicorn"]), int(observed["max_requests"] or 0))
    samples += [
        Sample("plane_service_info", {**of, **{name: str(observed[name] or "") for name in INFORMATION}}, 1),
        Sample("plane_recycling_is_safe", of, float(safe)),
    ]
    if service == "plane-graphql":
        samples.append(Sample("plane_graphql_on_wsgi", of, float(worker_class != "uvicorn")))
    return samples


INFORMATION = ("colour", "release", "fingerprint", "worker_class", "workers", "threads", "gunicorn")


def recycling_is_safe(worker_class: str, version: str, max_requests: int) -> bool:
    """Whether this gunicorn, as it runs, loses no write when it recycles a worker behind admission."""
    loses = recycling.lost(worker_class, version, kept=False, method="POST", repeated=True)
    return not max_requests or not loses


def summary(found: Mapping[str, Any], now: float, identity: str) -> dict[str, Any]:
    """What is remembered of an examination (a State as a dictionary)."""
    observed = found["observed"]
    versions = observed.get("versions", {})
    return {
        "at": now,
        "identity": identity,
        "mismatches": len(found["mismatches"]),
        "observed": observed
        and {
            **{name: observed.get(name) for name in ("colour", "worker_class", "workers", "threads", "max_requests")},
            # A digest says what a path cannot: that it is the same code.
            "release": str(found["desired"]["release"]["digest"] or "")[:12],
            "fingerprint": str(found["desired"]["fingerprint"])[:12],
            "gunicorn": versions.get("gunicorn", ""),
        },
    }


def look_at(service: str, colour: str, master: int | None, properties: Mapping[str, str]) -> Instance:
    """One colour of a service, from /proc. properties: what systemd says of its unit."""
    if master is None:
        return Instance(colour, None)
    # HAProxy opens one connection for each request; a worker that has accepted it holds its other end.
    open_ends = procfs.unix_connections(colours.socket_of(service, colour))
    port = database_port(procfs.environment(master).get("DATABASE_URL", ""))
    to_database = procfs.tcp_connections_to(port, master)
    workers, connections = [], 0
    for pid in procfs.children(master):
        if not observe.is_gunicorn(pid) or procfs.state(pid) in ("Z", ""):
            continue
        held = set(procfs.socket_inodes(pid))
        connections += len(held & to_database)
        workers.append(
            Worker(
                pid=pid,
                requests=len(held & open_ends),
                memory=procfs.memory(pid).get("pss", 0),
                cpu=procfs.cpu_seconds(pid),
                started=procfs.started_at(pid),
            )
        )
    return Instance(
        colour=colour,
        master=master,
        restarts=int(properties.get("NRestarts") or 0),
        workers=workers,
        database_connections=connections,
        killed_for_memory=procfs.killed_for_memory(procfs.memory_group(master)),
    )


def database_port(url: str) -> int:
    try:
        return urlsplit(url).port or DATABASE_PORT
    except ValueError:
        return DATABASE_PORT


def whole(service: str, master: int | None) -> dict[str, float]:
    """Metric -> what both colours take and may take together: of their slice."""
    found = signals.slice_properties(service)
    numbers = {
        "plane_service_memory_bytes": found.get("MemoryCurrent"),
        "plane_service_memory_limit_bytes": found.get("MemoryMax"),
        "plane_service_cpu_seconds_total": procfs.cpu_seconds_of_group(observe.slice_of(procfs.cgroup_of(master)))
        if master
        else None,
    }
    return {name: number for name, number in numbers.items() if number is not None}


def samples_of_service(
    service: str, desired: Mapping[str, Any], live: str, remembered: Remembered, now: float
) -> list[Sample]:
    """Everything about one service of this host. desired: of its live colour."""
    masters = observe.masters_of_units([colours.unit_of(service, colour) for colour in INSTANCES])
    instances = [look_at(service, colour, *each) for colour, each in zip(INSTANCES, masters)]
    serving = next(found for found in instances if found.colour == live)
    identity = f"{live} {serving.master} {procfs.start_ticks(serving.master or 0)}"
    before = remembered.examined.get(service)
    if before is None or before["identity"] != identity or now - before["at"] >= EXAMINED_SECONDS:
        # Loaded where it is needed: it is half of what a look takes.
        from . import state

        before = summary(state.examine(desired).to_dict(), now, identity)
        remembered.examined[service] = before
    of = {"service": service}
    samples = samples_of_model(service, desired, before)
    for found in instances:
        if found.colour != colours.SPARE or found.master is not None:
            samples += samples_of_instance(service, found, live, desired["model"]["threads"])
    samples += [
        Sample("plane_worker_restarts_total", {**of, "reason": reason}, count)
        for reason, count in remembered.ends[service].items()
    ]
    samples += [Sample(name, of, number) for name, number in whole(service, serving.master).items()]
    samples += [
        Sample("plane_service_out_of_memory_kills_total", of, sum(found.killed_for_memory for found in instances)),
        Sample("plane_service_database_connections", of, sum(found.database_connections for found in instances)),
    ]
    return samples


def recall(now: float, file: Path = REMEMBERED) -> Remembered:
    """What the last look left; where there was none, counting begins now."""
    try:
        return Remembered(**json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return Remembered(since=now)


def put(file: Path, text: str, mode: int) -> None:
    """Write in one step: who reads it sees the old text or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.write_text(text, encoding="utf-8")
    new.chmod(mode)
    os.replace(new, file)


def collect(wanted: Mapping[str, tuple[str, Mapping[str, Any]]], file: Path = REMEMBERED) -> str:
    """The text for Prometheus. wanted: service -> its live colour, and what that was deployed as."""
    began = time.monotonic()
    now = time.time()
    remembered = recall(now, file)
    recent: dict[str, str] = {}
    samples = []
    for service, (live, desired) in wanted.items():
        lines = journal.last_lines(*(f"{service}-{colour}" for colour in INSTANCES), since=remembered.since)
        ends = ends_in(lines, remembered.recent)
        count_ends(service, ends, remembered)
        recent.update(ends)
        samples += samples_of_service(service, desired, live, remembered, now)
    remembered.since, remembered.recent = now, recent
    put(file, json.dumps(vars(remembered)), 0o600)
    samples += [
        Sample("plane_observation_time_seconds", {}, round(now, 3)),
        Sample("plane_observation_duration_seconds", {}, round(time.monotonic() - began, 3)),
    ]
    return text_of(samples)


def deployed() -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Service -> its live colour, and what that was deployed as."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for service in colours.services():
        live = colours.live_colour(service)
        desired = colours.desired_of(service, live) if live else None
        if live and desired:
            found[service] = (live, desired)
    return found


def main(arguments: Sequence[str]) -> int:
    """A command of its own: every quarter of a minute, it loads no more of the others than it needs."""
    parser = argparse.ArgumentParser(prog="plane-process-model metrics", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--file", type=Path, help="where they are written, in one step; default: printed")
    given = parser.parse_args(arguments)
    if os.geteuid():
        print("plane-process-model: needs root", file=sys.stderr)
        return 2
    text = collect(deployed())
    if given.file:
        put(given.file, text, 0o644)
    else:
        print(text, end="")
    return 0
