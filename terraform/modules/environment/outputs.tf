output "capacity" {
  description = "Service -> what it can take: slots of a host, hosts, requests a second of the fewest hosts at the wanted utilisation."
  value = {
    for name, service in local.services : name => {
      tier                = service.tier
      slots               = module.sizing[name].slots
      hosts               = local.replicas[local.fleet_of[name]]
      memory_mib          = service.memory_mib
      needed_mib          = local.needs[name]
      service_seconds     = var.service_seconds[name]
      requests_per_second = module.alarms[name].requests_per_minute / 60 * local.replicas[local.fleet_of[name]].min
    }
  }

  precondition {
    condition = length(local.too_large) == 0
    error_message = join(" ", [
      for name, service in local.too_large :
      "${name} needs ${ceil(local.needs[name])} MiB with ${service.workers} workers, ${service.threads} threads and ${service.heavy_slots} heavy slots (${service.change}), its limit is ${service.memory_mib} MiB. Allowed: a model that fits, see make size; or a larger limit. Change it in inventories/${var.name}/group_vars/${var.name}/."
    ])
  }

  precondition {
    condition     = length(local.endless) == 0
    error_message = "replicas is null, and the tier of ${join(", ", local.endless)} has no most. Allowed: replicas with min and max."
  }
}

output "database_connections" {
  description = "What all services open at the most, while each fleet has one host more."
  value       = local.database_connections

  precondition {
    condition     = local.database_connections <= var.site.database_connections
    error_message = "All services together open ${local.database_connections} connections (hosts at the most, and one more during a refresh, times slots), site.database_connections is ${var.site.database_connections}. Allowed: fewer hosts or slots, a larger database, or a pool in front of it."
  }
}

output "monthly_usd" {
  description = "A month's price at the fewest and at the most hosts; null where terraform/prices.yml does not know the type. Beside it: what it was computed from."
  value = {
    least         = local.fleet_month == null ? null : local.fixed_month + local.hosts.least * local.fleet_month
    most          = local.fleet_month == null ? null : local.fixed_month + local.hosts.most * local.fleet_month
    hosts         = local.hosts
    instance_type = var.instance_types[0]
    prices        = "${local.prices.region}, ${local.prices.as_of}, ${local.prices.source}"
  }
}

output "dns_name" {
  description = "Of the load balancer; null without."
  value       = one(module.load_balancer[*].dns_name)
}

output "secrets" {
  description = "Names of the secrets, to be filled before the first run of Ansible."
  value       = keys(module.secrets.arns)
}
