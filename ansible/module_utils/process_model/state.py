"""One service on one host: everything observed, compared with what is desired, and what may stand in a change's way."""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import socket
import subprocess
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import (
    admission,
    colours,
    compare,
    containers,
    fit,
    journal,
    lock,
    observe,
    procfs,
    recycling,
    releases,
    routing,
    saturation,
    sizing,
)
from .compare import Mismatch

# A worker after its first requests. Used before there is an instance to measure.
WARM_WORKER_BYTES = int(sizing.MEASURED.warm)

# How long workers may take to be there after the first of them has answered.
WORKERS_SECONDS = 10.0

# Where plane-process-model finds this package on a host.
COMMAND = Path("/usr/local/lib/plane-process-model/process_model")


@dataclass
class State:
    """The answer of the module `process_model`; its fields are documented there."""

    service: str
    live: str | None
    idle: str
    desired: dict[str, Any]
    match: bool = False
    mismatches: list[dict[str, Any]] = field(default_factory=list)
    observed: dict[str, Any] = field(default_factory=dict)
    evidence: list[str] = field(default_factory=list)
    proof: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    installed: bool = False
    idle_is_running: bool = False
    units_are_stale: bool = False
    command_is_current: bool = False
    account_is_current: bool = False
    release_is_installed: bool = False
    units_are_current: bool = False
    admission_is_current: bool = False
    rotation_is_current: bool = False
    locked: bool = False
    settled: bool = False
    refusals: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(
    desired: Mapping[str, Any],
    colour: str | None = None,
    saturate: bool = False,
    wait_seconds: float = 0.0,
    preflight: bool = False,
    journal_of: str | None = None,
) -> State:
    """Examine the live colour through the front door, or `colour` (without traffic) straight at its socket.

    wait_seconds: how long `colour` may take until it answers its health path with 200.
    """
    began = time.monotonic()
    service = str(desired["service"])
    if colour is None:
        lock.wait_for_rotation()
    state = begin(desired, Path(f"/etc/systemd/system/{service}@.service"))
    examined = colour or state.live
    state.idle_is_running = _state_of(colours.unit_of(service, state.idle)) not in ("inactive", "failed", "unknown")
    mismatches: list[Mismatch] = []
    if examined is None:
        mismatches.append(no_live_colour(service))
    else:
        observation = _observe(desired, examined, wait_seconds)
        mismatches += _compare_instance(desired, observation, examined, state, saturate, alone=colour is not None)
        if colour is None:
            mismatches += _compare_front_door(desired, observation, examined, state)
    if colour is None:
        state.rotation_is_current = rotation_is_current(desired)
    # A change of the plan alone is no reason for a new colour, so preflight does not count it.
    if colour is None and not preflight and not state.rotation_is_current:
        mismatches.append(
            Mismatch(
                "rotation",
                desired.get("rotation"),
                None,
                f"{colours.rotation_file_of(service)}, or {service}-rotation.timer, is not what the inventory says: "
                "run site.yml",
            )
        )
    conclude(state, desired, mismatches, preflight)
    if preflight:
        state.refusals += refusals(desired, state)
        _compare_shared(desired, state)
    if journal_of:
        state.journal = _journal_since_written(service, journal_of)
    state.seconds = round(time.monotonic() - began, 2)
    return state


def begin(desired: Mapping[str, Any], installed: Path) -> State:
    """What is known before anything is examined. installed: a file that is there once a run has been here."""
    service = str(desired["service"])
    live = colours.live_colour(service)
    return State(
        service=service,
        live=live,
        idle=colours.other(live) if live else colours.BLUE,
        desired=dict(desired),
        installed=installed.exists(),
    )


def no_live_colour(service: str) -> Mismatch:
    return Mismatch("live colour", "blue or green", None, f"{service} has no live colour yet: {compare.DEPLOY}")


def conclude(state: State, desired: Mapping[str, Any], mismatches: Sequence[Mismatch], preflight: bool) -> bool:
    """Keep what was found, and whether the service fits; the answer: whether preflight found something to change."""
    state.mismatches = [mismatch.to_dict() for mismatch in mismatches]
    state.match = not mismatches
    changes = preflight and not state.match
    # A host that was deployed by an older version has no sizing in what it was deployed as.
    if changes or desired.get("sizing", {}).get("accepted"):
        verdict = _fit(desired, state)
        state.accepted, state.warned = verdict.accepted, verdict.warned
        if changes:
            state.refusals = verdict.refused
    return changes


def _compare_shared(desired: Mapping[str, Any], state: State) -> None:
    """Whether what both colours share is as it should be, so that a change has nothing to do there."""
    of_admission = {path: digest for path, digest in desired["files"].items() if "/plane-admission" in path}
    of_service = {
        path: digest
        for path, digest in desired["files"].items()
        if path.startswith("/etc/systemd/system/") and path not in of_admission
    }
    state.units_are_current = (
        digests(of_service) == of_service and not state.units_are_stale and _starts_at_boot(f"{state.service}.service")
    )
    # In a container the image's own user runs the service.
    state.account_is_current = bool(desired.get("installation")) or _has_account(state.service)
    state.release_is_installed = bool(desired.get("installation")) or (
        releases.digest_of_installed(Path(desired["release"]["path"])) == desired["release"]["digest"]
    )
    runs = state.details.get("admission", {}).get("running", False)
    state.admission_is_current = (
        digests(of_admission) == of_admission and runs and _starts_at_boot(colours.ADMISSION_UNIT)
    )
    state.command_is_current = releases.python_digest(COMMAND) == desired["command"]
    state.locked = lock.LOCK.exists()
    state.settled = (
        state.match
        and state.command_is_current
        and state.rotation_is_current
        and not (state.idle_is_running or state.locked)
    )


def rotation_is_current(desired: Mapping[str, Any]) -> bool:
    """Whether the plan of rotations is the desired one, and its timer runs where there is one, and only there."""
    service = str(desired["service"])
    try:
        plan = json.loads(procfs.read(colours.rotation_file_of(service)))
    except ValueError:
        return False
    timer = f"{service}-rotation.timer"
    wanted = desired.get("rotation")
    runs = _state_of(timer) == "active"
    return bool(plan == wanted and runs == _starts_at_boot(timer) == (wanted is not None))


def _has_account(service: str) -> bool:
    """Whether the service's user is there, and in the group that admission reaches sockets through."""
    try:
        pwd.getpwnam(service)
        return service in grp.getgrnam(colours.GROUP).gr_mem
    except KeyError:
        return False


def _starts_at_boot(unit: str) -> bool:
    return subprocess.run(["systemctl", "is-enabled", "--quiet", unit], check=False).returncode == 0


def _journal_since_written(service: str, colour: str) -> list[str]:
    """The last lines of a colour's journal since its files were written: an earlier life of it explains nothing.

    Without the frames of tracebacks (indented by two blanks or more): gunicorn's own would push the error out of sight.
    """
    try:
        written = (colours.directory_of(service, colour) / "fingerprint").stat().st_mtime
    except OSError:
        return []
    return journal.last_words(f"{service}-{colour}", since=written)


def _state_of(unit: str) -> str:
    """systemd's word for it: active, activating, failed, inactive, …"""
    return subprocess.run(["systemctl", "is-active", unit], capture_output=True, text=True, check=False).stdout.strip()


def _observe(desired: Mapping[str, Any], colour: str, wait_seconds: float) -> observe.Observation:
    """Observe a colour once it answers its health path with every worker, waiting is in vain, or its time is over.

    gunicorn starts all of its workers as soon as it is ready: one that is missing WORKERS_SECONDS later will not come.
    """
    service = desired["service"]
    unit = colours.unit_of(service, colour)
    door = desired["front_door"]
    deadline = time.monotonic() + wait_seconds
    restarts_before: int | None = None
    was_healthy = False
    while True:
        found = observe.observe_unit(unit, colours.socket_of(service, colour), door["health_path"], door["health_host"])
        healthy = found.found and found.answer is not None and found.answer.status == 200
        complete = len(found.workers) >= desired["model"]["workers"]
        if healthy and not was_healthy:
            was_healthy = True
            deadline = min(deadline, time.monotonic() + WORKERS_SECONDS)
        restarts = int(found.unit.get("NRestarts") or 0)
        restarts_before = restarts if restarts_before is None else restarts_before
        # Waiting is in vain where systemd has ended it for good, or starts it again and again. A start that was asked
        # for and has not begun yet is a job.
        ended = found.unit.get("ActiveState", "inactive") in ("failed", "inactive") and not found.unit.get("Job")
        in_vain = ended or restarts - restarts_before >= 2
        if (healthy and complete) or in_vain or time.monotonic() >= deadline:
            return found
        time.sleep(0.2)


def _compare_instance(
    desired: Mapping[str, Any],
    observation: observe.Observation,
    colour: str,
    state: State,
    saturate: bool,
    alone: bool,
) -> list[Mismatch]:
    state.details["instance"] = observation.to_dict()
    installation = containers.Installation.of(desired)
    if not observation.found:
        return [
            Mismatch(
                "process",
                "running",
                None,
                f"nothing runs as {colour}: {observation.reason}. systemctl status "
                f"{colours.unit_of(str(desired['service']), colour)}; {compare.DEPLOY}",
            )
        ]
    facts = dict(observation.facts)
    mismatches = compare.compare_process(desired, facts)
    mismatches += compare.compare_versions(desired, observation.versions)
    mismatches += compare.compare_fingerprint(desired["fingerprint"], observation.fingerprint)
    wanted = compare.files_of_colour(desired, colour, with_admission=state.live == colour)
    mismatches += compare.compare_files(wanted, digests(wanted), desired["environment"])
    mismatches += _compare_unit(desired, colour, observation.unit, state)
    mismatches += compare_answer(desired, observation)
    if installation:
        mismatches += _compare_container(installation, str(desired["service"]), colour)
    state.observed = {
        **{name: fact.value for name, fact in facts.items()},
        "colour": colour,
        "versions": observation.versions,
        "workers_seen": [asdict(worker) for worker in observation.workers],
        "restarts": observation.restarts,
        "killed_for_memory": observation.killed_for_memory,
    }
    state.evidence = [facts["worker_class"].source, f"{len(observation.workers)} workers in /proc"]
    if saturate and not mismatches:
        mismatches += compare_saturation(
            desired, observation, colours.socket_of(str(desired["service"]), colour), state, alone
        )
        state.proof = {**identity(observation), "saturation": state.evidence[-1]}
    elif proved := _proved_before(str(desired["service"]), colour, observation):
        state.evidence.append(f"{proved} before the switch")
    return mismatches


def _compare_container(installation: containers.Installation, service: str, colour: str) -> list[Mismatch]:
    """Whether the container is what the installation's files and ours say now: its image, and its configuration."""
    name = containers.name_of(service, colour)
    found = containers.find(name)
    try:
        image, wanted = installation.image()
        folder = colours.directory_of(service, colour)
        # That of a rotation is made of what its colour is made of.
        configuration = installation.configuration(
            name.removesuffix(f"-{colours.SPARE}"), str(folder / containers.FILE)
        )
    except containers.DockerError as error:
        return [Mismatch("installation", "readable", None, f"{installation.directory}: {error}")]
    made_of = procfs.read(folder / containers.CONFIGURATION)
    mismatches = []
    if found is None or found.image != wanted:
        mismatches.append(
            Mismatch(
                "image",
                wanted,
                found.image if found else None,
                f"{name} runs another image than {image}, which {installation.directory} names now [docker inspect]: "
                f"{compare.DEPLOY}",
            )
        )
    elif made_of != configuration:
        mismatches.append(
            Mismatch(
                "container",
                configuration,
                made_of or None,
                f"{name} was made of other settings than {installation.directory} and {folder} say now "
                f"[docker compose config]: {compare.DEPLOY}",
            )
        )
    return mismatches


def _compare_installation(installation: containers.Installation) -> list[Mismatch]:
    """Whether the installation's own instance answers beside admission, as after an update by its own script."""
    try:
        own = installation.own_containers()
    except containers.DockerError as error:
        return [Mismatch("installation", "readable", None, f"{installation.directory}: {error}")]
    if not own:
        return []
    return [
        Mismatch(
            "installation",
            None,
            own,
            f"{', '.join(own)} of {installation.directory} answers to the name {installation.service} too, unverified "
            "(its own script started it): run site.yml",
        )
    ]


def identity(observation: observe.Observation) -> dict[str, Any]:
    """What tells this master from every other process since boot."""
    return {"master": observation.master, "start_ticks": procfs.start_ticks(observation.master or 0)}


def _proved_before(service: str, colour: str, observation: observe.Observation) -> str | None:
    """What a change proved of this very process; None where it is another process, or nothing was proved."""
    try:
        proof = json.loads(procfs.read(colours.proof_of(service, colour)))
    except ValueError:
        return None
    same = all(proof.get(name) == value for name, value in identity(observation).items())
    return proof.get("saturation") if same else None


def digests(files: Iterable[str]) -> dict[str, str | None]:
    """Path -> SHA-256; None where there is no file."""
    found: dict[str, str | None] = {}
    for path in files:
        try:
            found[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError:
            found[path] = None
    return found


def _compare_unit(
    desired: Mapping[str, Any], colour: str, properties: Mapping[str, str], state: State
) -> list[Mismatch]:
    """What systemd itself holds of the unit: files that it has not read yet, and drop-ins nobody here wrote."""
    unit = colours.unit_of(str(desired["service"]), colour)
    found = []
    state.units_are_stale = properties.get("NeedDaemonReload") == "yes"
    if state.units_are_stale:
        found.append(
            Mismatch("unit", "read by systemd", "older", f"systemd has not read the changed {unit}: {compare.DEPLOY}")
        )
    if properties.get("DropInPaths"):
        paths = properties["DropInPaths"]
        found.append(
            Mismatch("unit", None, paths, f"{paths} overrides {unit}: remove it, systemctl daemon-reload, run site.yml")
        )
    return found


def compare_answer(desired: Mapping[str, Any], observation: observe.Observation) -> list[Mismatch]:
    """Whether the instance answers its health path."""
    answer = observation.answer
    if answer and answer.status == 200:
        return []
    status = answer.status if answer else None
    error = f" ({answer.error})" if answer and answer.error else ""
    path = desired["front_door"]["health_path"]
    return [
        Mismatch(
            "health",
            200,
            status,
            f"GET {path} on the instance's own socket answered {status or 'nothing'}{error}, should be 200: "
            "see its journal",
        )
    ]


def compare_saturation(
    desired: Mapping[str, Any], observation: observe.Observation, where: str, state: State, alone: bool
) -> list[Mismatch]:
    """Fill the instance behind the socket `where`, and add what was found to the evidence.

    alone: it serves nobody else.
    """
    model = desired["model"]
    result = saturation.saturate(
        where,
        [worker.pid for worker in observation.workers],
        desired["front_door"]["health_path"],
        desired["front_door"]["health_host"],
        most=4 * model["workers"] * (model["threads"] or 1) + 40,
        alone=alone,
    )
    state.details["saturation"] = result.to_dict()
    counts = "+".join(str(count) for count in result.per_worker.values())
    if model["worker_class"] == "gthread":
        state.evidence.append(f"saturation {counts}")
        wanted = dict.fromkeys(result.per_worker, model["threads"])
        if result.bounded and result.per_worker == wanted:
            return []
        why = result.error or ("" if result.further_waited else "a further request did not wait")
        return [
            Mismatch(
                "threads",
                model["threads"],
                counts,
                f"filled to the brim, the workers run {counts} requests at once, should be "
                f"{model['threads']} each{'; ' + why if why else ''} [saturation probe]: {compare.DEPLOY}",
            )
        ]
    state.evidence.append("saturation: no bound of its own")
    if result.bounded or not result.further_finished:
        return [
            Mismatch(
                "concurrency",
                "no bound",
                counts,
                f"uvicorn answers while requests are held, this instance did not (ran {counts}; {result.error}): "
                f"its workers are not what they are called; {compare.DEPLOY}",
            )
        ]
    return []


def _compare_front_door(
    desired: Mapping[str, Any], observation: observe.Observation, live: str, state: State
) -> list[Mismatch]:
    service = str(desired["service"])
    installation = containers.Installation.of(desired)
    seen = admission.observe(service, container=containers.ADMISSION if installation else "")
    state.details["admission"] = seen.to_dict()
    state.observed["admission"] = seen.to_dict()
    mismatches = compare.compare_admission(desired, seen.to_dict(), live)
    if seen.running:
        state.evidence.append("HAProxy's socket")
    door = desired["front_door"]
    if installation:
        mismatches += _compare_installation(installation)
        contained = containers.find(containers.ADMISSION)
        # What it listens on is every address of its container, which nothing outside of the installation reaches.
        door = {**door, "address": contained.addresses[0] if contained and contained.addresses else door["address"]}
    if observation.found and not mismatches:
        mismatches += _who_answers(desired, observation, f"{service}-{live}", door, state)
    if installation and not mismatches:
        mismatches += _compare_routing(installation, desired, f"{service}-{live}", state)
    return mismatches


def _compare_routing(
    installation: containers.Installation, desired: Mapping[str, Any], instance: str, state: State
) -> list[Mismatch]:
    """Whether clients of the installation reach what was examined: its proxy is asked, and who answered."""
    graphql = desired["service"] == "plane-graphql"
    paths = _graphql_paths(installation)
    try:
        answers = routing.ask(installation, paths, desired["front_door"]["health_host"])
    except (routing.RoutingError, containers.DockerError) as error:
        # Where something else leads clients to it, nobody here can ask that.
        state.evidence.append(f"its proxy was not asked: {error}")
        return []
    mine = [answer for answer in answers if (answer.path != routing.CONTROL) == graphql]
    found = [
        Mismatch(
            f"route {answer.path}",
            instance,
            answer.container or None,
            f"GET {answer.path} through the proxy of {installation.directory} was answered {answer.status} by "
            f"{answer.container or 'none of its API'}, should be by {instance} [docker logs]: {compare.DEPLOY}",
        )
        for answer in mine
        # That of a rotation has the colour's name and more.
        if not answer.container.startswith(instance)
    ]
    if not graphql:
        found += [
            Mismatch(f"route {answer.path}", "ASGI", answer.container, f"{said}: {compare.DEPLOY}")
            for answer, said in _under_wsgi(installation, desired, answers)
        ]
    if not found:
        reached = ", ".join(answer.path for answer in mine)
        state.evidence.append(f"{reached} through its proxy answered by {instance}")
    return found


def _graphql_paths(installation: containers.Installation) -> list[str]:
    """What is asked: as the inventory knows it, or as upstream's commercial edition has it."""
    return list(installation.graphql_paths) or [routing.GRAPHQL]


def _under_wsgi(
    installation: containers.Installation, desired: Mapping[str, Any], answers: Iterable[routing.Answer]
) -> list[tuple[routing.Answer, str]]:
    """The paths of GraphQL that WSGI answers, or would, and what is said of each; none where GraphQL is apart."""
    if desired["model"]["worker_class"] != "gthread" or desired.get("split"):
        return []
    return [
        (
            answer,
            (
                f"plane_api_worker_class is 'gthread', but GET {answer.path} through the proxy of "
                f"{installation.directory} is answered by {answer.container}: REST has to answer GraphQL there, and "
                "under WSGI it cannot"
            ),
        )
        for answer in answers
        if answer.path != routing.CONTROL and answer.served
    ]


def _who_answers(
    desired: Mapping[str, Any], observation: observe.Observation, identifier: str, door: Mapping[str, Any], state: State
) -> list[Mismatch]:
    """Whether a request through the front door is answered by a worker that was observed: its access log line says so.

    The request carries a mark that nobody else can know; journald notes itself which process wrote the line.
    """
    mark = uuid.uuid4().hex
    separator = "&" if "?" in door["health_path"] else "?"
    answer = observe.request(
        (door["address"], door["port"]), f"{door['health_path']}{separator}verify={mark}", door["health_host"]
    )
    if answer.status != 200:
        return [
            Mismatch(
                "front door",
                200,
                answer.status,
                f"GET {door['health_path']} through {door['address']}:{door['port']} answered "
                f"{answer.status or 'nothing'} ({answer.error or 'no error'}), should be 200: {compare.DEPLOY}",
            )
        ]
    workers = {worker.pid for worker in observation.workers}
    pid = journal.writer_of(mark, since=time.time() - 5)
    if pid in workers:
        state.evidence.append(f"front door answered by worker {pid}")
        return []
    if desired.get("installation") and str(pid) == observation.unit.get("MainPID"):
        # Everything that a container writes comes through the process that holds it.
        state.evidence.append(f"front door answered by the container of {identifier}")
        return []
    who = f"process {pid} ({' '.join(procfs.command_line(pid)[:2]) or 'gone'})" if pid else "no process that logs it"
    return [
        Mismatch(
            "front door",
            f"a worker of {identifier}",
            pid,
            f"a request through {door['address']}:{door['port']} was answered by {who}, not by a worker of "
            f"{identifier} ({', '.join(str(worker) for worker in sorted(workers))}) [journal]: {compare.DEPLOY}",
        )
    ]


def refusals(desired: Mapping[str, Any], state: State) -> list[str]:
    """What stands in the way of a change on this host, each in one line; nothing is changed to find it out."""
    service = str(desired["service"])
    door = desired["front_door"]
    prefix = service.replace("-", "_")
    where = compare.settings_folder(desired["environment"])
    found = []
    if desired["recycling"]["refusal"]:
        found.append(f"{desired['recycling']['refusal']}. Change it in {where}")
    if not Path("/run/systemd/system").exists():
        found.append("this host does not run systemd, which keeps instances running")
    installation = containers.Installation.of(desired)
    if installation:
        # The image is looked into only where something is to change: that takes a second.
        if state.match:
            return found
        adopting = installation_refusals(installation, desired, where)
        return found + (adopting or _routing_refusals(installation, desired, state, where))
    if not is_address_of_this_host(door["address"]):
        found.append(
            f"{prefix}_listen_address is {door['address']}, which is no address of this host. "
            f"Allowed: an address of it. Change it in {where}"
        )
    for inode, (address, port) in procfs.tcp_listeners().items():
        if port != door["port"] or not (address == door["address"] or procfs.is_every_interface(address)):
            continue
        for pid in procfs.owners({inode}):
            unit = next(iter(procfs.cgroup_of(pid).values()), "")
            if not any(colours.ADMISSION_UNIT in group for group in procfs.cgroup_of(pid).values()):
                found.append(
                    f"{prefix}_port is {port}, which process {pid} ({' '.join(procfs.command_line(pid))[:60]}) of "
                    f"{unit or 'no unit'} listens on. Allowed: a free port. Stop it, or change the port in {where}"
                )
                break
    return found


def installation_refusals(installation: containers.Installation, desired: Mapping[str, Any], where: str) -> list[str]:
    """What an installation lacks that is to be adopted, and where its image starts otherwise than we assume."""
    try:
        version = containers.docker("compose", "version", "--short").strip().lstrip("v")
        if recycling.numbers(version) < containers.OLDEST_COMPOSE:
            oldest = ".".join(map(str, containers.OLDEST_COMPOSE))
            return [f"Docker Compose of this host is {version}. Allowed: {oldest} or newer, which knows !override"]
        file, theirs = installation.own_steps()
    except containers.DockerError as error:
        return [f"plane_release_installation is {installation.directory}, and {error}. Change it in {where}"]
    prefix = str(desired["service"]).replace("-", "_")
    known = set(desired["steps"]["acknowledged"])
    ours = desired["steps"]["ours"]
    # Each once for an installation is enough: where REST stands in for its own service, GraphQL has less to do.
    missing = [step for step in theirs if step not in ours and step not in known and prefix == "plane_api"]
    more = [step for step in ours if step not in theirs and step not in known]
    found = []
    if missing:
        found.append(f"{prefix}_prestart lacks {', '.join(missing)}, which {file} of the installation's image runs")
    if more:
        found.append(f"{prefix}_prestart has {', '.join(more)}, which {file} of the installation's image does not run")
    return [
        f"{line}. Allowed: the same steps there (or in {prefix}_deploy_commands), or the step's name in "
        f"plane_release_acknowledged_steps. Change it in {where}"
        for line in found
    ]


def _routing_refusals(
    installation: containers.Installation, desired: Mapping[str, Any], state: State, where: str
) -> list[str]:
    """Whether a change to WSGI would take GraphQL from the clients of the installation; its proxy is asked."""
    if desired["service"] != "plane-api" or desired["model"]["worker_class"] != "gthread" or desired.get("split"):
        return []
    paths = _graphql_paths(installation)
    split = (
        f"Split first: put this host into the group plane_graphql beside plane_api, and {', '.join(paths)} into "
        "plane_release_graphql_paths; site.yml then gives GraphQL instances of its own under uvicorn, behind the same "
        f"proxy. Allowed without: plane_api_worker_class ''. Change it in {where}"
    )
    try:
        answers = routing.ask(installation, paths, desired["front_door"]["health_host"])
    except (routing.RoutingError, containers.DockerError) as error:
        # What serves so already was asked when it was new; it is to be mended now.
        deployed = (colours.desired_of(str(desired["service"]), state.live) if state.live else None) or {}
        if deployed.get("model", {}).get("worker_class") == "gthread":
            return []
        said = (
            f"plane_api_worker_class is 'gthread', and nobody can say whether {', '.join(paths)} reach REST: {error}. "
            "Start the installation; where its proxy knows its host by name, plane_api_health_host is that name"
        )
        return [f"{said}. {split}"]
    return [f"{said}. {split}" for _, said in _under_wsgi(installation, desired, answers)]


def _fit(desired: Mapping[str, Any], state: State) -> fit.Verdict:
    """Whether the service fits this host and its limit: workers as measured here, where there are any."""
    workers = [worker["pss"] for worker in state.observed.get("workers_seen", [])]
    risks = fit.memory_risks(desired, fit.costs_of(desired, workers))
    risks += fit.host_risks(desired, fit.Host(procfs.memory_of_host(), os.cpu_count() or 1))
    return fit.judge(desired, risks, compare.settings_folder(desired["environment"]))


def is_address_of_this_host(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
