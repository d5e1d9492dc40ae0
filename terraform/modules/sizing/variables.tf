variable "workers" {
  description = "Processes of one instance."
  type        = number
  nullable    = false

  validation {
    condition     = var.workers >= 1 && var.workers <= 128 && floor(var.workers) == var.workers
    error_message = "workers is ${var.workers}. Allowed: a whole number from 1 to 128."
  }
}

variable "threads" {
  description = "Threads of each worker."
  type        = number
  nullable    = false

  validation {
    condition     = var.threads >= 1 && var.threads <= 512 && floor(var.threads) == var.threads
    error_message = "threads is ${var.threads}. Allowed: a whole number from 1 to 512."
  }
}

variable "slots" {
  description = "Requests inside gunicorn at once; null for workers x threads."
  type        = number
  default     = null

  validation {
    condition     = var.slots == null ? true : var.slots >= 1
    error_message = "slots is ${coalesce(var.slots, 0)}. Allowed: null, or a whole number from 1."
  }
}

variable "heavy_slots" {
  description = "How many of the slots the heavy routes may take."
  type        = number
  nullable    = false

  validation {
    condition     = var.heavy_slots >= 0 && var.heavy_slots <= coalesce(var.slots, var.workers * var.threads)
    error_message = "heavy_slots is ${var.heavy_slots}. Allowed: from 0 to all slots, ${coalesce(var.slots, var.workers * var.threads)}."
  }
}

variable "heavy_payload_mib" {
  description = "Size of the largest heavy answer, in MiB."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.heavy_payload_mib >= 0
    error_message = "heavy_payload_mib is ${var.heavy_payload_mib}. Allowed: a number from 0."
  }
}

variable "preload" {
  description = "Whether the application is loaded before the fork. False is the safe assumption: a check on the host decides."
  type        = bool
  default     = false
  nullable    = false
}

variable "replicas" {
  description = "Hosts of the service."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.replicas >= 1 && floor(var.replicas) == var.replicas
    error_message = "replicas is ${var.replicas}. Allowed: a whole number from 1."
  }
}
