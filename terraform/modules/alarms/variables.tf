variable "name" {
  description = "What the names of the alarms start with, for example plane-staging-plane_api."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "The environment, a dimension of the agent's metrics."
  type        = string
  nullable    = false
}

variable "service" {
  description = "The service, a dimension of the agent's metrics."
  type        = string
  nullable    = false
}

variable "autoscaling_group_name" {
  description = "The group that the alarms watch and scale."
  type        = string
  nullable    = false
}

variable "scales" {
  description = "Whether the group may grow: its most is above its least."
  type        = bool
  nullable    = false
}

variable "load_balancer" {
  description = "Names in metrics of the load balancer and of the service's target group; null without a load balancer."
  type        = object({ arn_suffix = string, target_group_arn_suffix = string })
  default     = null
}

variable "slots" {
  description = "Requests that one host runs at once."
  type        = number
  nullable    = false

  validation {
    condition     = var.slots >= 1
    error_message = "slots is ${var.slots}. Allowed: at least 1."
  }
}

variable "service_seconds" {
  description = "How long a request holds its slot, on average, in seconds. Measure it."
  type        = number
  nullable    = false

  validation {
    condition     = var.service_seconds > 0 && var.service_seconds <= 60
    error_message = "service_seconds is ${var.service_seconds}. Allowed: above 0, at most 60."
  }
}

variable "utilisation" {
  description = "The share of the slots that is busy when a host is as full as it should be."
  type        = number
  default     = 0.6
  nullable    = false

  validation {
    condition     = var.utilisation > 0 && var.utilisation < 1
    error_message = "utilisation is ${var.utilisation}. Allowed: above 0 and below 1, where a queue grows without end."
  }
}

variable "queue_timeout" {
  description = "The longest wait in admission's queue, in seconds."
  type        = number
  nullable    = false
}

variable "topic_arn" {
  description = "Who is told; a topic that exists already."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[^:]+:sns:", var.topic_arn))
    error_message = "topic_arn is '${var.topic_arn}'. Allowed: an ARN of SNS."
  }
}

variable "agent_namespace" {
  description = "Namespace of an agent that publishes MemoryUsedPercent and QueueTimeSeconds with the dimensions Environment and Service. Null: there is none, and no alarm that nothing could raise."
  type        = string
  default     = null
}
