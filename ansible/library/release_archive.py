#!/usr/bin/python
"""Thin module over process_model.releases.build_archive; runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_archive
short_description: Turn a directory or an archive into one deterministic release archive
description:
  - Writes the Django project at O(source) into O(destination) as a C(.tar.gz) whose bytes depend on its content alone,
    and which is named by its digest.
  - Run it on the controller (C(delegate_to=localhost)); the hosts get the archive whatever the source was.
options:
  source:
    description: A directory, or an archive (tar or zip) whose root, or only top folder, counts as the directory.
    type: path
    required: true
  destination:
    description: The folder to write to. It is the project's build folder and is written in check mode too, since
      nothing on any host changes and the digest decides what would.
    type: path
    required: true
  manage:
    description: The file that marks the root of the project.
    type: str
    default: manage.py
  folder:
    description: The folder of the source that is the project, where that is not the source itself.
    type: str
    default: ""
  requirements:
    description: The project's requirements file, which is read for the version of gunicorn that it pins.
    type: str
    required: true
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Pack the release on the controller
  release_archive:
    source: /srv/checkouts/plane/apiserver
    destination: build/releases
    requirements: requirements.txt
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
digest:
  description: SHA-256 of the archive.
  returned: success
  type: str
  sample: 1f0c8b…
path:
  description: The archive.
  returned: success
  type: path
gunicorn:
  description: The version of gunicorn that the requirements pin; empty where they do not.
  returned: success
  type: str
  sample: 23.0.0
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model import recycling
from ansible.module_utils.process_model.releases import ReleaseError, build_archive, texts_in


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "source": {"type": "path", "required": True},
            "destination": {"type": "path", "required": True},
            "manage": {"type": "str", "default": "manage.py"},
            "folder": {"type": "str", "default": ""},
            "requirements": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        digest, path = build_archive(
            Path(given["source"]), Path(given["destination"]), given["manage"], given["folder"]
        )
    except ReleaseError as error:
        module.fail_json(msg=f"plane_release_source: {error}")
    module.exit_json(
        changed=False,
        digest=digest,
        path=str(path),
        gunicorn=recycling.pinned(texts_in(path), given["requirements"]),
    )


if __name__ == "__main__":
    main()
