"""What a run prints; where secrets lie on hosts is looked at in molecule/default/tests/test_exposure.py."""

from __future__ import annotations

import pytest
import yaml
from support import ROOT, Host, a_change, site, succeeded

NAMES = ("database_url", "secret_key", "live_server_secret_key")


def secrets() -> dict[str, str]:
    """The lab's own, from the inventory; of an address only the password, as the rest is none."""
    settings = yaml.safe_load((ROOT / "inventories/staging/group_vars/staging/release.yml").read_text())
    values = {name: settings[f"plane_release_{name}"] for name in NAMES}
    return {**values, "database_url": values["database_url"].partition("@")[0]}


@pytest.fixture(scope="session")
def printed(first_run: str, api1: Host) -> str:
    """A run at -vvv that wrote an environment: the first one, unless it found staging deployed."""
    wrote = "TASK [gunicorn_service : Write the environment of"
    found = first_run if wrote in first_run else succeeded(site(api1.name, "-vvv", **a_change())).stdout
    assert wrote in found
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_run_at_vvv_shows_no_secret(name: str, printed: str) -> None:
    assert secrets()[name] not in printed
