"""What the service's database says of its connections, asked as the service itself would ask it.

With the driver of a release that this host has: the host needs no other client, and nobody else the password.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import colours, containers
from .fit import Database

SECONDS = 15
# Own connections are told from others' by the addresses they come from; a row whose address is hidden is another's.
QUESTION = """
import json, os
try:
    import psycopg as driver
except ImportError:
    import psycopg2 as driver
connection = driver.connect(os.environ["DATABASE_URL"], connect_timeout=5)
cursor = connection.cursor()
cursor.execute(
    "SELECT current_setting('max_connections')::int,"
    " coalesce(current_setting('superuser_reserved_connections', true)::int, 0)"
    " + coalesce(current_setting('reserved_connections', true)::int, 0),"
    " (SELECT count(*) FROM pg_stat_activity WHERE usesysid IS NOT NULL AND pid <> pg_backend_pid()"
    "  AND (client_addr IS NULL OR NOT host(client_addr) = ANY(%s)))",
    (OWN,),
)
print(json.dumps(dict(zip(("most", "reserved", "others"), cursor.fetchone()))))
"""


def ask(service: str, colour: str, own_addresses: Sequence[str], contained: bool) -> Database:
    """colour: one whose files and release are there. own_addresses: those of the fleet's hosts. Never raises.

    contained: whether the colour is a container.
    """
    own = list(own_addresses)
    container = containers.find_instance(service, colour) if contained else None
    if container:
        command = ["docker", "exec", "--interactive", container.name, "python", "-"]
        own += container.addresses
    else:
        folder = colours.directory_of(service, colour)
        command = [
            "systemd-run", "--wait", "--pipe", "--collect", "--quiet", f"--property=User={service}",
            f"--property=EnvironmentFile={folder}/environment", f"--property=RuntimeMaxSec={SECONDS}",
            f"{Path(folder, 'release').resolve()}/venv/bin/python", "-",
        ]  # fmt: skip
    try:
        done = subprocess.run(
            command,
            input=f"OWN = {own!r}\n{QUESTION}",
            capture_output=True,
            text=True,
            timeout=2 * SECONDS,
            check=False,
        )
        if done.returncode:
            return Database(error=(done.stderr.strip().splitlines() or ["no answer"])[-1])
        return Database(**json.loads(done.stdout))
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return Database(error=str(error))
