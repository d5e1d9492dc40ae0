"""Configuration of a gunicorn that nobody else uses: it writes down which state a request finds when it begins.

Read by the audit's own instance, in the release's own Python, so nothing of this package is imported. One line of JSON
for each request goes to the file AUDIT_REPORT: {"state": {name: {"mechanism", "type", "token"}}}. A token tells one
value from another and says nothing about it.
"""

from __future__ import annotations

import contextvars
import gc
import hashlib
import json
import os
import secrets
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

CONTEXT_VARIABLE = "ContextVar"
THREAD_LOCAL = "threading.local"
# How deep an object that a module names is searched for the variables that it holds.
DEPTH = 3
# So that a token cannot be guessed back into its value, nor compared with another run's.
SALT = secrets.token_bytes(16)

names: dict[int, str] = {}


def holders(value: Any, name: str, depth: int) -> Iterator[tuple[int, str]]:
    """The context variables and thread-locals that an object holds, and what to call them."""
    if isinstance(value, (contextvars.ContextVar, threading.local)):
        yield id(value), name
        return
    if depth == 0 or isinstance(value, (type, types.ModuleType, types.FunctionType)):
        return
    inner = value if isinstance(value, dict) else getattr(value, "__dict__", None)
    if isinstance(inner, dict):
        for key, held in list(inner.items()):
            # Where an asgiref Local keeps its variables is no name that a reader would look for.
            called = name if str(key) in ("_storage", "_data") else f"{name}.{key}"
            yield from holders(held, called, depth - 1)


def find_names() -> None:
    """Name every variable after the module that holds it; the module that defines it names it first."""
    for module in list(sys.modules.values()):
        for key, value in list(getattr(module, "__dict__", {}).items()):
            if not isinstance(value, dict):
                for number, name in holders(value, f"{getattr(module, '__name__', '?')}.{key}", DEPTH):
                    names.setdefault(number, name)


def name_of(variable: Any, otherwise: str) -> str:
    if id(variable) not in names:
        find_names()
    return names.setdefault(id(variable), otherwise)


def described(mechanism: str, value: Any) -> dict[str, str]:
    try:
        text = repr(value)
    except Exception as error:  # a value may not bear to be looked at outside of its request
        text = type(error).__name__
    token = hashlib.sha256(SALT + text.encode(errors="replace")).hexdigest()[:12]
    kind = type(value)
    return {"mechanism": mechanism, "type": f"{kind.__module__}.{kind.__qualname__}", "token": token}


def state() -> dict[str, dict[str, str]]:
    """What this thread holds now, by the name of the variable."""
    found = {}
    for variable, value in contextvars.copy_context().items():
        found[name_of(variable, variable.name)] = described(CONTEXT_VARIABLE, value)
    for thing in gc.get_objects():
        # Not isinstance: a lazy object of the application would be made real by the question.
        if issubclass(type(thing), threading.local):
            kind = type(thing)
            name = name_of(thing, f"{kind.__module__}.{kind.__qualname__}")
            for key, value in list(vars(thing).items()):
                found[f"{name}.{key}"] = described(THREAD_LOCAL, value)
    return found


def audited(application: Callable[..., Any]) -> Callable[..., Any]:
    def begin(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        with open(os.environ["AUDIT_REPORT"], "a", encoding="utf-8") as report:
            report.write(json.dumps({"state": state()}) + "\n")
        return application(environ, start_response)

    return begin


def post_worker_init(worker: Any) -> None:
    worker.wsgi = audited(worker.wsgi)
