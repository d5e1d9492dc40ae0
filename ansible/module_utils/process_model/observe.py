"""Which process model a running gunicorn really has: every fact from the process, with its source."""

from __future__ import annotations

import os
import pwd
import re
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import containers, procfs
from . import settings_of_gunicorn as told
from .compare import Fact

FINGERPRINT = "PLANE_PROCESS_MODEL_FINGERPRINT"
# The names whose values may leave the process's environment: none of them is a secret.
SHOWN_ENVIRONMENT = re.compile(r"GUNICORN_[A-Z_]+\Z|PORT\Z")
# Below this, gunicorn itself is most of a worker's memory.
SMALLEST_TELLING = 25 * 1024 * 1024
# What the unit of an instance says in its environment where a container is the instance.
IN_CONTAINER = "PLANE_RUNTIME=compose"
PACKAGES = ("gunicorn", "uvicorn", "uvicorn_worker", "django")


@dataclass(frozen=True)
class Worker:
    """One worker process. age in seconds; rss and pss in bytes; state as in procfs.state."""

    pid: int
    age: float
    state: str
    threads: int
    rss: int
    pss: int


@dataclass(frozen=True)
class Answer:
    """What an HTTP request straight to the instance's socket was answered; status None: nothing came.

    isolated: whether the request ran in a context of its own, as gunicorn's hooks say.
    """

    status: int | None
    server: str | None
    seconds: float
    error: str = ""
    isolated: bool = False


@dataclass(frozen=True)
class Observation:
    """What was found behind a unit, container, pid file, port or socket. Where nothing was: found False and why."""

    found: bool
    reason: str = ""
    master: int | None = None
    age: float | None = None
    workers: list[Worker] = field(default_factory=list)
    facts: dict[str, Fact] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    fingerprint: str | None = None
    answer: Answer | None = None
    restarts: int | None = None
    killed_for_memory: int = 0  # processes of its control group, since that is there
    unit: dict[str, str] = field(default_factory=dict)  # what systemd says of the unit, where it was found by one
    disagreements: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_master(pids: Iterable[int]) -> int | None:
    """The gunicorn master among processes: the one whose parent is not among them."""
    gunicorns = [pid for pid in pids if is_gunicorn(pid)]
    return next((pid for pid in gunicorns if procfs.parent(pid) not in gunicorns), None)


def is_gunicorn(pid: int) -> bool:
    words = procfs.command_line(pid)[:3]
    return any(os.path.basename(word).split(":")[0] == "gunicorn" for word in words)


def masters_of_units(units: Sequence[str]) -> list[tuple[int | None, dict[str, str]]]:
    """The gunicorn master of each systemd unit, and what systemd says of the unit; in their order."""
    names = (
        "MainPID,ActiveState,SubState,NRestarts,ControlGroup,NeedDaemonReload,DropInPaths,Slice,FragmentPath,Result,Job,"
        "Environment"
    )
    shown = subprocess.run(["systemctl", "show", "-p", names, *units], capture_output=True, text=True, check=False)
    # A blank line between two units.
    texts = shown.stdout.split("\n\n") if not shown.returncode else [""] * len(units)
    said = [dict(line.split("=", 1) for line in text.splitlines() if "=" in line) for text in texts]
    return [_master_of(unit, properties) for unit, properties in zip(units, said)]


def master_of_unit(unit: str) -> tuple[int | None, dict[str, str]]:
    """The same of one unit."""
    return masters_of_units([unit])[0]


def _master_of(unit: str, properties: dict[str, str]) -> tuple[int | None, dict[str, str]]:
    main = int(properties.get("MainPID") or 0)
    if IN_CONTAINER in properties.pop("Environment", "").split():
        service, _, instance = unit.partition("@")
        container = containers.find(containers.name_of(service, instance.partition(".")[0]))
        # The unit's own process only waits for the container.
        main = container.pid if container else 0
    return (find_master([main, *procfs.children(main)]) if main else None), properties


def master_of_socket(path: str) -> int | None:
    return find_master(procfs.owners(procfs.unix_listeners(path)))


def master_of_pid_file(path: str) -> int | None:
    """The process whose number the file holds, if that is a gunicorn: the file may outlive its process."""
    text = procfs.read(Path(path)).strip()
    return int(text) if text.isdigit() and is_gunicorn(int(text)) else None


def master_of_port(port: int) -> int | None:
    inodes = {inode for inode, (_, where) in procfs.tcp_listeners().items() if where == port}
    return find_master(procfs.owners(inodes))


def master_of_container(container: str) -> int | None:
    """The master among the processes whose cgroup names the container's id."""
    inside = []
    for entry in procfs.PROC.iterdir():
        if entry.name.isdigit() and any(container in path for path in procfs.cgroup_of(int(entry.name)).values()):
            inside.append(int(entry.name))
    return find_master(inside)


def address_of(bind: Any) -> str | tuple[str, int] | None:
    """Where a request reaches what gunicorn binds to: a Unix socket's path, or (address, port); else None."""
    text = str(bind[0] if isinstance(bind, (list, tuple)) and bind else bind).partition(",")[0]
    if text.startswith("unix:"):
        return text[len("unix:") :].replace("//", "", 1) if text.startswith("unix://") else text[len("unix:") :]
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit():
        return None
    host = host.strip("[]")
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port)  # noqa: S104 - compared


def request(where: str | tuple[str, int], path: str = "/", host: str = "localhost", timeout: float = 5.0) -> Answer:
    """GET `path` straight from a Unix socket's path or from (address, port), reading status and Server header."""
    began = time.monotonic()
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    received = b""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(where)
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            while b"\r\n\r\n" not in received and (chunk := connection.recv(65536)):
                received += chunk
    except OSError as error:
        return Answer(None, None, round(time.monotonic() - began, 3), str(error) or type(error).__name__)
    return parse_answer(received, round(time.monotonic() - began, 3))


def parse_answer(received: bytes, seconds: float) -> Answer:
    head = received.decode("latin-1").partition("\r\n\r\n")[0].split("\r\n")
    status = re.match(r"HTTP/1\.[01] (\d{3})", head[0])
    if not status:
        return Answer(None, None, seconds, "the answer was no HTTP" if received else "the connection was closed")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    return Answer(int(status.group(1)), headers.get("server"), seconds, isolated="x-request-context" in headers)


def class_by_header(server: str | None) -> str | None:
    """Which family of workers writes this Server header: uvicorn says so; gunicorn's own workers say gunicorn."""
    if not server:
        return None
    name = server.partition("/")[0].lower()
    return name if name in ("uvicorn", "gunicorn") else None


# Shared objects that only one family of workers loads. One that is missing says nothing: uvicorn runs without either.
TELLING_OBJECTS = {"uvloop": "uvicorn", "httptools": "uvicorn", "gevent": "gevent"}


def class_by_maps(mapped: Iterable[str]) -> str | None:
    """Which family of workers the shared objects of a worker (/proc/<pid>/maps) belong to; None where none tells."""
    packages = {part for path in mapped for part in Path(path).parts}
    found = {family for package, family in TELLING_OBJECTS.items() if package in packages}
    return found.pop() if len(found) == 1 else None


def settings_sources(pid: int) -> list[tuple[str, Mapping[str, Any]]]:
    """Who told gunicorn what, strongest first."""
    words = procfs.command_line(pid)
    program = next((i for i, word in enumerate(words) if os.path.basename(word) == "gunicorn"), 0)
    arguments = told.parse_arguments(words[program + 1 :])
    environment = procfs.environment(pid)
    by_environment = told.parse_environment_arguments(environment.get("GUNICORN_CMD_ARGS", ""))
    file = arguments.get("config") or by_environment.get("config") or "./gunicorn.conf.py"
    path = Path(str(file).partition("file:")[2] or str(file))
    working = procfs.link(pid, "cwd") or "/"
    by_file = told.parse_configuration_file(procfs.read(procfs.seen_by(pid, Path(working) / path)))
    return [
        ("command line", arguments),
        ("GUNICORN_CMD_ARGS", by_environment),
        (f"configuration file {path}", by_file),
    ]


def versions(pid: int) -> dict[str, str]:
    """Versions of what the process runs with, from the metadata beside its interpreter; nothing is imported."""
    found = {}
    words = procfs.command_line(pid)
    prefix = procfs.environment(pid).get("VIRTUAL_ENV") or str(Path(words[0]).parent.parent if words else "/")
    for information in procfs.seen_by(pid, prefix).glob("lib/python*/site-packages/*.dist-info"):
        name, _, version = information.name[: -len(".dist-info")].rpartition("-")
        if name.lower().replace("-", "_") in PACKAGES:
            found[name.lower().replace("-", "_")] = version
    executable = procfs.link(pid, "exe") or ""
    match = re.search(r"python(\d+\.\d+)", executable)
    if match:
        found["python"] = match.group(1)
    return found


def class_fact(
    sources: Sequence[tuple[str, Mapping[str, Any]]], threads: Any, workers: Sequence[int], answer: Answer | None
) -> tuple[Fact, list[tuple[str, str]]]:
    """The worker class, and everyone who says something about it: settings, shared objects, the answer of a request.

    gunicorn's own precedence decides between settings. What the workers do outweighs what they were told: where it
    contradicts the settings, the fact's sources do not agree.
    """
    value, source, said = told.effective("worker_class", sources)
    by_settings = told.canonical_class(value, threads)
    witnesses = [(who, told.canonical_class(what, threads)) for who, what in said]
    agree = True
    shown = [source]
    by_maps = class_by_maps(set().union(*(procfs.mapped_files(pid) for pid in workers)))
    if by_maps:
        agree = by_maps == by_settings
        witnesses.append(("/proc/<worker>/maps", by_maps))
        shown.append(f"maps: {by_maps}")
    by_header = class_by_header(answer.server if answer else None)
    if answer and by_header:
        agree = agree and (by_header == "uvicorn") == (by_settings == "uvicorn")
        # gunicorn's own workers all say gunicorn: that agrees with any of them.
        witnesses.append(
            ("Server header", "uvicorn" if by_header == "uvicorn" else by_settings if agree else by_header)
        )
        shown.append(f"Server: {answer.server}")
    return Fact(by_settings, ", ".join(shown), agree), witnesses


def preload_fact(master: int, workers: list[int]) -> Fact:
    """Whether the application was loaded before the fork, told from memory.

    A master that loaded it holds nearly as much data of its own as a worker; one that did not holds gunicorn alone.
    """
    mine = procfs.memory(master).get("anonymous", 0)
    theirs = max((procfs.memory(worker).get("anonymous", 0) for worker in workers), default=0)
    if not mine or not theirs:
        return Fact(None, "no memory figures")
    if theirs < SMALLEST_TELLING:
        return Fact(None, f"an application of {theirs >> 20} MB is too small to tell by memory")
    return Fact(mine >= 0.65 * theirs, f"anonymous memory of master {mine >> 20} MB, of a worker {theirs >> 20} MB")


def observe(
    master: int | None,
    where: str | tuple[str, int] | None = None,
    path: str = "/",
    host: str = "localhost",
    properties: Mapping[str, str] | None = None,
    reason: str = "no gunicorn master was found",
) -> Observation:
    """Observe the gunicorn whose master is `master`; `where` is asked one HTTP request for `path` of `host`.

    where: what gunicorn binds to where it is left out; no request is made where that is no address.
    """
    if master is None or not procfs.exists(master):
        return Observation(found=False, reason=reason, unit=dict(properties or {}))
    now = time.time()
    pids = [pid for pid in procfs.children(master) if is_gunicorn(pid) and procfs.state(pid) != "Z"]
    workers = []
    for pid in pids:
        memory = procfs.memory(pid)
        workers.append(
            Worker(
                pid=pid,
                age=round(now - procfs.started_at(pid), 1),
                state=procfs.state(pid),
                threads=len(procfs.threads(pid)),
                rss=memory.get("rss", 0),
                pss=memory.get("pss", 0),
            )
        )
    sources = settings_sources(master)
    where = where or address_of(told.effective("bind", sources)[0])
    answer = request(where, path, host) if where else None
    facts: dict[str, Fact] = {}
    disagreements: dict[str, list[dict[str, Any]]] = {}

    for name in ("threads", "max_requests", "max_requests_jitter", "worker_connections", "timeout", "graceful_timeout",
                 "bind", "application"):  # fmt: skip
        value, source, said = told.effective(name, sources)
        facts[name] = Fact(value, source)
        if len({str(what) for _, what in said}) > 1:
            disagreements[name] = [{"source": who, "value": what} for who, what in said]

    facts["worker_class"], said = class_fact(sources, facts["threads"].value, pids, answer)
    if len({what for _, what in said}) > 1:
        disagreements["worker_class"] = [{"source": who, "value": what} for who, what in said]
    if facts["worker_class"].value == "uvicorn":
        facts["threads"] = Fact(None, "uvicorn has no threads to configure")

    configured, source, _ = told.effective("workers", sources)
    alive = len([worker for worker in workers if worker.state != "T"])
    facts["workers"] = Fact(alive, f"/proc, {source} says {configured}", alive == configured)
    facts["isolate_requests"] = Fact(answer.isolated if answer else None, "header X-Request-Context of the answer")
    facts["preload"] = preload_fact(master, pids)
    user = procfs.user_id(master)
    facts["user"] = Fact(_user_name(user), "/proc/<master>/status")
    facts["release"] = Fact(_release_of(procfs.link(master, "cwd")), "/proc/<master>/cwd")
    group, limits = _limits(master)
    for name, value in limits.items():
        facts[f"limit {name}"] = Fact(value, f"cgroup {group}")
    environment = procfs.environment(master)
    return Observation(
        found=True,
        master=master,
        age=round(now - procfs.started_at(master), 1),
        workers=workers,
        facts=facts,
        versions=versions(master),
        environment={name: value for name, value in environment.items() if SHOWN_ENVIRONMENT.match(name)},
        fingerprint=environment.get(FINGERPRINT),
        answer=answer,
        killed_for_memory=procfs.killed_for_memory(procfs.memory_group(master)),
        restarts=int(properties["NRestarts"]) if properties and properties.get("NRestarts", "").isdigit() else None,
        unit=dict(properties or {}),
        disagreements=disagreements,
    )


def observe_unit(
    unit: str, where: str | tuple[str, int] | None = None, path: str = "/", host: str = "localhost"
) -> Observation:
    """Observe the gunicorn of a systemd unit."""
    master, properties = master_of_unit(unit)
    state = f"{properties.get('ActiveState', 'unknown')} ({properties.get('SubState', '')})"
    if properties.get("Result") == "oom-kill":
        state += ", out of memory"
    return observe(master, where, path, host, properties, f"{unit} is {state}, no gunicorn master in it")


def _user_name(user: int | None) -> str | None:
    if user is None:
        return None
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _release_of(directory: str | None) -> str | None:
    """/srv/plane/releases/<version> of a process that works in its folder `code`."""
    if directory is None:
        return None
    return str(Path(directory).parent) if Path(directory).name == "code" else directory


def slice_of(groups: Mapping[str, str]) -> str:
    """The path of the slice that a process's unit lies in, of its control groups: both colours are in it together."""
    own = groups.get("systemd") or groups.get("unified") or "/"
    group = own
    while group not in ("/", "") and not group.endswith(".slice"):
        group = os.path.dirname(group)
    if group in ("/", "", "/system.slice"):
        group = own
    return group


def _limits(pid: int) -> tuple[str, dict[str, int | float | None]]:
    """Limits of the slice that the process's unit lies in: that is where both colours are limited together."""
    groups = procfs.cgroup_of(pid)
    group = slice_of(groups)
    return group, procfs.limits_in_force(groups, group)
