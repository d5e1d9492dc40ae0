"""A commercial installation: refused while its proxy leads GraphQL to REST, then taken apart under load."""

from __future__ import annotations

import subprocess
import uuid
from typing import Any

import client
import pytest
import yaml
from support import (
    INVENTORY,
    Host,
    changed,
    load,
    playbook,
    report,
    succeeded,
    wait_for,
)

FOLDER = "/opt/plane"
SCRIPT = f"cd {FOLDER} && docker compose --env-file plane.env"
FILES = f"cd {FOLDER} && find . -type f -exec sha256sum {{}} + | sort"
PLACES = "/etc/plane-* /run/plane-* /usr/local/sbin/plane-process-model /etc/systemd/system/plane-*"
OURS = f"ls -d {PLACES} 2>/dev/null || true"
REST, GRAPHQL = "plane-api", "plane-graphql"
HOLD = "/etc/systemd/system/plane-api@.service.d/lab-hold.conf"
HELD = """[Service]
ExecStartPre=/bin/sh -c 'until [ -e /root/lab-start ]; do sleep 0.2; done'
"""
CANARY = f"canary-{uuid.uuid4().hex}"


def site(*arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    return playbook("site.yml", "commercial", *arguments, **variables)


def verify() -> subprocess.CompletedProcess[str]:
    return playbook("ansible/playbooks/verify.yml", "commercial")


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


def verdict(host: Host, service: str) -> dict[str, Any]:
    found: dict[str, Any] = report()["hosts"][host.name][service]
    return found


def own_command(host: Host) -> str:
    """How the installation's own service runs gunicorn, once its steps before that are done."""

    def words() -> str:
        pid = host.run("docker inspect --format '{{.State.Pid}}' plane-api-1").strip()
        return host.run(f"tr '\\0' ' ' </proc/{pid}/cmdline")

    wait_for(lambda: "bin/gunicorn" in words())
    return words()


def clients(host: Host) -> list[tuple[str, client.Request, int]]:
    front = host.front()
    return [
        ("reads", client.small(front), 2),
        ("writes", client.write(front), 1),
        ("queries", client.query(front), 1),
        ("5 MB", client.heavy(front), 1),
    ]


@pytest.fixture(scope="session")
def without_the_group(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Ansible's arguments for the same inventory, whose host is in no group plane_graphql."""
    folder = tmp_path_factory.mktemp("commercial")
    groups = yaml.safe_load((INVENTORY / "hosts.yml").read_text())
    del groups["plane_graphql"]
    (folder / "hosts.yml").write_text(yaml.safe_dump(groups))
    (folder / "group_vars").symlink_to((INVENTORY / "group_vars").resolve())
    return ["-i", str(folder)]


@pytest.fixture(scope="session")
def host(hosts: dict[str, Host]) -> Host:
    """The installation's host, as its own script made it, whatever an earlier session left."""
    (found,) = hosts.values()
    if found.run("ls /etc/systemd/system/plane-* 2>/dev/null || true"):
        succeeded(playbook("ansible/playbooks/uninstall.yml", "commercial"))
    for command in ("wait_for_migrations", "seed_lab"):  # its own migrator may still be at work
        found.run(f"{SCRIPT} run --rm --no-deps -T api python manage.py {command}")
    return found


@pytest.fixture(scope="session")
def before(host: Host) -> tuple[str, str]:
    """The installation's files and its own process, before it is adopted."""
    command = own_command(host)
    wait_for(lambda: host.succeeds(f"curl --fail --silent --header 'X-Api-Key: lab-ada' {host.front()}{client.SMALL}"))
    return host.run(FILES), command


@pytest.fixture(scope="session")
def refusal(before: tuple[str, str], host: Host, without_the_group: list[str]) -> subprocess.CompletedProcess[str]:
    return site(*without_the_group)


@pytest.fixture(scope="session")
def adopted(refusal: subprocess.CompletedProcess[str], host: Host, without_the_group: list[str]) -> Host:
    """As it is, under uvicorn: GraphQL is answered by REST, which is right there."""
    succeeded(site(*without_the_group, plane_api_worker_class=""))
    return host


@pytest.fixture(scope="session")
def flipped(adopted: Host, without_the_group: list[str]) -> subprocess.CompletedProcess[str]:
    """REST alone to gthread, once more without the split."""
    return site(*without_the_group)


@pytest.fixture(scope="session")
def split(flipped: subprocess.CompletedProcess[str], adopted: Host) -> tuple[str, Any]:
    """Taken apart under load; what the run printed, as talkative as Ansible gets about its tasks, and the clients."""
    with load(clients(adopted), pause=0.1) as busy:
        done = succeeded(site("-vvv", plane_graphql_variables={"LAB_CANARY": CANARY}))
    return done.stdout, busy


@pytest.fixture(scope="session")
def apart(split: tuple[str, Any], adopted: Host) -> Host:
    succeeded(site())  # without the canary
    return adopted


def test_without_the_split_it_is_refused_before_any_host_is_changed(
    refusal: subprocess.CompletedProcess[str], before: tuple[str, str], host: Host
) -> None:
    assert refusal.returncode != 0
    assert "'gthread', but GET /graphql/ through the proxy of /opt/plane is answered by plane-api-1" in said(refusal)
    assert "Split first: put this host into the group plane_graphql beside plane_api" in said(refusal)
    assert "Change it in inventories/commercial/group_vars/commercial/" in said(refusal)
    assert changed(refusal) == {host.name: 0}


def test_adopted_as_it_is_it_still_refuses_the_flip_of_rest_alone(
    flipped: subprocess.CompletedProcess[str], adopted: Host
) -> None:
    assert flipped.returncode != 0
    assert f"is answered by plane-api-{adopted.live()}" in said(flipped)
    assert changed(flipped) == {adopted.name: 0}


def test_the_split_and_the_flip_of_rest_lose_nothing(split: tuple[str, Any]) -> None:
    _, busy = split
    assert busy.failed == {}
    assert busy.requests > 50
    assert all(tally.requests > 0 for tally in busy.tallies.values())
    print(f"{busy.requests} requests through the installation's proxy while it was taken apart, none failed")


def test_graphql_runs_uvicorn_and_rest_gthread_both_behind_its_proxy(split: tuple[str, Any], apart: Host) -> None:
    rest, graphql = verdict(apart, REST), verdict(apart, GRAPHQL)
    assert (rest["observed"]["worker_class"], rest["observed"]["threads"]) == ("gthread", 8)
    assert graphql["observed"]["worker_class"] == "uvicorn"
    assert f"/api/ through its proxy answered by {REST}-{rest['live']}" in rest["evidence"]
    assert f"/graphql/, /marketplace/ through its proxy answered by {GRAPHQL}-{graphql['live']}" in graphql["evidence"]
    with load([("queries", client.query(apart.front()), 1)], pause=0.05) as busy:
        wait_for(
            lambda: apart.succeeds(f"journalctl -t {GRAPHQL}-{graphql['live']} --since=-30s | grep 'POST /graphql/'")
        )
    assert busy.failed == {}
    assert set(rest) == set(graphql), "the same keys"


def test_none_of_its_files_is_changed(apart: Host, before: tuple[str, str]) -> None:
    assert apart.run(FILES) == before[0]
    assert not apart.run("docker ps --quiet --filter label=com.docker.compose.service=api"), "unverified, so gone"


def test_a_second_run_changes_nothing_and_check_mode_tells_the_truth(apart: Host) -> None:
    assert changed(succeeded(site())) == {apart.name: 0}
    assert changed(succeeded(site("--check"))) == {apart.name: 0}
    files = apart.run("find /etc/plane-* -type f -exec sha256sum {} +")
    assert changed(succeeded(site("--check", plane_graphql_workers=1)))[apart.name] > 0
    assert apart.run("find /etc/plane-* -type f -exec sha256sum {} +") == files
    succeeded(verify())


def test_no_secret_is_printed_or_written_but_to_the_environment_file(split: tuple[str, Any], apart: Host) -> None:
    """The installation's own are in Docker's keeping; what the inventory adds is in one file for each colour."""
    printed, _ = split
    own = [line.partition("=")[2] for line in apart.run(f"grep SECRET_KEY= {FOLDER}/plane.env").splitlines()]
    assert len(own) == 2
    secrets = [CANARY, *own]
    assert "TASK [gunicorn_service : Write the" in printed
    assert not [secret for secret in secrets if secret in printed]
    find = "grep -rlF -D skip -f - /etc /run/plane-* /srv /tmp /usr/local /var/log || true"
    wrote = apart.run(find, stdin="\n".join(secrets)).split()
    assert all(name in (f"/etc/{GRAPHQL}/blue/environment", f"/etc/{GRAPHQL}/green/environment") for name in wrote)
    assert {apart.run(f"stat --format %a {name}").strip() for name in wrote} == {"640"}
    assert not apart.run("journalctl --no-pager --output=cat | grep -F -f - || true", stdin="\n".join(secrets))
    assert CANARY not in apart.run("docker inspect $(docker ps --all --quiet)")
    assert not apart.run("cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -F -f - || true", stdin="\n".join(secrets))


def test_graphql_given_back_to_rest_is_refused_while_rest_is_wsgi(apart: Host, without_the_group: list[str]) -> None:
    done = site(*without_the_group)
    assert done.returncode != 0
    assert f"is answered by {GRAPHQL}-{apart.live(GRAPHQL)}" in said(done)
    assert changed(done) == {apart.name: 0}


def test_a_flip_of_rest_the_way_back_and_a_rotation_of_graphql_lose_nothing(apart: Host) -> None:
    with load(clients(apart), pause=0.1) as busy:
        succeeded(site(plane_api_worker_class=""))
        seen = verdict(apart, REST)["observed"]["worker_class"]
        apart.run(f"plane-process-model rollback {REST}")
        apart.run(f"plane-process-model rotate {GRAPHQL}")
    assert seen == "uvicorn"
    assert busy.failed == {}
    print(f"{busy.requests} requests through the installation's proxy during a flip and back, none failed")
    succeeded(verify())


def test_after_a_reboot_the_live_colours_are_up_and_admission_says_when_until_then(apart: Host) -> None:
    before = {service: apart.live(service) for service in (REST, GRAPHQL)}
    booted = apart.run("cut -d' ' -f22 /proc/1/stat")
    # An application that takes its time: it starts when the test says so.
    apart.run(f"mkdir -p $(dirname {HOLD}) && cat >{HOLD} && systemctl daemon-reload", stdin=HELD)
    subprocess.run(["podman", "--runtime=runc", "restart", "--time=10", apart.name], check=True, capture_output=True)
    answers: list[tuple[str, str]] = []

    def answered() -> str:
        """The status of a small call, and until when it is to be asked again."""
        found = subprocess.run(
            ["curl", "--silent", "--max-time", "20", "--output", "/dev/null", "--header", "X-Api-Key: lab-ada",
             "--write-out", "%{http_code} %header{retry-after}", apart.front() + client.SMALL],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        status, _, after = found.stdout.partition(" ")
        answers.append((status, after))
        return status

    # 000: the proxy is not there; 502: it is, and admission is not.
    wait_for(lambda: answered() not in ("000", "502"), limit_seconds=180)
    wait_for(lambda: apart.succeeds("touch /root/lab-start"))
    wait_for(lambda: answered() == "200", limit_seconds=180)
    apart.run(f"rm -r $(dirname {HOLD}) && systemctl daemon-reload")
    assert {answer for answer in answers if answer[0] not in ("000", "502", "200")} == {("503", "2")}
    assert apart.run("cut -d' ' -f22 /proc/1/stat") != booted
    assert {service: apart.live(service) for service in before} == before
    wait_for(lambda: apart.succeeds("plane-process-model status"))
    status = apart.run("plane-process-model status")
    assert "gthread 2×8  gthread 2×8" in status
    assert "uvicorn ×2   uvicorn ×2" in status
    assert not apart.run("docker ps --all --quiet --filter label=com.docker.compose.service=api")
    with load(clients(apart), pause=0.1) as busy:
        succeeded(verify())
    assert busy.failed == {}


def test_it_is_given_back_as_it_was_found(apart: Host, before: tuple[str, str]) -> None:
    succeeded(playbook("ansible/playbooks/uninstall.yml", "commercial"))
    assert apart.run(FILES) == before[0]
    assert own_command(apart) == before[1]
    assert not apart.run(OURS)
    assert not apart.run("docker ps --all --format '{{.Names}}' | grep -E 'blue|green|admission' || true")
    with load([("queries", client.query(apart.front()), 1)], pause=0.1) as busy:
        wait_for(lambda: apart.succeeds("docker logs --since=20s plane-api-1 2>&1 | grep 'POST /graphql/'"))
    assert busy.failed == {}
