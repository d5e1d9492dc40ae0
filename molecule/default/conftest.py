"""The scenario's hosts and services, from its inventory, reached over SSH as Ansible reaches them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from services import Service
from testinfra.host import Host

SCENARIO = Path(__file__).resolve().parent
INVENTORY = SCENARIO / "inventory"
LAB = SCENARIO.parents[1] / ".lab"
SSH = (
    f"-i {LAB}/id_ed25519 -o UserKnownHostsFile={LAB}/known_hosts -o ControlMaster=auto -o ControlPersist=60 "
    f"-o ControlPath={LAB}/ssh-%C"
)
GROUPS: dict[str, Any] = yaml.safe_load((INVENTORY / "hosts.yml").read_text(encoding="utf-8"))
ADDRESSES = {name: variables["ansible_host"] for name, variables in GROUPS["staging"]["hosts"].items()}
PORTS = {"plane_api": 8000, "plane_graphql": 8001}


def connect(name: str) -> Host:
    return testinfra.get_host(f"ssh://root@{ADDRESSES[name]}", ssh_extra_args=SSH)


def service(group: str, name: str) -> Service:
    return Service(connect(name), name, ADDRESSES[name], group.replace("_", "-"), PORTS[group])


@pytest.fixture(params=list(GROUPS["plane_api"]["hosts"]))
def api(request: pytest.FixtureRequest) -> Service:
    """The REST service, on each host that has it."""
    return service("plane_api", request.param)


@pytest.fixture(params=list(GROUPS["plane_graphql"]["hosts"]))
def graphql(request: pytest.FixtureRequest) -> Service:
    """The GraphQL service, on each host that has it."""
    return service("plane_graphql", request.param)


@pytest.fixture(params=[(group, name) for group in PORTS for name in GROUPS[group]["hosts"]], ids=" on ".join)
def each(request: pytest.FixtureRequest) -> Service:
    """Every service on every host."""
    return service(*request.param)


@pytest.fixture(params=sorted({name for group in PORTS for name in GROUPS[group]["hosts"]}))
def node(request: pytest.FixtureRequest) -> list[Service]:
    """All services of one host."""
    return [service(group, request.param) for group in PORTS if request.param in GROUPS[group]["hosts"]]


@pytest.fixture(scope="session")
def rest() -> list[Service]:
    """The REST service of every host that has it."""
    return [service("plane_api", name) for name in GROUPS["plane_api"]["hosts"]]


@pytest.fixture(scope="session")
def shared() -> tuple[Service, Service]:
    """REST and GraphQL of the host that has both."""
    (name,) = GROUPS["plane_api"]["hosts"].keys() & GROUPS["plane_graphql"]["hosts"].keys()
    return service("plane_api", name), service("plane_graphql", name)


@pytest.fixture(scope="session")
def database() -> Host:
    (name,) = GROUPS["lab_data"]["hosts"]
    return connect(name)
