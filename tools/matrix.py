"""One table of every way that Plane is run: what the last verification of each found (`make matrix`).

Fails where a report is missing or says that something is not as it should be.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from process_model.report import HEADINGS, columns, rows

REPORTS = Path(__file__).resolve().parent.parent / "build" / "reports"
# Report -> how instances run there.
RUNTIMES = {
    "molecule": "systemd",
    "proxy": "systemd, nginx in front",
    "compose": "compose",
    "commercial": "compose, GraphQL apart",
    "swarm": "swarm, nginx in front",
}


def lines(reports: dict[str, dict[str, Any]]) -> list[list[str]]:
    """The table's cells without its headings; reports: by their names."""
    return [
        [report["environment"], RUNTIMES[name], *row.cells] for name, report in reports.items() for row in rows(report)
    ]


def main() -> None:
    missing = [name for name in RUNTIMES if not (REPORTS / f"{name}.json").exists()]
    reports = {name: json.loads((REPORTS / f"{name}.json").read_text()) for name in RUNTIMES if name not in missing}
    print("\n".join(columns([("ENVIRONMENT", "RUNTIME", *HEADINGS), *lines(reports)])))
    wrong = [name for name, report in reports.items() if not report["match"]]
    if missing or wrong:
        sys.exit(f"no report: {', '.join(missing) or 'none'}; not as it should be: {', '.join(wrong) or 'none'}")


if __name__ == "__main__":
    main()
