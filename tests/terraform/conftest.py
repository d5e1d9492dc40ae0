from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from aws import SIZES, Account, Fleet, Tree, moto_server
from mutations import MUTATIONS


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A copy of what Terraform reads, so that no test writes into the source."""
    return Tree.copy(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Fleet]]]:
    """Every environment, each in an account of its own, and `broken`: a staging that has every mutation.

    All at once, because the provider waits for a minute until it asks whether a load balancer is there.
    """
    servers = {name: moto_server() for name in [*SIZES, "broken"]}
    trees = {name: Tree.copy(tmp_path_factory.mktemp(name)) for name in servers}
    for path, old, new, _ in MUTATIONS.values():
        trees["broken"].replace(path, old, new)

    def apply(name: str) -> Fleet:
        fleet = Fleet("staging" if name == "broken" else name, trees[name], Account(servers[name].url))
        fleet.apply()
        if name != "broken":
            _ = fleet.second_plan  # asked here, where others still wait, and kept for the tests
        return fleet

    with ThreadPoolExecutor(len(servers)) as pool:
        yield {name: pool.submit(apply, name) for name in servers}
    for server in servers.values():
        server.stop()


@pytest.fixture(scope="session", params=list(SIZES))
def applied(request: pytest.FixtureRequest, fleets: dict[str, Future[Fleet]]) -> Fleet:
    return fleets[request.param].result()


@pytest.fixture(scope="session")
def broken(fleets: dict[str, Future[Fleet]]) -> list[str]:
    """What the auditor says to a staging whose modules are broken in every way at once."""
    return list(fleets["broken"].result().findings())
