# Names alone: a value that Terraform wrote would stand in the state.
resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:a rotation has to change the value in the database too, so it belongs to who owns that
  for_each = var.names

  name                    = "${var.prefix}/${each.key}"
  kms_key_id              = var.kms_key_id
  recovery_window_in_days = var.recovery_days
}
