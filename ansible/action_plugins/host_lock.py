"""Says which run of Ansible takes a host's lock, and whether the run that holds it has ended on this controller."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

# Ansible finds a project's module_utils for modules, not for plugins of the controller.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "module_utils"))

from process_model import lock

# The run itself: it loads this before it forks a process for each task.
RUN = os.getpid()


class ActionModule(ActionBase):
    """See library/host_lock.py for the documentation."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        # A run that was killed leaves its tasks orphans: the lock would be that of whoever has taken them in.
        if os.getppid() != RUN:
            return {"failed": True, "msg": f"the run that this task is a part of (process {RUN}) has ended"}
        mine = lock.owner_of_process(RUN)
        given = {"state": self._task.args.get("state", "present"), "owner": mine.to_dict()}
        result: dict[str, Any] = self._execute_module(module_args=given, task_vars=task_vars)
        held = lock.Owner(**result["held_by"]) if result.get("held_by") else None
        if held and held.has_ended():
            result = self._execute_module(module_args={**given, "ended": held.to_dict()}, task_vars=task_vars)
        return result
