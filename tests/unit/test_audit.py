"""What the audit concludes from the states that requests found."""

from __future__ import annotations

from typing import Any

import pytest
from process_model import audit


def value(token: str, mechanism: str = "ContextVar", kind: str = "builtins.str") -> dict[str, str]:
    return {"mechanism": mechanism, "type": kind, "token": token}


def found(*seen: tuple[str, str, dict[str, Any], dict[str, Any]]) -> dict[str, audit.Finding]:
    return {finding.name: finding for finding in audit.findings(seen)}


def test_what_a_request_sets_and_nobody_resets_is_found_with_the_requests_that_left_it() -> None:
    result = found(
        ("ada", "GET /a", {}, {"zone": value("1")}),
        ("grace", "GET /a", {"zone": value("1")}, {"zone": value("2")}),
        ("ada", "GET /b", {"zone": value("2")}, {"zone": value("2")}),
    )
    assert result["zone"].left_by == ["GET /a"]
    assert result["zone"].differs
    assert result["zone"].isolated


def test_what_was_there_before_and_stays_is_nobody_elses() -> None:
    assert found(("ada", "GET /a", {"x": value("1")}, {"x": value("1")})) == {}


def test_the_same_value_for_every_user_is_said_to_be_the_same() -> None:
    result = found(
        ("ada", "GET /a", {}, {"flag": value("1")}),
        ("grace", "GET /a", {"flag": value("0")}, {"flag": value("1")}),
    )
    assert not result["flag"].differs


def test_a_thread_local_is_not_covered_and_comes_first() -> None:
    seen: tuple[str, str, dict[str, Any], dict[str, Any]]
    seen = ("ada", "GET /a", {}, {"a": value("1"), "z.user": value("1", "threading.local")})
    assert [(finding.name, finding.isolated) for finding in audit.findings([seen])] == [("z.user", False), ("a", True)]
    assert "DOES NOT COVER IT" in audit.table(audit.findings([seen]))[1]


def test_connections_that_are_kept_on_purpose_are_no_finding() -> None:
    assert found(("ada", "GET /a", {}, {"django.db.connections.default": value("1", "threading.local")})) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"users": {"ada": {}}, "requests": [{"path": "/"}]}',
        '{"users": {"ada": {}, "grace": {}}, "requests": []}',
        '{"users": {"ada": {}, "grace": {}}, "requests": [{"path": "no-slash"}]}',
        '{"users": {"ada": {}, "grace": {}}, "requests": [{"method": "GET"}]}',
        '{"users": ["ada", "grace"], "requests": [{"path": "/"}]}',
    ],
)
def test_a_file_that_cannot_be_right_is_refused(text: str) -> None:
    with pytest.raises(audit.AuditError):
        audit.read_requests(text)


def test_a_request_is_a_get_unless_it_says_otherwise() -> None:
    text = '{"users": {"ada": {"X": "1"}, "grace": {}}, "requests": [{"path": "/a"}, {"path": "/b", "method": "POST"}]}'
    assert [request.method for request in audit.read_requests(text).requests] == ["GET", "POST"]
