"""What really runs, on hosts: gunicorn_info by unit and by container, and a live colour that is filled when asked."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import client
from support import ROOT, Host, a_change, load, report, site, succeeded, verify, wait_for


def gunicorn_info(host: str, arguments: str) -> dict[str, Any]:
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "minimal",
                   "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1"}  # fmt: skip
    done = subprocess.run(
        ["ansible", host, "-m", "gunicorn_info", "-a", arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.partition("=>")[2])
    return found


def test_a_unit_is_observed_with_the_source_of_every_fact(api1: Host) -> None:
    found = gunicorn_info(api1.name, f"unit=plane-api@{api1.live()}.service")
    values = {name: fact["value"] for name, fact in found["facts"].items()}
    assert (values["worker_class"], values["workers"], values["threads"]) == ("gthread", 2, 8)
    assert (values["application"], values["user"]) == ("plane.wsgi:application", "plane-api")
    assert (values["max_requests"], values["max_requests_jitter"]) == (0, 0), "rotation"
    assert (values["limit memory_bytes"], values["limit cpu"], values["limit tasks"]) == (2 << 30, 1.0, 256)
    assert all(fact["source"] for fact in found["facts"].values())
    assert found["versions"]["gunicorn"] == "23.0.0"
    assert found["restarts"] >= 0
    assert len(found["workers"]) == 2
    assert all(worker["pss"] > 0 and worker["age"] > 0 for worker in found["workers"])
    assert "plane-lab" not in json.dumps(found), "the database's password is no fact"


def test_a_container_is_observed_from_outside_by_its_id(graphql1: Host) -> None:
    identifier = subprocess.run(
        ["podman", "inspect", "--format={{.Id}}", graphql1.name], capture_output=True, text=True, check=True
    ).stdout.strip()
    found = gunicorn_info("localhost", f"container={identifier}")
    assert found["facts"]["worker_class"]["value"] == "uvicorn"
    assert found["facts"]["workers"]["value"] == 2


def test_nothing_there_is_an_answer(api1: Host) -> None:
    found = gunicorn_info(api1.name, "port=8055")
    assert (found["found"], found["facts"]) == (False, {})
    assert found["reason"]


def test_a_live_colour_is_filled_only_when_asked_and_nobody_is_turned_away(api1: Host) -> None:
    base = f"http://{api1.address}:8000"
    with load([("small", client.small(base), 2)], pause=0.05) as clients:
        succeeded(verify(api1.name, plane_verify_saturate=True))
    assert "saturation 8+8" in report()["hosts"][api1.name]["plane-api"]["evidence"]
    assert clients.failed == {}


def test_what_a_change_proved_is_in_the_report_of_a_later_verification(api1: Host) -> None:
    """Threads are proved while a colour has no traffic; the proof holds for as long as that process lives."""
    change = a_change()
    succeeded(site(api1.name, **change))
    succeeded(verify(api1.name, **change))
    proof = "saturation 8+8 before the switch"
    assert proof in report()["hosts"][api1.name]["plane-api"]["evidence"]
    api1.run(f"kill -9 {api1.master()}")
    wait_for(lambda: verify(api1.name, **change).returncode == 0)
    assert proof not in report()["hosts"][api1.name]["plane-api"]["evidence"], "another process, and not proved"
