#!/usr/bin/python
"""Thin module over process_model.watch.try_shares."""

from __future__ import annotations

DOCUMENTATION = r"""
module: canary_share
short_description: Give a colour that is not live a share of the traffic, watch it, and take the share back
description:
  - Sends one share after the other of each route's requests to O(colour), which was verified and has no traffic yet,
    and counts for O(seconds) what it answers, as HAProxy has it. Fails with the first share of which too much failed.
  - Afterwards, whatever happened, the live colour has all of the traffic again; after a failure O(colour) has finished
    what it held.
  - With no O(percents) it takes back what a run that was killed may have left. Where HAProxy does not run, nothing is
    left; started again, it gives no share.
options:
  service:
    description: Name of the service, for example C(plane-api).
    type: str
    required: true
  colour:
    description: The colour that is to have a share.
    type: str
    choices: [blue, green]
    required: true
  percents:
    description: The shares, one after the other, in percent.
    type: list
    elements: int
    default: []
  seconds:
    description: How long each share is watched.
    type: float
    default: 0
  max_error_share:
    description: The share of its requests that may fail, by an answer of 500 or above or by none. 0 is none at all.
    type: float
    default: 0
  drain_seconds:
    description: How long the colour may finish what it holds after its share was taken back.
    type: float
    default: 30
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Give the new colour 5 and then 25 percent
  canary_share:
    service: plane-api
    colour: green
    percents: [5, 25]
    seconds: 60
    max_error_share: 0.01
"""

RETURN = r"""
shares:
  description: For each share C(percent), C(seconds), C(answers), C(held) and C(reasons), as M(traffic_watch) has them.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model import colours
from ansible.module_utils.process_model.admission import AdmissionError
from ansible.module_utils.process_model.watch import try_shares


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "colour": {"type": "str", "choices": list(colours.COLOURS), "required": True},
            "percents": {"type": "list", "elements": "int", "default": []},
            "seconds": {"type": "float", "default": 0.0},
            "max_error_share": {"type": "float", "default": 0.0},
            "drain_seconds": {"type": "float", "default": 30.0},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, shares=[])
    try:
        shares = [share.to_dict() for share in try_shares(**module.params)]
    except AdmissionError as error:
        if not module.params["percents"]:
            module.exit_json(changed=False, shares=[])
        module.fail_json(msg=str(error), shares=[])
    if shares and shares[-1]["reasons"]:
        said = "\n".join(shares[-1]["reasons"])
        module.fail_json(msg=f"with {shares[-1]['percent']} % of the traffic: {said}", shares=shares)
    # Traffic is where it was before.
    module.exit_json(changed=False, shares=shares)


if __name__ == "__main__":
    main()
