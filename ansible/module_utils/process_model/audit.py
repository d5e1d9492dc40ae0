"""Which state a release leaves for the next request of a thread, per mechanism and view; nothing of it is changed.

gthread's threads serve one request after the other, so what a request sets and nobody resets is there when the next one
begins, maybe another user's. The audit starts an instance of its own from a colour's release and environment, with one
worker of one thread and without request isolation, sends it the requests of a file as each of the file's users, and
between them a request that only looks (the health path).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import colours, report, transient
from .audit_hooks import CONTEXT_VARIABLE

HOOKS = Path(__file__).with_name("audit_hooks.py")
START_SECONDS = 60.0
PURPOSE = "audit"
# Django's own: connections, which are kept from request to request on purpose, and what each request sets anew.
HARMLESS = (
    "django.db.connections",
    "django.core.cache.caches",
    "django.urls.base._prefixes",
    "django.urls.base._urlconfs",
)

State = Mapping[str, Mapping[str, str]]


class AuditError(Exception):
    """The audit could not be made; the message says why."""


@dataclass(frozen=True)
class Request:
    """One request of the file. headers: beside the user's own."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True)
class Requests:
    """What the audit sends. users: name -> headers that make a request theirs."""

    users: Mapping[str, Mapping[str, str]]
    requests: Sequence[Request]


@dataclass
class Finding:
    """A variable that the next request finds as a request left it.

    left_by: `METHOD path` of the requests. differs: whether it held another value for another user. isolated: whether
    request isolation (plane_api_isolate_requests) makes it fresh.
    """

    name: str
    mechanism: str
    type: str
    left_by: list[str]
    differs: bool
    isolated: bool


def read_requests(text: str) -> Requests:
    """The requests of a file: {"users": {name: {header: value}}, "requests": [{"method", "path", "headers", "body"}]}.

    Raises AuditError that says what is allowed.
    """
    try:
        found = json.loads(text)
        users = {str(name): dict(headers) for name, headers in found["users"].items()}
        requests = [
            Request(str(one.get("method", "GET")), str(one["path"]), dict(one.get("headers", {})), one.get("body"))
            for one in found["requests"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AuditError(
            'the file is not JSON of the form {"users": {"ada": {"X-Api-Key": "…"}}, "requests": [{"path": "/…"}]}: '
            f"{type(error).__name__}: {error}"
        ) from error
    if len(users) < 2 or not requests or not all(request.path.startswith("/") for request in requests):
        raise AuditError("two users or more, and requests whose paths begin with / are needed: who left what for whom?")
    return Requests(users, requests)


def findings(seen: Sequence[tuple[str, str, State, State]]) -> list[Finding]:
    """What requests left behind: for each (user, label, state when it began, state that the next request found).

    A value that was there before and did not change was left by an earlier request, or by the start.
    """
    values: dict[str, dict[str, set[str]]] = {}
    result: dict[str, Finding] = {}
    for user, label, before, after in seen:
        for name, value in after.items():
            if before.get(name, {}).get("token") == value["token"] or name.startswith(HARMLESS):
                continue
            finding = result.setdefault(
                name,
                Finding(
                    name=name,
                    mechanism=value["mechanism"],
                    type=value["type"],
                    left_by=[],
                    differs=False,
                    isolated=value["mechanism"] == CONTEXT_VARIABLE,
                ),
            )
            if label not in finding.left_by:
                finding.left_by.append(label)
            values.setdefault(name, {}).setdefault(user, set()).add(value["token"])
    for name, finding in result.items():
        by_user = list(values[name].values())
        finding.differs = any(one != by_user[0] for one in by_user)
    return sorted(result.values(), key=lambda finding: (finding.isolated, finding.name))


def table(found: Sequence[Finding]) -> list[str]:
    """The findings as lines of text, what isolation does not cover first."""
    rows = [("WHAT THE NEXT REQUEST FINDS", "MECHANISM", "TYPE", "BY USER", "ISOLATION", "LEFT BY")]
    rows += [
        (
            finding.name,
            finding.mechanism,
            finding.type,
            "differs" if finding.differs else "same",
            "makes it fresh" if finding.isolated else "DOES NOT COVER IT",
            finding.left_by[0] + (f" and {len(finding.left_by) - 1} more" if len(finding.left_by) > 1 else ""),
        )
        for finding in found
    ]
    return report.columns(rows)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float = 60) -> None:
        super().__init__("localhost", timeout=timeout)
        self.unix_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.unix_path)


def send(path: str, request: Request, headers: Mapping[str, str], host: str) -> int:
    """Send one request; the status of its answer, read to its end."""
    connection = UnixConnection(path)
    body = None if request.body is None else json.dumps(request.body)
    kind = {} if body is None else {"Content-Type": "application/json"}
    try:
        connection.request(request.method, request.path, body, {"Host": host, **kind, **request.headers, **headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException) as error:
        raise AuditError(
            f"{request.method} {request.path} was not answered: {type(error).__name__}: {error}"
        ) from error
    finally:
        connection.close()


@contextlib.contextmanager
def instance(service: str, colour: str, application: str) -> Iterator[tuple[str, Path]]:
    """Run the audit's own instance of a colour's release; its socket and its report. It ends with the block."""
    run = transient.folder_of(service, PURPOSE)
    command = [
        f"{colours.directory_of(service, colour)}/release/venv/bin/gunicorn", "--worker-class=gthread", "--workers=1",
        "--threads=1", f"--bind=unix:{run}/{transient.SOCKET}", f"--config={HOOKS}", application,
    ]  # fmt: skip
    options = [f"--setenv=AUDIT_REPORT={run}/report"]
    with transient.instance(service, colour, PURPOSE, command, options, START_SECONDS) as path:
        yield path, run / "report"


def wsgi_application(service: str, colour: str) -> str:
    """The WSGI application of a colour, also of one that runs under uvicorn now: its entrypoint names it."""
    text = (colours.directory_of(service, colour) / "entrypoint.sh").read_text(encoding="utf-8")
    match = re.search(r"^wsgi_application='?([^'\n]+)'?$", text, re.MULTILINE)
    if not match:
        raise AuditError(f"the entrypoint of {service} {colour} names no WSGI application")
    return match.group(1)


def audit(service: str, colour: str, asked: Requests, health_path: str, health_host: str) -> list[Finding]:
    """Send every request as every user to an instance of its own, and look after each.

    Raises AuditError or transient.InstanceError.
    """
    look = Request("GET", health_path)
    labels: list[tuple[str, str]] = []
    with instance(service, colour, wsgi_application(service, colour)) as (path, log):
        send(path, look, {}, health_host)
        first = len(log.read_text(encoding="utf-8").splitlines())
        for request in asked.requests:
            for user, headers in asked.users.items():
                status = send(path, request, headers, health_host)
                send(path, look, {}, health_host)
                labels.append((user, f"{request.method} {request.path} ({status})"))
        states = [json.loads(line)["state"] for line in log.read_text(encoding="utf-8").splitlines()][first:]
    return findings([(*label, states[2 * number], states[2 * number + 1]) for number, label in enumerate(labels)])
