"""Desired against observed: every difference as one mismatch that says what to do about it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from . import recycling

DEPLOY = "run site.yml: it prepares, verifies and switches to a fresh colour"


def settings_folder(environment: str) -> str:
    """Where an environment's settings are, for the person who changes one."""
    return f"inventories/{environment}/group_vars/{environment}/"


@dataclass(frozen=True)
class Mismatch:
    """One difference. `what` is stable and meant for programs; `message` is one line for the person who is woken."""

    what: str
    desired: Any
    observed: Any
    message: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Fact:
    """An observed value and where it came from, for the message."""

    value: Any
    source: str
    agree: bool = True


def difference(what: str, desired: Any, fact: Fact, advice: str) -> Mismatch | None:
    """A mismatch unless the fact is what is desired and its sources agree."""
    if fact.value == desired and fact.agree:
        return None
    shown = "unknown" if fact.value is None else fact.value
    doubt = "" if fact.agree else " (its sources disagree)"
    return Mismatch(
        what=what,
        desired=desired,
        observed=fact.value,
        message=f"{what} is {shown}{doubt}, should be {desired} [{fact.source}]: {advice}",
    )


def compare_process(desired: Mapping[str, Any], facts: Mapping[str, Fact]) -> list[Mismatch]:
    """The process model itself: every value of desired["model"], the application, user, release and limits.

    facts: name -> Fact, as observe_instance() of process_model.state returns it. A name that desired leaves open
    (None) is not compared.
    """
    wanted: dict[str, Any] = {
        **{name: value for name, value in desired["model"].items() if name != "preload"},
        "application": desired["application"],
        "user": desired["user"],
        "release": desired["release"]["path"],
        **{f"limit {name}": value for name, value in desired["limits"].items()},
    }
    found = []
    for name, value in wanted.items():
        if value is None:
            continue
        fact = facts.get(name, Fact(None, "nothing said it", True))
        found.append(difference(name, value, fact, DEPLOY))
    preload = desired["model"]["preload"]
    if preload in ("true", "false") and "preload" in facts:
        found.append(difference("preload", preload == "true", facts["preload"], DEPLOY))
    return [mismatch for mismatch in found if mismatch]


def compare_versions(desired: Mapping[str, Any], versions: Mapping[str, str]) -> list[Mismatch]:
    """Settings that the installed gunicorn does not bear, as measured (docs/proposal.md).

    worker_connections: before 24.1.1 gthread counts idle connections too, so slots and health checks get none.
    max_requests: what the release pins is not always what is installed.
    """
    version = versions.get("gunicorn", "")
    if not recycling.numbers(version):
        return []
    name = str(desired["service"]).replace("-", "_")
    model = desired["model"]
    found = []
    connections = model["worker_connections"]
    if connections is not None and model["worker_class"] == "gthread" and recycling.numbers(version) < (24, 1, 1):
        found.append(
            Mismatch(
                what="worker_connections",
                desired=None,
                observed=connections,
                message=f"{name}_worker_connections is {connections}, which breaks slots and health checks of gunicorn "
                f"{version} [its dist-info]. Allowed: null, or gunicorn 24.1.1 or newer in the release's requirements",
            )
        )
    asked = recycling.choose(
        str(desired["service"]), "gunicorn", model["worker_class"], version, desired["change"], model["max_requests"]
    )
    if asked.refusal:
        found.append(Mismatch("recycling", recycling.ROTATION, recycling.GUNICORN, f"{asked.refusal} [its dist-info]"))
    return found


def files_of_colour(desired: Mapping[str, Any], colour: str, with_admission: bool) -> dict[str, str]:
    """Path -> SHA-256 of what an instance of `colour` is made from; with admission's own files where it is live."""
    other = f"/etc/{desired['service']}/{'green' if colour == 'blue' else 'blue'}/"
    return {
        path: digest
        for path, digest in desired["files"].items()
        if not path.startswith(other) and (with_admission or "/plane-admission" not in path)
    }


def compare_files(wanted: Mapping[str, str], found: Mapping[str, str | None], environment: str) -> list[Mismatch]:
    """Files by digest, both path -> SHA-256; None where there is no file."""
    mismatches = []
    for path, digest in sorted(wanted.items()):
        if found.get(path) == digest:
            continue
        state = "is missing" if found.get(path) is None else "is not what the inventory renders"
        mismatches.append(
            Mismatch(
                what=f"file {path}",
                desired=digest,
                observed=found.get(path),
                message=f"{path} {state} (edited by hand, or the inventory changed): "
                f"put the setting into {settings_folder(environment)} and run site.yml",
            )
        )
    return mismatches


def compare_fingerprint(desired: str, running: str | None) -> list[Mismatch]:
    """Whether the process was started from what the inventory says now: a stale process carries another fingerprint."""
    if running == desired:
        return []
    shown = f"{running[:12]}…" if running else "none"
    return [
        Mismatch(
            what="fingerprint",
            desired=desired,
            observed=running,
            message=f"the process was started from other files or an older release (fingerprint {shown}, should be "
            f"{desired[:12]}…) [/proc/<master>/environ]: {DEPLOY}",
        )
    ]


def compare_admission(desired: Mapping[str, Any], observed: Mapping[str, Any], live: str) -> list[Mismatch]:
    """What the running HAProxy does: who listens where, to which colour each route goes, slots, queues and patterns."""
    if not observed["running"]:
        return [
            Mismatch(
                what="admission",
                desired="running",
                observed="not running",
                message=f"admission does not run ({observed['reason']}): systemctl status plane-admission; {DEPLOY}",
            )
        ]
    door = desired["front_door"]
    address = f"{door['address']}:{door['port']}"
    found = []
    if address not in observed["listening"]:
        found.append(
            Mismatch(
                what="listening address",
                desired=address,
                observed=observed["listening"],
                message=f"admission does not listen on {address} but on "
                f"{', '.join(observed['listening']) or 'nothing'} [/proc/net/tcp]: {DEPLOY}",
            )
        )
    if not observed["configuration_is_current"]:
        found.append(
            Mismatch(
                what="admission configuration",
                desired="read after its last change",
                observed="older",
                message="admission's files changed after HAProxy read them [HAProxy's start, time of the files]: "
                "systemctl reload plane-admission, or run site.yml",
            )
        )
    running = {backend["name"]: backend for backend in observed["backends"]}
    for backend in door["backends"]:
        found += _compare_backend(backend, running.pop(backend["name"], None), live)
    for name in sorted(running):
        found.append(
            Mismatch(
                what=f"route {name}",
                desired=None,
                observed=running[name]["path"],
                message=f"admission has a route {name} that the inventory does not name [show stat]: {DEPLOY}",
            )
        )
    return found


def _compare_backend(desired: Mapping[str, Any], observed: Mapping[str, Any] | None, live: str) -> Iterable[Mismatch]:
    name = desired["name"]
    if observed is None:
        yield Mismatch(
            what=f"route {name}",
            desired=desired["path"],
            observed=None,
            message=f"admission has no route {name} [show stat]: {DEPLOY}",
        )
        return
    if observed["canary"]:
        yield Mismatch(
            what=f"canary of {name}",
            desired=0,
            observed=observed["canary"],
            message=f"{observed['canary']} % of route {name} go to the colour that is not live [HAProxy's runtime "
            f"socket]: a rollout gives it a share now, or one was killed; then {DEPLOY}",
        )
    for key, wanted in (
        ("slots", desired["slots"]),
        ("queue", desired["queue"]),
        ("path", desired["path"]),
        ("colour", live),
    ):
        if observed[key] != wanted:
            yield Mismatch(
                what=f"{key} of {name}",
                desired=wanted,
                observed=observed[key],
                message=f"{key} of route {name} is {observed[key]}, should be {wanted} "
                f"[HAProxy's runtime socket]: {DEPLOY}",
            )
