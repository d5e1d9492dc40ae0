"""What does not fit is refused with its arithmetic before any host changes; what is accepted by name is repeated."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator

import client
import pytest
from process_model.sizing import MIB, Coefficients
from support import PORTS, ROOT, Host, a_change, load, report, site, succeeded, undo_change, verify, wait_for
from test_bad_input import refused

pytestmark = pytest.mark.usefixtures("deployed")
# Of all that the lab's inventory allows at once, 16 × 2 of REST and more of GraphQL.
FEW_CONNECTIONS = 20
LARGE_ANSWERS = {"name": "large", "path": "^/api/large/", "slots": 2, "payload": "25MiB"}
# More than the service's limit.
ALLOCATE = "/api/debug/allocate/?mebibytes=3000"
PSQL = "cd / && runuser -u postgres -- psql"
# Long enough for every client's one request to wait in it.
HOLD = "BEGIN; LOCK TABLE db_member IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(8); COMMIT"
LOCKS = "SELECT mode FROM pg_locks WHERE relation = 'db_member'::regclass"


# But for the timer that asks each half minute whether processes are to be replaced, and runs while it asks. Names
# alone: the columns are as wide as the longest name, its own among them.
RUNNING = "systemctl list-units --plain --no-legend --state=running 'plane-*' | cut -d' ' -f1 | grep -v -- -rotation"


def files_of(host: Host) -> str:
    """A digest of every file that a run writes, and what runs."""
    return host.run(
        "cd / && find etc/plane-* etc/systemd/system usr/local/lib/plane-* srv/plane -xdev -type f -not -name '*.pyc' "
        "-print0 | sort -z | xargs -0 sha256sum | sha256sum; "
        f"{RUNNING}"
    )


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"plane_api_memory_limit": "300MiB", "plane_api_heavy_routes": [LARGE_ANSWERS]},
            "plane_api_memory_limit is 300 MiB, but 2 workers and the master take ",
        ),
        (
            {
                "plane_api_memory_limit": "300MiB",
                "plane_api_heavy_routes": [LARGE_ANSWERS],
                "plane_api_accepted_risks": ["memory-peak"],
            },
            "but a change starts a second instance: ",
        ),
        (
            {"plane_api_cpu_limit": 999},
            "goes with plane_api_cpu_limit 999, but this host has ",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_changes(api1: Host, variables: dict[str, object], said: str) -> None:
    before = files_of(api1)
    text = " ".join(refused(api1.name, **variables).split())
    assert said in text
    assert "plane_api_accepted_risks. Change it in inventories/staging/" in text
    assert files_of(api1) == before


@pytest.fixture
def deployed_again(api1: Host, api2: Host) -> Iterator[None]:
    """What a test deploys is gone after it; named before few_connections, with which nothing could be deployed."""
    yield
    undo_change((api1, "plane-api"), (api2, "plane-api"))


@pytest.fixture
def few_connections(data1: Host) -> Iterator[None]:
    """A database that allows fewer connections than the services open."""

    def allow(setting: str) -> None:
        data1.run(
            f"cd / && runuser -u postgres -- psql -q -c 'ALTER SYSTEM {setting}'; systemctl restart 'postgresql@*'"
        )
        wait_for(lambda: data1.succeeds("pg_isready -q"))

    allow(f"SET max_connections = {FEW_CONNECTIONS}")
    yield
    allow("RESET max_connections")


def test_more_connections_than_the_database_allows_are_refused(few_connections: None, api1: Host, api2: Host) -> None:
    before = [files_of(host) for host in (api1, api2)]
    text = " ".join(refused(**a_change()).split())
    assert "plane_api_slots allows 32 of plane-api + " in text
    assert f"the database allows {FEW_CONNECTIONS}, of which 3 are reserved" in text
    assert [files_of(host) for host in (api1, api2)] == before


def test_accepted_by_name_they_are_used_up_and_verify_repeats_the_risk(
    deployed_again: None, few_connections: None, api1: Host, api2: Host, data1: Host
) -> None:
    accepted = {"plane_api_accepted_risks": ["database-connections"], **a_change()}
    succeeded(site(f"{api1.name},{api2.name}", **accepted))
    again = verify(f"{api1.name},{api2.name}", **accepted)
    assert "accepted risk database-connections: plane_api_slots allows 32 of plane-api" in succeeded(again).stdout
    with subprocess.Popen(data1.command(f"{PSQL} -q -d plane -c '{HOLD}'")):
        wait_for(lambda: "AccessExclusiveLock" in data1.run(f'{PSQL} -At -d plane -c "{LOCKS}"'))
        # As many at once as admission lets through beside its heavy route.
        groups = [(host.name, client.small(f"http://{host.address}:{PORTS['plane-api']}"), 14) for host in (api1, api2)]
        tallies = asyncio.run(client.run(groups, lambda: False, keep_alive=False, most=1))
    assert "status 500" in {kind for tally in tallies.values() for kind in tally.failed}


def test_a_worker_that_is_killed_for_its_memory_is_said_to_be_so(api1: Host) -> None:
    """By the journal, by status on the host, and by verify and its report; the service goes on, so nothing is amiss."""
    front = f"http://{api1.address}:{PORTS['plane-api']}"
    live = api1.live()
    assert api1.run(f"curl --silent -X POST -o /dev/null -w '%{{http_code}}' '{front}{ALLOCATE}'") == "502"
    wait_for(lambda: api1.succeeds("plane-process-model status"))
    said = (
        "out of memory: since {} was started the kernel has killed 1 of its processes; plane_api_memory_limit is 2,048"
    )
    assert said.format(live) in succeeded(verify(api1.name)).stdout
    assert said.format(live) in report()["out_of_memory"][0]
    assert said.format(live) in api1.run("plane-process-model status")
    journal = api1.run(f"journalctl --output=cat --identifier=plane-api-{live}")
    assert "ended, out of memory: at its limit the kernel killed a process of this service (1 so far)" in journal


def test_calibrate_measures_an_instance_of_its_own(api1: Host) -> None:
    front = f"http://{api1.address}:{PORTS['plane-api']}"
    before = api1.run(RUNNING), api1.master()
    requests = json.loads((ROOT / "lab" / "requests.json").read_text())
    # The least that it can tell something of: an answer that is small and one that is large, of a few clients.
    fewer = {**requests, "paths": [requests["paths"][0], requests["paths"][-1]], "clients": 4}
    api1.run("cat >/root/requests.json", stdin=json.dumps(fewer))
    with load([("reads", client.small(front), 1)], pause=0.1) as clients:
        found = json.loads(api1.run("plane-process-model calibrate plane-api /root/requests.json"))
    assert clients.failed == {}
    assert (api1.run(RUNNING), api1.master()) == before
    costs = Coefficients(**found["coefficients"])
    assert costs.warm >= costs.cold > 20 * MIB
    # An answer of 5 MiB is held more than once, and no copy of it is counted that is not there.
    assert 1 < costs.copies < 20
    large = max(found["endpoints"], key=lambda endpoint: endpoint["payload"])
    assert large["payload"] == client.HEAVY_BYTES
    assert large["alone"] > client.HEAVY_BYTES
    assert found["growth"]["requests"] > 0


@pytest.mark.parametrize("path", ["/api/nowhere/", "/api/workspaces/"])
def test_calibrate_does_not_measure_what_fails(api1: Host, path: str) -> None:
    """An unknown path, and one that wants a key."""
    api1.run("cat >/root/requests.json", stdin=json.dumps({"paths": [path]}))
    said = api1.run("! plane-process-model calibrate plane-api /root/requests.json 2>&1")
    assert f"GET {path} was answered 40" in said
    assert not api1.succeeds("systemctl is-active plane-api-calibrate")
