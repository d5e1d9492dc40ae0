"""The benchmark's own arithmetic: h2load's words, the order of measuring, ratios, goals, and what is refused."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import nan
from pathlib import Path
from typing import ClassVar

import pytest
from bench import generator, report
from bench.__main__ import length
from bench.compare import (
    Measurement,
    RefusedError,
    Row,
    Spread,
    differs,
    front,
    key,
    order,
    ranking,
    refuse,
    rows,
    verdict,
)
from bench.data import (
    EXPERIMENTS,
    Aim,
    Asked,
    DataError,
    Experiment,
    Goal,
    Load,
    Release,
    Variant,
    experiment,
    release,
    variants,
    variants_of,
)
from bench.generator import Tally
from bench.instances import Instance, alone_command, heavy_routes, peak_and_held, told
from entrypoint_process import SYSTEM_PATH, executable, render
from support import Host

SMALL = Asked("/small", 0)
CLOSED, OPEN = Load(0, 4), Load(20, 0)
KNOWN = {
    "before": Variant("before", "as before", {"GUNICORN_WORKER_CLASS": "uvicorn"}),
    "after": Variant("after", "as after", inventory={"plane_api_worker_class": "gthread"}),
}
RELEASE = Release({}, {"small": SMALL, "heavy": Asked("/heavy", 5)})
ASKED = Experiment(
    "one", "Is it so?", "docs/claims.md", ["before", "after"], 3, 10.0, {"idle": {"small": OPEN}}, [], []
)


def said(ok: int, failed: int = 0, errored: int = 0, data: int = 1000) -> str:
    """As h2load ends."""
    return (
        f"requests: {ok + failed} total, {ok + failed} started, {ok + failed} done, {ok} succeeded, {failed} failed, "
        f"{errored} errored, 0 timeout\ntraffic: 1.00KB ({data}) total, 0B (0) headers (space savings 0.00%), "
        f"1.00KB ({data}) data\n"
    )


def log(*answers: tuple[float, int, float]) -> str:
    """When it began, its status, how long it took: seconds."""
    return "".join(f"{at * 1e6:.0f}\t{status}\t{took * 1e6:.0f}\n" for at, status, took in answers)


def tally(p99: float = 0.1, answered: int = 100, failed: dict[str, int] | None = None, client: float = 0.1) -> Tally:
    return Tally(["h2load"], answered, failed or {}, 10.0, p99 / 2, p99, p99, p99, 0.0, 0.0, client)


def measured(variant: str, repetition: int, one: Tally, case: str = "idle") -> Measurement:
    return Measurement(case, variant, repetition, {"small": one}, 0.5)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yml")), ids=lambda path: path.stem)
def test_every_experiment_can_be_read(path: Path, quick: bool) -> None:
    found = experiment(path, quick, variants(), release())
    assert found.repetitions >= 3
    assert len(found.variants) >= 4
    for aims in found.front.values():
        assert {aim.load for aim in aims} <= {name for loads in found.cases.values() for name in loads}
    assert (path.parents[3] / found.claim.partition("#")[0]).exists()


def test_all_experiments_take_less_than_an_hour_and_quick_less_than_five_minutes() -> None:
    for quick, minutes in ((False, 60), (True, 5)):
        all_of_them = [experiment(path, quick, variants(), release()) for path in EXPERIMENTS.glob("*.yml")]
        assert sum(len(order(each)) * length(each) for each in all_of_them) < 60 * minutes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"variants": ["uvicorn", "eventlet"]}, "eventlet"),
        ({"cases": {"idle": {"tiny": {"rate": 20}}}}, "tiny"),
        ({"cases": {"idle": {"small": {"rate": 20, "clients": 1}}}}, "Allowed"),
        ({"cases": {"idle": {"small": {"rate": 30}}}}, "divides 1000"),
        ({"cases": {"idle": {"small": {"rate": 20, "seconds": 0}}}}, "above 0"),
        ({"grid": {"workers": [1], "threads": [8]}}, "fresh: true"),
        ({"front": {"busy": [["small", "p99"]]}}, "cases of front"),
        ({"plots": [{"load": "small", "metric": "p98", "unit": "ms"}]}, "p98"),
        ({"plots": [{"load": "small", "metric": "peak", "unit": "MB"}]}, "fresh: true"),
    ],
)
def test_a_data_file_that_cannot_be_right_is_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    whole = {
        "question": "?", "claim": "docs/claims.md", "variants": ["uvicorn"], "repetitions": 3, "seconds": 1,
        "cases": {"idle": {"small": {"rate": 20}}}, "plots": [], **change,
    }  # fmt: skip
    path = tmp_path / "one.yml"
    path.write_text(json.dumps(whole))
    with pytest.raises(DataError, match=words):
        experiment(path, False, variants(), release())


def test_no_experiment_asks_what_a_release_has_not(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("paths: {small: {path: /mine/}, heavy: {path: /mine/large/}}\n")
    found = experiment(EXPERIMENTS / "head-of-line.yml", False, variants(), release(path))
    assert "40 read slowly" not in found.cases
    assert {name for loads in found.cases.values() for name in loads} == {"small", "heavy"}
    assert experiment(EXPERIMENTS / "graphql.yml", False, variants(), release(path)).cases == {}


def test_a_variant_is_either_alone_or_deployed(tmp_path: Path) -> None:
    path = tmp_path / "variants.yml"
    path.write_text("both: {title: both, direct: {}, inventory: {}}\n")
    with pytest.raises(DataError, match="both"):
        variants(path)


def test_slots_are_those_of_a_variant_behind_admission(tmp_path: Path) -> None:
    path = tmp_path / "variants.yml"
    path.write_text("alone: {title: alone, direct: {}}\nfew: {title: few, heavy_slots: {alone: 1}}\n")
    with pytest.raises(DataError, match="few changes alone"):
        variants(path)


def test_a_rate_makes_a_connection_for_each_request_at_its_time() -> None:
    words = generator.command("http://h", SMALL, {"A": "b"}, OPEN, 10, "log")
    assert {"--requests=200", "--clients=200", "--rate=1", "--rate-period=50ms", "--header=A: b"} <= set(words)
    assert words[-1] == "http://h/small"


def test_when_the_last_late_answer_was_over_is_told() -> None:
    late = log((0, 200, 0.1), (0.05, 200, 2.5), (0.1, 503, 0.2), (0.15, 200, 0.4))
    assert generator.tally([], late, said(3, failed=1), SMALL, OPEN, 1, 0).settled == pytest.approx(2.55)
    well = log((0, 200, 0.1), (0.05, 200, 0.5))
    assert generator.tally([], well, said(2), SMALL, OPEN, 1, 0).settled == 0
    refused = log((0, 200, 0.1), (0.05, 503, 0.01))
    assert generator.tally([], refused, said(1, failed=1), SMALL, OPEN, 1, 0).settled == pytest.approx(0.06)


def test_a_crowd_asks_once_together() -> None:
    words = generator.command("http://h", SMALL, {}, Load(0, 0, 160), 10, "log")
    assert {"--clients=160", "--requests=160"} <= set(words)
    assert not [word for word in words if word.startswith(("--duration", "--rate"))]


@pytest.mark.parametrize(
    "said", ["300\ncache 5\ntotal_rss 100\n", "300\nanon 100\nfile 5\n"], ids=["version 1", "version 2"]
)
def test_memory_is_read_of_either_version_of_control_groups(said: str) -> None:
    assert peak_and_held(said) == (300, 100)


def test_values_of_headers_are_not_kept() -> None:
    words = ["h2load", "--header=X-Api-Key: secret", "http://h/"]
    assert generator.tally(words, "", "", SMALL, OPEN, 1, 0).command == ["h2load", "--header=X-Api-Key: …", "http://h/"]


def test_clients_ask_again_until_the_time_is_over() -> None:
    assert {"--clients=4", "--duration=2500ms"} <= set(generator.command("http://h", SMALL, {}, CLOSED, 2.5, "log"))


def test_times_are_of_right_answers_and_every_other_one_is_counted() -> None:
    answers = log((0, 200, 0.1), (0, 200, 0.3), (0, 500, 9), (0, 503, 9), (0, 503, 9), (0, -1, 9))
    found = generator.tally([], answers, said(2, failed=4), SMALL, CLOSED, 10, 1)
    assert (found.p50, found.p99, found.worst) == (0.1, 0.3, 0.3)
    assert found.failed == {"status 500": 1, "status 503": 2, "no answer": 1}
    assert found.rate == 0.2
    assert found.client == 0.1


def test_refused_connections_which_the_log_does_not_hold_are_counted() -> None:
    assert generator.tally([], "", said(0, failed=5, errored=5), SMALL, CLOSED, 1, 0).failed == {"no answer": 5}


def test_a_generator_that_ended_early_is_a_failure() -> None:
    assert generator.tally([], log((0, 200, 1)), "", SMALL, CLOSED, 1, 0).failed == {"h2load said nothing": 1}


def test_answers_that_are_too_short_are_seen() -> None:
    answers = log((0, 200, 1), (0, 200, 1))
    assert generator.tally([], answers, said(2, data=9), Asked("/", 5), CLOSED, 1, 0).failed
    assert not generator.tally([], answers, said(2, data=10), Asked("/", 5), CLOSED, 1, 0).failed


def test_a_client_that_is_late_or_busy_says_nothing_about_the_server() -> None:
    late = generator.tally([], log((0, 200, 1), (0.05, 200, 1), (0.6, 200, 1)), said(3), SMALL, OPEN, 1, 0.1)
    assert late.late == pytest.approx(0.5)
    assert late.unfit == ["the client began a request 0.50 s late"]
    assert tally(client=0.9).unfit == ["the client used 90% of a processor"]
    assert tally(answered=0).unfit == [], "that is the server's"
    assert not tally().unfit


@pytest.mark.parametrize(("share", "value"), [(50, 2), (95, 4), (99, 4), (25, 1)])
def test_a_percentile_is_a_value_that_was_seen(share: int, value: float) -> None:
    assert generator.percentile([1, 2, 3, 4], share) == value


def test_variants_alternate_and_every_other_repetition_is_backwards() -> None:
    assert [(variant, repetition) for _, variant, repetition in order(ASKED)] == [
        ("before", 0), ("after", 0), ("after", 1), ("before", 1), ("before", 2), ("after", 2),
    ]  # fmt: skip


def test_a_result_is_used_again_only_where_its_data_files_are_the_same() -> None:
    same = key(ASKED, "idle", KNOWN["before"], RELEASE)
    assert key(replace(ASKED, repetitions=9), "idle", KNOWN["before"], RELEASE) == same
    assert key(replace(ASKED, seconds=9.0), "idle", KNOWN["before"], RELEASE) != same
    assert key(ASKED, "idle", KNOWN["after"], RELEASE) != same
    assert key(ASKED, "idle", KNOWN["before"], replace(RELEASE, headers={"A": "b"})) != same
    assert key(replace(ASKED, cases={"idle": {"small": CLOSED}}), "idle", KNOWN["before"], RELEASE) != same


def test_a_measurement_comes_back_from_its_file_as_it_was() -> None:
    one = replace(measured("before", 1, tally(failed={"status 500": 1})), peak=2.0, held=1.0)
    assert Measurement.from_dict(json.loads(json.dumps(one.to_dict()))) == one


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([0.5, 0.6, 0.9], True),
        ([2, 3, 1.1], True),
        ([0.5, 0.6, 1.1], False),
        ([0.5, 0.5], False),
        ([1.01, 1.02, 1.03], False),
    ],
)
def test_a_difference_is_one_that_every_repetition_shows_and_that_is_large_enough(
    ratios: list[float], expected: bool
) -> None:
    assert differs(ratios) is expected


def pairs(after: list[float]) -> list[Measurement]:
    befores = [measured("before", number, tally(p99)) for number, p99 in enumerate([1.0, 2.0, 4.0])]
    return befores + [measured("after", number, tally(p99)) for number, p99 in enumerate(after)]


def test_ratios_are_of_the_same_repetition_and_medians_have_their_spread() -> None:
    _, row = rows(ASKED, pairs([0.5, 1.0, 2.0]), ["p99"])
    assert row.ratios["p99"] == Spread(0.5, 0.5, 0.5)
    assert row.differs["p99"]
    assert row.values["p99"] == Spread(1000, 500, 2000)
    assert row.answered == 300


def test_a_row_whose_client_was_the_bottleneck_has_reasons_instead_of_figures() -> None:
    found = pairs([0.5, 1.0, 2.0])
    found[-1] = measured("after", 2, tally(client=0.95))
    before, after = rows(ASKED, found, ["p99"])
    assert before.values
    assert after.refused == ["the client used 95% of a processor"]
    assert not after.values


def test_an_unfit_baseline_is_no_part_of_a_ratio() -> None:
    found = pairs([0.5, 1.0, 2.0])
    found[0] = measured("before", 0, tally(client=0.95))
    _, after = rows(ASKED, found, ["p99"])
    assert not after.differs["p99"]


def goal(**changes: object) -> Goal:
    return replace(Goal("small", "p99", "after", "idle", "before", "idle", 0.6, None), **changes)  # type: ignore[arg-type]


def test_a_goal_is_met_missed_or_cannot_be_said() -> None:
    shown = rows(ASKED, pairs([0.5, 1.0, 2.0]), ["p99", "rate"])
    assert verdict(goal(), shown).reached is True
    assert verdict(goal(at_most=0.4), shown).reached is False
    assert verdict(goal(case="none"), shown).reached is None
    best = verdict(goal(metric="rate", against_variant="best", at_most=None, at_least=0.9), shown)
    assert best.reached is True
    assert verdict(goal(against_variant="best"), shown).against == "after"


def test_a_grid_makes_its_own_variants() -> None:
    found = variants_of(([1, 2], [8]))
    assert list(found) == ["gthread-1x8", "gthread-2x8"]
    assert (found["gthread-2x8"].direct or {})["GUNICORN_WORKERS"] == "2"
    assert variants_of(None) == {}


def test_on_the_front_is_what_nothing_beats_in_everything() -> None:
    def row(variant: str, p99: float, rate: float) -> Row:
        values = {"p99": Spread(p99, p99, p99), "rate": Spread(rate, rate, rate)}
        return Row("idle", variant, "small", values, {}, {}, {}, 1, [])

    shown = [row("quick", 1, 10), row("busy", 2, 20), row("worse", 3, 15), row("same as busy", 2, 20)]
    aims = [Aim("small", "p99"), Aim("small", "rate")]
    assert front(aims, "idle", shown) == ["quick", "busy", "same as busy"]
    assert front([Aim("small", "peak")], "idle", shown) == [], "no figure, nothing said"


def test_variants_are_in_order_where_every_repetition_says_so() -> None:
    def row(variant: str, least: float, most: float) -> Row:
        spread = Spread((least + most) / 2, least, most)
        return Row("idle", variant, "small", {"p99": spread, "rate": spread}, {}, {}, {}, 1, [])

    refused = Row("idle", "refused", "small", {}, {}, {}, {}, 1, ["the client"])
    shown = [
        row("slow", 30, 40),
        row("much", 5, 35),
        row("quick", 1, 2),
        refused,
        row("same", 2, 4),
        row("dead", nan, nan),
    ]
    assert ranking("idle", Aim("small", "p99"), shown) == [["quick", "same"], ["slow", "much"]]
    assert ranking("idle", Aim("small", "rate"), shown) == [["slow", "much"], ["quick", "same"]]
    assert ranking("busy", Aim("small", "p99"), shown) == []


def test_a_variant_that_answers_nothing_has_its_failures_and_its_memory() -> None:
    dead = replace(measured("after", 2, tally(answered=0, p99=nan, failed={"no answer": 100})), peak=2e9)
    found = [*pairs([0.5, 1.0]), dead]
    _, after = rows(ASKED, found, ["p99", "rate", "peak"])
    assert after.refused == []
    assert after.failed == {"no answer": 100}
    assert after.values["p99"].most == 1000
    assert after.values["rate"].least == 0
    assert after.values["peak"].most == 2000
    assert not after.differs["p99"], "two repetitions are too few"


def test_errors_that_the_page_does_not_show_are_refused() -> None:
    found = [measured("before", 0, tally(failed={"status 500": 3})), measured("after", 0, tally())]
    shown = rows(ASKED, found, ["p99"])
    refuse(shown, found, "… 3 × status 500 …")
    with pytest.raises(RefusedError, match="before in idle"):
        refuse(shown, found, "all is well")
    with pytest.raises(RefusedError, match="3 requests failed, and the report accounts for 0"):
        refuse([replace(row, failed={}) for row in shown], found, "all is well")


def test_figures_of_a_client_are_refused() -> None:
    shown = [Row("idle", "before", "small", {"p99": Spread(1, 1, 1)}, {}, {}, {}, 1, ["the client used 90%"])]
    with pytest.raises(RefusedError, match="client"):
        refuse(shown, [], "")


def test_the_page_shows_errors_verdicts_refusals_and_what_could_not_be_told_apart() -> None:
    found = pairs([0.5, 1.0, 5.0])
    found[0] = measured("before", 0, tally(1.0, failed={"status 500": 7}))
    shown = rows(ASKED, found, report.METRICS)
    part = report.Part(ASKED, shown, [verdict(goal(), shown)], found, ["one-0.png"])
    text = report.page([part], KNOWN, {"host": {"kernel": "6.1"}}, "today")
    for words in ("7 × status 500", "not told apart", "as after", "met (0.5)", "one-0.png", "6.1"):
        assert words in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uvicorn", "--worker-class uvicorn.workers.UvicornWorker plane.asgi:application"),
        ("gthread", "--worker-class gthread --threads 8 plane.wsgi:application"),
    ],
)
def test_gunicorn_alone_is_called_as_the_proposal_says(tmp_path: Path, name: str, expected: str) -> None:
    """Whatever the colour's environment says, from which it is started."""
    words = shlex.split(alone_command(variants()[name], "blue", 8101, {}))
    words = words[words.index("/usr/bin/env") :]
    words[-1] = str(executable(tmp_path / "entrypoint.sh", render()))
    executable(tmp_path / "bin" / "gunicorn", '#!/bin/bash\necho "$@"\n')
    executable(tmp_path / "bin" / "python", f'#!/bin/bash\nexec {sys.executable} "$@"\n')
    colour = {
        "PATH": f"{tmp_path}/bin:{SYSTEM_PATH}", "GUNICORN_WORKER_CLASS": "gthread", "GUNICORN_WORKERS": "5",
        "GUNICORN_THREADS": "10", "GUNICORN_WORKER_CONNECTIONS": "10", "GUNICORN_TIMEOUT": "120",
        "GUNICORN_CONFIG": "/none/gunicorn.conf.py", "GUNICORN_PRELOAD": "true", "GUNICORN_ISOLATE_REQUESTS": "true",
    }  # fmt: skip
    done = subprocess.run(words, env=colour, cwd=tmp_path, capture_output=True, text=True, check=False)
    always = "--workers 2 --bind 0.0.0.0:8101 --max-requests 0 --max-requests-jitter 1000 --access-logfile -"
    assert done.stdout.split() == f"{always} {expected}".split(), done.stderr


def test_a_variable_of_the_colour_may_stay_as_it_is() -> None:
    words = shlex.split(alone_command(variants()["gthread-recycled-warmed"], "blue", 8101, {}))
    assert "GUNICORN_MAX_REQUESTS=40" in words
    assert "GUNICORN_ISOLATE_REQUESTS=false" in words
    assert not [word for word in words if word.startswith(("GUNICORN_CONFIG", "GUNICORN_WARM_UP", "GUNICORN_PRELOAD"))]


class AdmissionOfAHost(Host):
    """What was asked of its HAProxy, which runs with one heavy route of two slots."""

    asked: ClassVar[list[str]] = []

    def live(self, service: str = "plane-api") -> str:
        return "blue"

    def statistics(self) -> dict[tuple[str, str], dict[str, str]]:
        self.asked.append("show stat")
        names = [
            (proxy, server)
            for proxy in ("plane-api", "plane-api.downloads")
            for server in ("blue", "canary", "BACKEND")
        ]
        # Twice is asked before what others left is answered.
        return {name: {"slim": "2", "scur": str(int(self.asked.count("show stat") < 3))} for name in names}

    def admission(self, asked: str, check: bool = True) -> str:
        self.asked.append(asked)
        return ""


@pytest.mark.parametrize(
    ("variant", "wanted"),
    [
        ("4-for-downloads", [f"set maxconn server plane-api.downloads/blue {slots}" for slots in (4, 2)]),
        (
            "gthread-pool",
            [
                f"set weight plane-api.downloads/{server_and_weight}"
                for server_and_weight in ("canary 100", "blue 0", "blue 100", "canary 0")
            ],
        ),
    ],
)
def test_heavy_routes_are_as_the_variant_says_while_it_is_measured(variant: str, wanted: list[str]) -> None:
    host = AdmissionOfAHost("one", "198.51.100.1")
    while_measured = told(variants()[variant], "blue", heavy_routes(host))
    host.asked.clear()
    with pytest.raises(KeyError), Instance(KNOWN["after"], host, "http://h", [], "", while_measured).prepared():
        raise KeyError("whatever ends it")
    assert host.asked == ["show stat", "show stat", "show stat", *wanted]


def test_a_gunicorn_for_downloads_has_a_socket_and_the_services_limits() -> None:
    words = shlex.split(alone_command(variants()["gthread-pool"], "blue", 0, {}))
    for part in (
        "--property=Slice=plane-api.slice", "GUNICORN_BIND=unix:/run/plane-api-bench-pool/gunicorn.sock",
        "GUNICORN_WORKERS=1",
    ):  # fmt: skip
        assert part in words


class BeginsAndGoesOn(BaseHTTPRequestHandler):
    """Answers with more than sockets buffer; at /never it does not begin, at /wrong with 500."""

    def do_GET(self) -> None:
        if self.path == "/never":
            return
        self.send_response(500 if self.path == "/wrong" else 200)
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(bytes(64 << 20))

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.mark.parametrize(
    ("path", "right", "failed"), [("/", 3, {}), ("/never", 0, {}), ("/wrong", 0, {"status 500": 3})]
)
def test_slow_readers_see_whether_an_answer_has_begun(path: str, right: int, failed: dict[str, int]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BeginsAndGoesOn) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        found = generator.run(base, {"A": "b"}, {"larger": (Asked(path, 0), Load(0, 0, slow=3))}, 0.5)["larger"]
        server.shutdown()
    assert (found.answered, found.failed) == (right, failed)


class Refuses(BaseHTTPRequestHandler):
    """Answers 400, and the connection is over, as HAProxy does to what is no request."""

    def do_GET(self) -> None:
        self.send_error(400)

    def log_message(self, *_: object) -> None:
        pass


def test_a_load_ends_that_is_refused_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "PATIENCE_SECONDS", 1)
    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = generator.run(f"http://127.0.0.1:{server.server_port}", {}, {"small": (SMALL, CLOSED)}, 0.5)["small"]
        server.shutdown()
    assert found.answered == 0
    assert found.failed["status 400"] > 0


def test_a_host_takes_the_place_of_the_one_in_the_address() -> None:
    words = generator.command("http://10.0.0.1", SMALL, {"Host": "shop.example"}, CLOSED, 1, "log")
    assert "--header=:authority: shop.example" in words


def test_another_server_is_started_by_the_releases_python() -> None:
    words = shlex.split(alone_command(variants()["granian-wsgi"], "blue", 8105, {"wsgi": "shop.wsgi:application"}))
    place = words.index("/etc/plane-api/blue/release/venv/bin/python")
    assert words[place - 1] == "PYTHONPATH=/srv/plane-bench-peers"
    assert words[place + 1 : place + 4] == ["-m", "granian", "shop.wsgi:application"]
    assert words[-2:] == ["--port", "8105"]
    assert "--property=MemoryMax=2G" in words


def test_gunicorn_alone_has_the_tiers_limits() -> None:
    words = alone_command(KNOWN["before"], "blue", 8101, {})
    for part in (
        "--property=CPUQuota=100%", "--property=MemoryMax=2G", "/etc/plane-api/blue/entrypoint.sh",
    ):  # fmt: skip
        assert part in words
