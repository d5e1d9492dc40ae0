#!/usr/bin/python
"""Writes small files of one folder in one go."""

from __future__ import annotations

DOCUMENTATION = r"""
module: colour_files
short_description: Write a set of small files into one folder of this host
description:
  - One module instead of one C(copy) a file, each of which would reach the host three times. Each file is replaced as a
    whole, in the order of O(files); one that is as it should be stays as it is.
  - All of them belong to root.
options:
  directory:
    description: Their folder; made with mode 0755 where it is missing.
    type: path
    required: true
  files:
    description: What to write.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name within O(directory).
        type: str
        required: true
      content:
        description: The whole text.
        type: str
        required: true
      mode:
        description: Octal digits, for example C("0640").
        type: str
        required: true
      group:
        description: Group of the file.
        type: str
        default: root
  links:
    description: Symbolic links to make in O(directory), name to target.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Write the files that start green
  colour_files:
    directory: /etc/plane-api/green
    files:
      - {name: entrypoint.sh, content: "{{ entrypoint }}", mode: "0755"}
"""

RETURN = r"""
written:
  description: The names of the files and links that were written, or whose mode or group was set right (in check mode
    would be).
  returned: always
  type: list
  elements: str
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model.colours import point_link


def text_of(path: Path) -> str | None:
    """What is there; None where nothing is."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def write(module: AnsibleModule, path: Path, content: str) -> None:
    """Replace a file as a whole: whoever reads it finds the former text or this one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    module.add_cleanup_file(temporary)  # where the disk is full, half a file is left
    with os.fdopen(descriptor, "w", encoding="utf-8") as new:
        new.write(content)
    module.atomic_move(temporary, str(path))


def attributes(module: AnsibleModule, path: Path, mode: str, group: str) -> dict[str, Any]:
    """Owner, group and mode as AnsibleModule wants them."""
    found: dict[str, Any] = module.load_file_common_arguments(
        {"path": str(path), "owner": "root", "group": group, "mode": mode}
    )
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "content": {"type": "str", "required": True},
                    "mode": {"type": "str", "required": True},
                    "group": {"type": "str", "default": "root"},
                },
            },
            "links": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    directory = Path(module.params["directory"])
    written = []
    differences = []
    try:
        changed = not directory.is_dir()
        if changed and not module.check_mode:
            directory.mkdir(parents=True)
        # In check mode the folder may not be there, nor the group.
        if directory.is_dir():
            changed = module.set_fs_attributes_if_different(attributes(module, directory, "0755", "root"), changed)
        for file in module.params["files"]:
            path = directory / file["name"]
            before = text_of(path)
            if before != file["content"]:
                differences.append(
                    {
                        "before": before or "",
                        "after": file["content"],
                        "before_header": str(path),
                        "after_header": str(path),
                    }
                )
                written.append(file["name"])
                if not module.check_mode:
                    write(module, path, file["content"])
            if path.exists() and module.set_fs_attributes_if_different(
                attributes(module, path, file["mode"], file["group"]), False
            ):
                written.append(file["name"])
        for name, target in module.params["links"].items():
            link = directory / name
            if not link.is_symlink() or os.readlink(link) != target:
                written.append(name)
                if not module.check_mode:
                    point_link(link, Path(target))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or directory}: {error.strerror or error}")
    module.exit_json(
        changed=changed or bool(written), written=sorted(set(written)), diff=differences if module._diff else []
    )


if __name__ == "__main__":
    main()
