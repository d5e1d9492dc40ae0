# The proposal's "Scaling Guidelines", each as an alarm that says what to do.
locals {
  requests_per_minute = floor(var.slots * var.utilisation * 60 / var.service_seconds)
  balanced            = var.load_balancer == null ? {} : { this = var.load_balancer }
  published           = var.agent_namespace == null ? {} : { this = { Environment = var.environment, Service = var.service } }
}

# "When to scale pods instead": before the slots are full.
resource "aws_autoscaling_policy" "requests" {
  for_each = var.scales ? local.balanced : {}

  name                   = "${var.name}-requests"
  autoscaling_group_name = var.autoscaling_group_name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = local.requests_per_minute

    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = "${each.value.arn_suffix}/${each.value.target_group_arn_suffix}"
    }
  }
}

# "When to increase workers".
resource "aws_cloudwatch_metric_alarm" "cpu" {
  alarm_name          = "${var.name}-cpu"
  alarm_description   = "Processors above 80 % for 15 minutes. Where requests wait for little else: one worker more, on a host with one processor more."
  namespace           = "AWS/EC2"
  metric_name         = "CPUUtilization"
  dimensions          = { AutoScalingGroupName = var.autoscaling_group_name }
  statistic           = "Average"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 80
  period              = 300
  evaluation_periods  = 3
  alarm_actions       = [var.topic_arn]
}

# "When to increase threads": what clients feel of a queue. Half of its limit, so that it is heard before the first 503.
resource "aws_cloudwatch_metric_alarm" "latency" {
  for_each = local.balanced

  alarm_name          = "${var.name}-latency"
  alarm_description   = "1 of 100 requests takes longer than half of admission's queue. Memory permitting: 2 threads more for each worker; else a host more."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "TargetResponseTime"
  dimensions          = { LoadBalancer = each.value.arn_suffix, TargetGroup = each.value.target_group_arn_suffix }
  extended_statistic  = "p99"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.queue_timeout / 2
  period              = 60
  evaluation_periods  = 5
  alarm_actions       = [var.topic_arn]
}

# Admission's 503 and gunicorn's 500 alike.
resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each = local.balanced

  alarm_name          = "${var.name}-errors"
  alarm_description   = "Hosts answer 5xx. 503 with Retry-After: a queue was full; look at the latency alarm first."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HTTPCode_Target_5XX_Count"
  dimensions          = { LoadBalancer = each.value.arn_suffix, TargetGroup = each.value.target_group_arn_suffix }
  statistic           = "Sum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 10
  period              = 60
  evaluation_periods  = 3
  # Where nothing fails there is no figure.
  treat_missing_data = "notBreaching"
  alarm_actions      = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "hosts" {
  for_each = local.balanced

  alarm_name          = "${var.name}-hosts"
  alarm_description   = "A host does not answer its health check: ansible-playbook -i terraform/inventory ansible/playbooks/verify.yml -l ${var.environment}"
  namespace           = "AWS/ApplicationELB"
  metric_name         = "UnHealthyHostCount"
  dimensions          = { LoadBalancer = each.value.arn_suffix, TargetGroup = each.value.target_group_arn_suffix }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60
  evaluation_periods  = 5
  alarm_actions       = [var.topic_arn]
}

# "Memory usage approaches pod limit despite conservative thread count": more hosts, not more threads.
resource "aws_autoscaling_policy" "memory" {
  for_each = var.scales ? local.published : {}

  name                   = "${var.name}-memory"
  autoscaling_group_name = var.autoscaling_group_name
  policy_type            = "StepScaling"
  adjustment_type        = "ChangeInCapacity"

  step_adjustment {
    scaling_adjustment          = 1
    metric_interval_lower_bound = 0
  }
}

resource "aws_cloudwatch_metric_alarm" "memory" {
  for_each = local.published

  alarm_name          = "${var.name}-memory"
  alarm_description   = "A service holds more than 85 % of its limit: more hosts, or fewer slots for heavy routes."
  namespace           = var.agent_namespace
  metric_name         = "MemoryUsedPercent"
  dimensions          = each.value
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 85
  period              = 60
  evaluation_periods  = 5
  alarm_actions       = concat([var.topic_arn], [for policy in aws_autoscaling_policy.memory : policy.arn])
  # An agent that went silent is told to a person, and adds no host.
  insufficient_data_actions = [var.topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "queue" {
  for_each = local.published

  alarm_name          = "${var.name}-queue"
  alarm_description   = "Requests wait in admission for longer than a quarter of its limit. Memory permitting: 2 threads more for each worker."
  namespace           = var.agent_namespace
  metric_name         = "QueueTimeSeconds"
  dimensions          = each.value
  extended_statistic  = "p99"
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.queue_timeout / 4
  period              = 60
  evaluation_periods  = 5
  alarm_actions       = [var.topic_arn]
}
