"""Each environment, applied for real to a stand-in for AWS and read back as an auditor would."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from aws import ADOPTED, SIZES, Fleet, ansible, succeeded
from mutations import MUTATIONS
from support import ROOT


def test_a_second_plan_is_empty(applied: Fleet) -> None:
    assert applied.second_plan == []


def test_an_auditor_finds_nothing(applied: Fleet) -> None:
    assert applied.templates()
    assert applied.instances()
    assert len(applied.groups()) == (2 if applied.name in {"staging", "cloud"} else 1)
    assert len(applied.listeners()) == (0 if applied.name in ADOPTED else 1)
    assert list(applied.findings()) == []


def test_hosts_are_large_enough_for_their_tiers(applied: Fleet) -> None:
    """The limit of every service of a host, and 1 GiB for everything else."""
    ec2 = applied.account.client("ec2")
    sizes = {"low": (1, 2048), "medium": (2, 4096)}
    for group in applied.groups():
        services = group["AutoScalingGroupName"].count("-api") + group["AutoScalingGroupName"].count("-graphql")
        cpu, memory = sizes["medium" if applied.name == "cloud" else "low"]
        policy = group["MixedInstancesPolicy"]["LaunchTemplate"]
        types = [each["InstanceType"] for each in policy["Overrides"]]
        assert len(types) > 1
        for found in ec2.describe_instance_types(InstanceTypes=types)["InstanceTypes"]:
            assert found["VCpuInfo"]["DefaultVCpus"] >= cpu * services
            assert found["MemoryInfo"]["SizeInMiB"] >= memory * services + 1024


def test_time_limits_stand_in_order(applied: Fleet) -> None:
    elb = applied.account.client("elbv2")
    for balancer in applied.balancers():
        attributes = {
            each["Key"]: each["Value"]
            for each in elb.describe_load_balancer_attributes(LoadBalancerArn=balancer["LoadBalancerArn"])["Attributes"]
        }
        assert 20 + 30 < int(attributes["idle_timeout.timeout_seconds"]) < 60, (
            "admission's queue and gunicorn; keep-alive"
        )
        assert attributes["access_logs.s3.enabled"] == "true"
        assert attributes["deletion_protection.enabled"] == ("false" if applied.name == "staging" else "true")


def test_the_database_lets_in_the_fleets_and_nobody_else(applied: Fleet) -> None:
    (database,) = applied.account.client("ec2").describe_security_groups(
        GroupIds=[applied.account.site["data_stores"]["database"]["security_group_id"]]
    )["SecurityGroups"]
    fleets = {group["GroupId"] for group in applied.security_groups() if "load-balancer" not in group["GroupName"]}
    allowed = {pair["GroupId"] for rule in database["IpPermissions"] for pair in rule["UserIdGroupPairs"]}
    assert fleets <= allowed
    assert {rule["FromPort"] for rule in database["IpPermissions"]} == {5432}
    assert not any(rule["IpRanges"] for rule in database["IpPermissions"])


def test_alarms_watch_every_service_and_tell_somebody(applied: Fleet) -> None:
    alarms = applied.account.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"plane-{applied.name}-")[
        "MetricAlarms"
    ]
    names = {alarm["AlarmName"].removeprefix(f"plane-{applied.name}-") for alarm in alarms}
    kinds = ["cpu", "memory", "queue", *([] if applied.name in ADOPTED else ["latency", "errors", "hosts"])]
    services = ["plane_api"] if applied.name == "community" else ["plane_api", "plane_graphql"]
    assert names == {f"{service}-{kind}" for service in services for kind in kinds}
    assert all(applied.account.site["alarm_topic_arn"] in alarm["AlarmActions"] for alarm in alarms)


def test_only_fleets_that_may_grow_have_a_policy(applied: Fleet) -> None:
    policies = applied.account.client("autoscaling").describe_policies()["ScalingPolicies"]
    names = {policy["PolicyName"] for policy in policies if policy["PolicyName"].startswith(f"plane-{applied.name}-")}
    grows = ["plane_api", "plane_graphql"] if applied.name == "cloud" else []
    expected = {f"plane-cloud-{service}-{signal}" for service in grows for signal in ("requests", "memory")}
    assert names == expected


def test_secrets_have_names_and_no_value(applied: Fleet) -> None:
    client = applied.account.client("secretsmanager")
    found = [each for each in client.list_secrets()["SecretList"] if each["Name"].startswith(f"plane/{applied.name}/")]
    assert {each["Name"].rpartition("/")[2] for each in found} == {
        "database_url", "redis_url", "amqp_url", "secret_key", "live_server_secret_key",
    }  # fmt: skip
    for each in found:
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_secret_value(SecretId=each["Name"])


@pytest.mark.parametrize("applied", ["staging"], indirect=True)
def test_another_tier_changes_what_hangs_on_it_and_nothing_else(applied: Fleet) -> None:
    name = "inventories/staging/group_vars/staging/api.yml"
    applied.tree.replace(name, "plane_api_tier: low", "plane_api_tier: medium")
    applied.tree.replace("terraform/environments/staging/main.tf", '["t3.medium", "t3a.medium"]', '["m6i.large"]')
    try:
        changed = applied.plan()
    finally:
        applied.tree.replace(name, "plane_api_tier: medium", "plane_api_tier: low")
        applied.tree.replace("terraform/environments/staging/main.tf", '["m6i.large"]', '["t3.medium", "t3a.medium"]')
    assert all(action in {"update", "create"} for _, action in changed), changed
    assert {address.removeprefix("module.environment.") for address, _ in changed} == {
        'module.fleet["api"].aws_launch_template.this',
        'module.fleet["api"].aws_autoscaling_group.this',
        'module.fleet["graphql"].aws_launch_template.this',
        'module.fleet["graphql"].aws_autoscaling_group.this',
        'module.alarms["plane_api"].aws_autoscaling_policy.requests["this"]',
        'module.alarms["plane_api"].aws_autoscaling_policy.memory["this"]',
        'module.alarms["plane_api"].aws_cloudwatch_metric_alarm.memory["this"]',
    }


def test_the_inventory_has_every_instance_in_the_groups_of_its_environment(applied: Fleet) -> None:
    listed = json.loads(ansible(applied.account, "ansible-inventory", "--list"))
    variables = listed["_meta"]["hostvars"]
    hosts = set(listed[applied.name]["hosts"])
    instances = {instance["PrivateIpAddress"]: instance for instance in applied.instances()}
    # What comes from AWS is marked: Ansible evaluates no template in it.
    addresses = {host: variables[host]["ansible_host"]["__ansible_unsafe"] for host in hosts}
    assert set(addresses.values()) == set(instances)
    for host in hosts:
        tags = {tag["Key"]: tag["Value"] for tag in instances[addresses[host]]["Tags"]}
        groups = {group for group in ("plane_api", "plane_graphql") if host in listed.get(group, {}).get("hosts", [])}
        assert groups == set(tags["plane_services"].split())
        assert variables[host]["plane_environment"] == applied.name, "its group_vars are those of inventories/"
    static = yaml.safe_load((ROOT / "inventories" / applied.name / "hosts.yml").read_text())
    services = {
        group for group in ("plane_api", "plane_graphql") if set(listed.get(group, {}).get("hosts", [])) & hosts
    }
    assert services == {group for group in ("plane_api", "plane_graphql") if group in static}


def test_ansible_finds_settings_that_are_right_and_the_secrets(applied: Fleet, tmp_path: Path) -> None:
    """The first step of site.yml, which touches no host, with the values that somebody put into Secrets Manager."""
    values = {
        "database_url": "postgres://plane:of-this-test@192.0.2.250:5432/plane",
        "redis_url": "redis://192.0.2.251:6379/0",
        "amqp_url": "amqp://plane:of-this-test@192.0.2.252:5672/plane",
        "secret_key": "a-secret-key-that-only-this-test-has",
        "live_server_secret_key": "another-secret-key-that-only-this-test-has",
    }
    for name, value in values.items():
        applied.account.client("secretsmanager").put_secret_value(
            SecretId=f"plane/{applied.name}/{name}", SecretString=value
        )
    # An installation's proxy is on the machine: no load balancer's subnets are trusted.
    balanced = [] if applied.name in ADOPTED else ["plane_api_listen_address", "plane_api_trusted_proxies"]
    shown = [*balanced, *(f"plane_release_{name}" for name in values)]
    play = {
        "hosts": "plane_api:plane_graphql",
        "gather_facts": False,
        "vars_files": [str(ROOT / "ansible/vars/tiers.yml")],
        "tasks": [
            {"name": "Refuse settings that cannot be right", "validate_settings": None},
            {
                "name": "Write what Ansible sees",
                "delegate_to": "localhost",
                "vars": {"ansible_become": False, "ansible_connection": "local"},
                "ansible.builtin.copy": {
                    "content": "{{ {"
                    + ", ".join(f"'{name}': {name}" for name in shown)
                    + ", 'host': ansible_host} | to_json }}",
                    "dest": f"{tmp_path}/{{{{ inventory_hostname }}}}.json",
                    "mode": "0600",
                },
            },
        ],
    }
    (tmp_path / "check.yml").write_text(yaml.safe_dump([play]))
    ansible(applied.account, "ansible-playbook", str(tmp_path / "check.yml"), "-l", applied.name)
    seen = [json.loads(path.read_text()) for path in tmp_path.glob("plane-*.json")]
    assert len(seen) == len(applied.instances())
    for host in seen:
        assert {name: host[f"plane_release_{name}"] for name in values} == values
        if balanced:
            assert host["plane_api_listen_address"] == host["host"]
            assert host["plane_api_trusted_proxies"] == ["192.0.2.0/28", "192.0.2.16/28"], "the load balancer's subnets"


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_auditor_sees_what_is_broken(mutation: str, broken: list[str]) -> None:
    assert MUTATIONS[mutation][3] in broken


def test_destroy_leaves_nothing(fleets: dict[str, Future[Fleet]]) -> None:
    """The last one, of all at once. moto does not know deletion protection; AWS would refuse where it is on."""

    def destroy(fleet: Fleet) -> None:
        succeeded(fleet.run("destroy", "-input=false", "-auto-approve"))
        assert succeeded(fleet.run("state", "list")) == ""
        assert fleet.security_groups() == fleet.groups() == fleet.balancers() == fleet.instances() == []

    with ThreadPoolExecutor(len(SIZES)) as pool:
        for done in [pool.submit(destroy, fleets[name].result()) for name in SIZES]:
            done.result()
