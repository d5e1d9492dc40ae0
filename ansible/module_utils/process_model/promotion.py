"""From environment to environment: what was judged where, and what may therefore go on. Records are files of a team.

A record is a JSON file `records/<environment>/<number>-<kind>.json` that a team commits and reviews: what the gate
found (`gate`), what was promoted (`promotion`), or who went on without a gate, and why (`override`). Each holds the
digest of the one before it in its folder, and of the record of another environment that it rests on. Who changes or
takes away a record later breaks every one that followed; the newest is held by git's own history.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

GATE, PROMOTION, OVERRIDE = "gate", "promotion", "override"
KINDS = (GATE, PROMOTION, OVERRIDE)
FIRST = "0" * 64
# What has to be the same where it goes next, and how each is called in a sentence.
PARTS = {"release": "release", "entrypoint": "entrypoint", "model": "process model"}
NAME = re.compile(r"(\d{4,})-(gate|promotion|override)\.json\Z")


class PromotionError(Exception):
    """A record that cannot be read or written; the message names the file."""


@dataclass(frozen=True)
class Record:
    """number, kind: as in its name. digest: of all it says. previous: digest of the one before. content: the rest."""

    environment: str
    number: int
    kind: str
    digest: str
    previous: str
    content: Mapping[str, Any]
    path: str

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(str(self.content["time"]))

    @property
    def identity(self) -> Mapping[str, Mapping[str, str]]:
        """Service -> release, entrypoint and model, each by the digest of its content."""
        return self.content.get("identity") or {}


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 of what a record says, its own digest left out."""
    said = {name: value for name, value in document.items() if name != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read(folder: Path, environment: str) -> list[Record]:
    """The records of an environment, oldest first. Raises PromotionError for a file that is none."""
    found = []
    paths = sorted((folder / environment).glob("*.json")) if (folder / environment).is_dir() else []
    for path in paths:
        match = NAME.match(path.name)
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if match is None or document["kind"] != match[2] or document["environment"] != environment:
                raise ValueError("its name does not say what it holds")
            datetime.fromisoformat(document["time"])
            found.append(
                Record(
                    environment, int(match[1]), match[2], document["digest"], document["previous"], document, str(path)
                )
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PromotionError(f"{path} is no record: {error}") from error
    return sorted(found, key=lambda record: record.number)


def read_all(folder: Path, order: Sequence[str]) -> dict[str, list[Record]]:
    return {environment: read(folder, environment) for environment in order}


def broken(records: Mapping[str, Sequence[Record]]) -> list[str]:
    """Where records were changed, taken away or put in, one line each."""
    known = {record.digest for each in records.values() for record in each}
    found = []
    for chain in records.values():
        previous, number = FIRST, 0
        for record in chain:
            if record.digest != digest_of(record.content):
                found.append(f"{record.path} was changed after it was written: its digest is another")
            if record.number != number + 1 or record.previous != previous:
                found.append(f"{record.path} does not follow the record before it: one is missing or was put in")
            rests_on = record.content.get("rests_on")
            if rests_on and rests_on not in known:
                found.append(f"{record.path} rests on a record that is not there, or was changed: {rests_on[:12]}")
            previous, number = record.digest, record.number
    return found


def append(folder: Path, environment: str, kind: str, content: Mapping[str, Any]) -> str:
    """Write the next record of an environment; its path. Never writes over a file. Raises PromotionError."""
    chain = read(folder, environment)
    document = {
        **content,
        "environment": environment,
        "kind": kind,
        "previous": chain[-1].digest if chain else FIRST,
    }
    document["digest"] = digest_of(document)
    number = chain[-1].number + 1 if chain else 1
    path = folder / environment / f"{number:04}-{kind}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(document, indent=2, sort_keys=True) + "\n")
    except FileExistsError as error:
        raise PromotionError(f"{path} is there already: somebody else records at the same time") from error
    return str(path)


def before(order: Sequence[str], environment: str) -> str | None:
    """The environment that has to have passed; None for the first. Raises PromotionError for one that has no place."""
    if environment not in order:
        raise PromotionError(f"{environment} has no place in the order of promotion: {' -> '.join(order)}")
    place = order.index(environment)
    return order[place - 1] if place else None


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def gate_of(chain: Sequence[Record]) -> Record | None:
    """The newest record of the gate."""
    gates = [record for record in chain if record.kind == GATE]
    return gates[-1] if gates else None


@dataclass(frozen=True)
class Answer:
    """refused: why it must not go on, one line each; empty where it may. rests_on: the digest of what allows it."""

    refused: list[str]
    rests_on: str | None = None


def may_promote(order: Sequence[str], environment: str, records: Mapping[str, Sequence[Record]], now: datetime,
                validity_hours: float) -> Answer:  # fmt: skip
    """Whether the environment before has passed, by the records alone; what is to be deployed: `differences`."""
    damaged = broken(records)
    if damaged:
        return Answer(damaged)
    earlier = before(order, environment)
    if earlier is None:
        return Answer([])
    gate = gate_of(records.get(earlier, []))
    judge_it = f"make bake ENV={earlier}"
    if gate is None:
        return Answer([f"{earlier} has no record of its gate: {judge_it}"])
    verdict = gate.content.get("verdict")
    if verdict != "pass":
        reasons = "; ".join(list(gate.content.get("reasons") or [])[:2])
        return Answer([f"the gate of {earlier} says {verdict} ({gate.path}): {reasons}"])
    age = (now - gate.time).total_seconds()
    if age > validity_hours * 3600:
        allowed = f"plane_release_gate_validity_hours is {validity_hours:g}"
        return Answer([f"the gate of {earlier} is {_hours(age)} old, {allowed}: {judge_it}"])
    if age < 0:
        return Answer(
            [f"the gate of {earlier} is of the future ({gate.content['time']}): mend the clock, or the record"]
        )
    return Answer([], gate.digest)


def differences(gate: Record, identity: Mapping[str, Mapping[str, Any]], built_from: str = "") -> list[str]:
    """In what the services that are to be deployed are not what was judged.

    built_from: digest of the judged release that another edition was built from, as the inventory says; it stands for
    the release of every service.
    """
    found = []
    for service, desired in identity.items():
        judged = gate.identity.get(service)
        if judged is None:
            found.append(f"{service} was not judged in {gate.environment}")
            continue
        for part, name in PARTS.items():
            mine = built_from if part == "release" and built_from else desired.get(part)
            if not mine or mine != judged.get(part):
                shown = (str(each)[:12] if each else "unknown" for each in (judged.get(part), mine))
                found.append("the {} of {} is not the one that passed in {}: {} was judged, this is {}".format(
                    name, service, gate.environment, *shown))  # fmt: skip
    return found


def allowed(
    order: Sequence[str],
    environment: str,
    records: Mapping[str, Sequence[Record]],
    now: datetime,
    validity_hours: float,
    identity: Mapping[str, Mapping[str, Any]] | None,
    built_from: str = "",
) -> Answer:
    """`may_promote`, and where it is known what is to be deployed, whether that is what was judged."""
    answer = may_promote(order, environment, records, now, validity_hours)
    gate = gate_of(records.get(before(order, environment) or "", []))
    if answer.refused or identity is None or gate is None:
        return answer
    return Answer(differences(gate, identity, built_from), answer.rests_on)


@dataclass(frozen=True)
class Stage:
    """One line of the pipeline: what is known of an environment, and what comes next there."""

    environment: str
    runs: str
    since: str
    gate: str
    age: str
    overridden: str
    next: str


def _runs(content: Mapping[str, Any]) -> str:
    shown = content.get("shown") or {
        name: "; ".join(service.get("runs") or []) for name, service in (content.get("services") or {}).items()
    }
    return "; ".join(f"{name}: {text}" for name, text in sorted(shown.items()) if text)


def pipeline(order: Sequence[str], records: Mapping[str, Sequence[Record]], now: datetime,
             validity_hours: Mapping[str, float]) -> list[Stage]:  # fmt: skip
    """Every environment at a glance. validity_hours: of each environment, how old the gate before it may be."""
    found: list[Stage] = []
    for place, environment in enumerate(order):
        chain = list(records.get(environment, []))
        arrivals = [record for record in chain if record.kind in (PROMOTION, OVERRIDE)]
        gates = [record for record in chain if record.kind == GATE]
        newest = max([*arrivals, *gates], key=lambda record: record.number, default=None)
        arrived = arrivals[-1] if arrivals else None
        # A gate of before the last arrival judged something else.
        gate = gates[-1] if gates and (arrived is None or gates[-1].number > arrived.number) else None
        passed = gate is not None and gate.content.get("verdict") == "pass"
        found.append(
            Stage(
                environment=environment,
                runs=_runs(newest.content) if newest else "",
                since=str(arrived.content["time"])[:16] if arrived else "",
                gate=str(gate.content.get("verdict")) if gate else "none",
                age=_hours((now - gate.time).total_seconds()) if gate else "",
                overridden=f"by {arrived.content['by']}: {arrived.content['why']}"
                if arrived and arrived.kind == OVERRIDE else "",
                next=_next(order, place, arrived, gate, passed, now, validity_hours, records),
            )
        )  # fmt: skip
    return found


def _next(order: Sequence[str], place: int, arrived: Record | None, gate: Record | None, passed: bool, now: datetime,
          validity_hours: Mapping[str, float], records: Mapping[str, Sequence[Record]]) -> str:  # fmt: skip
    environment = order[place]
    promote = f"ansible-playbook ansible/playbooks/promote.yml -l {environment}"
    if gate is not None and not passed:
        return f"mend what failed ({gate.path}), or go back: rollback.yml -l {environment}"
    earlier = order[place - 1] if place else None
    if earlier is not None:
        answer = may_promote(order, environment, records, now, validity_hours.get(environment, 0.0))
        done = arrived is not None and arrived.content.get("rests_on") == answer.rests_on
        if not answer.refused and not done:
            return promote
        if arrived is None:
            return f"wait for {earlier}"
    if gate is None:
        return f"make bake ENV={environment}"
    return "done" if place == len(order) - 1 else f"go on with {order[place + 1]}"


def utc_now() -> datetime:
    return datetime.now(timezone.utc)
