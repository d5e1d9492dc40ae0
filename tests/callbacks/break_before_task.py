"""An Ansible callback of these tests: runs commands right before a task of a playbook starts."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: break_before_task
type: notification
short_description: Run commands right before a task starts, so that a run meets a fault half-way
description:
  - BREAK_BEFORE_TASK holds a JSON object, the beginning of a task's name to a list of commands (each a list of words).
    They run on the controller, in this order. A command that fails ends the run.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc] # ansible-core carries no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "break_before_task"

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        for beginning, commands in json.loads(os.environ.get("BREAK_BEFORE_TASK", "{}")).items():
            if task.name.startswith(beginning):
                for command in commands:
                    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
