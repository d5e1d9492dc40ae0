"""The filters that a run needs are there before Ansible starts its first other process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOADED = """
import sys
from ansible.plugins.loader import callback_loader
callback = callback_loader.get("load_filters_once")
before = [name for name in sys.modules if name.startswith("ansible.plugins.filter.")]
callback.v2_playbook_on_start(None)
print(len(before), *(name for name in sys.modules if name.startswith("ansible.plugins.filter.")))
"""


def test_own_filters_are_loaded_as_a_run_starts() -> None:
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run([sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, *loaded = done.stdout.split()
    assert before == "0"
    assert any("process_model" in name for name in loaded), loaded


def test_a_run_asks_for_it() -> None:
    shown = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-config")), "dump", "--only-changed"],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "load_filters_once" in next(line for line in shown.splitlines() if line.startswith("CALLBACKS_ENABLED"))
