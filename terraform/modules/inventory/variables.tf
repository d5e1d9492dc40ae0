variable "environment" {
  description = "The environment, a folder of inventories/."
  type        = string
  nullable    = false

  validation {
    condition     = fileexists("${path.module}/../../../inventories/${var.environment}/hosts.yml")
    error_message = "environment is '${var.environment}'. Allowed: a folder of inventories/ that holds a hosts.yml."
  }
}
