"""plane-process-model: what runs on this host, and the way back, for the night when Ansible is not at hand.

    plane-process-model status                          what runs, compared with what its colour was deployed as
    plane-process-model rollback [--check] [SERVICE…]   verify the colour that was live before, and switch to it
    plane-process-model switch [--check] SERVICE COLOUR the same to a colour that is named
    plane-process-model rotate [--if-due] SERVICE       replace every process of the live colour by a fresh one
    plane-process-model audit SERVICE FILE              which state a request leaves for the next one of its thread
    plane-process-model calibrate SERVICE FILE          what the live colour's release takes, for the calculator
    plane-process-model signals [--seconds N]           memory and queue times, as CloudWatch takes them
    plane-process-model metrics [--file FILE]           what runs, as numbers for Prometheus (metrics.py)
    plane-process-model unlock                          break the lock of a run that is known to be over

Everything it needs is on the host: each colour's files, and beside them desired.json, which says what was verified when
they were written. Exit status: 0 done, or all as it should be; 1 it is not, and the live colour was left as it was;
2 wrong use. It needs root, as it starts and stops units.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import (
    admission,
    audit,
    calibrate,
    colours,
    containers,
    lock,
    report,
    rotation,
    signals,
    state,
    switch,
    transient,
)
from .colours import DESIRED, desired_of, services

# Where a colour's connections or secrets are others than the live one's, going back to it may not work, or may sign
# everybody out. Names only are ever shown.
CONNECTIONS = ("DATABASE_URL", "REDIS_URL", "AMQP_URL", "SECRET_KEY", "LIVE_SERVER_SECRET_KEY")
START_SECONDS = 60.0
DRAIN_SECONDS = 30.0


class RefusedError(Exception):
    """Nothing was switched; the message says why and what to do."""


# What rotate, audit and calibrate may raise: said, and exit status 1.
EXPECTED = (
    RefusedError,
    rotation.RotationError,
    admission.AdmissionError,
    audit.AuditError,
    calibrate.CalibrationError,
    containers.DockerError,
    transient.InstanceError,
    OSError,
)


def say(message: str) -> None:
    print(message, flush=True)


def variables_of(service: str, colour: str, etc: Path = Path("/etc")) -> dict[str, str]:
    """The variables of a colour's environment file."""
    text = (colours.directory_of(service, colour, etc) / "environment").read_text("utf-8")
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return dict(pairs)


def own_files(desired: Mapping[str, Any], colour: str) -> dict[str, str]:
    """Path -> SHA-256 of what lies in the colour's own folder."""
    directory = f"{colours.directory_of(str(desired['service']), colour)}/"
    return {path: digest for path, digest in desired["files"].items() if path.startswith(directory)}


def obstacles(service: str, colour: str, etc: Path = Path("/etc")) -> list[str]:
    """Why `colour` cannot be gone back to, each in one line; nothing is started to find it out."""
    directory = colours.directory_of(service, colour, etc)
    desired = desired_of(service, colour, etc)
    # desired.json is the list of the others.
    names = [Path(path).name for path in own_files(desired, colour)] + ["fingerprint"] if desired else [DESIRED]
    missing = [name for name in names if not (directory / name).is_file()]
    if desired is None or missing:
        said = ", ".join(missing) or f"readable {DESIRED}"
        return [f"{service} {colour} has no {said} in {directory}: it was not deployed, or not to its end"]
    if desired.get("installation"):
        return [] if containers.find(containers.name_of(service, colour)) else [
            f"the container of {service} {colour} has been removed: run site.yml"
        ]  # fmt: skip
    found = []
    release = directory / "release"
    if not (release / "code").is_dir():
        found.append(
            f"the release of {service} {colour}, {os.path.realpath(release)}, has been removed: deploy it again with "
            "site.yml and plane_release_version"
        )
    else:
        python = release / "venv/bin/python"
        try:
            status = subprocess.run([str(python), "-c", "import gunicorn"], capture_output=True, check=False).returncode
        except OSError:
            status = None
        if status != 0:
            found.append(f"{python} does not run gunicorn any more: deploy the release again with site.yml")
    return found


def other_connections(service: str, colour: str, live: str, etc: Path = Path("/etc")) -> list[str]:
    """Names of the connections and secrets that the two colours do not have in common."""
    ours, theirs = variables_of(service, live, etc), variables_of(service, colour, etc)
    return [name for name in CONNECTIONS if ours.get(name) != theirs.get(name)]


def wanted_of(service: str, colour: str, live: str | None) -> dict[str, Any]:
    """The colour's desired.json, but for what both colours share on this host today: the limits and the units."""
    wanted = desired_of(service, colour) or {}
    wanted["files"] = own_files(wanted, colour)
    current = desired_of(service, live) if live else None
    if current:
        wanted["limits"] = current["limits"]
    return wanted


@contextlib.contextmanager
def without_prestart(service: str, colour: str) -> Iterator[None]:
    """The unit's next start leaves out the steps before gunicorn: they would wait for a database that is away."""
    path = colours.start_variables_of(service, colour)
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.write_text("PLANE_PRESTART=skip\n", encoding="utf-8")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _lines(mismatches: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(f"  {mismatch['message']}" for mismatch in mismatches)


def go_to(service: str, colour: str, check: bool = False, other_environment: bool = False) -> None:
    """Start `colour` where it does not run, verify it while it has no traffic, switch to it, verify the front door.

    Raises RefusedError or SwitchError, and leaves the live colour as it was, where it cannot or must not be done.
    """
    began = time.monotonic()
    live = colours.live_colour(service)
    if live == colour:
        say(f"{service}: {colour} is live already")
        return
    found = obstacles(service, colour)
    if found:
        raise RefusedError("\n".join(found))
    differing = other_connections(service, colour, live) if live else []
    if differing and not other_environment:
        raise RefusedError(
            f"{service} {colour} has another {', '.join(differing)} than {live}, which is live: "
            "add --other-environment to go back to it all the same"
        )
    wanted = wanted_of(service, colour, live)
    model = report.describe_model(*(wanted["model"][name] for name in ("worker_class", "workers", "threads")))
    source = wanted["release"]["path"] or wanted["installation"]["directory"]
    say(f"{service}: {live or 'nothing'} -> {colour} ({model}, release {source})")
    if not check:
        with locked():
            _move(service, colour, live, wanted, began)


@contextlib.contextmanager
def locked(user: str = "") -> Iterator[None]:
    """Nobody else changes this host meanwhile."""
    mine = lock.owner_of_process(os.getpid(), user)
    try:
        lock.take(mine)
    except lock.LockedError as error:
        raise RefusedError(str(error)) from error
    try:
        yield
    finally:
        lock.release(mine)


def _move(service: str, colour: str, live: str | None, wanted: Mapping[str, Any], began: float) -> None:
    unit = colours.unit_of(service, colour)
    runs = subprocess.run(["systemctl", "is-active", "--quiet", unit], check=False).returncode == 0
    # The two do not fit into the service's memory together, as the inventory said.
    stopped_first = colours.unit_of(service, live) if live and wanted["change"] == "stop-first" else None
    try:
        with without_prestart(service, colour):
            if stopped_first:
                switch.systemctl("stop", stopped_first)
            if not runs:
                # One that was given up on is started as any other; one that systemd does not know has nothing to reset.
                subprocess.run(["systemctl", "reset-failed", unit], capture_output=True, check=False)
                switch.systemctl("start", "--no-block", unit)
            candidate = state.examine(wanted, colour, saturate=True, wait_seconds=START_SECONDS)
        if not candidate.match:
            said = _lines(candidate.mismatches)
            raise RefusedError(f"{service} {colour} is not what it should be; {live or 'nothing'} stays live:\n{said}")
        say(f"{service}: {colour} is verified without traffic ({time.monotonic() - began:.1f} s)")
        done = switch.switch(service, colour, DRAIN_SECONDS, candidate.proof)
    except (RefusedError, switch.SwitchError):
        # A switch may fail after the traffic has moved, where the former colour does not stop: then nothing is undone.
        if colours.live_colour(service) == live:
            if not runs:
                switch.systemctl("stop", unit)
            if stopped_first:
                switch.systemctl("start", "--no-block", stopped_first)
        raise
    # How its workers are renewed belongs to what the colour was deployed as: by gunicorn, or when by rotation.
    if "rotation" in wanted and not state.rotation_is_current(wanted):
        rotation.put_plan(service, wanted["rotation"])
    after = state.examine(wanted)
    if not after.match:
        said = _lines(after.mismatches)
        raise RefusedError(f"{service} {colour} has the traffic, but is not what it should be:\n{said}")
    cut = f", {done.cut_said}" if done.cut_said else ""
    say(f"{service}: {colour} is live and verified through the front door ({time.monotonic() - began:.1f} s{cut})")


def live_as_deployed(service: str) -> tuple[str, dict[str, Any]]:
    """The live colour, and what it was deployed as. Raises RefusedError where there is none that says so."""
    live = colours.live_colour(service)
    desired = desired_of(service, live) if live else None
    if live is None or desired is None:
        raise RefusedError(f"{service} has no live colour that says what it was deployed as: run site.yml")
    return live, desired


def rotate(service: str, if_due: bool) -> None:
    """Replace every process of the live colour; with if_due only where it is time, and this host's turn.

    Raises RefusedError or RotationError.
    """
    live, _ = live_as_deployed(service)
    plan = rotation.read_plan(service)
    if if_due:
        held = lock.read()
        if plan is None or (held and not held.has_ended()):
            return
        reason = rotation.reason_to_begin(service, live, plan, time.time())
        if not reason:
            return
        say(f"{service}: {live} is replaced: {reason}")
    began = time.monotonic()
    wanted = wanted_of(service, live, live)
    start_seconds, drain_seconds = (plan.start_seconds, plan.drain_seconds) if plan else (START_SECONDS, DRAIN_SECONDS)
    with locked(lock.ROTATION), without_prestart(service, colours.SPARE), without_prestart(service, live):
        cut = rotation.rotate(service, live, wanted, start_seconds, drain_seconds)
    said = f"; {switch.cut_said(cut)}" if cut else ""
    say(f"{service}: every process of {live} was replaced ({time.monotonic() - began:.1f} s{said})")


def audit_state(service: str, file: Path) -> None:
    """Print what requests of the live colour's release leave behind. Raises RefusedError, AuditError or OSError."""
    live, desired = live_as_deployed(service)
    if desired.get("installation"):
        raise RefusedError(f"{service} runs in a container here: audit its release on a host that runs it without one")
    door = desired["front_door"]
    asked = audit.read_requests(file.read_text(encoding="utf-8"))
    found = audit.audit(service, live, asked, door["health_path"], door["health_host"])
    for line in audit.table(found):
        say(line)
    uncovered = sum(not finding.isolated for finding in found)
    say(f"{len(found)} variables outlive a request; request isolation does not cover {uncovered} of them")


def measure(service: str, file: Path, worker_class: str | None) -> None:
    """Print what the live colour's release takes, as JSON and, on stderr, to be read. Raises as EXPECTED says."""
    live, desired = live_as_deployed(service)
    requests = calibrate.read_requests(file.read_text(encoding="utf-8"))
    found = calibrate.calibrate(desired, live, requests, worker_class)
    print("\n".join(found.lines()), file=sys.stderr)
    print(json.dumps(found.to_dict(), indent=2))


def status() -> bool:
    """Print what runs on this host; whether it is what was deployed."""
    verdicts: dict[str, Any] = {}
    for service in services():
        live = colours.live_colour(service)
        wanted = desired_of(service, live) if live else None
        if wanted is None:
            say(
                f"{service}: {live or 'no colour'} is live, and nothing here says what it was deployed as: run site.yml"
            )
            verdicts[service] = None
        else:
            verdicts[service] = state.examine(wanted).to_dict()
    known = {service: verdict for service, verdict in verdicts.items() if verdict}
    document = report.build_report("", "", {os.uname().nodename: known})
    for line in report.table(report.rows(document)):
        say(line)
    for line in report.mismatch_lines(document) + report.killed_lines(document):
        say(line)
    for service, verdict in known.items():
        back = colours.other(verdict["live"])
        found = obstacles(service, back)
        say(
            f"{service}: "
            + (
                "no way back: " + "; ".join(found)
                if found
                else f"`plane-process-model rollback {service}` goes back to {back}"
            )
        )
    return bool(verdicts) and all(verdict and verdict["match"] for verdict in verdicts.values())


def signals_of(service: str, seconds: float) -> list[dict[str, Any]]:
    wanted = desired_of(service, colours.live_colour(service) or colours.BLUE) or {}
    return signals.read(str(wanted.get("environment", "")), service, seconds)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="plane-process-model", description=__doc__,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("unlock", help="break the lock of a run that is known to be over")
    replace = commands.add_parser("rotate", help="replace every process of the live colour by a fresh one")
    replace.add_argument("service")
    replace.add_argument("--if-due", action="store_true",
                         help="only where it is time and this host's turn, as its timer asks")  # fmt: skip
    look = commands.add_parser("audit", help="which state a request leaves for the next one of its thread")
    look.add_argument("service")
    look.add_argument("file", type=Path, help="JSON: users with their headers, and requests with their paths")
    sizes = commands.add_parser("calibrate", help="measure what the live colour's release takes, for the calculator")
    sizes.add_argument("service")
    sizes.add_argument("file", type=Path, help="JSON: paths to ask for, headers, and how many clients ask at once")
    sizes.add_argument("--worker-class", choices=["gthread", "uvicorn"], help="other than the live colour's")
    fullness = commands.add_parser("signals", help="memory and queue times of every service, as CloudWatch takes them")
    fullness.add_argument("--seconds", type=float, default=60, help="how far back the queue is looked at; default 60")
    commands.add_parser("status", help="what runs, compared with what it was deployed as")
    rollback = commands.add_parser("rollback", help="verify the colour that was live before, and switch to it")
    rollback.add_argument("services", nargs="*", metavar="SERVICE", help="default: every service of this host")
    to = commands.add_parser("switch", help="verify a colour, and switch to it")
    to.add_argument("service")
    to.add_argument("colour", choices=colours.COLOURS)
    for command in (rollback, to):
        command.add_argument(
            "--check", action="store_true", help="say what would be done, or why it cannot be; no change"
        )
        command.add_argument("--other-environment", action="store_true",
                             help="also where connections or secrets are others than the live colour's")  # fmt: skip
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    if os.geteuid():
        print("plane-process-model: needs root", file=sys.stderr)
        return 2
    if given.command == "unlock":
        held = lock.read()
        say(f"the lock of {held.user} on {held.machine} is broken" if held else "nobody holds the lock of this host")
        lock.release(None)
        return 0
    if given.command == "status":
        return 0 if status() else 1
    known = services()
    if given.command == "signals":
        found = [each for service in known for each in signals_of(service, given.seconds)]
        say(json.dumps(found))
        return 0
    asked = [given.service] if given.command in ("switch", "rotate", "audit", "calibrate") else given.services or known
    unknown = [service for service in asked if service not in known]
    if unknown or not asked:
        print(
            f"plane-process-model: no service {', '.join(unknown) or 'at all'} here; there is: {', '.join(known)}",
            file=sys.stderr,
        )
        return 2
    if given.command in ("rotate", "audit", "calibrate"):
        try:
            if given.command == "rotate":
                rotate(given.service, given.if_due)
            elif given.command == "calibrate":
                measure(given.service, given.file, given.worker_class)
            else:
                audit_state(given.service, given.file)
        except EXPECTED as error:
            print(f"plane-process-model: {error}", file=sys.stderr)
            return 1
        return 0
    failed = False
    for service in asked:
        live = colours.live_colour(service)
        colour = given.colour if given.command == "switch" else colours.other(live or colours.GREEN)
        try:
            go_to(service, colour, given.check, given.other_environment)
        except (RefusedError, switch.SwitchError) as error:
            failed = True
            print(f"plane-process-model: {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0
