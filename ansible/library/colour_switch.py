#!/usr/bin/python
"""Thin module over process_model.switch."""

from __future__ import annotations

DOCUMENTATION = r"""
module: colour_switch
short_description: Send a service's traffic to one of its two colours, then drain and stop the other
description:
  - Checks the configuration with C(haproxy -c) as it would be, replaces the link that records the live colour, reloads
    admission without dropping a connection, and waits until the running HAProxy sends requests to the new colour.
  - Then waits until the former colour holds no request, O(drain_seconds) at the most, and stops it. Its files stay.
  - Where anything fails before the traffic has moved, the link is put back and the former colour serves on.
options:
  service:
    description: Name of the service, for example C(plane-api).
    type: str
    required: true
  colour:
    description: The colour that is to take the traffic. It must have been verified before.
    type: str
    choices: [blue, green]
    required: true
  drain_seconds:
    description: How long the former colour may finish what it holds. What is left then is cut, and counted.
    type: float
    default: 30
  proof:
    description: What M(process_model) proved of the colour (its C(proof)), kept for later reports.
    type: dict
  after:
    description: Another service. Before it has a live colour, admission is not started, as it would answer to the name
      of an installation's service that it does not know yet.
    type: str
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Switch to the colour that was verified
  colour_switch:
    service: plane-api
    colour: green
    drain_seconds: 30
"""

RETURN = r"""
switch:
  description: The colours, the seconds that switch, drain and stop took, and how many requests were cut.
  returned: when a switch was made
  type: dict
  sample: {former: blue, live: green, switch_seconds: 0.3, drain_seconds: 0.0, stop_seconds: 0.4, cut: 0}
message:
  description: The same in one sentence.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model import colours
from ansible.module_utils.process_model.switch import SwitchError, switch


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "colour": {"type": "str", "choices": list(colours.COLOURS), "required": True},
            "drain_seconds": {"type": "float", "default": 30.0},
            "proof": {"type": "dict"},
            "after": {"type": "str"},
        },
        supports_check_mode=True,
    )
    service, colour = module.params["service"], module.params["colour"]
    live = colours.live_colour(service)
    if module.check_mode:
        changed = live != colour
        module.exit_json(changed=changed, message=f"{service}: {live or 'nothing'} -> {colour} (check mode)")
    try:
        done = switch(
            service, colour, module.params["drain_seconds"], module.params["proof"], after=module.params["after"]
        )
    except SwitchError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, switch=done.to_dict(), message=done.sentence(service))


if __name__ == "__main__":
    main()
