from __future__ import annotations

from collections.abc import Generator

import hypothesis
import pytest
from process_model.report import columns
from support import CONTAINED, ENVIRONMENT, Host, hosts_of, inventory_hosts, seed, site, succeeded

# How long an example takes says something about the machine alone.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def hosts() -> dict[str, Host]:
    """The lab's hosts by what they are (api1, …); `lab.py up` made them."""
    return {name.partition("-")[2]: Host(name, address) for name, address in inventory_hosts().items()}


@pytest.fixture(scope="session")
def api1(hosts: dict[str, Host]) -> Host:
    return hosts["api1"]


@pytest.fixture(scope="session")
def api2(hosts: dict[str, Host]) -> Host:
    return hosts["api2"]


@pytest.fixture(scope="session")
def graphql1(hosts: dict[str, Host]) -> Host:
    return hosts["graphql1"]


@pytest.fixture(scope="session")
def data1(hosts: dict[str, Host]) -> Host:
    return hosts["data1"]


@pytest.fixture(scope="session")
def first_run() -> str:
    """What the first run of these tests printed, as talkative as Ansible gets about its tasks."""
    return succeeded(site(ENVIRONMENT, "-vvv", plane_release_migrate=not CONTAINED)).stdout


@pytest.fixture(scope="session")
def deployed(hosts: dict[str, Host], first_run: str) -> None:
    """Every service as its inventory says, but without the application's own steps, and the database filled."""
    seed(hosts[hosts_of("plane-api")[0]])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "fault(name, said, clients, recovered): a line of the table of faults on hosts that serve"
    )
    config.addinivalue_line("markers", "chaos: faults whose lines of the table come from the test itself")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that is marked as a fault gets a line of the table below, with what its mark says."""
    found = yield
    marker = item.get_closest_marker("fault")
    if marker and found.when == "call":
        line = {"clients": "not asked", "recovered": "the old colour serves on", **marker.kwargs}
        found.user_properties += [("fault", marker.args[0]), *line.items()]
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of what was done to hosts that serve: what clients saw, what was said, how it was over."""
    rows = [
        (dict(found.user_properties), found.passed)
        for outcome in ("passed", "failed")
        for found in terminalreporter.stats.get(outcome, [])
        if found.when == "call" and "fault" in dict(found.user_properties)
    ]
    if not rows:
        return
    terminalreporter.section("faults on hosts that serve")
    cells = [[str(row.get(name, "")) for name in ("fault", "clients", "said", "recovered")] for row, _ in rows]
    titles, *lines = columns([("FAULT", "CLIENTS SAW", "STATUS SAID", "RECOVERED"), *cells])
    terminalreporter.write_line(titles)
    for text, (_, passed) in zip(lines, rows):
        terminalreporter.write_line(text + ("" if passed else "  LOST OR WRONG"), red=not passed)
