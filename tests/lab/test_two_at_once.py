"""Two runs do not change one host at once, and a run that was killed holds up nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator

import client
import pytest
from support import Host, a_change, failure_of, load, report, site, succeeded

LOCK = "/run/plane-process-model/lock"
FOREIGN = {"user": "grace", "machine": "elsewhere (boot 00000000)", "process": 4711, "start_ticks": 1, "since": 1}


@pytest.fixture
def api(api2: Host) -> Iterator[Host]:
    yield api2
    succeeded(site(api2.name))
    assert report()["match"]
    assert not api2.succeeds(f"test -e {LOCK}"), "a run that is over holds no lock"


@pytest.mark.fault("two operators at once", said="the lock's owner and age")
def test_a_rollback_waits_for_the_run_that_changes_the_host(api: Host) -> None:
    idle = api.idle()
    second = api.command("plane-process-model rollback plane-api >/tmp/second 2>&1; echo $? >>/tmp/second")
    done = succeeded(site(api.name, before_task={f"Start {idle}": [second]}, **a_change()))
    said = api.run("cat /tmp/second")
    assert "has been changing this host for 0 min" in said
    assert said.endswith("1\n")
    assert api.live() == idle, done.stdout


@pytest.mark.fault(
    "Ansible is killed before the start",
    said="nothing: the lock is taken over",
    clients="nothing",
    recovered="the next run of site.yml",
)
def test_a_run_that_was_killed_holds_up_nobody(api: Host) -> None:
    before = api.live()
    idle = api.idle()
    front = f"http://{api.address}:8000"
    with load([("small", client.small(front), 2)], pause=0.1) as clients:
        done = site(api.name, before_task={f"Start {idle}": [["sh", "-c", "kill -9 $PPID"]]}, **a_change())
        assert done.returncode == -9
        assert api.succeeds(f"test -e {LOCK}")
        assert api.live() == before
        succeeded(site(api.name))
    assert clients.failed == {}


@pytest.mark.fault(
    "a lock that nobody gives back", said="its owner, and how to break it", recovered="plane-process-model unlock"
)
def test_a_lock_from_elsewhere_is_said_and_can_be_broken(api: Host) -> None:
    live = (api.live(), api.master())
    api.run(f"mkdir -p /run/plane-process-model && cat >{LOCK}", stdin=json.dumps(FOREIGN))
    done = site(api.name, **a_change())
    assert done.returncode != 0
    said = " ".join(failure_of(api.name, done.stdout).split())
    assert "grace on elsewhere (boot 00000000) has been changing this host" in said
    assert "plane-process-model unlock" in said
    assert (api.live(), api.master()) == live
    assert "the lock of grace on elsewhere" in api.run("plane-process-model unlock")
