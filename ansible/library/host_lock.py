#!/usr/bin/python
"""Thin module over process_model.lock; its action plugin says on the controller which run this is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_lock
short_description: Keep two runs from changing one host at once
description:
  - Takes or gives back the lock of a host, a file in C(/run). The owner is this run of Ansible, which the action plugin
    of the same name finds out.
  - A lock whose run was on this controller and has ended there is taken over. Any other is an error that names the
    owner and the age, and C(plane-process-model unlock) on the host breaks it.
options:
  state:
    description: Take the lock, or give it back where this run holds it.
    type: str
    choices: [present, absent]
    default: present
  owner:
    description: Set by the action plugin.
    type: dict
  ended:
    description: Set by the action plugin; the owner that was found, whose run has ended.
    type: dict
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Let nobody else change this host meanwhile
  host_lock:
"""

RETURN = r"""
held_by:
  description: Who held the lock when it was not to be had.
  returned: on failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model import lock


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "owner": {"type": "dict"},
            "ended": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    mine = lock.Owner(**module.params["owner"])
    ended = lock.Owner(**module.params["ended"]) if module.params["ended"] else None
    if module.check_mode:
        module.exit_json(changed=False)
    if module.params["state"] == "absent":
        lock.release(mine)
        module.exit_json(changed=False)
    try:
        lock.take(mine, ended)
    except lock.LockedError as error:
        held = lock.read()
        module.fail_json(msg=str(error), held_by=held.to_dict() if held else None)
    # A lock is no change of the host: it is gone with the run.
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
