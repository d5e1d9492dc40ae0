"""What is said of a running gunicorn comes from the process, and several sources are held against each other."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from process_model import observe, procfs, saturation
from process_model import settings_of_gunicorn as told

GTHREAD = ("--workers", "2", "--worker-class", "gthread", "--threads", "3", "small:application")
UVICORN = ("--workers", "2", "--worker-class", "uvicorn.workers.UvicornWorker", "small:asgi")


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["-w", "2", "a:b"], {"workers": 2, "application": "a:b"}),
        (["--workers=3", "--threads", "8"], {"workers": 3, "threads": 8}),
        (["-kgthread", "--preload", "a:b"], {"worker_class": "gthread", "preload_app": True, "application": "a:b"}),
        (["--access-logfile", "-", "--max-requests", "9", "a"], {"max_requests": 9, "application": "a"}),
        (["-R", "--reuse-port", "a:b"], {"application": "a:b"}),
        (["--bind", "unix:/s", "--config", "c.py"], {"bind": "unix:/s", "config": "c.py"}),
        (["--workers", "two"], {"workers": "two"}),
        ([], {}),
    ],
)
def test_a_command_line_is_read_as_gunicorn_reads_it(words: list[str], settings: dict[str, Any]) -> None:
    assert told.parse_arguments(words) == settings


def test_a_configuration_file_is_read_without_running_it() -> None:
    text = (
        "import os\nthreads = 4\nworkers: int = 3\nworker_class = os.environ['X']\nraise SystemExit\ndef hook(): pass\n"
    )
    assert told.parse_configuration_file(text) == {"threads": 4, "workers": 3, "worker_class": told.COMPUTED}
    assert told.parse_configuration_file("this is not python") == {}


def test_precedence_is_gunicorns_own() -> None:
    sources = [
        ("command line", {"threads": 8}),
        ("GUNICORN_CMD_ARGS", {"threads": 1, "workers": 4}),
        ("file", {"workers": 9}),
    ]
    assert told.effective("threads", sources) == (8, "command line", [("command line", 8), ("GUNICORN_CMD_ARGS", 1)])
    assert told.effective("workers", sources)[:2] == (4, "GUNICORN_CMD_ARGS")
    assert told.effective("timeout", sources)[:2] == (30, "gunicorn's default")


@pytest.mark.parametrize(
    ("name", "threads", "canonical"),
    [
        ("gthread", 8, "gthread"),
        ("gunicorn.workers.gthread.ThreadWorker", 8, "gthread"),
        ("sync", 4, "gthread"),
        ("sync", 1, "sync"),
        ("uvicorn.workers.UvicornWorker", 1, "uvicorn"),
        ("uvicorn_worker.UvicornWorker", 1, "uvicorn"),
        ("uvicorn.workers.UvicornH11Worker", 1, "uvicorn"),
        ("gevent", 1, "gevent"),
    ],
)
def test_a_class_has_one_name(name: str, threads: int, canonical: str) -> None:
    assert told.canonical_class(name, threads) == canonical


def test_limits_are_read_from_either_version_of_cgroups(tmp_path: Path) -> None:
    second = tmp_path / "plane.slice"
    second.mkdir()
    (second / "memory.max").write_text("2147483648\n")
    (second / "cpu.max").write_text("150000 100000\n")
    (second / "pids.max").write_text("max\n")
    wanted = {"memory_bytes": 2 << 30, "cpu": 1.5, "tasks": None}
    assert procfs.limits_in_force({"unified": "/x"}, "/plane.slice", tmp_path) == wanted
    for name, file, text in [
        ("memory", "memory.limit_in_bytes", "2147483648"),
        ("cpu", "cpu.cfs_quota_us", "150000"),
        ("cpu", "cpu.cfs_period_us", "100000"),
        ("pids", "pids.max", "max"),
    ]:
        folder = tmp_path / name / "plane.slice"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    first = {"memory": "/x", "cpu": "/x", "pids": "/x", "unified": "/"}
    assert procfs.limits_in_force(first, "/plane.slice", tmp_path) == wanted
    (tmp_path / "memory/plane.slice/memory.limit_in_bytes").write_text("9223372036854771712")
    assert procfs.limits_in_force(first, "/plane.slice", tmp_path)["memory_bytes"] is None


def test_addresses_are_decoded_as_the_kernel_writes_them() -> None:
    assert procfs.decode_address("0B0ACB0A:1F40") == ("10.203.10.11", 8000)
    assert procfs.decode_address("00000000000000000000000001000000:0050") == ("::1", 80)


def test_an_answer_gives_status_and_server() -> None:
    answer = observe.parse_answer(b"HTTP/1.1 503 Busy\r\nServer: gunicorn\r\n\r\nx", 0.1)
    assert (answer.status, answer.server) == (503, "gunicorn")
    assert observe.parse_answer(b"", 0.1).status is None
    assert observe.parse_answer(b"SSH-2.0\r\n", 0.1).error == "the answer was no HTTP"


def test_nothing_there_is_an_answer() -> None:
    found = observe.observe(observe.master_of_socket("/nowhere"), "/nowhere")
    assert not found.found
    assert "no gunicorn master" in found.reason
    assert observe.observe(2**22 + 1).found is False


@pytest.mark.parametrize(
    ("bind", "where"),
    [
        ("unix:/run/x.sock", "/run/x.sock"),
        ("unix:///run/x.sock", "/run/x.sock"),
        ("0.0.0.0:8000", ("127.0.0.1", 8000)),
        (":8000", ("127.0.0.1", 8000)),
        ("[::]:8000", ("::1", 8000)),
        ("10.0.0.1:80", ("10.0.0.1", 80)),
        (["unix:/a", "unix:/b"], "/a"),
        ("fd://3", None),
        (told.COMPUTED, None),
    ],
)
def test_a_bind_address_is_one_that_a_request_reaches(bind: Any, where: Any) -> None:
    assert observe.address_of(bind) == where


@pytest.mark.parametrize(
    ("mapped", "family"),
    [
        ({"/v/lib/python3.13/site-packages/uvloop/loop.cpython-313-x86_64-linux-gnu.so"}, "uvicorn"),
        ({"/v/site-packages/httptools/parser/parser.so", "/v/site-packages/uvloop/loop.so"}, "uvicorn"),
        ({"/v/site-packages/gevent/_gevent_cgreenlet.so"}, "gevent"),
        ({"/v/site-packages/gevent/x.so", "/v/site-packages/uvloop/loop.so"}, None),
        ({"/usr/lib/libc.so.6"}, None),
        (set(), None),
    ],
)
def test_shared_objects_tell_the_family_where_they_tell_anything(mapped: set[str], family: str | None) -> None:
    assert observe.class_by_maps(mapped) == family


def values(found: observe.Observation) -> dict[str, Any]:
    return {name: fact.value for name, fact in found.facts.items()}


def test_gthread_is_observed_from_the_process(gunicorn: Callable[..., Any]) -> None:
    running = gunicorn(*GTHREAD, "--max-requests", "50", PLANE_PROCESS_MODEL_FINGERPRINT="abc", SECRET_KEY="hidden")  # noqa: S106 - it protects nothing
    assert observe.master_of_socket(running.path) == running.pid
    found = observe.observe(running.pid, running.path)
    facts = values(found)
    assert (facts["worker_class"], facts["workers"], facts["threads"]) == ("gthread", 2, 3)
    assert (facts["application"], facts["max_requests"]) == ("small:application", 50)
    assert found.fingerprint == "abc"
    assert found.versions["gunicorn"] == "23.0.0"
    assert [worker.pid for worker in found.workers] == running.workers()
    assert all(worker.pss > 0 and worker.age >= 0 for worker in found.workers)
    assert found.disagreements == {}
    assert "hidden" not in str(found.to_dict())


def test_uvicorn_is_observed_from_the_process_and_its_answer(gunicorn: Callable[..., Any]) -> None:
    running = gunicorn(*UVICORN)
    found = observe.observe(running.pid, running.path)
    assert values(found)["worker_class"] == "uvicorn"
    assert values(found)["threads"] is None
    assert found.facts["worker_class"].source == "command line, Server: uvicorn"


def test_arguments_behind_the_command_line_are_found(gunicorn: Callable[..., Any]) -> None:
    running = gunicorn("--workers", "2", "small:application", GUNICORN_CMD_ARGS="--worker-class gthread --threads 4")
    fact = observe.observe(running.pid, running.path).facts["threads"]
    assert (fact.value, fact.source) == (4, "GUNICORN_CMD_ARGS")


def test_sources_that_disagree_are_all_named(gunicorn: Callable[..., Any]) -> None:
    running = gunicorn(*GTHREAD, GUNICORN_CMD_ARGS="--threads 1")
    found = observe.observe(running.pid, running.path)
    assert found.facts["threads"].value == 3
    assert found.disagreements["threads"] == [
        {"source": "command line", "value": 3},
        {"source": "GUNICORN_CMD_ARGS", "value": 1},
    ]


def test_a_configuration_file_in_the_working_directory_is_found(gunicorn: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("threads = 5\n")
    running = gunicorn("--workers", "2", "--worker-class", "gthread", "small:application")
    fact = observe.observe(running.pid, running.path).facts["threads"]
    assert (fact.value, fact.source) == (5, "configuration file gunicorn.conf.py")


def test_a_class_that_the_answer_contradicts_is_not_believed(gunicorn: Callable[..., Any]) -> None:
    """A worker class of another name that answers as uvicorn does: settings and behaviour disagree."""
    running = gunicorn(*UVICORN)
    found = observe.observe(running.pid, running.path)
    assert found.facts["worker_class"].agree
    assert observe.class_by_header("gunicorn/23.0.0") == "gunicorn"
    assert observe.class_by_header("nginx") is None
    lying: list[tuple[str, Mapping[str, Any]]] = [
        ("command line", {"worker_class": "gthread", "threads": 3, "workers": 2})
    ]
    original = observe.settings_sources
    observe.settings_sources = lambda pid: lying
    try:
        doubted = observe.observe(running.pid, running.path)
    finally:
        observe.settings_sources = original
    assert not doubted.facts["worker_class"].agree
    assert {"source": "Server header", "value": "uvicorn"} in doubted.disagreements["worker_class"]


def test_a_class_that_the_mapped_objects_contradict_is_not_believed(
    gunicorn: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = gunicorn(*GTHREAD)
    monkeypatch.setattr(procfs, "mapped_files", lambda pid: {"/v/site-packages/gevent/_greenlet.so"})
    found = observe.observe(running.pid, running.path)
    assert not found.facts["worker_class"].agree
    assert {"source": "/proc/<worker>/maps", "value": "gevent"} in found.disagreements["worker_class"]


def test_the_master_is_found_by_its_pid_file_and_its_port(gunicorn: Callable[..., Any], tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pid_file = tmp_path / "pid"
    running = gunicorn("--pid", str(pid_file), "--bind", f"127.0.0.1:{port}", *GTHREAD)
    assert observe.master_of_pid_file(str(pid_file)) == running.pid
    assert observe.master_of_port(port) == running.pid
    pid_file.write_text(str(os.getpid()))
    assert observe.master_of_pid_file(str(pid_file)) is None, "the file outlived its gunicorn"


def test_a_stopped_worker_does_not_count(gunicorn: Callable[..., Any], wait_for: Callable[..., None]) -> None:
    running = gunicorn(*GTHREAD)
    worker = running.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    wait_for(lambda: procfs.state(worker) == "T")
    fact = observe.observe(running.pid).facts["workers"]
    assert (fact.value, fact.agree) == (1, False)


CONTAINED = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
accepted = listener.accept()[0]
accepted.recv(1)
"""


def test_a_socket_of_another_network_namespace_is_found(tmp_path: Path, wait_for: Callable[..., None]) -> None:
    path = str(tmp_path / "contained.sock")
    contained = subprocess.Popen(["unshare", "--net", sys.executable, "-c", CONTAINED, path])
    try:
        wait_for(lambda: procfs.unix_listeners(path))
        assert procfs.owners(procfs.unix_listeners(path)) == [contained.pid]
        with socket.socket(socket.AF_UNIX) as outside:
            outside.connect(path)
            wait_for(lambda: procfs.count_unix_connections(path) == 1)
        wait_for(lambda: procfs.count_unix_connections(path) == 0)
    finally:
        contained.kill()
        contained.wait()


def test_it_is_still_found_when_another_process_of_its_namespace_has_ended(
    tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    path = str(tmp_path / "contained.sock")
    first = subprocess.Popen(["unshare", "--net", "--fork", sys.executable, "-c", CONTAINED, path])
    wait_for(lambda: procfs.owners(procfs.unix_listeners(path)))
    (second,) = procfs.owners(procfs.unix_listeners(path))
    try:
        assert second != first.pid
        first.kill()
        first.wait()
        assert procfs.owners(procfs.unix_listeners(path)) == [second]
    finally:
        os.kill(second, signal.SIGKILL)


def saturate(running: Any) -> saturation.Saturation:
    return saturation.saturate(running.path, running.workers())


@pytest.mark.parametrize(("restless_samples", "running"), [(0, 6), (10, 8), (10_000, 8)])
def test_a_worker_that_waits_for_a_processor_is_not_counted_yet(
    monkeypatch: pytest.MonkeyPatch, restless_samples: int, running: int
) -> None:
    """Two of its threads are about to read, but have no processor; a worker that serves others never rests."""
    samples = itertools.count()

    def count(pid: int, path: str) -> saturation.Counts:
        number = next(samples)
        waits = number < restless_samples
        return saturation.Counts(6 if number < 5 else 8, 9, restless=waits)

    monkeypatch.setattr(saturation, "count", count)
    assert saturation._settle("", [1], time.monotonic() + 10, 0.5)[1].running == running


def test_a_worker_that_serves_others_now_and_then_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether one of its threads runs just now is no difference between two counts."""
    samples = itertools.count()
    monkeypatch.setattr(saturation, "count", lambda pid, path: saturation.Counts(8, 9, restless=next(samples) % 2 == 0))
    saturation._settle("", [1], time.monotonic() + 60, 0.2)
    assert next(samples) < 100


def test_what_a_worker_runs_is_believed_once_more_to_run_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread may start late, or not before a further request comes."""
    seen = iter([saturation.Counts(7, 9), saturation.Counts(8, 13), saturation.Counts(8, 17)])
    monkeypatch.setattr(saturation, "_settle", lambda *_: {1: next(seen)})
    monkeypatch.setattr(saturation.Probe, "hold", lambda *_: None)
    counts = saturation._fill(saturation.Probe("", b""), [1], 400, time.monotonic() + 60, 1)
    assert counts[1] == saturation.Counts(8, 17)


def test_filling_it_proves_what_each_worker_runs_at_once(
    gunicorn: Callable[..., Any], wait_for: Callable[..., None]
) -> None:
    running = gunicorn(*GTHREAD)
    result = saturate(running)
    assert result.bounded, result
    assert list(result.per_worker.values()) == [3, 3]
    assert result.further_waited
    assert result.further_finished
    wait_for(lambda: procfs.count_unix_connections(running.path) == 0)


def test_dropped_threads_are_seen(gunicorn: Callable[..., Any]) -> None:
    result = saturate(gunicorn("--workers", "2", "--worker-class", "gthread", "small:application"))
    assert list(result.per_worker.values()) == [1, 1]


def test_uvicorn_has_no_bound(gunicorn: Callable[..., Any]) -> None:
    result = saturate(gunicorn(*UVICORN))
    assert not result.bounded
    assert not result.further_waited
    assert result.further_finished


def test_a_stopped_worker_is_no_proof(gunicorn: Callable[..., Any]) -> None:
    running = gunicorn(*GTHREAD)
    stopped = running.workers()[0]
    os.kill(stopped, signal.SIGSTOP)
    result = saturate(running)
    assert not result.bounded
    assert f"worker {stopped} took none" in result.error


def test_nobody_listening_is_an_answer(tmp_path: Path) -> None:
    result = saturation.saturate(str(tmp_path / "none"), [1])
    assert not result.bounded
    assert "none" in result.error


@pytest.mark.parametrize(
    ("text", "descriptor"),
    [("45 0xb 0x7f35 0x2000", 11), ("232 0x7 0x7f", None), ("running", None), ("", None), ("-1 0x7ffd 0x7f", None)],
)
def test_a_thread_that_reads_is_told_by_its_system_call(text: str, descriptor: int | None) -> None:
    assert saturation.reading_descriptor(text, saturation.READS["x86_64"]) == descriptor


@pytest.mark.parametrize("tree", [".", "unified"])
def test_processor_time_of_a_slice_is_what_version_2_counts_beside_version_1_too(tree: str, tmp_path: Path) -> None:
    folder = tmp_path / tree / "plane.slice"
    folder.mkdir(parents=True)
    (folder / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 2000000\n")
    assert procfs.cpu_seconds_of_group("/plane.slice", tmp_path) == 2.5
    assert procfs.cpu_seconds_of_group("/other.slice", tmp_path) is None


def test_connections_to_a_port_are_those_that_this_process_opened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert procfs.tcp_connections_to(port) == set()
        with socket.create_connection(("127.0.0.1", port)) as client:
            (inode,) = procfs.tcp_connections_to(port)
            assert procfs.socket_inodes(os.getpid())[inode] == client.fileno()


def test_processor_time_of_a_process_is_the_kernel_s() -> None:
    assert 0 < procfs.cpu_seconds(os.getpid()) <= time.process_time() + 0.02
    assert procfs.cpu_seconds(2**22 + 1) == 0.0


def test_several_units_are_asked_at_once_and_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd puts a blank line between two units, and knows as much of one that is not there as of a stopped one."""
    said = "MainPID=0\nNRestarts=2\nActiveState=active\n\nMainPID=0\nNRestarts=0\nActiveState=inactive\n"
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, stdout=said))
    found = observe.masters_of_units(["plane-api@blue.service", "plane-api@green.service"])
    assert [(master, properties["NRestarts"]) for master, properties in found] == [(None, "2"), (None, "0")]
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, stdout=""))
    assert observe.masters_of_units(["plane-api@blue.service", "plane-api@green.service"]) == [(None, {}), (None, {})]
