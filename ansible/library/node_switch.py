#!/usr/bin/python
"""Thin module over process_model.swarm."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_switch
short_description: Send the traffic of one node of a Swarm to a colour, and wait until the other one holds no request
description:
  - As M(colour_switch), but it stops nothing. Swarm does that once every node has switched.
options:
  service:
    description: Name of the service, for example C(plane-api).
    type: str
    required: true
  colour:
    description: The colour that is to take the traffic. It must have been verified before, on every node.
    type: str
    choices: [blue, green]
    required: true
  stack:
    description: The stack, as the role gunicorn_service describes it.
    type: dict
    required: true
  drain_seconds:
    description: How long the former colour may finish what it holds.
    type: float
    default: 30
  proof:
    description: What M(process_model) proved of the colour's tasks (its C(proof)), kept for later reports.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Switch this node to the colour that was verified
  node_switch:
    service: plane-api
    colour: green
    stack: "{{ gunicorn_service_plan.desired.stack }}"
"""

RETURN = r"""
message:
  description: What was done, in one sentence.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model import colours
from ansible.module_utils.process_model.swarm import Stack, switch
from ansible.module_utils.process_model.switch import SwitchError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "colour": {"type": "str", "choices": list(colours.COLOURS), "required": True},
            "stack": {"type": "dict", "required": True},
            "drain_seconds": {"type": "float", "default": 30.0},
            "proof": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    given = module.params
    service, colour = given["service"], given["colour"]
    live = colours.live_colour(service)
    if module.check_mode:
        module.exit_json(changed=live != colour, message=f"{service}: {live or 'nothing'} -> {colour} (check mode)")
    try:
        done = switch(service, colour, Stack(**given["stack"]), given["drain_seconds"], given["proof"])
    except SwitchError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, message=done.sentence(service))


if __name__ == "__main__":
    main()
