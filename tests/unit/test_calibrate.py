"""From what an instance held to the calculator's coefficients; the instance itself is measured in tests/lab."""

from __future__ import annotations

from pathlib import Path

import pytest
from process_model.calibrate import (
    CalibrationError,
    Endpoint,
    Gate,
    PerRequest,
    at_once,
    fit_requests,
    growth,
    held,
    read_requests,
)
from process_model.sizing import MIB


def endpoint(payload: int, alone: float, together: float, waiting: float, begun: int) -> Endpoint:
    return Endpoint("/", payload, alone, together, waiting, begun, 0.1)


def test_a_small_and_a_large_answer_tell_all_that_a_request_takes() -> None:
    """16 clients, 1 MiB and 3 payloads each, 3.5 more while it is put together, 5 of them at once, threads of 1 KiB."""
    each = MIB + 1024
    small = endpoint(0, each, 16 * each, 16 * each, 16)
    waiting = 16 * (each + 3 * 5 * MIB)
    large = endpoint(5 * MIB, each + 6.5 * 5 * MIB, waiting + 5 * 3.5 * 5 * MIB, waiting, 16)
    found = fit_requests([large, small], thread=1024)
    assert found.request == pytest.approx(MIB)
    assert found.copies == pytest.approx(3)
    assert found.transient == pytest.approx(3.5)
    assert found.at_once == pytest.approx(5)
    assert found.asked == 16


def test_one_size_is_all_payload() -> None:
    found = fit_requests([endpoint(5 * MIB, 15 * MIB, 60 * MIB, 60 * MIB, 4)], thread=0)
    assert (found.request, found.transient) == (0, 0)
    assert found.copies == pytest.approx(3)


def test_where_one_alone_takes_less_than_each_of_many_theirs_counts() -> None:
    found = fit_requests([endpoint(0, 0, 0, 0, 8), endpoint(MIB, MIB, 16 * MIB, 12 * MIB, 8)], thread=0)
    assert found.copies == pytest.approx(2)
    assert found.transient == 0


def test_a_peak_without_more_than_one_that_is_put_together_counts_that_one() -> None:
    found = fit_requests([endpoint(MIB, 4 * MIB, 16 * MIB, 16 * MIB, 8)], thread=0)
    assert [found.copies, found.transient, found.at_once] == pytest.approx([2, 2, 1])


def test_answers_without_a_body_take_what_they_take() -> None:
    assert fit_requests([endpoint(0, 100, 300, 300, 3)], thread=0) == PerRequest(100, 0, 0, 1, 1)


def test_only_answers_that_had_begun_share_what_was_held() -> None:
    """Of 8 clients only 6 got a slot."""
    small = endpoint(0, MIB, 8 * MIB, 8 * MIB, 8)
    waiting = 6 * (MIB + 4 * 5 * MIB)
    large = endpoint(5 * MIB, MIB + 4 * 5 * MIB, waiting, waiting, 6)
    assert fit_requests([small, large], thread=0).copies == pytest.approx(4)


def test_growth_is_the_slope_and_how_sure_it_is() -> None:
    steady = growth([1000 + 50 * number for number in range(20)], step=10)
    assert steady.bytes_per_request == pytest.approx(5)
    assert steady.margin == pytest.approx(0, abs=1e-6)
    assert steady.requests == 190
    noisy = growth([1000 + (-1) ** number * 100 for number in range(20)], step=10)
    assert abs(noisy.bytes_per_request) < noisy.margin


@pytest.mark.parametrize(
    ("files", "bytes_"),
    [
        (
            {
                "memory.stat": "cache 9\ntotal_rss 100\ntotal_shmem 20\ntotal_cache 900\n",
                "memory.kmem.usage_in_bytes": "3\n",
            },
            123,
        ),
        ({"memory.stat": "anon 100\nfile 900\nkernel 3\nshmem 20\nsock 4\n"}, 127),
    ],
    ids=["v1", "v2"],
)
def test_files_that_the_kernel_can_take_back_do_not_count(tmp_path: Path, files: dict[str, str], bytes_: int) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert held(tmp_path) == bytes_


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "not JSON of the form"),
        ('{"paths": []}', "paths that begin with /"),
        ('{"paths": ["api"]}', "paths that begin with /"),
        ('{"paths": ["/"], "clients": 100}', "clients is 100. Allowed: a whole number from 1 to 64"),
    ],
)
def test_requests_that_cannot_be_right_are_refused(text: str, said: str) -> None:
    with pytest.raises(CalibrationError, match=said.replace("(", r"\(")):
        read_requests(text)


def test_all_ask_at_once_and_no_failure_is_lost() -> None:
    asked: list[int] = []
    assert at_once(5, lambda: asked.append(1)) == []
    assert len(asked) == 5

    def fail() -> None:
        raise CalibrationError("answered 500")

    assert [str(error) for error in at_once(2, fail)] == ["answered 500"] * 2


def test_answers_are_held_until_as_many_have_begun() -> None:
    looked: list[int] = []

    def look() -> int:
        looked.append(gate.begun)
        return 7

    gate = Gate(3, look=look)
    assert at_once(3, gate.wait) == []
    assert (gate.begun, gate.is_open) == (3, True)
    assert (looked, gate.found) == ([3], 7), "once, while all three were held"
    gate.wait()
    assert gate.begun == 3, "who comes later is not held"


def test_answers_are_let_go_where_no_further_one_begins() -> None:
    gate = Gate(3, patience=0.01)
    assert at_once(2, gate.wait) == []
    assert gate.begun == 2


def test_a_gate_that_nobody_comes_to_any_more_stalls() -> None:
    gate = Gate(1)
    assert gate.stalls(0.01)
    gate.wait()
    assert not gate.stalls(0.01)
