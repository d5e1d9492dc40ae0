#!/usr/bin/python
"""Thin module over process_model.state."""

from __future__ import annotations

DOCUMENTATION = r"""
module: process_model
short_description: Compare the process model that really runs with the desired one
description:
  - Examines one service on this host and changes nothing, in check mode or out of it.
  - Without O(colour) it examines the live colour through the front door, admission included. With O(colour) it examines
    that colour alone, straight at its socket.
options:
  desired:
    description: What should run, as the role gunicorn_service describes it.
    type: dict
    required: true
  colour:
    description: The colour to examine; the live one where it is left out.
    type: str
    choices: [blue, green]
  saturate:
    description: Fill every worker for a moment to prove what it runs at once. For a colour without traffic, or where a
      moment of full load is acceptable.
    type: bool
    default: false
  wait_seconds:
    description: How long the instance may take until it answers its health path with 200.
    type: float
    default: 0
  preflight:
    description: Also say what a change on this host would find, and fail with what stands in its way.
    type: bool
    default: false
  journal_of:
    description: Also return the last journal lines of this colour.
    type: str
    choices: [blue, green]
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Verify the colour that has no traffic yet
  process_model:
    desired: "{{ gunicorn_service_plans['plane-api'].desired }}"
    colour: green
    saturate: true
    wait_seconds: 60
"""

RETURN = r"""
live:
  description: The colour that takes traffic, null before the first switch. RV(idle) is the other one.
  returned: always
  type: str
match:
  description: Whether everything that was examined is as desired.
  returned: always
  type: bool
mismatches:
  description: Each difference with C(what), C(desired), C(observed) and a C(message) that says what to do.
  returned: always
  type: list
  elements: dict
observed:
  description: Every observed value, the workers, versions and admission.
  returned: always
  type: dict
evidence:
  description: In short, what the verdict rests on.
  returned: always
  type: list
  elements: str
proof:
  description: With O(saturate), what was proved of the process, for M(colour_switch) to keep.
  returned: always
  type: dict
details:
  description: The whole observation with the source of each fact, the saturation probe and admission.
  returned: always
  type: dict
account_is_current:
  description: With O(preflight), whether the service's user and its group are there.
  returned: always
  type: bool
release_is_installed:
  description: With O(preflight), whether the desired release is installed on this host, to its end.
  returned: always
  type: bool
units_are_current:
  description: With O(preflight), whether the service's units are as they should be, read by systemd, and start at boot.
  returned: always
  type: bool
admission_is_current:
  description: With O(preflight), whether admission runs, starts at boot, and its own files are as they should be.
  returned: always
  type: bool
settled:
  description: With O(preflight), whether a run has nothing to do for this service on this host.
  returned: always
  type: bool
locked:
  description: With O(preflight), whether a run, perhaps one that was killed, holds the lock of this host.
  returned: always
  type: bool
command_is_current:
  description: With O(preflight), whether the host has the C(plane-process-model) that this controller has.
  returned: always
  type: bool
accepted:
  description: Risks that the inventory accepts by name, each with its arithmetic.
  returned: always
  type: list
  elements: str
warned:
  description: With O(preflight), what a change would bring that is not refused; shown as Ansible's warnings.
  returned: always
  type: list
  elements: str
journal:
  description: With O(journal_of), the last lines of that colour's journal.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model import state, swarm
from ansible.module_utils.process_model.colours import COLOURS


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "desired": {"type": "dict", "required": True},
            "colour": {"type": "str", "choices": list(COLOURS)},
            "saturate": {"type": "bool", "default": False},
            "wait_seconds": {"type": "float", "default": 0.0},
            "preflight": {"type": "bool", "default": False},
            "journal_of": {"type": "str", "choices": list(COLOURS)},
        },
        supports_check_mode=True,
    )
    examine = swarm.examine if module.params["desired"].get("stack") else state.examine
    found = examine(**module.params)
    for line in found.warned:
        module.warn(line)
    if found.refusals:
        module.fail_json(msg="\n".join(found.refusals))
    module.exit_json(changed=False, **found.to_dict())


if __name__ == "__main__":
    main()
