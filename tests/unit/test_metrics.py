"""What plane-process-model tells Prometheus."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from process_model import metrics
from process_model.metrics import Instance, Remembered, Sample, Worker

ROOT = Path(__file__).resolve().parents[2]
NAMED = yaml.safe_load((ROOT / "ansible/vars/metrics.yml").read_text(encoding="utf-8"))["plane_metrics"]

JOURNAL = """\
[2026-11-26 04:00:00 +0000] [100] [INFO] Booting worker with pid: 110
[2026-11-26 04:00:01 +0000] [110] [INFO] Autorestarting worker after current request.
[2026-11-26 04:00:02 +0000] [100] [CRITICAL] WORKER TIMEOUT (pid:111)
[2026-11-26 04:00:03 +0000] [100] [ERROR] Worker (pid:111) was sent SIGKILL! Perhaps out of memory?
[2026-11-26 04:00:04 +0000] [100] [ERROR] Worker (pid:112) was sent SIGKILL! Perhaps out of memory?
[2026-11-26 04:00:04 +0000] [100] [ERROR] Worker 112 ended, out of memory: at its limit the kernel killed a process
[2026-11-26 04:00:05 +0000] [100] [ERROR] Worker (pid:113) was sent SIGTERM!
[2026-11-26 04:00:06 +0000] [100] [ERROR] Worker (pid:114) exited with code 3
[2026-11-26 04:00:07 +0000] [115] [WARNING] Maximum request limit of 1200 exceeded. Terminating process.
the application says: WORKER TIMEOUT (pid:999)
"""

MODEL: dict[str, Any] = {
    "model": {"workers": 2, "threads": 8},
    "limits": {"cpu": 1.0},
    "release": {"digest": "0123456789abcdef"},
    "fingerprint": "f" * 64,
}
EXAMINED: dict[str, Any] = {
    "desired": MODEL,
    "mismatches": [],
    "observed": {
        "colour": "blue",
        "worker_class": "gthread",
        "workers": 2,
        "threads": 8,
        "max_requests": 1200,
        "versions": {"gunicorn": "23.0.0"},
    },
}


def test_each_end_of_a_worker_is_counted_once_by_its_strongest_reason() -> None:
    assert metrics.ends_in(JOURNAL.splitlines(), {}) == {
        "110": "recycled",
        "111": "timeout",
        "112": "out-of-memory",
        "113": "killed",
        "114": "failed",
        "115": "recycled",
    }


def test_an_end_that_is_said_again_after_the_next_look_is_not_counted_again() -> None:
    remembered = Remembered(since=0)
    first = metrics.ends_in(JOURNAL.splitlines()[:3], {})
    metrics.count_ends("plane-api", first, remembered)
    remembered.recent = first
    metrics.count_ends("plane-api", metrics.ends_in(JOURNAL.splitlines()[3:5], first), remembered)
    assert remembered.ends["plane-api"] == {"out-of-memory": 0, "timeout": 1, "killed": 1, "failed": 0, "recycled": 1}


STOPPED = """\
[2026-11-26 04:00:00 +0000] [100] [ERROR] Worker (pid:110) was sent SIGTERM!
[2026-11-26 04:00:01 +0000] [100] [INFO] Handling signal: term
[2026-11-26 04:00:02 +0000] [100] [ERROR] Worker (pid:111) was sent SIGTERM!
[2026-11-26 04:00:02 +0000] [100] [CRITICAL] WORKER TIMEOUT (pid:112)
[2026-11-26 04:00:03 +0000] [100] [ERROR] Worker (pid:113) exited with code 255
[2026-11-26 04:00:03 +0000] [200] [ERROR] Worker (pid:210) was sent SIGTERM!
"""


def test_workers_of_a_master_that_was_told_to_stop_ended_as_asked() -> None:
    ends = metrics.ends_in(STOPPED.splitlines(), {})
    assert ends == {"110": "killed", "100": metrics.STOPPING, "112": "timeout", "210": "killed"}
    remembered = Remembered(since=0)
    metrics.count_ends("plane-api", ends, remembered)
    assert remembered.ends["plane-api"] == {"out-of-memory": 0, "timeout": 1, "killed": 2, "failed": 0, "recycled": 0}


def test_a_worker_may_have_the_number_of_a_master_that_stopped() -> None:
    said = "[2026-11-26 04:00:09 +0000] [300] [ERROR] Worker (pid:100) was sent SIGKILL!"
    assert metrics.ends_in([*STOPPED.splitlines(), said], {})["100"] == "killed"


def test_a_master_is_still_stopping_when_the_next_look_comes() -> None:
    first = metrics.ends_in(STOPPED.splitlines()[:2], {})
    assert metrics.ends_in(STOPPED.splitlines()[2:3], first) == {}
    assert metrics.ends_in(STOPPED.splitlines()[2:3], {}) == {"111": "killed"}


def test_requests_above_the_threads_wait_inside_the_worker() -> None:
    assert [metrics.busy(requests, 8) for requests in (0, 5, 8, 11)] == [0, 5, 8, 8]
    assert metrics.busy(40, None) == 40


def test_a_worker_is_numbered_by_its_age_not_by_its_process() -> None:
    workers = [Worker(900, 3, 1 << 20, 1.5, started=20.0), Worker(901, 9, 1 << 20, 0.5, started=10.0)]
    found = metrics.samples_of_instance("plane-api", Instance("blue", 1, workers=workers), "blue", 8)
    by_worker = {
        sample.labels["worker"]: sample.value for sample in found if sample.name == "plane_worker_threads_idle"
    }
    assert by_worker == {"1": 0, "2": 5}


def test_uvicorn_has_no_idle_threads() -> None:
    found = metrics.samples_of_instance(
        "plane-graphql", Instance("blue", 1, workers=[Worker(9, 40, 0, 0, 0)]), "blue", None
    )
    assert "plane_worker_threads_idle" not in {sample.name for sample in found}


def test_a_colour_that_does_not_run_is_told_as_such() -> None:
    assert metrics.samples_of_instance("plane-api", Instance("green", None), "green", 8) == [
        Sample("plane_service_live", {"service": "plane-api", "colour": "green"}, 1.0),
        Sample("plane_instance_up", {"service": "plane-api", "colour": "green"}, 0.0),
        Sample("plane_workers", {"service": "plane-api", "colour": "green"}, 0),
    ]


@pytest.mark.parametrize(
    ("worker_class", "version", "max_requests", "safe"),
    [
        ("gthread", "23.0.0", 1200, False),
        ("gthread", "23.0.0", 0, True),
        ("gthread", "24.1.1", 1200, True),
        ("uvicorn", "24.1.1", 1200, False),
    ],
)
def test_the_version_guard(worker_class: str, version: str, max_requests: int, safe: bool) -> None:
    assert metrics.recycling_is_safe(worker_class, version, max_requests) == safe


def test_graphql_under_gthread_is_told() -> None:
    found = metrics.samples_of_model("plane-graphql", MODEL, metrics.summary(EXAMINED, 0, ""))
    assert Sample("plane_graphql_on_wsgi", {"service": "plane-graphql"}, 1.0) in found


def test_the_text_is_prometheus_own_format() -> None:
    text = metrics.text_of([Sample("b_total", {"a": 'x"\\\n'}, 2), Sample("a", {}, 0.5), Sample("b_total", {}, 3)])
    assert text == '# TYPE a gauge\na 0.5\n# TYPE b_total counter\nb_total{a="x\\"\\\\\\n"} 2\nb_total 3\n'


def test_what_was_remembered_by_an_older_version_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    file.write_text('{"since": 1, "other": 2}')
    assert metrics.recall(7.0, file) == Remembered(since=7.0)


def test_the_list_of_metrics_names_all_that_the_command_tells_with_their_labels() -> None:
    worker = Worker(9, 1, 1, 1, 1)
    samples = [
        *metrics.samples_of_model("plane-graphql", MODEL, metrics.summary(EXAMINED, 0, "")),
        *metrics.samples_of_instance("plane-graphql", Instance("blue", 1, workers=[worker]), "blue", 8),
    ]
    listed = {entry["name"]: entry for entry in NAMED if entry["source"] == "processes"}
    for sample in samples:
        assert set(sample.labels) == set(listed[sample.name]["labels"]), sample.name
        assert (listed[sample.name]["type"] == "counter") == sample.name.endswith("_total")
    source = (ROOT / "ansible/module_utils/process_model/metrics.py").read_text(encoding="utf-8")
    assert set(re.findall(r'"(plane_[a-z_]+)"', source)) == set(listed)


def test_the_list_of_metrics_names_all_that_mtail_counts_with_their_labels() -> None:
    program = (ROOT / "ansible/roles/plane_observability/files/requests.mtail").read_text(encoding="utf-8")
    counted = {
        name: (kind, labels.split(", "))
        for kind, name, labels in re.findall(r"^(counter|histogram) (\w+) by (.*?)(?: buckets .*)?$", program, re.M)
    }
    assert counted == {entry["name"]: (entry["type"], entry["labels"]) for entry in NAMED if entry["source"] == "log"}


def test_rules_read_only_metrics_that_are_listed() -> None:
    known = {entry["name"] for entry in NAMED}
    for file in (ROOT / "ansible/roles/plane_observability/files/rules").glob("*.yml"):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                read = set(re.findall(r"(?<![\w:])(?:plane|haproxy|node)_\w+(?=[\[{ )]|$)", rule["expr"]))
                bases = {re.sub(r"_(bucket|sum|count)$", "", name) for name in read}
                assert bases <= known, (rule.get("record") or rule["alert"], bases - known)
