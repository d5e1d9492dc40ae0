"""An instance beside the live one, for who measures or audits a release: it has no traffic, and ends with the block."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from . import colours, containers, observe

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
    directory = colours.directory_of(service, colour)
    own = [
        f"--property=User={service}", f"--property=Group={colours.GROUP}",
        f"--property=EnvironmentFile={directory}/environment", f"--property=WorkingDirectory={directory}/release/code",
        *([] if own_limits else [f"--property=Slice={service}.slice"]),
    ]  # fmt: skip
    with _unit(service, purpose, command, [*own, *options], start_seconds) as path:
        yield path


@contextlib.contextmanager
def contained(
    service: str,
    colour: str,
    purpose: str,
    installation: containers.Installation,
    variables: Mapping[str, str],
    limits: Mapping[str, str] | None,
    start_seconds: float,
) -> Iterator[str]:
    """Run a container as a colour's, its own entrypoint included; the path of its socket.

    variables: over the colour's own. limits: of Compose's file, in place of all that the colour has; None: the
    colour's, for itself alone, as each container has them. Raises InstanceError or containers.DockerError.
    """
    name, folder = f"{service}-{purpose}", folder_of(service, purpose)
    files = [str(colours.directory_of(service, colour) / containers.FILE)]
    if limits is not None:
        file = colours.STATE / f"{name}.yaml"
        file.write_text(containers.limits_alone(f"{service}-{colour}", limits), encoding="utf-8")
        files.append(str(file))
    command = installation.command(
        "run", "--rm", "--no-deps", "--no-TTY", f"--name={name}", f"--volume={folder}:{folder}",
        *(f"--env={key}={value}" for key, value in variables.items()), f"{service}-{colour}", files=files,
    )  # fmt: skip
    # Compose hands a signal on, but does not always take the container with it.
    options = [f"--property=ExecStopPost=-docker rm --force {name}"]
    with _unit(service, purpose, ["docker", *command], options, start_seconds) as path:
        yield path


@contextlib.contextmanager
def _unit(
    service: str, purpose: str, command: Sequence[str], options: Sequence[str], start_seconds: float
) -> Iterator[str]:
    """Run `command` in a unit of its own until the block ends; the path of its socket. Raises InstanceError."""
    unit = f"{service}-{purpose}"
    path = str(folder_of(service, purpose) / SOCKET)
    run = [
        "systemd-run", f"--unit={unit}", "--collect", "--quiet", f"--property=RuntimeDirectory={unit}", *options,
        *command,
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
