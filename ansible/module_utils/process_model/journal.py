"""What units wrote to the journal, and which process wrote it: journald notes that itself."""

from __future__ import annotations

import subprocess
import time

# Who passes a request on logs it too.
PASSING_ON = ("plane-admission", "plane_proxy")
DOCKER_UNIT = "docker.service"


def _journalctl(*arguments: str) -> str:
    return subprocess.run(
        ["journalctl", "--quiet", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    ).stdout


def last_lines(*identifiers: str, count: int | None = None, since: float = 0) -> list[str]:
    """The last `count` lines that were written under one of syslog's identifiers since `since` (seconds since 1970).

    count: None for all of them.
    """
    return _journalctl(
        f"--lines={'all' if count is None else count}",
        f"--since=@{since:.6f}",
        "--output=cat",
        *(f"--identifier={identifier}" for identifier in identifiers),
    ).splitlines()


def last_words(identifier: str, since: float) -> list[str]:
    """The last 25 lines since then that begin at the margin: not those inside a traceback."""
    lines = last_lines(identifier, count=300, since=since)
    return [line for line in lines if line.strip() and not line.startswith("  ")][-25:]


def writer_of(mark: str, since: float, limit_seconds: float = 2.0) -> int | None:
    """The process that wrote a line with `mark`, who passes it on aside; None where none did within the limit.

    since: seconds since 1970 before which no line can be.
    """
    deadline = time.monotonic() + limit_seconds
    while True:
        text = _journalctl(
            f"--since=@{int(since)}", "--output=export", "--output-fields=_PID,MESSAGE,SYSLOG_IDENTIFIER"
        )
        for entry in text.split("\n\n"):
            fields = dict(line.split("=", 1) for line in entry.splitlines() if "=" in line)
            if mark in fields.get("MESSAGE", "") and fields.get("SYSLOG_IDENTIFIER") not in PASSING_ON:
                return int(fields["_PID"])
        if time.monotonic() > deadline:
            return None
        time.sleep(0.05)


def container_of(mark: str, since: float, limit_seconds: float = 2.0) -> str | None:
    """The id of the container that wrote a line with `mark` to the journal, who passes it on aside."""
    deadline = time.monotonic() + limit_seconds
    while True:
        text = _journalctl(
            f"--since=@{int(since)}",
            f"--grep={mark}",
            "--output=export",
            "--output-fields=CONTAINER_ID_FULL,MESSAGE,SYSLOG_IDENTIFIER",
        )
        for entry in text.split("\n\n"):
            fields = dict(line.split("=", 1) for line in entry.splitlines() if "=" in line)
            if "CONTAINER_ID_FULL" in fields and fields.get("SYSLOG_IDENTIFIER") not in PASSING_ON:
                return fields["CONTAINER_ID_FULL"]
        if time.monotonic() > deadline:
            return None
        time.sleep(0.05)


def units_of(marks: list[str], since: float, limit_seconds: float = 2.0) -> dict[str, str]:
    """Mark -> the unit that logged a request with it; a mark is missing where none did within the limit."""
    deadline = time.monotonic() + limit_seconds
    while True:
        found = parse_units(
            _journalctl(
                f"--since=@{int(since)}",
                f"--grep={'|'.join(marks)}",
                "--output=export",
                "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT",
            ),
            marks,
        )
        if len(found) == len(marks) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def parse_units(text: str, marks: list[str]) -> dict[str, str]:
    """The same from journalctl's export format."""
    found = {}
    for entry in text.split("\n\n"):
        fields = dict(line.split("=", 1) for line in entry.splitlines() if "=" in line)
        identifier = fields.get("SYSLOG_IDENTIFIER", "")
        # Ansible logs what its modules are asked, these marks too.
        if identifier not in PASSING_ON and not identifier.startswith("ansible-"):
            unit = fields.get("_SYSTEMD_UNIT", "")
            if unit == DOCKER_UNIT:
                # Docker writes for its containers, which are named plane-api-blue where a unit is plane-api@blue.
                unit = "@".join(identifier.rsplit("-", 1)) + ".service"
            found.update({mark: unit for mark in marks if mark in fields.get("MESSAGE", "")})
    return found
