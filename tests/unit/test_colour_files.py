"""The module that writes a colour's files, run by Ansible on this machine."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def write(directory: Path, content: str, *arguments: str) -> dict[str, Any]:
    """What the module answers."""
    given = {
        "directory": str(directory),
        "files": [{"name": "environment", "content": content, "mode": "0640"}],
        "links": {"release": "/srv/plane/releases/1"},
    }
    done = subprocess.run(
        ["ansible", "localhost", "-m", "colour_files", "-a", json.dumps(given), *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1", "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.oneline",
             "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_LOCALHOST_WARNING": "0"},
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout.partition("=> ")[2])
    return answer


def test_files_are_written_as_a_whole_and_only_where_they_differ(tmp_path: Path) -> None:
    directory = tmp_path / "green"
    file, link = directory / "environment", directory / "release"

    assert write(directory, "A=1\n", "--check")["written"] == ["environment", "release"]
    assert not directory.exists(), "check mode changes nothing"

    assert write(directory, "A=1\n")["changed"]
    assert (file.read_text(), oct(file.stat().st_mode & 0o7777)) == ("A=1\n", "0o640")
    assert os.readlink(link) == "/srv/plane/releases/1"
    assert not write(directory, "A=1\n")["changed"]

    file.chmod(0o666)
    link.unlink()
    link.symlink_to("/elsewhere")
    assert write(directory, "A=1\n")["written"] == ["environment", "release"]
    assert oct(file.stat().st_mode & 0o7777) == "0o640"

    former = os.open(file, os.O_RDONLY)
    assert write(directory, "A=2\n")["written"] == ["environment"]
    assert os.read(former, 10) == b"A=1\n", "who has it open goes on reading what was there"
    os.close(former)
    assert [path.name for path in sorted(directory.iterdir())] == ["environment", "release"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert f"{tmp_path}/file/green: Not a directory" in write(tmp_path / "file" / "green", "A=1\n")["msg"]
