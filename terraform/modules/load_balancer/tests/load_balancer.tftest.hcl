mock_provider "aws" {
  # What is made up has to look like an ARN where the provider checks it.
  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/plane-staging/0123456789abcdef" }
  }
  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/plane-staging-api/0123456789abcdef" }
  }
  mock_resource "aws_lb_listener" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/plane-staging/0123456789abcdef/0123456789abcdef" }
  }
}

variables {
  name               = "plane-staging"
  vpc_id             = "vpc-1"
  subnet_ids         = ["subnet-1", "subnet-2"]
  certificate_arn    = "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
  access_logs_bucket = "logs"
  default_service    = "plane_api"
  services = {
    plane_api     = { port = 8000, worker_class = "gthread", paths = ["/marketplace/*"], queue_timeout = 20, timeout = 30, grace_seconds = 30 }
    plane_graphql = { port = 8001, worker_class = "uvicorn", paths = ["/graphql/*"], queue_timeout = 10, timeout = 30, grace_seconds = 30 }
  }
}

run "https_alone_and_two_target_groups" {
  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.https : [rule.from_port, rule.to_port]] == [[443, 443]]
    error_message = "443 and no other port"
  }
  assert {
    condition     = aws_lb_listener.https.protocol == "HTTPS" && startswith(aws_lb_listener.https.ssl_policy, "ELBSecurityPolicy-TLS13")
    error_message = "HTTPS, TLS 1.2 or newer"
  }
  assert {
    condition     = !aws_lb.this.internal && aws_lb.this.drop_invalid_header_fields && aws_lb.this.enable_deletion_protection
    error_message = "invalid headers are dropped, and nobody deletes it by mistake"
  }
  assert {
    condition     = aws_lb.this.access_logs[0].enabled
    error_message = "access logs"
  }
  assert {
    condition     = aws_lb_target_group.this["plane_api"].port == 8000 && aws_lb_target_group.this["plane_graphql"].port == 8001
    error_message = "one target group for each service"
  }
  assert {
    condition     = one(one(aws_lb_listener_rule.paths["plane_graphql"].condition).path_pattern).values == toset(["/graphql/*"])
    error_message = "/graphql/ has a rule of its own"
  }
  assert {
    condition     = one(one(aws_lb_listener_rule.paths["plane_api"].condition).path_pattern).values == toset(["/marketplace/*"])
    error_message = "/marketplace/ has a rule of its own"
  }
  assert {
    condition     = aws_lb_listener_rule.paths["plane_api"].priority != aws_lb_listener_rule.paths["plane_graphql"].priority
    error_message = "priorities differ"
  }
  assert {
    condition     = tonumber(aws_lb_target_group.this["plane_api"].deregistration_delay) == 50 && aws_lb_target_group.this["plane_api"].slow_start == 60
    error_message = "a host that leaves ends what it has: 20 + 30 s"
  }
  assert {
    condition     = aws_lb_target_group.this["plane_api"].health_check[0].path == "/"
    error_message = "health through admission"
  }
  assert {
    condition     = length(aws_wafv2_web_acl_association.this) == 0
    error_message = "no WAF unless asked"
  }
}

run "a_waf_where_one_is_named" {
  variables { web_acl_arn = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/plane/00000000-0000-0000-0000-000000000000" }

  assert {
    condition     = aws_wafv2_web_acl_association.this[0].web_acl_arn == var.web_acl_arn
    error_message = "associated"
  }
}

run "graphql_under_gthread_is_refused" {
  command = plan
  variables {
    services = {
      plane_api = { port = 8000, worker_class = "gthread", paths = ["/graphql/*"], queue_timeout = 20, timeout = 30, grace_seconds = 30 }
    }
  }
  expect_failures = [var.services]
}

run "two_services_on_one_port_are_refused" {
  command = plan
  variables {
    services = {
      plane_api     = { port = 8000, worker_class = "gthread", queue_timeout = 20, timeout = 30, grace_seconds = 30 }
      plane_graphql = { port = 8000, worker_class = "uvicorn", queue_timeout = 20, timeout = 30, grace_seconds = 30 }
    }
  }
  expect_failures = [var.services]
}

run "a_load_balancer_that_outlasts_clients_is_refused" {
  command = plan
  variables { client_timeout = 55 }
  expect_failures = [var.idle_timeout]
}

run "a_load_balancer_that_outlasts_keep_alive_is_refused" {
  command = plan
  variables { idle_timeout = 60 }
  expect_failures = [var.idle_timeout]
}

run "a_load_balancer_that_gives_up_before_the_queue_is_refused" {
  command = plan
  variables { idle_timeout = 50 }
  expect_failures = [var.idle_timeout]
}

run "a_queue_that_outlasts_gunicorn_is_refused" {
  command = plan
  variables {
    services = {
      plane_api = { port = 8000, worker_class = "gthread", queue_timeout = 25, timeout = 25, grace_seconds = 30 }
    }
  }
  expect_failures = [var.services]
}

run "one_zone_is_refused" {
  command = plan
  variables { subnet_ids = ["subnet-1"] }
  expect_failures = [var.subnet_ids]
}

run "an_unknown_default_is_refused" {
  command = plan
  variables { default_service = "plane_web" }
  expect_failures = [var.default_service]
}

run "a_name_that_is_too_long_is_refused" {
  command = plan
  variables { name = "plane-staging-of-a-team-with-a-long-name" }
  expect_failures = [var.name]
}

run "a_client_that_is_no_network_is_refused" {
  command = plan
  variables { client_cidrs = ["everybody"] }
  expect_failures = [var.client_cidrs]
}

run "a_certificate_from_elsewhere_is_refused" {
  command = plan
  variables { certificate_arn = "arn:aws:iam::123456789012:server-certificate/plane" }
  expect_failures = [var.certificate_arn]
}

run "a_slow_start_that_aws_does_not_know_is_refused" {
  command = plan
  variables { slow_start_seconds = 10 }
  expect_failures = [var.slow_start_seconds]
}
