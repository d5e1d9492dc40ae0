"""files/entrypoint.sh.j2: first against a stub gunicorn that records its arguments and environment, then for real."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from entrypoint_process import PYTHONS, SYSTEM_PATH, Service, eventually, executable, render, write_project

UVICORN = "uvicorn.workers.UvicornWorker"
NUMBERS = {
    "GUNICORN_WORKERS": (1, 128),
    "GUNICORN_THREADS": (1, 512),
    "PORT": (1, 65535),
    "GUNICORN_MAX_REQUESTS": (0, 999999),
    "GUNICORN_MAX_REQUESTS_JITTER": (0, 999999),
    "GUNICORN_WORKER_CONNECTIONS": (1, 100000),
    "GUNICORN_TIMEOUT": (1, 86400),
    "GUNICORN_GRACEFUL_TIMEOUT": (1, 86400),
}
NO_NUMBERS = ["", " ", "-1", "+2", "8x", "x8", "1e3", "0x10", "08", "007", "2.0", "8 ", " 8", "8\n", "two", "1_000",
              "1000000", "99999999999999999999", "$(id)", "8;id", "٨", "８"]  # fmt: skip


@dataclass
class Run:
    status: int
    out: str
    error: str
    # How gunicorn was called; None where it was not.
    arguments: list[str] | None
    environment: dict[str, str]
    steps: list[str]

    def option(self, name: str) -> str | None:
        assert self.arguments is not None, self.error
        assert self.arguments.count(name) <= 1
        return self.arguments[self.arguments.index(name) + 1] if name in self.arguments else None


class Stub:
    """A machine on which `gunicorn` only writes down how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.work = write_project(folder / "work")
        record = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open('called', 'w'))"
        executable(self.bin / "gunicorn", f'#!/bin/bash\nexec {sys.executable} -c "{record}" "$@"\n')
        self.python(f'exec {sys.executable} "$@"')

    def python(self, line: str) -> None:
        executable(self.bin / "python", f"#!/bin/bash\n{line}\n")

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        chosen = {"PATH": f"{self.bin}:{SYSTEM_PATH}", "GUNICORN_WORKERS": "2", "LC_ALL": "C.UTF-8", **settings}
        return {name: value for name, value in chosen.items() if value != "<unset>"}

    def run(self, settings: Mapping[str, str] | None = None, prestart: Sequence[str] = (), script: str = "") -> Run:
        for name in ("called", "steps"):
            (self.work / name).unlink(missing_ok=True)
        path = executable(self.folder / "entrypoint.sh", script or render(prestart))
        done = subprocess.run(
            ["/bin/bash", path],
            cwd=self.work,
            env=self.environment(settings or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        called = self.work / "called"
        arguments, environment = json.loads(called.read_text()) if called.exists() else (None, {})
        steps = self.work / "steps"
        lines = steps.read_text().splitlines() if steps.exists() else []
        return Run(done.returncode, done.stdout, done.stderr, arguments, environment, lines)

    def refused(self, settings: Mapping[str, str]) -> str:
        """The one line on stderr; nothing was started, not even a step."""
        run = self.run(settings, prestart=["wait_for_db"])
        assert run.status == 64, (settings, run)
        assert run.arguments is None
        assert run.steps == []
        assert run.error.count("\n") == 1
        assert run.error.startswith("plane-api: ")
        return run.error


@pytest.fixture
def stub(tmp_path: Path) -> Stub:
    return Stub(tmp_path)


# --- what gunicorn is called with -------------------------------------------------------------------------------------


def test_the_rest_deployment_of_the_proposal(stub: Stub) -> None:
    run = stub.run({"GUNICORN_WORKER_CLASS": "gthread", "GUNICORN_WORKERS": "2", "GUNICORN_THREADS": "8"})
    assert run.status == 0
    assert run.arguments == [
        "--workers", "2", "--bind", "0.0.0.0:8000", "--max-requests", "1200", "--max-requests-jitter", "1000",
        "--access-logfile", "-", "--worker-class", "gthread", "--threads", "8", "plane.wsgi:application",
    ]  # fmt: skip


def test_the_graphql_deployment_of_the_proposal(stub: Stub) -> None:
    run = stub.run({"GUNICORN_WORKER_CLASS": "<unset>", "GUNICORN_WORKERS": "2"})
    assert run.status == 0
    assert run.arguments == [
        "--workers", "2", "--bind", "0.0.0.0:8000", "--max-requests", "1200", "--max-requests-jitter", "1000",
        "--access-logfile", "-", "--worker-class", UVICORN, "plane.asgi:application",
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["<unset>", "", "uvicorn"])
def test_removing_the_class_is_the_way_back_to_uvicorn(stub: Stub, value: str) -> None:
    run = stub.run({"GUNICORN_WORKER_CLASS": value, "GUNICORN_THREADS": "8"})
    assert (run.option("--worker-class"), run.option("--threads")) == (UVICORN, None)
    assert run.arguments is not None
    assert run.arguments[-1] == "plane.asgi:application"


@pytest.mark.parametrize(
    ("settings", "option", "value"),
    [
        ({"GUNICORN_WORKERS": "1"}, "--workers", "1"),
        ({"GUNICORN_WORKERS": "128"}, "--workers", "128"),
        ({"GUNICORN_THREADS": "<unset>"}, "--threads", "8"),
        ({"GUNICORN_THREADS": "1"}, "--threads", "1"),
        ({"PORT": "9000"}, "--bind", "0.0.0.0:9000"),
        ({"PORT": "9000", "GUNICORN_BIND": "unix:/run/x/gunicorn.sock"}, "--bind", "unix:/run/x/gunicorn.sock"),
        ({"GUNICORN_BIND": ""}, "--bind", "0.0.0.0:8000"),
        ({"GUNICORN_MAX_REQUESTS": "1000"}, "--max-requests", "1000"),
        ({"GUNICORN_MAX_REQUESTS": "0"}, "--max-requests", "0"),
        ({"GUNICORN_MAX_REQUESTS_JITTER": "0"}, "--max-requests-jitter", "0"),
        ({}, "--worker-connections", None),
        ({"GUNICORN_WORKER_CONNECTIONS": "8"}, "--worker-connections", "8"),
        ({}, "--timeout", None),
        ({"GUNICORN_TIMEOUT": "90"}, "--timeout", "90"),
        ({}, "--graceful-timeout", None),
        ({"GUNICORN_GRACEFUL_TIMEOUT": "60"}, "--graceful-timeout", "60"),
        ({}, "--config", None),
        ({"GUNICORN_CONFIG": ""}, "--config", None),
        ({"GUNICORN_CONFIG": "bare.py", "GUNICORN_PRELOAD": "true"}, "--config", "bare.py"),
        ({"GUNICORN_CMD_ARGS": ""}, "--preload", None),
    ],
)
def test_a_setting_becomes_an_argument(stub: Stub, settings: dict[str, str], option: str, value: str | None) -> None:
    run = stub.run({"GUNICORN_WORKER_CLASS": "gthread", **settings})
    assert run.status == 0, run.error
    assert run.option(option) == value


@pytest.mark.parametrize(("worker_class", "application"), [("gthread", "plane.wsgi"), ("uvicorn", "plane.asgi")])
def test_the_hooks_are_told_what_gunicorn_runs(stub: Stub, worker_class: str, application: str) -> None:
    run = stub.run({"GUNICORN_WORKER_CLASS": worker_class})
    assert run.environment["GUNICORN_APPLICATION"] == f"{application}:application"


def test_files_of_variables_outweigh_the_environment(stub: Stub) -> None:
    """As an adopted installation needs it, whose compose file has a literal GUNICORN_WORKERS."""
    ours, missing, start = (stub.folder / name for name in ("ours", "missing", "start"))
    ours.write_text("GUNICORN_WORKERS=3\nOURS='a $word and \"quotes\"'\n")
    start.write_text("PLANE_PRESTART=skip\n")
    files = {"PLANE_VARIABLE_FILES": f"{ours} {missing} {start}", "GUNICORN_WORKERS": "1"}
    done = stub.run(files, prestart=["wait_for_db"])
    assert done.option("--workers") == "3"
    assert done.environment["OURS"] == 'a $word and "quotes"'
    assert done.steps == []
    ours.write_text("GUNICORN_WORKERS=many\n")
    assert stub.run(files).status == 64


def test_another_project_has_other_applications(stub: Stub) -> None:
    run = stub.run({"GUNICORN_WORKER_CLASS": "gthread"}, script=render(application="shop.config"))
    assert run.arguments is not None
    assert run.arguments[-1] == "shop.config.wsgi:application"


def test_gunicorn_takes_the_place_of_the_script(tmp_path: Path) -> None:
    stub = Stub(tmp_path)
    executable(stub.bin / "gunicorn", "#!/bin/bash\necho $$ >gunicorn.pid\n")
    script = executable(tmp_path / "entrypoint.sh", render(["wait_for_db"]))
    started = subprocess.Popen(
        ["/bin/bash", script], cwd=stub.work, env=stub.environment({}), stdout=subprocess.DEVNULL
    )
    assert started.wait(30) == 0
    assert int((stub.work / "gunicorn.pid").read_text()) == started.pid


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    ["sync", "gevent", "eventlet", "tornado", "gthreads", "GTHREAD", "gthread ", " ", "gthread\nx", UVICORN, "$(id)"],
)
def test_any_other_class_is_refused(stub: Stub, value: str) -> None:
    said = stub.refused({"GUNICORN_WORKER_CLASS": value})
    assert "GUNICORN_WORKER_CLASS is " in said
    assert "allowed are gthread and uvicorn" in said


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_is_refused(stub: Stub, name: str) -> None:
    low, high = NUMBERS[name]
    for value in [*NO_NUMBERS, str(low - 1), str(high + 1)]:
        for worker_class in ("gthread", "uvicorn") if value == "8x" else ("uvicorn",):
            said = stub.refused({name: value, "GUNICORN_WORKER_CLASS": worker_class})
            assert f"{name} is " in said
            assert value.strip() in said
            assert " to " in said


def test_workers_have_no_default(stub: Stub) -> None:
    assert "GUNICORN_WORKERS is not set" in stub.refused({"GUNICORN_WORKERS": "<unset>"})


def test_fewer_connections_than_threads_are_refused(stub: Stub) -> None:
    settings = {"GUNICORN_WORKER_CLASS": "gthread", "GUNICORN_THREADS": "8", "GUNICORN_WORKER_CONNECTIONS": "7"}
    assert "GUNICORN_WORKER_CONNECTIONS is '7', allowed is a whole number from 8" in stub.refused(settings)


@pytest.mark.parametrize("value", ["--threads 99", "--timeout 60", " "])
def test_arguments_behind_the_entrypoints_back_are_refused(stub: Stub, value: str) -> None:
    assert f"GUNICORN_CMD_ARGS is '{value}'" in stub.refused({"GUNICORN_CMD_ARGS": value})


@pytest.mark.parametrize("value", ["missing.py", "plane", "python:settings"])
def test_a_configuration_that_is_no_file_is_refused(stub: Stub, value: str) -> None:
    assert f"GUNICORN_CONFIG is '{value}'" in stub.refused({"GUNICORN_CONFIG": value})


@pytest.mark.parametrize("value", ["yes", "True", "1", "auto "])
def test_a_preload_that_is_none_is_refused(stub: Stub, value: str) -> None:
    said = stub.refused({"GUNICORN_PRELOAD": value, "GUNICORN_CONFIG": "bare.py"})
    assert f"GUNICORN_PRELOAD is '{value}', allowed are auto, true and false" in said


def test_preload_without_the_file_that_does_it_is_refused(stub: Stub) -> None:
    assert "allowed only with GUNICORN_CONFIG" in stub.refused({"GUNICORN_PRELOAD": "true"})


def test_without_gunicorn_it_says_so(stub: Stub) -> None:
    (stub.bin / "gunicorn").unlink()
    run = stub.run({"PATH": f"{stub.bin}:/usr/bin:/bin"})
    assert (run.status, run.error.count("\n")) == (69, 1)
    assert "gunicorn is not installed" in run.error


# --- which uvicorn ----------------------------------------------------------------------------------------------------


def package(folder: Path, name: str, *modules: str) -> None:
    for module in ("__init__", *modules):
        path = folder / name / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise SystemExit('nobody may import this only to find it')")


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"uvicorn": ["workers"]}, "uvicorn.workers.UvicornWorker"),
        ({"uvicorn": ["workers"], "uvicorn_worker": []}, "uvicorn_worker.UvicornWorker"),
        ({"uvicorn": [], "uvicorn_worker": []}, "uvicorn_worker.UvicornWorker"),
        ({"uvicorn": []}, None),
        ({}, None),
    ],
)
def test_the_class_is_where_it_is_installed(stub: Stub, installed: dict[str, list[str]], expected: str | None) -> None:
    site = stub.folder / "site"
    for name, modules in installed.items():
        package(site, name, *modules)
    # Without the site-packages of the tests, which have a uvicorn of their own.
    stub.python(f'PYTHONPATH={site} exec {sys.executable} -S "$@"')
    run = stub.run(prestart=["wait_for_db"])
    if expected:
        assert run.option("--worker-class") == expected
    else:
        assert (run.status, run.arguments, run.steps) == (69, None, [])
        assert "no uvicorn worker class is installed" in run.error


def test_the_python_beside_gunicorn_is_asked(stub: Stub) -> None:
    """The one that comes first on PATH may be another."""
    first = stub.folder / "first"
    executable(first / "python", f'#!/bin/bash\nexec {sys.executable} -S "$@"\n')
    run = stub.run({"PATH": f"{first}:{stub.bin}:{SYSTEM_PATH}"})
    assert run.option("--worker-class") == UVICORN


def test_gthread_needs_no_uvicorn(stub: Stub) -> None:
    stub.python("exit 1")
    assert stub.run({"GUNICORN_WORKER_CLASS": "gthread"}).status == 0


# --- the steps before gunicorn ----------------------------------------------------------------------------------------


def test_steps_run_in_order_and_each_word_arrives_as_it_is(stub: Stub) -> None:
    run = stub.run(prestart=["wait_for_db", "collectstatic --noinput", "echo $HOME;id * `id` 'x'"])
    assert run.status == 0, run.error
    assert run.steps == ["wait_for_db", "collectstatic|--noinput", "echo|$HOME;id|*|`id`|'x'"]


@pytest.mark.parametrize(
    ("step", "status", "said"),
    [
        ("fail 3", 3, ""),
        ("fail no", 1, "no\n"),
        ("fail", 1, "IndexError: list index out of range\n"),
    ],
)
def test_a_step_that_fails_ends_it_with_its_status(stub: Stub, step: str, status: int, said: str) -> None:
    run = stub.run(prestart=["wait_for_db", step, "collectstatic"])
    assert (run.status, run.arguments, run.steps) == (status, None, ["wait_for_db", step.replace(" ", "|")])
    assert run.error.endswith(f"{said}plane-api: the step 'fail' before gunicorn failed with exit status {status}\n")


def test_a_step_that_is_killed_ends_it_too(stub: Stub) -> None:
    run = stub.run(prestart=["wait_for_db", "kill", "collectstatic"])
    assert (run.status, run.arguments, run.steps) == (128 + signal.SIGKILL, None, ["wait_for_db", "kill"])
    assert run.out.endswith("plane-api: manage.py kill\n")


def test_the_project_is_loaded_once_for_all_steps_and_found_as_its_script_would(stub: Stub) -> None:
    (stub.work / "sibling.py").write_text("import os\nprint('loaded by', os.getpid())\n")
    manage = stub.work / "manage.py"
    manage.write_text(f"import os, sibling\n{manage.read_text()}\nprint('step of', os.getpid())\n")
    run = stub.run(prestart=["wait_for_db", "collectstatic --noinput"])
    assert run.status == 0, run.error
    loaded, *steps = [int(line.split()[-1]) for line in run.out.splitlines() if " by " in line or " of " in line]
    assert steps == [loaded, loaded]


def test_the_machine_signature_is_a_digest_that_stays(stub: Stub) -> None:
    first, second = (stub.run(prestart=["register_instance $MACHINE_SIGNATURE"]) for _ in range(2))
    assert first.status == 0, first.error
    assert first.error == ""
    assert first.steps == second.steps == [f"register_instance|{first.environment['MACHINE_SIGNATURE']}"]
    signature = first.environment["MACHINE_SIGNATURE"]
    assert len(signature) == len(hashlib.sha256().hexdigest())
    assert signature != hashlib.sha256(b"").hexdigest()


def test_the_machine_signature_is_taken_only_where_a_step_names_it() -> None:
    assert "sha256sum" not in render(["wait_for_db", "echo $MACHINE_SIGNATURES"])


def test_a_signal_ends_a_step_that_waits(stub: Stub) -> None:
    script = executable(stub.folder / "entrypoint.sh", render(["wait_for_ever", "never"]))
    started = subprocess.Popen(
        ["/bin/bash", script], cwd=stub.work, env=stub.environment({}), stdout=subprocess.DEVNULL
    )
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
    eventually((stub.work / "steps").exists)
    waiting = int(children.read_text().split()[0])
    began = time.monotonic()
    started.send_signal(signal.SIGTERM)
    assert started.wait(30) == 143
    assert time.monotonic() - began < 10
    eventually(lambda: not Path(f"/proc/{waiting}").exists(), lambda: "the step still runs")
    assert (stub.work / "steps").read_text().split() == ["wait_for_ever"]


# --- the script itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prestart", [[], ["wait_for_db"], ["wait_for_db", "register_instance $MACHINE_SIGNATURE", "echo $HOME 'x'"]]
)
def test_it_is_clean_for_shellcheck(tmp_path: Path, prestart: list[str]) -> None:
    script = executable(tmp_path / "entrypoint.sh", render(prestart))
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_names_are_quoted(stub: Stub) -> None:
    run = stub.run({"GUNICORN_WORKER_CLASS": "x"}, script=render(service="a b'$(id)"))
    assert run.error.startswith("a b'$(id): GUNICORN_WORKER_CLASS")


# --- for real ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=PYTHONS)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def most_at_once(answers: list[dict[str, Any]]) -> dict[int, int]:
    """For each worker, the most requests that ran at one time."""
    found: dict[int, int] = {}
    for pid in {answer["pid"] for answer in answers}:
        mine = [answer for answer in answers if answer["pid"] == pid]
        found[pid] = max(sum(a["began"] <= b["began"] < a["ended"] for a in mine) for b in mine)
    return found


def test_gthread_runs_wsgi_with_two_workers_of_eight_threads(python: str, tmp_path: Path) -> None:
    settings = {"GUNICORN_WORKER_CLASS": "gthread", "GUNICORN_CONFIG": ""}
    with Service(python, tmp_path, settings, tcp=True) as service:
        service.wait_for("Booting worker", 2)
        about = eventually(lambda: service.answers("/about/")).json
        assert (about["kind"], about["worker"]) == ("WSGIRequest", ["gunicorn.workers.gthread"])
        assert len(service.workers()) == 2
        answers: list[dict[str, Any]] = []
        with ThreadPoolExecutor(40) as clients:
            # The kernel shares connections out unevenly, so one round may fill one worker alone.
            for _ in range(12):
                answers += clients.map(lambda _: service.get("/sleep/?seconds=0.3").json, range(40))
                at_once = most_at_once(answers)
                if at_once == dict.fromkeys(service.workers(), 8):
                    break
        assert at_once == dict.fromkeys(service.workers(), 8), Counter(answer["pid"] for answer in answers)


def test_unset_runs_asgi_with_two_workers_of_uvicorn(python: str, tmp_path: Path) -> None:
    with Service(python, tmp_path, {"GUNICORN_CONFIG": ""}, tcp=True) as service:
        service.wait_for("Application startup complete", 2)
        answer = service.get("/about/")
        assert answer.headers["server"] == "uvicorn"
        assert answer.json["kind"] == "ASGIRequest"
        assert len(service.workers()) == 2


@pytest.mark.parametrize("worker_class", ["gthread", ""])
def test_sigterm_lets_a_request_finish_and_ends_with_0(python: str, tmp_path: Path, worker_class: str) -> None:
    with Service(python, tmp_path, {"GUNICORN_WORKER_CLASS": worker_class}, script=render(["wait_for_db"])) as service:
        service.warm()
        with ThreadPoolExecutor(1) as client:
            answer = client.submit(service.get, "/sleep/?seconds=2")
            time.sleep(0.7)
            service.process.send_signal(signal.SIGTERM)
            assert answer.result().status == 200
        assert service.exit_status() == 0
    assert (tmp_path / "steps").read_text().split() == ["wait_for_db"]


def test_a_step_that_fails_keeps_gunicorn_away(python: str, tmp_path: Path) -> None:
    with Service(python, tmp_path, script=render(["wait_for_db", "fail 5"])) as service:
        assert service.exit_status() == 5
        assert "Starting gunicorn" not in service.said()
