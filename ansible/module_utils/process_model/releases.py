"""Releases: one deterministic archive from whatever the inventory names, and which old ones may go."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
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


def build_archive(source: Path, destination: Path, manage: str = "manage.py", folder: str = "") -> tuple[str, Path]:
    """Write the release at `source` into the folder `destination`; its SHA-256 and the archive, which is named by it.

    The same content gives the same bytes: names sorted, no owner, no time. The project is the folder `folder` of the
    source, and holds `manage`; an archive with everything in one top folder, as forges make them, is that folder.

    Raises ReleaseError where `source` does not exist, is no archive, or where there is no `manage`.
    """
    if source.is_dir():
        return _write(_root(source, manage, folder), destination)
    if not source.exists():
        raise ReleaseError(f"{source} does not exist")
    with tempfile.TemporaryDirectory(prefix="plane-release-") as unpacked:
        try:
            _unpack(source, Path(unpacked))
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise ReleaseError(f"{source} is no readable archive: {error}") from error
        return _write(_root(Path(unpacked), manage, folder), destination)


def texts_in(archive: Path, ending: str = ".txt") -> dict[str, str]:
    """Path -> text of the archive's files with that ending."""
    with tarfile.open(archive) as tar:
        return {
            member.name: content.read().decode(errors="replace")
            for member in tar
            if member.name.endswith(ending) and (content := tar.extractfile(member))
        }


def _unpack(source: Path, folder: Path) -> None:
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            archive.extractall(folder)  # noqa: S202 - zipfile drops absolute paths and `..` itself
        return
    with tarfile.open(source) as tar:
        tar.extractall(folder, filter="data")


def _root(source: Path, manage: str, folder: str) -> Path:
    inner = [path for path in source.iterdir() if path.is_dir() and path.name not in LEFT_OUT]
    for root in (source / folder, *(path / folder for path in inner if len(inner) == 1)):
        if (root / manage).exists():
            return root
    raise ReleaseError(f"{source / folder} holds no {manage}: not the root of a Django project")


def _write(root: Path, destination: Path) -> tuple[str, Path]:
    destination.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(_files(root)):
            tar.add(path, arcname=str(path.relative_to(root)), recursive=False, filter=_anonymous)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    archive = destination / f"{digest}.tar.gz"
    if not archive.exists():
        temporary = destination / f"{digest}.{os.getpid()}.partial"
        temporary.write_bytes(content)
        os.replace(temporary, archive)
    return digest, archive


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


def digest_of_installed(release: Path) -> str | None:
    """The digest of the release in this folder of a host; None where it is not installed, or not to its end."""
    try:
        return str(json.loads((release / "release.json").read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError):
        return None


def to_prune(installed: dict[str, float], in_use: set[str], keep: int) -> list[str]:
    """Which releases may be removed: all but the `keep` newest, and never one that a colour names.

    installed: version to time of installation, in seconds since 1970. in_use: versions that a colour's link names.
    """
    newest_first = sorted(installed, key=lambda version: (installed[version], version), reverse=True)
    return sorted(version for version in newest_first[max(keep, 0) :] if version not in in_use)


def python_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's Python files; that of nothing where there is no such folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
