"""What is read out of recorded series: since when a host runs what it runs, and which stretches are compared."""

from __future__ import annotations

from pathlib import Path

import environments
import pytest
from observed_history import Identity, Switch, block_of, counted, doubts_about, plan, runs, switched_at
from process_model.bake import DAY
from prometheus import Prometheus, PrometheusError, Series

OLD = {"release": "1", "worker_class": "uvicorn", "workers": "2", "fingerprint": "aa"}
NEW = {"release": "2", "worker_class": "gthread", "workers": "2", "threads": "8", "fingerprint": "bb"}
HOUR = 3600.0


def identity(labels: dict[str, str]) -> Identity:
    return Identity(
        *(labels.get(name, "") for name in ("release", "worker_class", "workers", "threads", "fingerprint"))
    )


def seen(labels: dict[str, str], begins: int, ends: int) -> Series:
    return Series(labels, {float(time): 1.0 for time in range(begins, ends)})


def test_what_ran_one_after_the_other() -> None:
    assert runs([seen(OLD, 0, 10), seen(NEW, 10, 20)]) == [(0.0, identity(OLD)), (10.0, identity(NEW))]


def test_a_step_that_saw_both_belongs_to_the_newer_one() -> None:
    assert runs([seen(OLD, 0, 11), seen(NEW, 10, 20)]) == [(0.0, identity(OLD)), (10.0, identity(NEW))]


def test_the_way_back_is_a_change_too() -> None:
    found = runs([Series(OLD, {0.0: 1, 1.0: 1, 4.0: 1}), Series(NEW, {2.0: 1, 3.0: 1})])
    assert [time for time, _ in found] == [0.0, 2.0, 4.0]


def switch(first: float, second: float) -> Switch:
    changes = {host: [(0.0, identity(OLD)), (at, identity(NEW))] for host, at in (("a", first), ("b", second))}
    return Switch({host: identity(NEW) for host in changes}, {"a": first, "b": second}, changes)


def test_a_service_that_was_not_switched_is_compared_over_the_switch_of_another() -> None:
    unchanged = Switch({"a": identity(NEW)}, {"a": 0.0}, {"a": [(0.0, identity(NEW))]})
    both = {"plane-api": switch(10 * DAY, 10 * DAY + HOUR), "plane-graphql": unchanged}
    assert switched_at("plane-graphql", both) == switched_at("plane-api", both) == 10 * DAY
    end = 12 * DAY + 2 * HOUR
    assert doubts_about(unchanged, plan(10 * DAY, end, 2 * DAY, 300), ["a"], 300) == []
    # One that is new, or an environment in which nothing was switched, has no time before.
    alone = plan(switched_at("plane-graphql", {"plane-graphql": unchanged}), end, 2 * DAY, 300)
    assert doubts_about(unchanged, alone, ["a"], 300) == [
        "nothing to compare with: a has run nothing else since it is observed"
    ]


def test_days_before_have_the_same_hours() -> None:
    times = plan(10 * DAY, 12 * DAY + 2 * HOUR, 2 * DAY, 300)
    assert times.after - times.before == 3 * DAY
    assert times.before_end <= 10 * DAY < times.after
    assert times.block == HOUR


def test_minutes_end_right_before_the_switch() -> None:
    times = plan(5000, 8000, 1440, 30)
    assert (times.before_end, times.end, times.blocks, times.block) == (4970, 8000, 24, 60)


def test_a_window_that_is_too_short_is_refused() -> None:
    assert block_of(2 * DAY) == (HOUR, 48)
    with pytest.raises(ValueError, match="10 minutes are too few to judge; at least 12"):
        block_of(600)


def test_a_host_of_which_nobody_says_what_runs_is_a_doubt() -> None:
    found = switch(10 * DAY, 10 * DAY)
    times = plan(found.first, 12 * DAY + HOUR, 2 * DAY, 300)
    assert doubts_about(found, times, ["a", "b"], 300) == []
    assert doubts_about(found, times, ["a", "b", "c"], 300) == ["nobody says what runs on c"]


def test_a_counter_that_begins_counts_from_nothing() -> None:
    query = counted("x_total", "route", '{a="b"}', 60)
    assert (
        query == 'sum by (route) ((x_total{a="b"} unless x_total{a="b"} offset 60s) or increase(x_total{a="b"}[60s]))'
    )


@pytest.mark.parametrize("url", ["file:///etc/passwd", "prometheus:9090", ""])
def test_only_an_address_of_http_is_asked(url: str) -> None:
    with pytest.raises(PrometheusError, match="is no address of a Prometheus"):
        Prometheus(url).at("up", 0)


def test_an_environment_is_read_without_its_vault(tmp_path: Path) -> None:
    folder = tmp_path / "group_vars" / "staging"
    folder.mkdir(parents=True)
    (folder / "main.yml").write_text("plane_environment: staging\nplane_release_gate_hours: soon\n")
    (folder / "vault.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n00\n")
    (tmp_path / "hosts.yml").write_text(
        "plane_api: {hosts: {api1: {ansible_host: 10.0.0.1}}}\n"
        "plane_monitoring: {hosts: {m: {ansible_host: 10.0.0.9}}}\n"
    )
    found = environments.read(tmp_path)
    assert (found.name, found.services) == ("staging", {"plane-api": ["api1"]})
    assert found.number("plane_release_gate_validity_hours", 0) == 168, "the role's default"
    with pytest.raises(environments.SettingsError, match="plane_release_gate_hours is 'soon'"):
        found.number("plane_release_gate_hours", 0)
    assert environments.prometheus_of(found, None) == "http://10.0.0.9:9090"
    assert environments.prometheus_of(found, "http://other") == "http://other"
