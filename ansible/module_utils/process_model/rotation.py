"""Rotation: every process of a live colour is replaced by a fresh one that was verified, and no request is lost.

A third instance of the service, `spare`, is started from the live colour's own files. It is verified, takes the
traffic, and keeps it while the colour's processes are stopped and started again; then it gives it back and stops. The
colour, its files and the colour to go back to stay what they are, and HAProxy is not reloaded: the link to the live
socket moves.

A timer asks every half minute whether it is due, and whether it is this host's turn.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import admission, colours, observe, procfs, state, switch, watch

DAY = 24 * 3600
# A rotation begins in this first part of its turn; the timer asks twice in it.
BEGIN_SECONDS = 60
# Samples of memory, one for each time that the timer asks: enough to tell growth from noise, and how many are kept.
ENOUGH_SAMPLES = 60
MOST_SAMPLES = 480


class RotationError(Exception):
    """The rotation stopped; the message says where, why, and which instance has the traffic."""


@dataclass(frozen=True)
class Plan:
    """When this host replaces its processes; /etc/<service>/rotation.json, as the inventory says.

    turn, turns: this host's place among the hosts of its service, from 0, and their number. turn_seconds: the longest
    that a rotation takes, and BEGIN_SECONDS. window: from and to, in minutes after midnight, UTC, so that all hosts
    agree on it. max_requests: of the whole instance. max_age_seconds. Of both 0 means never. memory_bytes: of both
    colours.
    """

    turn: int
    turns: int
    turn_seconds: int
    window: tuple[int, int]
    max_requests: int
    max_age_seconds: int
    memory_bytes: int
    start_seconds: int
    drain_seconds: int

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "window": list(self.window)}


@dataclass
class Seen:
    """What the timer has seen of one life of an instance.

    requests: since its start. answered: HAProxy's own count when last asked, and process: of which HAProxy. samples:
    (seconds since 1970, bytes of all its processes).
    """

    master: int
    start_ticks: int
    started: float
    process: int = 0
    answered: int = 0
    requests: int = 0
    samples: list[tuple[float, int]] = field(default_factory=list)

    def add(self, now: float, process: int, answered: int, memory: int) -> None:
        """Add what was seen just now. HAProxy counts from 0 after a reload, and over all instances before it."""
        before = answered if not self.samples else self.answered if process == self.process else 0
        self.requests += max(0, answered - before)
        self.process, self.answered = process, answered
        self.samples = [*self.samples, (now, memory)][-MOST_SAMPLES:]


def parse_window(text: str) -> tuple[int, int]:
    """`02:00-05:30` as minutes after midnight, (120, 330). Raises ValueError that says what is allowed."""
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", text)
    if not match:
        raise ValueError("a time of day in UTC from and to, for example 02:00-05:00; 00:00-00:00 is the whole day")
    from_hour, from_minute, to_hour, to_minute = map(int, match.groups())
    return from_hour * 60 + from_minute, to_hour * 60 + to_minute


def make_plan(service: str, settings: Mapping[str, Any]) -> Plan:
    """The plan of one host from `settings`: a Plan's fields but turn_seconds, with the window as text.

    Raises ValueError where the window is no window, or too short for every host of the service to have its turn.
    """
    given = {name: int(value) for name, value in settings.items() if name != "window"}
    window = parse_window(str(settings["window"]))
    # Two instances start, and two finish what they hold.
    turn_seconds = 2 * (given["start_seconds"] + given["drain_seconds"]) + 2 * BEGIN_SECONDS
    if longest(window) < given["turns"] * turn_seconds:
        name = service.replace("-", "_")
        needed = -(-given["turns"] * turn_seconds // 60)
        raise ValueError(
            f"{name}_rotation_window is {settings['window']}, too short for {given['turns']} hosts whose turns last "
            f"{turn_seconds} s each. Allowed: a window of {needed} minutes or more, or smaller {name}_start_timeout "
            f"and {name}_grace_seconds"
        )
    return Plan(window=window, turn_seconds=turn_seconds, **given)


def plan_of(text: str) -> Plan | None:
    """The plan of rotation.json; None where the service's workers are renewed by gunicorn itself."""
    found = json.loads(text)
    return Plan(**{**found, "window": tuple(found["window"])}) if found else None


def longest(window: tuple[int, int]) -> int:
    """Seconds of a window; one that ends where it begins is the whole day."""
    return ((window[1] - window[0]) % (24 * 60) or 24 * 60) * 60


def is_turn(plan: Plan, now: float) -> bool:
    """Whether a rotation may begin on this host at `now`, seconds since 1970.

    From the beginning of the window on the hosts take turns; a turn that would not end within the window is none, since
    the next window begins with the first host.
    """
    since = (now % DAY - plan.window[0] * 60) % DAY
    begun = since % plan.turn_seconds
    ends = since - begun + plan.turn_seconds
    return (
        ends <= longest(plan.window)
        and (since // plan.turn_seconds) % plan.turns == plan.turn
        and begun < BEGIN_SECONDS
    )


def growth(samples: Sequence[tuple[float, int]]) -> float:
    """Bytes a second that memory grows by: the line through the samples; 0 where they are few, or it does not grow."""
    if len(samples) < ENOUGH_SAMPLES:
        return 0.0
    # By hand: statistics.linear_regression needs Python 3.10, and hosts may have 3.9.
    middle, level = (statistics.fmean(values) for values in zip(*samples))
    spread = sum((second - middle) ** 2 for second, _ in samples)
    return max(0.0, sum((second - middle) * (memory - level) for second, memory in samples) / spread)


def until_next_turn(plan: Plan) -> int:
    """The longest that this host may have to wait for its next turn, in seconds."""
    whole_day = longest(plan.window) == DAY
    return 2 * plan.turns * plan.turn_seconds if whole_day else DAY


def due(plan: Plan, seen: Seen, now: float) -> str:
    """Why the instance is to be replaced; empty where it is not.

    Memory: a second instance must fit beside it, so the last moment is before there is no room for what the instance
    took when it was fresh, at the pace at which it grows.
    """
    if plan.max_requests and seen.requests >= plan.max_requests:
        return f"it has answered {seen.requests} requests, and is replaced after {plan.max_requests}"
    age = now - seen.started
    if plan.max_age_seconds and age >= plan.max_age_seconds:
        return f"it is {age / 3600:.1f} h old, and is replaced after {plan.max_age_seconds / 3600:g} h"
    slope = growth(seen.samples)
    if slope:
        fresh, used = seen.samples[0][1], seen.samples[-1][1]
        later = used + slope * until_next_turn(plan)
        if later + fresh > plan.memory_bytes:
            return (
                f"its memory grows by {slope * 3600 / 2**20:.0f} MiB an hour from {used / 2**20:.0f} MiB, and a second "
                f"instance would soon not fit beside it into {plan.memory_bytes / 2**20:.0f} MiB"
            )
    return ""


def record_of(service: str, directory: Path = colours.STATE) -> Path:
    return directory / f"{service}.rotation"


def read_plan(service: str) -> Plan | None:
    """The plan of the service on this host; None where there is none."""
    try:
        return plan_of(colours.rotation_file_of(service).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def put_plan(service: str, plan: Mapping[str, Any] | None) -> None:
    """Make the plan the service's on this host, now and after a reboot; None where nothing is to be rotated.

    Raises OSError or switch.SwitchError.
    """
    colours.rotation_file_of(service).write_text(json.dumps(plan, indent=4) + "\n", encoding="utf-8")
    switch.systemctl("disable" if plan is None else "enable", "--now", f"{service}-rotation.timer")


def reason_to_begin(service: str, colour: str, plan: Plan, now: float) -> str:
    """Why the live instance is to be replaced right now; empty where it is not due, or not this host's turn."""
    if colours.has_traffic(service, colours.SPARE):
        return "an earlier rotation stopped half-way"
    switch.put_away_spare(service)
    seen = look(service, colour, now)
    return due(plan, seen, now) if is_turn(plan, now) else ""


def look(service: str, colour: str, now: float) -> Seen:
    """Look at the live instance, and add it to what was seen of it before."""
    master = observe.master_of_unit(colours.unit_of(service, colour))[0] or 0
    ticks = procfs.start_ticks(master) or 0
    try:
        before = json.loads(procfs.read(record_of(service)))
        before["samples"] = [tuple(sample) for sample in before["samples"]]
        seen = Seen(**before)
    except (ValueError, TypeError, KeyError):
        seen = None
    if seen is None or (seen.master, seen.start_ticks) != (master, ticks):
        seen = Seen(master, ticks, procfs.started_at(master))
    memory = sum(procfs.memory(pid).get("pss", 0) for pid in [master, *procfs.children(master)])
    seen.add(now, int(admission.information()["Pid"]), watch.answers_now(service).total, memory)
    record_of(service).parent.mkdir(mode=0o755, exist_ok=True)
    record_of(service).write_text(json.dumps(asdict(seen)), encoding="utf-8")
    return seen


def rotate(service: str, colour: str, wanted: Mapping[str, Any], start_seconds: float, drain_seconds: float) -> int:
    """Replace every process of the live colour; how many requests outlived the grace period and were cut.

    Raises RotationError, and leaves the traffic with the colour where it has not been stopped yet, else with `spare`,
    which goes on serving until the next rotation, rollback or run of site.yml.
    """
    spare = colours.SPARE
    # Both are started from the colour's own files, which were compared when it was deployed.
    own = {**wanted, "files": {}}
    folder = colours.directory_of(service, spare)
    if not colours.has_traffic(service, spare):
        colours.point_link(folder, Path(colour))
        _start(service, spare, own, start_seconds)
        colours.point_link(colours.live_socket_of(service), Path(colours.socket_of(service, spare)))
    cut = colours.wait_until_drained(service, colour, drain_seconds).cut
    _start(service, colour, own, start_seconds)
    colours.point_link(colours.live_socket_of(service), Path(colours.socket_of(service, colour)))
    cut += colours.wait_until_drained(service, spare, drain_seconds).cut
    switch.put_away_spare(service)
    return cut


def _start(service: str, colour: str, wanted: Mapping[str, Any], start_seconds: float) -> None:
    """Start an instance and prove it; its proof is kept as after a switch."""
    unit = colours.unit_of(service, colour)
    try:
        switch.systemctl("stop", unit)
        switch.systemctl("start", "--no-block", unit)
        candidate = state.examine(wanted, colour, saturate=True, wait_seconds=start_seconds)
    except switch.SwitchError as error:
        raise RotationError(str(error)) from error
    if not candidate.match:
        said = "\n".join(f"  {mismatch['message']}" for mismatch in candidate.mismatches)
        if colour == colours.SPARE:
            switch.put_away_spare(service)
        raise RotationError(f"a fresh instance of {service} ({colour}) is not what it should be:\n{said}")
    switch.keep_proof(service, colour, candidate.proof)
