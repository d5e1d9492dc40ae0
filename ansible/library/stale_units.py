#!/usr/bin/python
"""Says which units run with older files than there are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stale_units
short_description: Find units that were started or reloaded before one of their files changed
description:
  - A run that failed after it wrote a file leaves a process that has not read it. Whether that is so is asked of
    systemd, so that the next run finds out. Changes nothing.
options:
  units:
    description: Unit to the paths of the files that it reads.
    type: dict
    required: true
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Ask whether Prometheus has read its configuration since it changed
  stale_units:
    units:
      prometheus.service: [/etc/prometheus/prometheus.yml]
  register: found
"""

RETURN = r"""
stale:
  description: The units that have not.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model.units import stale


def main() -> None:
    module = AnsibleModule(argument_spec={"units": {"type": "dict", "required": True}}, supports_check_mode=True)
    module.exit_json(changed=False, stale=stale(module.params["units"]))


if __name__ == "__main__":
    main()
