from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from process_model.releases import ReleaseError, build_archive, digest_of_installed, kind_of, to_prune


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "app" / "__pycache__").mkdir(parents=True)
    (root / "manage.py").write_text("#!/usr/bin/env python\n")
    (root / "manage.py").chmod(0o700)
    (root / "app" / "views.py").write_text("x = 1\n")
    (root / "app" / "__pycache__" / "views.pyc").write_bytes(b"compiled")
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("ref")
    return root


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("/srv/plane", "directory"),
        ("releases/plane-1.2.tar.gz", "archive"),
        ("/x/plane.zip", "archive"),
        ("git+https://forge.example/plane", "git"),
        ("git@forge.example:plane/plane", "git"),
        ("https://forge.example/plane.git", "git"),
        ("file:///srv/plane.git", "git"),
    ],
)
def test_the_kind_of_a_source_is_told_from_its_form(source: str, kind: str) -> None:
    assert kind_of(source) == kind


def test_the_archive_holds_the_code_and_not_what_tools_left(project: Path, tmp_path: Path) -> None:
    digest, archive = build_archive(project, tmp_path / "out")
    assert names(archive) == ["app", "app/views.py", "manage.py"]
    assert archive.name == f"{digest}.tar.gz"


def test_the_digest_depends_on_content_alone(project: Path, tmp_path: Path) -> None:
    first = build_archive(project, tmp_path / "out")
    os.utime(project / "manage.py", (1, 1))
    (project / "manage.py").chmod(0o755)
    assert build_archive(project, tmp_path / "out") == first
    (project / "app" / "views.py").write_text("x = 2\n")
    assert build_archive(project, tmp_path / "out") != first
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_directory_and_archive_of_the_same_project_are_the_same_release(project: Path, tmp_path: Path) -> None:
    wanted, _ = build_archive(project, tmp_path / "a")
    with tarfile.open(tmp_path / "forge.tar.gz", "w:gz") as tar:
        tar.add(project, arcname="plane-v1")
    with zipfile.ZipFile(tmp_path / "forge.zip", "w") as packed:
        for path in [project / "manage.py", project / "app" / "views.py"]:
            packed.write(path, path.relative_to(project))
    digest, archive = build_archive(tmp_path / "forge.tar.gz", tmp_path / "b")
    assert digest == wanted
    with tarfile.open(archive) as tar:
        assert {entry.mode for entry in tar if entry.isfile()} == {0o755, 0o644}
    _, archive = build_archive(tmp_path / "forge.zip", tmp_path / "c")
    assert names(archive) == ["app", "app/views.py", "manage.py"]


def test_the_project_may_be_a_folder_of_the_source(project: Path, tmp_path: Path) -> None:
    wanted, _ = build_archive(project, tmp_path / "a")
    repository = tmp_path / "repository"
    (repository / "web").mkdir(parents=True)
    project.rename(repository / "backend")
    assert build_archive(repository, tmp_path / "b", folder="backend")[0] == wanted
    with tarfile.open(tmp_path / "forge.tar.gz", "w:gz") as tar:
        tar.add(repository, arcname="plane-v1")
    assert build_archive(tmp_path / "forge.tar.gz", tmp_path / "c", folder="backend")[0] == wanted
    with pytest.raises(ReleaseError, match=r"web holds no manage\.py"):
        build_archive(repository, tmp_path / "d", folder="web")


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\x1f\x8b\x08\x00truncated"])
def test_a_broken_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(content)
    with pytest.raises(ReleaseError, match="no readable archive"):
        build_archive(broken, tmp_path / "out")


def test_a_source_that_does_not_exist_or_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="does not exist"):
        build_archive(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReleaseError, match=r"holds no manage\.py"):
        build_archive(tmp_path / "empty", tmp_path / "out")


def test_pruning_keeps_the_newest_and_whatever_a_colour_names() -> None:
    installed = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    assert to_prune(installed, in_use={"a"}, keep=2) == ["b"]
    assert to_prune(installed, in_use=set(), keep=0) == ["a", "b", "c", "d"]
    assert to_prune(installed, in_use=set(), keep=9) == []


@pytest.mark.parametrize(
    ("note", "digest"),
    [('{"version": "1", "digest": "abc"}', "abc"), ('{"version": "1"', None), ("{}", None), (None, None)],
)
def test_a_release_counts_as_installed_when_it_says_so_itself(
    note: str | None, digest: str | None, tmp_path: Path
) -> None:
    if note is not None:
        (tmp_path / "release.json").write_text(note)
    assert digest_of_installed(tmp_path) == digest
