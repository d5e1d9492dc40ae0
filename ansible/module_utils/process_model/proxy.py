"""The proxy at the edge (nginx, role plane_proxy): whom it stands in front of, and what it really runs.

nginx tells who asks from its own host what it is and whom it asked, in the header X-Plane-Proxy of every answer: a
digest of the configuration that it runs, and the front doors that it tried, the last of which answered.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import colours, compare, procfs
from .compare import Mismatch
from .state import digests

NAME = "plane-proxy"
UNIT = "nginx.service"
PROGRAM = Path("/usr/sbin/nginx")
CONFIGURATION = Path("/etc/nginx/nginx.conf")
HEADER = "X-Plane-Proxy"
# nginx asks a front door that failed again after 10 s (its own default): what is missing until then is asked again.
FORGIVEN_SECONDS = 12.0
# A browser ends a request that has had no answer for 300 s (Chrome and Firefox, by default).
BROWSER_PATIENCE = 300
ADDRESSES_OF_ALL = ("*", "::")


@dataclass(frozen=True)
class Behind:
    """A front door behind the proxy.

    answer_seconds: the longest that it takes to answer anything: a wait in admission's queue, then for gunicorn.
    """

    service: str
    host: str
    address: str
    port: int
    answer_seconds: int
    runtime: str

    @property
    def door(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "door": self.door}


def find_behind(
    groups: Mapping[str, Iterable[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    environment: str,
    defaults: Mapping[str, Any],
) -> list[Behind]:
    """The front doors of every REST and GraphQL host of an environment, in the inventory's order.

    defaults: of the services' roles, for what no inventory sets. Raises ValueError where a number is none.
    """
    here = set(groups.get(environment, groups.get("all", [])))
    found = []
    for group in ("plane_api", "plane_graphql"):
        for host in groups.get(group, []):
            if host not in here:
                continue
            there = hostvars[host]

            def value(name: str, there: Mapping[str, Any] = there, group: str = group) -> Any:
                return there.get(f"{group}_{name}", defaults[f"{group}_{name}"])

            address = str(value("listen_address"))
            waits = [value("queue_timeout")]
            waits += [route["queue_timeout"] for route in value("heavy_routes") if "queue_timeout" in route]
            found.append(
                Behind(
                    service=group.replace("_", "-"),
                    host=str(host),
                    address=str(there.get("ansible_host", host))
                    if address == "*" or procfs.is_every_interface(address.strip("[]"))
                    else address.strip("[]"),
                    port=int(value("port")),
                    answer_seconds=max(map(int, waits)) + int(defaults["gunicorn_service_response_timeout"]),
                    runtime=str(there.get("plane_release_runtime", defaults["plane_release_runtime"])),
                )
            )
    return found


@dataclass(frozen=True)
class Answer:
    """One request through the proxy. mark: what only this request carries. host: who answered it, by its front door."""

    service: str
    mark: str
    status: int | None = None
    fingerprint: str = ""
    door: str = ""
    host: str | None = None
    error: str = ""


@dataclass
class State:
    """The answer of the module `proxy_state`; documented there. The report's keys are those of process_model."""

    desired: dict[str, Any]
    live: str | None = None
    match: bool = False
    mismatches: list[dict[str, Any]] = field(default_factory=list)
    observed: dict[str, Any] = field(default_factory=dict)
    evidence: list[str] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    installed: bool = False
    current: bool = False
    settled: bool = False
    refusals: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(desired: Mapping[str, Any], preflight: bool = False, wait_seconds: float = 0.0) -> State:
    """Ask nginx through itself what it runs and who answers behind it. desired: as the role describes it.

    wait_seconds: how long it may take until it runs the desired configuration, as after a reload.
    """
    began = time.monotonic()
    state = State(desired=dict(desired), installed=PROGRAM.exists())
    if preflight:
        state.refusals = refusals(desired)
    seen = ask(desired, desired["behind"][0]["service"])
    while not is_current(desired, seen) and time.monotonic() - began < wait_seconds:
        time.sleep(0.1)
        seen = ask(desired, desired["behind"][0]["service"])
    state.current = is_current(desired, seen)
    files = compare.compare_files(desired["files"], digests(desired["files"]), desired["environment"])
    mismatches = files + compare_running(desired, seen)
    if seen.status is not None and not preflight and not wait_seconds:
        answers = ask_all(desired, desired["behind"])
        mismatches += compare_answers(desired, answers)
        state.answers = [asdict(answer) for answer in answers]
        hosts = sorted({answer.host for answer in answers if answer.host})
        state.observed = {"doors": sorted({answer.door for answer in answers if answer.host})}
        state.evidence = [f"through nginx: {', '.join(hosts) or 'nobody'}"]
    if desired["certificate"] and seen.status is not None:
        mismatches += _compare_certificate(desired, state)
    state.mismatches = [mismatch.to_dict() for mismatch in mismatches]
    state.match = not mismatches
    state.settled = state.current and not files and _is("enabled") and _is("active")
    state.seconds = round(time.monotonic() - began, 2)
    return state


def is_current(desired: Mapping[str, Any], seen: Answer) -> bool:
    """Whether nginx runs the desired configuration, and serves the certificate that its file holds now."""
    if seen.fingerprint != desired["fingerprint"]:
        return False
    return not desired["certificate"] or _served(desired)[0] == _in_file(desired)


def _is(word: str) -> bool:
    return subprocess.run(["systemctl", f"is-{word}", "--quiet", UNIT], check=False).returncode == 0


def _tls() -> ssl.SSLContext:
    """For asking ourselves, by address: what the certificate says is compared elsewhere."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def ask(desired: Mapping[str, Any], service: str, timeout: float = 5.0) -> Answer:
    """One request of the service's path, through the proxy. An error is a fact, not an exception."""
    mark = uuid.uuid4().hex
    path = desired["paths"][service]
    address = desired["address"]
    connection = (
        http.client.HTTPSConnection(address, desired["https_port"], timeout=timeout, context=_tls())
        if desired["certificate"]
        else http.client.HTTPConnection(address, desired["http_port"], timeout=timeout)
    )
    try:
        connection.request(
            "GET", f"{path}{'&' if '?' in path else '?'}verify={mark}", headers={"Host": desired["health_host"]}
        )
        answer = connection.getresponse()
        fingerprint, door = parse_shown(answer.headers.get(HEADER, ""))
    except (OSError, http.client.HTTPException) as error:
        return Answer(service, mark, error=str(error) or type(error).__name__)
    finally:
        connection.close()
    hosts = {behind["door"]: behind["host"] for behind in desired["behind"]}
    return Answer(service, mark, answer.status, fingerprint, door, hosts.get(door))


def parse_shown(header: str) -> tuple[str, str]:
    """The digest and the front door that answered, of `<digest> <door>, <door>`; empty where it is not said."""
    fingerprint, _, doors = header.partition(" ")
    return fingerprint, doors.rpartition(", ")[2].strip()


def ask_all(desired: Mapping[str, Any], behind: Iterable[Mapping[str, Any]]) -> list[Answer]:
    """Ask until every front door behind has answered, or it is in vain; the last answer of each, and of nobody."""
    missing = {(one["service"], one["door"]) for one in behind}
    found: dict[tuple[str, str], Answer] = {}
    deadline = time.monotonic() + FORGIVEN_SECONDS
    while missing:
        # Each in its turn: with as many requests as there are front doors, each of them is reached.
        for service in sorted(service for service, _ in missing):
            answer = ask(desired, service)
            found[service, answer.door] = answer
            missing.discard((service, answer.door))
        if missing and time.monotonic() > deadline:
            break
        if missing:
            time.sleep(0.05)
    return list(found.values())


def compare_running(desired: Mapping[str, Any], seen: Answer) -> list[Mismatch]:
    where = f"{desired['address']}:{desired['https_port'] if desired['certificate'] else desired['http_port']}"
    if seen.status is None:
        said = f"nothing answers at {where} ({seen.error}): systemctl status nginx; run site.yml"
    elif not seen.fingerprint:
        said = f"what answers at {where} is not the proxy that site.yml made: ss -ltnp; run site.yml"
    elif seen.fingerprint != desired["fingerprint"]:
        said = (
            "nginx runs another configuration than the inventory renders (edited by hand, or a reload failed): "
            "journalctl -t plane_proxy; run site.yml"
        )
    else:
        return []
    return [Mismatch("proxy", desired["fingerprint"], seen.fingerprint or None, said)]


def compare_answers(desired: Mapping[str, Any], answers: Iterable[Answer]) -> list[Mismatch]:
    """Whether every front door answered, each what its service answers, and nobody else did."""
    answers = list(answers)
    found = []
    for behind in desired["behind"]:
        answer = next((one for one in answers if (one.service, one.door) == (behind["service"], behind["door"])), None)
        name = f"{behind['service']} of {behind['host']} ({behind['door']})"
        path = desired["paths"][behind["service"]]
        if answer is None:
            said = f"no answer to GET {path} through the proxy came from {name}: see that host's own line"
            found.append(Mismatch(f"door {behind['door']}", "answers", None, said))
        elif answer.status != 200 and (behind["service"] == "plane-api" or (answer.status or 500) >= 500):
            said = f"GET {path} through the proxy was answered {answer.status} by {name}: see that host's own line"
            found.append(Mismatch(f"door {behind['door']}", 200, answer.status, said))
    doors = {(behind["service"], behind["door"]) for behind in desired["behind"]}
    for answer in answers:
        # Where none is left that it takes for alive, nginx names the service.
        if answer.door not in ("", answer.service) and (answer.service, answer.door) not in doors:
            said = (
                f"GET {desired['paths'][answer.service]} went to {answer.door}, no front door of {answer.service}: "
                "run site.yml"
            )
            found.append(Mismatch(f"door {answer.door}", None, answer.door, said))
    return found


def passed_on(state: Mapping[str, Any], units: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Marks of the requests that no instance of the node which answered has logged, where it is one of a Swarm.

    Its HAProxy passes requests on to another node while it knows no task of its own: where there are fewer tasks than
    nodes, and for the first request of a connection from before a switch, which the former HAProxy answers.
    units: as of `judge_units`, of the hosts that were asked.
    """
    nodes = {behind["host"] for behind in state["desired"]["behind"] if behind["runtime"] == "swarm"} & units.keys()
    return [
        answer["mark"]
        for answer in state["answers"]
        if answer["host"] in nodes and answer["mark"] not in units[answer["host"]]
    ]


def judge_units(
    state: Mapping[str, Any], units: Mapping[str, Mapping[str, str]], live: Mapping[str, Mapping[str, str | None]]
) -> dict[str, Any]:
    """The state, with whether the requests were answered by the instances that this run verified.

    units: host -> mark -> the unit that logged the request, as the host's journal knows it; also of the requests that
    were passed on to it. live: host -> service -> the colour that was verified in this run; a host that is not there
    was not.
    """
    verified, unknown, passed, found = set(), set(), set(), []
    for answer in state["answers"]:
        host, service = answer["host"], answer["service"]
        if host is None:
            continue
        by = next((one for one in (host, *units) if answer["mark"] in units.get(one, {})), host)
        colour = live.get(by, {}).get(service)
        if colour is None:
            unknown.add(by)
            continue
        if by != host:
            passed.add(f"{host} to {by}")
        unit = units.get(by, {}).get(answer["mark"])
        # A rotation that has just begun or ended has an instance of its own.
        if unit in (colours.unit_of(service, colour), colours.unit_of(service, colours.SPARE)):
            verified.add(host)
            continue
        answered = (unit or "no unit that logs it") + (f" of {by}" if by != host else "")
        said = (
            f"a request through the proxy to {host} was answered by {answered}, not by "
            f"{colours.unit_of(service, colour)}, which was verified [its journal]: run site.yml"
        )
        found.append(Mismatch(f"door {answer['door']}", colours.unit_of(service, colour), unit, said).to_dict())
    evidence = list(state["evidence"])
    if verified:
        evidence.append(f"by verified instances on {', '.join(sorted(verified))}")
    if passed:
        evidence.append(f"passed on from {', '.join(sorted(passed))}")
    if unknown:
        evidence.append(f"not verified in this run: {', '.join(sorted(unknown))}")
    mismatches = [*state["mismatches"], *found]
    return {**state, "evidence": evidence, "mismatches": mismatches, "match": not mismatches}


def _served(desired: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The certificate (PEM) that nginx serves, and the protocol that it chooses; None where it does not answer."""
    context = _tls()
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        plain = socket.create_connection((desired["address"], desired["https_port"]), timeout=5)
        with plain, context.wrap_socket(plain) as connection:
            served = connection.getpeercert(binary_form=True)
            return ssl.DER_cert_to_PEM_cert(served or b""), connection.selected_alpn_protocol()
    except OSError:
        return None, None


def _in_file(desired: Mapping[str, Any]) -> str | None:
    """The first certificate of the file, as PEM in the form of `_served`; None where there is none."""
    end = "-----END CERTIFICATE-----"
    text = procfs.read(Path(desired["certificate"]))
    begin = text.find("-----BEGIN CERTIFICATE-----")
    if begin < 0 or end not in text:
        return None
    try:
        return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(text[begin : text.index(end) + len(end)]))
    except ValueError:
        return None


def _compare_certificate(desired: Mapping[str, Any], state: State) -> list[Mismatch]:
    served, protocol = _served(desired)
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate"], input=served or "", capture_output=True, text=True, check=False
    )
    found, until = compare_certificate(
        desired["certificate"], served, _in_file(desired), done.stdout.strip().partition("=")[2], time.time()
    )
    state.observed.update(certificate_until=until, protocol=protocol)
    state.evidence += [f"certificate until {until}", "HTTP/2" if protocol == "h2" else "no HTTP/2"]
    return found


def compare_certificate(
    path: str, served: str | None, in_file: str | None, not_after: str, now: float
) -> tuple[list[Mismatch], str | None]:
    """not_after: as openssl writes it, `Nov 26 12:00:00 2027 GMT`. The second answer: the same as a date."""
    if served is None or not not_after:
        return [Mismatch("certificate", "served", None, "nginx serves no certificate: run site.yml")], None
    end = ssl.cert_time_to_seconds(not_after)
    until = time.strftime("%Y-%m-%d", time.gmtime(end))
    found = []
    if end <= now:
        said = f"the certificate that nginx serves, {path}, expired on {until}: renew it, then systemctl reload nginx"
        found.append(Mismatch("certificate", "valid", until, said))
    if served != in_file:
        said = f"the certificate that nginx serves is not the one in {path}: systemctl reload nginx, or run site.yml"
        found.append(Mismatch("certificate", "that of its file", "another", said))
    return found, until


def refusals(desired: Mapping[str, Any]) -> list[str]:
    """What stands in the way on this host, each in one line; nothing is changed to find it out."""
    where = compare.settings_folder(desired["environment"])
    found = []
    for name in ("certificate", "certificate_key"):
        if desired[name] and not Path(desired[name]).is_file():
            found.append(
                f"plane_proxy_{name} is {desired[name]}, which is no file of this host. Allowed: a file in PEM that is "
                f"there. Change it in {where}"
            )
    if desired["certificate"] and not found and _in_file(desired) is None:
        found.append(
            f"plane_proxy_certificate is {desired['certificate']}, which holds no certificate. Allowed: a file in PEM, "
            f"the host's own certificate first. Change it in {where}"
        )
    ports = {"http_port": desired["http_port"]}
    if desired["certificate"]:
        ports["https_port"] = desired["https_port"]
    for inode, (address, port) in procfs.tcp_listeners().items():
        for name in (name for name, wanted in ports.items() if wanted == port):
            wide = desired["listen_address"] in ADDRESSES_OF_ALL or procfs.is_every_interface(address)
            if not wide and address != desired["address"]:
                continue
            for pid in procfs.owners({inode})[:1]:
                if not any(UNIT in group for group in procfs.cgroup_of(pid).values()):
                    found.append(
                        f"plane_proxy_{name} is {port}, which process {pid} "
                        f"({' '.join(procfs.command_line(pid))[:60]}) listens on. Allowed: a free port. Stop it, or "
                        f"change the port in {where}"
                    )
    others = sites_of_others(CONFIGURATION)
    if others and _is("active"):
        found.append(
            f"nginx of this host serves other sites ({', '.join(others)}), and its configuration would be replaced. "
            "Allowed: a host whose nginx serves nothing else. Take the host out of the group plane_proxy, or the sites "
            "off the host"
        )
    return found


def sites_of_others(configuration: Path) -> list[str]:
    """Files of sites that are not the distribution's example, where the configuration is not the role's."""
    if not configuration.exists() or "(role plane_proxy)" in procfs.read(configuration):
        return []
    folder = configuration.parent
    found = [*folder.glob("sites-enabled/*"), *folder.glob("conf.d/*.conf")]
    return sorted(str(path) for path in found if path.name != "default")
