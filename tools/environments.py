"""An environment as its inventory's files say it, for tools that need no host and no vault: names, addresses, numbers.

Templates are not resolved; what a tool reads here is a number, a name or a list of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
ROLES = ROOT / "ansible" / "roles"
SERVICES = {"plane_api": "plane-api", "plane_graphql": "plane-graphql"}
VAULT = "vault.yml"
# Of Prometheus on the host of the group plane_monitoring.
PROMETHEUS_PORT = 9090


class SettingsError(ValueError):
    """A setting that a tool cannot use; the message names the variable, its value, what is allowed and the file."""


@dataclass(frozen=True)
class Environment:
    """groups: group -> hosts. addresses: host -> address. variables: the roles' defaults, then the inventory's."""

    name: str
    inventory: Path
    groups: Mapping[str, list[str]]
    addresses: Mapping[str, str]
    variables: Mapping[str, Any]

    @property
    def services(self) -> dict[str, list[str]]:
        """Name of each service -> its hosts; a service without a host is left out."""
        return {name: self.groups[group] for group, name in SERVICES.items() if self.groups.get(group)}

    def number(self, variable: str, lowest: float) -> float:
        """Raises SettingsError unless the variable is a number of at least `lowest`."""
        value = self.variables.get(variable)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < lowest:
            raise SettingsError(
                f"{variable} is {value!r}. Allowed: a number of at least {lowest:g}. Change it in "
                f"{self.inventory}/group_vars/{self.name}/"
            )
        return float(value)


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return found


def defaults() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(ROLES.glob("plane_*/defaults/main.yml")):
        found.update(load(path))
    return found


def read(inventory: Path) -> Environment:
    """Raises SettingsError where there is no inventory of one environment."""
    if not (inventory / "hosts.yml").exists():
        raise SettingsError(f"{inventory} is no inventory: it holds no hosts.yml")
    groups: dict[str, list[str]] = {}
    addresses: dict[str, str] = {}
    variables = defaults()
    folders = [folder for folder in sorted((inventory / "group_vars").iterdir()) if folder.is_dir()]
    for folder in folders:
        for path in sorted(folder.glob("*.yml")):
            if path.name != VAULT:
                variables.update(load(path))
    for group, content in load(inventory / "hosts.yml").items():
        variables.update((content or {}).get("vars") or {})
        for host, own in ((content or {}).get("hosts") or {}).items():
            groups.setdefault(group, []).append(host)
            if own and "ansible_host" in own:
                addresses[host] = str(own["ansible_host"])
    return Environment(str(variables.get("plane_environment")), inventory, groups, addresses, variables)


def prometheus_of(environment: Environment, given: str | None) -> str:
    """Where this environment's Prometheus listens. Raises SettingsError where nothing says so."""
    said = given or environment.variables.get("plane_release_gate_prometheus")
    if said:
        return str(said)
    for host in environment.groups.get("plane_monitoring", []):
        if host in environment.addresses:
            return f"http://{environment.addresses[host]}:{PROMETHEUS_PORT}"
    raise SettingsError(
        f"plane_release_gate_prometheus is not set, and {environment.inventory} has no host in plane_monitoring: say "
        "where Prometheus listens, for example http://host:9090"
    )
