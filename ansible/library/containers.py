#!/usr/bin/python
"""Thin module over process_model.containers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: containers
short_description: Make containers of ours in an adopted installation of Docker Compose
description:
  - Makes them from the installation's files and a compose file of ours, and starts none. Nothing is pulled.
options:
  installation:
    description: The installation, as the role plane_release describes it.
    type: dict
    required: true
  directory:
    description: The folder that holds our compose.yaml. Compose's digest of what was made is written there too, as
      C(configuration).
    type: path
    required: true
  services:
    description: Which services of that file.
    type: list
    elements: str
    required: true
  anew:
    description: Whether a container that is of the same settings already is made anew too.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Make the containers of green
  containers:
    installation: "{{ plane_release_adopted }}"
    directory: /etc/plane-api/green
    services: [plane-api-green]
"""

RETURN = r"""
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model.containers import DockerError, Installation


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "installation": {"type": "dict", "required": True},
            "directory": {"type": "path", "required": True},
            "services": {"type": "list", "elements": "str", "required": True},
            "anew": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        if not module.check_mode:
            Installation(**module.params["installation"]).make(
                Path(module.params["directory"]), module.params["services"], module.params["anew"]
            )
    except (DockerError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
