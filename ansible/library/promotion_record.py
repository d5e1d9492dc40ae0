#!/usr/bin/python
"""Thin module over process_model.promotion."""

from __future__ import annotations

DOCUMENTATION = r"""
module: promotion_record
short_description: Ask whether an environment may get a release, and record that it did
description:
  - With O(state=allowed), refuses unless the gate of the environment before has passed, and not too long ago. Where
    O(identity) is given it must be what passed there.
  - With O(state=recorded), writes the next record of the environment.
  - Runs on the controller, on files alone.
options:
  state:
    description: Ask, or record.
    type: str
    choices: [allowed, recorded]
    required: true
  folder:
    description: The records' folder.
    type: path
    required: true
  order:
    description: The environments, in the order of promotion.
    type: list
    elements: str
    required: true
  environment:
    description: Where to promote to.
    type: str
    required: true
  validity_hours:
    description: How old the gate before may be.
    type: float
  identity:
    description: Service to C(release), C(entrypoint) and C(model), each by a digest of its content.
    type: dict
  shown:
    description: Service to the same in words.
    type: dict
  built_from:
    description: Digest of the judged release that another edition was built from.
    type: str
    default: ''
  rests_on:
    description: Digest of the record that allows it, as O(state=allowed) returned it.
    type: str
  refused:
    description: What was overridden, as O(state=allowed) returned it.
    type: list
    elements: str
    default: []
  by:
    description: Who goes on although it is refused. Needs O(why).
    type: str
    default: ''
  why:
    description: Why somebody goes on although it is refused. Needs O(by).
    type: str
    default: ''
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Ask whether cloud may get what staging has
  promotion_record:
    state: allowed
    folder: records
    order: [staging, cloud]
    environment: cloud
    validity_hours: 168
"""

RETURN = r"""
refused:
  description: Why it is refused; not empty only where somebody overrides it.
  returned: with state allowed
  type: list
  elements: str
rests_on:
  description: Digest of the gate's record that allows it; null for the first environment.
  returned: with state allowed
  type: str
path:
  description: The record that was written, or would be.
  returned: with state recorded
  type: str
"""

import getpass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model import promotion


def ask(module: AnsibleModule) -> None:
    given = module.params
    if bool(given["by"]) != bool(given["why"]):
        module.fail_json(msg="an override names who and why: promote_override_by and promote_override_why")
    records = promotion.read_all(Path(given["folder"]), given["order"])
    answer = promotion.allowed(
        given["order"],
        given["environment"],
        records,
        promotion.utc_now(),
        given["validity_hours"],
        given["identity"],
        given["built_from"],
    )
    if answer.refused and not given["by"]:
        lines = [f"{given['environment']} must not get it; no host was touched.", *answer.refused]
        module.fail_json(msg="\n".join(lines), refused=answer.refused)
    if answer.refused:
        module.warn(f"overridden by {given['by']} ({given['why']}): {'; '.join(answer.refused)}")
    module.exit_json(changed=False, refused=answer.refused, rests_on=answer.rests_on)


def record(module: AnsibleModule) -> None:
    given = module.params
    kind = promotion.OVERRIDE if given["refused"] else promotion.PROMOTION
    content = {
        "time": promotion.utc_now().isoformat(timespec="seconds"),
        "identity": given["identity"] or {},
        "shown": given["shown"] or {},
        "built_from": given["built_from"],
        "rests_on": given["rests_on"],
        "by": given["by"] or getpass.getuser(),
    }
    if kind == promotion.OVERRIDE:
        content.update(why=given["why"], refused=given["refused"])
    if module.check_mode:
        module.exit_json(changed=True, path=f"{given['folder']}/{given['environment']}")
    module.exit_json(changed=True, path=promotion.append(Path(given["folder"]), given["environment"], kind, content))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["allowed", "recorded"], "required": True},
            "folder": {"type": "path", "required": True},
            "order": {"type": "list", "elements": "str", "required": True},
            "environment": {"type": "str", "required": True},
            "validity_hours": {"type": "float"},
            "identity": {"type": "dict"},
            "shown": {"type": "dict"},
            "built_from": {"type": "str", "default": ""},
            "rests_on": {"type": "str"},
            "refused": {"type": "list", "elements": "str", "default": []},
            "by": {"type": "str", "default": ""},
            "why": {"type": "str", "default": ""},
        },
        required_if=[("state", "allowed", ["validity_hours"])],
        supports_check_mode=True,
    )
    # Shown to people, and a playbook names it relative to its own folder.
    module.params["folder"] = str(Path(module.params["folder"]).resolve())
    try:
        {"allowed": ask, "recorded": record}[module.params["state"]](module)
    except promotion.PromotionError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
