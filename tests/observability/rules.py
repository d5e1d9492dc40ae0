"""When each alert fires and when it does not: series for promtool, in its own notation, a sample a minute.

`1x60` is 1 for an hour, `0+6x60` grows by 6 a minute. Every series is of environment `lab` and instance `api1` unless
it says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

API = 'service="plane-api"'
DEFAULT = f'{API},route="default"'
PAGES = f'{API},route="page-description"'


@dataclass(frozen=True)
class Case:
    """fires: series under which the alert fires at minute `at`; quiet: under which it does not."""

    alert: str
    fires: dict[str, str]
    quiet: dict[str, str]
    at: int = 40


def memory(share: float) -> dict[str, str]:
    return {
        f"plane_service_memory_bytes{{{API}}}": f"{share * 1000:.0f}x60",
        f"plane_service_memory_limit_bytes{{{API}}}": "1000x60",
    }


def waits(seconds_above: bool, route: str = DEFAULT) -> dict[str, str]:
    """Ten requests a second, which wait less than 5 ms, or each between 0.25 and 0.5 s."""
    return {
        f'plane_request_queue_seconds_bucket{{{route},le="0.005"}}': "0x60" if seconds_above else "0+600x60",
        f'plane_request_queue_seconds_bucket{{{route},le="0.25"}}': "0x60" if seconds_above else "0+600x60",
        f'plane_request_queue_seconds_bucket{{{route},le="0.5"}}': "0+600x60",
        f'plane_request_queue_seconds_bucket{{{route},le="+Inf"}}': "0+600x60",
    }


def slots(used: int, waiting: int, route: str = DEFAULT, limit: int = 14) -> dict[str, str]:
    return {
        f'haproxy_server_current_sessions{{{route},server="blue"}}': f"{used}x60",
        f'haproxy_server_current_sessions{{{route},server="canary"}}': "0x60",
        f'haproxy_server_limit_sessions{{{route},server="blue"}}': f"{limit}x60",
        f'haproxy_server_limit_sessions{{{route},server="canary"}}': f"{limit}x60",
        f"haproxy_backend_current_queue{{{route}}}": f"{waiting}x60",
    }


def model(threads: int = 8, workers: int = 2) -> dict[str, str]:
    return {
        f"plane_threads_desired{{{API}}}": f"{threads}x60",
        f"plane_workers_desired{{{API}}}": f"{workers}x60",
    }


def processors(share: float, io_wait: float) -> dict[str, str]:
    return {
        f"plane_service_cpu_seconds_total{{{API}}}": f"0+{share * 60}x60",
        f"plane_service_cpu_limit{{{API}}}": "1x60",
        'node_cpu_seconds_total{cpu="0",mode="iowait"}': f"0+{io_wait * 60}x60",
        'node_cpu_seconds_total{cpu="0",mode="idle"}': "0+6x60",
    }


def answers(good: int, bad: int = 0, refused: int = 0) -> dict[str, str]:
    """A minute."""
    found = {f'plane_requests_total{{{DEFAULT},method="GET",code="2xx",colour="blue"}}': f"0+{good}x60"}
    if bad:
        found[f'plane_requests_total{{{DEFAULT},method="GET",code="5xx",colour="blue"}}'] = f"0+{bad}x60"
    if refused:
        found[f'plane_requests_refused_total{{{DEFAULT},reason="queue-full"}}'] = f"0+{refused}x60"
    return found


def restarts(reason: str, values: str) -> dict[str, str]:
    return {f'plane_worker_restarts_total{{{API},reason="{reason}"}}': values}


def colours(live: str, blue: int, green: int, workers: int = 2) -> dict[str, str]:
    of_blue, of_green = f'{API},colour="blue"', f'{API},colour="green"'
    return {
        f"plane_service_live{{{of_blue}}}": "1x60" if live == "blue" else "0x60",
        f"plane_service_live{{{of_green}}}": "1x60" if live == "green" else "0x60",
        f"plane_instance_up{{{of_blue}}}": f"{blue}x60",
        f"plane_instance_up{{{of_green}}}": f"{green}x60",
        f"plane_workers{{{of_blue}}}": f"{workers}x60",
        **model(),
    }


def information(instance: str, worker_class: str) -> dict[str, str]:
    labels = f'{API},instance="{instance}",worker_class="{worker_class}",workers="2",threads="8",release="r1"'
    return {f"plane_service_info{{{labels}}}": "1x200"}


CASES = (
    Case("PlaneQueueTime", {**waits(True), **memory(0.5), **model()}, {**waits(False), **memory(0.5), **model()}),
    # No memory for more threads, or threads enough: other alerts say what to do.
    Case("PlaneQueueTime", {**waits(True), **memory(0.5), **model(10)}, {**waits(True), **memory(0.9), **model()}),
    Case("PlaneQueueTime", {**waits(True), **memory(0.7), **model()}, {**waits(True), **memory(0.5), **model(12)}),
    Case("PlaneQueueTime", {**waits(True), **memory(0.7), **model()}, {**waits(True, PAGES), **memory(0.5), **model()}),
    Case("PlaneProcessorsBusy", {**processors(0.9, 0.02), **model()}, {**processors(0.7, 0.02), **model()}),
    Case("PlaneProcessorsBusy", {**processors(0.9, 0.02), **model()}, {**processors(0.9, 0.2), **model()}),
    Case("PlaneMemoryNearLimit", {**memory(0.9), **model()}, {**memory(0.8), **model()}),
    Case(
        "PlaneProcessModelDiffers",
        {f"plane_process_model_mismatches{{{API}}}": "2x60"},
        {f"plane_process_model_mismatches{{{API}}}": "0x60"},
    ),
    # A change is not a mismatch: it is over within five minutes.
    Case(
        "PlaneProcessModelDiffers",
        {f"plane_process_model_mismatches{{{API}}}": "0x30 1x30"},
        {f"plane_process_model_mismatches{{{API}}}": "0x30 1x2 0x30"},
    ),
    Case("PlaneInstanceDown", colours("blue", 0, 0), colours("blue", 1, 0)),
    Case("PlaneInstanceDown", colours("neither", 1, 1), colours("green", 0, 1)),
    Case("PlaneWorkersMissing", colours("blue", 1, 0, workers=1), colours("blue", 1, 0, workers=2)),
    Case("PlaneWorkerRestarts", restarts("killed", "0+1x60"), restarts("killed", "0x30 1x30")),
    # What is recycled is as meant.
    Case("PlaneWorkerRestarts", restarts("timeout", "0+1x60"), restarts("recycled", "0+1x60")),
    Case(
        "PlaneRecyclingStorm",
        {**restarts("recycled", "0+1x60"), **model(), **answers(600)},
        {**restarts("recycled", "0x20 1x20 2x20"), **model(), **answers(600)},
    ),
    Case("PlaneOutOfMemory", restarts("out-of-memory", "0x35 1x30"), restarts("out-of-memory", "1x60")),
    Case(
        "PlaneGraphqlOnWsgi",
        {'plane_graphql_on_wsgi{service="plane-graphql"}': "1x60"},
        {'plane_graphql_on_wsgi{service="plane-graphql"}': "0x60"},
    ),
    Case(
        "PlaneRecyclingLosesRequests",
        {f"plane_recycling_is_safe{{{API}}}": "0x60"},
        {f"plane_recycling_is_safe{{{API}}}": "1x60"},
    ),
    # A rollout has both for a while.
    Case(
        "PlaneBothColoursRun",
        colours("blue", 1, 1),
        {**colours("blue", 1, 0), f'plane_instance_up{{{API},colour="green"}}': "0x25 1x20 0x20"},
    ),
    Case(
        "PlaneModelsMixed",
        {**information("api1", "gthread"), **information("api2", "uvicorn")},
        {**information("api1", "gthread"), **information("api2", "gthread")},
        at=130,
    ),
    Case("PlaneSaturated", slots(14, 5), slots(14, 0)),
    Case("PlaneSaturated", slots(14, 1), slots(10, 5)),
    Case(
        "PlaneHeavyRouteFull",
        {**slots(2, 9, PAGES, 2), **slots(3, 0)},
        {**slots(1, 0, PAGES, 2), **slots(3, 0)},
    ),
    # Where small calls are full too it is no longer information.
    Case(
        "PlaneHeavyRouteFull",
        {**slots(2, 0, PAGES, 2), **slots(0, 0)},
        {**slots(2, 9, PAGES, 2), **slots(14, 5)},
    ),
    Case("PlaneRequestsRefused", answers(600, refused=60), answers(600, refused=3)),
    Case("PlaneErrors", answers(600, bad=30), answers(600, bad=3)),
    # Of next to no requests a share says nothing.
    Case("PlaneErrors", answers(60, bad=6), answers(1, bad=1)),
    Case(
        "PlaneDatabaseConnections",
        {
            f"plane_service_database_connections{{{API}}}": "90x60",
            "environment:plane_database_connections:limit": "100x60",
        },
        {
            f"plane_service_database_connections{{{API}}}": "70x60",
            "environment:plane_database_connections:limit": "100x60",
        },
    ),
    Case("PlaneHostUnseen", {'up{job="plane-host"}': "0x60"}, {'up{job="plane-host"}': "1x60"}),
    # Others' jobs are not ours to watch.
    Case("PlaneHostUnseen", {'up{job="plane-admission"}': "1x20 0x40"}, {'up{job="prometheus"}': "0x60"}),
    # promtool's time begins with 0.
    Case(
        "PlaneObservationStale",
        {"plane_observation_time_seconds": "0+60x20 1200x40"},
        {"plane_observation_time_seconds": "0+60x60"},
    ),
)

# What an alert suggests, with its numbers: alert -> the case's series, its labels, and the suggestion.
SUGGESTIONS = {
    "PlaneQueueTime": (
        {**waits(True), **memory(0.5), **model()},
        {"route": "default"},
        "threads: 10, now 8; 50 % of memory is in use. make size says whether it holds",
    ),
    "PlaneProcessorsBusy": (
        {**processors(0.9, 0.02), **model()},
        {},
        "workers: one more than 2, with a processor more; it takes about 150 MB. make size says whether it holds",
    ),
    "PlaneMemoryNearLimit": ({**memory(0.9), **model()}, {}, "another host: 8 threads a worker are few already"),
    "PlaneRecyclingStorm": (
        {**restarts("recycled", "0+1x60"), **model(), **answers(600)},
        {},
        "max_requests: 4500 or more: what a worker answers in a quarter of an hour",
    ),
    "PlaneSaturated": (
        {**slots(14, 5), **model()},
        {"route": "default"},
        "5 requests wait; one host more than 1, or threads where memory holds (make size)",
    ),
}

# What rules record: the rule, series, labels beside the environment, and its value at minute 40.
RECORDED = (
    ("service:plane_requests:rate5m", answers(600), API, 10),
    ("service:plane_request_errors:ratio_rate5m", answers(540, bad=60), API, 0.1),
    ("service:plane_request_errors:ratio_rate5m", answers(600), API, 0),
    ("service_route:plane_request_queue_seconds:p95_rate5m", waits(True), DEFAULT, 0.4875),
    ("service_route:plane_slots_used:ratio", slots(7, 0), DEFAULT, 0.5),
    ("service_route:plane_queue_length:sum", slots(14, 5), DEFAULT, 5),
    ("instance_service:plane_memory_used:ratio", memory(0.5), f'instance="api1",{API}', 0.5),
    ("service_reason:plane_worker_restarts:increase1h", restarts("killed", "0x20 3x40"), f'reason="killed",{API}', 3),
    ("instance:node_cpu_iowait:ratio_rate5m", processors(0.5, 0.2), 'instance="api1"', 0.2),
    ("instance:node_cpu_busy:ratio_rate5m", processors(0.5, 0.2), 'instance="api1"', 0.7),
)
