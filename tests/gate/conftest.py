from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import recordings

READY_SECONDS = 60


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def fill(folder: Path, scenarios: dict[str, recordings.Scenario]) -> Path:
    """Blocks of a Prometheus that has observed these scenarios, one environment each."""
    families: dict[str, list[tuple[recordings.Labels, list[recordings.Sample]]]] = {}
    for seed, (name, scenario) in enumerate(scenarios.items()):
        for family, series in recordings.record(name, scenario, seed).items():
            families.setdefault(family, []).extend(series)
    families["process_start_time_seconds"].append(recordings.of_prometheus(next(iter(scenarios.values()))))
    written = folder / "recorded.txt"
    with written.open("w", encoding="utf-8") as file:
        file.writelines(recordings.text(families))
    data = folder / "data"
    # Left alone it makes blocks of 2 hours, and reads all of the file for each.
    command = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=54h", "openmetrics", "--quiet"]
    subprocess.run([*command, str(written), str(data)], check=True, capture_output=True, text=True)
    written.unlink()
    return data


@contextmanager
def running(folder: Path, data: Path) -> Iterator[str]:
    """A real Prometheus over these blocks, which scrapes nothing; its address."""
    port = free_port()
    configuration = folder / "prometheus.yml"
    configuration.write_text("global: {}\n", encoding="utf-8")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={configuration}", f"--storage.tsdb.path={data}",
             "--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + READY_SECONDS
        while not answers(f"{url}/-/ready"):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "Prometheus is not ready"
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own
            return bool(response.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One that has observed every scenario."""
    folder = tmp_path_factory.mktemp("prometheus")
    with running(folder, fill(folder, recordings.SCENARIOS)) as url:
        yield url
