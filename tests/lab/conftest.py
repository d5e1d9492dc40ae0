from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def on_deployed_hosts(deployed: None) -> None:
    """Each of these tests finds staging deployed, and leaves it so."""
