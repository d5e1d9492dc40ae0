"""How the workers of a service are renewed without losing a request: by gunicorn itself, or by rotation. No I/O.

gunicorn ends a worker after max_requests and starts another. What that loses depends on its version, on the class, on
whether connections are kept, and on the method: MEASURED holds it. Behind admission gunicorn sees one request for each
connection, and an empty answer to a safe method is asked for again; what is left to lose are writes. Where it loses
those too, the whole instance is replaced by a fresh one that was verified, which loses nothing: rotation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GUNICORN = "gunicorn"
ROTATION = "rotation"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

Version = tuple[int, ...]


@dataclass(frozen=True)
class Measured:
    """Requests lost of 6,000 at concurrency 32 while two workers were recycled about 30 times, straight at gunicorn.

    since: the first version for which it holds, until the next entry of the class. None: any.
    """

    worker_class: str
    since: str | None
    closed: int
    kept: int
    source: str


MEASURED = (
    Measured("gthread", None, 40, 245, "docs/claims.md, gunicorn 23.0.0"),
    Measured("gthread", "24.1.1", 0, 214, "docs/claims.md, gunicorn 24.1.1, 25.3.0 and 26.2.0"),
    Measured("gthread", "27.0.1", 0, 0, "docs/claims.md, gunicorn 27.0.1"),
    Measured("uvicorn", None, 108, 768, "docs/claims.md, uvicorn's worker"),
)


def numbers(version: str) -> Version:
    """`24.1.1` as (24, 1, 1); empty where it is no version."""
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def measured_for(worker_class: str, version: str) -> Measured:
    """The entry that holds for a class and version; the oldest, which loses most, for a version that is not known."""
    fitting = [
        entry
        for entry in MEASURED
        if entry.worker_class == worker_class and numbers(entry.since or "") <= numbers(version)
    ]
    return fitting[-1]


def lost(worker_class: str, version: str, kept: bool, method: str, repeated: bool) -> int:
    """Requests of 6,000 that recycling loses. repeated: whether an empty answer to a safe method is asked for again."""
    if repeated and method in SAFE_METHODS:
        return 0
    entry = measured_for(worker_class, version)
    return entry.kept if kept else entry.closed


@dataclass(frozen=True)
class Strategy:
    """strategy: gunicorn or rotation. why: one clause. refusal: why what is asked for must not be, or empty."""

    strategy: str
    why: str
    refusal: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"strategy": self.strategy, "why": self.why, "refusal": self.refusal}


def choose(service: str, asked: str, worker_class: str, version: str, change: str, max_requests: int) -> Strategy:
    """How the workers of `service` are renewed behind admission, whose connections to gunicorn are not kept.

    asked: auto, gunicorn or rotation. version: of the gunicorn that the release requires, empty where it does not pin
    one. change: start-first or stop-first; rotation needs room for two instances.
    """
    prefix = service.replace("-", "_")
    gunicorn = f"gunicorn {version}" if numbers(version) else "a gunicorn that the release does not pin"
    loses = bool(max_requests) and lost(worker_class, version, kept=False, method="POST", repeated=True) > 0
    source = measured_for(worker_class, version).source
    what = f"{gunicorn} with {worker_class} loses writes when it recycles ({source})"
    if change == "stop-first":
        refusal = (
            f"{prefix}_recycling is rotation, which needs memory for two instances, but {prefix}_change is stop-first. "
            "Allowed: gunicorn, or start-first"
        )
        why = "there is no memory for two instances" + (f", though {what}" if loses else "")
        return Strategy(GUNICORN, why, refusal if asked == ROTATION else "")
    if asked == ROTATION:
        return Strategy(ROTATION, "the inventory asks for it")
    if not loses:
        never = not max_requests
        return Strategy(
            GUNICORN, "never" if never else f"{gunicorn} with {worker_class} loses nothing when it recycles"
        )
    if asked == GUNICORN:
        refusal = f"{prefix}_recycling is gunicorn, but {what}. Allowed: auto or rotation, or a newer gunicorn"
        return Strategy(GUNICORN, what, refusal)
    return Strategy(ROTATION, what)


def pinned(requirements: Mapping[str, str], start: str, package: str = "gunicorn") -> str:
    """The version that a requirements file pins (`gunicorn==23.0.0`); empty where it does not.

    requirements: path -> text of the release's files; `-r other.txt` is followed from the folder of the file.
    """
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path in seen or path not in requirements:
            continue
        seen.add(path)
        folder = path.rpartition("/")[0]
        for line in requirements[path].splitlines():
            words = line.split("#")[0].split(";")[0].replace("\\", " ").split()
            if words and words[0].lower().partition("==")[0] == package and "==" in words[0]:
                return words[0].partition("==")[2]
            if len(words) == 2 and words[0] in ("-r", "--requirement", "-c", "--constraint"):
                waiting.append(f"{folder}/{words[1]}".lstrip("/"))
    return ""
