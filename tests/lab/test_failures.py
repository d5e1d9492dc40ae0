"""Whatever fails half-way, the old colour goes on serving, the message says at which step, and the next run repairs."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import client
import pytest
from support import ROOT, Host, a_change, changed, failure_of, load, report, site, succeeded, wait_for

PORT = 8000


@contextmanager
def nothing_lost(host: Host) -> Iterator[None]:
    """A client asks the front door all the time, and the colour that serves stays what it was."""
    before = host.live()
    master = host.master()
    front = f"http://{host.address}:{PORT}"
    with load([("health", lambda session, tally: client.get(session, f"{front}/"), 2)], pause=0.15) as clients:
        yield
    assert clients.failed == {}
    assert clients.requests > 0
    assert (host.live(), host.master()) == (before, master), "another process serves than before"


def fails(host: Host, *steps: str, **variables: Any) -> str:
    """Run a change that fails; what was said. The change itself is a variable that nobody reads."""
    variables = {**a_change(), **variables}
    with nothing_lost(host):
        done = site(host.name, **variables)
    assert done.returncode != 0, done.stdout
    said = failure_of(host.name, done.stdout)
    assert any(f'"{step}" failed on {host.name}' in said for step in steps), said
    assert f"Traffic: {host.live()} serves as before" in said
    assert "run the same command again" in said
    assert not host.succeeds(f"systemctl is-active plane-api@{host.idle()}"), "the colour that failed still runs"
    return said


@pytest.fixture(scope="module")
def api(api2: Host) -> Iterator[Host]:
    """A host on which one run after the other fails; each starts from what those before it have left."""
    yield api2
    succeeded(site(api2.name))
    assert report()["match"]


def release_that(fault: str) -> dict[str, Any]:
    return {"plane_release_variables": {"PLANE_STANDIN_FAULT": fault}}


@pytest.mark.fault("a release that does not boot", said="its journal's last lines", clients="nothing")
def test_a_release_that_does_not_boot(api: Host) -> None:
    # gunicorn says that it is ready before its workers have loaded anything, so systemd may notice or not.
    steps = (f"Start {api.idle()}", f"Verify, while it has no traffic, {api.idle()}")
    said = fails(api, *steps, **release_that("no-boot"))
    assert "RuntimeError: this release does not boot" in said, "the last lines of the journal are shown"


@pytest.mark.fault("a release that answers 500", said="health, should be 200", clients="nothing")
def test_a_release_that_answers_500(api: Host) -> None:
    step = f"Verify, while it has no traffic, {api.idle()}"
    said = fails(api, step, **release_that("health-500"), plane_api_start_timeout=12)
    assert "GET / on the instance's own socket answered 500, should be 200" in said


@pytest.mark.fault(
    "a release that boots after 20 s", said="ok, once it is ready", clients="nothing", recovered="by itself"
)
def test_a_release_that_boots_slowly_takes_the_traffic_when_it_is_ready(api: Host) -> None:
    before = api.live()
    front = f"http://{api.address}:{PORT}"
    with load([("small", client.small(front), 2)], pause=0.15) as clients:
        done = site(api.name, **release_that("slow-boot"), plane_api_preload="false")
    succeeded(done)
    assert api.live() != before
    assert clients.failed == {}


@pytest.mark.fault("a release that boots too slowly", said="the start's time-out", clients="nothing")
def test_a_release_that_boots_too_slowly(api: Host) -> None:
    step = f"Verify, while it has no traffic, {api.idle()}"
    said = fails(api, step, **release_that("slow-boot"), plane_api_preload="false", plane_api_start_timeout=8)
    assert "GET / on the instance's own socket answered nothing" in said


@pytest.mark.fault("a step before gunicorn fails", said="the step, and its exit status", clients="nothing")
def test_a_step_before_gunicorn_fails(api: Host) -> None:
    said = fails(api, f"Start {api.idle()}", plane_api_prestart=["no_such_command"])
    assert "the step 'no_such_command' before gunicorn failed with exit status 1" in said


@pytest.mark.fault("a release archive that is cut", said="no readable archive, before any host", clients="nothing")
def test_an_archive_that_is_cut_is_refused_before_any_host_changes(api: Host, tmp_path: Path) -> None:
    archive = tmp_path / "release.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(ROOT / "lab" / "application", arcname=".")
    archive.write_bytes(archive.read_bytes()[:-2000])
    with nothing_lost(api):
        done = site(api.name, plane_release_source=str(archive))
    assert done.returncode != 0
    assert "is no readable archive" in " ".join(done.stdout.split())
    assert "Prepare and switch" not in done.stdout


@pytest.mark.fault("a Python that the host does not have", said="the step that installs", clients="nothing")
def test_a_python_that_the_host_does_not_have(api: Host) -> None:
    step = "Install what the application requires into its own virtual environment"
    assert "/usr/bin/python3.99" in fails(api, step, plane_release_python="/usr/bin/python3.99")


@pytest.mark.fault("the database is away during a deploy", said="the step that asks it", clients="nothing")
def test_the_database_is_down(api: Host, data1: Host) -> None:
    data1.run("systemctl stop postgresql@*")
    try:
        said = fails(api, "Ask the database which migrations are missing", plane_release_migrate=True)
    finally:
        data1.run("systemctl start postgresql")
        wait_for(lambda: data1.succeeds("pg_isready -q"))
    assert "connection refused" in said.lower()


@pytest.mark.fault("the disk is full during a deploy", said="No space left on device", clients="nothing")
def test_the_disk_is_full(api: Host) -> None:
    colour = api.idle()
    api.run(f"mount -t tmpfs -o size=4k tmpfs /etc/plane-api/{colour}")
    try:
        said = fails(api, f"Write the files that start {colour}")
    finally:
        api.run(f"umount /etc/plane-api/{colour}")
    assert "No space left on device" in said


@pytest.mark.fault("the connection is lost in mid-run", said="unreachable", clients="nothing")
def test_the_connection_is_lost_half_way(api: Host) -> None:
    """The host becomes unreachable between writing and starting the idle colour."""
    inside = ["podman", "exec", api.name]
    cut = [*inside, "sh", "-c", "systemctl stop ssh.socket ssh.service; pkill sshd; true"]
    before = api.live()
    front = f"http://{api.address}:{PORT}/"
    with load([("health", lambda session, tally: client.get(session, front), 2)], pause=0.15) as clients:
        done = site(
            api.name,
            before_task={f"Start {api.idle()}": [cut]},
            **a_change(),
        )
    subprocess.run([*inside, "systemctl", "start", "ssh.service"], check=True)
    wait_for(lambda: subprocess.run(api.command("true"), check=False, capture_output=True).returncode == 0)
    assert done.returncode != 0
    assert f"[{api.name}]: UNREACHABLE!" in done.stdout
    assert clients.failed == {}
    assert api.live() == before


@pytest.mark.fault("admission refuses its configuration", said="HAProxy's words", clients="nothing")
def test_admission_does_not_take_the_configuration(api: Host) -> None:
    """HAProxy's own check refuses it: nothing that serves has changed."""
    before = api.run("readlink /etc/plane-admission/services/plane-api.cfg")
    edit = api.command(f"echo 'nonsense here' >>/etc/plane-api/{api.idle()}/admission.cfg")
    with nothing_lost(api):
        done = site(
            api.name,
            before_task={"Switch the traffic": [edit]},
            **a_change(),
        )
    assert done.returncode != 0
    said = failure_of(api.name, done.stdout)
    assert "haproxy -c refuses /etc/plane-api/" in said
    assert "unknown keyword 'nonsense'" in " ".join(said.split())
    assert api.run("readlink /etc/plane-admission/services/plane-api.cfg") == before


def test_check_mode_says_what_would_change_and_changes_nothing(api: Host) -> None:
    files = "find /etc/plane-api /etc/plane-admission /etc/systemd/system /srv/plane -type f | sort | xargs md5sum"
    before = api.run(files)
    with nothing_lost(api):
        done = succeeded(site(api.name, "--check", plane_api_threads=4))
    assert changed(done)[api.name] > 0
    assert "threads is 8, should be 4" in done.stdout
    assert api.run(files) == before
