#!/usr/bin/python
"""Thin module over process_model.journal."""

from __future__ import annotations

DOCUMENTATION = r"""
module: answering_units
short_description: Say which unit of this host answered a request, by what it logged
description:
  - Looks for requests by a mark in their line, in the journal of the last minutes. Changes nothing.
options:
  marks:
    description: What only these requests carry.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Ask which instance answered
  answering_units:
    marks: [3f0c9a8e5b7d4c1f]
"""

RETURN = r"""
units:
  description: Mark to the unit that logged the request; a mark is missing where no unit did.
  returned: always
  type: dict
  sample: {3f0c9a8e5b7d4c1f: plane-api@blue.service}
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model.journal import units_of

# Clocks of hosts differ.
PAST_SECONDS = 180


def main() -> None:
    module = AnsibleModule(
        argument_spec={"marks": {"type": "list", "elements": "str", "required": True}}, supports_check_mode=True
    )
    found = units_of(module.params["marks"], since=time.time() - PAST_SECONDS)
    module.exit_json(changed=False, units=found)


if __name__ == "__main__":
    main()
