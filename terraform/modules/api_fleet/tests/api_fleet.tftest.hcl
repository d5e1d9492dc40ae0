mock_provider "aws" {
  mock_data "aws_ec2_instance_type" {
    defaults = {
      default_vcpus = 2
      memory_size   = 4096
    }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_ami" {
    defaults = { root_device_name = "/dev/xvda" }
  }
  mock_data "aws_default_tags" {
    defaults = { tags = { project = "plane" } }
  }
  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::123456789012:instance-profile/plane-staging-api" }
  }
  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }
}

variables {
  name           = "plane-staging-api"
  environment    = "staging"
  services       = { plane_api = 8000 }
  image_id       = "ami-0123456789abcdef0"
  instance_types = ["t3.medium", "t3a.medium"]
  needs          = { cpu = 1, memory_mib = 2048 }
  replicas       = { min = 2, max = 4 }
  vpc_id         = "vpc-1"
  subnet_ids     = ["subnet-1", "subnet-2"]
  load_balancer = {
    security_group_id = "sg-balancer"
    target_group_arns = { plane_api = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/api/0123456789abcdef" }
    cidrs             = ["192.0.2.0/28", "192.0.2.16/28"]
  }
  data_stores = { database = { security_group_id = "sg-database", port = 5432 } }
}

run "a_fleet_behind_a_load_balancer" {
  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_tokens == "required" && aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "metadata version 2 alone, for the host itself"
  }
  assert {
    condition     = tobool(aws_launch_template.this.block_device_mappings[0].ebs[0].encrypted) && aws_launch_template.this.block_device_mappings[0].device_name == "/dev/xvda"
    error_message = "the root disk is encrypted"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.clients) == 0
    error_message = "clients cannot pass the load balancer by"
  }
  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.load_balancer : [rule.from_port, rule.referenced_security_group_id]] == [[8000, "sg-balancer"]]
    error_message = "one way in, from the load balancer to admission"
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.load_balancer["plane_api"].security_group_id == "sg-balancer"
    error_message = "and out of the load balancer"
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.https.from_port == 443 && aws_vpc_security_group_egress_rule.https.to_port == 443
    error_message = "HTTPS out"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.data_stores["database"].security_group_id == "sg-database" && aws_vpc_security_group_egress_rule.data_stores["database"].to_port == 5432
    error_message = "the database lets the fleet in"
  }
  assert {
    condition     = aws_autoscaling_group.this.health_check_type == "ELB" && aws_autoscaling_group.this.min_size == 2 && aws_autoscaling_group.this.max_size == 4
    error_message = "sizes, and health through admission"
  }
  assert {
    condition     = aws_autoscaling_group.this.instance_refresh[0].preferences[0].min_healthy_percentage == 100 && aws_autoscaling_group.this.instance_refresh[0].preferences[0].max_healthy_percentage == 150
    error_message = "one of two hosts more during a refresh, never one fewer"
  }
  assert {
    condition     = [for each in aws_autoscaling_group.this.mixed_instances_policy[0].launch_template[0].override : each.instance_type] == ["t3.medium", "t3a.medium"]
    error_message = "both types"
  }
  assert {
    condition     = aws_autoscaling_group.this.mixed_instances_policy[0].instances_distribution[0].on_demand_percentage_above_base_capacity == 100
    error_message = "no spot instances"
  }
  assert {
    condition     = [for hook in aws_autoscaling_group.this.initial_lifecycle_hook : hook.name] == ["drain"]
    error_message = "nothing would end a wait for the configuration"
  }
  assert {
    condition = { for tag in aws_autoscaling_group.this.tag : tag.key => tag.value if tag.propagate_at_launch } == {
      Name            = "plane-staging-api"
      environment     = "staging"
      plane_services  = "plane_api"
      project         = "plane"
      trusted_proxies = "192.0.2.0/28 192.0.2.16/28"
    }
    error_message = "what the inventory reads"
  }
  assert {
    condition     = [for each in jsondecode(aws_iam_role_policy.this.policy).Statement : each.Sid] == ["SessionManager"]
    error_message = "a host that is configured from outside may do nothing else"
  }
}

run "a_host_that_configures_itself" {
  variables {
    bundle = {
      bucket = "bundles"
      key    = "plane.tar.gz"
      sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
    }
    secret_arns = ["arn:aws:secretsmanager:eu-west-1:123456789012:secret:plane/staging/secret_key-abcdef"]
  }

  assert {
    condition     = { for hook in aws_autoscaling_group.this.initial_lifecycle_hook : hook.name => hook.default_result } == { configure = "ABANDON", drain = "CONTINUE" }
    error_message = "a host that says nothing never joins"
  }
  assert {
    condition     = strcontains(base64decode(aws_launch_template.this.user_data), "s3://bundles/plane.tar.gz")
    error_message = "user data fetches the bundle"
  }
  assert {
    condition     = [for each in jsondecode(aws_iam_role_policy.this.policy).Statement : each.Sid] == ["SessionManager", "Bundle", "Secrets", "Join"]
    error_message = "and may do what that takes"
  }
  assert {
    condition     = !anytrue([for each in jsondecode(aws_iam_role_policy.this.policy).Statement : contains(each.Resource, "*") if each.Sid != "SessionManager"])
    error_message = "on its own resources"
  }
}

run "a_machine_by_itself" {
  variables {
    load_balancer = null
    client_cidrs  = ["0.0.0.0/0"]
    replicas      = { min = 1, max = 1 }
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.clients : [rule.from_port, rule.to_port]] == [[443, 443]]
    error_message = "HTTPS to the proxy on the machine, nothing else"
  }
  assert {
    condition     = aws_autoscaling_group.this.health_check_type == "EC2" && length(aws_vpc_security_group_ingress_rule.load_balancer) == 0
    error_message = "no load balancer"
  }
  assert {
    condition     = aws_autoscaling_group.this.instance_refresh[0].preferences[0].max_healthy_percentage == 200
    error_message = "a second machine while the first one is replaced"
  }
  assert {
    condition     = !contains([for tag in aws_autoscaling_group.this.tag : tag.key], "trusted_proxies")
    error_message = "no load balancer to trust"
  }
}

run "an_instance_that_is_too_small_is_refused" {
  command = plan
  variables { needs = { cpu = 1, memory_mib = 4096 } }
  expect_failures = [aws_launch_template.this]
}

run "too_few_processors_are_refused" {
  command = plan
  variables { needs = { cpu = 4, memory_mib = 2048 } }
  expect_failures = [aws_launch_template.this]
}

run "a_service_that_no_role_runs_is_refused" {
  command = plan
  variables {
    services      = { plane_web = 8000 }
    load_balancer = null
  }
  expect_failures = [var.services]
}

run "a_privileged_port_is_refused" {
  command = plan
  variables { services = { plane_api = 80 } }
  expect_failures = [var.services]
}

run "fewer_at_most_than_at_least_is_refused" {
  command = plan
  variables { replicas = { min = 3, max = 2 } }
  expect_failures = [var.replicas]
}

run "a_service_without_a_target_group_is_refused" {
  command = plan
  variables { services = { plane_api = 8000, plane_graphql = 8001 } }
  expect_failures = [var.load_balancer]
}

run "clients_beside_the_load_balancer_are_refused" {
  command = plan
  variables { client_cidrs = ["0.0.0.0/0"] }
  expect_failures = [var.client_cidrs]
}

run "an_image_by_name_is_refused" {
  command = plan
  variables { image_id = "debian-13" }
  expect_failures = [var.image_id]
}

run "no_type_is_refused" {
  command = plan
  variables { instance_types = [] }
  expect_failures = [var.instance_types]
}

run "a_checksum_that_is_none_is_refused" {
  command = plan
  variables {
    bundle = { bucket = "bundles", key = "plane.tar.gz", sha256 = "latest" }
  }
  expect_failures = [var.bundle]
}
