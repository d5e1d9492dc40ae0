"""What is refused before any host is touched: one line each, with variable, value, what is allowed and where."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from process_model.proxy import Behind
from process_model.settings import environments_spanned, explain, is_pattern, validate
from process_model.sizing import parse_size

ROOT = Path(__file__).resolve().parents[2]
ROLES = ROOT / "ansible" / "roles"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


SPECS = {
    role: load(ROLES / role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    for role in ("plane_api", "plane_graphql", "plane_release", "plane_proxy")
}
DEFAULTS = {name: value for role in SPECS for name, value in load(ROLES / role / "defaults/main.yml").items()}


def settings(**changes: Any) -> dict[str, Any]:
    good = {
        **DEFAULTS,
        "plane_environment": "community",
        "plane_release_source": str(ROOT),
        "plane_release_database_url": "postgres://plane@192.0.2.1/plane",
        "plane_release_secret_key": "a secret of our own",
    }
    for service in ("plane_api", "plane_graphql"):
        good.update({
            f"{service}_workers": 2, f"{service}_threads": 8, f"{service}_memory_limit": "2GiB",
            f"{service}_memory_request": "512MiB", f"{service}_cpu_limit": 1, f"{service}_listen_address": "192.0.2.11",
        })  # fmt: skip
    good["plane_api_worker_class"] = "gthread"
    return {**good, **changes}


def problems(*services: str, **changes: Any) -> list[str]:
    return [str(problem) for problem in validate(settings(**changes), SPECS, services or ("plane_api",), None)]


@pytest.mark.parametrize(("slots", "files"), [(320, None), (400, "1,264")])
def test_more_slots_than_a_worker_has_file_descriptors_for_are_refused(slots: int, files: str | None) -> None:
    """Under uvicorn each request has a connection of its own to the database and to the cache."""
    found = problems(plane_api_worker_class="", plane_api_slots=slots)
    assert (f"{files}. Change it in" in " ".join(found)) if files else found == []


def test_good_settings_are_let_through() -> None:
    assert problems("plane_api", "plane_graphql") == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("plane_api_worker_class", "gthred", "'gthread', 'uvicorn', ''"),
        ("plane_api_worker_class", "gevent", "the proposal's sizing and limits do not hold for it"),
        ("plane_api_worker_class", "eventlet", "do not hold"),
        ("plane_api_worker_class", "sync", "one request per worker"),
        ("plane_api_threads", 0, "a whole number from 1 to 512"),
        ("plane_api_threads", -1, "a whole number from 1 to 512"),
        ("plane_api_threads", True, "a whole number from 1 to 512"),
        ("plane_api_threads", 8.5, "a whole number from 1 to 512"),
        ("plane_api_workers", "two", "a whole number from 1 to 128"),
        ("plane_api_workers", "08", "a whole number from 1 to 128"),
        ("plane_api_workers", 100000, "a whole number from 1 to 128"),
        ("plane_api_max_requests", -5, "a whole number from 0"),
        ("plane_api_worker_connections", 4, "at least the 8 threads"),
        ("plane_api_port", 80, "a whole number from 1024 to 65535"),
        ("plane_api_port", 70000, "a whole number from 1024 to 65535"),
        ("plane_api_memory_limit", "200MiB", "at least 2 workers × 140 MiB = 280MiB"),
        ("plane_api_memory_limit", "2GB", "KiB, MiB, GiB or TiB"),
        ("plane_api_memory_limit", 2, "KiB, MiB, GiB or TiB"),
        ("plane_api_memory_request", "512", "KiB, MiB, GiB or TiB"),
        ("plane_api_cpu_limit", 0, "a number above 0"),
        ("plane_api_cpu_limit", "much", "a number"),
        ("plane_api_slots", 17, "at most 2 workers × 8 threads = 16"),
        ("plane_api_listen_address", str(IPv4Address(0)), "plane_api_listen_wide: true"),
        ("plane_api_listen_address", "::", "plane_api_listen_wide: true"),
        ("plane_api_listen_address", "", "a value"),
        ("plane_api_health_path", "health", "begins with /"),
        ("plane_api_accepted_risks", ["memory"], "'memory-peak', 'memory-change'"),
        ("plane_api_memory_margin", 1.5, "a share from 0 to 1"),
        ("plane_api_measurements", "nowhere.json", "a file that can be read (No such file or directory)"),
        ("plane_api_measurements", "ansible.cfg", "a file as make calibrate writes it"),
        ("plane_api_warm_up", ["/api/users/me/", "plane views"], "without blanks"),
        ("plane_api_preload", "sometimes", "'auto', 'true', 'false'"),
        ("plane_api_change", "swap", "'start-first', 'stop-first'"),
        ("plane_api_tier", "huge", "'low', 'medium', 'high'"),
        ("plane_environment", "stagging", "'staging', 'cloud', 'commercial', 'community'"),
        ("plane_release_source", "/nowhere/at/all", "exists on the controller"),
        ("plane_release_version", "a/b", "it names a folder"),
        ("plane_release_migrate", "perhaps", "true or false"),
        ("plane_api_prestart", "wait_for_db", "a list"),
        ("plane_api_variables", ["A"], "a mapping"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused(variable: str, value: Any, said: str) -> None:
    (line,) = problems(**{variable: value})
    assert line.startswith(f"{variable} is ")
    assert repr(value) in line or value == ""
    assert said in line
    assert "Change it in inventories/" in line


@pytest.mark.parametrize("name", ["plane_release_database_url", "plane_release_secret_key", "plane_api_listen_address"])
@pytest.mark.parametrize("value", [None, ""])
def test_what_is_required_and_missing_is_refused(name: str, value: Any) -> None:
    assert any(line.startswith(f"{name} is ") and "it has no default" in line for line in problems(**{name: value}))


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"name": "a", "path": "^/a", "slots": 0}, "slots of route a a whole number from 1"),
        ({"name": "a", "path": "^/a", "slots": 16}, "leave some of the service's 16"),
        ({"name": "a", "path": "^/a", "slots": 40}, "leave some of the service's 16"),
        ({"name": "a", "path": "^/(", "slots": 2}, "a regular expression"),
        ({"name": "a", "path": "/a", "slots": 2}, "begins with ^/"),
        ({"name": "a", "path": "^/a b", "slots": 2}, "holds no blank"),
        ({"name": "A b", "path": "^/a", "slots": 2}, "small letters"),
        ({"name": "a", "path": "^/a", "slots": 2, "queue_timeout": 0}, "queue_timeout of route a"),
        ({"name": "a", "path": "^/a", "slot": 2}, "name, path and slots"),
        ({"name": "a", "path": "^/a", "slots": 2, "depth": 2}, "queue, queue_timeout, payload"),
        ({"name": "a", "path": "^/a", "slots": 2, "payload": "5MB"}, "payload of route a"),
        ("^/a", "name, path and slots"),
    ],
)
def test_a_heavy_route_that_cannot_be_right_is_refused(route: Any, said: str) -> None:
    lines = problems(plane_api_heavy_routes=[route])
    assert any(said in line for line in lines), lines


def test_two_services_on_one_host_need_ports_of_their_own() -> None:
    (line,) = problems("plane_api", "plane_graphql", plane_graphql_port=8000)
    assert "plane_graphql_port is 8000" in line
    assert "plane_api_port is 8000 on the same host" in line


@pytest.mark.parametrize(
    "key", ["60gp0byfz2dvffa45cxl20p1scy9xbpf6d8c5y0geejgkyp1b5", "django-insecure-abc", "lab-only-x", "REPLACE"]
)
@pytest.mark.parametrize("name", ["plane_release_secret_key", "plane_release_live_server_secret_key"])
def test_a_published_key_is_refused_outside_staging_and_never_shown(name: str, key: str) -> None:
    (line,) = problems(**{name: key})
    assert line.startswith(f"{name} is (hidden)")
    assert key not in line
    assert problems(**{name: key, "plane_environment": "staging"}) == []


@pytest.mark.parametrize("name", ["plane_api_variables", "plane_release_variables"])
def test_a_variable_cannot_change_the_process_model_behind_the_inventorys_back(name: str) -> None:
    (line,) = problems(**{name: {"GUNICORN_THREADS": "1"}})
    assert "whose setting is plane_api_threads" in line
    (line,) = problems(**{name: {"GUNICORN_CMD_ARGS": "--threads 1"}})
    assert "unseen" in line
    (line,) = problems(**{name: {"GUNICORN_WARM_UP": "plane.warm"}})
    assert "whose setting is plane_api_warm_up" in line


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("plane_api_thread", "plane_api_threads"),
        ("plane_graphql_worker_clas", "plane_graphql_worker_class"),
        ("plane_release_sorce", "plane_release_source"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(name: str, closest: str) -> None:
    (line,) = problems(**{name: 4})
    assert f"{name} is 4. Allowed: a known variable; the nearest is {closest}" in line


def test_a_git_source_needs_a_version() -> None:
    assert any("plane_release_version" in line for line in problems(plane_release_source="git@git.example.com:x/y.git"))
    assert problems(plane_release_source="git@git.example.com:x/y.git", plane_release_version="v1") == []


def test_uvicorn_may_have_more_slots_than_threads_since_it_has_no_bound() -> None:
    assert problems(plane_api_worker_class="", plane_api_slots=64) == []


def test_the_file_and_line_to_change_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "community" / "group_vars" / "community"
    folder.mkdir(parents=True)
    (folder / "api.yml").write_text("---\nplane_api_workers: 2\nplane_api_threads: 0\n")
    (found,) = validate(settings(plane_api_threads=0), SPECS, ["plane_api"], tmp_path / "community")
    assert found.where == "inventories/community/group_vars/community/api.yml:3"


def test_each_value_says_where_it_comes_from_and_no_secret_is_shown(tmp_path: Path) -> None:
    inventory = tmp_path / "community"
    (inventory / "group_vars/community").mkdir(parents=True)
    (inventory / "group_vars/community/api.yml").write_text("---\nplane_api_worker_class: gthread\n")
    key = settings()["plane_release_secret_key"]
    given = {"plane_api_worker_class", "plane_api_queue", "plane_release_secret_key"}
    found = {
        name: (source, value)
        for name, source, value in explain(
            settings(plane_api_queue=5), given, DEFAULTS, SPECS, ("plane_api", "plane_release"), inventory
        )
    }
    assert found["plane_api_worker_class"] == ("inventories/community/group_vars/community/api.yml:2", "gthread")
    assert found["plane_api_threads"] == ("tier low (ansible/vars/tiers.yml)", "8")
    assert found["plane_api_timeout"] == ("default (ansible/roles/plane_api/defaults/main.yml)", "30")
    assert found["plane_api_queue"][0].startswith("the command line (-e)")
    assert found["plane_api_slots"][1] == "null"
    assert key not in str(found)
    assert not any(name.startswith("plane_graphql") for name in found)


def test_sizes_are_whole_numbers_of_binary_units() -> None:
    assert parse_size("2GiB") == 2 * 1024**3
    assert parse_size("512MiB") == 512 * 1024**2


@given(st.text())
def test_no_text_is_a_size_or_a_pattern_by_accident(text: str) -> None:
    try:
        assert parse_size(text) > 0
    except ValueError as error:
        assert "is no size" in str(error)  # noqa: PT017 - the point is that it is this error and no other
    assert isinstance(is_pattern(text), bool)


def test_environments_are_counted_once() -> None:
    assert environments_spanned({"a": "staging", "b": "staging", "c": "cloud"}) == ["cloud", "staging"]


BEHIND = [
    Behind("plane-api", "api1", "192.0.2.11", 8000, 140, "systemd"),
    Behind("plane-graphql", "graphql1", "192.0.2.21", 8001, 130, "systemd"),
]


def proxy_problems(behind: list[Behind] = BEHIND, **changes: Any) -> list[str]:
    good = settings(plane_proxy_listen_address="192.0.2.41", inventory_hostname="edge1")
    return [str(problem) for problem in validate({**good, **changes}, SPECS, (), None, behind=behind)]


def test_good_settings_of_a_proxy_are_let_through() -> None:
    assert proxy_problems() == []
    tls: dict[str, Any] = {"plane_proxy_certificate": "/etc/ssl/a.pem", "plane_proxy_certificate_key": "/etc/ssl/a.key"}
    assert proxy_problems(plane_proxy_listen_address="*", plane_proxy_trusted_proxies=["2001:db8::/32"], **tls) == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("plane_proxy_listen_address", "", "a value"),
        ("plane_proxy_listen_address", "edge1", "an address of the host, '*' for all of IPv4 or '::'"),
        ("plane_proxy_http_port", 0, "a whole number from 1 to 65535"),
        ("plane_proxy_https_port", 80, "a port of its own: plane_proxy_http_port is 80"),
        ("plane_proxy_response_timeout", 140, "a whole number from 141 (admission's longest queue"),
        ("plane_proxy_response_timeout", 300, "a whole number from 1 to 299"),
        ("plane_proxy_body_limit", "5MB", "null, or a whole number and KiB"),
        ("plane_proxy_trusted_proxies", ["edge.example"], "addresses and networks"),
        ("plane_proxy_graphql_paths", ["graphql"], "paths that begin and end with /"),
        ("plane_proxy_graphql_paths", ["/api/"], "paths that begin and end with /, and none of"),
        ("plane_proxy_graphql_paths", [], "one path at least"),
        ("plane_proxy_certificate", "certs/a.pem", "the whole path of a file"),
        ("plane_proxy_gzip", "perhaps", "true or false"),
        ("plane_proxy_gzipp", True, "the nearest is plane_proxy_gzip"),
    ],
)
def test_a_value_that_cannot_be_right_for_a_proxy_is_refused(variable: str, value: Any, said: str) -> None:
    line = proxy_problems(**{variable: value})[0]
    assert line.startswith(f"{variable} is ")
    assert said in line
    assert "Change it in inventories/" in line


def test_a_certificate_needs_its_key() -> None:
    (line,) = proxy_problems(plane_proxy_certificate="/etc/ssl/a.pem")
    assert line.startswith("plane_proxy_certificate_key is missing. Allowed: a file of the host, since plane_proxy_")


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        ([], "plane_api is []. Allowed: a group with a host of this environment"),
        ([replace(BEHIND[0], runtime="compose")], "Allowed: 'systemd' or 'swarm' on api1, which is behind plane_proxy"),
        ([replace(BEHIND[0], address="127.0.0.1")], "an address of api1 that the proxy on edge1 reaches"),
    ],
)
def test_what_a_proxy_cannot_stand_in_front_of_is_refused(behind: list[Behind], said: str) -> None:
    (line,) = proxy_problems(behind)
    assert said in line


def test_a_proxy_on_the_host_itself_reaches_its_own_address() -> None:
    assert proxy_problems([replace(BEHIND[0], host="edge1", address="127.0.0.1")]) == []


COMPOSE: dict[str, Any] = {
    "plane_release_runtime": "compose",
    "plane_release_installation": "/opt/plane",
    "plane_release_admission_image": "haproxy:3.0",
    "plane_release_graphql_paths": ["/graphql/", "/marketplace/"],
}


def test_both_services_in_one_installation_are_let_through() -> None:
    assert problems("plane_api", "plane_graphql", **COMPOSE) == []
    assert problems("plane_api", **{**COMPOSE, "plane_release_graphql_paths": []}) == []


@pytest.mark.parametrize(
    ("services", "variable", "value", "said"),
    [
        (("plane_api", "plane_graphql"), "plane_release_graphql_paths", [], "one path at least, since this host is in"),
        (("plane_api",), "plane_release_graphql_paths", ["/api/"], "paths that begin and end with /, and none of"),
        (("plane_api",), "plane_release_graphql_paths", ["/graphql"], "paths that begin and end with /, and none of"),
        (
            ("plane_api", "plane_graphql"),
            "plane_graphql_heavy_routes",
            [{"name": "export", "path": "^/graphql/", "slots": 1}],
            "in an installation GraphQL is told apart by its paths alone",
        ),
    ],
)
def test_what_cannot_take_graphql_apart_in_an_installation_is_refused(
    services: tuple[str, ...], variable: str, value: Any, said: str
) -> None:
    (line,) = problems(*services, **{**COMPOSE, variable: value})
    assert line.startswith(f"{variable} is ")
    assert said in line


def test_graphql_alone_is_no_installation() -> None:
    (line,) = problems("plane_graphql", **COMPOSE)
    assert line.startswith("plane_api is []. Allowed: a group with this host")


SWARM: dict[str, Any] = {
    **COMPOSE,
    "plane_release_runtime": "swarm",
    "plane_release_graphql_paths": [],
    "plane_release_migrate": False,
}


def test_a_stack_is_let_through() -> None:
    assert problems("plane_api", **SWARM) == []


@pytest.mark.parametrize(
    ("services", "variable", "value", "said"),
    [
        (("plane_api", "plane_graphql"), "plane_graphql", ["plane1"], "a group without this host"),
        (("plane_api",), "plane_release_graphql_paths", ["/graphql/"], "[], with plane_release_runtime: swarm"),
        (("plane_api",), "plane_release_migrate", True, "false: the stack's own migrator does it"),
        (("plane_api",), "plane_api_change", "stop-first", "start-first, with plane_release_runtime: swarm"),
    ],
)
def test_what_a_stack_does_not_have_is_refused(services: tuple[str, ...], variable: str, value: Any, said: str) -> None:
    given = {} if variable == "plane_graphql" else {variable: value}
    (line,) = problems(*services, **{**SWARM, "inventory_hostname": "plane1", **given})
    assert line.startswith(f"{variable} is {value!r}. Allowed: {said}")
