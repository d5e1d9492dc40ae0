"""The lock of a host: one run at a time, an owner and an age for who has to wait, none of a dead run for ever."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from pathlib import Path

import pytest
from process_model import lock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "lock"


@pytest.fixture
def mine() -> lock.Owner:
    return lock.owner_of_process(os.getpid())


@pytest.fixture
def theirs() -> lock.Owner:
    """A run on another machine: nobody here knows whether it lives."""
    return lock.Owner("grace", "controller (boot 1234abcd)", 4711, 99)


def test_the_run_that_has_it_keeps_it_and_gives_it_back(path: Path, mine: lock.Owner) -> None:
    assert lock.take(mine, path=path)
    assert not lock.take(mine, path=path)
    assert lock.release(mine, path)
    assert lock.read(path) is None
    assert not lock.release(mine, path)


def test_another_run_is_told_who_has_it_how_long_and_how_to_break_it(
    path: Path, mine: lock.Owner, theirs: lock.Owner
) -> None:
    lock.take(theirs, path=path)
    with pytest.raises(lock.LockedError) as refused:
        lock.take(mine, path=path)
    said = str(refused.value)
    assert "grace on controller (boot 1234abcd)" in said
    assert "for 0 min" in said
    assert "process 4711" in said
    assert lock.BREAK in said
    held = lock.read(path)
    assert held is not None
    assert held.is_same_run(theirs)
    assert abs(held.since - time.time()) < 60


def test_it_does_not_give_back_what_another_run_holds(path: Path, mine: lock.Owner, theirs: lock.Owner) -> None:
    lock.take(theirs, path=path)
    assert not lock.release(mine, path)
    assert lock.read(path) is not None


def test_anybody_may_break_it(path: Path, theirs: lock.Owner) -> None:
    lock.take(theirs, path=path)
    assert lock.release(None, path)
    assert lock.read(path) is None


def test_a_run_that_has_ended_on_this_machine_holds_nothing(path: Path, mine: lock.Owner) -> None:
    child = subprocess.Popen(["sleep", "600"])
    dead = lock.owner_of_process(child.pid)
    lock.take(dead, path=path)
    with pytest.raises(lock.LockedError):
        lock.take(mine, path=path)
    child.kill()
    child.wait()
    assert lock.take(mine, path=path)


def test_a_process_number_that_was_given_again_is_another_run(path: Path, mine: lock.Owner) -> None:
    lock.take(dataclasses.replace(mine, start_ticks=mine.start_ticks - 1), path=path)
    assert lock.take(mine, path=path)


def test_the_controller_may_say_that_a_run_has_ended(path: Path, mine: lock.Owner, theirs: lock.Owner) -> None:
    lock.take(theirs, path=path)
    assert lock.take(mine, over=theirs, path=path)


def test_what_it_said_of_one_run_is_not_believed_of_the_next(path: Path, mine: lock.Owner, theirs: lock.Owner) -> None:
    lock.take(dataclasses.replace(theirs, process=4712), path=path)
    with pytest.raises(lock.LockedError):
        lock.take(mine, over=theirs, path=path)


@pytest.mark.parametrize("text", ["", "{", '{"user": "grace"}', "[]"])
def test_a_file_without_an_owner_is_nobodys(path: Path, mine: lock.Owner, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    assert lock.take(mine, path=path)


def test_what_a_run_that_was_killed_left_for_a_next_start_goes_with_its_lock(path: Path, mine: lock.Owner) -> None:
    lock.take(mine, path=path)
    left = path.parent / "plane-api@blue.start"
    left.write_text("PLANE_PRESTART=skip\n")
    assert not lock.take(mine, path=path)
    assert left.exists(), "it is this run's own"
    lock.release(mine, path)
    lock.take(mine, path=path)
    assert not left.exists()


def test_a_rotation_is_waited_for_and_one_that_was_killed_is_not(path: Path, mine: lock.Owner) -> None:
    running = subprocess.Popen(["sleep", "60"])
    rotation = lock.owner_of_process(running.pid, lock.ROTATION)
    lock.take(rotation, path=path)
    lock.wait_for_rotation(limit_seconds=0.3, path=path)
    assert not rotation.has_ended(), "it was waited for in vain"
    running.kill()
    running.wait()
    assert lock.take(mine, path=path)
