from __future__ import annotations

from typing import Any

from process_model.report import (
    accepted_lines,
    build_report,
    describe_model,
    mismatch_lines,
    rows,
    table,
)


def verdict(**changes: Any) -> dict[str, Any]:
    return {
        "live": "blue",
        "desired": {"model": {"worker_class": "gthread", "workers": 2, "threads": 8}},
        "observed": {"worker_class": "gthread", "workers": 2, "threads": 8},
        "evidence": ["argv", "Server header"],
        "mismatches": [],
        "match": True,
        "seconds": 0.2,
        **changes,
    }


def test_the_report_says_environment_hosts_services_and_the_whole_verdict() -> None:
    report = build_report("staging", "2026-01-01T00:00:00+00:00", {"api1": {"plane-api": verdict()}})
    assert report["environment"] == "staging"
    assert report["match"] is True
    service = report["hosts"]["api1"]["plane-api"]
    assert set(service) == {
        "live",
        "desired",
        "observed",
        "evidence",
        "mismatches",
        "accepted",
        "match",
        "seconds",
    }


def test_one_mismatch_anywhere_fails_the_whole_report() -> None:
    bad = verdict(match=False, mismatches=[{"what": "threads", "message": "threads is 1, should be 8"}])
    report = build_report("staging", "t", {"api1": {"plane-api": verdict()}, "api2": {"plane-api": bad}})
    assert report["match"] is False
    assert mismatch_lines(report) == ["api2 plane-api: threads is 1, should be 8"]


def test_processes_that_were_killed_for_memory_are_said_and_no_mismatch() -> None:
    desired = {**verdict()["desired"], "service": "plane-api", "limits": {"memory_bytes": 512 << 20}}
    killed = verdict(desired=desired, observed={"colour": "blue", "killed_for_memory": 2})
    report = build_report("staging", "t", {"api1": {"plane-api": killed}, "api2": {"plane-api": verdict()}})
    assert report["match"] is True
    (line,) = report["out_of_memory"]
    assert line == (
        "api1 plane-api: out of memory: since blue was started the kernel has killed 2 of its processes; "
        "plane_api_memory_limit is 512 MiB: fewer slots for heavy routes, or more memory (docs/sizing.md)"
    )


def test_a_report_without_any_answer_is_no_success() -> None:
    assert build_report("staging", "t", {})["match"] is False


def test_models_are_shown_as_people_write_them() -> None:
    assert describe_model("gthread", 2, 8) == "gthread 2×8"
    assert describe_model("uvicorn", 2, None) == "uvicorn ×2"
    assert describe_model("gthread", 2, None) == "gthread 2×?"
    assert describe_model(None, None, None) == "nothing runs"


def test_the_table_has_a_line_for_each_service_and_columns_that_line_up() -> None:
    report = build_report("staging", "t", {"api1": {"plane-api": verdict()}, "longer-name": {"plane-api": verdict()}})
    headings, *lines = table(rows(report))
    assert [line[: len("longer-name")].strip() for line in lines] == ["api1", "longer-name"]
    assert {line.index("plane-api") for line in lines} == {headings.index("SERVICE")}


def test_an_accepted_risk_is_repeated_and_is_no_mismatch() -> None:
    accepted = verdict(accepted=["accepted risk host: plane_api_memory_limit is ..."])
    report = build_report("staging", "2026-01-01T00:00:00+00:00", {"api1": {"plane-api": accepted}})
    assert report["match"] is True
    assert accepted_lines(report) == ["api1 plane-api: accepted risk host: plane_api_memory_limit is ..."]
