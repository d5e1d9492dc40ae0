"""Request-scoped state by every mechanism that the proposal's table names, and the request log."""

import logging
import time
from contextvars import ContextVar

import crum
from asgiref.local import Local
from django.db import connection
from django.utils import timezone

log = logging.getLogger("plane.request")

query_count: ContextVar[int] = ContextVar("query_count", default=0)
replica_routing = Local()


def present_state(request):
    """What each mechanism holds right now: at the start of a request that has to be nothing."""
    user = crum.get_current_user()
    return {
        "query_count": query_count.get(),
        "use_replica": getattr(replica_routing, "use_replica", None),
        "crum_user": user.pk if user else None,
        "time_zone": timezone.get_current_timezone_name(),
    }


class RecordStateMiddleware:
    """Remembers what an earlier request left behind, before anything of this one runs."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.state_at_start = present_state(request)
        return self.get_response(request)


class RequestLogMiddleware:
    """A line for every request but the health check."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        began = time.monotonic()
        response = self.get_response(request)
        if request.path != "/":
            took = (time.monotonic() - began) * 1000
            log.info("%s %s %s %.1f ms", request.method, request.path, response.status_code, took)
        return response


class QueryCounterMiddleware:
    """Counts a request's database queries in a ContextVar. Like the original, it never resets it."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        with connection.execute_wrapper(self.count):
            return self.get_response(request)

    @staticmethod
    def count(execute, sql, params, many, context):
        query_count.set(query_count.get() + 1)
        return execute(sql, params, many, context)


class ReadReplicaMiddleware:
    """Says in an asgiref Local whether this request may read from a replica."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        replica_routing.use_replica = request.method in ("GET", "HEAD", "OPTIONS")
        return self.get_response(request)


class ReadReplicaRouter:
    """Would send reads to a replica; the lab has one database."""

    def db_for_read(self, model, **hints):
        return "default"

    def db_for_write(self, model, **hints):
        return "default"


class TimezoneMiddleware:
    """Activates the user's time zone for API views, and leaves it activated, as views outside a mixin find it."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        zone = request.headers.get("X-Time-Zone")
        if zone:
            timezone.activate(zone)
        return self.get_response(request)
