"""The benchmark finds, starts and measures what it compares, and its page has every row. No figure is judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT, Host, tool, undo_change

# One of each kind that needs a host in this state: alone, deployed, and a deployed one with something else in it.
VARIANTS = ("gthread", "gthread-admission", "gthread-pool")
EXPERIMENT = f"""
question: Does it measure?
claim: docs/claims.md
variants: [{", ".join(VARIANTS)}]
repetitions: 1
seconds: 1
cases: &cases {{both: {{small: {{clients: 2}}, heavy: {{clients: 2}}}}}}
quick: {{repetitions: 1, seconds: 1, cases: *cases}}
plots: [{{load: small, metric: p99, unit: ms}}]
"""


@pytest.fixture
def changed_by_it(api1: Host) -> Iterator[Host]:
    yield api1
    undo_change((api1, "plane-api"))


def test_what_is_deployed_is_measured_beside_what_is_started_for_it(tmp_path: Path, changed_by_it: Host) -> None:
    experiment = tmp_path / "one.yml"
    experiment.write_text(EXPERIMENT)
    done = tool("-m", "bench", "--quick", "--experiment", str(experiment))
    assert done.returncode == 0, done.stdout + done.stderr

    folder = ROOT / "build" / "bench" / "quick"
    found = [json.loads(path.read_text()) for path in (folder / "results" / "one").iterdir()]
    assert {each["measurement"]["variant"] for each in found} == set(VARIANTS)
    for each in found:
        for tally in each["measurement"]["tallies"].values():
            assert tally["answered"] > 0
            assert tally["failed"] == {}
    page = (folder / "report.html").read_text()
    assert all(each["variant"]["title"] in page for each in found)
    assert changed_by_it.run("systemctl list-units --no-legend 'plane-api-bench-*'") == ""
