"""A host of the lab, said to be an instance of AWS's, gets the verified model through the inventory of its tags."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from aws import Account, ansible, moto_server
from support import ROOT, Host

import lab

INVENTORY = ROOT / "tests/terraform/inventory"
HOSTS = {
    name: each["ansible_host"]
    for name, each in yaml.safe_load((INVENTORY / "hosts.yml").read_text())["staging"]["hosts"].items()
}
# What modules/api_fleet gives an instance that runs both services behind a load balancer.
TAGS = {
    "project": "plane",
    "environment": "staging",
    "Name": "plane-staging-api-graphql",
    "plane_services": "plane_api plane_graphql",
    "trusted_proxies": "10.203.70.128/28",
    "agent_namespace": "Plane",
}
SECRETS = {
    "database_url": f"postgres://plane:plane-lab@{HOSTS['aws-data1']}:5432/plane",
    "redis_url": f"redis://{HOSTS['aws-data1']}:6379/0",
    "amqp_url": f"amqp://plane:of-this-test@{HOSTS['aws-data1']}:5672/plane",
    "secret_key": "a-secret-key-that-only-this-test-has",
    "live_server_secret_key": "another-secret-key-that-only-this-test-has",
}
# Session Manager, for the one thing that Ansible asks of it: a way to port 22 of an instance.
SESSION_MANAGER = """#!/usr/bin/env bash
set -euo pipefail
[ "$*" = "ssm start-session --target %s --document-name AWS-StartSSHSession --parameters portNumber=22" ]
exec 3<>/dev/tcp/%s/22
cat <&3 &
cat >&3
"""
# Of the AWS command line, on the host: keeps what it was to publish.
COMMAND_LINE = """#!/bin/sh
echo "$*" >/run/aws-asked
cat >/run/aws-published
"""


@pytest.fixture
def account() -> Iterator[Account]:
    server = moto_server()
    yield Account(server.url)
    server.stop()


@pytest.fixture
def instance(account: Account) -> Iterator[str]:
    """The identity of the instance that AWS says it started."""
    lab.up(INVENTORY)
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.203.70.0/24")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.203.70.0/24")["Subnet"]["SubnetId"]
    (started,) = ec2.run_instances(
        ImageId=account.site["image_id"], MinCount=1, MaxCount=1, SubnetId=subnet, PrivateIpAddress=HOSTS["aws-plane1"],
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in TAGS.items()]}
        ],
    )["Instances"]  # fmt: skip
    for name, value in SECRETS.items():
        account.client("secretsmanager").create_secret(Name=f"plane/staging/{name}", SecretString=value)
    yield started["InstanceId"]
    lab.down(INVENTORY)


def test_site_yml_gives_the_instance_the_verified_model(account: Account, instance: str, tmp_path: Path) -> None:
    session_manager = tmp_path / "aws"
    session_manager.write_text(SESSION_MANAGER % (instance, HOSTS["aws-plane1"]))
    session_manager.chmod(0o755)
    report = tmp_path / "verify.json"
    differs = {
        "verification_report_path": str(report),
        # Staging's release is the lab's, whose wheels are on the lab's hosts.
        "plane_release_pip_arguments": ["--no-index", "--find-links=/opt/wheelhouse"],
        "ansible_ssh_extra_args": f"-o UserKnownHostsFile={ROOT}/.lab/known_hosts",
    }

    def play(book: str) -> str:
        return ansible(
            account, "ansible-playbook", book, "-l", "staging", "-e", json.dumps(differs),
            PATH=f"{tmp_path}:{os.environ['PATH']}",
            PLANE_AWS_USER="root", PLANE_AWS_KEY=str(ROOT / ".lab/id_ed25519"),
        )  # fmt: skip

    printed = play("site.yml")
    for secret in SECRETS.values():
        assert secret not in printed
    found = json.loads(report.read_text())
    assert found["environment"] == "staging"
    assert list(found["hosts"]) == [f"plane-staging-api-graphql-{instance}"]
    (services,) = found["hosts"].values()
    assert all(each["match"] for each in services.values())
    models = {
        name: (each["observed"]["worker_class"], each["observed"]["workers"], each["observed"]["threads"])
        for name, each in services.items()
    }
    assert models == {"plane-api": ("gthread", 2, 8), "plane-graphql": ("uvicorn", 2, None)}
    assert "changed=0 " in play("site.yml"), "a second run finds nothing to do"

    host = Host("aws-plane1", HOSTS["aws-plane1"])
    host.run("cat >/usr/local/bin/aws && chmod 755 /usr/local/bin/aws", stdin=COMMAND_LINE)
    play("ansible/playbooks/cloudwatch.yml")
    assert host.succeeds("systemctl is-active plane-signals.timer")
    assert "changed=0 " in play("ansible/playbooks/cloudwatch.yml")
    host.run(f"curl -sf http://{host.address}:8000/ && systemctl start plane-signals.service")
    assert host.run("cat /run/aws-asked").split()[:4] == ["cloudwatch", "put-metric-data", "--namespace", "Plane"]
    cloudwatch = account.client("cloudwatch")
    cloudwatch.put_metric_data(Namespace="Plane", MetricData=json.loads(host.run("cat /run/aws-published")))
    published = {
        (metric["MetricName"], *(each["Value"] for each in metric["Dimensions"]))
        for metric in cloudwatch.list_metrics(Namespace="Plane")["Metrics"]
    }
    assert published >= {
        ("MemoryUsedPercent", "staging", "plane_api"),
        ("MemoryUsedPercent", "staging", "plane_graphql"),
        ("QueueTimeSeconds", "staging", "plane_api"),
    }
