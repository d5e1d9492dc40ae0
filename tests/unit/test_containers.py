"""What is read from Docker's answers; the real ones are in tests/compose."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from process_model import containers, procfs

INSTALLATION = {
    "directory": "/opt/plane",
    "project": "plane",
    "file": "/opt/plane/docker-compose.yaml",
    "variables": "/opt/plane/plane.env",
    "service": "api",
    "admission_image": "haproxy:3.0",
}


def inspected(**changes: Any) -> dict[str, Any]:
    return {
        "Id": "0123abcd",
        "Name": "/plane-api-blue",
        "State": {"Pid": 4711},
        "Image": "sha256:abc",
        "Config": {"Labels": None},
        "NetworkSettings": {"Networks": {"one": {"IPAddress": "172.18.0.5"}, "host": {"IPAddress": ""}}},
        **changes,
    }


def test_a_container_is_read_from_what_docker_shows() -> None:
    found = containers.parse(inspected())
    assert (found.name, found.pid, found.image) == ("plane-api-blue", 4711, "sha256:abc")
    assert found.labels == {}
    assert found.addresses == ["172.18.0.5"]


def test_the_container_of_a_rotation_is_that_of_the_colour_that_it_stands_in_for(tmp_path: Path) -> None:
    assert containers.name_of("plane-api", "green", tmp_path) == "plane-api-green"
    (tmp_path / "plane-api").mkdir()
    (tmp_path / "plane-api" / "spare").symlink_to("green")
    assert containers.name_of("plane-api", "spare", tmp_path) == "plane-api-green-spare"


def test_the_steps_of_an_entrypoint_are_its_commands_of_manage_py() -> None:
    text = "#!/bin/bash\n# python manage.py nothing\npython manage.py wait_for_db\npython3 ./manage.py clear_cache\n"
    text += (
        'MACHINE=$(x) python manage.py register_instance "$MACHINE"\npython manage.py wait_for_db 30\nexec gunicorn\n'
    )
    assert containers.steps_in(text) == ["wait_for_db", "clear_cache", "register_instance"]


def test_a_host_without_an_installation_has_none() -> None:
    assert containers.Installation.of({}) is None
    assert containers.Installation.of({"installation": None}) is None
    found = containers.Installation.of({"installation": INSTALLATION})
    assert found == containers.Installation(**INSTALLATION)


def test_without_docker_there_is_no_container_and_a_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert containers.find("plane-api-blue") is None
    with pytest.raises(containers.DockerError, match="No such file or directory"):
        containers.docker("info")


def test_outside_of_a_container_a_process_has_one_number() -> None:
    assert procfs.inner_number(os.getpid()) == os.getpid()


def test_limits_of_its_own_leave_no_other() -> None:
    assert containers.limits_alone("plane-api-blue", {"mem_limit": "1000"}).splitlines() == [
        "services:",
        "  plane-api-blue:",
        "    mem_limit: 1000",
        "    memswap_limit: !reset null",
        "    mem_reservation: !reset null",
        "    cpus: !reset null",
        "    pids_limit: !reset null",
    ]
