from __future__ import annotations

from collections.abc import Generator

import pytest
from support import Host, inventory_hosts, seed, site, succeeded


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
def deployed(api1: Host) -> None:
    """Every service as its inventory says, but without the application's own steps, and the database filled."""
    succeeded(site(plane_release_migrate=True))
    seed(api1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(name, said): a fault on hosts that serve, and what is said of it")
    config.addinivalue_line("markers", "chaos: faults whose lines of the table come from the test itself")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that is marked as a fault gets a line of the table below; its clients saw nothing, or it failed."""
    found = yield
    marker = item.get_closest_marker("fault")
    if marker and found.when == "call":
        recovered = "nothing was changed" if "nothing switched" in marker.kwargs["said"] else "the old colour serves on"
        found.user_properties += [
            ("fault", marker.args[0]),
            ("clients", "nothing"),
            ("said", marker.kwargs["said"]),
            ("recovered", recovered),
        ]
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
    columns = ("fault", "clients", "said", "recovered")
    titles = ("FAULT", "CLIENTS SAW", "STATUS SAID", "RECOVERED")
    lines = [titles, *(tuple(str(row.get(column, "")) for column in columns) for row, _ in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line, passed in zip(lines, [True, *(passed for _, passed in rows)]):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths))
        terminalreporter.write_line(text + ("" if line is titles or passed else "  LOST OR WRONG"), red=not passed)
