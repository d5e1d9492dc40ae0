"""What Prometheus sees of hosts under load is what happens there, and nobody is served worse for being watched."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import client
import dashboard
import environments
import pytest
import yaml
from process_model.metrics import REASONS
from prometheus import Prometheus
from support import ROOT, Host, changed, load, playbook, site, succeeded, wait_for

PROGRAM = ROOT / "ansible/roles/plane_observability/files/requests.mtail"
LISTED = yaml.safe_load((ROOT / "ansible/vars/metrics.yml").read_text(encoding="utf-8"))["plane_metrics"]
# What is there from its first time on.
RARE = {"plane_requests_refused_total", "plane_requests_failed_total"}
EXPORTERS = ("plane-exporter-requests", "plane-exporter-host")


@pytest.fixture(scope="session")
def checked(hosts: dict[str, Host]) -> CompletedProcess[str]:
    """Check mode, before the first converge where the hosts are fresh."""
    return succeeded(site("staging", "--check"))


@pytest.fixture(scope="session")
def watched(checked: CompletedProcess[str], deployed: None, api1: Host) -> str:
    """The front door of a host that is watched."""
    return f"http://{api1.address}:8000"


@pytest.fixture(scope="session")
def monitor(hosts: dict[str, Host], watched: str) -> Host:
    return hosts["monitor1"]


@pytest.fixture(scope="session")
def prometheus(monitor: Host) -> str:
    return f"http://{monitor.address}:9090"


def scrape(monitor: Host, host: Host, port: int) -> dict[str, float]:
    """Series -> value, of one exporter, asked from where Prometheus asks."""
    text = monitor.run(f"curl --silent --fail http://{host.address}:{port}/metrics")
    lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {series: float(value) for series, _, value in lines}


def total(found: dict[str, float], name: str, *labels: str) -> float:
    return sum(
        value
        for series, value in found.items()
        if series.partition("{")[0] == name and all(label in series for label in labels)
    )


def value_of(prometheus: str, expression: str) -> float | None:
    found = Prometheus(prometheus).at(expression, time.time())
    return next(iter(found[0].points.values()), None) if found else None


def processes(host: Host) -> dict[str, float]:
    """What plane-process-model tells now."""
    lines = (line.rpartition(" ") for line in host.run("plane-process-model metrics").splitlines())
    return {series: float(value) for series, _, value in lines if not series.startswith("#")}


@contextmanager
def held(host: Host, count: int) -> Iterator[None]:
    """`count` requests that stay inside gunicorn while the block runs."""

    def hold() -> int:
        connection = http.client.HTTPConnection(host.address, 8000, timeout=60)
        connection.request("GET", "/api/debug/sleep/?seconds=12", headers=client.KEY)
        return connection.getresponse().status

    with ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(hold) for _ in range(count)]
        wait_for(lambda: len(connections(host)) >= count, 20)
        yield
        assert {each.result() for each in asked} == {200}


def connections(host: Host) -> list[str]:
    return host.run("grep -E '03 [0-9]+ /run/plane-api/(blue|green)/gunicorn.sock' /proc/net/unix || true").splitlines()


def test_a_second_run_changes_nothing(prometheus: str) -> None:
    assert set(changed(succeeded(site())).values()) == {0}


def test_mtail_counts_each_line_by_route_method_and_what_became_of_it(monitor: Host) -> None:
    lines = (Path(__file__).parent / "admission.log").read_text(encoding="utf-8")
    monitor.run("mkdir -p /run/mtail-test && cat > /run/mtail-test/requests.mtail", stdin=PROGRAM.read_text())
    monitor.run("cat > /run/mtail-test/log", stdin=lines)
    printed = monitor.run(
        "mtail -one_shot -one_shot_format prometheus -emit_prog_label=false -progs /run/mtail-test/requests.mtail "
        "-logs /run/mtail-test/log -port 3999 2>/dev/null"
    )
    kept = [line for line in printed.splitlines() if not re.match(r"#|\w+_(bucket|bytes_total)", line)]
    assert sorted(kept) == sorted((Path(__file__).parent / "admission.counts").read_text().splitlines())


def test_every_listed_metric_is_there(watched: str, prometheus: str) -> None:
    with load([("small", client.small(watched), 2), ("heavy", client.heavy(watched), 2)], pause=0.05):
        missing = {entry["name"] for entry in LISTED} - RARE

        def all_there() -> bool:
            for name in list(missing):
                suffix = "_bucket" if f"{name}_bucket" in histograms() else ""
                if Prometheus(prometheus).at(f"{name}{suffix}", time.time()):
                    missing.discard(name)
            return not missing

        def histograms() -> set[str]:
            return {f"{entry['name']}_bucket" for entry in LISTED if entry["type"] == "histogram"}

        wait_for(all_there, 90, pause=2)


def test_as_many_requests_are_counted_as_were_sent(watched: str, monitor: Host, api1: Host) -> None:
    before = scrape(monitor, api1, 3903)
    with load(clients(watched)) as found:
        wait_for_requests(api1, 150)
    assert not found.failed

    def counted() -> bool:
        after = scrape(monitor, api1, 3903)
        return all(
            total(after, name, 'service="plane-api"', f'method="{method}"')
            - total(before, name, 'service="plane-api"', f'method="{method}"')
            # The processes' examination asks GET / too, once a minute.
            - found.tallies[group].requests
            in ((0,) if method == "POST" else range(5))
            for name in ("plane_requests_total", "plane_request_duration_seconds_count")
            for group, method in (("small", "GET"), ("write", "POST"))
        )

    wait_for(counted, 10)


def test_busy_threads_and_slots_are_the_requests_that_are_inside(watched: str, monitor: Host, api1: Host) -> None:
    with held(api1, 10):
        seen = processes(api1)
        slots = scrape(monitor, api1, 9101)
    assert total(seen, "plane_worker_requests") == 10
    busy, idle = total(seen, "plane_worker_threads_busy"), total(seen, "plane_worker_threads_idle")
    assert busy + idle == 16
    # The kernel spreads connections unevenly: what one worker has above its threads waits inside it.
    assert busy <= 10
    assert total(slots, "haproxy_server_current_sessions", 'proxy="plane-api"') == 10
    after = processes(api1)
    assert total(after, "plane_worker_requests") == 0


def test_a_killed_worker_is_counted_as_killed(watched: str, api1: Host) -> None:
    before = processes(api1)
    worker = api1.run(f"pgrep -P {api1.master()}").split()[0]
    api1.run(f"kill -9 {worker}")

    def counted() -> bool:
        after = processes(api1)
        return total(after, "plane_worker_restarts_total", 'reason="killed"') == 1 + total(
            before, "plane_worker_restarts_total", 'reason="killed"'
        )

    wait_for(counted, 20, pause=1)


def test_workers_that_a_rotation_ends_are_not_counted_as_killed(watched: str, graphql1: Host) -> None:
    before, since = processes(graphql1), graphql1.run("date +@%s").strip()
    graphql1.run("plane-process-model rotate plane-graphql")
    said = graphql1.run(f"journalctl --since {since} --identifier plane-graphql-{graphql1.live('plane-graphql')}")
    assert "was sent SIGTERM" in said, "a test that cannot fail proves nothing"
    after = processes(graphql1)
    assert {reason: total(after, "plane_worker_restarts_total", f'reason="{reason}"') for reason in REASONS} == {
        reason: total(before, "plane_worker_restarts_total", f'reason="{reason}"') for reason in REASONS
    }


def test_only_prometheus_may_ask_admission(watched: str, monitor: Host, api1: Host, graphql1: Host) -> None:
    address = f"http://{api1.address}:9101"
    asked = "curl --silent --output /dev/null --write-out '%{http_code}'"
    assert graphql1.run(f"{asked} {address}/metrics") == "403"
    assert monitor.run(f"{asked} {address}/metrics") == "200"
    assert monitor.run(f"{asked} {address}/") == "403"


def test_no_request_makes_a_new_route_or_method(watched: str, monitor: Host, api1: Host) -> None:
    for number in range(20):
        api1.run(
            f"curl --silent --output /dev/null -X WORD{chr(65 + number)} "
            f"http://{api1.address}:8000/api/{number}/page/?{number}=1"
        )
    labels = "\n".join(scrape(monitor, api1, 3903))
    assert set(re.findall(r'route="([^"]*)"', labels)) <= {"default", "page-description"}
    assert set(re.findall(r'method="([^"]*)"', labels)) <= {"GET", "POST", "other"}
    series = {port: len(scrape(monitor, api1, port)) for port in (3903, 9100)}
    assert max(series.values()) < 600, series


def test_every_query_of_the_dashboard_has_data_under_load(
    watched: str, hosts: dict[str, Host], prometheus: str, tmp_path: Path
) -> None:
    graphql = f"http://{hosts['graphql1'].address}:8001"
    groups: list[tuple[str, client.Request, int]] = [
        ("small", client.small(watched), 4),
        ("write", client.write(watched), 1),
        ("heavy", client.heavy(watched), 4),
        ("graphql", lambda session, tally: client.get(session, f"{graphql}/"), 1),
    ]
    queries = {
        (panel["title"], query["expr"])
        for row in dashboard.read()
        for panel in row["panels"]
        for query in panel["queries"]
    }
    without = set(queries)

    def all_have_data() -> bool:
        for title, expression in list(without):
            if Prometheus(prometheus).at(dashboard.query(expression, "staging", ".+"), time.time()):
                without.discard((title, expression))
        return not without

    with load(groups, pause=0.05) as found:
        try:
            wait_for(all_have_data, 150, pause=3)
        except AssertionError:
            pytest.fail(f"no data: {sorted(without)}")
    assert not found.failed
    written = tmp_path / "page.html"
    said = subprocess.run(
        [environments.PLOTTER, ROOT / "tools/observability_report.py", "--prometheus", prometheus, "--hours", "0.2",
         "--environment", "staging", "--output", written],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "without data" not in said.stdout
    page = written.read_text()
    assert page.count("<svg") == sum(
        panel.get("style") != "table" for row in dashboard.read() for panel in row["panels"]
    )
    assert not re.search(r'(?:src|href)="http', page)


@pytest.mark.parametrize(
    "command",
    [
        "systemctl kill --signal=KILL plane-exporter-requests plane-exporter-host",
        "systemctl stop plane-exporter-requests plane-exporter-host plane-exporter-processes.timer",
        # mtail stands still: its socket is full soon.
        "systemctl kill --signal=STOP plane-exporter-requests plane-exporter-host",
    ],
    ids=["killed", "stopped", "standing still"],
)
def test_no_request_is_lost_where_an_exporter_is(command: str, watched: str, api1: Host) -> None:
    try:
        with load([*clients(watched), ("health", health(watched), 8)]) as found:
            wait_for_requests(api1, 50)
            api1.run(command)
            # More lines than a socket holds.
            wait_for_requests(api1, 800)
    finally:
        api1.run("systemctl kill --signal=CONT plane-exporter-requests plane-exporter-host || true")
        api1.run("systemctl start plane-exporter-requests plane-exporter-host plane-exporter-processes.timer")
    assert not found.failed


def clients(watched: str) -> list[tuple[str, client.Request, int]]:
    return [("small", client.small(watched), 4), ("write", client.write(watched), 2)]


def health(watched: str) -> client.Request:
    return lambda session, tally: client.get(session, f"{watched}/")


def wait_for_requests(host: Host, count: int) -> None:
    """Until HAProxy has taken so many more."""
    before = found_so_far(host)
    wait_for(lambda: found_so_far(host) >= before + count, 150, pause=0.3)


def found_so_far(host: Host) -> int:
    """Requests that HAProxy has taken for the service, however many came on one connection."""
    return int(host.statistics()["plane-api", "FRONTEND"]["req_tot"])


def test_no_request_is_lost_where_prometheus_is_killed(
    watched: str, api1: Host, monitor: Host, prometheus: str
) -> None:
    with load(clients(watched)) as found:
        wait_for_requests(api1, 50)
        monitor.run("systemctl kill --signal=KILL prometheus prometheus-alertmanager")
        wait_for_requests(api1, 100)
    assert not found.failed
    monitor.run("systemctl reset-failed prometheus prometheus-alertmanager; "
                "systemctl start prometheus prometheus-alertmanager")  # fmt: skip
    wait_for(lambda: monitor.succeeds(f"curl --fail --silent {prometheus}/-/ready"), 60)


def test_alerts_go_to_the_receivers_of_their_environment(monitor: Host, prometheus: str) -> None:
    receivers: dict[str, Any] = {
        "plane_observability_receivers": [{"name": "on-call", "webhook_configs": [{"url": "http://127.0.0.1:9/"}]},
                                          {"name": "team", "webhook_configs": [{"url": "http://127.0.0.1:9/"}]}],
        "plane_observability_page_receiver": "on-call",
        "plane_observability_notice_receiver": "team",
    }  # fmt: skip
    try:
        succeeded(playbook("ansible/playbooks/observability.yml", "staging", **receivers))
        route = "amtool config routes test --config.file=/etc/prometheus/alertmanager.yml"
        for labels, receiver in {
            "environment=staging severity=page": "on-call",
            "environment=staging severity=notice": "team",
            "environment=staging severity=information": "nobody",
            "environment=cloud severity=page": "nobody",
        }.items():
            assert monitor.run(f"{route} {labels}").strip() == receiver, labels
        wait_for(lambda: "on-call" in monitor.run("curl --silent 127.0.0.1:9093/api/v2/status"), 10)
    finally:
        succeeded(playbook("ansible/playbooks/observability.yml", "staging"))


def test_one_cause_pages_once(monitor: Host, prometheus: str) -> None:
    wait_for(lambda: monitor.succeeds("curl --fail --silent 127.0.0.1:9093/-/ready"), 60)
    of = "environment=test service=plane-api severity=page"
    add = "amtool --alertmanager.url=http://127.0.0.1:9093 alert add"
    # Out of memory, and what follows of it.
    names = ["PlaneOutOfMemory", "PlaneErrors", "PlaneWorkerRestarts", "PlaneMemoryNearLimit"]
    for name in names:
        monitor.run(f"{add} {name} {of}")
    # The same of another service has another cause.
    monitor.run(f"{add} PlaneErrors environment=test service=plane-graphql severity=page")

    def told() -> set[tuple[str, str]]:
        shown = json.loads(monitor.run("curl --silent 127.0.0.1:9093/api/v2/alerts?filter=environment=test"))
        return {
            (alert["labels"]["alertname"], alert["labels"]["service"])
            for alert in shown
            if not alert["status"]["inhibitedBy"]
        }

    wait_for(lambda: told() == {("PlaneOutOfMemory", "plane-api"), ("PlaneErrors", "plane-graphql")}, 30)
