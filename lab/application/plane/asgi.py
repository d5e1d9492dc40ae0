"""The ASGI application, for uvicorn workers: Django, and a WebSocket echo at /ws/echo/."""

import os

from django.core.asgi import get_asgi_application

from plane import standin_fault

standin_fault.at_boot()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "plane.settings")
django_application = get_asgi_application()


async def application(scope, receive, send):
    if scope["type"] == "websocket":
        await echo(scope, receive, send)
    elif scope["type"] == "http":
        await django_application(scope, receive, send)


async def echo(scope, receive, send):
    while True:
        event = await receive()
        if event["type"] == "websocket.connect":
            await send({"type": "websocket.accept" if scope["path"] == "/ws/echo/" else "websocket.close"})
        elif event["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event.get("text") or ""})
        else:
            return
