"""An instance beside the live one, for who measures or audits a release: it has no traffic, and ends with the block."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import colours, observe

SOCKET = "gunicorn.sock"


class InstanceError(Exception):
    """The instance does not run; the message says why, or where it does."""


def folder_of(service: str, purpose: str) -> Path:
    """Where the instance's socket is, and what it writes."""
    return Path("/run") / f"{service}-{purpose}"


@contextlib.contextmanager
def instance(
    service: str,
    colour: str,
    purpose: str,
    command: Sequence[str],
    options: Sequence[str],
    start_seconds: float,
    own_limits: bool = False,
) -> Iterator[str]:
    """Run `command` as the service's user, with a colour's environment and release; the path of its socket.

    It has to listen at SOCKET in its folder, and shares the service's limits with the live colour unless it has limits
    of its own, among the options. purpose: names the unit. options: further ones of systemd-run. Raises InstanceError.
    """
    unit = f"{service}-{purpose}"
    directory = colours.directory_of(service, colour)
    path = str(folder_of(service, purpose) / SOCKET)
    run = [
        "systemd-run", f"--unit={unit}", "--collect", "--quiet",
        f"--property=User={service}", f"--property=Group={colours.GROUP}",
        f"--property=EnvironmentFile={directory}/environment", f"--property=RuntimeDirectory={unit}",
        f"--property=WorkingDirectory={directory}/release/code",
        *([] if own_limits else [f"--property=Slice={service}.slice"]), *options, *command,
    ]  # fmt: skip
    started = subprocess.run(run, capture_output=True, text=True, check=False)
    if started.returncode:
        raise InstanceError(f"{unit} does not start: {started.stderr.strip()}")
    try:
        deadline = time.monotonic() + start_seconds
        while observe.request(path).status is None:
            if time.monotonic() > deadline:
                raise InstanceError(f"{unit} does not answer: journalctl -u {unit}")
            time.sleep(0.2)
        yield path
    finally:
        subprocess.run(["systemctl", "stop", unit], capture_output=True, check=False)
