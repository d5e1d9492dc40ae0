"""Which units run with older files than there are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from process_model import units


def test_times_are_systemd_s_own_to_the_microsecond() -> None:
    assert units.seconds_of("Thu 1970-01-01 00:00:01.250000 UTC") == 1.25
    assert units.seconds_of("") == units.seconds_of("n/a") == 0.0


def test_a_unit_is_stale_where_one_of_its_files_is_newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "changed_at", {"old": 10.0, "new": 30.0}.__getitem__)
    file = tmp_path / "file"
    file.touch()
    os.utime(file, (20, 20))
    files = [str(file), str(tmp_path / "missing")]
    assert units.stale({"old": files, "new": files}) == ["old"]
