"""A colour that has just taken traffic is watched: what it answers, whether it restarts, whether it is right."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from . import admission, colours, state

POLL_SECONDS = 0.5
# A share of fewer answers than this says little; after it, a colour that fails is not watched to the end.
ENOUGH_ANSWERS = 20


@dataclass(frozen=True)
class Answers:
    """What a service's gunicorn answered since HAProxy was reloaded; HAProxy's own refusals are not among them.

    total: answers with any status. errors: those of 500 and above. lost: connections and answers that failed.
    """

    total: int
    errors: int
    lost: int

    def since(self, before: Answers) -> Answers:
        return Answers(self.total - before.total, self.errors - before.errors, self.lost - before.lost)


@dataclass(frozen=True)
class Watched:
    """reasons: why the colour must not keep the traffic, one line each; empty where it may.

    held: colour -> requests that it held at the end. percent: its share of the traffic.
    """

    seconds: float
    answers: Answers
    reasons: list[str]
    held: dict[str, int] = field(default_factory=dict)
    percent: int = 100

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def answers_of(service: str, statistics: list[dict[str, str]], canary: bool = False) -> Answers:
    """Sum over the server lines of the service's backends: the live colour's, or the canary's."""
    servers = admission.servers_of(service, statistics, canary)

    def count(*names: str) -> int:
        return sum(int(row.get(name) or 0) for row in servers for name in names)

    return Answers(
        total=count("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other"),
        errors=count("hrsp_5xx"),
        lost=count("econ", "eresp"),
    )


def answers_now(service: str, canary: bool = False) -> Answers:
    """What the running HAProxy has counted. Raises AdmissionError."""
    return answers_of(service, admission.statistics(), canary)


def reasons_against(answers: Answers, max_error_share: float) -> list[str]:
    """Why these answers are not good enough."""
    asked = answers.total + answers.lost
    failed = answers.errors + answers.lost
    if asked and failed / asked > max_error_share:
        said = f"{answers.errors} answered with 500 or above, {answers.lost} not answered"
        allowed = f"plane_release_max_error_share allows a share of {max_error_share:g}"
        return [f"{failed} of {asked} requests failed ({said}); {allowed} [HAProxy's socket]"]
    return []


def count(service: str, seconds: float, max_error_share: float, percent: int = 100) -> Watched:
    """Count what the live colour, or with less than 100 % the canary, answers for `seconds`, less where it fails."""
    began = time.monotonic()
    canary = percent < 100
    try:
        before = answers_now(service, canary)
        while True:
            answers = answers_now(service, canary).since(before)
            reasons = reasons_against(answers, max_error_share)
            over = time.monotonic() - began >= seconds
            if over or (reasons and answers.total + answers.lost >= ENOUGH_ANSWERS):
                break
            time.sleep(POLL_SECONDS)
    except admission.AdmissionError as error:
        answers, reasons = Answers(0, 0, 0), [str(error)]
    return Watched(round(time.monotonic() - began, 1), answers, reasons, colours.held_by(service), percent)


def watch(desired: Mapping[str, Any], seconds: float, max_error_share: float) -> Watched:
    """Watch the live colour of a service for `seconds`, less where it fails clearly; then examine it once more."""
    watched = count(str(desired["service"]), seconds, max_error_share)
    after = state.examine(desired)
    reasons = [*watched.reasons, *(str(mismatch["message"]) for mismatch in after.mismatches)]
    if after.observed.get("restarts"):
        reasons.append(f"systemd started it again {after.observed['restarts']} time(s) since it was prepared")
    return replace(watched, reasons=reasons)


def line(watched: Mapping[str, Any], who: str) -> str:
    """What a Watched (as a dictionary) says of `who`: its share, what it answered, and what each colour held."""
    answers = watched["answers"]
    held = ", ".join(f"{colour} {count}" for colour, count in watched["held"].items())
    return (
        f"{who}: {watched['percent']} % of the traffic for {watched['seconds']} s, {answers['total']} answers, "
        f"{answers['errors']} of them errors; requests in flight: {held}"
    )


def try_shares(
    service: str,
    colour: str,
    percents: Iterable[int],
    seconds: float,
    max_error_share: float,
    drain_seconds: float,
) -> list[Watched]:
    """Give a colour that is not live one share of the traffic after the other, and watch each for `seconds`.

    Ends with the first share that fails, which is the last of the answer. Whatever happens, the live colour has all of
    the traffic afterwards, and after a failure, or without any share, `colour` has finished what it held.
    """
    found: list[Watched] = []
    colours.point_link(colours.canary_socket_of(service), Path(colours.socket_of(service, colour)))
    try:
        for percent in percents:
            admission.give_share(service, percent)
            found.append(count(service, seconds, max_error_share, percent))
            if found[-1].reasons:
                break
    finally:
        admission.give_share(service, 0)
        if not found or found[-1].reasons:
            colours.wait_until_drained(service, colour, drain_seconds)
    return found
