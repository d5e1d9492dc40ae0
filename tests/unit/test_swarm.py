"""What Swarm is told and what it answers; the real one is in tests/swarm."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from process_model import containers, observe, swarm
from process_model.compare import Fact

SPECIFICATION: dict[str, Any] = {
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "backend:v1",
            "Env": ["A=B"],
            "Mounts": [{"Source": "logs", "Target": "/logs"}, {"Source": "/etc", "Target": "/etc"}],
        },
        "ForceUpdate": 0,
    },
    "EndpointSpec": {"Mode": "dnsrr"},
    "Mode": {"Replicated": {"Replicas": 3}},
}


def changed(**template: Any) -> dict[str, Any]:
    told = copy.deepcopy(SPECIFICATION)
    told["TaskTemplate"].update(template)
    return told


def test_only_what_tasks_are_made_of_is_in_the_digest() -> None:
    digest = swarm.specification_digest(SPECIFICATION)
    assert swarm.specification_digest(changed(ForceUpdate=7)) == digest, "renewed by hand"
    container = SPECIFICATION["TaskTemplate"]["ContainerSpec"]
    shuffled = {**container, "Mounts": container["Mounts"][::-1], "DNSConfig": {}}
    assert swarm.specification_digest(changed(ContainerSpec=shuffled)) == digest, "as docker service update leaves it"
    assert swarm.specification_digest({**SPECIFICATION, "Mode": {"Replicated": {"Replicas": 0}}}) == digest
    assert swarm.specification_digest(changed(ContainerSpec={**container, "Env": []})) != digest
    assert swarm.specification_digest({**SPECIFICATION, "EndpointSpec": {"Mode": "vip"}}) != digest


def test_a_service_of_compose_becomes_one_that_a_stack_takes() -> None:
    config = {
        "name": "plane",
        "services": {
            "api": {"image": "backend:v1"},
            "plane-api-blue": {
                "image": "backend:v1",
                "entrypoint": None,
                "container_name": "one",
                "depends_on": {},
                "restart": "no",
                "ports": [{"target": 8000, "published": "8000", "mode": "host"}],
                "deploy": {"resources": {"limits": {"cpus": 1.5, "memory": 1024}, "reservations": {"memory": 512}}},
                "volumes": [
                    {"type": "volume", "source": "logs", "target": "/logs"},
                    {"type": "bind", "source": "/etc"},
                ],
            },
        },
        "volumes": {"logs": {"name": "plane_logs"}, "pgdata": {"name": "plane_pgdata"}},
    }
    told = swarm.stack_file(config, ["plane-api-blue"], "plane_default")
    assert set(told) == {"services", "networks", "volumes"}
    assert set(told["services"]) == {"plane-api-blue"}, "nothing else of the stack is touched"
    service = told["services"]["plane-api-blue"]
    assert set(service) == {"image", "ports", "deploy", "volumes"}
    assert service["ports"][0]["published"] == 8000
    limits = {"limits": {"cpus": "1.5", "memory": "1024"}, "reservations": {"memory": "512"}}
    assert service["deploy"]["resources"] == limits
    assert told["volumes"] == {"logs": {"name": "plane_logs"}}
    assert told["networks"]["default"] == {"name": "plane_default", "external": True}


def test_tasks_are_read_from_what_swarm_lists() -> None:
    line = {"Name": "plane_plane-api-blue.2", "Node": "plane3", "DesiredState": "Running", "Error": ""}
    text = "\n".join(json.dumps({**line, "CurrentState": state}) for state in ("Running 2 minutes ago", "Starting 1 s"))
    assert [task.state for task in swarm.parse_tasks(text)] == ["Running", "Starting"]
    assert swarm.parse_tasks(text)[0].node == "plane3"
    assert swarm.parse_tasks("") == []


def test_a_task_has_the_number_that_its_label_says() -> None:
    assert swarm.number_of({swarm.TASK_LABEL: "plane_plane-api-blue.12.8ovvkbczor4hnrwm3w2e9xhu3"}) == 12
    assert swarm.number_of({swarm.TASK_LABEL: "plane_plane-admission.xl0t1fwi0c31.8ovvkbczor4h"}) == 0
    assert swarm.number_of({}) == 0


def test_a_host_without_a_stack_has_none() -> None:
    assert swarm.Stack.of({"stack": None}) is None
    found = swarm.Stack.of({"stack": {"name": "plane", "address": "10.0.0.1", "replicas": 3, "nodes": 3}})
    assert found
    assert found.full_name("plane-api-blue") == "plane_plane-api-blue"


def test_a_task_that_holds_no_gunicorn_is_a_mismatch_of_its_process() -> None:
    container = containers.Container("plane_plane-api-blue.1.x", "0123", 0, "sha256:1", {}, [])
    nothing = observe.Observation(found=False, reason="it holds no gunicorn master yet")
    (found,) = swarm._compare_task({}, swarm.Task(1, container), nothing, "backend:v1")
    assert (found.what, found.observed) == ("process", None)
    assert "no gunicorn master yet" in found.message


@pytest.mark.parametrize(
    ("proof", "proved"), [({"master": 7, "start_ticks": 1}, True), ({"master": 8}, False), ({}, False)]
)
def test_a_proof_is_that_of_one_process(proof: dict[str, Any], proved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swarm, "identity", lambda observation: {"master": 7, "start_ticks": 1})
    container = containers.Container("one", "0123", 7, "sha256:1", {}, [])
    proofs = {"1": {**proof, "saturation": "saturation 8+8"}}
    seen = observe.Observation(found=True, master=7, facts={"workers": Fact(2, "/proc")})
    found = swarm._proved_before(proofs, swarm.Task(1, container), seen)
    assert (found == "saturation 8+8") == proved
