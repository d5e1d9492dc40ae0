"""A Django project in one file: each request reports what every mechanism held when it began, then uses all of them."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import crum
import django
from asgiref.local import Local
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.utils import timezone

# Long enough that requests overlap on every thread of a worker, and inside each of them.
HELD_SECONDS = 0.004

of_context: ContextVar[str] = ContextVar("of_context", default="")
local = Local()
critical = Local(thread_critical=True)
of_thread = threading.local()


class User:
    """As much of a user as django-crum asks for."""

    def __init__(self, name: str) -> None:
        self.name = name


def present() -> dict[str, str]:
    """Mechanism -> whose value it holds; empty where it holds none."""
    user = crum.get_current_user()
    zone = str(timezone.get_current_timezone())
    return {
        "ContextVar": of_context.get(),
        "asgiref Local": getattr(local, "name", ""),
        "asgiref Local, thread-critical": getattr(critical, "name", ""),
        "threading.local": getattr(of_thread, "name", ""),
        "django-crum, its middleware": user.name if user else "",
        "time zone": "" if zone == "UTC" else zone,
    }


def middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Outermost: sees the state before anything of this request has run, and says who asks."""

    def handle(request: HttpRequest) -> HttpResponse:
        request.at_start = present()
        request.user = User(request.headers["X-User"])
        request.session = {}
        return get_response(request)

    return handle


def view(request: HttpRequest) -> HttpResponse:
    """Set every mechanism to the asking user, reset none, and look again after a pause in which others run."""
    name = request.headers["X-User"]
    of_context.set(name)
    local.name = critical.name = of_thread.name = name
    timezone.activate(request.headers["X-Zone"])
    request.session["name"] = name
    time.sleep(HELD_SECONDS)
    held: dict[str, Any] = {**present(), "session of the request": request.session["name"]}
    return JsonResponse({"at_start": {**request.at_start, "session of the request": ""}, "held": held})


def health(request: HttpRequest) -> HttpResponse:
    """What isolation costs is seen best where a request does nothing else."""
    return HttpResponse("OK")


settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY=secrets.token_hex(),
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[f"{__name__}.middleware", "crum.CurrentRequestUserMiddleware"],
    USE_TZ=True,
    TIME_ZONE="UTC",
)
django.setup()
urlpatterns = [path("", health), path("state/", view)]
wsgi = get_wsgi_application()
asgi = get_asgi_application()
