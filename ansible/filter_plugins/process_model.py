"""Filters of the roles; the logic is in module_utils/process_model."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# Ansible finds a project's module_utils for modules, not for plugins of the controller.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "module_utils"))

from process_model import fit, proxy, recycling, rotation, watch
from process_model.compare import settings_folder
from process_model.environment import environment_line
from process_model.releases import kind_of, python_digest
from process_model.report import describe_model
from process_model.sizing import parse_size

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


def byte_size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from None


def recycling_strategy(
    asked: str, service: str, worker_class: str, version: str, change: str, max_requests: int | str
) -> dict[str, Any]:
    """The arguments and the answer are those of process_model.recycling.choose."""
    return recycling.choose(service, asked, worker_class, version, change, int(max_requests)).to_dict()


def rotation_plan(settings: dict[str, Any], service: str, environment: str) -> dict[str, Any]:
    """The arguments and the answer are those of process_model.rotation.make_plan."""
    try:
        return rotation.make_plan(service, settings).to_dict()
    except ValueError as error:
        raise AnsibleFilterError(f"{error}. Change it in {settings_folder(environment)}") from None


def database_verdict(
    plans: dict[str, dict[str, dict[str, Any]]], database: dict[str, Any] | None, environment: str
) -> dict[str, list[str]]:
    """database: what it said of its connections, or None. The answer: fit.Verdict."""
    desired = [plan["desired"] for services in plans.values() for plan in services.values()]
    return asdict(fit.judge_database(desired, database, settings_folder(environment)))


def proxy_behind(
    groups: dict[str, list[str]], hostvars: Any, environment: str, defaults: dict[str, Any]
) -> list[dict[str, Any]]:
    """The arguments and the answer are those of process_model.proxy.find_behind."""
    return [behind.to_dict() for behind in proxy.find_behind(groups, hostvars, environment, defaults)]


def units_found(asked: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Host -> mark -> unit. asked: of each host behind a proxy, once or twice, what M(answering_units) found there."""
    units: dict[str, dict[str, str]] = {}
    for result in asked:
        if "units" in result:
            units.setdefault(result["item"], {}).update(result["units"])
    return units


def proxy_passed_on(state: dict[str, Any], asked: list[dict[str, Any]]) -> list[str]:
    """The answer is that of process_model.proxy.passed_on. asked: as of units_found."""
    return proxy.passed_on(state, units_found(asked))


def proxy_verdict(state: dict[str, Any], asked: list[dict[str, Any]], hostvars: Any) -> dict[str, Any]:
    """What verify says of a proxy. asked: as of units_found."""
    units = units_found(asked)
    verified = {host: hostvars[host].get("gunicorn_service_verdicts") or {} for host in units}
    live = {
        host: {service: verdict["live"] for service, verdict in verdicts.items()} for host, verdicts in verified.items()
    }
    return proxy.judge_units(state, units, live)


def rendered_files(entries: list[dict[str, Any]], texts: dict[str, str], directory: str) -> list[dict[str, Any]]:
    """What colour_files writes: the entries (name, mode; 0644 where none is named) that were rendered for a folder."""
    paths = [(entry, f"{directory}/{entry['name']}") for entry in entries]
    return [
        {"name": entry["name"], "mode": entry.get("mode", "0644"), "content": texts[path]}
        for entry, path in paths
        if path in texts
    ]


def plans_in_words(plans: dict[str, dict[str, Any]], release: str) -> dict[str, str]:
    """Service -> `release 1.2.3, gthread 2×8`. plans: service -> its `desired`."""
    models = {service: plan["desired"]["model"] for service, plan in plans.items()}
    return {
        service: f"release {release}, {describe_model(model['worker_class'], model['workers'], model['threads'])}"
        for service, model in models.items()
    }


def swarm_files(made: dict[str, str]) -> list[dict[str, str]]:
    """What M(stack_service) returned, as files of M(colour_files)."""
    return [{"name": name, "mode": "0644", "content": text} for name, text in made.items()]


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "accepted_database_question": fit.accepted_database_question,
            "byte_size": byte_size,
            "database_question": fit.database_question,
            "database_verdict": database_verdict,
            "environment_file": environment_file,
            "plans_in_words": plans_in_words,
            "proxy_behind": proxy_behind,
            "proxy_passed_on": proxy_passed_on,
            "proxy_verdict": proxy_verdict,
            "swarm_files": swarm_files,
            "recycling_strategy": recycling_strategy,
            "rendered_files": rendered_files,
            "rotation_plan": rotation_plan,
            "python_digest": lambda folder: python_digest(Path(folder)),
            "release_kind": kind_of,
            "watched_line": watch.line,
        }
