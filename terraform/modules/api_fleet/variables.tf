variable "name" {
  description = "Name of the fleet and of its parts, for example plane-staging-api."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,40}$", var.name))
    error_message = "name is '${var.name}'. Allowed: a-z, 0-9 and -, at most 41 of them."
  }
}

variable "services" {
  description = "Service -> the port that admission listens on. More than one: each host runs all of them."
  type        = map(number)
  nullable    = false

  validation {
    condition     = length(var.services) > 0 && length(setsubtract(keys(var.services), ["plane_api", "plane_graphql"])) == 0
    error_message = "services is [${join(", ", keys(var.services))}]. Allowed: plane_api, plane_graphql or both; these are groups of the inventory."
  }

  validation {
    condition     = alltrue([for port in values(var.services) : port >= 1024 && port <= 65535 && floor(port) == port])
    error_message = "services has the ports ${join(", ", values(var.services))}. Allowed: whole numbers from 1024 to 65535."
  }
}

variable "image_id" {
  description = "The machine image: Debian with Python 3.12 or newer, HAProxy and the agent of SSM."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^ami-[0-9a-f]+$", var.image_id))
    error_message = "image_id is '${var.image_id}'. Allowed: ami- and hexadecimal digits."
  }
}

variable "instance_types" {
  description = "Types of instance that are equally good, the best first: where one is not to be had, the next is taken."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.instance_types) > 0
    error_message = "instance_types is empty. Allowed: at least one type."
  }
}

variable "needs" {
  description = "What the services of one host take together, from their tiers."
  type = object({
    cpu        = number
    memory_mib = number
    # For the system, admission and the page cache, beside the limits of the services.
    reserve_mib = optional(number, 1024)
  })
  nullable = false
}

variable "replicas" {
  description = "Hosts, at least and at most."
  type        = object({ min = number, max = number })
  nullable    = false

  validation {
    condition     = var.replicas.min >= 1 && var.replicas.max >= var.replicas.min
    error_message = "replicas is ${var.replicas.min} to ${var.replicas.max}. Allowed: at least 1, and a most that is no less."
  }
}

variable "vpc_id" {
  description = "The network; it exists already."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Subnets of the hosts."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "subnet_ids is empty. Allowed: at least one subnet."
  }
}

variable "load_balancer" {
  description = "What the hosts stand behind; null where they are reached themselves."
  type = object({
    security_group_id = string
    # Service -> target group.
    target_group_arns = map(string)
    # Whose X-Forwarded-* headers admission believes.
    cidrs = list(string)
  })
  default = null

  validation {
    condition     = var.load_balancer == null ? true : toset(keys(var.load_balancer.target_group_arns)) == toset(keys(var.services))
    error_message = "load_balancer has target groups for [${try(join(", ", keys(var.load_balancer.target_group_arns)), "")}]. Allowed: one for each of services, ${join(", ", keys(var.services))}."
  }
}

variable "client_cidrs" {
  description = "Who reaches port 443 of the hosts themselves, where a proxy on the host answers. Empty behind a load balancer."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.client_cidrs) == 0 || var.load_balancer == null
    error_message = "client_cidrs is [${join(", ", var.client_cidrs)}]. Allowed: empty behind a load balancer, or clients would pass it by."
  }
}

variable "data_stores" {
  description = "Name -> an existing database, cache or broker that the hosts reach: its security group and port."
  type        = map(object({ security_group_id = string, port = number }))
  default     = {}
  nullable    = false
}

variable "disk_gib" {
  description = "Size of the root disk, in GiB."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.disk_gib >= 10
    error_message = "disk_gib is ${var.disk_gib}. Allowed: at least 10."
  }
}

variable "agent_namespace" {
  description = "Namespace of CloudWatch into which the hosts may publish how full they are; null for none."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "Key of the disks; null for the account's own key."
  type        = string
  default     = null
}

variable "health_grace_seconds" {
  description = "How long a new host may take until it serves: boot, configuration, warm-up. After that a host that does not serve is replaced."
  type        = number
  default     = 1800
  nullable    = false

  validation {
    condition     = var.health_grace_seconds >= 60 && var.health_grace_seconds <= 7200
    error_message = "health_grace_seconds is ${var.health_grace_seconds}. Allowed: from 60 to 7200, which is what a lifecycle hook can wait."
  }
}

variable "grace_seconds" {
  description = "How long a host that was taken out of service is kept, so that what it still answers ends."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.grace_seconds >= 30 && var.grace_seconds <= 7200
    error_message = "grace_seconds is ${var.grace_seconds}. Allowed: from 30 to 7200, as a lifecycle hook has it."
  }
}

variable "bundle" {
  description = "An archive of this repository with which a new host configures itself. Null: hosts wait for Ansible."
  type = object({
    bucket = string
    key    = string
    sha256 = string
  })
  default = null

  validation {
    condition     = var.bundle == null ? true : can(regex("^[0-9a-f]{64}$", var.bundle.sha256))
    error_message = "bundle.sha256 is '${try(var.bundle.sha256, "")}'. Allowed: 64 hexadecimal digits, as sha256sum prints them."
  }
}

variable "secret_arns" {
  description = "Secrets that a host reads which configures itself; without bundle it may read none."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "environment" {
  description = "The environment, as the inventories name it."
  type        = string
  nullable    = false
}
