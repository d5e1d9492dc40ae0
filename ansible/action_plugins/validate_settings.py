"""Refuses settings that cannot be right; runs on the controller alone. The rules are in process_model.settings."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

# Ansible finds a project's module_utils for modules, not for plugins of the controller.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "module_utils"))

from process_model import settings  # noqa: E402

ROLES = Path(__file__).resolve().parent.parent / "roles"
PUBLIC_ROLES = (*settings.SERVICES, settings.RELEASE)


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
        directory = variables.get("inventory_dir")
        services = [service for service in settings.SERVICES if service in variables["group_names"]]
        problems = settings.validate(
            self.resolve(variables), read_specs(), services, Path(directory) if directory else None
        )
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

    def resolve(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Every variable with our prefix, templates resolved; one that cannot be resolved shows as missing."""
        names = {name for name in variables if name.startswith("plane_")}
        known = {name for options in read_specs().values() for name in options}
        found: dict[str, Any] = {}
        for name in sorted(names | known):
            raw = variables.get(name, read_defaults().get(name))
            try:
                found[name] = self._templar.template(self.trusted(raw)) if name in known else raw
            except AnsibleError:
                found[name] = None
        return {name: value for name, value in found.items() if name in names or value is not None}

    @staticmethod
    def trusted(value: Any) -> Any:
        """Defaults that were read here are the roles' own text, so their templates may run."""
        from ansible.template import trust_as_template

        return trust_as_template(value) if isinstance(value, str) else value
