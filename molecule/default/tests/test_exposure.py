"""What a host shows: where it listens, who reaches which socket, and where secrets are."""

from __future__ import annotations

import re

import pytest
from services import Service

ADMISSION_SOCKET = "/run/plane-admission/admin.sock"
ENVIRONMENT_FILES = "/etc/%s/*/environment"


def as_user(service: Service, user: str, command: str) -> bool:
    assert service.succeeds("runuser -u %s -- true", user), "the user exists, and runuser is not what fails"
    return service.succeeds(f"runuser -u %s -- {command}", user)


def test_only_ssh_and_the_front_doors_listen(node: list[Service]) -> None:
    listening = [line.split()[4] for line in node[0].run("ss -Hlntu").splitlines()]
    doors = [f"{service.address}:{service.port}" for service in node]
    assert sorted(listening) == sorted([*doors, "0.0.0.0:22", "[::]:22"])


def test_admission_alone_reaches_the_socket_of_gunicorn(each: Service) -> None:
    ask = f"curl --silent --fail --unix-socket {each.socket_path} http://lab/"
    assert as_user(each, "plane-admission", ask)
    assert not as_user(each, "nobody", ask)


def test_the_runtime_socket_of_admission_is_for_root_alone(node: list[Service]) -> None:
    service = node[0]
    ask = f"sh -c 'echo show info | socat - {ADMISSION_SOCKET} | grep Name:'"
    assert service.succeeds(ask)
    for user in ["plane-admission", "nobody", *(each.name for each in node)]:
        assert not as_user(service, user, ask), user


def test_admission_does_not_run_as_root_where_requests_are(node: list[Service]) -> None:
    service = node[0]
    main = service.run("systemctl show -P MainPID plane-admission")
    workers = service.run("pgrep --parent %s", main).split()
    user = service.run("id -u plane-admission")
    assert [service.status(int(pid), "Uid") for pid in workers] == [[user] * 4]


def test_the_unit_is_confined(each: Service) -> None:
    verdict = each.run("systemd-analyze security --no-pager %s", each.unit)
    exposure = re.search(r"Overall exposure level for .*: ([\d.]+)", verdict)
    assert exposure
    assert float(exposure[1]) <= 2.0


def test_the_environment_file_is_for_root_and_the_service_alone(each: Service) -> None:
    others = {"nobody", "plane-admission", "plane-api", "plane-graphql"} - {each.name}
    for path in each.run(f"ls {ENVIRONMENT_FILES}", each.name).split():
        file = each.host.file(path)
        assert (file.user, file.group, file.mode) == ("root", each.name, 0o640)
        assert as_user(each, each.name, f"cat {path}")
        for user in others & set(each.run("cut -d: -f1 /etc/passwd").split()):
            assert not as_user(each, user, f"cat {path}"), user


def secrets_of(service: Service) -> dict[str, str]:
    """The secrets that the process really has."""
    environment = dict(
        entry.partition("=")[::2] for entry in service.run("cat /proc/%s/environ", str(service.master)).split("\0")
    )
    password = re.search(r"://([^@/]+)@", environment["DATABASE_URL"])
    assert password
    return {
        "DATABASE_URL": password[1],
        **{name: environment[name] for name in ("SECRET_KEY", "LIVE_SERVER_SECRET_KEY")},
    }


# Where to look, and a word that is there: a search that finds nothing proves that it searched.
PLACES = {
    "command lines": ("cat /proc/[0-9]*/cmdline", "{service}"),
    "unit files": ("find /etc/systemd /run/systemd -type f -exec cat {{}} +", "/etc/{service}/%i/environment"),
    "systemctl show": ("systemctl show --all {service}@* {service}.slice {service}.service", "/etc/{service}/"),
    "journal": ("journalctl --no-pager --output=export", "SYSLOG_IDENTIFIER={service}-"),
}


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_in_the(place: str, each: Service) -> None:
    command, word = (text.format(service=each.name) for text in PLACES[place])
    found = each.run(f"({command}) 2>/dev/null | tr -c '[:print:]\\n' '?'")
    assert word in found
    for name, secret in secrets_of(each).items():
        assert secret not in found, name


def test_no_file_but_the_environment_files_holds_a_secret(each: Service) -> None:
    patterns = "\n".join(secrets_of(each).values())
    found = each.run(
        "printf %s | grep -rlF -D skip -f - /etc /opt /root /run /srv /tmp /usr/local /var", f"{patterns}\n"
    )
    assert {re.sub(r"(blue|green)", "*", path) for path in found.split()} <= {
        ENVIRONMENT_FILES % "plane-api",
        ENVIRONMENT_FILES % "plane-graphql",
    }
    assert f"/etc/{each.name}/{each.live}/environment" in found
