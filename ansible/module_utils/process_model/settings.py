"""Settings that cannot be right, found before any host is touched. No I/O but reading the files that are named.

Names, types, choices and what is required come from the roles' argument specs: this file adds only what a type cannot
say. Every problem names the variable, its value, what is allowed, and the file to change.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import procfs, tiers
from .compare import settings_folder
from .proxy import ADDRESSES_OF_ALL, BROWSER_PATIENCE, Behind
from .releases import kind_of
from .rotation import parse_window
from .sizing import Coefficients, parse_size
from .state import WARM_WORKER_BYTES

SERVICES = ("plane_api", "plane_graphql")
RELEASE = "plane_release"
PROXY = "plane_proxy"
OBSERVABILITY = "plane_observability"
# Names with the prefix `plane_` that no role declares: what plays and roles set themselves.
INTERNAL = {
    "plane_api",
    "plane_graphql",
    "plane_proxy",
    "plane_monitoring",
    "plane_stage",
    "plane_tiers",
    "plane_verify_saturate",
    "plane_rollback_services",
}
INTERNAL_RELEASE = {
    "adopted",
    "compose",
    "run_on_host",
    "build",
    "archive",
    "content",
    "identity",
    "path",
    "run",
    "migrating_host",
    "digest",
    "name",
    "packed",
    "found",
    "unapplied",
}
INTERNAL_PROXY = {
    "answered",
    "behind",
    "body_bytes",
    "configuration",
    "desired",
    "drop_in",
    "drop_in_file",
    "drop_in_written",
    "plan",
    "running",
    "service_defaults",
    "state",
    "text",
    "verdict",
}
INTERNAL_OBSERVABILITY = {
    "arguments",
    "before",
    "directory",
    "exporters",
    "installed",
    "jobs",
    "numbers",
    "older",
    "prometheus",
    "read",
    "rules",
    "stale",
    "units",
    "unread",
    "unseen",
    "watched",
    "written",
}
SECRETS = {
    f"{RELEASE}_{name}" for name in ("database_url", "redis_url", "amqp_url", "secret_key", "live_server_secret_key")
}
# Upstream's published example values, and the prefix of keys that Django generates for development.
PUBLISHED_KEYS = {
    "60gp0byfz2dvffa45cxl20p1scy9xbpf6d8c5y0geejgkyp1b5",
    "2FiJk1U2aiVPEQtzLehYGlTSnTnrs7LW",
    "htbqvBJAgpm9bzvf3r4urJer0ENReatceh",
}
PUBLISHED_PREFIXES = ("REPLACE", "django-insecure-", "lab-only-", "changeme", "secret-key")
TIERS = "ansible/vars/tiers.yml"
# File descriptors: what systemd lets a process open, what a worker needs for itself, and, of each request that runs,
# the connections to its client, to the database and to the cache.
MOST_FILES, OWN_FILES, FILES_OF_REQUEST = 1024, 64, 3
RANGES = {
    "workers": (1, 128),
    "replicas": (1, 1_000),
    "threads": (1, 512),
    "max_requests": (0, 999_999),
    "max_requests_jitter": (0, 999_999),
    "rotation_hours": (0, 8_760),
    "worker_connections": (1, 100_000),
    "timeout": (1, 86_400),
    "grace_seconds": (1, 3_600),
    "start_timeout": (1, 3_600),
    "port": (1024, 65_535),
    "slots": (1, 100_000),
    "queue": (0, 100_000),
    "queue_timeout": (1, 3_600),
    "retry_after": (1, 3_600),
    "http_port": (1, 65_535),
    "https_port": (1, 65_535),
    "response_timeout": (1, BROWSER_PATIENCE - 1),
    "keepalive": (1, 1_000),
    "connections": (100, 100_000),
    "tasks_max": (8, 100_000),
}
# What has no default that could be right, by how instances run.
NEEDED = {
    "systemd": {
        f"{RELEASE}_source",
        f"{RELEASE}_database_url",
        f"{RELEASE}_secret_key",
        *(f"{role}_listen_address" for role in (*SERVICES, PROXY)),
    },
    "compose": {f"{RELEASE}_installation", f"{RELEASE}_admission_image"},
    "swarm": {
        f"{RELEASE}_installation",
        f"{RELEASE}_admission_image",
        *(f"{role}_listen_address" for role in (*SERVICES, PROXY)),
    },
}
# Environment variables that the process model owns, and the setting that stands for each.
OWNED = {
    "GUNICORN_WORKER_CLASS": "worker_class",
    "GUNICORN_WORKERS": "workers",
    "GUNICORN_THREADS": "threads",
    "GUNICORN_MAX_REQUESTS": "max_requests",
    "GUNICORN_MAX_REQUESTS_JITTER": "max_requests_jitter",
    "GUNICORN_WORKER_CONNECTIONS": "worker_connections",
    "GUNICORN_TIMEOUT": "timeout",
    "GUNICORN_GRACEFUL_TIMEOUT": "grace_seconds",
    "GUNICORN_PRELOAD": "preload",
    "GUNICORN_ISOLATE_REQUESTS": "isolate_requests",
    "GUNICORN_WARM_UP": "warm_up",
    "PORT": "port",
}
WHY_NOT = {
    "gevent": "the proposal's sizing and limits do not hold for it",
    "eventlet": "the proposal's sizing and limits do not hold for it",
    "sync": "it runs one request per worker; gthread with 1 thread says the same",
}

Specs = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Problem:
    """One setting that cannot be right. `value` is already fit to be shown: a secret's is not in it."""

    variable: str
    value: str
    allowed: str
    where: str

    def __str__(self) -> str:
        return f"{self.variable} is {self.value}. Allowed: {self.allowed}. Change it in {self.where}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return found[0] if found else None


def line_of(variable: str, inventory: Path | None) -> str | None:
    """`file:line` of the variable in the inventory; None where nobody sets it there."""
    if inventory is not None:
        pattern = re.compile(rf"^\s*{re.escape(variable)}\s*:")
        for path in sorted(
            [*inventory.glob("group_vars/**/*.y*ml"), *inventory.glob("host_vars/**/*.y*ml"), *inventory.glob("*.y*ml")]
        ):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if pattern.match(line):
                    return f"inventories/{inventory.name}/{path.relative_to(inventory)}:{number}"
    return None


def where_set(variable: str, environment: str, inventory: Path | None, role: str) -> str:
    """`file:line` of the variable in the inventory; where nobody sets it, the file in which to set it."""
    return line_of(variable, inventory) or (
        f"{settings_folder(environment)} "
        f"(not set there; the default is in ansible/roles/{role}/defaults/main.yml, -e overrides both)"
    )


def explain(
    variables: Mapping[str, Any],
    given: Iterable[str],
    defaults: Mapping[str, Any],
    specs: Specs,
    roles: Iterable[str],
    inventory: Path | None,
) -> list[tuple[str, str, str]]:
    """(variable, where its value comes from, the value) of every setting of the roles; a secret's value is not shown.

    variables: of one host, templates resolved. given: names that its inventory or the command line sets. defaults: the
    roles' defaults as they are written, which say what comes from the tier.
    """
    given = set(given)
    found = []
    for role in roles:
        for name in specs[role]:
            value = variables.get(name)
            if name in given:
                source = line_of(name, inventory) or "the command line (-e), or a host's or group's other variables"
            elif "plane_tiers[" in str(defaults.get(name)):
                source = f"tier {variables.get(f'{role}_tier')} (ansible/vars/tiers.yml)"
            else:
                source = f"default (ansible/roles/{role}/defaults/main.yml)"
            hidden = name in SECRETS or (name.endswith("_variables") and value)
            shown = "(hidden)" if hidden else "null" if value is None else str(normal(value))
            found.append((name, source, shown))
    return found


class Checker:
    """Collects the problems of one host.

    variables: the host's variables, templates resolved. specs: role -> the options of its argument spec.
    """

    def __init__(
        self, variables: Mapping[str, Any], specs: Specs, inventory: Path | None, unresolved: Mapping[str, str]
    ) -> None:
        self.variables = variables
        self.unresolved = unresolved
        self.specs = specs
        self.inventory = inventory
        self.runtime = str(variables.get(f"{RELEASE}_runtime", "systemd"))
        self.environment = str(variables.get("plane_environment", "<environment>"))
        self.problems: list[Problem] = []

    def refuse(self, variable: str, allowed: str, value: Any = ...) -> None:
        shown = self.variables.get(variable) if value is ... else value
        text = "missing" if shown is None else "(hidden)" if variable in SECRETS and shown != "" else repr(shown)
        role = next((role for role in (*SERVICES, RELEASE, PROXY) if variable.startswith(f"{role}_")), RELEASE)
        self.problems.append(
            Problem(variable, text, allowed, where_set(variable, self.environment, self.inventory, role))
        )

    def check(self, services: Iterable[str], behind: Sequence[Behind] | None) -> list[Problem]:
        services = list(services)
        self.unknown_names()
        if "plane_tiers" in self.variables:
            self.problems += [
                Problem(wrong.name, wrong.value, wrong.allowed, TIERS)
                for wrong in tiers.wrong(self.variables["plane_tiers"])
            ]
        for role in [RELEASE, *services, *([] if behind is None else [PROXY])]:
            self.types(role)
        if self.problems:  # what follows reads values by their types
            return self.problems
        self.release()
        for service in services:
            self.service(service)
        if self.runtime == "compose":
            self.split(services)
        if self.runtime == "swarm":
            self.undivided(services)
        if behind is not None:
            self.proxy(behind)
        self.ports(services, behind is not None)
        return self.problems

    def unknown_names(self) -> None:
        known = {name for options in self.specs.values() for name in options}
        internal = INTERNAL | {f"{RELEASE}_{name}" for name in INTERNAL_RELEASE}
        internal |= {f"{PROXY}_{name}" for name in INTERNAL_PROXY}
        internal |= {f"{OBSERVABILITY}_{name}" for name in INTERNAL_OBSERVABILITY}
        for name in sorted(self.variables):
            if not name.startswith("plane_") or name in known or name in internal:
                continue
            closest = nearest(name, known)
            self.refuse(name, f"a known variable{f'; the nearest is {closest}' if closest else ''}")

    def types(self, role: str) -> None:
        for name, option in self.specs[role].items():
            value = self.variables.get(name)
            if name in self.unresolved:
                self.refuse(name, f"a template that can be resolved ({self.unresolved[name]})")
                continue
            needed = option.get("required") or name in NEEDED.get(self.runtime, set())
            if value is None or (needed and value == ""):
                if needed:
                    self.refuse(name, "a value: it has no default", value)
                continue
            short = name[len(role) + 1 :]
            if option["type"] == "int" and not is_whole(value):
                low, high = RANGES.get(short, (0, 1_000_000))
                self.refuse(name, f"a whole number from {low} to {high}")
            elif option["type"] == "bool" and not isinstance(value, bool):
                self.refuse(name, "true or false")
            elif option["type"] == "float" and not is_number(value):
                self.refuse(name, "a number")
            elif option["type"] == "list" and not isinstance(value, list):
                self.refuse(name, "a list")
            elif option["type"] == "dict" and not isinstance(value, Mapping):
                self.refuse(name, "a mapping of names to values")
            elif "choices" in option and not set(map(normal, value if option["type"] == "list" else [value])).issubset(
                option["choices"]
            ):
                why = WHY_NOT.get(str(value))
                choices = ", ".join(repr(choice) for choice in option["choices"])
                self.refuse(name, choices + (f" ({value}: {why})" if why else ""))
            elif short in RANGES and option["type"] == "int":
                low, high = RANGES[short]
                if not low <= int(value) <= high:
                    self.refuse(name, f"a whole number from {low} to {high}")

    def release(self) -> None:
        source = str(self.variables[f"{RELEASE}_source"])
        if self.runtime == "systemd" and kind_of(source) != "git" and not Path(source).exists():
            self.refuse(f"{RELEASE}_source", "a directory or an archive that exists on the controller, or a git URL")
        installation = self.variables.get(f"{RELEASE}_installation")
        if self.runtime in ("compose", "swarm") and not str(installation).startswith("/"):
            self.refuse(f"{RELEASE}_installation", "the whole path of a folder on the host, from / on")
        if self.runtime == "swarm" and self.variables.get(f"{RELEASE}_migrate"):
            self.refuse(f"{RELEASE}_migrate", "false: the stack's own migrator does it")
        version = self.variables.get(f"{RELEASE}_version")
        if version is not None and not re.match(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}\Z", str(version)):
            self.refuse(f"{RELEASE}_version", "letters, digits, dots, dashes: it names a folder")
        if kind_of(source) == "git" and not (version or self.variables.get(f"{RELEASE}_git_ref")):
            self.refuse(f"{RELEASE}_version", "a tag, branch or commit, since the source is a git URL")
        if self.environment != "staging":
            for name in (f"{RELEASE}_secret_key", f"{RELEASE}_live_server_secret_key"):
                value = str(self.variables.get(name) or "")
                if value in PUBLISHED_KEYS or value.startswith(PUBLISHED_PREFIXES):
                    self.refuse(name, "a secret of your own: this one is published; from a vault, outside staging")
        shares = self.variables.get(f"{RELEASE}_canary_shares") or []
        if not all(is_whole(share) and 0 < int(share) < 100 for share in shares):
            self.refuse(f"{RELEASE}_canary_shares", "whole numbers from 1 to 99, in percent")
        self.owned_variables(f"{RELEASE}_variables", "plane_api")

    def split(self, services: list[str]) -> None:
        """GraphQL apart from REST in an installation, whose admission stands where its proxy calls REST."""
        name = f"{RELEASE}_graphql_paths"
        self.graphql_paths(name)
        if "plane_graphql" not in services:
            return
        if "plane_api" not in services:
            self.refuse("plane_api", "a group with this host, since plane_graphql has it: REST hands GraphQL over", [])
        if not self.variables.get(name):
            self.refuse(name, "one path at least, since this host is in the group plane_graphql")
        if self.variables.get("plane_graphql_heavy_routes"):
            self.refuse("plane_graphql_heavy_routes", "[]: in an installation GraphQL is told apart by its paths alone")

    def undivided(self, services: list[str]) -> None:
        """GraphQL in a stack: in REST's own tasks, and nowhere else yet."""
        if "plane_graphql" in services:
            self.refuse(
                "plane_graphql",
                "a group without this host, with plane_release_runtime: swarm: a stack's GraphQL stays in REST's tasks",
                [self.variables.get("inventory_hostname")],
            )
        if self.variables.get(f"{RELEASE}_graphql_paths"):
            self.refuse(
                f"{RELEASE}_graphql_paths",
                "[], with plane_release_runtime: swarm: REST's tasks answer GraphQL, so plane_api_worker_class is ''",
            )

    def graphql_paths(self, name: str) -> None:
        taken = ("/", "/api/", "/auth/", "/static/")
        for path in self.variables.get(name) or []:
            if not re.match(r"/[A-Za-z0-9/_.-]*/\Z", str(path)) or path in taken:
                self.refuse(name, f"paths that begin and end with /, and none of {taken}", path)

    def owned_variables(self, name: str, service: str) -> None:
        for variable in sorted(self.variables.get(name) or {}):
            if variable in OWNED or variable.startswith("GUNICORN_"):
                setting = (
                    f"{service}_{OWNED[variable]}"
                    if variable in OWNED
                    else "none: it would change the process model unseen"
                )
                self.refuse(name, f"anything but {variable}, whose setting is {setting}", variable)

    def service(self, service: str) -> None:
        def value(name: str) -> Any:
            return self.variables.get(f"{service}_{name}")

        workers, threads = int(value("workers")), int(value("threads"))
        connections = value("worker_connections")
        if connections is not None and int(connections) < threads:
            self.refuse(f"{service}_worker_connections", f"null, or at least the {threads} threads")
        self.memory(service, workers)
        self.sizing(service)
        if self.runtime == "swarm" and value("change") == "stop-first":
            self.refuse(f"{service}_change", "start-first, with plane_release_runtime: swarm")
        if not float(value("cpu_limit")) > 0:
            self.refuse(f"{service}_cpu_limit", "a number above 0")
        slots = int(value("slots")) if value("slots") is not None else workers * threads
        if value("worker_class") == "gthread" and slots > workers * threads:
            self.refuse(f"{service}_slots", f"at most {workers} workers × {threads} threads = {workers * threads}")
        self.files(service, slots, threads)
        self.heavy_routes(service, slots)
        self.address(service)
        if not str(value("health_path")).startswith("/"):
            self.refuse(f"{service}_health_path", "a path that begins with /")
        if not all(re.match(r"(/\S*|[A-Za-z_][\w.]*)\Z", str(word)) for word in value("warm_up") or []):
            self.refuse(f"{service}_warm_up", "paths that begin with / and names of modules, without blanks")
        try:
            parse_window(str(value("rotation_window")))
        except ValueError as error:
            self.refuse(f"{service}_rotation_window", str(error))
        self.owned_variables(f"{service}_variables", service)

    def files(self, service: str, slots: int, threads: int) -> None:
        """One worker may get the requests of all slots: under gthread most of them wait there for a thread."""
        if self.runtime != "systemd":
            return  # Docker lets a process open a million
        running = min(slots, threads) if self.variables.get(f"{service}_worker_class") == "gthread" else slots
        needed = OWN_FILES + slots + (FILES_OF_REQUEST - 1) * running
        if needed > MOST_FILES:
            self.refuse(
                f"{service}_slots",
                f"so few that a worker which gets the requests of all opens {MOST_FILES:,} files at most: {needed:,}",
                f"{slots} slots",
            )

    def memory(self, service: str, workers: int) -> None:
        name = f"{service}_memory_limit"
        try:
            limit = parse_size(self.variables.get(name))
        except ValueError as error:
            self.refuse(name, str(error).partition(": ")[2])
            return
        try:
            parse_size(self.variables.get(f"{service}_memory_request"))
        except ValueError as error:
            self.refuse(f"{service}_memory_request", str(error).partition(": ")[2])
        if limit < workers * WARM_WORKER_BYTES:
            self.refuse(
                name,
                f"at least {workers} workers × {WARM_WORKER_BYTES >> 20} MiB = {workers * WARM_WORKER_BYTES >> 20}MiB "
                "(a worker of real Plane after its first requests)",
            )

    def sizing(self, service: str) -> None:
        margin = self.variables.get(f"{service}_memory_margin")
        if not 0 <= float(margin or 0) <= 1:
            self.refuse(f"{service}_memory_margin", "a share from 0 to 1")
        file = self.variables.get(f"{service}_measurements")
        if file:
            try:
                Coefficients(**json.loads(Path(file).read_text(encoding="utf-8"))["coefficients"])
            except OSError as error:
                self.refuse(f"{service}_measurements", f"a file that can be read ({error.strerror})")
            except (TypeError, KeyError, ValueError) as error:
                self.refuse(f"{service}_measurements", f"a file as make calibrate writes it ({error})")

    def heavy_routes(self, service: str, slots: int) -> None:
        name = f"{service}_heavy_routes"
        seen: set[str] = set()
        taken = 0
        for route in self.variables.get(name) or []:
            if not isinstance(route, Mapping) or not {"name", "path", "slots"} <= set(route):
                self.refuse(name, "entries with name, path and slots", route)
                continue
            unknown = set(route) - {"name", "path", "slots", "queue", "queue_timeout", "payload"}
            if unknown:
                self.refuse(name, "entries with name, path, slots, queue, queue_timeout, payload", sorted(unknown))
            try:
                parse_size(route.get("payload", "5MiB"))
            except ValueError as error:
                self.refuse(name, f"payload of route {route['name']} {str(error).partition(': ')[2]}", route["payload"])
            if not re.match(r"[a-z0-9][a-z0-9-]*\Z", str(route["name"])) or route["name"] in seen:
                self.refuse(name, "route names of small letters, digits and dashes, each once", route["name"])
            seen.add(str(route["name"]))
            if not is_pattern(route["path"]):
                self.refuse(
                    name, "a path that is a regular expression, begins with ^/ and holds no blank", route["path"]
                )
            for number, low in (("slots", 1), ("queue", 0), ("queue_timeout", 1)):
                if number in route and not (is_whole(route[number]) and int(route[number]) >= low):
                    self.refuse(name, f"{number} of route {route['name']} a whole number from {low}", route[number])
                elif number == "slots":
                    taken += int(route["slots"])
        if taken >= slots:
            self.refuse(
                name, f"slots that leave some of the service's {slots} for all other requests", f"{taken} slots"
            )

    def address(self, service: str) -> None:
        name = f"{service}_listen_address"
        address = str(self.variables.get(name))
        wide = address == "*" or procfs.is_every_interface(address.strip("[]"))
        if wide and not self.variables.get(f"{service}_listen_wide"):
            self.refuse(name, f"one address of the host, or {service}_listen_wide: true for every interface")

    def proxy(self, behind: Sequence[Behind]) -> None:
        def value(name: str) -> Any:
            return self.variables.get(f"{PROXY}_{name}")

        if not any(one.service == "plane-api" for one in behind):
            self.refuse("plane_api", "a group with a host of this environment, for the proxy to stand before", [])
            return
        for one in behind:
            self.door_behind(one)
        address = str(value("listen_address"))
        if address not in ADDRESSES_OF_ALL and not is_network(address, of_one=True):
            self.refuse(
                f"{PROXY}_listen_address", "an address of the host, '*' for all of IPv4 or '::' for all of both"
            )
        for name, other in (("certificate", "certificate_key"), ("certificate_key", "certificate")):
            if value(name) is None and value(other) is not None:
                self.refuse(f"{PROXY}_{name}", f"a file of the host, since {PROXY}_{other} is set")
            elif value(name) is not None and not re.match(r"/[\w./@+-]+\Z", str(value(name))):
                self.refuse(f"{PROXY}_{name}", "null, or the whole path of a file on the host, without blanks")
        for network in value("trusted_proxies") or []:
            if not is_network(network):
                self.refuse(f"{PROXY}_trusted_proxies", "addresses and networks, for example 192.0.2.0/28", network)
        self.graphql_paths(f"{PROXY}_graphql_paths")
        if any(one.service == "plane-graphql" for one in behind) and not value("graphql_paths"):
            self.refuse(f"{PROXY}_graphql_paths", "one path at least, since this environment has plane_graphql")
        longest = max(one.answer_seconds for one in behind)
        if int(value("response_timeout")) <= longest:
            self.refuse(
                f"{PROXY}_response_timeout",
                f"a whole number from {longest + 1} (admission's longest queue, and its wait for gunicorn, have to be "
                f"over before) to {BROWSER_PATIENCE - 1} (a browser waits {BROWSER_PATIENCE})",
            )
        if value("body_limit") is not None:
            try:
                parse_size(value("body_limit"))
            except ValueError as error:
                self.refuse(f"{PROXY}_body_limit", f"null, or {str(error).partition(': ')[2]}")

    def door_behind(self, behind: Behind) -> None:
        """Whether the proxy of this host reaches the front door of that one."""
        if behind.runtime == "compose":
            self.refuse(
                f"{RELEASE}_runtime",
                f"'systemd' or 'swarm' on {behind.host}, which is behind {PROXY}: Compose has a proxy of its own",
                behind.runtime,
            )
        try:
            alone = ipaddress.ip_address(behind.address).is_loopback
        except ValueError:
            return
        if alone and behind.host != self.variables.get("inventory_hostname"):
            name = f"{behind.service.replace('-', '_')}_listen_address"
            self.refuse(
                name,
                f"an address of {behind.host} that the proxy on {self.variables.get('inventory_hostname')} reaches",
                behind.address,
            )

    def ports(self, services: list[str], with_proxy: bool) -> None:
        names = [f"{service}_port" for service in services]
        if with_proxy:
            names += [f"{PROXY}_http_port", f"{PROXY}_https_port"]
        seen: dict[int, str] = {}
        for name in names:
            port = int(self.variables[name])
            if port in seen:
                self.refuse(name, f"a port of its own: {seen[port]} is {port} on the same host")
            seen[port] = name


def is_network(value: Any, of_one: bool = False) -> bool:
    """Whether it is a network's address, or a host's; of_one: a host's alone."""
    try:
        ipaddress.ip_address(str(value)) if of_one else ipaddress.ip_network(str(value), strict=False)
    except ValueError:
        return False
    return True


def is_whole(value: Any) -> bool:
    """A whole number, or the text of one: templates and -e give text."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, str) and re.match(r"-?(0|[1-9]\d*)\Z", value) is not None)


def is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    try:
        return float(value) == float(value)
    except (TypeError, ValueError):
        return False


def is_pattern(value: Any) -> bool:
    if not isinstance(value, str) or not value.startswith("^/") or re.search(r"\s", value):
        return False
    try:
        re.compile(value)
    except re.error:
        return False
    return True


def normal(value: Any) -> Any:
    """YAML reads a bare true as a boolean where a choice is the word."""
    return str(value).lower() if isinstance(value, bool) else value


def validate(
    variables: Mapping[str, Any],
    specs: Specs,
    services: Iterable[str],
    inventory: Path | None,
    unresolved: Mapping[str, str] | None = None,
    behind: Sequence[Behind] | None = None,
) -> list[Problem]:
    """Every problem of one host; empty where nothing speaks against touching it.

    unresolved: variables whose template cannot be resolved, and why (an undefined vault variable, for example).
    behind: the front doors behind a host of plane_proxy; None for any other host.
    """
    return Checker(variables, specs, inventory, unresolved or {}).check(services, behind)


def environments_spanned(environment_of: Mapping[str, str]) -> list[str]:
    """The environments that a run's hosts belong to: host -> plane_environment."""
    return sorted(set(environment_of.values()))
