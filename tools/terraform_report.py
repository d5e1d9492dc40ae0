"""What every environment would be on AWS: hosts, concurrency, requests a second, database connections, price a month.

    make terraform-report

Plans each environment against a stand-in for AWS on loopback, and prints its outputs; creates nothing, needs no
credentials. The figures of your own account are in `terraform output environment`.
"""

from __future__ import annotations

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aws import SIZES, Account, Fleet, Tree, moto_server
from process_model.report import columns

HEADINGS = [
    "environment", "service", "tier", "hosts", "slots a host", "s a request", "requests/s", "MiB needed", "of",
    "connections", "US$ a month",
]  # fmt: skip


def span(least: float | None, most: float | None) -> str:
    """`2`, `3 to 5`; `no price` where Terraform knows none."""
    if least is None or most is None:
        return "no price"
    return f"{least:,.0f}" if least == most else f"{least:,.0f} to {most:,.0f}"


def rows(name: str, found: dict[str, Any]) -> list[list[str]]:
    """One row for each service; what belongs to the whole environment stands in its first one."""
    price = found["monthly_usd"]
    whole = [str(found["database_connections"]), span(price["least"], price["most"])]
    return [
        [
            "" if index else name,
            service,
            each["tier"],
            span(each["hosts"]["min"], each["hosts"]["max"]),
            str(each["slots"]),
            f"{each['service_seconds']:g}",
            f"{each['requests_per_second']:.0f}",
            f"{each['needed_mib']:.0f}",
            f"{each['memory_mib']:.0f}",
            *(["", ""] if index else whole),
        ]
        for index, (service, each) in enumerate(found["capacity"].items())
    ]


def main() -> int:
    server = moto_server()
    try:
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(SIZES)) as pool:
            account = Account(server.url)
            tree = Tree.copy(Path(folder))
            names = list(SIZES)
            # The account is made here, once, before all of them ask for it.
            print(f"terraform-report: plans {', '.join(names)} for {account.site['region']}", file=sys.stderr)
            found = dict(zip(names, pool.map(lambda name: Fleet(name, tree, account).planned(), names), strict=True))
    finally:
        server.stop()
    print("\n".join(columns([HEADINGS, *(row for name in names for row in rows(name, found[name]))])))
    print(
        "\nrequests/s: of the fewest hosts, with 6 of 10 slots busy. MiB: of one host, with every slot busy, beside the"
        "\ninstance that a change prepares. connections: all services at the most hosts, each fleet with one more."
        f"\nPrices: {found[names[0]]['monthly_usd']['prices']}; without traffic, logs and taxes."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
