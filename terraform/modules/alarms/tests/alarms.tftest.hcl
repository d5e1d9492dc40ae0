mock_provider "aws" {
  mock_resource "aws_autoscaling_policy" {
    defaults = { arn = "arn:aws:autoscaling:eu-west-1:123456789012:scalingPolicy:00000000-0000-0000-0000-000000000000:autoScalingGroupName/plane:policyName/memory" }
  }
}

variables {
  name                   = "plane-staging-plane_api"
  environment            = "staging"
  service                = "plane_api"
  autoscaling_group_name = "plane-staging-api"
  scales                 = true
  load_balancer          = { arn_suffix = "app/plane-staging/1", target_group_arn_suffix = "targetgroup/plane-staging-api/2" }
  slots                  = 16
  service_seconds        = 0.12
  queue_timeout          = 20
  topic_arn              = "arn:aws:sns:eu-west-1:123456789012:plane"
}

run "a_service_behind_a_load_balancer" {
  assert {
    condition     = output.requests_per_minute == 4800
    error_message = "16 slots x 0.6 x 60 s / 0.12 s"
  }
  assert {
    condition     = aws_autoscaling_policy.requests["this"].target_tracking_configuration[0].target_value == 4800
    error_message = "the group grows above that"
  }
  assert {
    condition     = aws_autoscaling_policy.requests["this"].target_tracking_configuration[0].predefined_metric_specification[0].resource_label == "app/plane-staging/1/targetgroup/plane-staging-api/2"
    error_message = "requests of this service"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.cpu.threshold == 80 && aws_cloudwatch_metric_alarm.latency["this"].threshold == 10
    error_message = "the proposal's 80 %, half of the queue"
  }
  assert {
    condition     = alltrue([for alarm in [aws_cloudwatch_metric_alarm.cpu, aws_cloudwatch_metric_alarm.latency["this"], aws_cloudwatch_metric_alarm.errors["this"], aws_cloudwatch_metric_alarm.hosts["this"]] : alarm.alarm_actions == toset([var.topic_arn])])
    error_message = "every alarm tells somebody"
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.memory) + length(aws_cloudwatch_metric_alarm.queue) == 0
    error_message = "no alarm that nothing can raise"
  }
}

run "with_an_agent_memory_adds_hosts" {
  variables { agent_namespace = "Plane" }

  assert {
    condition     = contains(aws_cloudwatch_metric_alarm.memory["this"].alarm_actions, aws_autoscaling_policy.memory["this"].arn)
    error_message = "the alarm scales"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.memory["this"].insufficient_data_actions == toset([var.topic_arn])
    error_message = "a person hears of an agent that went silent"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.queue["this"].dimensions["Service"] == "plane_api"
    error_message = "of this service"
  }
}

run "a_group_of_one_size_only_tells" {
  variables {
    scales          = false
    load_balancer   = null
    agent_namespace = "Plane"
  }

  assert {
    condition     = length(aws_autoscaling_policy.requests) + length(aws_autoscaling_policy.memory) + length(aws_cloudwatch_metric_alarm.latency) == 0
    error_message = "no policy, and no metric of a load balancer that is not there"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.memory["this"].alarm_actions == toset([var.topic_arn])
    error_message = "a person"
  }
}

run "full_slots_as_a_target_are_refused" {
  command = plan
  variables { utilisation = 1 }
  expect_failures = [var.utilisation]
}

run "requests_that_take_no_time_are_refused" {
  command = plan
  variables { service_seconds = 0 }
  expect_failures = [var.service_seconds]
}

run "a_topic_that_is_none_is_refused" {
  command = plan
  variables { topic_arn = "ops@example.com" }
  expect_failures = [var.topic_arn]
}

run "no_slot_is_refused" {
  command = plan
  variables { slots = 0 }
  expect_failures = [var.slots]
}
