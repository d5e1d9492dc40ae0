"""A release broken in one way, for the lab's tests: PLANE_STANDIN_FAULT is no-boot, slow-boot, health-500,
calls-500 (health is fine) or unset.
"""

import os
import time

from django.http import HttpResponse

FAULT = os.environ.get("PLANE_STANDIN_FAULT", "")
SLOW_SECONDS = 20


def at_boot():
    if FAULT == "no-boot":
        raise RuntimeError("this release does not boot")
    if FAULT == "slow-boot":
        time.sleep(SLOW_SECONDS)


def middleware(get_response):
    """Answers 500 to everything but the health check, where that is the fault."""

    def answer(request):
        if FAULT == "calls-500" and request.path != "/":
            return HttpResponse("as asked", status=500)
        return get_response(request)

    return answer


def health_status():
    return 500 if FAULT == "health-500" else 200
