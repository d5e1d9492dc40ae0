from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import Host, site, succeeded


@pytest.fixture(scope="package", autouse=True)
def deployed(hosts: dict[str, Host], seeded: None) -> Iterator[None]:
    """Staging is as its inventory says, before these tests and after them."""
    succeeded(site())
    yield
    succeeded(site())
