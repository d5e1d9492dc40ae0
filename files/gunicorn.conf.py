"""Hooks of gunicorn: a worker is warm before it serves, and preloads where that is safe.

Nothing here sets the process model: class, workers and threads are on the command line. Read from the environment:

    GUNICORN_PRELOAD      auto, true or false (default). auto: preload where the check below passes. true: refuse to
                          start where it does not.
    GUNICORN_APPLICATION  module:object of the application; the entrypoint exports it.
    GUNICORN_BIND         where gunicorn listens; a Unix socket is reached by admission alone.
"""

import gc
import importlib
import os
import sys
import time
from typing import Any

# The file that a worker touches to say that it lives must not wait for a disk.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - memory, not a shared /tmp

if os.environ.get("GUNICORN_BIND", "").startswith("unix:"):
    # The socket's folder admits only admission, which sets X-Forwarded-* itself and drops a client's own.
    forwarded_allow_ips = "*"


def load_urlconf() -> None:
    """Load Django's URLconf, which Django itself leaves to the first request; anything but Django has none."""
    if "django" not in sys.modules:
        return
    from django.conf import settings
    from django.urls import get_resolver

    if settings.configured and getattr(settings, "ROOT_URLCONF", None):
        resolver = get_resolver()
        _ = resolver.url_patterns
        _ = resolver.namespace_dict


def load_application() -> None:
    module, _, _ = os.environ["GUNICORN_APPLICATION"].partition(":")
    sys.path.insert(0, os.getcwd())
    importlib.import_module(module)
    load_urlconf()


def reason_against_preload() -> str:
    """Why the application must not be loaded before the fork; empty where it may.

    A thread does not survive a fork, and a connection would be shared by all workers. So a child loads the application
    and counts both, before gunicorn itself has opened anything.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = sockets()
            load_application()
            threads = len(os.listdir("/proc/self/task"))
            opened = len(sockets() - before)
            reason = ""
            if threads > 1:
                reason = f"{threads} threads run after loading the application"
            elif opened:
                reason = f"{opened} connections are open after loading the application"
        except BaseException as error:
            reason = f"the application does not load: {error!r}"
        os.write(write_end, reason.encode()[:4000])
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answer:
        reason = answer.read().decode()
    os.waitpid(child, 0)
    return reason


def sockets() -> set[str]:
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def decide_preload(wanted: str) -> bool:
    if wanted not in ("auto", "true"):
        return False
    began = time.monotonic()
    reason = reason_against_preload()
    if reason and wanted == "true":
        sys.exit(f"GUNICORN_PRELOAD is true, but preloading is not safe: {reason}")
    verdict = f"off: {reason}" if reason else "on"
    print(f"preload {verdict} (checked in {time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)
    return not reason


preload_app = decide_preload(os.environ.get("GUNICORN_PRELOAD", "false"))


def when_ready(server: Any) -> None:
    """In the master, before the first worker: with preload, load what workers share and keep the collector off it."""
    if server.cfg.preload_app:
        load_urlconf()
        gc.collect()
        gc.freeze()


def post_worker_init(worker: Any) -> None:
    """In each worker, a recycled one too, after loading the application and before the first request."""
    load_urlconf()
