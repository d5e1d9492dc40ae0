"""What Django's way of running a synchronous view under an event loop costs, part by part, in one process.

    make executor-profile

The same view is called by Django's WSGI handler and by its ASGI handler, without a server around them; then the parts
of the latter alone. Each is milliseconds of processor for a call, all threads together: the median of rounds that take
turns. What it means is in docs/claims.md.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock
from wsgiref.util import setup_testing_defaults

import django
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

ROUNDS, CALLS = 7, 500


def healthy(_: HttpRequest) -> HttpResponse:
    return HttpResponse("OK")


urlpatterns = [path("", healthy)]


async def through_asgi(application: Callable[..., Awaitable[None]]) -> None:
    """One request, as a server hands it over."""
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"",
        "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "scheme": "http",
        "asgi": {"version": "3.0"},
    }  # fmt: skip
    request = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in request:
            return message
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def send(_: dict[str, Any]) -> None:
        pass

    await application(scope, receive, send)


def through_wsgi(application: Callable[..., Any]) -> None:
    for _ in range(CALLS):
        one_through_wsgi(application)


def one_through_wsgi(application: Callable[..., Any]) -> None:
    variables: dict[str, Any] = {"PATH_INFO": "/", "HTTP_HOST": "localhost"}
    setup_testing_defaults(variables)
    answer = application(variables, lambda *_: None)
    list(answer)
    answer.close()


async def in_a_context_of_its_own() -> None:
    """How Django runs what is synchronous, once for each request."""
    async with ThreadSensitiveContext():
        await sync_to_async(int, thread_sensitive=True)()


async def in_a_new_thread() -> None:
    with ThreadPoolExecutor(1) as executor:
        await asyncio.get_running_loop().run_in_executor(executor, int)


async def in_a_kept_thread(executor: ThreadPoolExecutor) -> None:
    await asyncio.get_running_loop().run_in_executor(executor, int)


def milliseconds(call: Callable[[], None]) -> float:
    began = time.process_time()
    call()
    return 1000 * (time.process_time() - began) / CALLS


def threads_started(call: Callable[[], None]) -> float:
    """For each of the calls."""
    with mock.patch.object(threading.Thread, "start", autospec=True, side_effect=threading.Thread.start) as start:
        call()
    return start.call_count / CALLS


def again(call: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    async def calls() -> None:
        for _ in range(CALLS):
            await call()

    return lambda: asyncio.run(calls())


def main() -> None:
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["localhost"])
    wsgi, asgi = get_wsgi_application(), get_asgi_application()
    with ThreadPoolExecutor(1) as kept:
        parts: dict[str, Callable[[], None]] = {
            "the view through WSGI": lambda: through_wsgi(wsgi),
            "the view through ASGI": again(lambda: through_asgi(asgi)),
            "of it: a function in a context of its own (asgiref)": again(in_a_context_of_its_own),
            "of that: a thread that starts and ends": again(in_a_new_thread),
            "instead: a thread that is kept": again(lambda: in_a_kept_thread(kept)),
        }
        for part in parts.values():
            part()
        rounds = [{name: milliseconds(part) for name, part in parts.items()} for _ in range(ROUNDS)]
        print(f"Django {django.__version__}, {ROUNDS} rounds of {CALLS} calls\n")
        print(f"{'':<54}{'ms of processor':>16}{'threads started':>17}")
        for name, part in parts.items():
            print(f"{name:<54}{statistics.median(each[name] for each in rounds):>16.3f}{threads_started(part):>17.1f}")


if __name__ == "__main__":
    main()
