"""The faults: how each is injected into a healthy host, and the words by which verify has to name it.

Data, not code: one entry a fault. `inject` is a shell command on the host; COLOUR is the colour that gets the fault (the
live one, or the idle one while a run prepares it), OTHER the other one, ETC and UNIT its folder and unit, ADMISSION
HAProxy's runtime socket; `master` prints the pid of its gunicorn, `listening` who listens where admission runs. site.yml
repairs each of them; `undo` is only for what is not site.yml's to remove.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """caught_by: words of verify's message. in_idle: the same for the idle colour; empty where it cannot have the fault.

    runtime: the only one in which it can happen; None for every one. shared: whether it is in what all services of a host
    share.
    """

    name: str
    inject: str
    caught_by: tuple[str, ...]
    in_idle: tuple[str, ...] | None = None
    service: str = "plane-api"
    undo: str = ""
    runtime: str | None = None
    shared: bool = False

    @property
    def caught_in_idle_by(self) -> tuple[str, ...]:
        return self.caught_by if self.in_idle is None else self.in_idle


# Admission's own state: an idle colour has none before the switch.
ONLY_LIVE: tuple[str, ...] = ()
RESTART = "systemctl restart $UNIT"
CONTINUE = "kill -CONT $(pgrep -f bin/gunicorn) 2>/dev/null || true"
# Flags that a replaced command line keeps, so that only what the fault names is wrong.
REST = '--max-requests 0 --max-requests-jitter 0 --access-logfile - --bind "$GUNICORN_BIND"'


def setting(name: str, value: str) -> str:
    """Change one variable in the colour's environment file, whose last word counts, and restart it."""
    return f"echo '{name}=\"{value}\"' >>$ETC/environment && {RESTART}"


def command(words: str) -> str:
    """Replace the last line of the entrypoint, so that gunicorn is started with other arguments."""
    return f"sed -i 's#^exec .*#exec {words}#' $ETC/entrypoint.sh && {RESTART}"


def admission(edit: str, until: str) -> str:
    """Edit the colour's admission.cfg and, where admission uses it, wait until HAProxy does so."""
    return (
        f"sed -i {edit} $ETC/admission.cfg && systemctl reload plane-admission && "
        f'if [ "$(readlink -f /etc/plane-admission/services/$SERVICE.cfg)" = "$ETC/admission.cfg" ]; then {until}; fi'
    )


def until(condition: str) -> str:
    """Wait for the condition, half a minute at the most."""
    return f"i=0; until {condition}; do i=$((i + 1)); test $i -lt 300; sleep 0.1; done"


# A container is said to be started before gunicorn listens in it.
ANSWERS = f"; {until('curl -so /dev/null --unix-socket /run/$SERVICE/$COLOUR/gunicorn.sock http://localhost/')}"
# The master's pid, once gunicorn has forked both of its workers: systemd takes it for ready before.
BOTH_WORKERS = f"pid=$(master); {until('[ $(pgrep -c -P $pid) -ge 2 ]')}; "
FAULTS = [
    Fault(
        "wrong class",
        setting("GUNICORN_WORKER_CLASS", "uvicorn"),
        ("worker_class is uvicorn", "should be gthread"),
    ),
    Fault(
        "class right, threads dropped",
        command(f"gunicorn --worker-class gthread --workers 2 {REST} plane.wsgi:application"),
        ("threads is 1, should be 8",),
    ),
    Fault(
        "workers changed",
        setting("GUNICORN_WORKERS", "3"),
        ("workers is 3, should be 2",),
    ),
    Fault(
        "typo in the class",
        setting("GUNICORN_WORKER_CLASS", "gthred").replace("systemctl restart", "systemctl --no-block restart")
        + " && " + until('[ "$(systemctl is-active $UNIT)" = failed ]'),
        ("nothing runs as", "failed"),
    ),
    Fault(
        "GUNICORN_CMD_ARGS overrides",
        command(f'env GUNICORN_CMD_ARGS="--threads 3 --worker-class gthread --workers 2" gunicorn {REST} plane.wsgi:application'),
        ("threads is 3, should be 8", "GUNICORN_CMD_ARGS"),
    ),
    Fault(
        "a configuration file overrides",
        "printf '\\nthreads = 5\\n' >>$ETC/gunicorn.conf.py && "
        + command(f'gunicorn --worker-class gthread --workers 2 {REST} --config "$GUNICORN_CONFIG" plane.wsgi:application'),
        ("threads is 5, should be 8", "configuration file"),
    ),
    Fault(
        "request isolation switched off",
        setting("GUNICORN_ISOLATE_REQUESTS", "false"),
        ("isolate_requests is False, should be True",),
    ),
    Fault(
        "edited environment file without restart",
        "echo 'GUNICORN_TIMEOUT=\"60\"' >>$ETC/environment",
        ("/environment is not what the inventory renders",),
        service="plane-graphql",
    ),
    Fault(
        "a stale process, its files already new",
        f"cp $ETC/fingerprint /tmp/new && echo PLANE_PROCESS_MODEL_FINGERPRINT=older >$ETC/fingerprint && {RESTART} && "
        "cp /tmp/new $ETC/fingerprint",
        ("the process was started from other files or an older release",),
        runtime="systemd",  # a container keeps what it was made of: see below
    ),
    Fault(
        "edited unit",
        "sed -i 's/^Restart=always/Restart=no/' /etc/systemd/system/$SERVICE@.service",
        ("@.service is not what the inventory renders", "systemd has not read the changed"),
        service="plane-graphql",
    ),
    Fault(
        "a drop-in overrides the unit",
        "mkdir -p /etc/systemd/system/$UNIT.d && printf '[Service]\\nNice=5\\n' >/etc/systemd/system/$UNIT.d/nice.conf && "
        "systemctl daemon-reload",
        ("nice.conf overrides",),
        undo="rm -rf /etc/systemd/system/$SERVICE@*.service.d && systemctl daemon-reload",
        service="plane-graphql",
    ),
    Fault(
        "WSGI application under the uvicorn class",
        command(f"gunicorn --worker-class uvicorn.workers.UvicornWorker --workers 2 {REST} plane.wsgi:application") + ANSWERS,
        ("worker_class is uvicorn", "answered 500"),
    ),
    Fault(
        "ASGI application under gthread",
        command(f"gunicorn --worker-class gthread --threads 8 --workers 2 {REST} plane.asgi:application") + ANSWERS,
        ("application is plane.asgi:application, should be plane.wsgi:application", "answered 500"),
    ),
    Fault(
        "a killed worker that does not come back",
        f"{BOTH_WORKERS}kill -STOP $pid && kill -9 $(pgrep -P $pid | head -n 1)",
        ("workers is 1", "should be 2"),
        undo=CONTINUE,
        service="plane-graphql",
    ),
    Fault(
        "a stopped worker",
        # The master too: it would kill the worker after its timeout, and start another one.
        f"{BOTH_WORKERS}kill -STOP $pid $(pgrep -P $pid | head -n 1)",
        ("workers is 1", "should be 2"),
        undo=CONTINUE,
        service="plane-graphql",
    ),
    Fault(
        "GraphQL flipped along with REST",
        setting("GUNICORN_WORKER_CLASS", "gthread"),
        ("worker_class is gthread", "should be uvicorn"),
        service="plane-graphql",
    ),
    Fault(
        "another process on the port",
        "systemctl stop plane-admission && cd /tmp && systemd-run --quiet --collect --unit=lab-intruder "
        "python3 -m http.server --bind $ADDRESS $PORT && " + until("ss -ltn | grep -q $ADDRESS:$PORT"),
        ("admission does not run",),
        in_idle=ONLY_LIVE,
        undo="systemctl stop lab-intruder && systemctl start plane-admission",
        runtime="systemd",
        shared=True,
    ),
    Fault(
        "an old release still runs",
        "cp -a $(readlink $ETC/release) /srv/plane/releases/older && "
        f"ln -sfn /srv/plane/releases/older $ETC/release && {RESTART}",
        ("release is /srv/plane/releases/older",),
        undo="rm -rf /srv/plane/releases/older",
        runtime="systemd",
    ),
    Fault(
        "the port changed",
        admission('"s/$ADDRESS:$PORT/$ADDRESS:18000/"', until("listening | grep -q :18000")),
        ("admission does not listen on",),
        in_idle=("/admission.cfg is not what the inventory renders",),
        service="plane-graphql",
    ),
    Fault(
        "gunicorn recycles its workers, which loses writes here",
        setting("GUNICORN_MAX_REQUESTS", "1200"),
        ("max_requests is 1200, should be 0",),
        runtime="systemd",
    ),
    Fault(
        "the timer of rotations stopped",
        "systemctl stop $SERVICE-rotation.timer",
        ("-rotation.timer, is not what the inventory says",),
        in_idle=ONLY_LIVE,
        service="plane-graphql",
        runtime="systemd",
    ),
    Fault(
        "a canary's share left behind",
        'echo "set weight $SERVICE/canary 10" | socat - $ADMISSION',
        ("10 % of route plane-graphql go to the colour that is not live",),
        in_idle=ONLY_LIVE,
        service="plane-graphql",
    ),
    Fault(
        "admission sends to the wrong colour",
        "ln -sfn /run/$SERVICE/$OTHER/gunicorn.sock /run/$SERVICE/live.sock",
        ("answered 503", "should be 200"),
        in_idle=ONLY_LIVE,
    ),
    Fault(
        "admission's slots raised by hand",
        'echo "set maxconn server $SERVICE/$COLOUR 500" | socat - $ADMISSION',
        ("slots of route plane-api is 500, should be 14",),
        in_idle=ONLY_LIVE,
    ),
    Fault(
        "a heavy route removed",
        admission(
            "-e /use_backend/d -e '/^backend plane-api.page-description/,$d'",
            until('! echo "show stat" | socat - $ADMISSION | grep -q page-description'),
        ),
        ("admission has no route plane-api.page-description",),
        in_idle=("/admission.cfg is not what the inventory renders",),
    ),
    Fault(
        "a heavy route's pattern changed",
        admission("'s#/api/workspaces#/other/workspaces#'", until('seq -f "show acl #%g" 0 9 | paste -sd ";" | socat - $ADMISSION | grep -q other')),
        ("path of route plane-api.page-description is ^/other/", "should be ^/api/"),
        in_idle=("/admission.cfg is not what the inventory renders",),
    ),
    Fault(
        "limits raised on the running slice",
        "systemctl set-property --runtime $SERVICE.slice MemoryMax=8G",
        ("limit memory_bytes is",),
        undo="rm -rf /run/systemd/system.control/$SERVICE.slice.d && systemctl daemon-reload",
        runtime="systemd",
    ),
    Fault(
        "gunicorn recycles its workers later",
        setting("GUNICORN_MAX_REQUESTS", "5000"),
        # Where recycling would lose writes the colour is renewed by rotation, and gunicorn told to recycle nothing.
        ("max_requests is 5000, should be 0",),
        runtime="compose",
    ),
    Fault(
        "a container made of other settings",
        "sed -i s/GUNICORN_TIMEOUT:.*/GUNICORN_TIMEOUT:/ $ETC/compose.yaml",
        ("compose.yaml is not what the inventory renders", "was made of other settings than"),
        service="plane-graphql",
        runtime="compose",
    ),
    Fault(
        "limits raised on the running container",
        "docker update --memory 8g --memory-swap 8g $SERVICE-$COLOUR >/dev/null",
        ("limit memory_bytes is",),
        service="plane-graphql",
        runtime="compose",
    ),
    Fault(
        "admission stopped",
        "systemctl stop plane-admission",
        ("admission does not run",),
        in_idle=ONLY_LIVE,
        runtime="compose",
        shared=True,
    ),
    Fault(
        "the installation's own service started",
        "cd /opt/plane && docker compose --env-file plane.env up --detach --no-deps --pull never api",
        ("answers to the name api too, unverified",),
        in_idle=ONLY_LIVE,
        runtime="compose",
        shared=True,
    ),
    Fault(
        "the installation's variables edited",
        "sed -i 's#^WEB_URL=.*#WEB_URL=http://changed.example#' /opt/plane/plane.env",
        ("was made of other settings than /opt/plane",),
        in_idle=ONLY_LIVE,
        runtime="compose",
        shared=True,
    ),
    Fault(
        "GraphQL's paths led back to REST",
        admission('"/use_backend plane-graphql/d"', until("curl -so /dev/null -w '%{http_code}' http://localhost/graphql/ | grep -q 501")),
        ("GET /graphql/ through the proxy of /opt/plane was answered 501 by plane-api-", "should be by plane-graphql-"),
        in_idle=("/admission.cfg is not what the inventory renders",),
        runtime="compose",
        shared=True,
    ),
]  # fmt: skip
