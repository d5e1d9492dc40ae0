variable "name" {
  description = "The environment, a folder of inventories/."
  type        = string
  nullable    = false
}

variable "site" {
  description = "What the account has already: network, image, certificate, database."
  type = object({
    region               = string
    vpc_id               = string
    host_subnet_ids      = list(string)
    image_id             = string
    alarm_topic_arn      = string
    client_cidrs         = optional(list(string), ["0.0.0.0/0"])
    kms_key_arn          = optional(string)
    agent_namespace      = optional(string)
    bundle               = optional(object({ bucket = string, key = string, sha256 = string }))
    data_stores          = optional(map(object({ security_group_id = string, port = number })), {})
    database_connections = number
    # Only with a load balancer.
    load_balancer_subnet_ids = optional(list(string), [])
    certificate_arn          = optional(string)
    access_logs_bucket       = optional(string)
    web_acl_arn              = optional(string)
  })
  nullable = false

  validation {
    condition     = var.site.database_connections >= 1
    error_message = "site.database_connections is ${var.site.database_connections}. Allowed: what the database allows this environment, at least 1."
  }
}

variable "instance_types" {
  description = "Types of instance for each fleet, the best first."
  type        = list(string)
  nullable    = false
}

variable "disk_gib" {
  description = "Size of a host's root disk, in GiB."
  type        = number
  default     = 30
  nullable    = false
}

variable "load_balancer" {
  description = "Whether there is one. Without, clients reach the proxy on the machine."
  type        = bool
  default     = true
  nullable    = false
}

variable "protected" {
  description = "Whether AWS refuses to delete the load balancer."
  type        = bool
  default     = true
  nullable    = false
}

variable "replicas" {
  description = "Hosts of each fleet; null for those of the tier."
  type        = object({ min = number, max = number })
  default     = null
}

variable "routes" {
  description = "Service -> its paths. What no service names goes to plane_api."
  type        = map(list(string))
  default     = { plane_api = ["/marketplace/*"], plane_graphql = ["/graphql/*"] }
  nullable    = false
}

variable "service_seconds" {
  description = "Service -> how long a request holds its slot, on average. Replace by what you measure."
  type        = map(number)
  default     = { plane_api = 0.12, plane_graphql = 0.12 }
  nullable    = false
}
