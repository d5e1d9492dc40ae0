output "requests_per_minute" {
  description = "What one host serves at the wanted utilisation; the group grows above it."
  value       = local.requests_per_minute
}

output "count" {
  description = "How many alarms there are, for their price."
  value = 1 + sum([
    for each in [
      aws_cloudwatch_metric_alarm.latency, aws_cloudwatch_metric_alarm.errors, aws_cloudwatch_metric_alarm.hosts,
      aws_cloudwatch_metric_alarm.memory, aws_cloudwatch_metric_alarm.queue,
    ] : length(each)
  ])
}
