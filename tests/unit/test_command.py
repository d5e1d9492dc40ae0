"""plane-process-model: what it finds out before it starts or switches anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from process_model import command


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """/etc of a host with a blue and a green colour of plane-api; both whole."""
    for colour in ("blue", "green"):
        folder = tmp_path / "etc/plane-api" / colour
        folder.mkdir(parents=True)
        names = ("environment", "entrypoint.sh", "gunicorn.conf.py", "admission.cfg")
        for name in (*names, "fingerprint"):
            (folder / name).write_text("")
        files = {f"/etc/plane-api/{colour}/{name}": "its digest" for name in names}
        (folder / "desired.json").write_text(json.dumps({"service": "plane-api", "files": files}))
        (folder / "environment").write_text('# managed\nDATABASE_URL="postgres://x"\nSECRET_KEY="a=b"\n')
        release = tmp_path / "releases" / colour
        (release / "code").mkdir(parents=True)
        (release / "venv/bin").mkdir(parents=True)
        python = release / "venv/bin/python"
        python.write_text("#!/bin/sh\nexit 0\n")
        python.chmod(0o755)
        (folder / "release").symlink_to(release)
    return tmp_path / "etc"


def test_a_whole_colour_can_be_gone_back_to(etc: Path) -> None:
    assert command.obstacles("plane-api", "blue", etc) == []


def test_a_colour_that_an_interrupted_run_left_cannot(etc: Path) -> None:
    (etc / "plane-api/blue/desired.json").unlink()
    (found,) = command.obstacles("plane-api", "blue", etc)
    assert "has no desired.json" in found


@pytest.mark.parametrize("name", ["entrypoint.sh", "fingerprint"])
def test_a_colour_without_one_of_its_files_cannot(etc: Path, name: str) -> None:
    (etc / "plane-api/blue" / name).unlink()
    (found,) = command.obstacles("plane-api", "blue", etc)
    assert f"has no {name} in" in found


def test_a_release_that_was_removed_is_named(etc: Path) -> None:
    (etc / "plane-api/blue/release/code").rmdir()
    (found,) = command.obstacles("plane-api", "blue", etc)
    assert "releases/blue, has been removed" in found


@pytest.mark.parametrize("how", ["broken", "gone"])
def test_a_release_whose_python_no_longer_runs_is_named(etc: Path, how: str) -> None:
    python = etc / "plane-api/blue/release/venv/bin/python"
    if how == "gone":
        python.unlink()
    else:
        python.write_text("#!/bin/sh\nexit 1\n")
    (found,) = command.obstacles("plane-api", "blue", etc)
    assert "does not run gunicorn any more" in found


def test_connections_that_differ_are_named_without_their_values(etc: Path) -> None:
    assert command.other_connections("plane-api", "blue", "green", etc) == []
    (etc / "plane-api/blue/environment").write_text('DATABASE_URL="postgres://y"\nSECRET_KEY="a=b"\nDEBUG="1"\n')
    assert command.other_connections("plane-api", "blue", "green", etc) == ["DATABASE_URL"]


def test_it_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["switch", "plane-api", "purple"])
    assert ended.value.code == 2
    assert "purple" in capsys.readouterr().err
