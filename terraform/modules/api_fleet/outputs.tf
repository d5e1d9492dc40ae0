output "autoscaling_group_name" {
  description = "For policies and alarms."
  value       = aws_autoscaling_group.this.name
}

output "security_group_id" {
  description = "Of the hosts."
  value       = aws_security_group.this.id
}

output "role_name" {
  description = "Of the hosts, for a policy that a team adds."
  value       = aws_iam_role.this.name
}
