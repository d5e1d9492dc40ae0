#!/usr/bin/python
"""Thin module over process_model.watch."""

from __future__ import annotations

DOCUMENTATION = r"""
module: traffic_watch
short_description: Watch a service's live colour after it has taken the traffic
description:
  - Counts what gunicorn answers, as HAProxy has it, for O(seconds), then compares the colour with what is desired.
  - Changes nothing. Ends early where at least 20 requests were answered and too many of them failed.
options:
  desired:
    description: What should run, as the role gunicorn_service describes it.
    type: dict
    required: true
  seconds:
    description: How long to watch.
    type: float
    required: true
  max_error_share:
    description: The share of requests that may fail, by an answer of 500 or above or by none. 0 is none at all.
    type: float
    required: true
attributes:
  check_mode:
    support: full
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Watch the canary
  traffic_watch:
    desired: "{{ gunicorn_service_plans['plane-api'].desired }}"
    seconds: 60
    max_error_share: 0.01
"""

RETURN = r"""
seconds:
  description: How long it was watched.
  returned: always
  type: float
answers:
  description: C(total) answers, C(errors) among them, and C(lost) requests without an answer.
  returned: always
  type: dict
  sample: {total: 412, errors: 0, lost: 0}
reasons:
  description: Why the colour must not keep the traffic; empty where it may.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.process_model.watch import watch


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "desired": {"type": "dict", "required": True},
            "seconds": {"type": "float", "required": True},
            "max_error_share": {"type": "float", "required": True},
        },
        supports_check_mode=True,
    )
    watched = watch(**module.params)
    if watched.reasons:
        module.fail_json(msg="\n".join(watched.reasons), **watched.to_dict())
    module.exit_json(changed=False, **watched.to_dict())


if __name__ == "__main__":
    main()
