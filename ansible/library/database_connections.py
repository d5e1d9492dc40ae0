#!/usr/bin/python
"""Thin module over process_model.database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: database_connections
short_description: Ask a service's database how many connections it allows, and how many others hold
description:
  - Asks as the service itself would, with a colour's release and its environment. Changes nothing.
  - A database that does not answer is no failure; RV(database) says why.
options:
  service:
    description: The service, plane-api or plane-graphql.
    type: str
    required: true
  colour:
    description: A colour of it that has been deployed on this host.
    type: str
    choices: [blue, green]
    required: true
  addresses:
    description: Addresses of the fleet's hosts, whose connections are not others'.
    type: list
    elements: str
    required: true
  contained:
    description: Whether the colour is a container.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Ask the database for its connections
  database_connections:
    service: plane-api
    colour: blue
    addresses: [10.0.0.1, 10.0.0.2]
  run_once: true
"""

RETURN = r"""
database:
  description: C(most) connections that it allows, C(reserved) of these for administrators, C(others) that are open now
    and come from none of the addresses; C(error) where it could not be asked.
  returned: always
  type: dict
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model.colours import COLOURS
from ansible.module_utils.process_model.database import ask


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "service": {"type": "str", "required": True},
            "colour": {"type": "str", "choices": list(COLOURS), "required": True},
            "addresses": {"type": "list", "elements": "str", "required": True},
            "contained": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    found = ask(given["service"], given["colour"], given["addresses"], given["contained"])
    module.exit_json(changed=False, database=asdict(found))


if __name__ == "__main__":
    main()
