"""Two people do not change one host at once: a lock with an owner, an age, and a way to break it.

The lock is a file in /run, so a reboot removes it. It holds who took it: user, machine, process and the process's
start, which together tell one run from every other. Whoever is on that same machine can see whether the run still
lives; a lock whose run has ended there is taken over without asking.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import colours, procfs

LOCK = colours.STATE / "lock"
# The user of the lock while a rotation replaces processes; others wait for that, it is over in a minute or two.
ROTATION = "rotation"
BREAK = "plane-process-model unlock"


@dataclass(frozen=True)
class Owner:
    """A run that changes a host. since: seconds since 1970 at which it took the lock, by the host's own clock."""

    user: str
    machine: str
    process: int
    start_ticks: int
    since: float = 0.0

    def is_same_run(self, other: Owner) -> bool:
        return (self.machine, self.process, self.start_ticks) == (other.machine, other.process, other.start_ticks)

    def has_ended(self) -> bool:
        """Whether the run is known to be over: it was on this machine, and is not there now."""
        return self.machine == machine_name() and procfs.start_ticks(self.process) != self.start_ticks

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class LockedError(Exception):
    """Somebody else changes this host; the message says who, since when, and how to break the lock."""


def machine_name() -> str:
    """This machine, and this boot of it: a process number says nothing about another boot."""
    boot = procfs.read(Path("/proc/sys/kernel/random/boot_id")).strip()[:8]
    return f"{os.uname().nodename} (boot {boot})"


def owner_of_process(pid: int, user: str = "") -> Owner:
    """The run whose process is `pid`, on this machine."""
    user = user or os.environ.get("SUDO_USER") or getpass.getuser()
    return Owner(user, machine_name(), pid, procfs.start_ticks(pid) or 0)


def read(path: Path = LOCK) -> Owner | None:
    """Who holds the lock; None where nobody does. A file that holds no owner is nobody's: a full disk may leave one."""
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def wait_for_rotation(limit_seconds: float = 300.0, path: Path = LOCK) -> None:
    """Wait until no rotation holds the lock: an instance that it replaces is not what it will be."""
    deadline = time.monotonic() + limit_seconds
    while time.monotonic() < deadline:
        held = read(path)
        if held is None or held.user != ROTATION or held.has_ended():
            return
        time.sleep(0.2)


def message(owner: Owner, now: float) -> str:
    age = max(0, int(now - owner.since))
    return (
        f"{owner.user} on {owner.machine} has been changing this host for {age // 60} min {age % 60} s "
        f"(process {owner.process}). Wait, or, where that run is known to be over: {BREAK}"
    )


def take(mine: Owner, over: Owner | None = None, path: Path = LOCK) -> bool:
    """Take the lock, or keep it where this run has it already; whether it was taken now.

    Start variables (colours.start_variables_of) that a run left behind are removed with its lock.

    over: the owner whose run is known to have ended. Raises LockedError where another run holds it; a rotation is
    waited for.
    """
    wait_for_rotation(path=path)
    path.parent.mkdir(mode=0o755, exist_ok=True)
    # Of two who look at once, the second sees what the first has written.
    with path.with_name(f"{path.name}.guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        held = read(path)
        if held and held.is_same_run(mine):
            return False
        if held and not (over and held.is_same_run(over)) and not held.has_ended():
            raise LockedError(message(held, time.time()))
        path.write_text(json.dumps({**mine.to_dict(), "since": time.time()}), encoding="utf-8")
        # Who writes variables for a next start holds the lock: these are of a run that was killed.
        for left in path.parent.glob("*.start"):
            left.unlink()
    return True


def release(mine: Owner | None, path: Path = LOCK) -> bool:
    """Give the lock back; whether there was one to give. mine None: break it, whoever holds it."""
    held = read(path)
    if mine is not None and not (held and held.is_same_run(mine)):
        return False
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed
