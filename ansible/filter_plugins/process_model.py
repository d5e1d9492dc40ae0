"""Filters of the roles; the logic is in module_utils/process_model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.process_model.environment import environment_line
from ansible.module_utils.process_model.releases import kind_of

DOCUMENTATION = r"""
name: environment_file
short_description: The lines of an environment file in systemd's syntax
description:
  - Turns a dictionary of environment variables into lines that give the process exactly these values.
  - Names are sorted. A variable whose value is null is left out; true and false become C(true) and C(false).
options:
  _input:
    description: Names and values.
    type: dict
    required: true
"""


def environment_file(variables: dict[str, Any]) -> str:
    lines = []
    for name in sorted(variables):
        value = variables[name]
        if value is None:
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        try:
            lines.append(environment_line(name, text))
        except ValueError as error:
            raise AnsibleFilterError(str(error)) from None
    return "\n".join(lines) + "\n"


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"environment_file": environment_file, "release_kind": kind_of}
