from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import playbook, succeeded


@pytest.fixture(scope="session")
def staging(deployed: None) -> Iterator[None]:
    """Deployed before these tests, and what the inventory says, with every step, after them."""
    yield
    succeeded(playbook("site.yml"))


@pytest.fixture(autouse=True)
def on_deployed_hosts(staging: None) -> None:
    """Each of these tests finds staging deployed, and leaves it so."""
