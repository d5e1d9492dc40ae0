"""Lets a run use what an earlier one built of each module for its hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: keep_built_modules
type: aggregate
short_description: Build what is sent to hosts of a module once, not once for each run
description:
  - For each module that a run uses, Ansible parses it and all module_utils that it imports, packs them, and forgets the
    package with the run. Packages of this project's modules and of ansible-core's are kept in C(build/modules), in a
    folder for each state of what goes into them - the folders that modules and module_utils are looked for in, and the
    versions of Ansible and Python. A change of any of them is another folder, so nothing old is ever sent. Modules of
    collections and of roles are built in each run, as ever.
  - It prints nothing and decides nothing. Without it a run does the same and takes longer. C(make clean) removes what
    it keeps.
requirements:
  - enabled in ansible.cfg, by callbacks_enabled
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase
from ansible.release import __version__

ROOT = Path(__file__).resolve().parents[2]
OWN = {file.stem for file in (ROOT / "ansible" / "library").glob("*.py")}


def state_of(folders: Iterable[str]) -> str:
    """A digest of every Python file below the folders, by path and content, and of Ansible's and Python's version."""
    digest = hashlib.sha256(f"{__version__} {sys.version}".encode())
    for folder in folders:
        for file in sorted(Path(folder).rglob("*.py")):
            content = file.read_bytes()
            digest.update(f"\0{file} {len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def is_package(file: Path) -> bool:
    """Whether it is one of a module of which state_of knows everything: ansible.legacy.NAME-ZIP_DEFLATED-none."""
    name = file.name.partition("-")[0]
    return file.suffix != ".lock" and (
        name.startswith("ansible.modules.") or name.removeprefix("ansible.legacy.") in OWN
    )


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "keep_built_modules"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:
        folders = [*constants.DEFAULT_MODULE_PATH, *constants.DEFAULT_MODULE_UTILS_PATH]
        self.kept = ROOT / "build" / "modules" / state_of(folders)
        self.kept.mkdir(parents=True, exist_ok=True)
        # Where Ansible has them for the time of a run; a unit test notices where that is another place.
        self.built = Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache")
        self.built.mkdir(exist_ok=True)
        for package in filter(is_package, self.kept.iterdir()):
            (self.built / package.name).symlink_to(package)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        for package in filter(is_package, self.built.iterdir()):
            if not package.is_symlink():
                # As a whole or not at all: another run may look at the same time.
                part = self.kept / f"part-of-{os.getpid()}"
                shutil.copy(package, part)
                os.replace(part, self.kept / package.name)
