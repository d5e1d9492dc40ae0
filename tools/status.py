"""The whole pipeline at a glance: each environment, what was promoted to it, its gate, and what comes next.

    make status

From the records alone (records/): no host is asked. Exit status 1 where a record was changed or taken away.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import environments
from process_model import promotion
from process_model.report import columns

HEADINGS = ("ENVIRONMENT", "SINCE", "GATE", "AGE", "RUNS", "NEXT")
VALIDITY = "plane_release_gate_validity_hours"


def order() -> list[str]:
    found: list[str] = environments.load(environments.ROOT / "ansible" / "vars" / "promotion.yml")["promotion_order"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, default=environments.ROOT / "records")
    given = parser.parse_args()
    names = order()
    try:
        validity = {
            name: environments.read(environments.ROOT / "inventories" / name).number(VALIDITY, 0) for name in names
        }
        records = promotion.read_all(given.records, names)
    except (environments.SettingsError, promotion.PromotionError) as error:
        sys.exit(f"status: {error}")
    stages = promotion.pipeline(names, records, promotion.utc_now(), validity)
    rows = [HEADINGS, *((each.environment, each.since, each.gate, each.age, each.runs, each.next) for each in stages)]
    print("\n".join(columns([[cell or "-" for cell in row] for row in rows])))
    for each in stages:
        if each.overridden:
            print(f"{each.environment}: went on WITHOUT A GATE, {each.overridden}")
    damaged = promotion.broken(records)
    if damaged:
        sys.exit("status: " + "\nstatus: ".join(damaged))


if __name__ == "__main__":
    main()
