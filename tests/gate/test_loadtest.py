"""What `make loadtest` refuses before it asks anybody. Its run against hosts: make loadtest."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support import ROOT

PYTHON = ROOT / "build/load/bin/python"


def loadtest(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}/ansible/module_utils:{ROOT}/tools"}
    command = [str(PYTHON), str(ROOT / "tools/loadtest.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("environment", ["cloud", "commercial", "community"])
def test_an_environment_with_real_users_is_not_loaded(environment: str) -> None:
    done = loadtest(environment)
    assert done.returncode != 0
    assert f"{environment} has real users. Nothing was asked" in done.stderr


def test_an_inventory_of_another_environment_is_refused() -> None:
    done = loadtest("staging", "--inventory", "inventories/cloud")
    assert "is cloud, not staging" in done.stderr


def test_a_threshold_that_is_none_is_refused(tmp_path: Path) -> None:
    variables = tmp_path / "group_vars" / "staging"
    variables.mkdir(parents=True)
    (variables / "main.yml").write_text("plane_environment: staging\nplane_release_load_thresholds: {p59: 1}\n")
    (tmp_path / "hosts.yml").write_text("plane_api: {hosts: {api1: {ansible_host: 127.0.0.1}}}\n")
    assert "threshold 'p59' is not known" in loadtest("staging", "--inventory", str(tmp_path)).stderr
