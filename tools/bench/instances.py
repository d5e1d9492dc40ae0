"""Variants as they run: deployed behind admission by site.yml, or gunicorn alone on a port of its own."""

from __future__ import annotations

import http.client
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from process_model.colours import canary_socket_of
from support import PORTS, ROOT, Host, manage, site, succeeded, wait_for

from bench.data import Release, Variant, load
from bench.generator import PATIENCE_SECONDS

SERVICE = "plane-api"
ADMISSION = "plane-admission.service"
FIRST_PORT = 8101
# Requests of each path before anything is measured: every worker has then served some, under either class.
WARMING = 20
# Nothing of what this project adds to a colour's environment, and no recycling within a measurement: that is another
# experiment.
ALONE = {
    "GUNICORN_CONFIG": "",
    "GUNICORN_PRELOAD": "false",
    "GUNICORN_WARM_UP": "",
    "GUNICORN_ISOLATE_REQUESTS": "false",
    "GUNICORN_MAX_REQUESTS": "0",
    "PLANE_PRESTART": "skip",
}
# What a gunicorn for heavy routes has in /run; admission finds it by the link of a rollout's second server.
POOL = f"{SERVICE}-bench-pool"
# Other servers' packages, on the host that runs them.
PEERS = "/srv/plane-bench-peers"
REQUIREMENTS = ROOT / "lab" / "application" / "requirements" / "peers.txt"
UNSET = ("GUNICORN_WORKER_CONNECTIONS", "GUNICORN_TIMEOUT", "GUNICORN_GRACEFUL_TIMEOUT", "MALLOC_MMAP_THRESHOLD_")


@dataclass(frozen=True)
class Instance:
    """units: of systemd, whose processor time is the service's. command: starts one that is not kept running.

    while_measured: what HAProxy is told for each heavy route while it is measured, and what afterwards.
    """

    variant: Variant
    host: Host
    base: str
    units: Sequence[str]
    command: str = ""
    while_measured: Sequence[tuple[str, str]] = ()

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """As the variant says while the block runs, as deployed afterwards. Begins once admission has answered all that
        the clients before it gave up.
        """
        if self.variant.inventory is not None or self.variant.rests_on:
            wait_for(self.is_idle, PATIENCE_SECONDS)
        try:
            for told, _ in self.while_measured:
                self.host.admission(told)
            yield
        finally:
            for _, told in reversed(self.while_measured):
                self.host.admission(told)

    def is_idle(self) -> bool:
        """Whether admission has no request of the service, waiting or inside gunicorn."""
        return all(
            row["scur"] == "0"
            for (proxy, server), row in self.host.statistics().items()
            if server == "BACKEND" and proxy.partition(".")[0] == SERVICE
        )

    def cpu(self) -> float:
        """Seconds of processor that the units have used. Reads control groups of version 2, beside version 1 too."""
        total = 0
        for unit in self.units:
            group = self.host.run(f"systemctl show -P ControlGroup {unit}").strip()
            said = self.host.run(
                f"cat /sys/fs/cgroup/unified{group}/cpu.stat /sys/fs/cgroup{group}/cpu.stat 2>/dev/null", check=False
            )
            total += int(next(line.split()[1] for line in said.splitlines() if line.startswith("usage_usec")))
        return total / 1e6

    def memory(self) -> tuple[float, float]:
        """Bytes of the service's control group: the most since it started, and what the kernel cannot take back now.

        Of version 1 or 2.
        """
        group = self.host.run(f"systemctl show -P ControlGroup {self.units[0]}").strip()
        said = self.host.run(
            f"cd /sys/fs/cgroup/memory{group} 2>/dev/null && cat memory.max_usage_in_bytes memory.stat || "
            f"{{ cd /sys/fs/cgroup{group} && cat memory.peak memory.stat; }}"
        )
        return peak_and_held(said)

    def renew(self, release: Release) -> None:
        """New processes, warm."""
        self.host.run(self.command or f"systemctl restart {self.units[0]}")
        wait_until_it_answers(self.base, release)
        warm(self, release, rounds=WARMING // 2)

    def rest(self) -> None:
        """Stop one that is started for each measurement."""
        if self.command:
            self.host.run(f"systemctl stop {self.units[0]}", check=False)


def peak_and_held(said: str) -> tuple[float, float]:
    """Of a peak on the first line, and memory.stat: its anonymous memory, under the name that either version has."""
    peak, *lines = said.splitlines()
    found = dict(line.split()[:2] for line in lines)
    return float(peak), float(found.get("total_rss", found.get("anon", "nan")))


def python_of(host: Host) -> str:
    """The Python of the live colour's release."""
    return f"/etc/{SERVICE}/{host.live()}/release/venv/bin/python"


def limits(tier: str = "low") -> list[str]:
    """Properties of systemd: the tier's processors and memory."""
    row = load(ROOT / "ansible" / "vars" / "tiers.yml")["plane_tiers"][tier]
    return [f"CPUQuota={row['cpu'] * 100}%", f"MemoryMax={row['memory'].removesuffix('iB')}"]


def heavy_routes(host: Host) -> dict[str, str]:
    """HAProxy's backend of each heavy route, and the slots of the live colour in it."""
    return {
        proxy: row["slim"]
        for (proxy, server), row in host.statistics().items()
        if proxy.startswith(f"{SERVICE}.") and server == host.live()
    }


def applications_of(host: Host) -> dict[str, str]:
    """Where the release has its applications: wsgi and asgi, as the live colour's entrypoint names them."""
    said = host.run(f"grep -E '^(wsgi|asgi)_application=' /etc/{SERVICE}/{host.live()}/entrypoint.sh")
    return {line[:4]: shlex.split(line)[0].partition("=")[2] for line in said.splitlines()}


def alone_command(variant: Variant, colour: str, port: int, applications: Mapping[str, str]) -> str:
    """The shell command that starts gunicorn, or another server, alone, of a colour's release and environment.

    One for heavy routes has a socket that admission may reach, and the service's own limits.
    """
    etc = f"/etc/{SERVICE}/{colour}"
    properties = [
        f"User={SERVICE}", "Group=plane", f"EnvironmentFile={etc}/environment", f"WorkingDirectory={etc}/release/code",
        *limits(), "OOMPolicy=continue",
    ]  # fmt: skip
    bind = f"0.0.0.0:{port}"
    variables: dict[str, str | None] = {**ALONE, **(variant.direct or {})}
    if variant.heavy_pool:
        bind = f"unix:/run/{POOL}/gunicorn.sock"
        variables |= next(iter(variant.heavy_pool.values()))
        properties += [f"Slice={SERVICE}.slice", f"RuntimeDirectory={POOL}", "RuntimeDirectoryMode=0750"]
    variables["GUNICORN_BIND"] = bind
    start = [f"{etc}/entrypoint.sh"]
    if variant.python:
        # PYTHONPATH holds its packages, and no more: the release's own are those of its Python.
        variables = {"PYTHONPATH": PEERS}
        start = [f"{etc}/release/venv/bin/python", *variant.python.format(port=port, **applications).split()]
    words = ["systemd-run", f"--unit={unit_of(variant)}", "--collect", "--quiet"]
    words += [f"--property={each}" for each in properties]
    words += ["/usr/bin/env", *(f"--unset={name}" for name in UNSET)]
    words += [f"{name}={value}" for name, value in variables.items() if value is not None]
    return shlex.join([*words, *start])


def unit_of(variant: Variant) -> str:
    return f"{SERVICE}-bench-{variant.name}.service"


def forget(unit: str, host: Host) -> None:
    """Stop one that this benchmark started, or one before it that was killed."""
    host.run(f"systemctl stop {unit}", check=False)


def answers(base: str, path: str, headers: Mapping[str, str]) -> bool:
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=60)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200
    except OSError:
        return False
    finally:
        connection.close()


def wait_until_it_answers(base: str, release: Release) -> None:
    wait_for(lambda: answers(base, next(iter(release.paths.values())).path, release.headers), 120)


@contextmanager
def alone(variant: Variant, host: Host, port: int, release: Release, now: bool) -> Iterator[Instance]:
    """gunicorn with nothing in front, of the live colour's release; started `now`, or for each measurement. Ends with
    the block.
    """
    unit = unit_of(variant)
    command = alone_command(variant, host.live(), port, applications_of(host))
    base = f"http://{host.address}:{port}"
    forget(unit, host)
    try:
        if now:
            host.run(command)
            wait_until_it_answers(base, release)
        yield Instance(variant, host, base, [unit], "" if now else command)
    finally:
        forget(unit, host)


def told(variant: Variant, live: str, routes: Mapping[str, str]) -> list[tuple[str, str]]:
    """What HAProxy is told where the variant begins, and where it ends. routes: as heavy_routes has them.

    A gunicorn of their own is the second server that each route has for a rollout, with as many slots as the first.
    """
    if variant.heavy_slots:
        slots = f"set maxconn server {{}}/{live} {{}}".format
        wanted = next(iter(variant.heavy_slots.values()))
        return [(slots(route, wanted), slots(route, deployed)) for route, deployed in routes.items()]
    weight = "set weight {}/{} {}".format
    # One after the other, the way back in reverse: at no moment is there none.
    return [
        (weight(route, server, of), weight(route, server, 100 - of))
        for route in routes
        for server, of in (("canary", 100), (live, 0))
    ]


@contextmanager
def changed(variant: Variant, other: Instance, release: Release) -> Iterator[Instance]:
    """A deployed variant with something else for its heavy routes."""
    host, live = other.host, other.host.live()
    found = replace(other, variant=variant, while_measured=told(variant, live, heavy_routes(host)))
    if not variant.heavy_pool:
        yield found
        return
    unit = unit_of(variant)
    forget(unit, host)
    try:
        host.run(alone_command(variant, live, 0, {}))
        wait_for(lambda: host.succeeds(f"test -S /run/{POOL}/gunicorn.sock"), 120)
        host.run(f"ln -sfn /run/{POOL}/gunicorn.sock {canary_socket_of(SERVICE)}")
        with found.prepared():
            warm(found, release)
        yield replace(found, units=[*other.units, unit])
    finally:
        host.run(f"rm -f {canary_socket_of(SERVICE)}")
        forget(unit, host)


@contextmanager
def peers(host: Host) -> Iterator[None]:
    """What other servers need beside the release, until the block ends: of the lab's wheels, or an index."""
    host.run(
        f"{python_of(host)} -m pip install --quiet --disable-pip-version-check --target {PEERS} "
        "--requirement /dev/stdin "
        "$(test -d /opt/wheelhouse && echo --no-index --find-links=/opt/wheelhouse)",
        stdin=REQUIREMENTS.read_text(encoding="utf-8"),
    )
    try:
        yield
    finally:
        host.run(f"rm -rf {PEERS}")


def deploy(host: Host, release: Release, variables: Mapping[str, Any]) -> None:
    """The inventory's model is what the proposal says; recycling is an experiment of its own."""
    succeeded(
        site(
            host.name, **{"plane_api_max_requests": 0, "plane_release_migrate": True, **release.variables, **variables}
        )
    )


@contextmanager
def running(
    variants: Sequence[Variant], hosts: Sequence[Host], release: Release, later: Collection[str]
) -> Iterator[dict[str, Instance]]:
    """All variants at once, warmed: who is not asked costs nothing but memory. Raises ValueError: too few hosts.

    later: the names of those that would cost too much of it: they are started for each measurement.
    """
    deployed = [variant for variant in variants if variant.inventory is not None]
    if len(hosts) < max(1, len(deployed)):
        raise ValueError(f"{len(deployed)} variants behind admission need as many hosts in plane_api, not {len(hosts)}")
    found = {}
    for variant, host in zip(deployed, hosts):
        print(f"deploying {variant.title} to {host.name}", flush=True)
        deploy(host, release, variant.inventory or {})
        base = f"http://{host.address}:{PORTS[SERVICE]}"
        found[variant.name] = Instance(variant, host, base, [f"{SERVICE}@{host.live()}.service", ADMISSION])
    if not deployed:
        deploy(hosts[0], release, {})
    for command in release.before:
        manage(hosts[0], command)
    with ExitStack() as stack:
        if any(variant.python for variant in variants):
            stack.enter_context(peers(hosts[0]))
        alone_on_it = [variant for variant in variants if variant.inventory is None and variant.rests_on is None]
        for number, variant in enumerate(alone_on_it):
            now = variant.name not in later
            if now:
                print(f"starting {variant.title} on {hosts[0].name}", flush=True)
            found[variant.name] = stack.enter_context(alone(variant, hosts[0], FIRST_PORT + number, release, now))
        for instance in found.values():
            if not instance.command:
                warm(instance, release)
        for variant in variants:
            if variant.rests_on:
                found[variant.name] = stack.enter_context(changed(variant, found[variant.rests_on], release))
        yield found


def warm(instance: Instance, release: Release, rounds: int = WARMING) -> None:
    """Ask for everything, one after the other. Raises ValueError where something is not answered by 200, asked twice:
    a worker that is recycled loses requests.
    """
    for asked in release.paths.values():
        if not all(any(answers(instance.base, asked.path, release.headers) for _ in range(2)) for _ in range(rounds)):
            raise ValueError(f"{instance.variant.title} does not answer {asked.path} with 200")


def release_of(instance: Instance) -> str:
    """What runs there: the folder of its release is named by its content."""
    return instance.host.run(f"readlink -f /etc/{SERVICE}/{instance.host.live()}/release").strip()


def machine_of(host: Host) -> dict[str, str]:
    """What a raw result has to say of where it was measured."""
    said = host.run(
        "uname -r; nproc; . /etc/os-release; echo $PRETTY_NAME; "
        f"{python_of(host)} -m pip --disable-pip-version-check freeze 2>/dev/null "
        "| grep -iE '^(django|gunicorn|uvicorn|asgiref)=' | tr '\\n' ' '"
    ).splitlines()
    return dict(zip(("kernel", "processors", "system", "packages"), said))
