variable "prefix" {
  description = "What every name starts with, for example plane/staging."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9_-]+(/[a-z0-9_-]+)*$", var.prefix))
    error_message = "prefix is '${var.prefix}'. Allowed: words of a-z, 0-9, _ and -, parted by single slashes."
  }
}

variable "names" {
  description = "Secrets to make room for; whoever owns a value writes it."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.names) > 0 && alltrue([for name in var.names : can(regex("^[a-z0-9_]+$", name))])
    error_message = "names is [${join(", ", var.names)}]. Allowed: at least one, each of a-z, 0-9 and _."
  }
}

variable "kms_key_id" {
  description = "Key that encrypts the values; null for the account's own key of Secrets Manager."
  type        = string
  default     = null
}

variable "recovery_days" {
  description = "How long a deleted secret can be brought back, in days."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.recovery_days >= 7 && var.recovery_days <= 30
    error_message = "recovery_days is ${var.recovery_days}. Allowed: from 7 to 30."
  }
}
