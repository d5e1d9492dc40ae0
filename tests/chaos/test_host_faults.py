"""Every fault of host_faults.py under clients that read, write and download: what they saw, and what is lost."""

from __future__ import annotations

import re
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

import client
import pytest
from host_faults import HOST_FAULTS, SITE, HostFault
from support import (
    PORTS,
    Host,
    a_change,
    load,
    load_both_ways,
    on_colour,
    report,
    site,
    stored_wrongly,
    succeeded,
    wait_for,
)

pytestmark = pytest.mark.chaos
PORT = PORTS["plane-api"]
STATUS = "plane-process-model status"
ASK = """
ask() {
  for _ in $(seq "$1"); do
    curl --silent --output /dev/null --max-time 20 -H 'X-Api-Key: lab-ada' "http://$ADDRESS:$PORT/api/users/me/" || true
  done
}
"""
UNTIL_SPARE_SERVES = "until readlink /run/$SERVICE/live.sock | grep -q spare; do sleep 0.01; done"
# Short enough that a stopped worker and a view that does not return are given up within the test.
SETTINGS = {"plane_api_timeout": 8, "plane_api_grace_seconds": 3}
SECRETS = ("plane-lab@", "lab-only-")
DOWNLOADS = "5 MB"


def on_live_colour(api: Host, command: str) -> str:
    """The command with the names that host_faults.py speaks of."""
    names = {"MASTER": api.master(), "ASK": "/root/ask.sh"}
    return on_colour(api, "plane-api", api.live(), f". $ASK; {command}", **names)


@pytest.fixture(scope="module")
def deployed_for_faults(deployed: None, api2: Host, data1: Host) -> Iterator[Host]:
    succeeded(site(api2.name, **SETTINGS))
    for host in (api2, data1):
        host.run("cat >/root/ask.sh", stdin=ASK)
    yield api2
    succeeded(site(api2.name))


@pytest.fixture
def api(deployed_for_faults: Host) -> Host:
    """The host, all as it should be."""
    api = deployed_for_faults
    if not api.succeeds(STATUS):
        succeeded(site(api.name, **SETTINGS))
    return api


def groups(front: str) -> list[tuple[str, client.Request, int]]:
    return [("reads", client.small(front), 2), ("writes", client.write(front), 1), (DOWNLOADS, client.heavy(front), 1)]


def serves(api: Host) -> bool:
    """Whether everything is as it should be, and a request is answered."""
    return api.succeeds(f"{STATUS} && curl --fail --silent http://{api.address}:{PORT}/")


def summary(failed: dict[str, dict[str, int]]) -> str:
    """How often each kind of failure was seen, by any client."""
    kinds: Counter[str] = Counter()
    for outcomes in failed.values():
        kinds.update(outcomes)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "nothing"


def under_clients(
    api: Host, data1: Host, fault: Callable[[], str], repair: Callable[[], None]
) -> tuple[str, dict[str, dict[str, int]]]:
    """Run a fault and its repair while clients ask; what was said meanwhile, and which failures each group saw."""
    front = f"http://{api.address}:{PORT}"
    with load_both_ways(groups(front), pause=0.25) as clients:
        said = fault()
        repair()
        wait_for(lambda: serves(api))
    assert stored_wrongly(data1, clients.acknowledged) == [], "an acknowledged write is lost"
    with load(groups(front), pause=0.02) as after:
        api.run(on_live_colour(api, "ask 10"))
    assert after.failed == {}, "it is over"
    return said, clients.failed


@pytest.mark.parametrize("fault", HOST_FAULTS, ids=lambda fault: fault.name)
def test_a_host_survives(
    fault: HostFault, api: Host, data1: Host, record_property: Callable[[str, object], None]
) -> None:
    place = data1 if fault.on == "data" else api

    def inject() -> str:
        try:
            place.run(on_live_colour(api, fault.inject))
            return api.run(f"{STATUS} 2>&1 || true") if fault.said is not None else ""
        finally:
            if fault.undo:
                place.run(on_live_colour(api, fault.undo))

    def repair() -> None:
        if fault.recovery == SITE:
            succeeded(site(api.name, **SETTINGS))
            assert report()["match"]

    said, failures = under_clients(api, data1, inject, repair)
    record_property("fault", fault.name)
    record_property("clients", summary(failures))
    record_property("said", "not asked" if fault.said is None else fault.said or "all as it should be")
    record_property("recovered", fault.recovery)
    for group, kinds in failures.items():
        assert set(kinds) <= {*fault.may_see, *(fault.downloads_may_see if group.startswith(DOWNLOADS) else ())}, group
    if fault.said is not None:
        assert fault.said in said
        assert bool(fault.said) == ("mismatch(es)" in said)
    assert not [secret for secret in SECRETS if secret in said]


def reboot(host: Host) -> None:
    subprocess.run(["podman", "restart", "--time=20", host.name], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("name", "before", "other_colour"),
    [
        ("a host is rebooted", "true", False),
        (
            "a host is rebooted between the switch and the reload",
            "ln -sfn $(dirname $ETC)/$OTHER/admission.cfg /etc/plane-admission/services/$SERVICE.cfg",
            True,
        ),
        (
            "a host is rebooted while a rotation's instance serves",
            f"plane-process-model rotate $SERVICE >/dev/null 2>&1 & {UNTIL_SPARE_SERVES}",
            False,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("a host") else "",
)
def test_a_host_survives_a_reboot(
    name: str, before: str, other_colour: bool, api: Host, data1: Host, record_property: Callable[[str, object], None]
) -> None:
    """The colour that the link records is up again without Ansible; until then, clients are told when to come back."""
    if other_colour:  # which is then as right as the live one
        succeeded(site(api.name, **SETTINGS, **a_change()))
    live = api.live()

    def fault() -> str:
        api.run(on_live_colour(api, before))
        reboot(api)
        return ""

    _, failures = under_clients(api, data1, fault, lambda: None)
    record_property("fault", name)
    record_property("clients", summary(failures))
    record_property("said", "not asked")
    record_property("recovered", "by itself")
    allowed = {*("status 502", "status 503", "ClientPayloadError", "ClientConnectorError", "ClientOSError"),
               *("ServerDisconnectedError", "ConnectionResetError", "TimeoutError")}  # fmt: skip
    assert {kind for kinds in failures.values() for kind in kinds} <= allowed
    assert (api.live() != live) == other_colour


# Time since boot goes on, as it does where a clock is set; a change is seen at once, and files keep their dates.
CLOCK = (
    "LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketime.so.1) "
    "FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1 NO_FAKE_STAT=1"
)
# libfaketime and Debian's HAProxy wait for each other for ever, so HAProxy alone goes on by the machine's clock.
HAPROXY_WITHOUT_IT = """
cp /usr/sbin/haproxy /usr/local/sbin/haproxy-without-libfaketime
printf '#!/bin/sh\\nunset LD_PRELOAD\\nexec /usr/local/sbin/haproxy-without-libfaketime "$@"\\n' >/run/haproxy-wrapper
chmod 755 /run/haproxy-wrapper && mount --bind /run/haproxy-wrapper /usr/sbin/haproxy
"""
RESTART = "systemctl restart systemd-journald; plane-process-model rotate $SERVICE >/dev/null"


def set_clock(api: Host, offset: str) -> None:
    # In one piece: who reads half of it ends.
    api.run(f"echo {offset} >/etc/faketimerc.new && mv /etc/faketimerc.new /etc/faketimerc")


def seconds_ahead(api: Host) -> float:
    """How far gunicorn's clock is ahead of this machine's, by the Date of an answer."""
    with urllib.request.urlopen(f"http://{api.address}:{PORT}/", timeout=20) as answer:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()


@pytest.fixture
def clock(api: Host) -> Iterator[None]:
    """gunicorn, the journal and each command read a clock of the host's own: the lab's hosts share the machine's."""
    set_clock(api, "+0")
    api.run(f"set -e; {HAPROXY_WITHOUT_IT} systemctl set-environment {CLOCK}")
    api.run(on_live_colour(api, RESTART))
    yield
    names = " ".join(re.findall(r"[A-Z_]+(?==)", CLOCK))
    api.run(f"systemctl unset-environment {names}; umount /usr/sbin/haproxy; rm /etc/faketimerc")
    api.run(on_live_colour(api, f"{RESTART}; systemctl restart plane-admission"))
    api.run("rm /usr/local/sbin/haproxy-without-libfaketime")


@pytest.mark.parametrize("hours", [2, -2])
def test_a_host_survives_a_jump_of_its_clock(
    hours: int, clock: None, api: Host, data1: Host, record_property: Callable[[str, object], None]
) -> None:
    """There and back again; meanwhile its processes are replaced, and verified, by a clock that is wrong."""

    def jump(to: int) -> None:
        set_clock(api, f"{to:+}h")
        wait_for(lambda: abs(seconds_ahead(api) - to * 3600) < 600)
        api.run(on_live_colour(api, "ask 20"))

    def fault() -> str:
        jump(hours)
        said = api.run(f"export {CLOCK}; {STATUS} 2>&1 || true")
        api.run(on_live_colour(api, f"export {CLOCK}; plane-process-model rotate $SERVICE"))
        return said

    said, failures = under_clients(api, data1, fault, lambda: jump(0))
    record_property("fault", f"the clock jumps two hours {'ahead' if hours > 0 else 'back'}, and returns")
    record_property("clients", summary(failures))
    record_property("said", "all as it should be")
    record_property("recovered", "nothing to recover")
    assert "mismatch(es)" not in said
    assert set().union(*failures.values()) == set()
