#!/usr/bin/python
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verification_report
short_description: Write the verification report and print its table
description:
  - Collects what M(process_model) answered on every host of the play, writes it as one JSON document to O(path),
    prints a table, and fails with one line per mismatch.
  - Runs on the controller alone.
options:
  database:
    description: What M(database_connections) returned, where it was asked.
    type: dict
  path:
    description: The JSON document to write.
    type: path
    required: true
author: Plane infrastructure (@makeplane)
"""

EXAMPLES = r"""
- name: Write the report and the table
  verification_report:
    path: build/reports/verify.json
  run_once: true
"""

RETURN = r"""
path:
  description: The report.
  returned: always
  type: str
"""
