"""What happens to a host that serves, and what its clients may see of it.

Data, not code: one entry a fault. `inject` is a shell command on the REST host (or on the host of the database), and
is over when the fault has been there for as long as it is to be; `undo` takes away what nobody else would. SERVICE,
COLOUR, OTHER, ETC, UNIT, ADDRESS, PORT and MASTER are set; ASK is the file of a function `ask N` that asks the front door
N times, whatever it answers, so that a fault lasts for a number of requests and not of seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

# What a client sees of a request that was inside a process that ended: nobody can give it back.
CUT = ("status 502", "ClientPayloadError")
# What admission answers, with Retry-After, while nobody takes requests.
REFUSED = ("status 503",)
# What a client sees while nobody listens at the front door, or the connection ends.
NO_DOOR = (
    "ClientConnectorError",
    "ClientOSError",
    "ServerDisconnectedError",
    "ConnectionResetError",
    "ClientPayloadError",
)
# The application's own answer while what it needs is away.
ERROR = ("status 500",)

ITSELF = "by itself"
SITE = "site.yml"


@dataclass(frozen=True)
class HostFault:
    """may_see: what clients may count beside right answers; nothing else, and no acknowledged write is lost.

    downloads_may_see: what the clients that download 5 MB may count beside that: they share a queue that has an end.

    said: words of `plane-process-model status` while the fault is there; None where it is not asked, empty where all
    has to be as it should be. recovery: by itself, or with the next run of site.yml.
    """

    name: str
    inject: str
    may_see: tuple[str, ...] = ()
    downloads_may_see: tuple[str, ...] = ()
    said: str | None = None
    undo: str = ""
    recovery: str = ITSELF
    on: str = "api"


NEW_MASTER = "until pid=$(systemctl show -P MainPID $UNIT); [ $pid != 0 ] && [ $pid != $MASTER ]; do sleep 0.05; done"
OTHER_WORKERS = (
    'until [ "$(pgrep -P $MASTER | xargs)" != "$before" ] && [ $(pgrep -cP $MASTER) = 2 ]; do sleep 0.05; done'
)
NEW_HAPROXY = (
    'until pgrep haproxy | grep -qvxF "$before" && curl --silent --fail --output /dev/null "http://$ADDRESS:$PORT/"; '
    "do sleep 0.05; done"
)
# Python of the host, against its own front door; ends by itself.
CLIENTS = """python3 - <<'END'
import os, resource, socket, subprocess
most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
door = (os.environ["ADDRESS"], int(os.environ["PORT"]))
{}
subprocess.run(["bash", "-c", ". $ASK; ask 20"], check=True)
END"""

HOST_FAULTS = [
    HostFault(
        "kill -9 of a worker",
        f'before=$(pgrep -P $MASTER | xargs); kill -9 ${{before%% *}}; {OTHER_WORKERS}',
        CUT,
        said="",
    ),
    HostFault(
        "kill -9 of every worker",
        f'before=$(pgrep -P $MASTER | xargs); kill -9 $before; {OTHER_WORKERS}',
        (*CUT, *REFUSED),
        said="",
    ),
    HostFault("kill -9 of gunicorn's master", f"kill -9 $MASTER; {NEW_MASTER}", (*CUT, *REFUSED)),
    HostFault("kill -9 of HAProxy", f'before=$(pgrep haproxy); kill -9 $before; {NEW_HAPROXY}', NO_DOOR, said=""),
    HostFault(
        "kill -9 of HAProxy and gunicorn",
        f'before=$(pgrep haproxy); kill -9 $before $MASTER; {NEW_HAPROXY}; {NEW_MASTER}',
        (*NO_DOOR, *CUT, *REFUSED),
    ),
    HostFault(
        "a worker is stopped (SIGSTOP) until gunicorn gives it up",
        f'before=$(pgrep -P $MASTER | xargs); kill -STOP ${{before%% *}}; {OTHER_WORKERS}',
        CUT,
    ),
    HostFault(
        "the kernel kills a worker for its memory",
        "curl --silent --output /dev/null \"http://$ADDRESS:$PORT/api/debug/allocate/?mebibytes=3000\"; "
        "cat /sys/fs/cgroup/memory/plane.slice/$SERVICE.slice/$UNIT/memory.oom_control "
        "/sys/fs/cgroup/plane.slice/$SERVICE.slice/memory.events 2>/dev/null | grep -q 'oom_kill [1-9]'; ask 5",
        (*CUT, *REFUSED),
    ),
    HostFault(
        "/run is full",
        "size=$(df --output=used -k /run | tail -n 1); mount -o remount,size=$((size + 64))k /run; "
        "dd if=/dev/zero of=/run/filled bs=4k 2>/dev/null || true; ! plane-process-model rotate $SERVICE; ask 20",
        said="",
        undo="rm -f /run/filled; mount -o remount,size=50% /run",
    ),
    HostFault(
        "a colour's files cannot be written",
        "mount --bind /etc/$SERVICE /etc/$SERVICE; mount -o remount,bind,ro /etc/$SERVICE; "
        "! plane-process-model rotate $SERVICE; ask 20",
        said="",
        undo="umount /etc/$SERVICE",
    ),
    HostFault(
        "the journal dies",
        "systemctl kill --signal=KILL systemd-journald; until systemctl is-active --quiet systemd-journald; do sleep 0.1; done; ask 20",
        said="",
    ),
    HostFault(
        "names cannot be resolved",
        "mount --bind /dev/null /etc/resolv.conf; ask 20",
        said="",
        undo="umount /etc/resolv.conf",
    ),
    HostFault(
        "the database is away",
        "systemctl stop 'postgresql@*'; ask 20",
        (*ERROR, *REFUSED),
        undo="systemctl start postgresql; until pg_isready -q; do sleep 0.1; done",
        on="data",
    ),
    HostFault(
        "the database is restarted",
        "systemctl restart 'postgresql@*'; until pg_isready -q; do sleep 0.1; done; ask 20",
        (*ERROR, *REFUSED),
        on="data",
    ),
    HostFault(
        "the database holds a table for two seconds",
        "cd / && runuser -u postgres -- psql -q -d plane -c 'BEGIN; LOCK TABLE db_issue IN ACCESS EXCLUSIVE MODE; "
        "SELECT pg_sleep(2); COMMIT' >/dev/null",
        on="data",
    ),
    HostFault(
        "Redis is away",
        "systemctl stop redis-server; ask 20",
        (*ERROR, *REFUSED),
        undo="systemctl start redis-server; until redis-cli -h $(hostname -I | cut -d ' ' -f 1) ping; do sleep 0.1; done",
        on="data",
    ),
    HostFault(
        "settings that cannot be right, and a crash",
        "echo 'GUNICORN_WORKERS=\"0\"' >>$ETC/environment; kill -9 $MASTER; "
        "until systemctl is-failed --quiet $UNIT; do sleep 0.05; done; ask 5",
        (*CUT, *REFUSED),
        said="nothing runs as",
        recovery=SITE,
    ),
    HostFault(
        "the socket's folder is closed by hand",
        "chmod 0700 /run/$SERVICE/$COLOUR; ask 5",
        REFUSED,
        said="answered 503",
        recovery=SITE,
    ),
    HostFault(
        "gunicorn's socket is removed",
        "rm /run/$SERVICE/$COLOUR/gunicorn.sock; ask 5",
        REFUSED,
        said="should be 200",
        recovery=SITE,
    ),
    HostFault(
        "the link to the live socket is removed",
        "rm /run/$SERVICE/live.sock; ask 5",
        REFUSED,
        said="answered 503",
        recovery=SITE,
    ),
    HostFault(
        "HAProxy's runtime socket is removed",
        "rm /run/plane-admission/admin.sock; ask 20",
        NO_DOOR,
        said="admission does not run",
        recovery=SITE,
    ),
    HostFault(
        "another process takes the front door's port",
        "systemctl stop plane-admission; "
        "systemd-run --quiet --collect --unit=lab-thief python3 -m http.server --bind $ADDRESS $PORT; "
        "until curl --silent --output /dev/null http://$ADDRESS:$PORT/; do sleep 0.05; done",
        (*NO_DOOR, "status 404", "status 501"),
        said="admission does not run",
        undo="systemctl stop lab-thief",
        recovery=SITE,
    ),
    HostFault(
        "2,000 connections that ask for nothing",
        CLIENTS.format("idle = [socket.create_connection(door) for _ in range(2000)]"),
    ),
    HostFault(
        "300 clients that never finish their header",
        CLIENTS.format(
            "slow = [socket.create_connection(door) for _ in range(300)]\n"
            "for client in slow: client.sendall(b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\nX-Slow: ')"
        ),
    ),
    HostFault(
        "an upload of 2 GB",
        CLIENTS.format(
            "client = socket.create_connection(door)\n"
            "size = 2 << 30\n"
            "client.sendall(b'POST /api/debug/echo/ HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Length: %d\\r\\n\\r\\n' % size)\n"
            "block = bytes(1 << 20)\n"
            "try:\n"
            "    for _ in range(size >> 20): client.sendall(block)\n"
            "    assert b'\"body_bytes\": %d' % size in client.recv(65536)\n"
            "finally: client.close()"
        ),
    ),
    HostFault(
        "60 clients that leave in the middle of 5 MB",
        CLIENTS.format(
            "from urllib.parse import quote\n"
            "path = '/api/workspaces/lab/projects/00000000-0000-0000-0000-000000000001/pages/'\n"
            "path += '00000000-0000-0000-0000-0000000007d1/description/'\n"
            "for _ in range(60):\n"
            "    with socket.create_connection(door) as client:\n"
            "        client.sendall(f'GET {path} HTTP/1.1\\r\\nHost: localhost\\r\\nX-Api-Key: lab-ada\\r\\n\\r\\n'.encode())\n"
            "        client.recv(1000)"
        ),
    ),
    HostFault(
        "500 clients at the heavy route at once",
        "curl --silent --parallel --parallel-immediate --parallel-max 300 --output /dev/null -H 'X-Api-Key: lab-ada' "
        "\"http://$ADDRESS:$PORT/api/workspaces/lab/projects/00000000-0000-0000-0000-000000000001/pages/"
        "00000000-0000-0000-0000-0000000007d1/description/?[1-500]\" || true",
        downloads_may_see=REFUSED,
    ),
    HostFault(
        "views that do not return, while the instance is replaced",
        "for number in 1 2 3; do curl --silent --output /dev/null \"http://$ADDRESS:$PORT/api/debug/sleep/?seconds=25\" & done; "
        "until [ \"$(ss -xH state established src /run/$SERVICE/$COLOUR/gunicorn.sock | wc -l)\" -ge 3 ]; do sleep 0.05; done; "
        "plane-process-model rotate $SERVICE | grep -q 'outlived the grace period and were cut'",
        CUT,
        said="",
    ),
]  # fmt: skip
