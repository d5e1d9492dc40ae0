"""The switch: traffic goes to the other colour, and the former one finishes what it holds and stops."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import admission, colours, containers, journal

# A HAProxy that was told to end does so when clients were idle for as long (`timeout http-keep-alive` of haproxy.cfg),
# and what they asked for before that is answered.
FORMER_SECONDS = 60.0 + 15.0


class SwitchError(Exception):
    """The switch did not happen; what served before serves on. The message says at which step and why."""


def cut_said(cut: int) -> str:
    """A clause for the sentence about a switch or a rotation; empty where nothing was cut."""
    return f"{cut} requests outlived the grace period and were cut" if cut else ""


@dataclass(frozen=True)
class Switched:
    """seconds from the first changed file until the new colour had the traffic, and until the old one had stopped.

    cut: requests of the old colour that outlived the grace period and were ended with it. stop_seconds is None where
    somebody else stops it.
    """

    former: str | None
    live: str
    switch_seconds: float
    drain_seconds: float
    stop_seconds: float | None
    cut: int

    @property
    def cut_said(self) -> str:
        return cut_said(self.cut)

    def sentence(self, service: str) -> str:
        stopped = "" if self.stop_seconds is None else f", stopped in {self.stop_seconds:.1f} s"
        cut = f"; {self.cut_said}" if self.cut_said else ""
        return (
            f"{service}: {self.former or 'nothing'} -> {self.live}, traffic moved in {self.switch_seconds:.1f} s, "
            f"drained in {self.drain_seconds:.1f} s{stopped}{cut}"
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def systemctl(*arguments: str) -> None:
    """Raises SwitchError with systemd's words."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SwitchError(f"systemctl {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")


def switch(
    service: str,
    colour: str,
    drain_seconds: float,
    proof: Mapping[str, Any] | None = None,
    directory: Path = colours.ADMISSION_DIRECTORY,
    after: str | None = None,
) -> Switched:
    """Send the traffic of `service` to `colour`, then drain (`drain_seconds` at the most) and stop the other one.

    The candidate configuration is checked before anything changes; the link is put back where the running HAProxy does
    not follow it. Raises SwitchError in both cases. proof: what was proved of the colour, kept for later reports.
    after: another service, without whose live colour admission may not start; with its switch, this one's is complete.
    """
    former = colours.live_colour(service, directory)
    target = colours.directory_of(service, colour) / "admission.cfg"
    link = colours.link_of(service, directory)
    sockets = colours.live_socket_of(service), Path(colours.socket_of(service, colour))
    try:
        admission.check_candidate(service, target, directory)
    except admission.AdmissionError as error:
        raise SwitchError(str(error)) from error
    # Requests that another service answers from now on, and that this colour perhaps cannot answer.
    gone = admission.handed_over(target, service) - admission.handed_over(link, service) if former else set()

    began = time.monotonic()
    before = os.readlink(link) if link.is_symlink() else None
    ran = subprocess.run(["systemctl", "is-active", "--quiet", colours.ADMISSION_UNIT], check=False).returncode == 0
    colours.point_link(link, target)
    if not gone:
        colours.point_link(*sockets)
    try:
        if after is None or colours.live_colour(after, directory) is not None:
            systemctl(_verb(), colours.ADMISSION_UNIT)
            admission.wait_for_colour(service, colour)
            if gone:
                # A former HAProxy would still send them here, so the traffic moves once there is none.
                colours.drain(lambda: len(admission.former_processes(containers.ADMISSION)), FORMER_SECONDS)
                colours.point_link(*sockets)
    except (SwitchError, admission.AdmissionError) as error:
        said = "\n".join(journal.last_lines("plane-admission", count=8))
        if former is not None:
            colours.point_link(colours.live_socket_of(service), Path(colours.socket_of(service, former)))
        _put_back(link, before, ran)
        raise SwitchError(f"the switch to {colour} was taken back: {error}\n{said}") from error
    switched = time.monotonic()
    if proof:
        keep_proof(service, colour, proof)

    leaving = colours.other(colour)
    drained = [colours.wait_until_drained(service, instance, drain_seconds) for instance in (leaving, colours.SPARE)]
    stopping = time.monotonic()
    systemctl("stop", colours.unit_of(service, leaving))
    put_away_spare(service)
    return Switched(
        former=former,
        live=colour,
        switch_seconds=round(switched - began, 3),
        drain_seconds=sum(instance.seconds for instance in drained),
        stop_seconds=round(time.monotonic() - stopping, 3),
        cut=sum(instance.cut for instance in drained),
    )


def _verb() -> str:
    """How HAProxy is made to read its configuration. A reload does not bring back a runtime socket that was removed."""
    try:
        admission.information()
    except admission.AdmissionError:
        return "restart"
    return "reload-or-restart"


def keep_proof(service: str, instance: str, proof: Mapping[str, Any]) -> None:
    """Keep, until the host reboots, what was proved of an instance before it took traffic."""
    path = colours.proof_of(service, instance)
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.write_text(json.dumps(dict(proof)), encoding="utf-8")


def put_away_spare(service: str) -> None:
    """Stop what a rotation started and did not put away; nothing where there is none."""
    folder = colours.directory_of(service, colours.SPARE)
    if folder.is_symlink():
        systemctl("stop", colours.unit_of(service, colours.SPARE))
        colours.proof_of(service, colours.SPARE).unlink(missing_ok=True)
        folder.unlink()


def _put_back(link: Path, before: str | None, ran: bool) -> None:
    if before is not None:
        colours.point_link(link, Path(before))
    else:
        link.unlink(missing_ok=True)
    # HAProxy refuses to run without any service: with none left, it stops. Where this service was the reason to start
    # it, it did not run for the others either.
    serves = any(link.parent.glob("*.cfg")) and (ran or before is not None)
    verb = "reload-or-restart" if serves else "stop"
    subprocess.run(["systemctl", verb, colours.ADMISSION_UNIT], check=False)
