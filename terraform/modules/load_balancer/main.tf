locals {
  # A rule for each service that has paths; the order is that of the names, so that a plan is the same every time.
  ruled = [for name in sort(keys(var.services)) : name if length(var.services[name].paths) > 0]
}

resource "aws_security_group" "this" {
  name        = "${var.name}-load-balancer"
  description = "HTTPS from clients; the way to the hosts is in the module api_fleet"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-load-balancer" }
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  for_each = toset(var.client_cidrs)

  security_group_id = aws_security_group.this.id
  description       = "HTTPS from clients"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_lb" "this" {
  #checkov:skip=CKV2_AWS_76:the rules of a WAF are the team's; web_acl_arn names theirs
  name                       = var.name
  load_balancer_type         = "application"
  security_groups            = [aws_security_group.this.id]
  subnets                    = var.subnet_ids
  idle_timeout               = var.idle_timeout
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection

  access_logs {
    bucket  = var.access_logs_bucket
    prefix  = var.name
    enabled = true
  }
}

resource "aws_lb_target_group" "this" {
  for_each = var.services

  name       = "${var.name}-${trimprefix(each.key, "plane_")}"
  vpc_id     = var.vpc_id
  port       = each.value.port
  protocol   = "HTTP"
  slow_start = var.slow_start_seconds
  # The longest that a request which the host has may still take.
  deregistration_delay = max(each.value.queue_timeout + each.value.timeout, each.value.grace_seconds)

  # Through admission: nothing listens there before a model was verified.
  health_check {
    path                = each.value.health_path
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  certificate_arn   = var.certificate_arn
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[var.default_service].arn
  }
}

resource "aws_lb_listener_rule" "paths" {
  for_each = toset(local.ruled)

  listener_arn = aws_lb_listener.https.arn
  priority     = 10 * (1 + index(local.ruled, each.key))

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[each.key].arn
  }

  condition {
    path_pattern {
      values = var.services[each.key].paths
    }
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  count = var.web_acl_arn == null ? 0 : 1

  resource_arn = aws_lb.this.arn
  web_acl_arn  = var.web_acl_arn
}
