"""The lab: systemd hosts on this machine, one for every host of an inventory, reached by SSH as real hosts are.

    lab.py up   [--inventory DIR]     build the image if it is missing, start what is not running
    lab.py down [--inventory DIR]     remove the hosts and the network of that inventory
    lab.py clean                      remove every host, network and image of the lab, and its folder .lab

The inventory is the only list of hosts: names and addresses are read from its hosts.yml. A host in the group
`lab_data` gets PostgreSQL and Redis. One in the group `lab_docker` gets Docker Engine, the container images of
lab/containers and, started, the installation of lab/installations that its variable `lab_installation` names. Those
in the group `lab_swarm` are one Docker Swarm, all of them managers, and the installation is its stack. Where the
inventory has hosts in the group `plane_monitoring`, all of its hosts have Prometheus and its exporters installed.
Everything that the lab makes carries the label plane-lab.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import ipaddress
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".lab"
WHEELHOUSE = STATE / "wheelhouse"
KEY = STATE / "id_ed25519"
KNOWN_HOSTS = STATE / "known_hosts"
HOST_PYTHON = "3.13"  # of Debian trixie, the system of the lab's hosts
BOOT_SECONDS = 60
# podman makes the first once after every boot, and believes what it wrote about hosts and addresses while it is there.
PODMAN_ALIVE = Path("/run/libpod/alive")
PODMAN_ADDRESSES = Path("/run/containers/networks/ipam.db")
REPOSITORY = "localhost/plane-lab-host"
DOCKER_REPOSITORY = "localhost/plane-lab-docker-host"
DOCKER_PACKAGES = ("docker.io", "docker-cli", "docker-compose", "fuse-overlayfs", "iptables")
DOCKER_SECONDS = 60
OBSERVED_REPOSITORY = "localhost/plane-lab-observed-host"
OBSERVED_PACKAGES = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "mtail")
IMAGES = STATE / "images"
# Target of lab/containers/Containerfile -> what Docker calls it. Two releases of the application: one to update to.
CONTAINER_IMAGES = {
    "localhost/plane-lab/plane-backend:v1": "backend",
    "localhost/plane-lab/plane-backend:v2": "backend",
    "localhost/plane-lab/database:v1": "database",
    "localhost/plane-lab/cache:v1": "cache",
    "localhost/plane-lab/proxy:v1": "proxy",
    "localhost/plane-lab/haproxy:3.0": "admission",
    "localhost/plane-lab/backend-commercial:v1": "backend",
    "localhost/plane-lab/proxy-commercial:v1": "proxy-commercial",
}
# Commercial's proxy is Caddy, which no host of the lab has: its program comes from this image.
CADDY_REPOSITORY = "localhost/plane-lab-caddy"
# Installation -> where an installer of upstream's, run by root, puts it.
INSTALLATIONS = {"community": "/root/plane-app", "commercial": "/opt/plane"}
# What Swarm calls the installation that is its stack.
STACK = "plane"

# Why each flag is needed: docs/lab.md.
RUN_FLAGS = [
    "--cgroupns=private",
    "--systemd=false",
    "--privileged",
    "--ulimit=nofile=20000:20000",
    "--ulimit=nproc=20000:20000",
    "--env=container=podman",
    "--stop-signal=SIGRTMIN+3",
    "--tmpfs=/run:exec",
    "--tmpfs=/run/lock",
    "--tmpfs=/tmp:exec",
]


@dataclass(frozen=True)
class Host:
    """One host of the lab: its inventory name, its address, and what it holds beside systemd.

    data: PostgreSQL and Redis. docker: Docker Engine. swarm: a manager of the inventory's Docker Swarm. installation: a
    folder of lab/installations, or nothing. monitoring: Prometheus, which watches the others.
    """

    name: str
    address: str
    data: bool = False
    docker: bool = False
    swarm: bool = False
    installation: str = ""
    monitoring: bool = False


def say(message: str) -> None:
    print(f"lab: {message}", flush=True)


def run(*command: str, stdin: str | None = None) -> str:
    """Run a command, return what it printed; a failure ends the lab with the command's own words."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"lab: {' '.join(command)} failed ({done.returncode}):\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def podman(*arguments: str) -> str:
    return run("podman", "--runtime=runc", *arguments)


def read_hosts(inventory: Path) -> list[Host]:
    """Every host of the inventory's hosts.yml that has an `ansible_host`, in the order of its name."""
    found: dict[str, Host] = {}
    members: dict[str, set[str]] = {name: set() for name in ("lab_data", "lab_docker", "lab_swarm", "plane_monitoring")}

    def walk(group: str, content: dict[str, object] | None) -> None:
        for name, variables in ((content or {}).get("hosts") or {}).items():  # type: ignore[attr-defined]
            if group in members:
                members[group].add(name)
            if variables and "ansible_host" in variables:
                found[name] = Host(
                    name, str(variables["ansible_host"]), installation=variables.get("lab_installation", "")
                )
        for child, inner in ((content or {}).get("children") or {}).items():  # type: ignore[attr-defined]
            walk(child, inner)

    for group, content in yaml.safe_load((inventory / "hosts.yml").read_text(encoding="utf-8")).items():
        walk(group, content)
    return [
        replace(
            host,
            data=name in members["lab_data"],
            docker=name in members["lab_docker"],
            swarm=name in members["lab_swarm"],
            monitoring=name in members["plane_monitoring"],
        )
        for name, host in sorted(found.items())
    ]


def subnet_of(hosts: list[Host]) -> str:
    """The /24 that holds every host. Loads and faults go only there, so a host elsewhere is refused."""
    networks = {str(ipaddress.ip_network(f"{host.address}/24", strict=False)) for host in hosts}
    if len(networks) != 1:
        sys.exit(f"lab: the hosts of one lab share one /24 network; found {sorted(networks)}")
    return networks.pop()


def digest_of(*paths: Path) -> str:
    """A short digest of the files, and of all files of the folders, among `paths`."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def ensure_image(repository: str = REPOSITORY, packages: tuple[str, ...] = ()) -> str:
    """The name of a host image, built where it is missing. packages: of Debian, beside those of image.sh."""
    image = f"{repository}:{digest_of(ROOT / 'lab' / 'image.sh')}"
    if subprocess.run(["podman", "image", "exists", image], check=False).returncode:
        say(f"building {image} from Debian packages (about a minute, once)")
        run(str(ROOT / "lab" / "image.sh"), image, *packages)
        # Earlier images; one that a host still runs on stays.
        for old in set(
            podman("images", f"--filter=reference={repository}", "--format={{.Repository}}:{{.Tag}}").split()
        ):
            if old != image:
                subprocess.run(["podman", "rmi", old], check=False, capture_output=True)
    return image


def ensure_caddy() -> str:
    """The name of an image that holds Debian's Caddy; built where it is missing."""
    image = f"{CADDY_REPOSITORY}:{digest_of(ROOT / 'lab' / 'caddy.sh')}"
    if subprocess.run(["podman", "image", "exists", image], check=False).returncode:
        say(f"building {image} from a Debian package (half a minute, once)")
        run(str(ROOT / "lab" / "caddy.sh"), image)
    return image


def ensure_container_images(host_image: str, commercial: bool) -> Path:
    """The archive of the container images, as `docker load` reads it; built where it is missing.

    commercial: with those of the commercial edition, which need half a minute more.
    """
    lab = ROOT / "lab"
    sources = [lab / name for name in ("image.sh", "caddy.sh", "containers", "application")]
    digest = digest_of(*sources)
    archive = IMAGES / f"{digest}{'-commercial' if commercial else ''}.tar"
    names = [name for name in CONTAINER_IMAGES if commercial or "commercial" not in name]
    IMAGES.mkdir(exist_ok=True)
    if archive.exists():
        return archive
    caddy = ensure_caddy() if commercial else "scratch"
    say("building the container images (half a minute, once)")
    for old in IMAGES.iterdir():  # emptied, not replaced: running hosts have this very folder mounted
        if not old.name.startswith(digest):
            old.unlink()
    for name in names:
        podman(
            "build", "--quiet", f"--file={lab / 'containers' / 'Containerfile'}", f"--build-arg=HOST={host_image}",
            f"--build-arg=CADDY={caddy}", f"--build-arg=RELEASE={name.partition(':')[2]}",
            "--label=plane-lab", "--network=none",
            f"--target={CONTAINER_IMAGES[name]}", f"--volume={WHEELHOUSE}:/opt/wheelhouse:ro",
            f"--tag={name}", str(ROOT),
        )  # fmt: skip
    partial = archive.with_suffix(".partial")
    podman("save", "--quiet", "--multi-image-archive", f"--output={partial}", *names)
    partial.rename(archive)
    return archive


def start_docker(host: Host, archive: Path) -> None:
    """Wait for the host's Docker Engine, and give it the images that it does not have yet."""
    inside = ["podman", "exec", host.name]
    deadline = time.monotonic() + DOCKER_SECONDS
    while subprocess.run([*inside, "docker", "info"], capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            sys.exit(f"lab: Docker Engine of {host.name} does not answer after {DOCKER_SECONDS} s")
        time.sleep(0.2)
    marker = f"/var/lib/docker/plane-lab-{archive.stem}"
    if subprocess.run([*inside, "test", "-e", marker], check=False).returncode:
        load = f"docker load --quiet --input /opt/images/{archive.name} && touch {marker}"
        podman("exec", host.name, "sh", "-c", load)


def start_installation(host: Host) -> None:
    """Start the host's installation, unless its folder is there: by Compose, or as a stack of the Swarm."""
    inside = ["podman", "exec", host.name]
    folder = INSTALLATIONS.get(host.installation, "")
    if not folder or not subprocess.run([*inside, "test", "-e", folder], check=False).returncode:
        return
    source = ROOT / "lab" / "installations" / host.installation
    podman("cp", str(source), f"{host.name}:{folder}")
    (file,) = source.glob("docker-compose.y*ml")
    if host.swarm:
        podman("exec", host.name, "docker", "node", "update", "--label-add=plane-data=true", host.name)
        podman("exec", f"--workdir={folder}", host.name, "sh", "-c",
               f"set -a; . ./plane.env; exec docker stack deploy --compose-file={file.name} "
               f"--compose-file=docker-compose.swarm.yaml --resolve-image=never --detach=true {STACK}")  # fmt: skip
    else:
        # As upstream's installer starts it.
        podman("exec", f"--workdir={folder}", host.name, "docker", "compose", f"--file={file.name}",
               "--env-file=plane.env", "up", "--detach", "--pull=never", "--quiet-pull")  # fmt: skip
        # Until its API answers whatever it likes: before, its proxy says 502.
        podman("exec", host.name, "curl", "--silent", "--output", "/dev/null", "--retry", str(DOCKER_SECONDS),
               "--retry-delay", "1", "--retry-all-errors", "http://localhost/api/")  # fmt: skip
    say(f"{host.name:<20} {host.address:<14} installation {host.installation} is started")


def form_swarm(hosts: list[Host]) -> None:
    """Make the hosts one Swarm. One that was made afresh takes the place of the node that had its name."""

    def ask(host: Host, *words: str) -> str:
        return podman("exec", host.name, "docker", *words).strip()

    def is_member(host: Host) -> bool:
        return ask(host, "info", "--format={{.Swarm.LocalNodeState}}") == "active"

    first = next((host for host in hosts if is_member(host)), None)
    if first is None:
        first = hosts[0]
        ask(first, "swarm", "init", f"--advertise-addr={first.address}")
    token = ask(first, "swarm", "join-token", "--quiet", "manager")
    for host in hosts:
        if is_member(host):
            continue
        for line in ask(first, "node", "ls", "--format={{.ID}} {{.Hostname}}").splitlines():
            former, name = line.split()
            if name == host.name:
                ask(first, "node", "demote", former)
                ask(first, "node", "rm", "--force", former)
        ask(host, "swarm", "join", f"--advertise-addr={host.address}", f"--token={token}", f"{first.address}:2377")
        say(f"{host.name:<20} {host.address:<14} joined the Swarm of {first.name}")


def ensure_key() -> None:
    STATE.mkdir(exist_ok=True)
    if not KEY.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "plane-lab", "-f", str(KEY))


def ensure_wheelhouse() -> None:
    """Download the wheels of all requirement sets once; hosts install from this folder and reach no index."""
    sets = sorted((ROOT / "lab" / "application" / "requirements").glob("*.txt"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sets)).hexdigest()
    marker = WHEELHOUSE / ".complete"
    if marker.exists() and marker.read_text(encoding="utf-8") == digest:
        return
    say("downloading the wheels of the stand-in application (once)")
    WHEELHOUSE.mkdir(parents=True, exist_ok=True)
    # Emptied, not replaced: running hosts have this very folder mounted.
    for old in WHEELHOUSE.iterdir():
        old.unlink()
    tags = [f"--platform=manylinux_2_{minor}_{platform.machine()}" for minor in (17, 24, 26, 27, 28, 34)]
    tags.append(f"--platform=manylinux2014_{platform.machine()}")
    for requirements in sets:
        run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *tags,
            f"--python-version={HOST_PYTHON}", f"--dest={WHEELHOUSE}", f"--requirement={requirements}")  # fmt: skip
    marker.write_text(digest, encoding="utf-8")


def ensure_network(name: str, subnet: str) -> None:
    if subprocess.run(["podman", "network", "exists", name], check=False).returncode:
        podman("network", "create", "--label=plane-lab", f"--subnet={subnet}", name)


def forget_a_former_boot() -> None:
    """Let podman see that the machine was rebooted, where /run outlived that: a disk kept or copied, not memory."""
    booted = int(Path("/proc/stat").read_text(encoding="utf-8").partition("btime ")[2].split()[0])
    if PODMAN_ALIVE.exists() and PODMAN_ALIVE.stat().st_mtime < booted:
        say("the machine was rebooted since podman ran: its hosts start afresh")
        PODMAN_ALIVE.unlink()
        PODMAN_ADDRESSES.unlink(missing_ok=True)


def hardware_address(host: Host) -> str:
    """The same after every reboot, as a machine's is: what this machine knows about its neighbours stays true."""
    return ":".join(f"{byte:02x}" for byte in (2, 0, *ipaddress.ip_address(host.address).packed))


def is_running(host: Host) -> bool:
    """Whether the host's first process lives. A host that does not run is removed: it starts afresh.

    The process is asked, not podman alone: podman goes on saying "running" where something else killed the host.
    """
    state = subprocess.run(
        ["podman", "container", "inspect", "--format={{.State.Pid}}", host.name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if state.returncode:
        return False
    with contextlib.suppress(OSError):
        if Path(f"/proc/{state.stdout.strip()}/root/etc/hostname").read_text(encoding="utf-8").strip() == host.name:
            return True
    remove([host.name])
    return False


def start(host: Host, network: str, image: str) -> bool:
    """Start the host unless it runs; whether it was started. Its files survive a stop only while it exists."""
    if is_running(host):
        return False
    podman(
        "run", "--detach", f"--name={host.name}", f"--hostname={host.name}", "--label=plane-lab",
        f"--network={network}", f"--ip={host.address}", f"--mac-address={hardware_address(host)}", *RUN_FLAGS,
        f"--volume={KEY}.pub:/root/.ssh/authorized_keys:ro",
        f"--volume={WHEELHOUSE}:/opt/wheelhouse:ro",
        *([f"--volume={IMAGES}:/opt/images:ro", "--volume=/var/lib/docker"] if host.docker else []),
        image, "/sbin/init",
    )  # fmt: skip
    return True


def wait_until_reachable(host: Host) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while True:
        try:
            with socket.create_connection((host.address, 22), timeout=1) as connection:
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            sys.exit(f"lab: {host.name} ({host.address}) does not answer SSH after {BOOT_SECONDS} s")
        time.sleep(0.1)


def trust(hosts: list[Host]) -> None:
    """Write the host keys of the lab, so that Ansible checks them as it does for real hosts."""
    known = KNOWN_HOSTS.read_text(encoding="utf-8") if KNOWN_HOSTS.exists() else ""
    addresses = {host.address for host in hosts}
    kept = [line for line in known.splitlines() if line.split(" ")[0] not in addresses]
    scanned = run("ssh-keyscan", "-t", "ed25519", *sorted(addresses)).splitlines()
    KNOWN_HOSTS.write_text("\n".join([*kept, *scanned]) + "\n", encoding="utf-8")


def network_name(inventory: Path) -> str:
    return f"plane-lab-{inventory.resolve().parent.name}-{inventory.resolve().name}"


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One `up` after another: they share the image, the key and the list of known hosts."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


@alone()
def up(inventory: Path) -> None:
    began = time.monotonic()
    hosts = read_hosts(inventory)
    subnet = subnet_of(hosts)
    network = network_name(inventory)
    ensure_key()
    image = ensure_image()
    usual = ensure_image(OBSERVED_REPOSITORY, OBSERVED_PACKAGES) if any(host.monitoring for host in hosts) else image
    ensure_wheelhouse()
    archive = None
    if any(host.docker for host in hosts):
        docker_image = ensure_image(DOCKER_REPOSITORY, DOCKER_PACKAGES)
        commercial = any(host.installation == "commercial" for host in hosts)
        archive = ensure_container_images(image, commercial)
    ensure_network(network, subnet)
    started = [host for host in hosts if start(host, network, docker_image if host.docker else usual)]
    for host in started:
        wait_until_reachable(host)
        if usual != image and not host.docker:
            # As on a host that does not have the packages yet: nothing of them runs before a role starts it.
            podman("exec", host.name, "systemctl", "disable", "--quiet", "--now", *OBSERVED_PACKAGES)
        say(f"{host.name:<20} {host.address:<14} started")
    if started:
        trust(started)
    for host in hosts:
        if host.data:
            podman("cp", str(ROOT / "lab" / "data.sh"), f"{host.name}:/usr/local/sbin/lab-data")
            podman("exec", host.name, "/usr/local/sbin/lab-data", subnet)
            say(f"{host.name:<20} {host.address:<14} PostgreSQL and Redis are up")
    for host in hosts:
        if host.docker and archive:
            start_docker(host, archive)
    if any(host.swarm for host in hosts):
        form_swarm([host for host in hosts if host.swarm])
    for host in hosts:
        start_installation(host)
    say(f"{len(hosts)} hosts are up ({time.monotonic() - began:.1f} s)")


def remove(names: list[str]) -> None:
    """Kill and remove the containers: nothing in a lab is worth an orderly stop."""
    if names:
        command = ["podman", "--runtime=runc", "rm", "--force", "--volumes", "--time=0", *names]
        # Where a host died behind podman's back, the first attempt only learns of it.
        if subprocess.run(command, capture_output=True, check=False).returncode:
            run(*command)


def down(inventory: Path) -> None:
    network = network_name(inventory)
    existing = podman("ps", "--all", "--filter=label=plane-lab", "--format={{.Names}}").split()
    remove([host.name for host in read_hosts(inventory) if host.name in existing])
    if subprocess.run(["podman", "network", "exists", network], check=False).returncode == 0:
        podman("network", "rm", network)
    say(f"the hosts of {inventory} are gone")


def clean() -> None:
    if shutil.which("podman"):
        remove(podman("ps", "--all", "--filter=label=plane-lab", "--format={{.Names}}").split())
        for network in podman("network", "ls", "--filter=label=plane-lab", "--format={{.Name}}").split():
            podman("network", "rm", network)
        images = [
            image
            for reference in (
                REPOSITORY,
                DOCKER_REPOSITORY,
                CADDY_REPOSITORY,
                OBSERVED_REPOSITORY,
                "localhost/plane-lab/*",
            )
            for image in podman("images", f"--filter=reference={reference}", "--format={{.Id}}").split()
        ]
        if images:
            podman("rmi", "--force", *sorted(set(images)))
    shutil.rmtree(STATE, ignore_errors=True)
    say("hosts, networks, images and .lab are gone")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down", "clean"])
    parser.add_argument("--inventory", type=Path, default=ROOT / "inventories" / "staging")
    arguments = parser.parse_args()
    if os.geteuid():
        sys.exit("lab: needs root: it starts privileged containers that run systemd")
    forget_a_former_boot()
    if arguments.command == "clean":
        clean()
    else:
        {"up": up, "down": down}[arguments.command](arguments.inventory)


if __name__ == "__main__":
    main()
