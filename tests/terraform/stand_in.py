"""moto's server, with four of its answers put right: it forgets what Terraform then wants to set again.

Each correction only lets moto say what it was told, as AWS does; without them no second plan could ever be empty.
"""

from __future__ import annotations

import sys
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup, FakeScalingPolicy
from moto.ec2.models.launch_templates import LaunchTemplateBackend
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.server import main

make = FakeScalingPolicy.__init__
update = FakeAutoScalingGroup.update
create_launch_template = LaunchTemplateBackend.create_launch_template


def update_keeps_the_policy(self: Any, *arguments: Any, **named: Any) -> None:
    """An update that does not speak of the mixed instances policy leaves it as it is."""
    policy = self.mixed_instances_policy
    update(self, *arguments, **named)
    self.mixed_instances_policy = self.mixed_instances_policy or policy


def create_without_its_own_tags(self: Any, name: str, description: str, data: dict[str, Any], tags: Any) -> Any:
    """Tags of the template itself are no tags of what it starts."""
    data["TagSpecifications"] = [
        each for each in data.get("TagSpecifications", []) if each["ResourceType"] != "launch-template"
    ]
    return create_launch_template(self, name, description, data, tags)


def description(self: Any) -> str | None:
    """A rule that names another group has a description too."""
    found: str | None = (self.ip_range or {}).get("Description") or (self.source_group or {}).get("Description")
    return found


FakeAutoScalingGroup.update = update_keeps_the_policy  # type: ignore[method-assign]
LaunchTemplateBackend.create_launch_template = create_without_its_own_tags  # type: ignore[method-assign,assignment]
SecurityGroupRule.description = property(description)  # type: ignore[method-assign,assignment]


def make_policy(self: Any, *arguments: Any, **named: Any) -> None:
    """A policy is enabled unless somebody disables it, and predicts only where it was told to."""
    make(self, *arguments, **named)
    self.enabled = True
    self.predictive_scaling_configuration = self.predictive_scaling_configuration or None


FakeScalingPolicy.__init__ = make_policy  # type: ignore[method-assign]

if __name__ == "__main__":
    main(sys.argv[1:])
