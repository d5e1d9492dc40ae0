"""The way back, with Ansible and without: verified before it takes a request, and said before anything is switched."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import client
import pytest
from support import Host, a_change, load, playbook, report, rollback, succeeded, wait_for

FRONT = "http://{}:8000"


def site(limit: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """With the application's own steps, which other tests leave out: no step may hold up a rollback."""
    return playbook("site.yml", limit, **variables)


def verify(limit: str) -> subprocess.CompletedProcess[str]:
    return playbook("ansible/playbooks/verify.yml", limit)


@pytest.fixture(scope="module")
def changed_colour(api2: Host) -> Iterator[str]:
    """The colour of a host that was deployed with something else than its inventory says; the other one is right."""
    succeeded(site(api2.name))
    before = api2.live()
    succeeded(site(api2.name, **a_change()))
    assert api2.live() != before
    yield api2.live()
    api2.run("plane-process-model rollback plane-api", check=False)
    succeeded(site(api2.name))
    assert report()["match"]


@pytest.fixture
def api(api2: Host, changed_colour: str) -> Iterator[Host]:
    """The host with the changed colour live, and both colours' files as they were deployed."""
    saved = "/root/plane-api-as-deployed"
    api2.run(f"plane-process-model switch plane-api {changed_colour} && rm -rf {saved} && cp -a /etc/plane-api {saved}")
    yield api2
    api2.run(f"cp -a --remove-destination {saved}/. /etc/plane-api/")


@contextmanager
def nothing_lost(host: Host, *, database: bool = True) -> Iterator[None]:
    front = FRONT.format(host.address)
    health = ("health", lambda session, tally: client.get(session, f"{front}/"), 2)
    writes = [("write", client.write(front), 2)] if database else []
    with load([health, *writes], pause=0.1) as clients:
        yield
    assert clients.failed == {}
    assert clients.requests > 0


def way_back(host: Host, *arguments: str) -> str:
    return host.run(f"plane-process-model rollback {' '.join(arguments)} plane-api")


def refused(host: Host, *arguments: str) -> str:
    """What a rollback says that changes nothing."""
    before = (host.live(), host.master())
    said = host.run(f"plane-process-model rollback {' '.join(arguments)} plane-api 2>&1 && echo DONE || true")
    assert "DONE" not in said
    assert (host.live(), host.master()) == before
    return said


def test_rollback_with_ansible_loses_nothing_and_is_what_the_inventory_says_again(api: Host) -> None:
    with nothing_lost(api):
        done = succeeded(rollback(api.name))
    assert "is live and verified through the front door" in done.stdout
    succeeded(verify(api.name))
    assert report()["match"]


def test_rollback_on_the_host_loses_nothing(api: Host) -> None:
    back = api.idle()
    with nothing_lost(api):
        said = way_back(api)
    assert api.live() == back
    assert f"plane-api: {back} is live and verified through the front door" in said
    assert api.is_right()


def test_a_colour_whose_workers_are_renewed_otherwise_brings_its_own_plan(api: Host) -> None:
    plan = json.loads(api.run("cat /etc/plane-api/rotation.json"))
    succeeded(site(api.name, plane_api_rotation_hours=12, **a_change()))
    assert json.loads(api.run("cat /etc/plane-api/rotation.json")) != plan
    # As after a release whose workers gunicorn itself renews.
    api.run("systemctl disable --quiet --now plane-api-rotation.timer")
    way_back(api)
    assert json.loads(api.run("cat /etc/plane-api/rotation.json")) == plan
    assert api.succeeds("systemctl is-active --quiet plane-api-rotation.timer && plane-process-model status")


@pytest.mark.fault("going back while the database is away", said="ok", clients="nothing", recovered="the rollback")
def test_rollback_while_the_database_is_down(api: Host, data1: Host) -> None:
    data1.run("systemctl stop postgresql@*")
    try:
        with nothing_lost(api, database=False):
            way_back(api)
    finally:
        data1.run("systemctl start postgresql")
        wait_for(lambda: data1.succeeds("pg_isready -q"))
    assert not api.succeeds("ls /run/plane-process-model/*.start"), "the next start runs every step again"
    assert api.is_right()


@pytest.mark.fault("going back from what does not start at all", said="ok", recovered="the rollback")
def test_rollback_when_the_new_model_does_not_start_at_all(api: Host) -> None:
    unit = f"plane-api@{api.live()}"
    api.run(f"sed -i 's/^exec .*/exit 1/' /etc/plane-api/{api.live()}/entrypoint.sh; systemctl kill -s KILL {unit}")
    wait_for(lambda: not api.succeeds(f"systemctl is-active {unit}"))
    way_back(api)
    front = FRONT.format(api.address)
    assert api.succeeds(f"curl --fail --silent {front}/")
    assert api.is_right()


@pytest.mark.fault(
    "going back after a run that stopped half-way", said="ok", clients="nothing", recovered="the rollback"
)
def test_rollback_after_a_run_that_stopped_between_the_switch_and_the_stop(api: Host) -> None:
    """Both colours run then; the former one is verified as it is."""
    former = api.idle()
    api.run(f"systemctl start plane-api@{former}")
    master = api.master(colour=former)
    with nothing_lost(api):
        way_back(api)
    assert (api.live(), api.master()) == (former, master)


@pytest.mark.fault(
    "going back to half-written files", said="which file, nothing switched", recovered="nothing was changed"
)
def test_files_that_an_interrupted_run_left_are_not_switched_to(api: Host) -> None:
    former = api.idle()
    api.run(f"echo 'HALF=\"written\"' >>/etc/plane-api/{former}/environment")
    said = refused(api)
    assert f"/etc/plane-api/{former}/environment is not what the inventory renders" in said
    assert not api.succeeds(f"systemctl is-active plane-api@{former}")


@pytest.mark.fault(
    "going back to a release that was removed", said="which release, nothing switched", recovered="nothing was changed"
)
def test_a_release_that_was_removed_is_said_before_anything_starts(api: Host) -> None:
    former = api.idle()
    api.run(f"ln -sfn /srv/plane/releases/removed /etc/plane-api/{former}/release")
    assert "/srv/plane/releases/removed, has been removed" in refused(api)
    assert not api.succeeds(f"systemctl is-active plane-api@{former}")


@pytest.mark.fault("going back to other secrets", said="which variables, no value", recovered="nothing was changed")
def test_other_connections_are_named_and_no_secret_is_shown(api: Host) -> None:
    former = api.idle()
    secret = api.run(f"sed -n 's/^SECRET_KEY=//p' /etc/plane-api/{former}/environment").strip()
    api.run(f"sed -i 's/^SECRET_KEY=.*/SECRET_KEY=\"{uuid.uuid4().hex}\"/' /etc/plane-api/{api.live()}/environment")
    said = refused(api, "--check")
    assert "has another SECRET_KEY" in said
    assert secret.strip('"') not in said
    assert f"-> {former}" in way_back(api, "--other-environment", "--check")


def test_status_says_what_runs_and_where_the_way_back_leads(api: Host) -> None:
    said = api.run("plane-process-model status")
    assert "gthread 2×8" in said
    assert "goes back to" in said
    worker = api.run(f"pgrep -P {api.master()}").split()[0]
    api.run(f"kill -STOP {worker}")
    try:
        assert "workers is 1" in api.run("plane-process-model status || true")
    finally:
        api.run(f"kill -CONT {worker}")
