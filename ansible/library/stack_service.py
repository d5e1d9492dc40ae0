#!/usr/bin/python
"""Thin module over process_model.swarm."""

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_service
short_description: Deploy a service of ours to a stack of Docker Swarm, and wait until all of its tasks run
description:
  - Makes it from the installation's files and a compose file of ours. Nothing else of the stack is touched.
  - For a manager of the Swarm that has the installation.
options:
  installation:
    description: The installation, as the role plane_release describes it.
    type: dict
    required: true
  stack:
    description: The stack, as the role gunicorn_service describes it.
    type: dict
    required: true
  directory:
    description: The folder that holds our compose.yaml.
    type: path
    required: true
  service:
    description: Which service of that file.
    type: str
    required: true
  wait_seconds:
    description: How long its tasks may take until Swarm calls all of them running.
    type: float
    default: 120
  afresh:
    description: Remove it first, so that its tasks are new ones, spread over all nodes.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Deploy green
  stack_service:
    installation: "{{ plane_release_adopted }}"
    stack: "{{ gunicorn_service_plan.desired.stack }}"
    directory: /etc/plane-api/green
    service: plane-api-green
    afresh: true
"""

RETURN = r"""
made:
  description: What it was made of, by the name of the file that every node keeps it in.
  returned: when not in check mode
  type: dict
  sample: {image: "makeplane/plane-backend:v1.2.3", configuration: 6f1e…, specification: 09ab…}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model.containers import DockerError, Installation
from ansible.module_utils.process_model.swarm import Stack, deploy


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "installation": {"type": "dict", "required": True},
            "stack": {"type": "dict", "required": True},
            "directory": {"type": "path", "required": True},
            "service": {"type": "str", "required": True},
            "wait_seconds": {"type": "float", "default": 120.0},
            "afresh": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    if module.check_mode:
        module.exit_json(changed=True)
    try:
        made = deploy(
            Installation(**given["installation"]),
            Stack(**given["stack"]),
            Path(given["directory"]),
            given["service"],
            given["wait_seconds"],
            given["afresh"],
        )
    except (DockerError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, made=made)


if __name__ == "__main__":
    main()
