"""Refuses settings that cannot be right; runs on the controller alone. The rules are in process_model.settings."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template
from ansible.utils.display import Display

# Ansible finds a project's module_utils for modules, not for plugins of the controller.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "module_utils"))

from process_model import proxy, settings
from process_model.report import columns

display = Display()
ROLES = Path(__file__).resolve().parent.parent / "roles"
PUBLIC_ROLES = (*settings.SERVICES, settings.RELEASE, settings.PROXY, settings.OBSERVABILITY)


@lru_cache(maxsize=1)
def read_specs() -> dict[str, dict[str, Any]]:
    """The options of each public role's argument spec."""
    specs = {}
    for role in PUBLIC_ROLES:
        text = (ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
        specs[role] = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return specs


@lru_cache(maxsize=1)
def read_defaults() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for role in PUBLIC_ROLES:
        found.update(yaml.safe_load((ROLES / role / "defaults" / "main.yml").read_text(encoding="utf-8")) or {})
    return found


def find_behind(variables: dict[str, Any]) -> list[proxy.Behind] | None:
    """The front doors behind this host's proxy; None where it has none. Raises ValueError where a number is none."""
    if settings.PROXY not in variables["group_names"]:
        return None
    private = yaml.safe_load((ROLES / "gunicorn_service" / "vars" / "main.yml").read_text(encoding="utf-8"))
    return proxy.find_behind(
        variables["groups"],
        variables["hostvars"],
        str(variables.get("plane_environment")),
        {**read_defaults(), **private},
    )


class ActionModule(ActionBase):
    """See library/validate_settings.py for the documentation."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        span = self.spanned(variables)
        if len(span) > 1:
            result.update(
                failed=True,
                msg=f"this run spans the environments {', '.join(span)}: name one, for example -l {span[0]}. "
                "Nothing was touched.",
            )
            return result
        if self._task.args.get("environments_alone"):
            return {**result, "changed": False}
        directory = variables.get("inventory_dir")
        inventory = Path(directory) if directory else None
        services = [service for service in settings.SERVICES if service in variables["group_names"]]
        resolved, unresolved = self.resolve(variables)
        if self._task.args.get("explain"):
            given = {name for name in variables if name.startswith("plane_")}
            roles = (*services, settings.RELEASE, *({settings.PROXY} & set(variables["group_names"])))
            table = settings.explain(resolved, given, read_defaults(), read_specs(), roles, inventory)
            for line in columns([("SETTING", "FROM", "VALUE"), *table]):
                display.display(line)
        try:
            behind = find_behind(variables)
        except (AnsibleError, ValueError, TypeError) as error:
            result.update(failed=True, msg=f"the settings of a host behind {settings.PROXY} cannot be read: {error}")
            return result
        problems = settings.validate(resolved, read_specs(), services, inventory, unresolved, behind)
        result.update(
            changed=False,
            failed=bool(problems),
            problems=[vars(problem) for problem in problems],
            msg="\n".join(str(problem) for problem in problems) or "settings are as they should be",
        )
        return result

    def spanned(self, variables: dict[str, Any]) -> list[str]:
        hosts = variables.get("ansible_play_hosts_all") or []
        return settings.environments_spanned(
            {host: str(variables["hostvars"][host].get("plane_environment", host)) for host in hosts}
        )

    def resolve(self, variables: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """Every variable with our prefix, templates resolved, and why those that cannot be resolved cannot."""
        # Text that was read here is the roles' own, so its templates may run.
        defaults = {
            name: trust_as_template(value) if isinstance(value, str) else value
            for name, value in read_defaults().items()
        }
        known = {name for options in read_specs().values() for name in options}
        given = {name: value for name, value in variables.items() if name.startswith("plane_")}
        templar = self._templar.copy_with_new_env(available_variables={**defaults, **variables})
        found: dict[str, Any] = {name: value for name, value in given.items() if name not in known}
        found["inventory_hostname"] = variables["inventory_hostname"]
        unresolved: dict[str, str] = {}
        for name in sorted(known & (set(defaults) | set(given))):
            try:
                found[name] = templar.template(given.get(name, defaults.get(name)))
            except AnsibleError as error:
                unresolved[name] = str(error.message).splitlines()[0]
        return found, unresolved
