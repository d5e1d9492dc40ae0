"""Every fault in a live colour is caught by verify with the right words, and the next run of site.yml repairs it."""

from __future__ import annotations

import pytest
from faults import FAULTS, Fault
from support import Host, messages, report, site, succeeded, verify

CLEAN_RUNS = 10
PORTS = {"plane-api": 8000, "plane-graphql": 8001}


def shell(host: Host, service: str, command: str) -> None:
    live = host.live(service)
    names = {
        "SERVICE": service,
        "LIVE": live,
        "OTHER": "green" if live == "blue" else "blue",
        "ETC": f"/etc/{service}/{live}",
        "UNIT": f"{service}@{live}.service",
        "ADMISSION": "/run/plane-admission/admin.sock",
        "ADDRESS": host.address,
        "PORT": PORTS[service],
    }
    host.run("set -e; " + " ".join(f"{name}={value};" for name, value in names.items()) + f" {command}")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_caught_and_the_next_run_repairs_it(fault: Fault, api2: Host, graphql1: Host) -> None:
    host = graphql1 if fault.service == "plane-graphql" else api2
    shell(host, fault.service, fault.inject)
    done = verify(host.name)
    said = "\n".join(messages(host.name, fault.service))
    if fault.undo:
        shell(host, fault.service, fault.undo)
    repaired = site(host.name)
    assert done.returncode != 0, "verify did not notice"
    for words in fault.caught_by:
        assert words in said, said
    assert words in done.stdout, "the run itself prints what to do"
    succeeded(repaired)
    assert report()["match"]


def test_healthy_hosts_raise_no_alarm() -> None:
    for _ in range(CLEAN_RUNS):
        succeeded(verify())
        assert report()["match"]
