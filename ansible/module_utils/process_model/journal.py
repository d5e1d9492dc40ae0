"""What units wrote to the journal, and which process wrote it: journald notes that itself."""

from __future__ import annotations

import subprocess
import time


def _journalctl(*arguments: str) -> str:
    return subprocess.run(
        ["journalctl", "--quiet", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    ).stdout


def last_lines(identifier: str, count: int, since: float = 0) -> list[str]:
    """The last `count` lines that were written under a syslog identifier since `since` (seconds since 1970)."""
    return _journalctl(
        f"--lines={count}", f"--since=@{since:.6f}", "--output=cat", f"--identifier={identifier}"
    ).splitlines()


def lines_of_last(identifier: str, seconds: float) -> list[str]:
    """What was written under a syslog identifier in the last `seconds`."""
    since = time.time() - seconds
    return _journalctl(f"--since=@{since:.6f}", "--output=cat", f"--identifier={identifier}").splitlines()


def writer_of(mark: str, since: float, limit_seconds: float = 2.0) -> int | None:
    """The process that wrote a line with `mark`, admission's own log aside; None where none did within the limit.

    since: seconds since 1970 before which no line can be.
    """
    deadline = time.monotonic() + limit_seconds
    while True:
        text = _journalctl(
            f"--since=@{int(since)}", "--output=export", "--output-fields=_PID,MESSAGE,SYSLOG_IDENTIFIER"
        )
        for entry in text.split("\n\n"):
            fields = dict(line.split("=", 1) for line in entry.splitlines() if "=" in line)
            if mark in fields.get("MESSAGE", "") and fields.get("SYSLOG_IDENTIFIER") != "plane-admission":
                return int(fields["_PID"])
        if time.monotonic() > deadline:
            return None
        time.sleep(0.05)
