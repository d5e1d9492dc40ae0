"""The two places where a service's instance can live, and the link that says which of them takes traffic.

Names on a host, for a service `plane-api` and a colour `blue`:

    /etc/plane-api/blue/                            the colour's files
    /run/plane-api/blue/gunicorn.sock               where its gunicorn listens
    /run/plane-api/live.sock                        a link to the live colour's socket, and all that HAProxy knows: a
                                                    HAProxy process that a reload has replaced still holds idle clients,
                                                    and their next request must not go to the colour that has stopped
    /run/plane-api/canary.sock                      a link to the socket of a colour that has a share of the traffic
    plane-api@blue.service                          what keeps it running
    plane-api@spare.service                         a third instance, there only while a rotation replaces the live
                                                    colour's processes: /etc/plane-api/spare is a link to that colour
    /etc/plane-api/rotation.json                    when that happens; null where gunicorn renews its workers itself
    /run/plane-process-model/plane-api.rotation     what the rotation's timer has seen of the live instance
    /etc/plane-admission/services/plane-api.cfg     a link to ../../plane-api/<live colour>/admission.cfg
    /run/plane-process-model/plane-api@blue.json    what was proved of its process before it took traffic
    /run/plane-process-model/plane-api@blue.start   variables of its next start alone, while a rollback starts it
    /run/plane-process-model/lock                   which run changes this host
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import procfs

BLUE = "blue"
GREEN = "green"
COLOURS = (BLUE, GREEN)
# The instance of a rotation: it is no colour, nobody deploys it or goes back to it.
SPARE = "spare"

# Admission reaches the sockets of every service through it.
GROUP = "plane"

ADMISSION_UNIT = "plane-admission.service"
ADMISSION_DIRECTORY = Path("/etc/plane-admission")
ADMISSION_SOCKET = Path("/run/plane-admission/admin.sock")

# What a colour was deployed as, in its own folder.
DESIRED = "desired.json"
# What is true until the host reboots: proofs, start variables, the lock.
STATE = Path("/run/plane-process-model")


def proof_of(service: str, colour: str, directory: Path = STATE) -> Path:
    """What was proved of a colour before it took traffic; gone with a reboot, as the process is."""
    return directory / f"{service}@{colour}.json"


def start_variables_of(service: str, colour: str, directory: Path = STATE) -> Path:
    """Further variables of a colour's next start; its unit reads them where they are."""
    return directory / f"{service}@{colour}.start"


def other(colour: str) -> str:
    """The colour that `colour` is not."""
    return GREEN if colour == BLUE else BLUE


def unit_of(service: str, colour: str) -> str:
    return f"{service}@{colour}.service"


def socket_of(service: str, colour: str) -> str:
    return f"/run/{service}/{colour}/gunicorn.sock"


def live_socket_of(service: str, run: Path = Path("/run")) -> Path:
    """The link to the socket of the live colour."""
    return run / service / "live.sock"


def canary_socket_of(service: str, run: Path = Path("/run")) -> Path:
    """The link to the socket of a colour that is given a share of the traffic before the switch."""
    return run / service / "canary.sock"


def has_traffic(service: str, instance: str, run: Path = Path("/run")) -> bool:
    """Whether the link to the live socket leads to the instance."""
    try:
        return os.readlink(live_socket_of(service, run)) == socket_of(service, instance)
    except OSError:
        return False


def directory_of(service: str, colour: str, etc: Path = Path("/etc")) -> Path:
    return etc / service / colour


def rotation_file_of(service: str, etc: Path = Path("/etc")) -> Path:
    return etc / service / "rotation.json"


def link_of(service: str, admission: Path = ADMISSION_DIRECTORY) -> Path:
    """The link that is the record of the live colour."""
    return admission / "services" / f"{service}.cfg"


def live_colour(service: str, admission: Path = ADMISSION_DIRECTORY) -> str | None:
    """The colour that the link names; None before the first switch, or where the link names no colour."""
    try:
        target = os.readlink(link_of(service, admission))
    except OSError:
        return None
    colour = Path(target).parent.name
    return colour if colour in COLOURS else None


def services(etc: Path = ADMISSION_DIRECTORY) -> list[str]:
    """The services of this host that have a live colour."""
    return sorted(link.stem for link in (etc / "services").glob("*.cfg"))


def desired_of(service: str, colour: str, etc: Path = Path("/etc")) -> dict[str, Any] | None:
    """What the colour was deployed as; None where it never was, or its files are from before this command."""
    try:
        found: dict[str, Any] = json.loads((directory_of(service, colour, etc) / DESIRED).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found


def point_link(link: Path, target: Path) -> None:
    """Point `link` at `target` in one step: there is no moment without a link, and none with half of one."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.parent / f".{link.name}.new"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)


@dataclass(frozen=True)
class Drained:
    """How an old colour came to rest: after how many seconds, and how many requests were cut at the limit."""

    seconds: float
    cut: int


def held_by(service: str) -> dict[str, int]:
    """Colour -> requests that it holds now; only of colours that listen."""
    return {
        colour: procfs.count_unix_connections(socket_of(service, colour))
        for colour in COLOURS
        if procfs.unix_listeners(socket_of(service, colour))
    }


def wait_until_drained(service: str, colour: str, limit_seconds: float) -> Drained:
    """Wait until no connection to the colour's socket is left, `limit_seconds` at the most.

    Counts what the kernel says (/proc/net/unix): HAProxy opens one connection for each request, so the number of
    connections is the number of requests that the colour still holds.
    """
    return drain(lambda: procfs.count_unix_connections(socket_of(service, colour)), limit_seconds)


def drain(count: Callable[[], int], limit_seconds: float, poll_seconds: float = 0.02) -> Drained:
    """Wait until what is counted is over, `limit_seconds` at the most."""
    began = time.monotonic()
    while True:
        held = count()
        waited = time.monotonic() - began
        if held == 0 or waited > limit_seconds:
            return Drained(seconds=round(waited, 3), cut=held)
        time.sleep(poll_seconds)
