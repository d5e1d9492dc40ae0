"""Releases: one deterministic archive from whatever the inventory names, and which old ones may go."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
LEFT_OUT = {".git", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".venv", "node_modules"}


class ReleaseError(Exception):
    """A source that is no release; the message says what was expected."""


def kind_of(source: str) -> str:
    """`git`, `archive` or `directory`, told from the form of the source alone."""
    if source.startswith(("git+", "git@", "git://", "ssh://")) or source.rstrip("/").endswith(".git"):
        return "git"
    if source.endswith(ARCHIVE_ENDINGS):
        return "archive"
    return "directory"


def build_archive(source: Path, destination: Path, manage: str = "manage.py") -> str:
    """Write the release at `source` to `destination` as .tar.gz and return its SHA-256.

    The same content gives the same bytes: names sorted, no owner, no time. The root of the archive is the folder that
    holds `manage`: an archive with everything in one top folder (as forges make them) counts as that folder.

    Raises ReleaseError where `source` does not exist, is no archive, or holds no `manage` at its root.
    """
    if source.is_dir():
        return _write(source, destination, manage)
    if not source.exists():
        raise ReleaseError(f"{source} does not exist")
    with tempfile.TemporaryDirectory(prefix="plane-release-") as folder:
        try:
            _unpack(source, Path(folder))
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise ReleaseError(f"{source} is no readable archive: {error}") from error
        return _write(Path(folder), destination, manage)


def _unpack(source: Path, folder: Path) -> None:
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            archive.extractall(folder)  # noqa: S202 - zipfile drops absolute paths and `..` itself
        return
    with tarfile.open(source) as tar:
        tar.extractall(folder, filter="data")


def _root(folder: Path, manage: str) -> Path:
    if (folder / manage).exists():
        return folder
    inner = [path for path in folder.iterdir() if path.is_dir() and path.name not in LEFT_OUT]
    if len(inner) == 1 and (inner[0] / manage).exists():
        return inner[0]
    raise ReleaseError(f"{folder} holds no {manage} at its root: not the root of a Django project")


def _write(folder: Path, destination: Path, manage: str) -> str:
    root = _root(folder, manage)
    destination.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(_files(root)):
            tar.add(path, arcname=str(path.relative_to(root)), recursive=False, filter=_anonymous)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    if not destination.exists() or destination.read_bytes() != content:
        temporary = destination.with_suffix(".partial")
        temporary.write_bytes(content)
        os.replace(temporary, destination)
    return digest


def _files(root: Path) -> Iterable[Path]:
    for directory, names, files in os.walk(root):
        names[:] = [name for name in names if name not in LEFT_OUT]
        for name in names + files:
            if not name.endswith(".pyc"):
                yield Path(directory) / name


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = 0
    # Readable by the service, writable by root alone, whatever the umask of whoever made the release.
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def to_prune(installed: dict[str, float], in_use: set[str], keep: int) -> list[str]:
    """Which releases may be removed: all but the `keep` newest, and never one that a colour names.

    installed: version to time of installation, in seconds since 1970. in_use: versions that a colour's link names.
    """
    newest_first = sorted(installed, key=lambda version: (installed[version], version), reverse=True)
    return sorted(version for version in newest_first[max(keep, 0) :] if version not in in_use)
