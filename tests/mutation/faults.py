"""The faults: how each is injected into a healthy host, and the words by which verify has to name it.

Data, not code: one entry a fault. `inject` is a shell command on the host; LIVE is the live colour's name, ETC its
folder, UNIT its unit and ADMISSION HAProxy's runtime socket. After each, site.yml repairs the host.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    name: str
    inject: str
    caught_by: tuple[str, ...]
    service: str = "plane-api"
    # A shell command that takes back what site.yml has no business to remove (a stray process of somebody else's).
    undo: str = ""


RESTART = "systemctl restart $UNIT"


def setting(name: str, value: str) -> str:
    """Change one variable of the live colour's environment file and restart it."""
    return f"sed -i 's/^{name}=.*/{name}=\"{value}\"/' $ETC/environment && {RESTART}"


def wrapper(words: str) -> str:
    """Replace the last line of the entrypoint, so that gunicorn is started with other arguments."""
    return f"sed -i 's#^exec .*#exec {words}#' $ETC/entrypoint.sh && {RESTART}"


FAULTS = [
    Fault("wrong class", setting("GUNICORN_WORKER_CLASS", "uvicorn"), ("worker_class is uvicorn", "should be gthread")),
    Fault(
        "class right, threads dropped",
        wrapper('gunicorn --worker-class gthread --workers 2 --max-requests 1200 --max-requests-jitter 1000 '
                '--bind "$GUNICORN_BIND" plane.wsgi:application'),
        ("threads is 1, should be 8",),
    ),
    Fault("workers changed", setting("GUNICORN_WORKERS", "3"), ("workers is 3, should be 2",)),
    Fault(
        "typo in the class",
        setting("GUNICORN_WORKER_CLASS", "gthred").replace("systemctl restart", "systemctl --no-block restart")
        + " && until [ \"$(systemctl is-active $UNIT)\" = failed ]; do sleep 0.1; done",
        ("nothing runs as", "failed"),
    ),
    Fault(
        "GUNICORN_CMD_ARGS overrides",
        wrapper('env GUNICORN_CMD_ARGS="--threads 3 --worker-class gthread --workers 2" gunicorn '
                '--max-requests 1200 --max-requests-jitter 1000 --access-logfile - --bind "$GUNICORN_BIND" plane.wsgi:application'),
        ("threads is 3, should be 8", "GUNICORN_CMD_ARGS"),
    ),
    Fault(
        "a configuration file overrides",
        "printf '\\nthreads = 5\\n' >>$ETC/gunicorn.conf.py && "
        + wrapper('gunicorn --worker-class gthread --workers 2 --max-requests 1200 --max-requests-jitter 1000 '
                  '--access-logfile - --config "$GUNICORN_CONFIG" --bind "$GUNICORN_BIND" plane.wsgi:application'),
        ("threads is 5, should be 8", "configuration file"),
    ),
    Fault(
        "edited environment file without restart",
        "sed -i 's/^GUNICORN_THREADS=.*/GUNICORN_THREADS=\"4\"/' $ETC/environment",
        ("/environment is not what the inventory renders",),
    ),
    Fault(
        "a stale process, its files already new",
        "pid=$(systemctl show -P MainPID $UNIT) && echo PLANE_PROCESS_MODEL_FINGERPRINT=0000 >$ETC/fingerprint && "
        + RESTART,
        ("the process was started from other files or an older release",),
    ),
    Fault(
        "edited unit",
        "sed -i 's/^Restart=always/Restart=no/' /etc/systemd/system/$SERVICE@.service",
        ("@.service is not what the inventory renders", "systemd has not read the changed"),
    ),
    Fault(
        "a drop-in overrides the unit",
        "mkdir -p /etc/systemd/system/$UNIT.d && printf '[Service]\\nNice=5\\n' >/etc/systemd/system/$UNIT.d/nice.conf && "
        "systemctl daemon-reload",
        ("nice.conf overrides",),
        undo="rm -rf /etc/systemd/system/$SERVICE@*.service.d && systemctl daemon-reload",
    ),
    Fault(
        "WSGI application under the uvicorn class",
        wrapper('gunicorn --worker-class uvicorn.workers.UvicornWorker --workers 2 --bind "$GUNICORN_BIND" plane.wsgi:application'),
        ("worker_class is uvicorn", "answered 500"),
    ),
    Fault(
        "ASGI application under gthread",
        wrapper('gunicorn --worker-class gthread --threads 8 --workers 2 --max-requests 1200 --max-requests-jitter 1000 '
                '--bind "$GUNICORN_BIND" plane.asgi:application'),
        ("application is plane.asgi:application, should be plane.wsgi:application", "answered 500"),
    ),
    Fault(
        "a killed worker that does not come back",
        "pid=$(systemctl show -P MainPID $UNIT) && kill -STOP $pid && kill -9 $(pgrep -P $pid | head -n 1)",
        ("workers is 1", "should be 2"),
        undo="kill -CONT $(pgrep -f bin/gunicorn) 2>/dev/null || true",
    ),
    Fault(
        "a stopped worker",
        "kill -STOP $(pgrep -P $(systemctl show -P MainPID $UNIT) | head -n 1)",
        ("workers is 1", "should be 2"),
        undo="kill -CONT $(pgrep -f bin/gunicorn) 2>/dev/null || true",
    ),
    Fault(
        "GraphQL flipped along with REST",
        setting("GUNICORN_WORKER_CLASS", "gthread"),
        ("worker_class is gthread", "should be uvicorn"),
        service="plane-graphql",
    ),
    Fault(
        "another process on the port",
        "systemctl stop plane-admission && cd /tmp && systemd-run --quiet --unit=lab-intruder "
        "python3 -m http.server --bind $ADDRESS $PORT && until ss -ltn | grep -q $ADDRESS:$PORT; do sleep 0.1; done",
        ("admission does not run",),
        undo="systemctl stop lab-intruder; systemctl reset-failed lab-intruder 2>/dev/null; systemctl start plane-admission",
    ),
    Fault(
        "an old release still runs",
        "release=$(readlink $ETC/release) && cp -a $release /srv/plane/releases/older && "
        "ln -sfn /srv/plane/releases/older $ETC/release && " + RESTART,
        ("release is /srv/plane/releases/older",),
        undo="rm -rf /srv/plane/releases/older",
    ),
    Fault(
        "the port changed",
        "sed -i \"s/$ADDRESS:$PORT/$ADDRESS:18000/\" $ETC/admission.cfg && systemctl reload plane-admission && "
        "until ss -ltn | grep -q :18000; do sleep 0.1; done",
        ("admission does not listen on",),
    ),
    Fault(
        "max-requests dropped",
        wrapper('gunicorn --worker-class gthread --threads 8 --workers 2 --access-logfile - --bind "$GUNICORN_BIND" '
                'plane.wsgi:application'),
        ("max_requests is 0, should be 1200",),
    ),
    Fault(
        "admission sends to the wrong colour",
        "sed -i \"s#server $LIVE unix@/run/$SERVICE/$LIVE/#server $OTHER unix@/run/$SERVICE/$OTHER/#\" $ETC/admission.cfg && "
        "systemctl reload plane-admission && until echo 'show stat' | socat - $ADMISSION | grep -q \"^$SERVICE,$OTHER\"; do sleep 0.1; done",
        ("colour of route plane-api is", "should be"),
    ),
    Fault(
        "admission's slots raised by hand",
        "echo \"set maxconn server $SERVICE/$LIVE 500\" | socat - $ADMISSION",
        ("slots of route plane-api is 500, should be 14",),
    ),
    Fault(
        "a heavy route removed",
        "sed -i '/use_backend/d; /^backend plane-api.page-description/,$d' $ETC/admission.cfg && systemctl reload plane-admission && "
        "while echo 'show stat' | socat - $ADMISSION | grep -q page-description; do sleep 0.1; done",
        ("admission has no route plane-api.page-description",),
    ),
    Fault(
        "a heavy route's pattern changed",
        "sed -i 's#-m reg ^/api/#-m reg ^/other/#' $ETC/admission.cfg && systemctl reload plane-admission && "
        "until echo 'show acl #3' | socat - $ADMISSION | grep -q other; do sleep 0.1; done",
        ("path of route plane-api.page-description is ^/other/",),
    ),
    Fault(
        "limits raised on the running slice",
        "systemctl set-property --runtime $SERVICE.slice MemoryMax=8G",
        ("limit memory_bytes is",),
        undo="rm -rf /run/systemd/system.control/$SERVICE.slice.d && systemctl daemon-reload",
    ),
]  # fmt: skip
