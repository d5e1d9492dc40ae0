"""A colour that has just taken traffic is watched: what it answers, whether it restarts, whether it is right."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from . import admission, state

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
    """reasons: why the colour must not keep the traffic, one line each; empty where it may."""

    seconds: float
    answers: Answers
    reasons: list[str]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def answers_of(service: str, statistics: list[dict[str, str]]) -> Answers:
    """Sum over the server lines of the service's backends."""
    servers = admission.servers_of(service, statistics)

    def count(*names: str) -> int:
        return sum(int(row.get(name) or 0) for row in servers for name in names)

    return Answers(
        total=count("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other"),
        errors=count("hrsp_5xx"),
        lost=count("econ", "eresp"),
    )


def _answers_now(service: str) -> Answers:
    return answers_of(service, admission.parse_statistics(admission.ask("show stat")))


def reasons_against(answers: Answers, max_error_share: float) -> list[str]:
    """Why these answers are not good enough."""
    asked = answers.total + answers.lost
    failed = answers.errors + answers.lost
    if asked and failed / asked > max_error_share:
        said = f"{answers.errors} answered with 500 or above, {answers.lost} not answered"
        allowed = f"plane_release_max_error_share allows a share of {max_error_share:g}"
        return [f"{failed} of {asked} requests failed ({said}); {allowed} [HAProxy's socket]"]
    return []


def watch(desired: Mapping[str, Any], seconds: float, max_error_share: float) -> Watched:
    """Watch the live colour of a service for `seconds`, less where it fails clearly; then examine it once more."""
    service = str(desired["service"])
    began = time.monotonic()
    try:
        before = _answers_now(service)
        while True:
            answers = _answers_now(service).since(before)
            reasons = reasons_against(answers, max_error_share)
            over = time.monotonic() - began >= seconds
            if over or (reasons and answers.total + answers.lost >= ENOUGH_ANSWERS):
                break
            time.sleep(POLL_SECONDS)
    except admission.AdmissionError as error:
        return Watched(round(time.monotonic() - began, 1), Answers(0, 0, 0), [str(error)])
    after = state.examine(desired)
    reasons += [str(mismatch["message"]) for mismatch in after.mismatches]
    if after.observed.get("restarts"):
        reasons.append(f"systemd started it again {after.observed['restarts']} time(s) since it was prepared")
    return Watched(round(time.monotonic() - began, 1), answers, reasons)
