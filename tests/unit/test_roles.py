"""The public roles are data that agrees with itself; the tree holds nothing that belongs to one machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = ROOT / "ansible" / "roles"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def options(role: str) -> dict[str, Any]:
    found: dict[str, Any] = load(ROLES / role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    return found


PUBLIC = ["plane_api", "plane_graphql", "plane_release", "plane_proxy", "plane_observability"]


@pytest.mark.parametrize("role", PUBLIC)
def test_defaults_and_argument_spec_name_the_same_variables(role: str) -> None:
    defaults = load(ROLES / role / "defaults/main.yml")
    required = {name for name, option in options(role).items() if option.get("required")}
    assert set(defaults) | required == set(options(role))
    assert not set(defaults) & required


@pytest.mark.parametrize("role", PUBLIC)
def test_defaults_and_argument_spec_give_the_same_values(role: str) -> None:
    for name, value in load(ROLES / role / "defaults/main.yml").items():
        if isinstance(value, str) and "{{" in value:
            continue
        assert options(role)[name].get("default") == value, name


def test_readmes_are_what_the_specs_say() -> None:
    subprocess.run([sys.executable, ROOT / "tools/role_readmes.py", "--check"], check=True)


def test_the_two_services_have_the_same_variables_of_the_same_types() -> None:
    shapes = [
        {
            name.removeprefix(f"{role}_"): (option["type"], option.get("choices"))
            for name, option in options(role).items()
        }
        for role in ("plane_api", "plane_graphql")
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("role", ["plane_api", "plane_graphql"])
def test_a_public_role_hands_every_variable_over_in_one_include(role: str) -> None:
    (task,) = load(ROLES / role / "tasks/main.yml")
    assert task["ansible.builtin.include_role"]["name"] == "gunicorn_service"
    handed = set(re.findall(rf"{role}_\w+", str(task["vars"])))
    # Filled into others, or read by the preflight alone.
    assert set(options(role)) - handed == {f"{role}_tier", f"{role}_listen_wide"}


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_registry_and_no_path_of_one_machine_is_in_the_tree() -> None:
    """Tools find registries in the machine's settings; names are put together here so that this file passes."""
    words = ["pypi" + ".org", "pythonhosted" + ".org", "deb." + "debian.org", "docker" + ".io/", "ghcr" + ".io",
             "quay" + ".io", "registry." + "npmjs", "galaxy." + "ansible.com", "/" + "work/", "/opt/" + "tf-plugins",
             ".pyenv/" + "versions/3.1" + "3.0"]  # fmt: skip
    found = []
    for path in tracked_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in words if word in text]
    assert found == []
