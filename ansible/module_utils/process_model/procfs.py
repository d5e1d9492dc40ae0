"""Facts that the kernel knows: processes, sockets, memory and limits, from /proc and the cgroup file system."""

from __future__ import annotations

import glob
import ipaddress
import os
import re
import struct
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")
LISTEN = "0A"  # the state of a listening TCP socket in /proc/net/tcp
ESTABLISHED = "01"  # of one that is connected
CONNECTED = "03"  # the state of a connected socket in /proc/net/unix
NO_LIMIT = 1 << 60  # cgroup v1 writes a number near 2**63 where v2 writes "max"


def read(path: Path) -> str:
    """The text of a file of /proc; empty where the process is gone or refuses."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def exists(pid: int) -> bool:
    return (PROC / str(pid) / "stat").exists()


def command_line(pid: int) -> list[str]:
    return [word for word in read(PROC / str(pid) / "cmdline").split("\0") if word]


def environment(pid: int) -> dict[str, str]:
    """The environment that the process was started with. It holds secrets: callers pick single names."""
    pairs = (entry.partition("=") for entry in read(PROC / str(pid) / "environ").split("\0"))
    return {name: value for name, separator, value in pairs if separator}


def statistics(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from `state` on (the command's name may hold blanks and brackets)."""
    return read(PROC / str(pid) / "stat").rpartition(")")[2].split()


def parent(pid: int) -> int | None:
    fields = statistics(pid)
    return int(fields[1]) if len(fields) > 1 else None


def state(pid: int) -> str:
    """One letter: R runs, S sleeps, D waits for a disk, T is stopped, Z is dead; empty where it is gone."""
    fields = statistics(pid)
    return fields[0] if fields else ""


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot: with its number, what tells it from every other process."""
    fields = statistics(pid)
    return int(fields[19]) if len(fields) > 19 else None


def cpu_seconds(pid: int) -> float:
    """What the process has used of processors, in its own code and in the kernel for it; 0 where it is gone."""
    fields = statistics(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if len(fields) > 12 else 0.0


def started_at(pid: int) -> float:
    """When the process started, in seconds since 1970; 0 where it is gone. Exact to a clock tick (10 ms)."""
    fields = statistics(pid)
    uptime = read(PROC / "uptime").split()
    if len(fields) < 20 or not uptime:
        return 0.0
    running = float(uptime[0]) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - running


def children(pid: int) -> list[int]:
    """The direct children of a process, oldest first."""
    found = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit() and parent(int(entry.name)) == pid]
    return sorted(found, key=lambda child: (started_at(child), child))


def threads(pid: int) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(PROC / str(pid) / "task"))
    except OSError:
        return []


def link(pid: int, name: str) -> str | None:
    """Where /proc/<pid>/cwd, exe or ns/net points to."""
    try:
        return os.readlink(PROC / str(pid) / name)
    except OSError:
        return None


def inner_number(pid: int) -> int | None:
    """The number by which a process is known in its own container; outside of one, that of the host."""
    match = re.search(r"^NSpid:.*?(\d+)$", read(PROC / str(pid) / "status"), re.MULTILINE)
    return int(match.group(1)) if match else None


def seen_by(pid: int, path: str | Path) -> Path:
    """Where this process finds what is `path` to that one: a container has a root of its own."""
    return PROC / str(pid) / "root" / str(path).lstrip("/")


def user_id(pid: int) -> int | None:
    match = re.search(r"^Uid:\s+(\d+)", read(PROC / str(pid) / "status"), re.MULTILINE)
    return int(match.group(1)) if match else None


def memory(pid: int) -> dict[str, int]:
    """Bytes of the process: rss, pss (its share of what several processes map), anonymous (its data) and private (what
    of that no other process shares)."""
    names = {"Rss": "rss", "Pss": "pss", "Anonymous": "anonymous", "Private_Dirty": "private"}
    found = {}
    for line in read(PROC / str(pid) / "smaps_rollup").splitlines():
        name, _, rest = line.partition(":")
        if name in names:
            found[names[name]] = int(rest.split()[0]) * 1024
    return found


def mapped_files(pid: int) -> set[str]:
    """Paths of the shared objects that the process has mapped."""
    return {
        line.split(None, 5)[5].strip()
        for line in read(PROC / str(pid) / "maps").splitlines()
        if len(line.split(None, 5)) == 6 and ".so" in line
    }


def socket_inodes(pid: int) -> dict[str, int]:
    """Inode of every socket that the process holds, and its file descriptor."""
    found = {}
    for path in glob.glob(f"{PROC}/{pid}/fd/*"):
        try:
            target = os.readlink(path)
        except OSError:
            continue
        if target.startswith("socket:["):
            found[target[8:-1]] = int(os.path.basename(path))
    return found


def unix_sockets(path: str) -> Iterator[list[str]]:
    """The fields of every line of /proc/net/unix with this path: Num RefCount Protocol Flags Type St Inode Path.

    Of each network namespace once, since a container has one of its own, and a path that is mounted into it the same
    sockets.
    """
    for text in _unix_tables():
        for line in text.splitlines()[1:]:
            fields = line.split(None, 7)
            if len(fields) == 8 and fields[7] == path:
                yield fields


def _unix_tables(tries: int = 5) -> list[str]:
    """The text of /proc/net/unix of every network namespace."""
    for _ in range(tries):
        texts = [read(PROC / str(pid) / "net" / "unix") for pid in _one_of_each_namespace(int(time.monotonic()))]
        if all(texts):
            break
        # A process that has ended shows nothing: another one of its namespace is asked, if there is one.
        _one_of_each_namespace.cache_clear()
    return texts


@lru_cache(maxsize=1)
def _one_of_each_namespace(second: int) -> list[int]:
    """The oldest process of every network namespace, looked up once a second: who drains a colour asks every 20 ms."""
    found: dict[str, int] = {}
    for pid in sorted(int(name) for name in os.listdir(PROC) if name.isdigit()):
        namespace = link(pid, "ns/net")
        if namespace:
            found.setdefault(namespace, pid)
    return list(found.values())


def unix_listeners(path: str) -> set[str]:
    """Inodes of the sockets that listen at `path`: several, where a file was replaced while someone still listened."""
    # The flag __SO_ACCEPTCON (0x10000) marks a listening socket.
    return {fields[6] for fields in unix_sockets(path) if int(fields[3], 16) & 0x10000}


def unix_connections(path: str) -> set[str]:
    """Inodes of the server's ends of the connections to `path`."""
    return {fields[6] for fields in unix_sockets(path) if fields[5] == CONNECTED}


def count_unix_connections(path: str) -> int:
    return len(unix_connections(path))


def decode_address(text: str) -> tuple[str, int]:
    """`0B0ACB0A:1F40` of /proc/net/tcp or tcp6 as ("10.203.10.11", 8000)."""
    address, _, port = text.partition(":")
    words = [struct.pack("<I", int(address[start : start + 8], 16)) for start in range(0, len(address), 8)]
    return str(ipaddress.ip_address(b"".join(words))), int(port, 16)


def tcp_listeners(pid: int | None = None) -> dict[str, tuple[str, int]]:
    """Inode -> (address, port) of every listening TCP socket, in the network namespace of a process or of this one."""
    found = {}
    for name in ("tcp", "tcp6"):
        for line in read(PROC / str(pid or "self") / "net" / name).splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == LISTEN:
                found[fields[9]] = decode_address(fields[1])
    return found


def tcp_connections_to(port: int, pid: int | None = None) -> set[str]:
    """Inodes of the connections to another's `port`, in the network namespace of a process or of this one."""
    return {
        fields[9]
        for name in ("tcp", "tcp6")
        for fields in (line.split() for line in read(PROC / str(pid or "self") / "net" / name).splitlines()[1:])
        if len(fields) > 9 and fields[3] == ESTABLISHED and decode_address(fields[2])[1] == port
    }


def is_every_interface(address: str) -> bool:
    """Whether who listens there takes connections on every interface: 0.0.0.0 or ::, however it is written."""
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


def listening_addresses(pids: Iterable[int]) -> list[str]:
    """`address:port` of every TCP socket that one of the processes listens on."""
    found = set()
    for pid in pids:
        held = socket_inodes(pid)
        found |= {f"{address}:{port}" for inode, (address, port) in tcp_listeners(pid).items() if inode in held}
    return sorted(found)


def owners(inodes: set[str]) -> list[int]:
    """The processes that hold one of the sockets, lowest number first."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit() and inodes & set(socket_inodes(int(entry.name))):
            found.append(int(entry.name))
    return sorted(found)


def cgroup_of(pid: int) -> dict[str, str]:
    """Controller -> path of the process's cgroup; v2 under the name `unified`."""
    found = {}
    for line in read(PROC / str(pid) / "cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller.replace("name=", "") or ("unified" if number == "0" else "")] = path
    return found


def memory_group(pid: int, root: Path = CGROUP) -> Path:
    """The folder of the control group that counts the process's memory, v1 or v2."""
    groups = cgroup_of(pid)
    if "memory" in groups:
        return root / "memory" / groups["memory"].lstrip("/")
    return root / groups.get("unified", "").lstrip("/")


def killed_for_memory(group: Path) -> int:
    """Processes of a control group that the kernel has killed since it is there, as a limit of memory was reached."""
    for name in ("memory.oom_control", "memory.events"):
        match = re.search(r"^oom_kill (\d+)$", read(group / name), re.MULTILINE)
        if match:
            return int(match.group(1))
    return 0


def peak_of_memory(group: Path) -> int:
    """The most bytes that a control group has held, by the kernel; cached files are among them."""
    return _number(read(group / "memory.max_usage_in_bytes") or read(group / "memory.peak")) or 0


def cpu_seconds_of_group(group: str, root: Path = CGROUP) -> float | None:
    """What all processes of a control group (a slice's path) have used of processors since it is there; None: unknown.

    Version 2 counts it for every group, also where version 1 holds the controllers; systemd names both alike.
    """
    for tree in (root, root / "unified"):
        match = re.search(r"^usage_usec (\d+)$", read(tree / group.lstrip("/") / "cpu.stat"), re.MULTILINE)
        if match:
            return int(match.group(1)) / 1e6
    return None


def _number(text: str) -> int | None:
    word = text.split()[0] if text.split() else ""
    if not word.lstrip("-").isdigit() or int(word) < 0 or int(word) >= NO_LIMIT:
        return None
    return int(word)


def limits_in_force(cgroups: dict[str, str], group: str, root: Path = CGROUP) -> dict[str, int | float | None]:
    """memory_bytes, cpu (processors) and tasks that the kernel enforces for `group` (a slice's path), None: no limit.

    Reads cgroup v2 or v1, whichever holds the controller: on a machine with both, systemd sets limits in v1.
    """
    found: dict[str, int | float | None] = {"memory_bytes": None, "cpu": None, "tasks": None}
    v1 = {name: root / name / group.lstrip("/") for name in ("memory", "cpu", "pids") if name in cgroups}
    unified = root / group.lstrip("/")
    if v1:
        quota = _number(read(v1["cpu"] / "cpu.cfs_quota_us")) if "cpu" in v1 else None
        period = _number(read(v1["cpu"] / "cpu.cfs_period_us")) if "cpu" in v1 else None
        found["memory_bytes"] = _number(read(v1["memory"] / "memory.limit_in_bytes")) if "memory" in v1 else None
        found["tasks"] = _number(read(v1["pids"] / "pids.max")) if "pids" in v1 else None
    else:
        words = read(unified / "cpu.max").split()
        quota = _number(words[0]) if words else None
        period = _number(words[1]) if len(words) > 1 else None
        found["memory_bytes"] = _number(read(unified / "memory.max"))
        found["tasks"] = _number(read(unified / "pids.max"))
    if quota and period:
        found["cpu"] = round(quota / period, 3)
    return found


def memory_of_host() -> int:
    """Bytes of memory that the host has."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", read(Path("/proc/meminfo")), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0
