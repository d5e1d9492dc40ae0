"""How workers are renewed: the table of what recycling loses, the choice by it, and the version that a release pins."""

from __future__ import annotations

import pytest
from process_model import recycling


@pytest.mark.parametrize(
    ("worker_class", "version", "kept", "method", "repeated", "lost"),
    [
        ("gthread", "23.0.0", False, "POST", True, 40),
        ("gthread", "23.0.0", False, "GET", True, 0),
        ("gthread", "23.0.0", False, "GET", False, 40),
        ("gthread", "23.0.0", True, "POST", False, 245),
        ("gthread", "24.1.1", False, "POST", True, 0),
        ("gthread", "26.2.0", True, "POST", False, 214),
        ("gthread", "27.0.1", True, "POST", False, 0),
        ("gthread", "28.1", True, "POST", False, 0),
        ("uvicorn", "27.0.1", False, "POST", True, 108),
        ("uvicorn", "27.0.1", False, "HEAD", True, 0),
    ],
)
def test_what_recycling_loses(
    worker_class: str, version: str, kept: bool, method: str, repeated: bool, lost: int
) -> None:
    assert recycling.lost(worker_class, version, kept, method, repeated) == lost


def test_a_version_that_is_not_known_loses_what_the_oldest_does() -> None:
    assert recycling.lost("gthread", "", kept=False, method="POST", repeated=True) == 40


def test_every_entry_names_where_its_figures_are_from() -> None:
    for entry in recycling.MEASURED:
        assert entry.source.startswith("docs/claims.md")


@pytest.mark.parametrize(
    ("asked", "worker_class", "version", "change", "max_requests", "strategy"),
    [
        ("auto", "gthread", "23.0.0", "start-first", 1200, "rotation"),
        ("auto", "gthread", "24.1.1", "start-first", 1200, "gunicorn"),
        ("auto", "gthread", "", "start-first", 1200, "rotation"),
        ("auto", "gthread", "23.0.0", "start-first", 0, "gunicorn"),
        ("auto", "uvicorn", "27.0.1", "start-first", 1200, "rotation"),
        ("auto", "gthread", "23.0.0", "stop-first", 1200, "gunicorn"),
        ("rotation", "gthread", "27.0.1", "start-first", 0, "rotation"),
        ("gunicorn", "gthread", "27.0.1", "start-first", 1200, "gunicorn"),
    ],
)
def test_the_strategy(
    asked: str, worker_class: str, version: str, change: str, max_requests: int, strategy: str
) -> None:
    chosen = recycling.choose("plane-api", asked, worker_class, version, change, max_requests)

    assert chosen.strategy == strategy
    assert chosen.refusal == ""
    assert chosen.why


def test_recycling_that_loses_writes_is_refused() -> None:
    chosen = recycling.choose("plane-api", "gunicorn", "gthread", "23.0.0", "start-first", 1200)

    assert chosen.refusal == (
        "plane_api_recycling is gunicorn, but gunicorn 23.0.0 with gthread loses writes when it recycles "
        "(docs/claims.md, gunicorn 23.0.0). Allowed: auto or rotation, or a newer gunicorn"
    )


def test_rotation_without_room_for_two_instances_is_refused() -> None:
    chosen = recycling.choose("plane-graphql", "rotation", "uvicorn", "23.0.0", "stop-first", 1200)

    assert "plane_graphql_change is stop-first. Allowed: gunicorn, or start-first" in chosen.refusal


def test_the_pinned_version_is_found_through_included_files() -> None:
    texts = {
        "requirements/production.txt": "-r base.txt\n# gunicorn==1.0\n",
        "requirements/base.txt": "Django==4.2.28\ngunicorn==23.0.0 \\\n    --hash=sha256:0\n-r production.txt\n",
    }
    assert recycling.pinned(texts, "requirements/production.txt") == "23.0.0"


@pytest.mark.parametrize("line", ["gunicorn>=23", "gunicorn", "gunicorn-extra==1.0", "-r missing.txt", ""])
def test_a_version_that_is_not_pinned_is_not_made_up(line: str) -> None:
    assert recycling.pinned({"requirements.txt": line}, "requirements.txt") == ""
