"""promote.yml for an environment whose hosts nobody can reach: what is refused is refused before any is asked."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from process_model import promotion
from support import ROOT, playbook

PROMOTE = "ansible/playbooks/promote.yml"
SECRETS: dict[str, Any] = {
    f"vault_plane_release_{name}": f"value-of-{name}-for-this-test"
    for name in ("database_url", "redis_url", "amqp_url", "secret_key", "live_server_secret_key")
}
RELEASE: dict[str, Any] = {
    "plane_release_source": str(ROOT / "lab/application"),
    "plane_release_requirements": "requirements/pins.txt",
    "ansible_ssh_timeout": 1,
    "ansible_ssh_retries": 0,
}


def promote(records: Path, **variables: Any) -> subprocess.CompletedProcess[str]:
    return playbook(PROMOTE, "cloud", **SECRETS, **RELEASE, promote_records=str(records), **variables)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What cloud would get, by the roles themselves."""
    folder = tmp_path_factory.mktemp("identity")
    play = {
        "hosts": "plane_api:plane_graphql",
        "gather_facts": False,
        "vars": {"plane_stage": "identify"},
        "vars_files": [str(ROOT / "ansible/vars/tiers.yml")],
        "roles": [
            {"role": "plane_api", "when": "'plane_api' in group_names"},
            {"role": "plane_graphql", "when": "'plane_graphql' in group_names"},
        ],
        "post_tasks": [
            {
                "name": "Keep it",
                "ansible.builtin.copy": {
                    "dest": str(folder / "identity-{{ inventory_hostname }}.json"),
                    "content": "{{ gunicorn_service_identities | to_json }}",
                    "mode": "0600",
                },
                "delegate_to": "localhost",
                "become": False,
            }
        ],
    }
    (folder / "identify.yml").write_text(yaml.safe_dump([play]))
    done = playbook(str(folder / "identify.yml"), "cloud", **SECRETS, **RELEASE)
    assert done.returncode == 0, done.stdout[-2000:]
    found: dict[str, Any] = {}
    for path in folder.glob("identity-*.json"):
        found.update(json.loads(path.read_text()))
    return found


def judged(records: Path, identity: dict[str, Any], verdict: str = "pass") -> None:
    content = {"time": promotion.utc_now().isoformat(), "verdict": verdict, "reasons": ["slower"], "identity": identity}
    promotion.append(records, "staging", promotion.GATE, content)


def test_without_a_gate_it_is_refused_before_any_host_is_asked(tmp_path: Path) -> None:
    done = promote(tmp_path)
    assert done.returncode != 0
    assert "cloud must not get it; no host was touched." in done.stdout
    assert "staging has no record of its gate: make bake ENV=staging" in done.stdout
    assert "UNREACHABLE" not in done.stdout


def test_something_else_than_what_passed_is_refused_before_any_host_is_asked(
    tmp_path: Path, identity: dict[str, Any]
) -> None:
    judged(tmp_path, identity)
    done = promote(tmp_path, plane_api_worker_class="")
    assert done.returncode != 0
    assert "the process model of plane-api is not the one that passed in staging" in done.stdout
    assert "of plane-graphql is not" not in done.stdout
    assert "UNREACHABLE" not in done.stdout


def test_what_passed_goes_on_to_the_hosts(tmp_path: Path, identity: dict[str, Any]) -> None:
    judged(tmp_path, identity)
    done = promote(tmp_path)
    assert "must not get it" not in done.stdout
    assert "UNREACHABLE" in done.stdout, "nobody can reach them, so it ends there"
    assert promotion.read(tmp_path, "cloud") == [], "what did not arrive is not recorded"


def test_an_override_names_who_and_why(tmp_path: Path) -> None:
    done = promote(tmp_path, promote_override_by="ada")
    assert "an override names who and why" in done.stdout
    assert "UNREACHABLE" not in done.stdout
    done = promote(tmp_path, promote_override_by="ada", promote_override_why="an outage")
    assert "overridden by ada (an outage): staging has no record" in done.stdout + done.stderr
    assert "UNREACHABLE" in done.stdout
