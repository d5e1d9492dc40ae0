"""What admission (HAProxy) really runs, asked over its runtime socket and of the kernel, not of its files."""

from __future__ import annotations

import csv
import io
import os
import re
import socket
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import colours, containers, procfs, units

# The server of each backend that a canary's share goes to; every other server is named after the live colour.
CANARY = "canary"
# In a Swarm, the server lines that lead to other nodes' HAProxy begin so; those to tasks here are blue.1, blue.2, …
ELSEWHERE = "elsewhere."


class AdmissionError(Exception):
    """Admission does not answer, or refuses a configuration; the message says which and why."""


@dataclass(frozen=True)
class Backend:
    """One route of a service as the running HAProxy has it.

    slots: requests that it lets into gunicorn at once (the server line's maxconn). queue: requests that may wait.
    path: the pattern of a heavy route, None for the rest. used and queued: now. total: since the last reload.
    canary: the share of the traffic that goes to the other colour, in percent; 0 but for a while in a rollout.
    """

    name: str
    colour: str
    slots: int | None
    queue: int | None
    path: str | None
    used: int
    queued: int
    total: int
    canary: int = 0


@dataclass(frozen=True)
class Admission:
    """A service's admission: None and empty where HAProxy does not run or does not know the service."""

    running: bool
    reason: str = ""
    process: int | None = None
    configuration_is_current: bool | None = None
    listening: list[str] = field(default_factory=list)
    backends: list[Backend] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def ask(command: str, path: Path = colours.ADMISSION_SOCKET, timeout: float = 3.0) -> str:
    """One command to HAProxy's runtime socket. Raises AdmissionError where nobody answers."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(str(path))
            connection.sendall(f"{command}\n".encode())
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
    except OSError as error:
        raise AdmissionError(f"HAProxy's runtime socket {path} does not answer: {error}") from error
    return received.decode(errors="replace")


def information() -> dict[str, str]:
    """`show info` by HAProxy's own names. Raises AdmissionError."""
    return dict(line.split(": ", 1) for line in ask("show info").splitlines() if ": " in line)


def parse_statistics(text: str) -> list[dict[str, str]]:
    """`show stat` as one dictionary per line, keyed by HAProxy's own column names."""
    return list(csv.DictReader(io.StringIO(text.lstrip("# "))))


def statistics(timeout: float = 3.0) -> list[dict[str, str]]:
    """`show stat` of the running HAProxy. Raises AdmissionError."""
    return parse_statistics(ask("show stat", timeout=timeout))


def parse_acl_list(text: str, file: str) -> list[tuple[str, str]]:
    """(identifier, fetch) of every rule that was loaded from `file`, in the order of the file's lines."""
    found = []
    for line in text.splitlines():
        match = re.match(r"(\d+) \(\S*\) acl '(\w+)' file '([^']*)' line (\d+)", line)
        if match and os.path.normpath(match.group(3)) == file:
            found.append((int(match.group(4)), match.group(1), match.group(2)))
    return [(identifier, fetch) for _, identifier, fetch in sorted(found)]


def parse_acl_values(text: str) -> list[str]:
    """The patterns of one rule: each line is an address in memory and the pattern."""
    return [line.split(" ", 1)[1].strip() for line in text.splitlines() if line.startswith("0x") and " " in line]


def servers_of(service: str, shown: list[dict[str, str]], canary: bool = False) -> list[dict[str, str]]:
    """The server lines of all backends of the service, in the order of its file: what gunicorn itself was asked.

    canary: the lines of the colour that has a share, in place of the live one's.
    """
    return [
        row
        for row in shown
        if (row["pxname"] == service or row["pxname"].startswith(f"{service}."))
        and row["svname"] not in ("FRONTEND", "BACKEND")
        and not row["svname"].startswith(ELSEWHERE)
        and (row["svname"] == CANARY) == canary
    ]


def colour_of(server: str) -> str:
    """The colour that a server line is named after: blue, or blue.2 for the second task of a Swarm's service."""
    return server.partition(".")[0]


def backends_of(service: str, shown: list[dict[str, str]], paths: list[str], queues: list[int]) -> list[Backend]:
    """The service's backends in the order of its file: its own first, then one for each heavy route.

    paths: the patterns of the heavy routes; queues: the queue limits of all backends; both in the order of the file.
    """
    servers: dict[str, list[dict[str, str]]] = {}
    for row in servers_of(service, shown):
        servers.setdefault(row["pxname"], []).append(row)
    shares = {row["pxname"]: int(row["weight"] or 0) for row in servers_of(service, shown, canary=True)}
    totals = {row["pxname"]: row for row in shown if row["svname"] == "BACKEND"}
    found = []
    for index, (name, rows) in enumerate(servers.items()):
        heavy = name != service
        whole = totals.get(name, rows[0])
        # Each task has slots of its own; where they differ, those of the fewest are shown.
        slots = Counter(row["slim"] for row in rows)
        rarest = min(slots, key=lambda value: slots[value])
        found.append(
            Backend(
                name=name,
                colour=colour_of(rows[0]["svname"]),
                slots=int(rarest) if rarest else None,
                queue=queues[index] if index < len(queues) else None,
                path=paths[index - 1] if heavy and 0 < index <= len(paths) else None,
                used=sum(int(row["scur"] or 0) for row in rows),
                queued=int(whole["qcur"] or 0),
                total=int(whole["stot"] or 0),
                canary=shares.get(name, 0),
            )
        )
    return found


def _process(told: dict[str, str], container: str) -> int:
    """The number that this host knows HAProxy by, of what it told; 0 where its container has no such process."""
    process = int(told["Pid"])
    return containers.host_process(container, process) or 0 if container else process


def observe(service: str, directory: Path = colours.ADMISSION_DIRECTORY, container: str = "") -> Admission:
    """What the running HAProxy does with `service`. A HAProxy that does not answer is a fact, not an error.

    container: the one that it runs in, where it knows itself by another number.
    """
    link = str(colours.link_of(service, directory))
    try:
        told = information()
        process = _process(told, container)
        shown = statistics()
        rules = parse_acl_list(ask("show acl"), link)
        values = {identifier: parse_acl_values(ask(f"show acl #{identifier}")) for identifier, _ in rules}
    except AdmissionError as error:
        return Admission(running=False, reason=str(error))
    paths = [value for identifier, fetch in rules if fetch == "path" for value in values[identifier]]
    # HAProxy keeps "at least 200" as the range "200:".
    queues = [
        int(value.partition(":")[0]) for identifier, fetch in rules if fetch == "queue" for value in values[identifier]
    ]
    return Admission(
        running=True,
        process=process,
        # Both by the clock as it was then: it may have been set since.
        configuration_is_current=int(units.newest([directory / "haproxy.cfg", link])) <= int(told["Start_time_sec"]),
        listening=procfs.listening_addresses([process]),
        backends=backends_of(service, shown, paths, queues),
    )


def give_share(service: str, percent: int) -> None:
    """Send `percent` of each route's requests to the canary's socket, the rest to the live one.

    Kept until it is changed, or HAProxy reads its configuration again: then it is 0. Raises AdmissionError.
    """
    shown = statistics()
    for canary in (True, False):
        for row in servers_of(service, shown, canary):
            weight = percent if canary else 100 - percent
            said = ask(f"set weight {row['pxname']}/{row['svname']} {weight}").strip()
            if said:
                raise AdmissionError(
                    f"HAProxy does not give {row['pxname']}/{row['svname']} the weight {weight}: {said}"
                )


def check_candidate(service: str, target: Path, directory: Path = colours.ADMISSION_DIRECTORY) -> None:
    """Ask `haproxy -c` about the configuration as it would be with `service` at `target`.

    Raises AdmissionError with HAProxy's own words; nothing that is live has changed then.
    """
    with tempfile.TemporaryDirectory(prefix="plane-admission-") as folder:
        candidate = Path(folder)
        for link in (directory / "services").glob("*.cfg"):
            (candidate / link.name).symlink_to(os.readlink(link))
        mine = candidate / colours.link_of(service, directory).name
        mine.unlink(missing_ok=True)
        mine.symlink_to(target)
        check = subprocess.run(
            [str(directory / "haproxy"), "-c", "-f", str(directory / "haproxy.cfg"), "-f", folder],
            capture_output=True,
            text=True,
            check=False,
        )
    if check.returncode:
        raise AdmissionError(f"haproxy -c refuses {target}: {(check.stdout + check.stderr).strip()}")


def handed_over(file: Path, service: str) -> set[str]:
    """The other services that a colour's admission.cfg hands requests over to: GraphQL, in an installation."""
    targets = re.findall(r"^\s*use_backend (\S+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {target for target in targets if not target.startswith(f"{service}.")}


def former_processes(container: str) -> list[int]:
    """HAProxy's processes that a reload left to finish what they hold; they follow the configuration as it was.

    container: the one that it runs in, where it knows itself by another number. Raises AdmissionError.
    """
    current = _process(information(), container)
    master = procfs.parent(current)
    return [process for process in procfs.children(master) if process != current] if master else []


def wait_for_colour(service: str, colour: str, limit_seconds: float = 10.0) -> float:
    """Wait until the running HAProxy sends `service` to `colour`; seconds it took. Raises AdmissionError."""
    began = time.monotonic()
    last = "no answer yet"
    while time.monotonic() - began < limit_seconds:
        try:
            servers = {colour_of(row["svname"]) for row in servers_of(service, statistics(timeout=1.0))}
            if servers == {colour}:
                return round(time.monotonic() - began, 3)
            last = f"it sends to {', '.join(sorted(servers)) or 'nowhere'}"
        except AdmissionError as error:
            last = str(error)
        time.sleep(0.02)
    raise AdmissionError(f"HAProxy does not send {service} to {colour} after {limit_seconds:.0f} s: {last}")
