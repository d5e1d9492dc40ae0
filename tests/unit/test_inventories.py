"""Every environment renders, passes the settings check and differs where reality differs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = sorted(folder.name for folder in (ROOT / "inventories").iterdir() if folder.is_dir())
SECRETS = {
    f"vault_plane_release_{name}": f"value-of-{name}-for-this-test"
    for name in ("database_url", "redis_url", "amqp_url", "secret_key", "live_server_secret_key")
}


def ansible(*words: str, **changes: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, env=environment, **changes)


@pytest.fixture(scope="module")
def hosts() -> dict[str, dict[str, Any]]:
    listed = ansible("ansible-inventory", "--list")
    assert listed.returncode == 0, listed.stderr
    found: dict[str, dict[str, Any]] = json.loads(listed.stdout)
    return found


@pytest.fixture(scope="module")
def check_playbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first step of site.yml, alone: it touches no host."""
    path = tmp_path_factory.mktemp("plays") / "check.yml"
    play = {
        "hosts": "plane_api:plane_graphql:plane_proxy",
        "gather_facts": False,
        "vars_files": [str(ROOT / "ansible/vars/tiers.yml")],
        "tasks": [{"name": "Refuse settings that cannot be right", "validate_settings": None}],
    }
    path.write_text(yaml.safe_dump([play]))
    return path


def check(playbook: Path, limit: str, *words: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    extra = json.dumps({**SECRETS, **variables})
    return ansible("ansible-playbook", str(playbook), "-l", limit, "-e", extra, *words)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_the_environments_own_group_vars_exist(environment: str) -> None:
    """With several inventories merged, `all` or a service's group_vars of one environment would reach the others."""
    folder = ROOT / "inventories" / environment / "group_vars"
    assert [path.name for path in folder.iterdir()] == [environment]
    assert not (ROOT / "inventories" / environment / "host_vars").exists()


def test_the_parent_folder_is_no_inventory_and_each_environment_is_listed() -> None:
    (line,) = [each for each in (ROOT / "ansible.cfg").read_text().splitlines() if each.startswith("inventory = ")]
    listed = line.removeprefix("inventory = ").split(",")
    assert sorted(listed) == [f"inventories/{environment}" for environment in ENVIRONMENTS]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_passes_the_settings_check(environment: str, check_playbook: Path, tmp_path: Path) -> None:
    done = check(
        check_playbook, environment, **({} if environment == "staging" else {"plane_release_version": "v1.2.3"})
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


@pytest.mark.parametrize("inventory", ["tests/proxy/inventory", "molecule/swarm/inventory"])
def test_a_host_in_a_group_that_environments_leave_empty_has_its_settings(inventory: str, check_playbook: Path) -> None:
    done = check(check_playbook, "plane_proxy", "--inventory", str(ROOT / inventory))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "ok=1" in done.stdout


@pytest.fixture(scope="module")
def describe_playbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first step of verify.yml, alone: it renders all that a host should have, and touches none."""
    path = tmp_path_factory.mktemp("plays") / "describe.yml"
    roles = [{"role": role, "when": f"'{role}' in group_names"} for role in ("plane_api", "plane_graphql")]
    play = {
        "hosts": "plane_api:plane_graphql",
        "gather_facts": False,
        "vars": {"plane_stage": "describe"},
        "vars_files": [str(ROOT / "ansible/vars/tiers.yml")],
        "roles": roles,
    }
    path.write_text(yaml.safe_dump([play]))
    return path


@pytest.mark.parametrize("inventory", ["inventories/staging", "molecule/swarm/inventory"], ids=["systemd", "swarm"])
def test_what_a_host_should_have_is_rendered(inventory: str, describe_playbook: Path) -> None:
    done = ansible(
        "ansible-playbook", "--inventory", str(ROOT / inventory), "-l", "plane_api[0]", str(describe_playbook)
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "ok=" in done.stdout


@pytest.mark.parametrize("playbook", ["site.yml", "ansible/playbooks/verify.yml"])
def test_playbooks_are_well_formed(playbook: str) -> None:
    done = ansible("ansible-playbook", playbook, "--syntax-check")
    assert done.returncode == 0, done.stderr


def test_environments_differ_where_reality_differs(hosts: dict[str, Any]) -> None:
    groups = {environment: set(hosts[environment]["hosts"]) for environment in ENVIRONMENTS}
    graphql = set(hosts["plane_graphql"]["hosts"])
    assert not groups["community"] & graphql, "community has no GraphQL"
    assert groups["commercial"] <= graphql & set(hosts["plane_api"]["hosts"]), "commercial runs both on one host"
    variables = hosts["_meta"]["hostvars"]
    assert variables["cloud-api1"]["plane_api_tier"] == "medium"
    assert variables["commercial1"]["plane_api_max_requests_jitter"] == 150
    assert all(variables[next(iter(groups[name]))]["plane_environment"] == name for name in ENVIRONMENTS)


@pytest.mark.parametrize("environment", ["cloud", "commercial", "community"])
def test_production_inventories_hold_no_secret_and_only_documentation_addresses(
    environment: str, hosts: dict[str, Any]
) -> None:
    text = "".join(path.read_text() for path in (ROOT / "inventories" / environment).rglob("*.yml"))
    adopted = "plane_release_runtime: compose" in text
    for name in SECRETS:
        assert (f"{{{{ {name} }}}}" in text) != adopted, "an installation brings its own secrets"
    for host in hosts[environment]["hosts"]:
        assert hosts["_meta"]["hostvars"][host]["ansible_host"].startswith(("192.0.2.", "198.51.100.", "203.0.113."))


def test_a_run_that_spans_two_environments_is_refused(check_playbook: Path) -> None:
    done = check(check_playbook, "staging:cloud")
    assert done.returncode != 0
    assert "spans the environments cloud, staging" in done.stdout + done.stderr
    assert "-l cloud" in done.stdout + done.stderr


def test_an_unknown_variable_is_refused_with_the_nearest_name_and_where_it_stands(check_playbook: Path) -> None:
    done = check(check_playbook, "staging", plane_api_thread=4)
    assert done.returncode != 0
    assert (
        "plane_api_thread is 4. Allowed: a known variable; the nearest is plane_api_threads"
        in done.stdout + done.stderr
    )


def test_a_published_key_is_refused_outside_staging_without_being_shown(check_playbook: Path) -> None:
    key = "60gp0byfz2dvffa45cxl20p1scy9xbpf6d8c5y0geejgkyp1b5"
    done = check(check_playbook, "community", plane_release_secret_key=key)
    assert done.returncode != 0
    assert "plane_release_secret_key is (hidden). Allowed: a secret of your own" in done.stdout + done.stderr
    assert key not in done.stdout + done.stderr
