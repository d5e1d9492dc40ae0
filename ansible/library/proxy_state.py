#!/usr/bin/python
"""Thin module over process_model.proxy."""

from __future__ import annotations

DOCUMENTATION = r"""
module: proxy_state
short_description: Compare what nginx at the edge runs, and who answers behind it, with what is desired
description:
  - Asks nginx of this host through itself, by address, and changes nothing, in check mode or out of it.
options:
  desired:
    description: What should run, as the role plane_proxy describes it.
    type: dict
    required: true
  preflight:
    description: Ask nobody behind the proxy, and fail with what stands in the way of a change on this host.
    type: bool
    default: false
  wait_seconds:
    description: How long nginx may take until it runs the desired configuration, as after a reload. Nobody behind it is
      asked, unless this is 0.
    type: float
    default: 0
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Ask every host through the proxy
  proxy_state:
    desired: "{{ plane_proxy_desired }}"
"""

RETURN = r"""
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
  description: The front doors that answered, and, with TLS, until when the certificate is good.
  returned: always
  type: dict
evidence:
  description: In short, what the verdict rests on.
  returned: always
  type: list
  elements: str
answers:
  description: The last request that each front door answered, with its C(host), C(service), C(status) and C(mark).
  returned: always
  type: list
  elements: dict
installed:
  description: Whether nginx is on this host.
  returned: always
  type: bool
current:
  description: Whether nginx runs the desired configuration, and serves the certificate that its file holds.
  returned: always
  type: bool
settled:
  description: Whether a run has nothing to do on this host.
  returned: always
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model.proxy import examine


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "desired": {"type": "dict", "required": True},
            "preflight": {"type": "bool", "default": False},
            "wait_seconds": {"type": "float", "default": 0.0},
        },
        supports_check_mode=True,
    )
    state = examine(**module.params)
    if state.refusals:
        module.fail_json(msg="\n".join(state.refusals))
    module.exit_json(changed=False, **state.to_dict())


if __name__ == "__main__":
    main()
