"""make zero-loss in a small size: one of its operations, its clients, its table and its exit status."""

from __future__ import annotations

import re

from support import tool


def test_nothing_is_lost_while_workers_are_renewed() -> None:
    done = tool("tools/zero_loss.py", "--packages=pins", "--operations=recycle", "--workers=4", "--requests=0")
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("pins")]
    assert done.returncode == 0, done.stdout + done.stderr
    assert {(connection, method) for _, _, connection, method, *_ in rows} == {
        (connection, method) for connection in ("keep-alive", "close") for method in ("GET", "POST")
    }
    assert "0 failed" in done.stdout
    renewed = re.search(r"(\d+) workers were renewed by rotation", done.stdout)
    assert renewed
    assert int(renewed[1]) >= 4
    assert "0 of them not stored exactly once" in done.stdout
