#!/usr/bin/python
"""Thin module over process_model.releases.to_prune."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_prune
short_description: Remove old releases that no colour names
description:
  - Keeps the newest O(keep) releases under O(directory), and every release that a colour of any service links to.
options:
  directory:
    description: The folder of releases; each has a C(release.json), written when its installation was complete.
    type: path
    default: /srv/plane/releases
  keep:
    description: How many of the newest stay.
    type: int
    default: 3
  links:
    description: Glob of the colours' links to their releases.
    type: str
    default: /etc/plane-*/*/release
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Remove releases that nothing needs
  release_prune:
    keep: 3
"""

RETURN = r"""
removed:
  description: The versions that were removed (in check mode would be).
  returned: always
  type: list
  elements: str
"""

import glob
import os
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model.releases import to_prune


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "default": "/srv/plane/releases"},
            "keep": {"type": "int", "default": 3},
            "links": {"type": "str", "default": "/etc/plane-*/*/release"},
        },
        supports_check_mode=True,
    )
    directory = Path(module.params["directory"])
    installed = {path.parent.name: path.stat().st_mtime for path in directory.glob("*/release.json")}
    in_use = {Path(os.path.realpath(link)).name for link in glob.glob(module.params["links"])}
    removed = to_prune(installed, in_use, module.params["keep"])
    if not module.check_mode:
        for version in removed:
            shutil.rmtree(directory / version)
    module.exit_json(changed=bool(removed), removed=removed)


if __name__ == "__main__":
    main()
