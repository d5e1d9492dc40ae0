"""Loads Jinja's filters and tests in the controller's own process, before it starts others."""

from __future__ import annotations

DOCUMENTATION = r"""
name: load_filters_once
type: aggregate
short_description: Load filters and tests once for a run, not once for each task of each host
description:
  - Ansible starts a process for each task of each host, and each loads every filter plugin anew as soon as its task
    names one. What the first process has loaded, all others have from the start.
  - It prints nothing and decides nothing. Without it a run does the same and takes longer.
requirements:
  - enabled in ansible.cfg, by callbacks_enabled
"""

from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import filter_loader, test_loader


class CallbackModule(CallbackBase):  # type: ignore[misc] # Ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "load_filters_once"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: Any) -> None:
        # Asked for one of them, a loader loads all of its.
        filter_loader.get("ansible.builtin.bool")
        test_loader.get("ansible.builtin.defined")
