"""Which process model runs, proved at the running processes: nothing here reads a file that Ansible wrote."""

from __future__ import annotations

import json

from services import WEBSOCKET, Service
from support import wait_for


def fill(service: Service) -> tuple[int, list[int]]:
    """Offer more than gunicorn runs until every worker holds requests back; how many run, and threads per worker."""
    with service.at_the_socket() as held:

        def every_worker_is_over_full() -> bool:
            if len(held.connections) < 160:
                held.offer(8)
            return min(service.accepted().values()) > 12

        wait_for(every_worker_is_over_full)
        threads = service.threads()
        wait_for(lambda: held.running >= sum(threads))
        return held.running, service.threads()


def test_api_runs_gthread_with_two_workers_of_eight_threads(api: Service) -> None:
    assert (api.option("--worker-class"), api.option("--workers"), api.option("--threads")) == ("gthread", "2", "8")
    assert len(api.workers) == 2
    running, threads = fill(api)
    assert threads == [8, 8], "each worker has as many threads as it may, and no more"
    assert running == 16, "the application says itself how many requests it runs at once"


def test_graphql_runs_uvicorn_with_two_workers_and_no_bound_of_its_own(graphql: Service) -> None:
    assert graphql.option("--worker-class") in ("uvicorn.workers.UvicornWorker", "uvicorn_worker.UvicornWorker")
    assert (graphql.option("--workers"), graphql.option("--threads")) == ("2", None)
    assert len(graphql.workers) == 2
    with graphql.at_the_socket() as held:
        held.offer(80, WEBSOCKET)
        wait_for(lambda: held.running == 80)


def served_by(service: Service) -> dict[int, dict[str, str]]:
    """Worker -> what it says about itself, once every worker has answered through the front door."""
    said: dict[int, dict[str, str]] = {}

    def every_worker_has_answered() -> bool:
        answer = json.loads(service.ask("/api/debug/process/").body)
        said[answer["pid"]] = answer
        return set(said) >= set(workers)

    workers = service.workers
    wait_for(every_worker_has_answered, pause=0)
    return said


def test_api_workers_serve_the_wsgi_application_in_threads_of_a_pool(api: Service) -> None:
    assert api.command_line(api.master)[-1] == "plane.wsgi:application"
    for pid, said in served_by(api).items():
        assert pid in api.workers, "the front door leads to this colour alone"
        assert said["interface"] == "wsgi"
        assert said["thread"].startswith("ThreadPoolExecutor-")


def test_graphql_workers_serve_the_asgi_application(graphql: Service) -> None:
    assert graphql.command_line(graphql.master)[-1] == "plane.asgi:application"
    for pid, said in served_by(graphql).items():
        assert pid in graphql.workers, "the front door leads to this colour alone"
        assert said["interface"] == "asgi"


def test_processes_run_as_the_services_own_user_without_any_privilege(each: Service) -> None:
    user = each.run("id -u %s", each.name)
    assert user != "0"
    for pid in [each.master, *each.workers]:
        assert each.status(pid, "Uid") == [user] * 4
        assert each.status(pid, "CapEff") == each.status(pid, "CapBnd") == ["0" * 16]
        assert each.status(pid, "NoNewPrivs") == ["1"]


def test_only_the_live_colour_runs(each: Service) -> None:
    running = each.run("systemctl list-units --plain --no-legend --state=running %s", f"{each.name}@*")
    assert [line.split()[0] for line in running.splitlines()] == [each.unit]


def test_the_live_colour_starts_at_boot(each: Service) -> None:
    assert each.host.service(f"{each.name}.service").is_enabled
    assert each.host.service("plane-admission.service").is_enabled
    # Neither colour by itself: which one starts is said by admission's link.
    assert each.run("systemctl is-enabled %s", each.unit) == "static"
