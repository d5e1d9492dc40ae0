"""A thin client of Prometheus's HTTP API."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PATIENCE = 60.0
# Of one range query; Prometheus refuses more.
MOST_POINTS = 11_000


class PrometheusError(Exception):
    """Prometheus does not answer, or refuses; the message says which and why."""


@dataclass(frozen=True)
class Series:
    """points: time (seconds since 1970) -> value; a value that is no number is left out."""

    labels: Mapping[str, str]
    points: Mapping[float, float]

    def value(self, at: float) -> float | None:
        return self.points.get(at)


@dataclass(frozen=True)
class Prometheus:
    """url: for example http://10.203.10.41:9090."""

    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        """`data` of an answer. Raises PrometheusError."""
        address = f"{self.url.rstrip('/')}/api/v1/{path}"
        if not address.startswith(("http://", "https://")):
            raise PrometheusError(f"{self.url!r} is no address of a Prometheus: http://host:9090, for example")
        body = urllib.parse.urlencode(parameters).encode()
        try:
            with urllib.request.urlopen(address, body, PATIENCE) as response:  # noqa: S310 - checked above
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")[:500]
            raise PrometheusError(f"{address} answered {error.code}: {said}") from error
        except (OSError, ValueError) as error:
            raise PrometheusError(f"{address} does not answer: {error}") from error
        if answer.get("status") != "success":
            raise PrometheusError(f"{address}: {answer.get('error')}")
        return answer["data"]

    def over(self, query: str, start: float, end: float, step: float) -> list[Series]:
        """The query's values at start, start + step, … until end."""
        data = self.ask("query_range", query=query, start=f"{start:.3f}", end=f"{end:.3f}", step=f"{step:g}")
        return [_series(each["metric"], each["values"]) for each in data["result"]]

    def at(self, query: str, time: float) -> list[Series]:
        """The query's values at one time."""
        data = self.ask("query", query=query, time=f"{time:.3f}")
        return [_series(each["metric"], [each["value"]]) for each in data["result"]]


def _series(labels: Mapping[str, str], values: list[list[Any]]) -> Series:
    points = {float(time): float(value) for time, value in values}
    return Series(labels, {time: value for time, value in points.items() if math.isfinite(value)})
