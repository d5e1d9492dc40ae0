"""The lab's own logic, without a host."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import lab


@pytest.fixture
def memory_of_podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    files = [tmp_path / "alive", tmp_path / "ipam.db"]
    for file in files:
        file.touch()
    monkeypatch.setattr(lab, "PODMAN_ALIVE", files[0])
    monkeypatch.setattr(lab, "PODMAN_ADDRESSES", files[1])
    return files


def test_what_podman_wrote_before_the_machine_was_rebooted_is_forgotten(memory_of_podman: list[Path]) -> None:
    os.utime(memory_of_podman[0], (0, 0))

    lab.forget_a_former_boot()

    assert not any(file.exists() for file in memory_of_podman)


def test_what_podman_wrote_since_the_machine_was_booted_is_kept(memory_of_podman: list[Path]) -> None:
    os.utime(memory_of_podman[0], (time.time(), time.time()))

    lab.forget_a_former_boot()

    assert all(file.exists() for file in memory_of_podman)


def test_hosts_outside_of_one_network_are_refused() -> None:
    hosts = [lab.Host("one", "10.203.10.11"), lab.Host("two", "192.0.2.7")]

    with pytest.raises(SystemExit, match="share one /24 network"):
        lab.subnet_of(hosts)


def test_who_watches_is_named_by_its_group() -> None:
    hosts = lab.read_hosts(lab.ROOT / "tests/observability/inventory")
    assert [host.name for host in hosts if host.monitoring] == ["observed-monitor1"]
