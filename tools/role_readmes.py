"""Writes the variable tables of the public roles' READMEs from their argument specs, or checks that they agree.

role_readmes.py          write
role_readmes.py --check  say which README differs, and fail
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
ROLES = ("plane_api", "plane_graphql", "plane_release", "plane_proxy", "plane_observability")
BEGIN, END = "<!-- variables: tools/role_readmes.py writes this table -->", "<!-- end of variables -->"


def plain(text: str) -> str:
    """Ansible's documentation markup as Markdown."""
    return re.sub(r"[CO]\(([^)]*)\)", r"`\1`", text).replace("|", "\\|")


def default_of(options: dict[str, Any], defaults: dict[str, Any], name: str) -> str:
    if options.get("required"):
        return "*required*"
    value = defaults.get(name)
    if isinstance(value, str) and "{{" in value:
        return "from the tier" if "tier" in value else f"`{value.strip('{} ')}`"
    if isinstance(value, list) and value:
        return "see defaults/main.yml" if isinstance(value[0], dict) else f"`{', '.join(map(str, value))}`"
    return (
        "`null`"
        if value is None
        else f"`{str(value).lower() if isinstance(value, bool) else value!r}`".replace("'", '"')
    )


def table(role: str) -> str:
    folder = ROOT / "ansible" / "roles" / role
    spec = yaml.safe_load((folder / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((folder / "defaults/main.yml").read_text(encoding="utf-8"))
    lines = ["| variable | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, options in spec["argument_specs"]["main"]["options"].items():
        meaning = " ".join(plain(line) for line in options["description"] if not line.startswith("Default:"))
        if "options" in options:
            parts = [f"`{key}`: {plain(' '.join(value['description']))}" for key, value in options["options"].items()]
            meaning += " Each has " + " ".join(parts)
        lines.append(f"| `{name}` | {options['type']} | {default_of(options, defaults, name)} | {meaning} |")
    return "\n".join(lines)


def written(role: str) -> str:
    """The README as it should be: what stands around the table is a person's."""
    text = (ROOT / "ansible" / "roles" / role / "README.md").read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{table(role)}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    stale = []
    for role in ROLES:
        path = ROOT / "ansible" / "roles" / role / "README.md"
        text = written(role)
        if path.read_text(encoding="utf-8") != text:
            stale.append(role)
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"README and argument spec differ: {', '.join(stale)}. Run tools/role_readmes.py")


if __name__ == "__main__":
    main()
