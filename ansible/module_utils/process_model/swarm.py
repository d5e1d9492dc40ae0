"""An installation that is a stack of Docker Swarm: one service for each colour, its tasks spread over the nodes.

Swarm keeps tasks running and moves them when a node is lost. What runs is verified as everywhere, on every node, by its
processes; what Swarm itself was told is compared by those nodes that may ask it (managers).

Names, for a stack `plane`, a service `plane-api` and a colour `blue`:

    plane_plane-api-blue                  the colour's service; its tasks are numbered from 1
    /run/plane-api/blue/1.sock            where the gunicorn of task 1 listens, on the node that runs it
    /run/plane-api/live                   a link to the live colour's folder of sockets
    plane_plane-admission                 HAProxy, one on every node, which answers to the installation's name (`api`).
                                          It leads to the tasks of its node; without any, to other nodes' HAProxy
    /etc/plane-api/blue/{image,configuration,specification}
                                          what the colour was made of: the image's name, Compose's digest of the files,
                                          and our digest of what Swarm was told

No address of Swarm's own is used (VIP), as a kernel without IPVS has none: names lead to tasks (dnsrr), ports are those
of the node (host mode).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from . import admission, colours, compare, containers, journal, lock, observe, procfs
from .compare import Mismatch
from .containers import DockerError, Installation, docker
from .state import (
    WORKERS_SECONDS,
    State,
    begin,
    compare_answer,
    compare_saturation,
    conclude,
    digests,
    identity,
    installation_refusals,
    is_address_of_this_host,
    no_live_colour,
)
from .switch import Switched, SwitchError, keep_proof

SERVICE_LABEL = "com.docker.swarm.service.name"
TASK_LABEL = "com.docker.swarm.task.name"
# In a colour's folder, beside containers.CONFIGURATION.
IMAGE = "image"
SPECIFICATION = "specification"
# The peers of a node, as its HAProxy names them.
ELSEWHERE = admission.ELSEWHERE
# After so many failed starts of tasks, waiting for the service is in vain.
FAILED_STARTS = 3
# Kinds of keys in a service of `docker compose config` that `docker stack deploy` refuses, or takes by another form.
NOT_OF_STACKS = ("container_name", "depends_on", "pull_policy", "restart")


@dataclass(frozen=True)
class Task:
    """A task that runs on this node: its number in the service, and its container."""

    number: int
    container: containers.Container


@dataclass(frozen=True)
class Stack:
    """What the inventory says of the stack beside its installation.

    name: Swarm's for it. address: where this node's front door is asked. replicas: tasks of the service. nodes: hosts
    of the service in the inventory.
    """

    name: str
    address: str
    replicas: int
    nodes: int

    @staticmethod
    def of(desired: Mapping[str, Any]) -> Stack | None:
        found = desired.get("stack")
        return Stack(**found) if found else None

    def full_name(self, service: str) -> str:
        return f"{self.name}_{service}"


def socket_of(service: str, colour: str, number: int) -> str:
    return f"/run/{service}/{colour}/{number}.sock"


def tasks_here(full_name: str) -> list[Task]:
    """The tasks of a service that run on this node, by their number. Raises DockerError."""
    listed = docker(
        "container", "ls", "--quiet", "--no-trunc", "--filter", f"label={SERVICE_LABEL}={full_name}"
    ).split()
    if not listed:
        return []
    shown = [containers.parse(each) for each in json.loads(docker("container", "inspect", *listed))]
    return sorted((Task(number_of(each.labels), each) for each in shown), key=lambda task: task.number)


def number_of(labels: Mapping[str, str]) -> int:
    """The task's number; 0 for one of a service that has one on every node."""
    parts = labels.get(TASK_LABEL, "").split(".")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0


def is_manager() -> bool:
    """Whether this node may ask and tell Swarm. Raises DockerError where it is no node of a Swarm."""
    state, control = docker("info", "--format", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}").split()
    if state != "active":
        raise DockerError(f"this host is no node of a Docker Swarm: its state is {state}")
    return control == "true"


def stack_file(config: Mapping[str, Any], services: Sequence[str], network: str) -> dict[str, Any]:
    """Services of `docker compose config` as `docker stack deploy` takes them, which has no `extends`, no `!override`.

    network: the stack's own network, which its installation made.
    """
    chosen = {}
    for name in services:
        told = config["services"][name]
        service = {key: value for key, value in told.items() if key not in NOT_OF_STACKS and value is not None}
        for port in service.get("ports", []):
            port["published"] = int(port["published"])
        for limits in service.get("deploy", {}).get("resources", {}).values():
            if "cpus" in limits:
                limits["cpus"] = str(limits["cpus"])
            if "memory" in limits:
                limits["memory"] = str(limits["memory"])
        chosen[name] = service
    named = {volume["source"] for service in chosen.values() for volume in service.get("volumes", [])}
    volumes = {name: dict(volume or {}) for name, volume in config.get("volumes", {}).items() if name in named}
    return {
        "services": chosen,
        "networks": {"default": {"name": network, "external": True}},
        "volumes": volumes,
    }


def canonical(told: Any) -> Any:
    """What Swarm was told, without what says nothing: `docker service update` adds empty parts, sorts mounts anew."""
    if isinstance(told, Mapping):
        parts = {key: canonical(value) for key, value in told.items()}
        return {key: value for key, value in parts.items() if value not in (None, {}, [])}
    if isinstance(told, list) and all(isinstance(part, Mapping) for part in told):
        return sorted(map(canonical, told), key=lambda part: json.dumps(part, sort_keys=True))
    return told


def specification_digest(specification: Mapping[str, Any]) -> str:
    """A digest of what tasks are made of; not of their number, nor of how often they were renewed."""
    template = {key: value for key, value in specification["TaskTemplate"].items() if key != "ForceUpdate"}
    told = [canonical(template), canonical(specification.get("EndpointSpec"))]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Service:
    """What Swarm was told of a service. replicas: None where there is one task on every node."""

    image: str
    specification: str
    replicas: int | None


def find_service(full_name: str) -> Service | None:
    """None where there is no such service; for managers alone. Raises DockerError where Swarm does not answer."""
    if full_name not in docker("service", "ls", "--format", "{{.Name}}").split():
        return None
    told = json.loads(docker("service", "inspect", full_name))[0]["Spec"]
    return Service(
        image=told["TaskTemplate"]["ContainerSpec"]["Image"],
        specification=specification_digest(told),
        replicas=told["Mode"].get("Replicated", {}).get("Replicas"),
    )


@dataclass(frozen=True)
class Placed:
    """A task as Swarm lists it. state: its first word, as Running. error: why it ended."""

    name: str
    node: str
    wanted: str
    state: str
    error: str


def parse_tasks(text: str) -> list[Placed]:
    """The lines of `docker service ps --format '{{json .}}'`."""
    return [
        Placed(line["Name"], line["Node"], line["DesiredState"], line["CurrentState"].split()[0], line["Error"])
        for line in map(json.loads, text.splitlines())
    ]


def list_tasks(full_name: str) -> list[Placed]:
    """The service's tasks, those that ended too; for managers alone. Raises DockerError."""
    return parse_tasks(docker("service", "ps", "--no-trunc", "--format", "{{json .}}", full_name))


def nodes_down() -> list[str]:
    """Nodes that Swarm does not reach; for managers alone. Raises DockerError."""
    listed = [json.loads(line) for line in docker("node", "ls", "--format", "{{json .}}").splitlines()]
    return sorted(node["Hostname"] for node in listed if node["Status"] != "Ready")


def has_ipvs() -> bool:
    """Whether the kernel has what Swarm's own addresses need, or can load it."""
    if Path("/proc/net/ip_vs").exists():
        return True
    try:
        asked = subprocess.run(["modprobe", "--dry-run", "--quiet", "ip_vs"], check=False, capture_output=True)
    except OSError:
        return False
    return asked.returncode == 0


def deploy(
    installation: Installation, stack: Stack, folder: Path, service: str, wait_seconds: float, afresh: bool
) -> dict[str, str]:
    """Make the service of a folder's compose file, and wait until all of its tasks run. Raises DockerError.

    afresh: remove it first, so that Swarm spreads new tasks over all nodes. The answer: what it was made of, by the
    name of the file that keeps it. For a manager that has the installation.
    """
    full_name = stack.full_name(service)
    file = str(folder / containers.FILE)
    config = json.loads(installation.compose("config", "--format", "json", files=[file]))
    told = stack_file(config, [service], stack.full_name("default"))
    if afresh and find_service(full_name):
        docker("service", "rm", full_name)
        wait_until_gone(full_name, wait_seconds)
    deploy_text(told, stack.name, wait_seconds, until_replaced=not afresh)
    wait_until_running(full_name, wait_seconds)
    made = find_service(full_name)
    if made is None:
        raise DockerError(f"{full_name} is not there after it was deployed")
    return {
        IMAGE: made.image,
        containers.CONFIGURATION: installation.configuration(service, file),
        SPECIFICATION: made.specification,
    }


def deploy_text(told: Mapping[str, Any], stack: str, limit_seconds: float, until_replaced: bool) -> None:
    """`docker stack deploy` of a file that holds secrets, so it is written nowhere. Raises DockerError.

    until_replaced: wait until the tasks of a service that was there before are replaced, `limit_seconds` at the most.
    """
    detach = "false" if until_replaced else "true"
    command = ["docker", "stack", "deploy", "--compose-file=-", "--resolve-image=never", f"--detach={detach}", stack]
    try:
        done = subprocess.run(
            command, input=json.dumps(told), capture_output=True, text=True, check=False, timeout=limit_seconds
        )
    except subprocess.TimeoutExpired:
        raise DockerError(f"docker stack deploy: not over after {limit_seconds:.0f} s") from None
    if done.returncode:
        raise DockerError(f"docker stack deploy: {(done.stderr or done.stdout).strip()}")


def wait_until_gone(full_name: str, limit_seconds: float) -> None:
    """Until no task of a removed service runs on any node that this one reaches. Raises DockerError."""
    deadline = time.monotonic() + limit_seconds
    while tasks_here(full_name):
        if time.monotonic() > deadline:
            raise DockerError(f"tasks of {full_name} still run {limit_seconds:.0f} s after it was removed")
        time.sleep(0.2)


def wait_until_running(full_name: str, limit_seconds: float) -> None:
    """Until Swarm calls all tasks of a service running, which is healthy. Raises DockerError, early if in vain."""
    deadline = time.monotonic() + limit_seconds
    while True:
        tasks = list_tasks(full_name)
        wanted = [task for task in tasks if task.wanted == "Running"]
        if wanted and len(wanted) == expected(full_name) and all(task.state == "Running" for task in wanted):
            return
        failed = [task for task in tasks if task.state in ("Failed", "Rejected")]
        if len(failed) >= FAILED_STARTS or time.monotonic() > deadline:
            shown = ", ".join(f"{task.name} on {task.node or 'no node'}: {task.state.lower()}" for task in wanted)
            why = "; ".join(sorted({task.error for task in tasks if task.error}))
            raise DockerError(f"not all tasks of {full_name} run ({shown or 'none'}){': ' + why if why else ''}")
        time.sleep(0.3)


def expected(full_name: str) -> int:
    """How many tasks Swarm means to run. Raises DockerError."""
    shown = docker("service", "ls", "--filter", f"name={full_name}", "--format", "{{.Name}} {{.Replicas}}")
    for line in shown.splitlines():
        name, replicas = line.split()[:2]
        if name == full_name:
            return int(replicas.partition("/")[2])
    return 0


# Verification, on one node.


def examine(
    desired: Mapping[str, Any],
    colour: str | None = None,
    saturate: bool = False,
    wait_seconds: float = 0.0,
    preflight: bool = False,
    journal_of: str | None = None,
) -> State:
    """The same as process_model.state.examine, for the tasks of this node: each of them straight at its socket."""
    began = time.monotonic()
    service = str(desired["service"])
    stack = Stack(**desired["stack"])
    state = begin(desired, colours.ADMISSION_DIRECTORY / "haproxy.cfg")
    examined = colour or state.live
    mismatches: list[Mismatch] = []
    try:
        manages = is_manager()
        idle = stack.full_name(f"{service}-{state.idle}")
        told = find_service(idle) if manages else None
        state.idle_is_running = bool(tasks_here(idle) or (told and told.replicas))
        if examined is None:
            mismatches.append(no_live_colour(service))
        else:
            mismatches += _compare_tasks(
                desired, stack, examined, state, saturate, wait_seconds, alone=colour is not None
            )
            if manages:
                mismatches += _compare_service(desired, stack, examined)
            if colour is None:
                mismatches += _compare_front_door(desired, stack, examined, state, manages)
    except DockerError as error:
        mismatches.append(Mismatch("swarm", "answers", None, f"{error}"))
        manages = False
    if conclude(state, desired, mismatches, preflight):
        state.refusals += refusals(desired)
        state.warned += warnings_of(stack) if manages else []
    if preflight:
        _compare_shared(desired, state)
    if journal_of:
        state.journal = _journal_of(service, journal_of)
    state.seconds = round(time.monotonic() - began, 2)
    return state


def _compare_tasks(
    desired: Mapping[str, Any],
    stack: Stack,
    colour: str,
    state: State,
    saturate: bool,
    wait_seconds: float,
    alone: bool,
) -> list[Mismatch]:
    """Every task of the colour that runs here, by its own processes."""
    service = str(desired["service"])
    folder = colours.directory_of(service, colour)
    wanted = compare.files_of_colour(desired, colour, with_admission=state.live == colour)
    mismatches = compare.compare_files(wanted, digests(wanted), desired["environment"])
    tasks = tasks_here(stack.full_name(f"{service}-{colour}"))
    state.observed = {"colour": colour, "tasks": []}
    state.details["tasks"] = []
    if not tasks:
        state.evidence = ["no task here"]
        if stack.replicas >= stack.nodes:
            mismatches.append(
                Mismatch(
                    "tasks",
                    "one at least",
                    0,
                    f"no task of {service} ({colour}) runs on this node, though {stack.replicas} are to be spread over "
                    f"{stack.nodes} nodes [docker container ls]: {compare.DEPLOY}, spread anew",
                )
            )
        return mismatches
    image = procfs.read(folder / IMAGE).strip()
    proofs = _proofs(service, colour)
    seen: list[dict[str, Any]] = []
    said = []
    for task in tasks:
        where = socket_of(service, colour, task.number)
        observation = _observe(desired, task, where, wait_seconds)
        state.details["tasks"].append(observation.to_dict())
        found = _compare_task(desired, task, observation, image)
        facts = {name: fact.value for name, fact in observation.facts.items()}
        proved = None
        if saturate and not found:
            # What the probe saw is the last thing that it says.
            found += compare_saturation(desired, observation, where, state, alone)
            proved = state.evidence.pop() if state.evidence else None
            state.proof[str(task.number)] = {**identity(observation), "saturation": proved}
        elif observation.found and (before := _proved_before(proofs, task, observation)):
            proved = f"{before} before the switch"
        words = [f"task {task.number}: {len(observation.workers)} workers", *([proved] if proved else [])]
        said.append(", ".join(words))
        mismatches += [replace(mismatch, message=f"task {task.number}: {mismatch.message}") for mismatch in found]
        seen.append(
            {
                **facts,
                "task": task.number,
                "versions": observation.versions,
                "workers_seen": [asdict(worker) for worker in observation.workers],
                "restarts": observation.restarts,
                "killed_for_memory": observation.killed_for_memory,
                "match": not found,
            }
        )
        if len(seen) == 1:
            source = observation.facts["worker_class"].source if observation.found else "nothing"
            state.evidence = [source]
    # The columns of the table and of who reads the report are those of the first task that is not as it should be.
    first = next((each for each in seen if not each["match"]), seen[0])
    state.observed = {**{key: value for key, value in first.items() if key not in ("task", "match")}, "colour": colour}
    state.observed["tasks"] = seen
    state.observed["workers_seen"] = [worker for each in seen for worker in each["workers_seen"]]
    state.observed["killed_for_memory"] = sum(each["killed_for_memory"] for each in seen)
    state.evidence += said
    return mismatches


def _observe(desired: Mapping[str, Any], task: Task, where: str, wait_seconds: float) -> observe.Observation:
    """Observe a task once it answers with every worker, or its time is over."""
    door = desired["front_door"]
    deadline = time.monotonic() + min(wait_seconds, WORKERS_SECONDS)
    while True:
        pid = task.container.pid
        master = observe.find_master([pid, *procfs.children(pid)]) if pid else None
        found = observe.observe(
            master, where, door["health_path"], door["health_host"],
            reason=f"{task.container.name} holds no gunicorn master yet: docker logs {task.container.name}",
        )  # fmt: skip
        healthy = found.found and found.answer is not None and found.answer.status == 200
        if (healthy and len(found.workers) >= desired["model"]["workers"]) or time.monotonic() >= deadline:
            return found
        time.sleep(0.2)


def _compare_task(
    desired: Mapping[str, Any], task: Task, observation: observe.Observation, image: str
) -> list[Mismatch]:
    if not observation.found:
        return [Mismatch("process", "running", None, f"{observation.reason}; {compare.DEPLOY}")]
    found = compare.compare_process(desired, observation.facts)
    found += compare.compare_versions(desired, observation.versions)
    found += compare.compare_fingerprint(desired["fingerprint"], observation.fingerprint)
    found += compare_answer(desired, observation)
    wanted = docker("image", "inspect", "--format", "{{.Id}}", image).strip() if image else None
    if task.container.image != wanted:
        found.append(
            Mismatch(
                "image",
                wanted,
                task.container.image,
                f"{task.container.name} runs another image than {image or 'any that was deployed'} "
                f"[docker inspect]: {compare.DEPLOY}",
            )
        )
    return found


def _compare_service(desired: Mapping[str, Any], stack: Stack, colour: str) -> list[Mismatch]:
    """What Swarm was told of the colour, and how many of its tasks run; asked by managers."""
    service = str(desired["service"])
    full_name = stack.full_name(f"{service}-{colour}")
    found = find_service(full_name)
    if found is None:
        return [Mismatch("service", full_name, None, f"Swarm has no service {full_name}: {compare.DEPLOY}")]
    mismatches = []
    folder = colours.directory_of(service, colour)
    if found.specification != procfs.read(folder / SPECIFICATION).strip():
        mismatches.append(
            Mismatch(
                "service",
                procfs.read(folder / SPECIFICATION).strip() or None,
                found.specification,
                f"{full_name} is not what was deployed, somebody has updated it [docker service inspect]: "
                f"{compare.DEPLOY}",
            )
        )
    if found.replicas != stack.replicas:
        mismatches.append(
            Mismatch(
                "replicas",
                stack.replicas,
                found.replicas,
                f"replicas of {full_name} is {found.replicas}, should be {stack.replicas} [docker service inspect]: "
                f"{compare.DEPLOY}",
            )
        )
    running = [task for task in list_tasks(full_name) if task.wanted == task.state == "Running"]
    if len(running) != stack.replicas and found.replicas == stack.replicas:
        mismatches.append(
            Mismatch(
                "tasks",
                stack.replicas,
                len(running),
                f"{len(running)} tasks of {full_name} run, should be {stack.replicas} [docker service ps]: see "
                f"docker service ps {full_name}",
            )
        )
    return mismatches


def _compare_front_door(
    desired: Mapping[str, Any], stack: Stack, live: str, state: State, manages: bool
) -> list[Mismatch]:
    service = str(desired["service"])
    installation = Installation(**desired["installation"])
    here = tasks_here(stack.full_name(containers.ADMISSION))
    seen = admission.observe(service, container=here[0].container.name if here else "none")
    state.details["admission"] = state.observed["admission"] = seen.to_dict()
    mismatches = compare.compare_admission(desired, seen.to_dict(), live)
    if seen.running:
        state.evidence.append("HAProxy's socket")
    mismatches += _compare_installation(installation, stack, service, live, manages)
    if not mismatches:
        mismatches += _who_answers(desired, stack, live, state)
    return mismatches


def _compare_installation(
    installation: Installation, stack: Stack, service: str, live: str, manages: bool
) -> list[Mismatch]:
    """Whether the stack's own service answers beside admission, a node is lost, or the files say something else now."""
    found = []
    if manages:
        own = find_service(stack.full_name(installation.service))
        if own and own.replicas != 0:
            found.append(
                Mismatch(
                    "installation",
                    0,
                    own.replicas,
                    f"{stack.full_name(installation.service)} answers to the name {installation.service} too, "
                    "unverified (its own script deployed it): run site.yml",
                )
            )
        front = find_service(stack.full_name(containers.ADMISSION))
        told = procfs.read(colours.ADMISSION_DIRECTORY / SPECIFICATION).strip()
        if front is None or front.specification != told:
            found.append(
                Mismatch(
                    "admission service",
                    told or None,
                    front.specification if front else None,
                    f"{stack.full_name(containers.ADMISSION)} is not what was deployed [docker service inspect]: "
                    f"{compare.DEPLOY}",
                )
            )
        found += [
            Mismatch(
                "node",
                "ready",
                "down",
                f"the node {name} is not reached [docker node ls]: its tasks run on the others; start it, or take it "
                "out of the Swarm and of the inventory",
            )
            for name in nodes_down()
        ]
    if not Path(installation.file).exists():
        return found
    folder = colours.directory_of(service, live)
    name = installation.own_image()
    made_with = procfs.read(folder / IMAGE).strip()
    if name != made_with:
        found.append(
            Mismatch(
                "image",
                name,
                made_with,
                f"{service} runs {made_with or 'nothing'}, but {installation.directory} names {name} now: "
                f"{compare.DEPLOY}",
            )
        )
    elif installation.configuration(f"{service}-{live}", str(folder / containers.FILE)) != procfs.read(
        folder / containers.CONFIGURATION
    ):
        found.append(
            Mismatch(
                "container",
                None,
                None,
                f"{service} was made of other settings than {installation.directory} and {folder} say now "
                f"[docker compose config]: {compare.DEPLOY}",
            )
        )
    return found


def _who_answers(desired: Mapping[str, Any], stack: Stack, live: str, state: State) -> list[Mismatch]:
    """Whether a request through this node's front door is answered by a task that was observed, by its log line."""
    service = str(desired["service"])
    door = desired["front_door"]
    mark = uuid.uuid4().hex
    path = f"{door['health_path']}{'&' if '?' in door['health_path'] else '?'}verify={mark}"
    answer = observe.request((stack.address, door["port"]), path, door["health_host"])
    if answer.status != 200:
        return [
            Mismatch(
                "front door",
                200,
                answer.status,
                f"GET {door['health_path']} through {stack.address}:{door['port']} answered "
                f"{answer.status or 'nothing'} ({answer.error or 'no error'}), should be 200: {compare.DEPLOY}",
            )
        ]
    tasks = {task.container.identifier: task for task in tasks_here(stack.full_name(f"{service}-{live}"))}
    if not tasks:
        state.evidence.append("front door handed on to another node")
        return []
    container = journal.container_of(mark, since=time.time() - 5)
    if container in tasks:
        state.evidence.append(f"front door answered by task {tasks[container].number}")
        return []
    return [
        Mismatch(
            "front door",
            f"a task of {service} ({live})",
            container,
            f"a request through {stack.address}:{door['port']} was answered by "
            f"{f'the container {container[:12]}' if container else 'no container that logs it'}, not by a task of "
            f"{service} ({live}) on this node [journal]: {compare.DEPLOY}",
        )
    ]


def _proofs(service: str, colour: str) -> dict[str, Any]:
    """Task number -> what was proved of it before it took traffic."""
    try:
        found: dict[str, Any] = json.loads(procfs.read(colours.proof_of(service, colour)))
    except ValueError:
        return {}
    return found


def _proved_before(proofs: Mapping[str, Any], task: Task, observation: observe.Observation) -> str | None:
    proof = proofs.get(str(task.number), {})
    same = all(proof.get(name) == value for name, value in identity(observation).items())
    return proof.get("saturation") if same else None


def _journal_of(service: str, colour: str) -> list[str]:
    return journal.last_words(f"{service}-{colour}", since=time.time() - 600)


def refusals(desired: Mapping[str, Any]) -> list[str]:
    """What stands in the way of a change on this node."""
    where = compare.settings_folder(desired["environment"])
    installation = Installation(**desired["installation"])
    try:
        manages = is_manager()
    except DockerError as error:
        return [f"plane_release_runtime is 'swarm', but {error}. Allowed: a node of the Swarm. Change it in {where}"]
    found = []
    address = desired["stack"]["address"]
    if not is_address_of_this_host(address):
        found.append(
            f"{desired['service'].replace('-', '_')}_listen_address is {address}, which is no address of this host. "
            f"Allowed: an address of it. Change it in {where}"
        )
    if not Path(installation.file).exists():
        return found
    if not manages:
        found.append(
            f"plane_release_installation is {installation.directory}, on a node that is no manager of the Swarm. "
            f"Allowed: an installation on a manager. Change it in {where}"
        )
        return found
    return found + installation_refusals(installation, desired, where)


def warnings_of(stack: Stack) -> list[str]:
    """Services of the stack that nobody reaches, as this kernel has no IPVS. Raises DockerError."""
    if has_ipvs():
        return []
    names = docker("stack", "services", "--format", "{{.Name}}", stack.name).split()
    told = [json.loads(docker("service", "inspect", name))[0]["Spec"] for name in names]
    return [
        f"the service {spec['Name']} has an address of Swarm's own (endpoint mode vip), and this kernel has no IPVS: "
        "nobody reaches it. Give it endpoint_mode: dnsrr, and ports of mode: host"
        for spec in told
        if spec.get("EndpointSpec", {}).get("Mode", "vip") == "vip"
    ]


def _compare_shared(desired: Mapping[str, Any], state: State) -> None:
    """What needs no work on this node in any case, and what is as it should be."""
    state.account_is_current = state.release_is_installed = True
    state.command_is_current = state.rotation_is_current = True
    of_admission = {path: digest for path, digest in desired["files"].items() if "/plane-admission" in path}
    state.admission_is_current = digests(of_admission) == of_admission and not any(
        mismatch["what"].startswith("admission") for mismatch in state.mismatches
    )
    shared = {path: digest for path, digest in desired["files"].items() if path.startswith("/etc/tmpfiles.d/")}
    state.units_are_current = digests(shared) == shared
    state.locked = lock.LOCK.exists()
    state.settled = state.match and not (state.idle_is_running or state.locked)


# The switch, on one node.


def switch(service: str, colour: str, stack: Stack, drain_seconds: float, proof: Mapping[str, Any]) -> Switched:
    """Send this node's traffic to `colour`, and wait until the other one holds no request, `drain_seconds` at most.

    The configuration is checked before anything changes, and put back where HAProxy does not follow: SwitchError.
    Where admission has no container on this node yet, the one to come reads the link.
    """
    directory = colours.ADMISSION_DIRECTORY
    former = colours.live_colour(service, directory)
    link = colours.link_of(service, directory)
    target = colours.directory_of(service, colour) / "admission.cfg"
    try:
        admission.check_candidate(service, target, directory)
    except admission.AdmissionError as error:
        raise SwitchError(str(error)) from error
    before = os.readlink(link) if link.is_symlink() else None
    began = time.monotonic()
    colours.point_link(link, target)
    colours.point_link(live_folder_of(service), Path(f"/run/{service}/{colour}"))
    try:
        here = tasks_here(stack.full_name(containers.ADMISSION))
        for task in here:
            docker("kill", "--signal=USR2", task.container.identifier)
        if here:
            admission.wait_for_colour(service, colour)
    except (DockerError, admission.AdmissionError) as error:
        if before is not None and former is not None:
            colours.point_link(link, Path(before))
            colours.point_link(live_folder_of(service), Path(f"/run/{service}/{former}"))
        else:
            link.unlink(missing_ok=True)
        raise SwitchError(f"the switch to {colour} was taken back: {error}") from error
    switched = time.monotonic()
    keep_proof(service, colour, proof)
    drained = colours.drain(lambda: held_here(service, colours.other(colour)), drain_seconds)
    return Switched(
        former=former,
        live=colour,
        switch_seconds=round(switched - began, 3),
        drain_seconds=drained.seconds,
        stop_seconds=None,
        cut=drained.cut,
    )


def live_folder_of(service: str) -> Path:
    """The link to the live colour's folder of sockets, which is all that HAProxy knows."""
    return Path(f"/run/{service}/live")


def held_here(service: str, colour: str) -> int:
    """Requests that tasks of the colour hold on this node."""
    sockets = list(Path(f"/run/{service}/{colour}").glob("*.sock"))
    return sum(procfs.count_unix_connections(str(path)) for path in sockets)
