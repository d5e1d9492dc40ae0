"""Collects what every host answered into build/reports/verify.json and a table; runs on the controller alone."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

# Ansible finds a project's module_utils for modules, not for plugins of the controller.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "module_utils"))

from process_model import report

display = Display()


class ActionModule(ActionBase):
    """See library/verification_report.py for the documentation."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        hosts = variables["ansible_play_hosts_all"]
        verdicts = {}
        silent = []
        for host in hosts:
            answered = dict(variables["hostvars"][host].get("gunicorn_service_verdicts") or {})
            if proxy := variables["hostvars"][host].get("plane_proxy_verdict"):
                answered["plane-proxy"] = proxy
            if answered:
                verdicts[host] = answered
            else:
                silent.append(host)
        document = report.build_report(
            environment=str(variables["plane_environment"]),
            time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            verdicts=verdicts,
            database=self._task.args.get("database"),
        )
        document["silent_hosts"] = silent
        document["match"] = document["match"] and not silent
        path = Path(self._task.args["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2, sort_keys=True, default=str) + "\n", encoding="utf-8")

        found = report.rows(document)
        headings, *lines = report.table(found)
        display.display("")
        display.display(headings)
        for row, line in zip(found, lines):
            display.display(line, color=constants.COLOR_OK if row.match else constants.COLOR_ERROR)
        for line in report.killed_lines(document) + report.accepted_lines(document):
            display.display(line, color=constants.COLOR_WARN)
        for host in silent:
            display.display(f"{host}  gave no answer: it failed in an earlier step", color=constants.COLOR_ERROR)
        display.display(f"report: {path}\n")

        problems = report.mismatch_lines(document) + [f"{host}: no answer, see its failure above" for host in silent]
        result.update(changed=False, failed=bool(problems), path=str(path))
        result["msg"] = "\n".join(problems) or "what runs is what should run"
        return result
