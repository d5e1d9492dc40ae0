"""What Docker says of the containers of an installation, where instances run as such.

A unit of systemd keeps each of them running, as it does where there are no containers. It starts the very container
that was made and verified: what the installation's files say meanwhile is found by comparing, not by a restart.

Names, for a service `plane-api` and a colour `blue`:

    plane-api-blue          the colour's container
    plane-api-blue-spare    made beside it, for a rotation of that colour
    plane-admission         HAProxy, which answers to the installation's own name for the service (`api`)

/etc/plane-api/blue/configuration holds Compose's digest of what the colour's container was made of.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import colours, procfs

ADMISSION = "plane-admission"
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
# In a colour's folder.
FILE = "compose.yaml"
CONFIGURATION = "configuration"
# The first that knows !override and !reset.
OLDEST_COMPOSE = (2, 24, 4)


class DockerError(Exception):
    """Docker did not do what it was asked; the message holds its words."""


@dataclass(frozen=True)
class Container:
    """image: the image's own id, which no tag can change. addresses: in its networks."""

    name: str
    identifier: str
    pid: int
    image: str
    labels: Mapping[str, str]
    addresses: Sequence[str]


def docker(*arguments: str) -> str:
    """What the command printed. Raises DockerError."""
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise DockerError(f"docker: {error.strerror}") from error
    if done.returncode:
        raise DockerError(f"docker {' '.join(arguments[:2])}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def parse(shown: Mapping[str, Any]) -> Container:
    """One entry of `docker container inspect`."""
    networks = shown["NetworkSettings"]["Networks"].values()
    return Container(
        name=shown["Name"].lstrip("/"),
        identifier=shown["Id"],
        pid=int(shown["State"]["Pid"]),
        image=shown["Image"],
        labels=shown["Config"]["Labels"] or {},
        addresses=[network["IPAddress"] for network in networks if network["IPAddress"]],
    )


def find(name: str) -> Container | None:
    """The container of that name, whether it runs or not; None where there is none, or no Docker."""
    try:
        return parse(json.loads(docker("container", "inspect", name))[0])
    except DockerError:
        return None


def name_of(service: str, instance: str, etc: Path = Path("/etc")) -> str:
    """The container of an instance; that of a rotation is made for the colour that its folder's link names."""
    if instance != colours.SPARE:
        return f"{service}-{instance}"
    try:
        colour = os.readlink(colours.directory_of(service, instance, etc))
    except OSError:
        colour = colours.BLUE
    return f"{service}-{colour}-{instance}"


def find_instance(service: str, instance: str) -> Container | None:
    """The container of an instance: by its name, or one of the tasks on this node where it is a service of a Swarm."""
    found = find(name_of(service, instance))
    if found:
        return found
    try:
        tasks = docker("container", "ls", "--quiet", "--filter", rf"name=_{service}-{instance}\.").split()
    except DockerError:
        return None
    return find(tasks[0]) if tasks else None


def steps_in(text: str) -> list[str]:
    """The commands of manage.py that an entrypoint runs, in its order, each once."""
    return list(dict.fromkeys(re.findall(r"^[^#\n]*\bmanage\.py\s+([a-z_]+)", text, re.MULTILINE)))


def host_process(container: str, process: int) -> int | None:
    """The number that the host knows a process of a container by, from the one that the container knows it by."""
    found = find(container)
    if not found or not found.pid:
        return None
    group = procfs.cgroup_of(found.pid)
    for entry in procfs.PROC.iterdir():
        if entry.name.isdigit() and procfs.cgroup_of(int(entry.name)) == group:
            inner = procfs.inner_number(int(entry.name))
            if inner == process:
                return int(entry.name)
    return None


# What a colour's compose file limits, by Compose's names.
LIMITS = ("mem_limit", "memswap_limit", "mem_reservation", "cpus", "pids_limit")


def limits_alone(service: str, limits: Mapping[str, str]) -> str:
    """A compose file that leaves a service these limits and no other."""
    lines = [f"    {name}: {limits.get(name, '!reset null')}" for name in LIMITS]
    return "\n".join(["services:", f"  {service}:", *lines, ""])


@dataclass(frozen=True)
class Installation:
    """An installation of Docker Compose, as the inventory names it.

    file, variables: its own compose file and the values for it. service: its own service that ours replace, whose name
    admission answers to. graphql_paths: what its proxy sends to that service too, and GraphQL answers.
    """

    directory: str
    project: str
    file: str
    variables: str
    service: str
    admission_image: str
    graphql_paths: Sequence[str] = ()

    @staticmethod
    def of(desired: Mapping[str, Any]) -> Installation | None:
        found = desired.get("installation")
        return Installation(**found) if found else None

    def compose(self, *arguments: str, files: Sequence[str] = ()) -> str:
        """`docker compose` of the installation, with further files. Raises DockerError."""
        return docker(*self.command(*arguments, files=files))

    def command(self, *arguments: str, files: Sequence[str] = ()) -> list[str]:
        """The words after `docker` of the same."""
        chosen = [word for file in (self.file, *files) for word in ("--file", file)]
        return [
            "compose", "--project-name", self.project, "--project-directory", self.directory,
            "--env-file", self.variables, *chosen, *arguments,
        ]  # fmt: skip

    def image(self) -> tuple[str, str]:
        """The image that the installation names for its service now: its name, and its id on this host.

        Raises DockerError where the installation is not readable, or the image is not there.
        """
        name = self._own_service()["image"]
        return name, docker("image", "inspect", "--format", "{{.Id}}", name).strip()

    def own_image(self) -> str:
        """The name of the image that the installation has for its service now. Raises DockerError."""
        return str(self._own_service()["image"])

    def _own_service(self) -> dict[str, Any]:
        """The installation's service as Compose reads it. Raises DockerError."""
        services: dict[str, Any] = json.loads(self.compose("config", "--format", "json"))["services"]
        if self.service not in services:
            raise DockerError(f"{self.directory} has no service {self.service}: it has {', '.join(sorted(services))}")
        found: dict[str, Any] = services[self.service]
        return found

    def own_steps(self) -> tuple[str, list[str]]:
        """The file that the installation's service starts with, and the commands of manage.py that it runs.

        Read from the image. Raises DockerError.
        """
        service = self._own_service()
        command = service.get("command") or service.get("entrypoint") or []
        words = command.split() if isinstance(command, str) else command
        if not words:
            raise DockerError(f"the service {self.service} of {self.file} names no command")
        text = docker("run", "--rm", "--network=none", "--entrypoint=cat", service["image"], words[0])
        return words[0], steps_in(text)

    def configuration(self, service: str, file: str) -> str:
        """Compose's own digest of a service of ours, the installation's part of it included. Raises DockerError."""
        return self.compose("config", "--hash", service, files=[file]).split()[-1]

    def make(self, folder: Path, services: Sequence[str], anew: bool = True) -> None:
        """Make the containers of a folder's compose file, from what it and the installation say now.

        None of them is started. anew: also those that are of the same settings already. Raises DockerError.
        """
        file = str(folder / FILE)
        how = ["--force-recreate"] if anew else []
        self.compose("up", "--no-start", "--no-deps", *how, "--pull=never", *services, files=[file])
        (folder / CONFIGURATION).write_text(self.configuration(services[0], file), encoding="utf-8")

    def own_containers(self) -> list[str]:
        """The running containers of the installation's own service: what answers beside admission, unverified."""
        filters = [f"label={PROJECT_LABEL}={self.project}", f"label={SERVICE_LABEL}={self.service}"]
        chosen = [word for each in filters for word in ("--filter", each)]
        return docker("container", "ls", *chosen, "--format", "{{.Names}}").split()
