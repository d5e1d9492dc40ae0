"""What makes a run quicker is asked for, does what it is for, and never makes a run use what is old."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADED = """
import sys
from ansible.plugins.loader import callback_loader
callback = callback_loader.get("load_filters_once")
before = [name for name in sys.modules if name.startswith("ansible.plugins.filter.")]
callback.v2_playbook_on_start(None)
print(len(before), *(name for name in sys.modules if name.startswith("ansible.plugins.filter.")))
"""
PLAYBOOK = "[{hosts: localhost, gather_facts: false, tasks: [{telling: }]}]"
MODULE = """
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.words import WORD
AnsibleModule({}).exit_json(msg=WORD)
"""


def test_own_filters_are_loaded_as_a_run_starts() -> None:
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    done = subprocess.run([sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, *loaded = done.stdout.split()
    assert before == "0"
    assert any("process_model" in name for name in loaded), loaded


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one module that says what its module_utils say, with the callback of this one."""
    for folder in ("callback_plugins", "library", "module_utils"):
        (tmp_path / "ansible" / folder).mkdir(parents=True)
    shutil.copy(ROOT / "ansible/callback_plugins/keep_built_modules.py", tmp_path / "ansible/callback_plugins")
    (tmp_path / "ansible/library/telling.py").write_text(MODULE)
    (tmp_path / "ansible/module_utils/words.py").write_text("WORD = 'first'")
    (tmp_path / "site.yml").write_text(PLAYBOOK)
    (tmp_path / "ansible.cfg").write_text(
        "[defaults]\ncallbacks_enabled = keep_built_modules\ncallback_plugins = ansible/callback_plugins\n"
        "library = ansible/library\nmodule_utils = ansible/module_utils\n"
    )
    return tmp_path


def said(project: Path) -> str:
    environment = {**os.environ, "ANSIBLE_CONFIG": str(project / "ansible.cfg")}
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-v", "site.yml"]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True).stdout


def built(project: Path) -> dict[Path, int]:
    """Each package that is kept, and when it was written."""
    return {file: file.stat().st_mtime_ns for file in project.glob("build/modules/*/*telling*")}


def test_a_module_is_built_once_until_what_it_imports_changes(project: Path) -> None:
    assert "first" in said(project)
    before = built(project)
    assert len(before) == 1
    assert "first" in said(project)
    assert built(project) == before, "the second run used what the first one built"

    (project / "ansible/module_utils/words.py").write_text("WORD = 'other'")
    assert "other" in said(project), "nothing old is sent"
    assert len(built(project)) == 2


def test_a_module_of_a_collection_is_built_in_every_run(project: Path) -> None:
    """What it imports is in no folder that is looked at, and may change unseen."""
    collection = project / "collections/ansible_collections/lab/words/plugins"
    shutil.copytree(project / "ansible/library", collection / "modules")
    shutil.copytree(project / "ansible/module_utils", collection / "module_utils")
    module = collection / "modules/telling.py"
    module.write_text(module.read_text().replace("ansible.module_utils.words", "..module_utils.words"))
    (project / "site.yml").write_text(PLAYBOOK.replace("telling", "lab.words.telling"))
    assert "first" in said(project)
    assert built(project) == {}
    (collection / "module_utils/words.py").write_text("WORD = 'other'")
    assert "other" in said(project)


@pytest.mark.parametrize("callback", ["load_filters_once", "keep_built_modules"])
def test_a_run_asks_for_it(callback: str) -> None:
    shown = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-config")), "dump", "--only-changed"],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert callback in next(line for line in shown.splitlines() if line.startswith("CALLBACKS_ENABLED"))
