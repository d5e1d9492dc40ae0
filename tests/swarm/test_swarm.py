"""An installation that is a stack of three nodes: adopted, changed under load, broken in every way, and a node lost."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import client
import pytest
from support import INVENTORY, ROOT, Host, changed, load, messages, playbook, report, succeeded, wait_for

FOLDER = "/root/plane-app"
DEPLOY = (
    f"cd {FOLDER} && set -a && . ./plane.env && docker stack deploy --resolve-image=never --detach=true "
    "-c docker-compose.yaml -c docker-compose.swarm.yaml plane"
)
FILES = f"cd {FOLDER} && find . -type f -exec sha256sum {{}} + | sort"
SERVICE = "plane-api"


def site(*arguments: str, limit: str = "community", **variables: Any) -> subprocess.CompletedProcess[str]:
    return playbook("site.yml", limit, *arguments, **variables)


def verify() -> subprocess.CompletedProcess[str]:
    return playbook("ansible/playbooks/verify.yml", "community")


def own_tasks(node: Host) -> str:
    """The running tasks of the stack's own service."""
    return node.run("docker service ps plane_api --filter desired-state=running --format '{{.Name}}'")


def seed(node: Host) -> None:
    """Fill the database, once the stack's migrator has made it, from a container of the stack on this node."""
    container = "$(docker ps -q --filter ancestor=localhost/plane-lab/plane-backend:v1 | head -n 1)"
    for command in ("wait_for_migrations", "seed_lab"):
        node.run(f"docker exec {container} python manage.py {command}")


@pytest.fixture(scope="session")
def nodes(hosts: dict[str, Host]) -> list[Host]:
    return [hosts[name] for name in ("plane1", "plane2", "plane3")]


@pytest.fixture(scope="session")
def first(nodes: list[Host]) -> Host:
    """The manager that has the installation."""
    return nodes[0]


@pytest.fixture(scope="session")
def files(first: Host) -> str:
    return first.run(FILES)


@pytest.fixture(scope="session")
def checked(first: Host, files: str) -> tuple[bool, subprocess.CompletedProcess[str]]:
    """Check mode before the first run, if it is the first, and whether it was."""
    fresh = not first.succeeds("test -e /etc/plane-api")
    return fresh, succeeded(site("--check"))


@pytest.fixture(scope="session")
def adoption(first: Host, checked: tuple[bool, subprocess.CompletedProcess[str]]) -> str:
    """What the run printed that adopted it, as talkative as Ansible gets about its tasks."""
    assert first.succeeds("test -e /etc/plane-api") != checked[0], "check mode writes nothing"
    return succeeded(site("-vvv")).stdout


@pytest.fixture(scope="session")
def adopted(nodes: list[Host], adoption: str) -> list[Host]:
    seed(next(node for node in nodes if node.succeeds("docker ps | grep -q plane-api-")))
    return nodes


@pytest.fixture
def repaired(adopted: list[Host]) -> list[Host]:
    """Nodes on which all is well, whatever an earlier test left."""
    if verify().returncode:
        succeeded(site())
    return adopted


def verdicts() -> dict[str, dict[str, Any]]:
    return {host: services[SERVICE] for host, services in report()["hosts"].items() if SERVICE in services}


def tasks_seen() -> dict[int, dict[str, Any]]:
    """Task number -> what the last verification observed of it, wherever it runs."""
    return {task["task"]: task for verdict in verdicts().values() for task in verdict["observed"]["tasks"]}


def clients_of(edge: Host, first: Host) -> list[tuple[str, client.Request, int]]:
    """Through nginx at the edge, and through the stack's own proxy."""
    outside, inside = f"http://{edge.address}", f"http://{first.address}"
    return [
        ("reads", client.small(outside), 2),
        ("writes", client.write(outside), 1),
        ("5 MB", client.heavy(outside), 1),
        ("reads through the stack's proxy", client.small(inside), 1),
        ("writes through the stack's proxy", client.write(inside), 1),
    ]


def test_check_mode_says_what_the_first_run_does(
    checked: tuple[bool, subprocess.CompletedProcess[str]], adopted: list[Host]
) -> None:
    fresh, done = checked
    for node in adopted:
        assert (changed(done)[node.name] > 0) == fresh


def test_every_task_of_three_nodes_was_verified_before_it_took_traffic(adopted: list[Host], files: str) -> None:
    assert report()["match"]
    assert sorted(tasks_seen()) == [1, 2, 3]
    for number, task in tasks_seen().items():
        assert (task["worker_class"], task["workers"], task["threads"]) == ("gthread", 2, 8), number
        assert task["limit memory_bytes"] == 2 << 30
    for node in adopted:
        evidence = ", ".join(verdicts()[node.name]["evidence"])
        assert "saturation 8+8 before the switch" in evidence
        assert "front door answered by task" in evidence
    assert adopted[0].run(FILES) == files, "nothing of the installation is changed"
    assert not own_tasks(adopted[0]), "what was not verified does not run any more"


def test_the_report_has_the_same_keys_as_elsewhere(adopted: list[Host]) -> None:
    keys = set(report()["hosts"]["swarm-edge1"]["plane-proxy"])
    assert all(set(verdict) == keys for verdict in verdicts().values())
    assert (
        "by verified instances on swarm-plane1, swarm-plane2, swarm-plane3"
        in (report()["hosts"]["swarm-edge1"]["plane-proxy"]["evidence"])
    )


def test_no_secret_of_its_is_printed_or_written(adopted: list[Host], adoption: str) -> None:
    secrets = [line.partition("=")[2] for line in adopted[0].run(f"grep SECRET_KEY= {FOLDER}/plane.env").splitlines()]
    assert len(secrets) == 2
    assert "TASK [gunicorn_service : Write the" in adoption
    assert not [secret for secret in secrets if secret in adoption]
    for node in adopted:
        # Docker itself keeps a container's variables in /run/containerd and /var/lib/docker (docs/installations.md).
        found = "grep -rlF -D skip -f - /etc /run/plane-* /srv /tmp /usr/local /var/log 2>/dev/null || true"
        assert node.run(found, stdin="\n".join(secrets)) == ""


def test_a_second_run_changes_nothing_and_check_mode_says_so(adopted: list[Host]) -> None:
    assert set(changed(succeeded(site())).values()) == {0}
    assert set(changed(succeeded(site("--check"))).values()) == {0}
    told = changed(succeeded(site("--check", plane_api_threads=4)))
    assert all(told[node.name] > 0 for node in adopted)


def test_a_node_without_a_task_passes_requests_on_to_tasks_that_were_verified(adopted: list[Host]) -> None:
    succeeded(site(plane_api_replicas=2))
    assert sorted(tasks_seen()) == [1, 2]
    (bare,) = (node.name for node in adopted if not verdicts()[node.name]["observed"]["tasks"])
    evidence = report()["hosts"]["swarm-edge1"]["plane-proxy"]["evidence"]
    assert any(f"passed on from {bare} to " in said for said in evidence), evidence


def test_flips_lose_nothing(adopted: list[Host], hosts: dict[str, Host]) -> None:
    classes = []
    with load(clients_of(hosts["edge1"], adopted[0]), pause=0.2) as clients:
        for wanted in ("", "gthread"):
            succeeded(site(plane_api_worker_class=wanted))
            classes.append({task["worker_class"] for task in tasks_seen().values()})
    print(f"{clients.requests} requests, failed: {clients.failed}")
    assert classes == [{"uvicorn"}, {"gthread"}]
    assert clients.failed == {}
    assert clients.requests > 100


def test_tasks_that_are_renewed_one_at_a_time_lose_nothing(repaired: list[Host], hosts: dict[str, Host]) -> None:
    """What stands for a rotation here: Swarm stops a task and starts another, while other nodes take its requests."""
    service = f"plane_plane-api-{repaired[0].live()}"
    before = {task["workers_seen"][0]["pid"] for task in tasks_seen().values()}
    with load(clients_of(hosts["edge1"], repaired[0]), pause=0.2) as clients:
        repaired[0].run(f"docker service update --force --detach=false {service}")
    print(f"{clients.requests} requests, failed: {clients.failed}")
    assert clients.failed == {}
    succeeded(verify())
    assert sorted(tasks_seen()) == [1, 2, 3]
    assert not before & {task["workers_seen"][0]["pid"] for task in tasks_seen().values()}


# LIVE is the service of the live colour, COLOUR its colour. On which nodes verify has to say it: "all", or one's place.
IN_TASK = "docker kill --signal=KILL $(docker ps -q --filter label=com.docker.swarm.service.name=$LIVE)"
AGAIN = (
    f"{IN_TASK} >/dev/null; until curl -fso /dev/null --unix-socket $(ls /run/plane-api/$COLOUR/*.sock | head -n 1) "
    "http://localhost/; do sleep 0.2; done"
)
RENEWED = "docker service update --quiet --detach=false"
RELOADED = "docker kill --signal=USR2 $(docker ps -q --filter name=plane-admission)"
FAULTS = {
    "another class": (
        f"{RENEWED} --env-add GUNICORN_WORKER_CLASS= $LIVE",
        "worker_class is uvicorn, should be gthread",
        "all",
    ),
    "threads are dropped": (f"{RENEWED} --env-add GUNICORN_THREADS=4 $LIVE", "threads is 4, should be 8", "all"),
    "a worker fewer on one node": (
        f"sed -i 's/--workers \"$GUNICORN_WORKERS\"/--workers 1/' /etc/plane-api/$COLOUR/entrypoint.sh; {AGAIN}",
        "workers is 1, should be 2",
        "one",
    ),
    "another image": (
        f"{RENEWED} --no-resolve-image --image localhost/plane-lab/plane-backend:v2 $LIVE",
        "runs another image than localhost/plane-lab/plane-backend:v1",
        "all",
    ),
    "the service is edited by hand": (
        f"{RENEWED} --env-add A=B $LIVE",
        "is not what was deployed, somebody has updated it",
        "all",
    ),
    "fewer replicas": ("docker service scale --detach=false $LIVE=2", "is 2, should be 3", "all"),
    "a smaller memory limit": (
        f"{RENEWED} --reserve-memory 64m --limit-memory 512m $LIVE",
        "limit memory_bytes is 536870912, should be 2147483648",
        "all",
    ),
    "its own service is started": (
        "docker service scale --detach=true plane_api=1",
        "plane_api answers to the name api too, unverified",
        "all",
    ),
    "its variables are edited": (
        f"sed -i 's/^WEB_URL=.*/WEB_URL=http:..changed.example/' {FOLDER}/plane.env",
        "was made of other settings",
        "one",
    ),
    "slots are raised by hand": (
        f"sed -i 's/maxconn 14/maxconn 15/' /etc/plane-api/$COLOUR/admission.cfg; {RELOADED}",
        "slots of route plane-api is 15, should be 14",
        "one",
    ),
    "the heavy route is removed": (
        f"sed -i '/use_backend plane-api.page-description/d' /etc/plane-api/$COLOUR/admission.cfg; {RELOADED}",
        "path of route plane-api.page-description is None",
        "one",
    ),
    "admission is updated by hand": (
        f"{RENEWED} --env-add A=B plane_plane-admission",
        "plane_plane-admission is not what was deployed",
        "all",
    ),
}


@pytest.mark.parametrize(("fault", "said", "where"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_and_the_next_run_repairs_it(fault: str, said: str, where: str, repaired: list[Host]) -> None:
    first = repaired[0]
    first.run(f"set -e; export COLOUR={first.live()} LIVE=plane_plane-api-{first.live()}; {fault}")
    done = verify()
    assert done.returncode != 0
    naming = [node.name for node in repaired if any(said in message for message in messages(node.name))]
    assert naming == [node.name for node in (repaired if where == "all" else repaired[:1])], report()["hosts"]
    succeeded(site())
    assert report()["match"]


def test_an_update_by_its_own_script_is_named_and_adopted_again(repaired: list[Host]) -> None:
    first = repaired[0]
    first.run(f"sed -i 's/^APP_RELEASE=.*/APP_RELEASE=v2/' {FOLDER}/plane.env; {DEPLOY}")
    assert verify().returncode != 0
    said = " ".join(messages(first.name))
    assert "but /root/plane-app names localhost/plane-lab/plane-backend:v2 now" in said
    assert "plane_api answers to the name api too" in said
    succeeded(site())
    assert report()["match"]
    running = first.run("docker ps --format '{{.Image}}' --filter name=plane-api-").split()
    assert set(running) == {"localhost/plane-lab/plane-backend:v2"}


def test_a_change_that_one_node_cannot_verify_switches_none(repaired: list[Host]) -> None:
    live, idle = repaired[0].live(), repaired[0].idle()
    broken = repaired[2].command(f"echo >>/etc/plane-api/{idle}/gunicorn.conf.py")
    done = site(plane_api_threads=4, before_task={"Verify, while they have no traffic": [broken]})
    assert done.returncode != 0
    assert f"not verified on {repaired[2].name}, so no node switches" in done.stdout
    assert [node.live() for node in repaired] == [live] * 3
    succeeded(verify())


def test_a_node_that_cannot_switch_is_brought_along_by_the_next_run(repaired: list[Host]) -> None:
    """The other two have switched by then, so both colours go on running."""
    live, idle = repaired[0].live(), repaired[0].idle()
    away = "mv /etc/plane-admission/haproxy /etc/plane-admission/haproxy.away"
    done = site(plane_api_threads=4, before_task={"Switch the traffic to": [repaired[2].command(away)]})
    assert done.returncode != 0
    assert f"not switched on {repaired[2].name}, so both colours go on running" in done.stdout
    assert [node.live() for node in repaired] == [idle, idle, live]
    repaired[2].run("mv /etc/plane-admission/haproxy.away /etc/plane-admission/haproxy")
    assert verify().returncode != 0
    succeeded(site())
    assert len({node.live() for node in repaired}) == 1


def test_a_lost_node_is_named_and_its_task_runs_elsewhere(repaired: list[Host], hosts: dict[str, Host]) -> None:
    """The third node dies under light load; the first holds the database, as placed."""
    first, lost = repaired[0], repaired[2]
    service = f"plane_plane-api-{first.live()}"
    with load([("reads", client.small(f"http://{hosts['edge1'].address}"), 2)], pause=0.3) as clients:
        subprocess.run(["podman", "kill", "--signal=KILL", lost.name], check=True, capture_output=True)
        # Without its leader, Swarm answers nothing until the others have chosen another.
        listed = "docker node ls --format '{{.Hostname}} {{.Status}}'"
        wait_for(lambda: f"{lost.name} Down" in first.run(listed, check=False))

        def rescheduled() -> bool:
            listed = f"docker service ps {service} --filter desired-state=running --format '{{{{json .}}}}'"
            shown = first.run(listed, check=False)
            tasks = [json.loads(line) for line in shown.splitlines()]
            here = [task for task in tasks if task["Node"] != lost.name and task["CurrentState"].startswith("Running")]
            return len(here) == 3

        wait_for(rescheduled, limit_seconds=120)
    print(f"{clients.requests} requests, failed: {clients.failed}")
    assert clients.requests > 20
    assert clients.failed == {}

    assert verify().returncode != 0
    found = report()
    assert found["silent_hosts"] == [lost.name]
    assert sorted(tasks_seen()) == [1, 2, 3], "each task is verified where it runs now"
    assert all(task["match"] and task["threads"] == 8 for task in tasks_seen().values())
    for node in repaired[:2]:
        (said,) = messages(node.name)
        assert said.startswith("the node swarm-plane3 is not reached [docker node ls]: its tasks run on the others")

    # Back, as a machine that was replaced.
    subprocess.run([sys.executable, "lab/lab.py", "up", "--inventory", str(INVENTORY)], cwd=ROOT, check=True)
    assert verify().returncode != 0
    assert any("no task of plane-api" in message or "no live colour" in message for message in messages(lost.name))
    succeeded(site())
    assert report()["match"]
    assert sorted(tasks_seen()) == [1, 2, 3]
    assert all(len(verdict["observed"]["tasks"]) == 1 for verdict in verdicts().values())


def test_it_is_given_back_as_it_was_found(repaired: list[Host]) -> None:
    first = repaired[0]
    found = first.run(FILES)
    with load([("reads", client.small(f"http://{first.address}"), 1)], pause=0.2) as clients:
        succeeded(playbook("ansible/playbooks/uninstall.yml", "community"))
    assert clients.requests > 5
    assert first.run(FILES) == found
    wait_for(lambda: own_tasks(first).strip() == "plane_api.1")
    services = first.run("docker service ls --format '{{.Name}}'").split()
    assert not [name for name in services if "plane_plane-a" in name]
    for node in repaired:
        left = "ls -d /etc/plane-* /etc/tmpfiles.d/plane-* /run/plane-* 2>/dev/null || true"
        assert not node.run(left)
        assert "plane-api" not in node.run(
            f"docker node inspect {first.name} {node.name} --format '{{{{.Spec.Labels}}}}'"
        )
