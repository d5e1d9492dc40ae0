"""A stand-in for AWS on loopback (moto), Terraform against it, and what an auditor reads back through boto3."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from support import ROOT

REGION = "eu-west-1"
SOURCES = [
    "terraform",
    "inventories",
    "ansible/vars",
    "ansible/roles/plane_api/defaults",
    "ansible/roles/plane_graphql/defaults",
    "ansible/roles/admission/templates",
]
# Hosts of each fleet, at least and at most: the rows of the proposal that the inventories name, and a single machine.
SIZES = {"staging": (2, 2), "cloud": (3, 5), "commercial": (1, 1), "community": (1, 1)}
# One machine with an installation of Docker Compose, whose own proxy clients reach.
ADOPTED = {"commercial", "community"}
# No credentials: what moto takes for some.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class Server:
    process: subprocess.Popen[str]
    url: str

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def moto_server() -> Server:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "stand_in.py"), "--host", "127.0.0.1", "--port", "0"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", line):
            return Server(process, found.group(1))
    raise AssertionError("moto did not start:\n" + "".join(said))


@dataclass(frozen=True)
class Tree:
    """A copy of what Terraform reads."""

    root: Path

    @classmethod
    def copy(cls, root: Path) -> Tree:
        for source in SOURCES:
            shutil.copytree(ROOT / source, root / source, symlinks=True, ignore=shutil.ignore_patterns(".terraform*"))
        return cls(root)

    def replace(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        path.write_text(text.replace(old, new))


def terraform(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["terraform", f"-chdir={folder}", words[0], *words[1:]],
        capture_output=True, text=True, check=False,
        env={**os.environ, **CREDENTIALS, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "NO_COLOR": "1",
             "TF_CLI_ARGS": "-no-color", **environment},
    )  # fmt: skip


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return done.stdout


@dataclass(frozen=True)
class Account:
    """What a team has before it runs Terraform: a network, a database's security group, a certificate, buckets."""

    url: str

    def client(self, service: str) -> Any:
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION,
            aws_access_key_id="testing", aws_secret_access_key="testing",  # noqa: S106 - moto takes anything
        )  # fmt: skip

    @cached_property
    def site(self) -> dict[str, Any]:
        ec2 = self.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="192.0.2.0/24")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"192.0.2.{start}/28", AvailabilityZone=f"{REGION}{zone}")["Subnet"]
            for start, zone in ((0, "a"), (16, "b"))
        ]
        database = ec2.create_security_group(GroupName="database", Description="database", VpcId=vpc)["GroupId"]
        for name in ("logs", "state"):
            self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        image = ec2.describe_images(Filters=[{"Name": "name", "Values": ["*debian*", "amzn-ami-hvm*"]}])["Images"][0]
        return {
            "region": REGION,
            "vpc_id": vpc,
            "host_subnet_ids": [each["SubnetId"] for each in subnets],
            "load_balancer_subnet_ids": [each["SubnetId"] for each in subnets],
            "image_id": image["ImageId"],
            "certificate_arn": self.client("acm").request_certificate(DomainName="plane.example.com")["CertificateArn"],
            "access_logs_bucket": "logs",
            "alarm_topic_arn": self.client("sns").create_topic(Name="plane")["TopicArn"],
            "data_stores": {"database": {"security_group_id": database, "port": 5432}},
            "database_connections": 500,
            "agent_namespace": "Plane",
        }


def ansible(account: Account, *words: str, **environment: str) -> str:
    """A command of Ansible with the inventory of what is in the account; what it printed."""
    return succeeded(
        subprocess.run(
            [str(Path(sys.executable).parent / words[0]), "-i", str(ROOT / "terraform/inventory"), *words[1:]],
            cwd=ROOT, capture_output=True, text=True, check=False,
            env={**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": account.url, "ANSIBLE_NOCOLOR": "1",
                 "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", **environment},
        )
    )  # fmt: skip


@dataclass(frozen=True)
class Fleet:
    """One environment in one account."""

    name: str
    tree: Tree
    account: Account

    @property
    def folder(self) -> Path:
        return self.tree.root / "terraform" / "environments" / self.name

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return terraform(
            self.folder, *words, AWS_ENDPOINT_URL=self.account.url, TF_VAR_site=json.dumps(self.account.site)
        )

    def init(self) -> None:
        self.account.site  # noqa: B018 - makes the bucket of the state
        backend = [f"-backend-config={each}" for each in ("bucket=state", f"region={REGION}", "use_path_style=true")]
        succeeded(self.run("init", "-input=false", *backend))

    def apply(self) -> None:
        self.init()
        succeeded(self.run("apply", "-input=false", "-auto-approve"))

    def planned(self) -> dict[str, Any]:
        """The outputs that a first plan knows already."""
        self.init()
        succeeded(self.run("plan", "-input=false", "-out=planned"))
        changes = json.loads(succeeded(self.run("show", "-json", "planned")))["output_changes"]
        found: dict[str, Any] = changes["environment"]["after"]
        return found

    def plan(self) -> list[tuple[str, str]]:
        """What a plan would do: address and action."""
        done = self.run("plan", "-input=false", "-detailed-exitcode", "-json")
        assert done.returncode in (0, 2), done.stdout[-6000:] + done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        changes = [
            (line["change"]["resource"]["addr"], line["change"]["action"])
            for line in lines
            if line["type"] == "planned_change"
        ]
        assert bool(changes) <= (done.returncode == 2), "Terraform's own verdict"
        return changes if done.returncode else []

    @cached_property
    def second_plan(self) -> list[tuple[str, str]]:
        return self.plan()

    @property
    def owned(self) -> list[dict[str, Any]]:
        return [{"Name": "tag:environment", "Values": [self.name]}]

    def security_groups(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.account.client("ec2").describe_security_groups(Filters=self.owned)[
            "SecurityGroups"
        ]
        return found

    def groups(self) -> list[dict[str, Any]]:
        found = self.account.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        return [group for group in found if group["AutoScalingGroupName"].startswith(f"plane-{self.name}-")]

    def templates(self) -> list[dict[str, Any]]:
        ec2 = self.account.client("ec2")
        return [
            version["LaunchTemplateData"]
            for group in self.groups()
            for version in ec2.describe_launch_template_versions(
                LaunchTemplateName=group["AutoScalingGroupName"], Versions=["$Latest"]
            )["LaunchTemplateVersions"]
        ]

    def balancers(self) -> list[dict[str, Any]]:
        found = self.account.client("elbv2").describe_load_balancers()["LoadBalancers"]
        return [each for each in found if each["LoadBalancerName"] == f"plane-{self.name}"]

    def listeners(self) -> list[dict[str, Any]]:
        elb = self.account.client("elbv2")
        return [
            listener
            for balancer in self.balancers()
            for listener in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        ]

    def instances(self) -> list[dict[str, Any]]:
        reservations = self.account.client("ec2").describe_instances(
            Filters=[*self.owned, {"Name": "instance-state-name", "Values": ["running"]}]
        )["Reservations"]
        return [instance for reservation in reservations for instance in reservation["Instances"]]

    def routes(self) -> dict[str, str]:
        """Path pattern -> port of the hosts; the default is the pattern *."""
        elb = self.account.client("elbv2")
        found = {}
        for listener in self.listeners():
            for rule in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]:
                (action,) = rule["Actions"]
                group = elb.describe_target_groups(TargetGroupArns=[action["TargetGroupArn"]])["TargetGroups"][0]
                patterns = [value for each in rule["Conditions"] for value in each["PathPatternConfig"]["Values"]]
                found.update({pattern: str(group["Port"]) for pattern in patterns or ["*"]})
        return found

    def findings(self) -> Iterator[str]:
        """What an auditor objects to, one line each; nothing here knows how Terraform was told."""
        for group in self.security_groups():
            for rule in group["IpPermissions"]:
                world = [each["CidrIp"] for each in rule.get("IpRanges", []) if each["CidrIp"] == "0.0.0.0/0"]
                if world and (rule.get("FromPort"), rule.get("ToPort")) != (443, 443):
                    yield f"port {rule.get('FromPort')} is open to the world"
        for listener in self.listeners():
            if listener["Protocol"] != "HTTPS":
                yield f"port {listener['Port']} speaks {listener['Protocol']}"
        for template in self.templates():
            if template["MetadataOptions"]["HttpTokens"] != "required":
                yield "metadata version 1 is allowed"
            if not all(disk["Ebs"].get("Encrypted") for disk in template["BlockDeviceMappings"]):
                yield "a disk is not encrypted"
        for instance in self.instances():
            tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
            if missing := {"project", "environment", "plane_services", "Name"} - set(tags):
                yield f"an instance lacks the tag {', '.join(sorted(missing))}"
        for group in self.groups():
            size = (group["MinSize"], group["MaxSize"])
            if size != SIZES[self.name]:
                yield f"{group['AutoScalingGroupName']} has {size[0]} to {size[1]} hosts"
        if self.balancers():
            routes = self.routes()
            for path, port in {"*": "8000", "/marketplace/*": "8000", "/graphql/*": "8001"}.items():
                if routes.get(path) != port:
                    yield f"{path} goes nowhere of its own"
        if self.balancers() and any(group["HealthCheckType"] != "ELB" for group in self.groups()):
            yield "a host that does not serve is not replaced"
        for role in self.account.client("iam").list_roles()["Roles"]:
            if role["RoleName"].startswith(f"plane-{self.name}-"):
                iam = self.account.client("iam")
                for name in iam.list_role_policies(RoleName=role["RoleName"])["PolicyNames"]:
                    document = iam.get_role_policy(RoleName=role["RoleName"], PolicyName=name)["PolicyDocument"]
                    for statement in document["Statement"]:
                        if any(action == "*" or action.endswith(":*") for action in statement["Action"]):
                            yield f"{role['RoleName']} may do anything"
