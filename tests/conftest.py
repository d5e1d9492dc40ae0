from __future__ import annotations

import pytest
from support import Host, inventory_hosts, seed, site, succeeded


@pytest.fixture(scope="session")
def hosts() -> dict[str, Host]:
    """The lab's hosts by what they are (api1, …); `lab.py up` made them."""
    return {name.partition("-")[2]: Host(name, address) for name, address in inventory_hosts().items()}


@pytest.fixture(scope="session")
def api1(hosts: dict[str, Host]) -> Host:
    return hosts["api1"]


@pytest.fixture(scope="session")
def api2(hosts: dict[str, Host]) -> Host:
    return hosts["api2"]


@pytest.fixture(scope="session")
def graphql1(hosts: dict[str, Host]) -> Host:
    return hosts["graphql1"]


@pytest.fixture(scope="session")
def data1(hosts: dict[str, Host]) -> Host:
    return hosts["data1"]


@pytest.fixture(scope="session")
def deployed(api1: Host) -> None:
    """Every service as its inventory says, but without the application's own steps, and the database filled."""
    succeeded(site(plane_release_migrate=True))
    seed(api1)
