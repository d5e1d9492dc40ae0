"""For the lab's tests alone (PLANE_STANDIN_DEBUG=1): hold a slot, hold memory, say which process answers."""

import os
import threading
import time

from django.http import HttpResponse, JsonResponse, StreamingHttpResponse

LONGEST_SECONDS = 60.0
MOST_MEBIBYTES = 4096


def sleep(request):
    time.sleep(min(float(request.GET.get("seconds", "1")), LONGEST_SECONDS))
    return JsonResponse({"pid": os.getpid()})


def allocate(request):
    held = bytearray(min(int(request.GET.get("mebibytes", "1")), MOST_MEBIBYTES) * 1024 * 1024)
    for offset in range(0, len(held), 4096):
        held[offset] = 1
    time.sleep(min(float(request.GET.get("seconds", "0")), LONGEST_SECONDS))
    return JsonResponse({"pid": os.getpid(), "bytes": len(held)})


def process(request):
    return JsonResponse(
        {
            "pid": os.getpid(),
            "master": os.getppid(),
            "interface": "asgi" if hasattr(request, "scope") else "wsgi",
            "thread": threading.current_thread().name,
        }
    )


def request_state(request):
    return JsonResponse(request.state_at_start)


def echo(request):
    """What arrived: headers as the application sees them, and how many bytes of body."""
    size = 0
    while chunk := request.read(65536):
        size += len(chunk)
    return JsonResponse(
        {
            "headers": dict(request.headers),
            "remote": request.META.get("REMOTE_ADDR"),
            "secure": request.is_secure(),
            "body_bytes": size,
        }
    )


def large(request):
    """An answer of any size at once, incompressible as a page description is."""
    size = min(int(request.GET.get("mebibytes", "8")), MOST_MEBIBYTES) * 1024 * 1024
    return HttpResponse(os.urandom(size), content_type="application/octet-stream")


def stream(request):
    def parts():
        for number in range(int(request.GET.get("parts", "5"))):
            yield f"{number}\n".encode()
            time.sleep(min(float(request.GET.get("pause", "0.1")), 1.0))

    return StreamingHttpResponse(parts(), content_type="text/plain")
