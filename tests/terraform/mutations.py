"""Ways in which the modules may be broken, and what the auditor must say to each."""

from __future__ import annotations

FLEET = "terraform/modules/api_fleet/main.tf"
BALANCER = "terraform/modules/load_balancer/main.tf"
# What is broken: file, text, what stands there instead; and what the auditor says to it.
MUTATIONS = {
    "an open port": (
        BALANCER,
        "  from_port         = 443\n  to_port           = 443",
        "  from_port         = 22\n  to_port           = 22",
        "port 22 is open to the world",
    ),
    "plain HTTP": (
        BALANCER,
        (
            '= 443\n  protocol          = "HTTPS"\n  certificate_arn   = var.certificate_arn\n'
            '  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"'
        ),
        '= 80\n  protocol          = "HTTP"',
        "port 80 speaks HTTP",
    ),
    "metadata version 1": (FLEET, 'http_tokens                 = "required"', 'http_tokens = "optional"',
                           "metadata version 1 is allowed"),
    "an open disk": (FLEET, "encrypted             = true", "encrypted = false", "a disk is not encrypted"),
    "a missing tag": (FLEET, '    plane_services = join(" ", sort(keys(var.services)))\n', "",
                      "an instance lacks the tag plane_services"),
    "health from the kernel": (FLEET, '? "EC2" : "ELB"', '? "EC2" : "EC2"',
                               "a host that does not serve is not replaced"),
    "a role that may do anything": (FLEET, '"ssm:UpdateInstanceInformation"', '"ssm:*"',
                                    "plane-staging-api may do anything"),
    "no rule for GraphQL": ("terraform/modules/environment/variables.tf", 'plane_graphql = ["/graphql/*"]',
                            "plane_graphql = []", "/graphql/* goes nowhere of its own"),
    "another tier": ("terraform/modules/inventory/main.tf", "max = local.tiers[set.tier].replicas_max",
                     'max = local.tiers["medium"].replicas_max', "plane-staging-api has 2 to 5 hosts"),
}  # fmt: skip
