#!/usr/bin/python
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: validate_settings
short_description: Refuse settings that cannot be right, before any host is touched
description:
  - Checks the host's variables against the argument specs of the public roles, and against what a type cannot say. Each
    problem names the variable, its value, what is allowed and the file to change; a secret's value is never shown.
  - Refuses a variable with our prefix that no spec knows, with the nearest name.
  - Refuses a run that spans two environments.
  - Runs on the controller alone.
options:
  environments_alone:
    description: Refuse a run that spans two environments and look at nothing else, for the night.
    type: bool
    default: false
  explain:
    description: Also print the value of each setting of this host, and where it comes from.
    type: bool
    default: false
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Refuse settings that cannot be right
  validate_settings:
"""

RETURN = r"""
problems:
  description: Each with C(variable), C(value), C(allowed) and C(where).
  returned: always
  type: list
  elements: dict
"""
