"""Admission in front of gunicorn: slots, queue and refusal, each proved by offering more than there is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import client
from services import HEALTH, WEBSOCKET, Service
from support import wait_for
from testinfra.host import Host

QUEUE = 200
HEAVY_ROUTE = "page-description"


def query(database: Host, statement: str) -> str:
    return str(database.check_output("runuser -u postgres -- psql -At -d plane -c %s", statement))


@contextmanager
def pages_locked(database: Host) -> Iterator[None]:
    """No request can read a page while the block runs: the database makes it wait."""
    database.check_output(
        "systemd-run --quiet --collect --uid=postgres --setenv=PGAPPNAME=lock-of-a-test psql -d plane -c %s",
        "BEGIN; LOCK TABLE db_page; SELECT pg_sleep(60)",
    )
    held = "SELECT count(*) FROM pg_locks WHERE relation = 'db_page'::regclass AND granted"
    wait_for(lambda: query(database, held) == "1")
    try:
        yield
    finally:
        query(
            database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lock-of-a-test'"
        )


def test_api_lets_fourteen_requests_into_gunicorn_and_the_rest_wait(api: Service) -> None:
    with api.at_the_door() as held:
        held.offer(20)
        wait_for(lambda: api.admitted() == (14, 6))
        accepted = api.accepted().values()
        assert sum(accepted) == 14, "the kernel counts as HAProxy does"
        # gunicorn's workers do not share out evenly: one may take more than it has threads for, beside an idle one.
        wait_for(lambda: held.running == sum(min(count, 8) for count in accepted))
        assert set(held.statuses()) == {200}, "who waits has no answer yet, not even a refusal"


def test_graphql_lets_thirtytwo_requests_into_uvicorn_and_the_rest_wait(graphql: Service) -> None:
    with graphql.at_the_door() as held:
        held.offer(40, WEBSOCKET)
        wait_for(lambda: graphql.admitted() == (32, 8) and held.running == 32)
        assert set(held.statuses()) == {101}, "who waits has no answer yet, not even a refusal"


def test_a_full_queue_answers_503_with_retry_after_and_json(api: Service) -> None:
    with api.at_the_door() as held:
        held.offer(14)
        wait_for(lambda: api.admitted() == (14, 0))
        held.offer(QUEUE, HEALTH)
        wait_for(lambda: api.admitted() == (14, QUEUE))  # every request that was offered: none is refused yet
        answer = api.ask(client.SMALL)
        assert api.admitted() == (14, QUEUE), "it was refused at once, while the others still wait"
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "2"
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.body) == {"error": "plane-api is at its limit, try again"}


def test_heavy_calls_that_hang_hold_two_slots_and_small_calls_go_on(api: Service, database: Host) -> None:
    hanging = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with ThreadPoolExecutor(8) as pool:
        with pages_locked(database):
            heavy = [pool.submit(api.ask, client.HEAVY, "GET", None, **client.KEY) for _ in range(8)]
            wait_for(lambda: api.admitted(HEAVY_ROUTE) == (2, 6) and query(database, hanging) == "2")
            assert api.ask(client.SMALL, "GET", None, **client.KEY).status == 200
        assert {(call.result().status, len(call.result().body)) for call in heavy} == {(200, client.HEAVY_BYTES)}
