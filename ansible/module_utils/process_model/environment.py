"""Environment files in systemd's syntax (systemd.exec(5), EnvironmentFile=)."""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def environment_line(name: str, value: str) -> str:
    """`NAME="value"` such that the process gets exactly `value`.

    systemd takes a double-quoted value literally but for a backslash, which escapes `"`, `\\`, `` ` `` and `$`.
    Raises ValueError for a name that is none, and for a value with a NUL or a line break: a line break would be legal,
    but is nearly always a mistake in a secret, and other runtimes' environment files cannot hold one.
    """
    if not NAME.match(name):
        raise ValueError(f"{name!r} is no name of an environment variable")
    if any(character in value for character in "\0\n\r"):
        raise ValueError(f"the value of {name} holds a line break or a NUL character")
    escaped = re.sub(r'(["\\`$])', r"\\\1", value)
    return f'{name}="{escaped}"'
