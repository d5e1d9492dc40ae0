"""An Ansible callback of these tests: breaks the idle colour of each host right before a run verifies it."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: break_idle_colour
type: notification
short_description: Run a command on each host right before the idle colour is verified
description:
  - BREAK_IDLE_COLOUR holds a JSON object, task name prefix to a list of commands (each a list of words), that are run
    on the controller, in this order, before that task starts. A command that fails ends the run.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "break_idle_colour"

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        for prefix, commands in json.loads(os.environ.get("BREAK_IDLE_COLOUR", "{}")).items():
            if task.name.startswith(prefix):
                for command in commands:
                    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
