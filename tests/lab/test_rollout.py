"""rollout.yml: one host after the other, each watched; one that does not do well goes back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import client
import pytest
from support import Host, a_change, load, report, rollout, site, succeeded

# The column `weight` of the servers that a share goes to.
WATCH: dict[str, Any] = {"plane_release_canary_seconds": 4, "plane_release_watch_seconds": 2}


def roll_out(**variables: Any) -> Any:
    return rollout("plane_api:&staging", **WATCH, **variables)


def clients_of(*hosts: Host) -> Any:
    fronts = [f"http://{host.address}:8000" for host in hosts]
    return load(
        [(f"{kind.__name__} {front}", kind(front), 1) for front in fronts for kind in (client.small, client.write)],
        pause=0.15,
    )


@pytest.fixture(scope="module")
def hosts_of_api(api1: Host, api2: Host) -> Iterator[tuple[Host, Host]]:
    yield api1, api2
    succeeded(site())
    assert report()["match"]


def test_hosts_change_one_after_the_other_and_nothing_is_lost(hosts_of_api: tuple[Host, Host]) -> None:
    before = [host.live() for host in hosts_of_api]
    with clients_of(*hosts_of_api) as clients:
        done = succeeded(
            roll_out(**a_change(), plane_api_deploy_commands=["clear_cache"], plane_release_canary_shares=[20, 50])
        )
    assert clients.failed == {}
    assert all(host.live() != colour for host, colour in zip(hosts_of_api, before))
    once = [line for line in done.stdout.splitlines() if "(item=clear_cache)" in line]
    assert once == ["changed: [staging-api1] => (item=clear_cache)"], "by one host, once"
    said = " ".join(done.stdout.split())
    steps = re.findall(r"host \d of \d: staging-api\d|staging-api\d plane-api: \d+ % of the traffic", said)
    assert steps == [
        "host 1 of 2: staging-api1",
        *(f"staging-api1 plane-api: {percent} % of the traffic" for percent in (20, 50, 100)),
        "host 2 of 2: staging-api2",
        "staging-api2 plane-api: 100 % of the traffic",
    ]
    answers = [int(found) for found in re.findall(r"(\d+) answers, 0 of them errors", said)]
    assert 0 < answers[0] < answers[2], "20 % are fewer than all"
    assert re.findall(r"requests in flight: blue \d+, green \d+", said), "both colours run while it has a share"


@pytest.mark.fault(
    "healthy, but real calls fail",
    said="the share of errors",
    clients="errors, until it went back",
    recovered="goes back by itself",
)
def test_a_release_that_only_looks_healthy_goes_back_and_the_rollout_stops(hosts_of_api: tuple[Host, Host]) -> None:
    canary, other = hosts_of_api
    before = [(host.live(), host.master()) for host in hosts_of_api]
    broken = {"plane_api_variables": {"PLANE_STANDIN_FAULT": "calls-500"}}
    with clients_of(canary):
        done = roll_out(**broken)
    assert done.returncode != 0
    assert "The rollout stops at staging-api1" in done.stdout
    assert "plane_release_max_error_share allows" in done.stdout
    assert canary.live() == before[0][0], "the canary serves with the colour it had"
    assert (other.live(), other.master()) == before[1], "the other host was not touched"

    # Mended, the same command goes on with the host at which it stopped.
    succeeded(roll_out())
    assert report()["match"]


@pytest.mark.fault("the same, with a share for the canary", said="the share of errors", clients="errors, in its share")
def test_a_canary_that_fails_has_had_a_share_only(hosts_of_api: tuple[Host, Host]) -> None:
    canary, _ = hosts_of_api
    before = (canary.live(), canary.master())
    broken = {"plane_api_variables": {"PLANE_STANDIN_FAULT": "calls-500"}}
    with clients_of(canary) as clients:
        done = roll_out(**broken, plane_release_canary_shares=[20])
    assert done.returncode != 0
    assert "with 20 % of the traffic" in done.stdout
    assert "plane_release_max_error_share allows" in done.stdout
    assert (canary.live(), canary.master()) == before, "it never had all of the traffic"
    failed = sum(sum(outcomes.values()) for outcomes in clients.failed.values())
    assert 0 < failed < clients.requests / 4
    shares = {row["weight"] for (_, server), row in canary.statistics().items() if server == "canary"}
    assert shares == {"0"}, "nothing is left of its share"
    assert not canary.succeeds(f"systemctl is-active plane-api@{canary.idle()}")
