"""Who answers a path behind the proxy of an installation: asked of the running proxy, whatever its files say.

Each request carries a mark that nobody else can know, and the container that answered has it in its log.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import containers

# A path that every edition sends to its API: a proxy that leads even this one nowhere was asked in vain.
CONTROL = "/api/"
# Where upstream's commercial edition has GraphQL.
GRAPHQL = "/graphql/"
# Of ours, in the same network; each carries the service's name and its colour.
OURS = ("plane-api", "plane-graphql")
# How long a container may take to log what it has answered.
LOGGED_SECONDS = 5.0
# What was answered before the control may be logged after it, by another worker.
LATE_SECONDS = 1.0


class RoutingError(Exception):
    """Nobody can say where the proxy leads; the message says what was tried."""


@dataclass(frozen=True)
class Door:
    """A port of a container that the installation publishes: where clients, or a load balancer, come in."""

    container: str
    address: str
    port: int

    @property
    def secure(self) -> bool:
        return self.port == 443


@dataclass(frozen=True)
class Answer:
    """container: who answered, of the installation's own service and of ours; empty where it was neither."""

    path: str
    status: int
    container: str

    @property
    def served(self) -> bool:
        """Whether REST, or what has its name, answers the path, and not only that there is no such path."""
        return bool(self.container) and self.status != http.HTTPStatus.NOT_FOUND


def doors(inspected: Iterable[Mapping[str, Any]]) -> list[Door]:
    """The published TCP ports, of what `docker container inspect` shows."""
    found = []
    for shown in inspected:
        container = containers.parse(shown)
        for port, published in (shown["NetworkSettings"]["Ports"] or {}).items():
            number, _, protocol = port.partition("/")
            if published and protocol == "tcp" and container.addresses:
                found.append(Door(container.name, container.addresses[0], int(number)))
    return sorted(found, key=lambda door: (door.port, door.container))


def candidates(inspected: Iterable[Mapping[str, Any]], service: str) -> list[str]:
    """The containers that may answer to the name of the installation's service, or are ours."""
    found = []
    for shown in inspected:
        container = containers.parse(shown)
        label = container.labels.get(containers.SERVICE_LABEL, "")
        if label == service or label.startswith(tuple(f"{name}-" for name in OURS)):
            found.append(container.name)
    return found


def ask(installation: containers.Installation, paths: Sequence[str], host: str) -> list[Answer]:
    """Who answers each of the paths, and CONTROL, through the installation's proxy; GET, which changes nothing.

    host: the name by which clients call the installation. Raises RoutingError and containers.DockerError.
    """
    inspected = _inspect(installation)
    names = candidates(inspected, installation.service)
    tried = doors(inspected)
    for door in tried:
        since = int(time.time()) - 1
        marks = {path: uuid.uuid4().hex for path in (*paths, CONTROL)}
        try:
            statuses = {path: get(door, f"{path}?verify={mark}", host) for path, mark in marks.items()}
        except (OSError, http.client.HTTPException):
            continue  # a database, or whatever else is published and no proxy
        logged = _who_logged(names, marks, since)
        if logged[CONTROL]:
            return [Answer(path, statuses[path], logged[path]) for path in marks]
    ports = ", ".join(f"{door.container}:{door.port}" for door in tried)
    raise RoutingError(
        f"GET {CONTROL} for the host {host} reached {installation.service} through "
        f"{f'none of {ports}' if ports else 'nothing, as no running container publishes a port'}"
    )


def _inspect(installation: containers.Installation) -> list[dict[str, Any]]:
    project = f"label={containers.PROJECT_LABEL}={installation.project}"
    names = containers.docker("container", "ls", "--filter", project, "--format", "{{.Names}}").split()
    found: list[dict[str, Any]] = json.loads(containers.docker("container", "inspect", *names)) if names else []
    return found


def get(door: Door, path: str, host: str, timeout: float = 5.0) -> int:
    """The status of one request. Raises OSError and http.client.HTTPException."""
    plain = socket.create_connection((door.address, door.port), timeout=timeout)
    connection = http.client.HTTPConnection(host, door.port, timeout=timeout)
    try:
        connection.sock = _secured(plain, host) if door.secure else plain
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()
        plain.close()


def _secured(plain: socket.socket, host: str) -> ssl.SSLSocket:
    """TLS without a look at the certificate, which is not the question here; the name chooses the site."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=host)


def _who_logged(names: Sequence[str], marks: Mapping[str, str], since: int) -> dict[str, str]:
    """Path -> the container that logged its mark. Raises containers.DockerError where a log cannot be read."""
    found = dict.fromkeys(marks, "")
    began = time.monotonic()
    control_seen: float | None = None
    while True:
        for name in names:
            text = containers.docker("container", "logs", f"--since={since}", name)
            found.update({path: name for path, mark in marks.items() if mark in text})
        now = time.monotonic()
        if found[CONTROL] and control_seen is None:
            control_seen = now
        late = control_seen is not None and now - control_seen >= LATE_SECONDS
        if all(found.values()) or late or now - began >= LOGGED_SECONDS:
            return found
        time.sleep(0.1)
