"""Keep, or more threads, workers, hosts or memory, or fewer hosts: with the arithmetic, and the line for the inventory.

    make advise ENV=staging
    make advise ENV=cloud ARGS='--hours 168'

From the peak that Prometheus recorded, by the calculator (docs/sizing.md). Changes nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime
from pathlib import Path

import environments
from observed_history import find_switch, selector
from process_model import advice, sizing
from prometheus import Prometheus, PrometheusError

ROLES = {name: role for role, name in environments.SERVICES.items()}
HOUR = 3600


def figure(prometheus: Prometheus, query: str, at: float, what: str) -> float:
    """One number. Raises PrometheusError where there is none: advice on nothing would be none."""
    found = [value for each in prometheus.at(query, at) for value in each.points.values()]
    if not found:
        raise PrometheusError(f"nothing was recorded of {what} ({query})")
    return max(found)


def observed(prometheus: Prometheus, environment: environments.Environment, service: str, end: float, hours: float
             ) -> advice.Observed:  # fmt: skip
    """The service at its peak. Raises PrometheusError."""
    where = selector(environment.name, service)
    rest, over = where[:-1] + ',route="default"}', f"[{hours * HOUR:.0f}s:5m]"
    span = f"[{hours * HOUR:.0f}s]"
    running = find_switch(prometheus, environment.name, service, end, 300).running
    if not running:
        raise PrometheusError(f"nothing was recorded of what runs as {service} in {environment.name}")
    model = sorted(running.values())[0]

    def ask(query: str, what: str) -> float:
        return figure(prometheus, query, end, what)

    held = (
        f"(sum(increase(plane_request_duration_seconds_sum{rest}{span})) - "
        f"sum(increase(plane_request_queue_seconds_sum{rest}{span}))) / "
        f"sum(increase(plane_request_duration_seconds_count{rest}{span}))"
    )
    wait = f"histogram_quantile(0.99, sum by (le) (rate(plane_request_queue_seconds_bucket{rest}[5m])))"
    used = (
        f"max(sum by (instance) (rate(plane_service_cpu_seconds_total{where}[5m])) / "
        f"sum by (instance) (plane_service_cpu_limit{where}))"
    )
    disk = (
        f'max(avg by (instance) (rate(node_cpu_seconds_total{{environment="{environment.name}",mode="iowait"}}[5m])))'
    )
    slots = f"min(max by (instance) (haproxy_server_limit_sessions{rest}))"
    heavy = where[:-1] + ',route!="default",route!=""}'
    heavy_slots = prometheus.at(
        f"max(sum by (instance) (max by (instance, route) (haproxy_server_limit_sessions{heavy})))", end
    )
    return advice.Observed(
        worker_class=model.worker_class,
        hosts=len(running),
        workers=int(model.workers),
        threads=int(model.threads or 0),
        rate=ask(f"max_over_time(sum(rate(plane_requests_total{rest}[5m])){over})", "requests"),
        held=max(1e-4, ask(held, "the time that requests take")),
        slots=int(ask(slots, "slots")),
        waited=ask(f"max_over_time(({wait} > 0){over}) or vector(0)", "the time that requests wait"),
        memory=ask(f"max(max_over_time(plane_service_memory_bytes{where}{span}))", "memory"),
        memory_limit=ask(f"min(plane_service_memory_limit_bytes{where} > 0)", "the limit of memory"),
        processors=ask(f"max_over_time({used}{over})", "processors"),
        disk=ask(f"max_over_time({disk}{over}) or vector(0)", "disks"),
        cpu_limit=ask(f"min(plane_service_cpu_limit{where})", "the limit of processors"),
        heavy_slots=int(next(iter(heavy_slots[0].points.values()))) if heavy_slots else 0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment")
    parser.add_argument("--inventory", type=Path, help="default: inventories/<environment>")
    parser.add_argument("--prometheus", help="default: as make bake")
    parser.add_argument("--hours", type=float, default=24.0, help="in which the peak is looked for")
    parser.add_argument("--until", type=datetime.fromisoformat, help="default: now")
    given = parser.parse_args()
    end = given.until.timestamp() if given.until else time.time()
    failed = False
    try:
        environment = environments.read(given.inventory or environments.ROOT / "inventories" / given.environment)
        prometheus = Prometheus(environments.prometheus_of(environment, given.prometheus))
    except ValueError as error:
        sys.exit(f"advise: {error}")
    for service in environment.services:
        try:
            seen = observed(prometheus, environment, service, end, given.hours)
            found = advice.advise(seen, ROLES[service])
        except (PrometheusError, sizing.SizingError) as error:
            print(f"{service}: no advice: {error}")
            failed = True
            continue
        print(f"{service}: {found.what}")
        for title, lines in (("", found.why), ("then: ", found.effect), ("inventory: ", found.settings)):
            print("".join(f"  {title}{line}\n" for line in lines), end="")
    sys.exit(failed)


if __name__ == "__main__":
    main()
