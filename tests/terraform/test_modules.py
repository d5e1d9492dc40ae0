"""Every module by itself: its form, and its own tests, which need neither credentials nor a network."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from aws import Tree, succeeded, terraform
from support import ROOT

MODULES = sorted(path.name for path in (ROOT / "terraform/modules").iterdir())


def test_every_file_is_formatted() -> None:
    assert succeeded(terraform(ROOT / "terraform", "fmt", "-check", "-recursive")) == ""


@pytest.mark.parametrize("module", MODULES)
def test_its_own_tests_pass(module: str, tree: Tree) -> None:
    folder = tree.root / "terraform/modules" / module
    succeeded(terraform(folder, "init", "-input=false", "-backend=false"))
    said = succeeded(terraform(folder, "test"))
    runs = sum(len(re.findall(r"^run ", path.read_text(), re.MULTILINE)) for path in folder.glob("tests/*.tftest.hcl"))
    assert f"{runs} passed, 0 failed" in said
    assert runs


@pytest.mark.parametrize("module", MODULES)
def test_it_has_the_same_files_as_the_others(module: str) -> None:
    names = {"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md", "tests"}
    assert names <= {path.name for path in (ROOT / "terraform/modules" / module).iterdir() if path.name != ".terraform"}


@pytest.mark.parametrize("module", MODULES)
def test_every_input_and_output_says_what_it_is(module: str) -> None:
    for name, kind in (("variables.tf", "variable"), ("outputs.tf", "output")):
        text = (ROOT / "terraform/modules" / module / name).read_text()
        blocks = re.findall(rf'^{kind} "(\w+)" {{\n(.*?)^}}', text, re.MULTILINE | re.DOTALL)
        assert blocks
        for block, body in blocks:
            assert "  description = " in body or "  description  = " in body, block
            assert kind == "output" or "  type " in body, block
            # A value may be left out, or null is not allowed: never by accident.
            assert kind == "output" or re.search(r"nullable\s+= false|default\s+= null", body), block


def test_every_refusal_names_the_value_and_what_is_allowed() -> None:
    texts = [path.read_text() for path in (ROOT / "terraform/modules").glob("*/*.tf")]
    messages = [
        message for text in texts for message in re.findall(r"error_message = (.*?)^ +}$", text, re.DOTALL | re.M)
    ]
    assert len(messages) > 30
    for message in messages:
        assert "Allowed: " in message, message
        assert "${" in message or "is null" in message or "is empty" in message, message


def test_at_least_40_assertions() -> None:
    texts = [path.read_text() for path in (ROOT / "terraform/modules").glob("*/tests/*.tftest.hcl")]
    assert sum(text.count("assert {") for text in texts) >= 40


class Bootstrap:
    """The script of a new host, with stand-ins for what it calls."""

    def __init__(self, tree: Tree, folder: Path) -> None:
        self.folder = folder
        self.host = folder / "host"
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.said = folder / "said"
        self.said.touch()
        bundle = folder / "bundle"
        for name, text in {
            "tools/setup.sh": "exit 0",
            ".venv/bin/activate": f"PATH={self.bin}:$PATH",
        }.items():
            path = bundle / name
            path.parent.mkdir(parents=True)
            path.write_text(f"#!/usr/bin/env bash\n{text}\n")
            path.chmod(0o755)
        subprocess.run(["tar", "czf", folder / "bundle.tar.gz", "-C", bundle, "."], check=True)
        self.command(
            "curl",
            'case "${@: -1}" in *instance-id) echo i-1 ;; *local-ipv4) echo 192.0.2.5 ;; *) echo eu-west-1 ;; esac',
        )
        self.command("aws", f'echo "aws $*" >>{self.said}; [ "$1" != s3 ] || cp {folder}/bundle.tar.gz "${{@: -1}}"')
        self.ansible(0)
        self.template = tree.root / "terraform/modules/api_fleet/bootstrap.sh.tftpl"

    def command(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/usr/bin/env bash\n{text}\n")
        path.chmod(0o755)

    def ansible(self, status: int) -> None:
        self.command("ansible-playbook", f'echo "ansible-playbook $*" >>{self.said}; exit {status}')

    def sha256(self) -> str:
        return subprocess.run(
            ["sha256sum", self.folder / "bundle.tar.gz"], capture_output=True, text=True, check=True
        ).stdout.split()[0]

    def run(self, sha256: str) -> tuple[int, list[str]]:
        """Exit status, and what was called."""
        main = self.folder / "main.tf"
        main.write_text(
            f"""output "script" {{
  value = templatefile("{self.template}", {{
    bundle      = {{ bucket = "bundles", key = "plane.tar.gz", sha256 = "{sha256}" }}
    environment = "staging"
    services    = ["plane_api"]
    group       = "plane-staging-api"
    proxies     = ["192.0.2.0/28"]
    namespace   = "Plane"
  }})
}}
"""
        )
        succeeded(terraform(self.folder, "apply", "-input=false", "-auto-approve"))
        script = self.folder / "script.sh"
        script.write_text(succeeded(terraform(self.folder, "output", "-raw", "script")))
        subprocess.run(["shellcheck", "--exclude=SC1091", script], check=True)
        done = subprocess.run(
            ["bash", script], capture_output=True, text=True, check=False,
            env={"PATH": f"{self.bin}:/usr/bin:/bin", "PLANE_BOOTSTRAP_FOLDER": str(self.host)},
        )  # fmt: skip
        return done.returncode, self.said.read_text().splitlines()


@pytest.fixture
def bootstrap(tree: Tree, tmp_path: Path) -> Bootstrap:
    return Bootstrap(tree, tmp_path)


def test_a_host_that_configured_itself_joins(bootstrap: Bootstrap) -> None:
    status, said = bootstrap.run(bootstrap.sha256())
    assert status == 0
    assert [line.split()[0] for line in said] == ["aws", "ansible-playbook", "ansible-playbook", "aws"]
    assert said[1].endswith("site.yml --limit staging")
    assert said[2].endswith("cloudwatch.yml --limit staging")
    assert said[-1].endswith("--instance-id i-1 --lifecycle-action-result CONTINUE")
    assert "plane_api: {hosts: {i-1: }}" in (bootstrap.host / "build/self/hosts.yml").read_text()


def test_a_host_whose_verification_failed_is_abandoned(bootstrap: Bootstrap) -> None:
    bootstrap.ansible(2)
    status, said = bootstrap.run(bootstrap.sha256())
    assert status == 2
    assert said[-1].endswith("--lifecycle-action-result ABANDON")


def test_a_bundle_with_another_checksum_is_not_run(bootstrap: Bootstrap) -> None:
    status, said = bootstrap.run("0" * 64)
    assert status != 0
    assert not any(line.startswith("ansible-playbook") for line in said)
    assert not (bootstrap.host / "tools").exists()
    assert said[-1].endswith("--lifecycle-action-result ABANDON")
