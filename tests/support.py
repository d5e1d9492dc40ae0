"""The lab's staging hosts as tests see them: a shell, a run of the playbooks, and the report."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import client
import yaml
from process_model.admission import parse_statistics
from process_model.colours import ADMISSION_SOCKET, other

ROOT = Path(__file__).resolve().parents[1]
# Another one where Ansible's own variable names it.
INVENTORY = ROOT / os.environ.get("ANSIBLE_INVENTORY", "inventories/staging")
# The environment whose settings that inventory's hosts have.
ENVIRONMENT = next((folder.name for folder in INVENTORY.glob("group_vars/*")), "staging")
# Whether instances are containers of an installation of Docker Compose.
CONTAINED = any(
    yaml.safe_load(file.read_text()).get("plane_release_runtime") == "compose"
    for file in INVENTORY.glob(f"group_vars/{ENVIRONMENT}/release.yml")
)
# Of each service's front door.
PORTS = {"plane-api": 8000, "plane-graphql": 8001}
# The application's own steps have tests of their own, and would take a quarter of the time of every other change.
WITHOUT_STEPS: dict[str, Any] = {
    "plane_api_prestart": [],
    "plane_api_deploy_commands": [],
    "plane_graphql_prestart": [],
    "plane_release_migrate": False,
    # An image of an installation has them, and is asked.
    "plane_release_acknowledged_steps": [
        "wait_for_db",
        "wait_for_migrations",
        "register_instance",
        "configure_instance",
        "create_bucket",
        "clear_cache",
        "collectstatic",
    ],
}

# Program for a host: takes requests on port 8000 of an address, says which, and ends each without an answer.
DEAF = """
import socket, sys
server = socket.create_server((sys.argv[1], 8000))
while True:
    connection, _ = server.accept()
    request = b""
    while b"\\r\\n\\r\\n" not in request and (chunk := connection.recv(65536)):
        request += chunk
    print(request.split(b"\\r\\n")[0].decode(), flush=True)
    connection.close()
"""
# Another: starts threads until it may not, and says how many it has.
START_THREADS = """
import threading
never, started = threading.Event(), 1
try:
    while started < 10_000:
        threading.Thread(target=never.wait, daemon=True).start()
        started += 1
except RuntimeError:
    print(started)
"""


def inventory_hosts(inventory: Path = INVENTORY, group: str = "") -> dict[str, str]:
    """Name -> address; of a group alone where one is named."""
    groups = yaml.safe_load((inventory / "hosts.yml").read_text())
    found = {
        name: variables["ansible_host"]
        for content in groups.values()
        for name, variables in content.get("hosts", {}).items()
        if variables
    }
    return {name: found[name] for name in groups[group]["hosts"]} if group else found


def hosts_of(service: str, inventory: Path = INVENTORY) -> list[str]:
    """The hosts of the service's group, by what they are (api1, …)."""
    groups = yaml.safe_load((inventory / "hosts.yml").read_text())
    return [name.partition("-")[2] for name in groups.get(service.replace("-", "_"), {}).get("hosts", {})]


def tool(*words: str) -> subprocess.CompletedProcess[str]:
    """Run one of tools/ as the Makefile does (with_helpers); words: Python's arguments."""
    helpers = ":".join(str(ROOT / folder) for folder in ("lab", "tests", "ansible/module_utils", "tools"))
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env={**os.environ, "PYTHONPATH": helpers}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def a_change() -> dict[str, Any]:
    """Variables for a run that has something to change: one of the application's that nobody reads."""
    return {"plane_release_variables": {"A_CHANGE": uuid.uuid4().hex}}


@dataclass(frozen=True)
class Host:
    """One host of the lab, reached over SSH as Ansible reaches it."""

    name: str
    address: str

    def command(self, command: str) -> list[str]:
        """The words that run a shell command on the host."""
        return ["ssh", "-i", f"{ROOT}/.lab/id_ed25519", "-o", f"UserKnownHostsFile={ROOT}/.lab/known_hosts",
                "-o", "ControlMaster=auto", "-o", f"ControlPath={ROOT}/.lab/ssh-%C", "-o", "ControlPersist=60",
                f"root@{self.address}", command]  # fmt: skip

    def run(self, command: str, check: bool = True, stdin: str | None = None) -> str:
        """Run a shell command; what it printed. A failure is the test's, with what was said."""
        done = subprocess.run(self.command(command), input=stdin, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{self.name}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def succeeds(self, command: str) -> bool:
        """Whether a shell command succeeds; on a host that is not reached, it does not."""
        return "yes" in self.run(f"({command}) >/dev/null 2>&1 && echo yes || echo no", check=False)

    def is_contained(self, service: str = "plane-api") -> bool:
        """Whether its instances are containers; an inventory may have hosts of both kinds."""
        return self.succeeds(f"docker container inspect {service}-blue || docker container inspect {service}-green")

    def live(self, service: str = "plane-api") -> str:
        return self.run(f"basename $(dirname $(readlink /etc/plane-admission/services/{service}.cfg))").strip()

    def idle(self, service: str = "plane-api") -> str:
        return other(self.live(service))

    def front(self, service: str = "plane-api") -> str:
        """Where clients reach the service: its front door, or the proxy of the installation."""
        return f"http://{self.address}" if CONTAINED else f"http://{self.address}:{PORTS[service]}"

    def is_right(self) -> bool:
        """Whether every service of the host is what was deployed, by its own command."""
        return self.succeeds("plane-process-model status")

    def admission(self, asked: str, check: bool = True) -> str:
        """What HAProxy's runtime socket answers."""
        return self.run(f"echo '{asked}' | socat - UNIX-CONNECT:{ADMISSION_SOCKET}", check=check)

    def statistics(self) -> dict[tuple[str, str], dict[str, str]]:
        """HAProxy's `show stat`, by names of proxy and server."""
        return {(row["pxname"], row["svname"]): row for row in parse_statistics(self.admission("show stat"))}

    def master(self, service: str = "plane-api", colour: str | None = None) -> int:
        return int(self.run(f"systemctl show -P MainPID {service}@{colour or self.live(service)}"))


def playbook(
    name: str,
    limit: str = ENVIRONMENT,
    *arguments: str,
    before_task: dict[str, list[list[str]]] | None = None,
    **variables: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a playbook as an operator does; never raises.

    before_task: beginning of a task's name -> commands that run right before it. variables: as with -e.
    """
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    if before_task:
        # Beside that of ansible.cfg, which an environment variable replaces. Those of this folder need no enabling.
        environment["ANSIBLE_CALLBACK_PLUGINS"] = f"{ROOT}/ansible/callback_plugins:{ROOT}/tests/callbacks"
        environment["BREAK_BEFORE_TASK"] = json.dumps(before_task)
    extra = ["-e", json.dumps(variables)] if variables else []
    return subprocess.run(
        ["ansible-playbook", name, "-l", limit, *arguments, *extra],
        cwd=ROOT, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def site(limit: str = ENVIRONMENT, *arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Converge as the inventory says, but WITHOUT_STEPS unless `variables` name them."""
    return playbook("site.yml", limit, *arguments, **{**WITHOUT_STEPS, **variables})


def verify(limit: str = ENVIRONMENT, **variables: Any) -> subprocess.CompletedProcess[str]:
    return playbook("ansible/playbooks/verify.yml", limit, **{**WITHOUT_STEPS, **variables})


def undo_change(*deployed: tuple[Host, str]) -> None:
    """As the inventory says again, after the one change of these services: going back takes a third of another change.

    Where the former colour is not what the inventory says, site.yml makes it so.
    """
    for host, service in deployed:
        host.run(f"plane-process-model rollback {service}", check=False)
    succeeded(site(",".join(dict.fromkeys(host.name for host, _ in deployed))))


def rollout(limit: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    return playbook("ansible/playbooks/rollout.yml", limit, **{**WITHOUT_STEPS, **variables})


def rollback(limit: str) -> subprocess.CompletedProcess[str]:
    return playbook("ansible/playbooks/rollback.yml", limit)


def failures(printed: str) -> list[str]:
    """What a run printed of each task that failed on a host."""
    parts = re.split(r"^(?=fatal: \[|TASK \[|PLAY )", printed, flags=re.MULTILINE)
    return [part for part in parts if part.startswith("fatal: [")]


def failure_of(host: str, printed: str) -> str:
    """What a run printed of the host's failures."""
    return "\n".join(part for part in failures(printed) if part.startswith(f"fatal: [{host}]"))


def report() -> dict[str, Any]:
    name = "verify" if INVENTORY.name == "staging" else INVENTORY.parent.name
    found: dict[str, Any] = json.loads((ROOT / f"build/reports/{name}.json").read_text())
    return found


def messages(host: str, service: str = "plane-api") -> list[str]:
    """The mismatches that the last verification reported."""
    return [mismatch["message"] for mismatch in report()["hosts"][host][service]["mismatches"]]


def succeeded(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert done.returncode == 0, "\n".join(failures(done.stdout)) + done.stdout[-2000:] + done.stderr[-2000:]
    return done


def changed(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """host -> changed=, from the recap."""
    lines = done.stdout.partition("PLAY RECAP")[2].splitlines()
    return {line.split()[0]: int(line.partition("changed=")[2].split()[0]) for line in lines if "changed=" in line}


def wait_for(condition: Callable[[], bool], limit_seconds: float = 60, pause: float = 0.1) -> None:
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(pause)


def seed(host: Host, service: str = "plane-api", arguments: str = "") -> None:
    """Fill the stand-in's database with what the clients ask for."""
    manage(host, f"seed_lab {arguments}", service)


def manage(host: Host, command: str, service: str = "plane-api") -> None:
    """Run a command of the application's manage.py, as the service's own user with the live colour's environment."""
    if host.is_contained(service):
        host.run(f"docker exec {service}-{host.live(service)} python manage.py {command}")
        return
    etc = f"/etc/{service}/{host.live(service)}"
    host.run(
        f"cd {etc}/release/code && systemd-run --wait --pipe --collect --quiet -p User={service} -p Group=plane "
        f"-p EnvironmentFile={etc}/environment -p WorkingDirectory={etc}/release/code "
        f"$(readlink -f ..)/venv/bin/python manage.py {command}"
    )


def on_colour(host: Host, service: str, colour: str, command: str, **names: object) -> str:
    """A shell command with the names that the faults of tests/mutation and tests/chaos speak of."""
    known = {
        "SERVICE": service,
        "COLOUR": colour,
        "OTHER": other(colour),
        "ETC": f"/etc/{service}/{colour}",
        "UNIT": f"{service}@{colour}.service",
        "ADMISSION": str(ADMISSION_SOCKET),
        # Admission's container listens on every address of its own network; on a host it is the inventory's alone.
        "ADDRESS": "0.0.0.0" if CONTAINED else host.address,  # noqa: S104 - what admission does is what a fault imitates
        "PORT": PORTS[service],
        **names,
    }
    exports = " ".join(f"{name}={value}" for name, value in known.items())
    # Functions, as the master may be another one after a restart.
    if CONTAINED:
        master, within = "docker inspect --format {{.State.Pid}} $SERVICE-$COLOUR", "docker exec plane-admission"
    else:
        master, within = "systemctl show -P MainPID $UNIT", ""
    return f"set -e; export {exports}; master() {{ {master}; }}; listening() {{ {within} ss -ltn; }}; {command}"


def stored_wrongly(data: Host, marks: list[str]) -> list[str]:
    """The acknowledged writes that are not in the database exactly once."""
    query = "SELECT external_id FROM db_issue WHERE external_id IS NOT NULL"
    stored = Counter(data.run(f"runuser -u postgres -- psql -At -d plane -c '{query}'").split())
    return [mark for mark in marks if stored[mark] != 1]


@dataclass
class Load:
    """Clients that go on until the block ends; their tallies afterwards."""

    tallies: dict[str, client.Tally] = field(default_factory=dict)

    @property
    def failed(self) -> dict[str, dict[str, int]]:
        return {name: tally.failed for name, tally in self.tallies.items() if tally.failed}

    @property
    def acknowledged(self) -> list[str]:
        """The marks of the writes that were acknowledged."""
        return [mark for tally in self.tallies.values() for mark in tally.acknowledged]

    @property
    def requests(self) -> int:
        return sum(tally.requests for tally in self.tallies.values())


@contextmanager
def load(groups: list[tuple[str, client.Request, int]], keep_alive: bool = True, pause: float = 0) -> Iterator[Load]:
    """Run clients in the background while the block runs."""
    over = threading.Event()
    result = Load()
    failure: list[BaseException] = []

    def work() -> None:
        try:
            result.tallies = asyncio.run(client.run(groups, over.is_set, keep_alive, pause=pause))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work)
    began = time.monotonic()
    thread.start()
    try:
        yield result
    finally:
        gave_up = time.monotonic() - began > client.MOST_SECONDS
        over.set()
        # None begins a request any more; the last one ends within its own time.
        thread.join(4 * client.REQUEST_SECONDS)
    if failure:
        raise failure[0]
    assert not gave_up, "the clients gave up before that was over which they were to see"


@contextmanager
def load_both_ways(groups: list[tuple[str, client.Request, int]], pause: float = 0) -> Iterator[Load]:
    """`load` with kept and with closed connections at once; each group's name says which."""
    both = Load()
    with load(groups, pause=pause) as kept, load(groups, keep_alive=False, pause=pause) as closed:
        yield both
    for kind, found in (("kept", kept), ("closed", closed)):
        both.tallies.update({f"{name}, {kind}": tally for name, tally in found.tallies.items()})
