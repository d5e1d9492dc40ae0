"""The lab repairs itself: what podman remembers of hosts that are gone does not stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import ROOT

HOST = "plane-lab-test1"
INVENTORY = f"all:\n  hosts:\n    {HOST}: {{ansible_host: 10.203.77.11}}\n"

Lab = Callable[[str], str]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """lab.py on an inventory of one host: command -> what it printed."""
    (tmp_path / "hosts.yml").write_text(INVENTORY)

    def command(name: str) -> str:
        line = [sys.executable, "lab/lab.py", name, "--inventory", str(tmp_path)]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield command
    command("down")


def inspect(field: str) -> str:
    line = ["podman", "container", "inspect", f"--format={{{{.State.{field}}}}}", HOST]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()


def test_up_starts_a_host_again_that_podman_believes_to_be_running(lab: Lab) -> None:
    assert f"{HOST:<20} 10.203.77.11   started" in lab("up")
    assert "started" not in lab("up"), "up is idempotent"

    # Without its monitor, podman does not hear that the host was killed.
    for process in ("ConmonPid", "Pid"):
        os.kill(int(inspect(process)), signal.SIGKILL)
    assert inspect("Running") == "true"

    assert f"{HOST:<20} 10.203.77.11   started" in lab("up")
