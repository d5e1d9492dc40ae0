"""Users as a data file describes them, against the hosts of one environment's own inventory.

    make loadtest ENV=staging
    make loadtest ENV=staging ARGS='--seconds 300 --users 60'
    make loadtest ENV=staging ARGS=--side-by-side

They read, write and read back, open pages (alone and many at once) and ask GraphQL; every answer is checked.
--side-by-side runs the first REST host under gthread and the second under uvicorn, and asks one after the other in
turns, so that both meet the same machine. Another environment than staging needs --production. Writes
build/reports/loadtest-<environment>.html and .json; exit status 1 where a threshold of the inventory
(plane_release_load_thresholds) is missed or an answer was wrong. Before any load, each path is asked for once; where
one is not there, nothing is measured.
"""

from __future__ import annotations

# locust first: it replaces Python's blocking calls by gevent's.
from locust import FastHttpUser, task  # isort: skip
from locust.env import Environment  # isort: skip

import argparse
import hashlib
import json
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import environments
import gevent
import load_page
import load_verdict
import requests
from load_verdict import Answer, Thresholds

REPORTS = environments.ROOT / "build" / "reports"
MIX = environments.ROOT / "lab" / "load.yml"
# Whose users are nobody's but the tests'.
TRIED = "staging"
TIMEOUT = 60.0
SHOWN_EVERY = 5.0
TURNS = 3
GRAPHQL = "graphql"


@dataclass
class Run:
    """What is shared by all users of one run."""

    mix: Mapping[str, Any]
    target: str
    began: float
    answers: list[Answer]
    servers: set[str] = field(default_factory=set)
    digests: dict[str, str] = field(default_factory=dict)
    users: int = 0

    def number(self) -> int:
        self.users += 1
        return self.users


def checked(run: Run, request: Mapping[str, Any], body: bytes) -> str:
    """What is wrong with an answer's content, or nothing."""
    if "bytes" not in request:
        return ""
    if len(body) != request["bytes"]:
        return f"{len(body)} bytes instead of {request['bytes']}"
    digest = hashlib.sha256(body).hexdigest()
    if run.digests.setdefault(request["path"], digest) != digest:
        return "another content than the first answer had"
    return ""


def ask(user: FastHttpUser, request: Mapping[str, Any], status: int = 200, body: Any = None) -> bytes | None:
    """One request of a user, noted; its body where it was right."""
    run: Run = user.run_
    began = time.monotonic()
    failed = wrong = ""
    content = b""
    with user.client.request(
        request.get("method", "GET"), request["path"], headers=dict(run.mix["headers"]), json=body,
        name=request["name"], catch_response=True,
    ) as response:  # fmt: skip
        content = response.content or b""
        if response.status_code != status:
            failed = f"status {response.status_code}" if response.status_code else str(response.error or "no answer")
            response.failure(failed)
        else:
            run.servers.add((response.headers or {}).get("Server", "?"))
            wrong = checked(run, request, content)
            response.failure(wrong) if wrong else response.success()
    answer = Answer(request["name"], run.target, began - run.began, time.monotonic() - began, failed[:80], wrong)
    run.answers.append(answer)
    return None if failed or wrong else content


def note_wrong(user: FastHttpUser, name: str, wrong: str) -> None:
    run: Run = user.run_
    run.answers.append(Answer(name, run.target, time.monotonic() - run.began, 0.0, "", wrong))


def write(user: FastHttpUser, request: Mapping[str, Any]) -> None:
    """Write with a mark of its own, and read back what was written."""
    mark, field_name = uuid.uuid4().hex, request["mark"]
    content = ask(user, request, 201, {**request["body"], field_name: mark})
    if content is None:
        return
    written = json.loads(content)
    if written.get(field_name) != mark:
        note_wrong(user, request["name"], "another write's answer")
        return
    back = {"name": f"{request['name']}, read back", "path": f"{request['path']}{written['id']}/"}
    content = ask(user, back)
    if content is not None and json.loads(content).get(field_name) != mark:
        note_wrong(user, back["name"], "not what was written")


def users_of(run: Run, base: str, graphql: str | None) -> list[type[FastHttpUser]]:
    """The classes of users of one run; each user has a random generator of its own, made of the seed."""
    mix = run.mix
    weights = [request["weight"] for request in mix["mix"]]

    class Visitor(FastHttpUser):
        host, run_ = base, run
        connection_timeout = network_timeout = TIMEOUT

        def on_start(self) -> None:
            self.chance = random.Random(mix["seed"] + run.number())

        @task
        def act(self) -> None:
            (request,) = self.chance.choices(mix["mix"], weights)
            if "mark" in request:
                write(self, request)
            else:
                ask(self, request)
            gevent.sleep(self.chance.uniform(*mix["think_seconds"]))

    class Opener(FastHttpUser):
        host, run_ = base, run
        fixed_count = mix["burst"]["users"]
        connection_timeout = network_timeout = TIMEOUT

        @task
        def act(self) -> None:
            every = mix["burst"]["every_seconds"]
            gevent.sleep(every - (time.monotonic() - run.began) % every)
            ask(self, mix["burst"]["request"])

    class Asker(FastHttpUser):
        host, run_ = graphql or base, run
        fixed_count = mix["graphql"]["users"]
        connection_timeout = network_timeout = TIMEOUT

        @task
        def act(self) -> None:
            request = {"name": GRAPHQL, "method": "POST", "path": "/graphql/"}
            content = ask(self, request, 200, {"query": mix["graphql"]["query"]})
            if content is not None and json.loads(content) != mix["graphql"]["answer"]:
                note_wrong(self, GRAPHQL, "another answer")
            gevent.sleep(sum(mix["think_seconds"]) / 2)

    return [Visitor, Opener, Asker] if graphql else [Visitor, Opener]


def load(run: Run, base: str, graphql: str | None, seconds: float, users: int) -> None:
    """Let the users come, act for `seconds`, and leave; what they saw is in the run's answers."""
    locust = Environment(user_classes=users_of(run, base, graphql))
    runner = locust.create_local_runner()
    fixed = run.mix["burst"]["users"] + (run.mix["graphql"]["users"] if graphql else 0)
    runner.start(users + fixed, spawn_rate=run.mix["ramp"])
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        gevent.sleep(min(SHOWN_EVERY, left))
        recent = [each for each in run.answers if each.began > time.monotonic() - run.began - SHOWN_EVERY]
        p95 = load_verdict.percentile([each.seconds for each in recent], 0.95)
        bad = sum(bool(each.failed or each.wrong) for each in run.answers)
        print(
            f"{run.target}: {runner.user_count} users, {len(recent) / SHOWN_EVERY:.0f} requests a second, "
            f"p95 {p95 * 1000:,.0f} ms, {bad} bad of {len(run.answers)}",
            flush=True,
        )
    runner.quit()


def doors(environment: environments.Environment, service: str, port: str) -> dict[str, str]:
    """Host -> its front door. Only what the inventory names can be loaded."""
    number = environment.variables[port]
    return {host: f"http://{environment.addresses[host]}:{number}" for host in environment.services.get(service, [])}


def missing(asked: Sequence[Mapping[str, Any]], headers: Mapping[str, str], rest: Mapping[str, str]) -> list[str]:
    """What each front door answers where it does not have what is asked of it: a line for each path.

    A load would measure how fast errors are. A path that is only written to is not asked.
    """
    paths = {request["path"] for request in asked if request.get("method", "GET") == "GET"}
    found = []
    for host, base in rest.items():
        for path in sorted(paths):
            try:
                status = requests.get(base + path, headers=dict(headers), timeout=TIMEOUT).status_code
            except requests.RequestException as error:
                found.append(f"{host}: {path} is not answered: {error}")
                continue
            if 400 <= status < 500:  # the server's own errors are what a load test is for
                found.append(f"{host}: {path} is answered by status {status}")
    return found


def converge(host: str, environment: environments.Environment, worker_class: str | None) -> None:
    """The host under a worker class, or as the inventory says."""
    extra = [] if worker_class is None else ["-e", json.dumps({"plane_api_worker_class": worker_class})]
    command = ["ansible-playbook", "-i", str(environment.inventory), "site.yml", "-l", host, *extra]
    print(f"{host}: {worker_class or 'as the inventory says'}", flush=True)
    done = subprocess.run(command, cwd=environments.ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"loadtest: {' '.join(command)} failed:\n{done.stdout[-2000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment")
    parser.add_argument("--inventory", type=Path, help="default: inventories/<environment>")
    parser.add_argument("--mix", type=Path, default=MIX)
    parser.add_argument("--seconds", type=float, help="of the test, or of each turn (default: the mix's)")
    parser.add_argument("--users", type=int, help="of all hosts, beside those who come in bursts (default: the mix's)")
    parser.add_argument("--side-by-side", action="store_true", help="gthread and uvicorn on two hosts, in turns")
    parser.add_argument("--production", action="store_true", help="load an environment that real users use")
    given = parser.parse_args()
    try:
        environment = environments.read(given.inventory or environments.ROOT / "inventories" / given.environment)
        thresholds = Thresholds.of(environment.variables.get("plane_release_load_thresholds") or {})
    except ValueError as error:
        sys.exit(f"loadtest: {error}")
    if environment.name != given.environment:
        sys.exit(f"loadtest: {environment.inventory} is {environment.name}, not {given.environment}")
    if environment.name != TRIED and not given.production:
        sys.exit(f"loadtest: {environment.name} has real users. Nothing was asked; --production loads it all the same")
    mix = environments.load(given.mix)
    rest, graphql = (
        doors(environment, "plane-api", "plane_api_port"),
        doors(environment, "plane-graphql", "plane_graphql_port"),
    )
    if given.side_by_side and len(rest) < len(load_page.CLASSES):
        sys.exit("loadtest: --side-by-side needs two hosts of plane-api")
    asked = [*mix["mix"], mix["burst"]["request"]]
    if absent := missing(asked, mix["headers"], rest):
        sys.exit("\n".join([
            "loadtest: nothing was measured, as what the mix asks for is not there",
            *absent,
            f"Change {given.mix}, or make the data; the lab's: ansible-playbook lab/seed.yml -l {environment.name}",
        ]))  # fmt: skip
    answers: list[Answer] = []
    servers: dict[str, set[str]] = {}
    began = time.monotonic()
    seconds, users = given.seconds or mix["seconds"], given.users or mix["users"]
    asked_graphql = next(iter(graphql.values()), None)

    def turn(target: str, base: str, users: int, graphql: str | None = None) -> None:
        load(Run(mix, target, began, answers, servers.setdefault(target, set())), base, graphql, seconds, users)

    if given.side_by_side:
        pair = dict(zip(load_page.CLASSES, list(rest.items())))
        try:
            for name, (host, _) in pair.items():
                converge(host, environment, name)
            for _ in range(TURNS):
                for name, (_, base) in pair.items():
                    turn(name, base, users)
        finally:
            for host, _ in pair.values():
                converge(host, environment, None)
    else:
        # All hosts at once, as a load balancer would; who asks GraphQL is there once.
        each = max(1, users // len(rest))
        first = next(iter(rest), None)
        at_once = [
            gevent.spawn(turn, host, base, each, asked_graphql if host == first else None)
            for host, base in rest.items()
        ]
        gevent.joinall(at_once, raise_error=True)
    found = load_verdict.summaries(answers)
    pages = {request["name"] for request in asked if "bytes" in request}
    wanted = {request["name"] for request in asked}
    if asked_graphql and not given.side_by_side:
        wanted.add(GRAPHQL)
    verdict = load_verdict.judge(found, thresholds, pages, wanted)
    write_report(environment.name, mix, thresholds, answers, found, servers, verdict)
    sys.exit(0 if verdict.verdict == load_verdict.PASS else 1)


def write_report(
    environment: str,
    mix: Mapping[str, Any],
    thresholds: Thresholds,
    answers: Sequence[Answer],
    found: Mapping[str, Mapping[str, load_verdict.Summary]],
    servers: Mapping[str, set[str]],
    verdict: load_verdict.Verdict,
) -> None:
    document: dict[str, Any] = {
        "environment": environment,
        "verdict": verdict.verdict,
        "reasons": verdict.reasons,
        "thresholds": asdict(thresholds),
        "mix": dict(mix),
        "servers": {target: sorted(names) for target, names in servers.items()},
        "targets": {target: {kind: asdict(each) for kind, each in kinds.items()} for target, kinds in found.items()},
    }
    REPORTS.mkdir(parents=True, exist_ok=True)
    path = REPORTS / f"loadtest-{environment}"
    path.with_suffix(".json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".html").write_text(load_page.page(document, answers), encoding="utf-8")
    print("\n".join(load_page.table(document["targets"])))
    for reason in verdict.reasons:
        print(f"- {reason}")
    print(f"report: {path.with_suffix('.html')}")
    print(f"verdict: {verdict.verdict}")


if __name__ == "__main__":
    main()
