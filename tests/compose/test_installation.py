"""An installation as upstream's script makes it: adopted, changed under load, updated by that script, given back."""

from __future__ import annotations

import json
from typing import Any

import client
import pytest
from support import Host, changed, load, playbook, report, succeeded, wait_for

FOLDER = "/root/plane-app"
SCRIPT = f"cd {FOLDER} && docker compose -f docker-compose.yaml --env-file=plane.env"
FILES = f"cd {FOLDER} && find . -type f -exec sha256sum {{}} + | sort"
OWN = "docker ps --format '{{.Names}}' --filter name=plane-app-api"
SERVICE = "plane-api"


def site(*arguments: str, **variables: Any) -> Any:
    return playbook("site.yml", "community", *arguments, **variables)


def verify() -> Any:
    return playbook("ansible/playbooks/verify.yml", "community")


def own_command(host: Host) -> list[str]:
    """How the installation's own service runs gunicorn, read from its process once its steps before that are done."""

    def words() -> list[str]:
        pid = host.run("docker inspect --format '{{.State.Pid}}' plane-app-api-1").strip()
        return host.run(f"tr '\\0' ' ' </proc/{pid}/cmdline").split()

    wait_for(lambda: any(word.endswith("/gunicorn") for word in words()))
    return words()


@pytest.fixture(scope="session")
def host(hosts: dict[str, Host]) -> Host:
    """The installation's host; adopted for these tests, whatever an earlier session left."""
    (found,) = hosts.values()
    for command in ("wait_for_migrations", "seed_lab"):  # its own migrator may still be at work
        found.run(f"{SCRIPT} run --rm --no-deps -T api python manage.py {command}")
    return found


@pytest.fixture(scope="session")
def before(host: Host) -> tuple[str, list[str]]:
    """The installation's files and its own process, before it is adopted."""
    if not host.run(OWN):
        succeeded(playbook("ansible/playbooks/uninstall.yml", "community"))
    return host.run(FILES), own_command(host)


@pytest.fixture(scope="session")
def adoption(before: tuple[str, list[str]]) -> str:
    """What the run printed that adopted it, as talkative as Ansible gets about its tasks."""
    return succeeded(site("-vvv")).stdout


@pytest.fixture(scope="session")
def adopted(host: Host, adoption: str) -> Host:
    return host


def through_the_proxy(host: Host) -> list[tuple[str, client.Request, int]]:
    front = f"http://{host.address}"
    return [("reads", client.small(front), 2), ("writes", client.write(front), 1), ("5 MB", client.heavy(front), 1)]


def test_it_is_adopted_and_none_of_its_files_is_changed(adopted: Host, before: tuple[str, list[str]]) -> None:
    verdict = report()["hosts"][adopted.name][SERVICE]
    assert verdict["match"]
    observed = verdict["observed"]
    assert (observed["worker_class"], observed["workers"], observed["threads"]) == ("gthread", 2, 8)
    assert "saturation 8+8 before the switch" in verdict["evidence"]
    assert f"front door answered by the container of {SERVICE}-{verdict['live']}" in verdict["evidence"]
    assert f"/api/ through its proxy answered by {SERVICE}-{verdict['live']}" in verdict["evidence"]
    assert adopted.run(FILES) == before[0]
    assert not adopted.run(OWN), "what was not verified does not run any more"
    literal = json.loads(adopted.run(f"{SCRIPT} config --format json"))["services"]["api"]["environment"]
    assert literal["GUNICORN_WORKERS"] == "1", "the installation's literal, which has lost"


def test_nothing_of_graphql_is_there(adopted: Host) -> None:
    """Community has none: no file, unit, container or route of it."""
    assert list(report()["hosts"][adopted.name]) == [SERVICE]
    assert not adopted.run("find /etc /run /srv -path '*plane*' -name '*graphql*'")
    assert not adopted.run("grep -rl plane-graphql /etc/plane-* /etc/systemd/system/plane-* || true")
    assert not adopted.run("docker ps --all --format '{{.Names}}' | grep graphql || true")
    assert "plane-graphql" not in adopted.admission("show stat")


def test_no_secret_of_its_is_printed_or_written(adopted: Host, adoption: str) -> None:
    secrets = [line.partition("=")[2] for line in adopted.run(f"grep SECRET_KEY= {FOLDER}/plane.env").splitlines()]
    assert len(secrets) == 2
    assert "TASK [gunicorn_service : Write the" in adoption
    assert not [secret for secret in secrets if secret in adoption]
    # Docker itself keeps a container's variables in /run/containerd and /var/lib/docker (docs/installations.md).
    found = "grep -rlF -D skip -f - /etc /run/plane-* /srv /tmp /usr/local /var/log || true"
    assert adopted.run(found, stdin="\n".join(secrets)) == ""
    assert not adopted.run("journalctl --no-pager --output=cat | grep -F -f - || true", stdin="\n".join(secrets))


def test_a_step_that_its_image_does_not_have_or_ours_lack_is_refused(adopted: Host) -> None:
    steps = [
        "wait_for_db",
        "wait_for_migrations",
        "configure_instance",
        "create_bucket",
        "collectstatic --noinput",
        "check",
    ]
    for acknowledged in ([], ["check"]):
        done = site(plane_api_prestart=steps, plane_release_acknowledged_steps=acknowledged)
        said = " ".join(done.stdout.split())
        assert done.returncode != 0
        assert "plane_api_prestart lacks register_instance, which ./bin/docker-entrypoint-api.sh of the" in said
        assert ("plane_api_prestart has check" in said) == (acknowledged == [])
        assert "Change it in inventories/community/" in said
        assert changed(done) == {adopted.name: 0}


def test_a_second_run_changes_nothing_and_check_mode_says_so(adopted: Host) -> None:
    assert changed(succeeded(site())) == {adopted.name: 0}
    assert changed(succeeded(site("--check"))) == {adopted.name: 0}
    assert changed(succeeded(site("--check", plane_api_threads=4)))[adopted.name] > 0
    succeeded(verify())


def test_a_flip_and_the_way_back_lose_nothing(adopted: Host) -> None:
    with load(through_the_proxy(adopted), pause=0.1) as clients:
        succeeded(site(plane_api_worker_class=""))
        flipped = report()["hosts"][adopted.name][SERVICE]["observed"]["worker_class"]
        adopted.run("plane-process-model rollback")
        adopted.run(f"plane-process-model rotate {SERVICE}")
    assert flipped == "uvicorn"
    assert clients.failed == {}
    assert clients.requests > 50
    succeeded(verify())


# Those of an installation alone. `make mutants-compose` has every other one.
FAULTS = {
    "its own service is started": (
        f"{SCRIPT} up --detach --no-deps --pull never api",
        "answers to the name api too, unverified",
    ),
    "its variables are edited": (
        f"sed -i 's/^WEB_URL=.*/WEB_URL=http:..changed.example/' {FOLDER}/plane.env",
        "was made of other settings",
    ),
}


@pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_and_the_next_run_repairs_it(fault: str, said: str, adopted: Host) -> None:
    adopted.run(f"export COLOUR={adopted.live()}; {fault}")
    done = verify()
    assert done.returncode != 0
    messages = [mismatch["message"] for mismatch in report()["hosts"][adopted.name][SERVICE]["mismatches"]]
    assert any(said in message for message in messages), messages
    succeeded(site())
    assert report()["match"]


def test_an_instance_that_is_told_to_stop_while_it_starts_stops(adopted: Host) -> None:
    """Docker may start a container after its own client was ended."""
    idle = adopted.idle()
    starting = f"systemctl start {SERVICE}@{idle}; until pgrep -f '^docker start.* {SERVICE}-{idle}$'; do :; done"
    adopted.run(f"{starting}; systemctl restart {SERVICE}@{idle}")
    wait_for(
        lambda: adopted.succeeds(f"curl --fail --silent --unix-socket /run/{SERVICE}/{idle}/gunicorn.sock http://lab/")
    )
    adopted.run(f"systemctl stop {SERVICE}@{idle}; {starting}; systemctl stop {SERVICE}@{idle}")
    assert not adopted.run(f"docker ps --quiet --filter name='^{SERVICE}-{idle}$'")


def test_an_update_by_its_own_script_is_named_and_adopted_again(adopted: Host) -> None:
    """As upstream's script does it: everything down, another release in plane.env, everything up."""
    adopted.run(f"{SCRIPT} down; sed -i 's/^APP_RELEASE=.*/APP_RELEASE=v2/' plane.env; {SCRIPT} up -d --pull never")
    assert verify().returncode != 0
    said = " ".join(mismatch["message"] for mismatch in report()["hosts"][adopted.name][SERVICE]["mismatches"])
    assert "runs another image than localhost/plane-lab/plane-backend:v2" in said
    assert "answers to the name api too" in said
    succeeded(site())
    assert report()["match"]
    running = adopted.run(f"docker inspect --format '{{{{.Config.Image}}}}' {SERVICE}-{adopted.live()}").strip()
    assert running == "localhost/plane-lab/plane-backend:v2"


def test_it_is_given_back_as_it_was_found(adopted: Host, before: tuple[str, list[str]]) -> None:
    files = adopted.run(FILES)
    with load([("reads", client.small(f"http://{adopted.address}"), 2)], pause=0.1) as clients:
        succeeded(playbook("ansible/playbooks/uninstall.yml", "community"))
    assert adopted.run(FILES) == files
    assert own_command(adopted) == before[1]
    assert "plane.asgi:application" in own_command(adopted)
    assert clients.requests > 5
    left = "ls -d /etc/plane-* /usr/local/sbin/plane-process-model /etc/systemd/system/plane-* 2>/dev/null || true"
    assert not adopted.run(left)
    assert not adopted.run("docker ps -a --format '{{.Names}}' | grep -v ^plane-app || true")
