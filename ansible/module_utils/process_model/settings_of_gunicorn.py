"""What gunicorn was told, and by whom: its command line, GUNICORN_CMD_ARGS and a configuration file. No I/O.

gunicorn's own precedence: command line, then GUNICORN_CMD_ARGS, then the configuration file, then its default.
"""

from __future__ import annotations

import ast
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

# Flags that matter here, and their names as settings.
FLAGS = {
    "-w": "workers",
    "--workers": "workers",
    "-k": "worker_class",
    "--worker-class": "worker_class",
    "--threads": "threads",
    "-b": "bind",
    "--bind": "bind",
    "-c": "config",
    "--config": "config",
    "-t": "timeout",
    "--timeout": "timeout",
    "--graceful-timeout": "graceful_timeout",
    "--max-requests": "max_requests",
    "--max-requests-jitter": "max_requests_jitter",
    "--worker-connections": "worker_connections",
    "--keep-alive": "keepalive",
    "--preload": "preload_app",
}
SWITCHES = {
    "--preload", "--reload", "-D", "--daemon", "--spew", "--check-config", "--print-config", "--no-sendfile",
    "--reuse-port", "-R", "--enable-stdio-inheritance", "--capture-output", "--proxy-protocol",
    "--disable-redirect-access-to-syslog",
    "--log-syslog", "--initgroups", "--suppress-ragged-eofs", "--do-handshake-on-connect", "--strip-header-spaces",
    "--permit-obsolete-folding", "--permit-unconventional-http-method", "--permit-unconventional-http-version",
    "--casefold-http-method",
}  # fmt: skip
NUMBERS = {
    "workers", "threads", "timeout", "graceful_timeout", "max_requests", "max_requests_jitter", "worker_connections",
    "keepalive",
}  # fmt: skip
DEFAULTS: Mapping[str, Any] = {
    "workers": 1,
    "worker_class": "sync",
    "threads": 1,
    "bind": "127.0.0.1:8000",
    "timeout": 30,
    "graceful_timeout": 30,
    "max_requests": 0,
    "max_requests_jitter": 0,
    "worker_connections": 1000,
    "preload_app": False,
}
# A value that is computed when gunicorn starts: reading the file does not tell it.
COMPUTED = "<computed>"


def parse_arguments(words: Sequence[str]) -> dict[str, Any]:
    """Settings of a command line, without the program's own name; the application under `application`.

    >>> parse_arguments(["-w", "2", "--threads=8", "plane.wsgi:application"])
    {'workers': 2, 'threads': 8, 'application': 'plane.wsgi:application'}
    """
    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        flag, separator, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if not word.startswith("-"):
            found["application"] = word
            continue
        if not word.startswith("--") and len(word) > 2:
            flag, separator, value = word[:2], "=", word[2:]
        if flag in SWITCHES:
            if flag in FLAGS:
                found[FLAGS[flag]] = True
            continue
        if not separator:
            value = rest.pop(0) if rest else ""
        if flag in FLAGS:
            found[FLAGS[flag]] = _typed(FLAGS[flag], value)
    return found


def parse_environment_arguments(text: str) -> dict[str, Any]:
    """Settings of GUNICORN_CMD_ARGS."""
    try:
        return parse_arguments(shlex.split(text))
    except ValueError:
        return {}


def parse_configuration_file(text: str) -> dict[str, Any]:
    """Settings that a configuration file assigns at its top level; COMPUTED where the value is no literal."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return {}
    found: dict[str, Any] = {}
    known = set(FLAGS.values()) | {"wsgi_app"}
    for node in ast.walk(tree):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and target.id in known and getattr(node, "value", None) is not None:
                name = "application" if target.id == "wsgi_app" else target.id
                try:
                    found[name] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
                except ValueError:
                    found[name] = COMPUTED
    return found


def _typed(name: str, value: str) -> Any:
    if name in NUMBERS:
        try:
            return int(value)
        except ValueError:
            return value
    return value


def canonical_class(worker_class: Any, threads: Any) -> str:
    """`gthread`, `uvicorn`, or what it is: gunicorn itself turns sync with several threads into gthread."""
    name = str(worker_class)
    if name.rpartition(".")[2].startswith("Uvicorn"):
        return "uvicorn"
    if name.rpartition(".")[2] == "ThreadWorker":
        return "gthread"
    if name == "sync" and isinstance(threads, int) and threads > 1:
        return "gthread"
    return name


def effective(name: str, sources: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[Any, str, list[tuple[str, Any]]]:
    """(value, who said it, everyone who said something), by gunicorn's precedence; `sources` come in that order."""
    said = [(source, settings[name]) for source, settings in sources if name in settings]
    if said:
        return said[0][1], said[0][0], said
    return DEFAULTS.get(name), "gunicorn's default", said
