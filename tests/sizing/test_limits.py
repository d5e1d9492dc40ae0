"""Limits of each runtime, proved by reaching them: what systemd and Docker show may be in force or not.

Memory and tasks of a slice are in molecule/default, a worker of it that is killed in tests/lab.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import client
import pytest
from support import ROOT, START_THREADS, Host, playbook, succeeded, wait_for

SERVICE = "plane-api"
# As the inventory says: sizing.json is the sizing report's.
REPORT = ROOT / "build/reports/sizing-verify.json"
# More than the container's limit.
ALLOCATE = "/api/debug/allocate/?mebibytes=3000"
# So many periods of the scheduler's accounts in which it was stopped prove the limit of processors.
THROTTLED = 20
# Processors that anything busy gets on a machine that others use as well.
FEW = 0.1
# Microseconds in each period for which each processor may go on: it notices at the next tick of its clock.
TICK = 10_000
# Until its input ends.
SPIN = """
import os, signal, sys
spinning = []
for _ in range({}):
    spinning.append(os.fork())
    while spinning[-1] == 0:
        pass
sys.stdin.read()
for process in spinning:
    os.kill(process, signal.SIGKILL)
"""
# Of the control group that has the limits: that of the container, or the slice above the unit.
ACCOUNTS = """
import json, sys
sys.path.insert(0, "/usr/local/lib/plane-process-model")
from pathlib import Path
from process_model import procfs
groups = procfs.cgroup_of(int(sys.argv[1]))

def group(controller):
    path = Path(groups.get(controller) or groups["unified"])
    return str(path.parent if path.name.endswith(".service") else path)

def folder(controller):
    return procfs.CGROUP / (controller if controller in groups else "") / group(controller).lstrip("/")

def numbers(path):
    return {name: int(number) for name, number in (line.split() for line in procfs.read(path).splitlines())}

stat = numbers(folder("cpu") / "cpu.stat")
# Not of version 1's accounts: there systemd leaves the group's processes among those of the whole host.
used = 1e6 * procfs.cpu_seconds_of_group(group("unified"))
if "cpu" in groups:
    quota, period = (int(procfs.read(folder("cpu") / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
else:
    quota, period = map(int, procfs.read(folder("cpu") / "cpu.max").split())
print(json.dumps({"used": used, "quota": quota, "period": period, "periods": stat["nr_periods"],
                  "throttled": stat["nr_throttled"], "tasks": int(procfs.read(folder("pids") / "pids.current"))}))
"""


@dataclass(frozen=True)
class Accounts:
    """The kernel's, of a control group. used, quota, period: microseconds. periods: that it had something to do in;
    throttled: of these, that it was stopped in. tasks: that it has now."""

    used: float
    quota: int
    period: int
    periods: int
    throttled: int
    tasks: int


@dataclass(frozen=True)
class Limited:
    """The live instance of a host, by its runtime."""

    host: Host
    contained: bool

    def inside(self, program: str) -> str:
        """The shell command that runs a program of Python under the instance's limits."""
        words = (
            ["docker", "exec", "--interactive", f"{SERVICE}-{self.host.live()}"]
            if self.contained
            else ["systemd-run", "--quiet", "--collect", "--wait", "--pipe", f"--slice={SERVICE}.slice",
                  f"--uid={SERVICE}"]
        )  # fmt: skip
        return shlex.join([*words, "python3", "-c", program])

    def accounts(self) -> Accounts:
        container = f"{SERVICE}-{self.host.live()}"
        shown = "docker inspect --format '{{.State.Pid}}' "
        pid = self.host.run(shown + container) if self.contained else self.host.master()
        return Accounts(**json.loads(self.host.run(f"python3 - {pid}", stdin=ACCOUNTS)))

    @contextmanager
    def few_processors(self) -> Iterator[None]:
        """FEW instead of the deployed limit: on a machine that is busy otherwise nobody gets a whole processor."""
        name = f"{SERVICE}-{self.host.live()}"
        limit, undo = (f"systemctl set-property --runtime {SERVICE}.slice CPUQuota={cpus:.0%}" for cpus in (FEW, 1))
        undo += f"; rm -r /run/systemd/system.control/{SERVICE}.slice.d; systemctl daemon-reload"
        if self.contained:
            limit, undo = (f"docker update --cpus {cpus} {name}" for cpus in (FEW, 1))
        self.host.run(limit)
        try:
            yield
        finally:
            self.host.run(undo)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """As many processes as the host has processors, and one more, use all that they get until the block ends."""
        command = self.host.command(self.inside(SPIN.format(self.processors() + 1)))
        with subprocess.Popen(command, stdin=subprocess.PIPE) as spinning:
            yield
            assert spinning.stdin is not None
            spinning.stdin.close()

    def processors(self) -> int:
        return int(self.host.run("nproc"))


@pytest.fixture(scope="session", params=["api1", "plane1"], ids=["systemd", "compose"])
def each(request: pytest.FixtureRequest, hosts: dict[str, Host]) -> Limited:
    return Limited(hosts[request.param], contained=request.param == "plane1")


@pytest.fixture(scope="session")
def container(hosts: dict[str, Host]) -> Limited:
    return Limited(hosts["plane1"], contained=True)


def test_a_busy_service_gets_no_more_than_its_processors(each: Limited) -> None:
    with each.few_processors(), each.busy():
        before = each.accounts()
        wait_for(lambda: each.accounts().throttled >= before.throttled + THROTTLED)
        after = each.accounts()
    assert before.quota == FEW * before.period
    assert each.accounts().quota == before.period, "plane_api_cpu_limit of the tier low is one processor"
    allowed = before.quota + each.processors() * TICK
    assert after.used - before.used <= (after.periods - before.periods + 1) * allowed


def test_tasks_limit_of_a_container_holds(container: Limited) -> None:
    running = container.accounts().tasks
    assert running + int(container.host.run(container.inside(START_THREADS))) == 256
    assert container.host.succeeds(f"curl --fail http://{container.host.address}{client.SMALL} -H 'X-Api-Key: lab-ada'")


def test_a_worker_of_a_container_that_is_killed_for_its_memory_is_said_to_be_so(container: Limited) -> None:
    """By the journal, by status on the host, and by verify and its report; the service goes on, so nothing is amiss."""
    host = container.host
    live = host.live()
    asked = f"curl --silent --request POST --output /dev/null --write-out '%{{http_code}}' 'http://{host.address}"
    assert host.run(f"{asked}{ALLOCATE}'") == "502"
    wait_for(lambda: host.succeeds("plane-process-model status"))
    said = f"out of memory: since {live} was started the kernel has killed "
    assert said in succeeded(playbook("ansible/playbooks/verify.yml", "community")).stdout
    assert said in json.loads(REPORT.read_text())["out_of_memory"][0]
    assert said in host.run("plane-process-model status")
    journal = host.run(f"journalctl --output=cat --identifier={SERVICE}-{live}")
    assert "ended, out of memory: at its limit the kernel killed a process of this service" in journal
