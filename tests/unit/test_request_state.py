"""Which request-scoped state outlives a request, by worker class: docs/claims.md shows it, here in a smaller size."""

from __future__ import annotations

import asyncio

import pytest
from request_state.__main__ import CLIENTS, OF_THREAD, SETTINGS, Found, Setting, ask, leaks, serving, table

REQUESTS = 120
# django-crum's middleware and the request's own attributes are reset with every request, in each class.
RESET = {"django-crum, its middleware", "session of the request"}


def stale(found: Found) -> set[str]:
    return {mechanism for mechanism, count in found.stale.items() if count}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_no_class_mixes_requests_and_which_state_outlives_them(setting: Setting) -> None:
    with serving(setting) as base:
        kept, closed = (asyncio.run(ask(base, keep, REQUESTS, CLIENTS)) for keep in (True, False))
    assert not any(kept.mixed.values())
    assert not any(closed.mixed.values())
    every = set(kept.stale) - RESET
    expected = {
        "gthread": (every, every),
        "gthread, isolated": (OF_THREAD, OF_THREAD),
        "uvicorn": (set(), set()),
        # A green thread serves a connection, and the requests of a kept one follow each other on it.
        "gevent": (every, set()),
        "eventlet": (every, set()),
    }
    assert (stale(kept), stale(closed)) == expected[setting.name]


def test_a_leak_is_found_and_what_a_thread_keeps_is_none() -> None:
    found = Found(mixed={"ContextVar": 0, "time zone": 1, "threading.local": 0},
                  stale={"ContextVar": 3, "time zone": 0, "threading.local": 5})  # fmt: skip
    assert leaks([found]) == {"ContextVar", "time zone"}
    assert table("kept", {"gthread": found})[1].split() == ["ContextVar", "0", "/", "3"]
