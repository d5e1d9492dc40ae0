"""The entrypoint, by running the rendered script: first against a gunicorn that only records, then for real."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jinja2
import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDER = """#!/bin/sh
printf '%s\\n' "$@" >"$RECORD"
env >"$RECORD.env"
"""
MANAGE = """import os, sys
with open(os.environ["RECORD"] + ".steps", "a") as steps:
    steps.write(" ".join(sys.argv[1:]) + "\\n")
if os.environ.get("FAIL") == sys.argv[1]:
    sys.exit(7)
"""
ALLOWED = "LANG HOME TMPDIR SSL_CERT_FILE".split()


def render(prestart: list[str] | None = None, service: str = "plane-api") -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)  # noqa: S701
    environment.filters["quote"] = __import__("shlex").quote
    text = (ROOT / "files/entrypoint.sh.j2").read_text(encoding="utf-8")
    return environment.from_string(text).render(
        ansible_managed="Ansible managed",
        entrypoint_service=service,
        entrypoint_wsgi="plane.wsgi:application",
        entrypoint_asgi="plane.asgi:application",
        entrypoint_prestart=prestart or [],
    )


class Entrypoint:
    """A rendered entrypoint in a folder with manage.py, and a recording gunicorn on PATH."""

    def __init__(self, folder: Path, prestart: list[str] | None = None) -> None:
        self.folder = folder
        self.script = folder / "entrypoint.sh"
        self.script.write_text(render(prestart))
        self.script.chmod(0o755)
        (folder / "manage.py").write_text(MANAGE)
        programs = folder / "bin"
        programs.mkdir()
        (programs / "gunicorn").write_text(RECORDER)
        (programs / "gunicorn").chmod(0o755)
        (programs / "python").symlink_to(sys.executable)
        self.record = folder / "record"

    def run(self, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ALLOWED if name in os.environ}
        environment = {**kept, "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin", "RECORD": str(self.record), **variables}
        # The interpreter of the tests, with its packages, through a link in another folder.
        environment.setdefault("PYTHONPATH", next(path for path in sys.path if path.endswith("site-packages")))
        return subprocess.run([self.script], cwd=self.folder, env=environment, capture_output=True, text=True, check=False)

    def arguments(self, **variables: str) -> list[str]:
        done = self.run(**variables)
        assert done.returncode == 0, done.stderr
        return self.record.read_text().splitlines()

    def steps(self) -> list[str]:
        path = Path(f"{self.record}.steps")
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def entrypoint(tmp_path: Path) -> Entrypoint:
    return Entrypoint(tmp_path)


def value(arguments: list[str], flag: str) -> str:
    assert arguments.count(flag) == 1, arguments
    return arguments[arguments.index(flag) + 1]


def test_gthread_is_wsgi_with_threads(entrypoint: Entrypoint) -> None:
    arguments = entrypoint.arguments(GUNICORN_WORKER_CLASS="gthread", GUNICORN_WORKERS="2", GUNICORN_THREADS="8")
    assert arguments == [
        "--workers", "2", "--max-requests", "1200", "--max-requests-jitter", "1000", "--access-logfile", "-",
        "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--threads", "8", "plane.wsgi:application",
    ]  # fmt: skip


@pytest.mark.parametrize("variables", [{}, {"GUNICORN_WORKER_CLASS": ""}, {"GUNICORN_WORKER_CLASS": "uvicorn"}])
def test_empty_unset_or_uvicorn_is_asgi(entrypoint: Entrypoint, variables: dict[str, str]) -> None:
    arguments = entrypoint.arguments(**variables)
    assert value(arguments, "--worker-class") == "uvicorn.workers.UvicornWorker"
    assert arguments[-1] == "plane.asgi:application"
    assert "--threads" not in arguments


def test_the_class_of_the_package_uvicorn_worker_is_taken_where_it_is_installed(entrypoint: Entrypoint) -> None:
    packages = entrypoint.folder / "packages"
    (packages / "uvicorn_worker").mkdir(parents=True)
    (packages / "uvicorn_worker" / "__init__.py").touch()
    arguments = entrypoint.arguments(PYTHONPATH=str(packages))
    assert value(arguments, "--worker-class") == "uvicorn_worker.UvicornWorker"


def test_no_uvicorn_at_all_is_said(entrypoint: Entrypoint) -> None:
    # An interpreter without site-packages has none.
    bare = entrypoint.folder / "bin/python"
    bare.unlink()
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    done = entrypoint.run(PYTHONPATH="")
    assert (done.returncode, done.stderr) == (
        69,
        "plane-api: no uvicorn worker class is installed (uvicorn, uvicorn-worker)\n",
    )


@pytest.mark.parametrize("name", ["gthred", "gevent", "eventlet", "sync", "tornado", "GTHREAD", "gthread ", "uvicorn.workers.UvicornWorker"])
def test_any_other_class_is_refused_with_one_line(entrypoint: Entrypoint, name: str) -> None:
    done = entrypoint.run(GUNICORN_WORKER_CLASS=name)
    assert done.returncode == 64
    assert done.stderr == (
        f"plane-api: GUNICORN_WORKER_CLASS is '{name}', allowed are gthread and uvicorn (or unset, which is uvicorn)\n"
    )
    assert not entrypoint.record.exists()


@pytest.mark.parametrize("wrong", ["", " ", "0", "-1", "8x", "1e3", "08", "+8", "8 ", " 8", "8.0", "99999999999999999999", "$(id)"])
@pytest.mark.parametrize("name", ["GUNICORN_WORKERS", "GUNICORN_THREADS", "PORT"])
def test_a_number_that_is_none_is_refused(entrypoint: Entrypoint, name: str, wrong: str) -> None:
    done = entrypoint.run(GUNICORN_WORKER_CLASS="gthread", **{name: wrong})
    assert done.returncode == 64
    assert done.stderr.count("\n") == 1
    assert f"{name} is '{wrong}', allowed is a whole number from 1 to" in done.stderr
    assert not entrypoint.record.exists()


@pytest.mark.parametrize("name", ["GUNICORN_MAX_REQUESTS", "GUNICORN_MAX_REQUESTS_JITTER"])
def test_recycling_may_be_switched_off_but_not_mistyped(entrypoint: Entrypoint, name: str) -> None:
    assert value(entrypoint.arguments(**{name: "0"}), "--" + name[9:].lower().replace("_", "-")) == "0"
    for wrong in ["-1", "1e3", "", "many"]:
        assert entrypoint.run(**{name: wrong}).returncode == 64


def test_optional_settings_are_passed_on_only_when_set(entrypoint: Entrypoint) -> None:
    assert not {"--timeout", "--graceful-timeout", "--worker-connections", "--config"} & set(entrypoint.arguments())
    config = entrypoint.folder / "hooks.py"
    config.touch()
    arguments = entrypoint.arguments(
        GUNICORN_TIMEOUT="45", GUNICORN_GRACEFUL_TIMEOUT="20", GUNICORN_WORKER_CONNECTIONS="64", GUNICORN_CONFIG=str(config)
    )
    assert value(arguments, "--timeout") == "45"
    assert value(arguments, "--graceful-timeout") == "20"
    assert value(arguments, "--worker-connections") == "64"
    assert value(arguments, "--config") == str(config)
    for name in ("GUNICORN_TIMEOUT", "GUNICORN_GRACEFUL_TIMEOUT", "GUNICORN_WORKER_CONNECTIONS"):
        assert entrypoint.run(**{name: "0"}).returncode == 64


def test_the_bind_replaces_the_port(entrypoint: Entrypoint) -> None:
    assert value(entrypoint.arguments(PORT="9000"), "--bind") == "0.0.0.0:9000"
    assert value(entrypoint.arguments(PORT="9000", GUNICORN_BIND="unix:/run/x.sock"), "--bind") == "unix:/run/x.sock"


def test_arguments_behind_its_back_are_refused(entrypoint: Entrypoint) -> None:
    done = entrypoint.run(GUNICORN_CMD_ARGS="--threads 1")
    assert done.returncode == 64
    assert "GUNICORN_CMD_ARGS is '--threads 1', it has to be unset" in done.stderr


def test_a_missing_configuration_file_is_refused(entrypoint: Entrypoint) -> None:
    assert entrypoint.run(GUNICORN_CONFIG="/nowhere.py").returncode == 64


def test_steps_run_in_their_order_before_gunicorn(tmp_path: Path) -> None:
    entrypoint = Entrypoint(tmp_path, ["wait_for_db", "collectstatic --noinput", "say it's; $HOME"])
    entrypoint.arguments()
    assert entrypoint.steps() == ["wait_for_db", "collectstatic --noinput", "say it's; $HOME"]


def test_a_failing_step_is_named_and_ends_the_start(tmp_path: Path) -> None:
    entrypoint = Entrypoint(tmp_path, ["wait_for_db", "configure_instance", "clear_cache"])
    done = entrypoint.run(FAIL="configure_instance")
    assert done.returncode == 7
    assert done.stderr == "plane-api: the step 'configure_instance' before gunicorn failed with exit status 7\n"
    assert entrypoint.steps() == ["wait_for_db", "configure_instance"]
    assert not entrypoint.record.exists()


def test_settings_are_checked_before_any_step_runs(tmp_path: Path) -> None:
    entrypoint = Entrypoint(tmp_path, ["wait_for_db"])
    assert entrypoint.run(GUNICORN_WORKERS="none").returncode == 64
    assert entrypoint.steps() == []


def test_the_machine_signature_is_stable_and_only_computed_for_the_step_that_names_it(tmp_path: Path) -> None:
    entrypoint = Entrypoint(tmp_path, ["register_instance $MACHINE_SIGNATURE"])
    entrypoint.arguments()
    entrypoint.arguments()
    first, second = entrypoint.steps()
    assert first == second
    assert len(first.split()[1]) == 64
    assert f"MACHINE_SIGNATURE={first.split()[1]}" in Path(f"{entrypoint.record}.env").read_text()
    assert "sha256sum" not in render(["wait_for_db"])


def test_the_application_is_exported_for_the_hooks(entrypoint: Entrypoint) -> None:
    entrypoint.arguments(GUNICORN_WORKER_CLASS="gthread")
    assert "GUNICORN_APPLICATION=plane.wsgi:application" in Path(f"{entrypoint.record}.env").read_text().splitlines()


@pytest.mark.parametrize("prestart", [[], ["wait_for_db", "register_instance $MACHINE_SIGNATURE"]])
def test_the_rendered_script_is_clean(tmp_path: Path, prestart: list[str]) -> None:
    script = tmp_path / "entrypoint.sh"
    script.write_text(render(prestart))
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("worker_class", "server", "line"),
    [("gthread", b"gunicorn", "Using worker: gthread"), ("", b"uvicorn", "Using worker: uvicorn.workers.UvicornWorker")],
)
def test_for_real_the_process_is_gunicorn_itself_and_gets_its_signals(
    tmp_path: Path, worker_class: str, server: bytes, line: str, wait_for: Callable[..., None]
) -> None:
    package = tmp_path / "plane"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "wsgi.py").write_text(
        "def application(environ, start_response):\n    start_response('200 OK', [('Content-Length', '2')])\n    return [b'ok']\n"
    )
    (package / "asgi.py").write_text(
        "async def application(scope, receive, send):\n    if scope['type'] == 'http':\n"
        "        await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "        await send({'type': 'http.response.body', 'body': b'ok'})\n"
    )
    script = tmp_path / "entrypoint.sh"
    script.write_text(render())
    script.chmod(0o755)
    path = str(tmp_path / "s")
    programs = os.path.dirname(shutil.which("gunicorn", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or "")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [script], cwd=tmp_path, stdout=log, stderr=log,
            env={"PATH": f"{programs}:/usr/bin:/bin", "GUNICORN_WORKER_CLASS": worker_class, "GUNICORN_BIND": f"unix:{path}"},
        )  # fmt: skip
    try:
        wait_for(lambda: os.path.exists(path) and answers(path, server))
        assert line in (tmp_path / "log").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def answers(path: str, server: bytes) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(path)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b""
        while chunk := connection.recv(4096):
            received += chunk
    return received.startswith(b"HTTP/1.1 200") and b"erver: " + server in received
