"""A service on a host of the scenario as it runs: its processes, its front door, and requests that are held open."""

from __future__ import annotations

import http.client
import selectors
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

from process_model.admission import parse_statistics
from support import wait_for
from testinfra.host import Host

# A request of STREAM or WEBSOCKET holds a slot of the application for as long as its client wants. Its first bytes come
# from the application itself: they say that it runs, and waits neither in admission nor in gunicorn.
STREAM = "GET /api/debug/stream/?parts=600&pause=0.1 HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"
HEALTH = "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n"
WEBSOCKET = (
    "GET /ws/echo/ HTTP/1.1\r\nHost: lab\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bGFiIG9mIHJlYWwgaG9zdA==\r\n\r\n"
)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Service:
    """`host` is testinfra's; `where` its name in the inventory."""

    host: Host
    where: str
    address: str
    name: str
    port: int

    def run(self, command: str, *arguments: str) -> str:
        """What a command printed that has to succeed; testinfra quotes the arguments."""
        return str(self.host.check_output(command, *arguments))

    def succeeds(self, command: str, *arguments: str) -> bool:
        return bool(self.host.run(command, *arguments).succeeded)

    @property
    def door(self) -> str:
        """The front door's address."""
        return f"http://{self.address}:{self.port}"

    @property
    def live(self) -> str:
        """The colour that admission's link names."""
        return Path(self.run("readlink /etc/plane-admission/services/%s.cfg", self.name)).parent.name

    @property
    def unit(self) -> str:
        return f"{self.name}@{self.live}.service"

    @property
    def master(self) -> int:
        return int(self.run("systemctl show -P MainPID %s", self.unit))

    @property
    def workers(self) -> list[int]:
        return [int(word) for word in self.run("pgrep --parent %s", str(self.master)).split()]

    def command_line(self, pid: int) -> list[str]:
        return self.run("cat /proc/%s/cmdline", str(pid)).split("\0")[:-1]

    def option(self, name: str) -> str | None:
        """The value of an option that the master was started with."""
        words = self.command_line(self.master)
        return words[words.index(name) + 1] if name in words else None

    def status(self, pid: int, name: str) -> list[str]:
        """The words of one line of /proc/<pid>/status."""
        return self.run("grep ^%s: /proc/%s/status", name, str(pid)).split()[1:]

    def threads(self) -> list[int]:
        """Of each worker: the threads that it has at this moment, its main thread aside."""
        return [int(self.status(pid, "Threads")[0]) - 1 for pid in self.workers]

    def accepted(self) -> dict[int, int]:
        """Worker -> connections to the live colour's socket that it has taken off the kernel's queue."""
        listed = self.run("ss -xHnp state established src %s", self.socket_path)
        return {pid: listed.count(f"pid={pid},") for pid in self.workers}

    @property
    def socket_path(self) -> str:
        return f"/run/{self.name}/{self.live}/gunicorn.sock"

    def admitted(self, route: str = "") -> tuple[int, int]:
        """Requests that HAProxy has inside gunicorn at this moment, and those that wait, by its own count."""
        shown = parse_statistics(self.run("echo 'show stat' | socat - /run/plane-admission/admin.sock"))
        rows = {row["svname"]: row for row in shown if row["pxname"] == self.name + (route and f".{route}")}
        return int(rows[self.live]["scur"]), int(rows["BACKEND"]["qcur"])

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: Any) -> Answer:
        """One request through the front door, on a connection of its own."""
        connection = http.client.HTTPConnection(self.address, self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    @contextmanager
    def at_the_door(self) -> Iterator[Held]:
        """Requests through the front door; afterwards admission and the application are at rest again."""
        with Held(lambda: socket.create_connection((self.address, self.port), timeout=10)) as held:
            yield held
        wait_for(lambda: self.admitted() == (0, 0))

    @contextmanager
    def at_the_socket(self) -> Iterator[Held]:
        """Requests straight to the live colour's gunicorn, past admission, through SSH."""
        with tempfile.TemporaryDirectory(prefix="plane-molecule-") as folder:
            near = f"{folder}/gunicorn.sock"
            forward = f"-L {near}:{self.socket_path}"
            backend = self.host.backend
            backend.run_local(f"ssh -O forward {forward} {backend.ssh_extra_args} root@{self.address}")

            def connect() -> socket.socket:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(near)
                return connection

            try:
                with Held(connect) as held:
                    yield held
                wait_for(lambda: sum(self.accepted().values()) == 0)
            finally:
                backend.run_local(f"ssh -O cancel {forward} {backend.ssh_extra_args} root@{self.address}")


@dataclass
class Held:
    """Requests that stay open until the block ends."""

    connect: Callable[[], socket.socket]
    connections: list[socket.socket] = field(default_factory=list)
    answers: dict[int, bytes] = field(default_factory=dict)

    def __enter__(self) -> Held:
        self.selector = selectors.DefaultSelector()
        return self

    def __exit__(self, *exception: object) -> None:
        self.selector.close()
        for connection in self.connections:
            connection.close()

    def offer(self, count: int, request: str = STREAM) -> None:
        for _ in range(count):
            connection = self.connect()
            connection.sendall(request.encode())
            connection.setblocking(False)
            self.selector.register(connection, selectors.EVENT_READ)
            self.connections.append(connection)

    def statuses(self) -> list[int]:
        """The status of every answer that has begun: 200 or 101 is one that the application runs."""
        for key, _ in self.selector.select(0):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            try:
                received = connection.recv(65536)
            except OSError:
                received = b""
            self.answers.setdefault(key.fd, received[:12])
            if not received:
                self.selector.unregister(connection)
        return [int(answer.split()[1]) if answer else 0 for answer in self.answers.values()]

    @property
    def running(self) -> int:
        return sum(status in (101, 200) for status in self.statuses())
