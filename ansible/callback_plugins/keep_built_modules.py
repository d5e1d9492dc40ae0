"""Lets a run use what an earlier one built of each module for its hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: keep_built_modules
type: aggregate
short_description: Build what is sent to hosts of a module once, not once for each run
description:
  - For each module that a run uses, Ansible parses it and all module_utils that it imports, packs them, and forgets the
    package with the run. Here it is kept in C(build/modules), in a folder for each state of what goes into it - this
    project's modules and module_utils, the other folders that Ansible looks for them in, and the versions of Ansible
    and Python. A change of any of them is another folder, so nothing old is ever sent.
  - It prints nothing and decides nothing. Without it a run does the same and takes longer. C(make clean) removes what
    it keeps.
requirements:
  - enabled in ansible.cfg, by callbacks_enabled
"""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible import constants as C  # noqa: N812 - Ansible's own name for it
from ansible.plugins.callback import CallbackBase
from ansible.release import __version__

KEPT = Path(__file__).resolve().parents[2] / "build" / "modules"


def state_of(folders: Iterable[str]) -> str:
    """A digest of every Python file below the folders, by path and content, and of Ansible's and Python's version."""
    digest = hashlib.sha256(f"{__version__} {sys.version}".encode())
    for folder in folders:
        for file in sorted(Path(folder).rglob("*.py")):
            content = file.read_bytes()
            digest.update(f"\0{file} {len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "keep_built_modules"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:
        kept = KEPT / state_of([*C.DEFAULT_MODULE_PATH, *C.DEFAULT_MODULE_UTILS_PATH])
        kept.mkdir(parents=True, exist_ok=True)
        # Where Ansible keeps them for the time of a run; a unit test notices where that is another place.
        Path(C.DEFAULT_LOCAL_TMP, "ansiballz_cache").symlink_to(kept)
