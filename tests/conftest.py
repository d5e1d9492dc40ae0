from __future__ import annotations

import pytest
from support import Host, inventory_hosts, seed


@pytest.fixture(scope="session")
def hosts() -> dict[str, Host]:
    """The lab's staging hosts by name; `make staging` made and deployed them."""
    return {name: Host(name, address) for name, address in inventory_hosts().items()}


@pytest.fixture(scope="session")
def api1(hosts: dict[str, Host]) -> Host:
    return hosts["staging-api1"]


@pytest.fixture(scope="session")
def api2(hosts: dict[str, Host]) -> Host:
    return hosts["staging-api2"]


@pytest.fixture(scope="session")
def graphql1(hosts: dict[str, Host]) -> Host:
    return hosts["staging-graphql1"]


@pytest.fixture(scope="session")
def data1(hosts: dict[str, Host]) -> Host:
    return hosts["staging-data1"]


@pytest.fixture(scope="session")
def seeded(api1: Host) -> None:
    """The database holds what the lab's clients ask for."""
    seed(api1)
