variable "name" {
  description = "Name of the load balancer, and what the names of its parts start with."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}$", var.name))
    error_message = "name is '${var.name}'. Allowed: a-z, 0-9 and -, at most 23 of them: a target group adds its service, and AWS allows 32."
  }
}

variable "vpc_id" {
  description = "The network; it exists already."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Subnets of the load balancer, in at least two zones."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids has ${length(var.subnet_ids)}. Allowed: at least 2, in different zones."
  }
}

variable "client_cidrs" {
  description = "Who may reach port 443."
  type        = list(string)
  default     = ["0.0.0.0/0"]
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.client_cidrs : can(cidrhost(cidr, 0))])
    error_message = "client_cidrs is [${join(", ", var.client_cidrs)}]. Allowed: networks such as 192.0.2.0/24."
  }
}

variable "certificate_arn" {
  description = "The certificate of port 443."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[^:]+:acm:", var.certificate_arn))
    error_message = "certificate_arn is '${var.certificate_arn}'. Allowed: an ARN of ACM."
  }
}

variable "services" {
  description = "Service -> where it listens and which paths are its own."
  type = map(object({
    port         = number
    worker_class = string
    health_path  = optional(string, "/")
    paths        = optional(list(string), [])
    # Seconds: the longest wait in admission's queue, then what gunicorn allows a worker, then how long it stops.
    queue_timeout = number
    timeout       = number
    grace_seconds = number
  }))
  nullable = false

  validation {
    condition = alltrue([
      for service in values(var.services) :
      service.worker_class != "gthread" || !anytrue([for path in service.paths : startswith(path, "/graphql")])
    ])
    error_message = "services sends /graphql to ${join(", ", [
      for name, service in var.services : name if anytrue([for path in service.paths : startswith(path, "/graphql")])
    ])}, whose worker class is gthread. Allowed: a service whose worker class is uvicorn, because WSGI does not answer GraphQL."
  }

  validation {
    condition     = length(distinct([for service in values(var.services) : service.port])) == length(var.services)
    error_message = "services has the ports ${join(", ", [for name, service in var.services : "${name}: ${service.port}"])}. Allowed: a port of its own for each, or one would answer for the other."
  }

  validation {
    condition     = alltrue([for service in values(var.services) : length(service.paths) <= 5])
    error_message = "services has ${join(", ", [for name, service in var.services : "${length(service.paths)} paths for ${name}"])}. Allowed: at most 5, which is what one rule holds."
  }

  validation {
    condition     = alltrue([for service in values(var.services) : service.queue_timeout < service.timeout])
    error_message = "A queue waits longer than gunicorn's timeout: ${join(", ", [for name, service in var.services : "${name}: ${service.queue_timeout} and ${service.timeout}"])}. Allowed: a queue_timeout below timeout."
  }
}

variable "default_service" {
  description = "The service of every path that no other service has."
  type        = string
  nullable    = false

  validation {
    condition     = contains(keys(var.services), var.default_service)
    error_message = "default_service is '${var.default_service}'. Allowed: ${join(", ", keys(var.services))}."
  }
}

variable "client_timeout" {
  description = "How long clients wait for an answer, in seconds: the largest of all time limits."
  type        = number
  default     = 75
  nullable    = false
}

variable "keep_alive_seconds" {
  description = "How long admission on the hosts keeps an idle connection, in seconds."
  type        = number
  default     = 60
  nullable    = false
}

variable "idle_timeout" {
  description = "How long the load balancer waits for a byte, in seconds."
  type        = number
  default     = 55
  nullable    = false

  # Each part gives up before the one in front of it, so that an answer says who did.
  validation {
    condition     = var.idle_timeout < var.client_timeout
    error_message = "idle_timeout is ${var.idle_timeout}. Allowed: less than client_timeout, ${var.client_timeout}: or clients give up first, and try again beside their first request."
  }

  # A load balancer that sends a request on a connection that the host has just closed answers 502.
  validation {
    condition     = var.idle_timeout < var.keep_alive_seconds
    error_message = "idle_timeout is ${var.idle_timeout}. Allowed: less than keep_alive_seconds, ${var.keep_alive_seconds}, of admission."
  }

  validation {
    condition     = alltrue([for service in values(var.services) : var.idle_timeout > service.queue_timeout + service.timeout])
    error_message = "idle_timeout is ${var.idle_timeout}. Allowed: more than admission's queue and gunicorn's timeout together, ${join(", ", [for name, service in var.services : "${name}: ${service.queue_timeout} + ${service.timeout}"])}."
  }
}

variable "slow_start_seconds" {
  description = "Over how long a new host's share of the requests grows."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.slow_start_seconds == 0 || var.slow_start_seconds >= 30 && var.slow_start_seconds <= 900
    error_message = "slow_start_seconds is ${var.slow_start_seconds}. Allowed: 0 for none, or from 30 to 900."
  }
}

variable "access_logs_bucket" {
  description = "Bucket for the access log; it exists already, with the policy that AWS asks for."
  type        = string
  nullable    = false
}

variable "web_acl_arn" {
  description = "A WAF in front; null for none."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the load balancer."
  type        = bool
  default     = true
  nullable    = false
}
