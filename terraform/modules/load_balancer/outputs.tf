output "dns_name" {
  description = "Where clients reach it; point a name of your own here."
  value       = aws_lb.this.dns_name
}

output "arn_suffix" {
  description = "The load balancer as metrics name it."
  value       = aws_lb.this.arn_suffix
}

output "security_group_id" {
  description = "For the hosts' rules."
  value       = aws_security_group.this.id
}

output "target_groups" {
  description = "Service -> ARN of its target group, and its name in metrics."
  value       = { for name, group in aws_lb_target_group.this : name => { arn = group.arn, arn_suffix = group.arn_suffix } }
}
