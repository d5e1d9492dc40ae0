module "inventory" {
  source = "../inventory"

  environment = var.name
}

locals {
  prefix   = "plane-${var.name}"
  services = module.inventory.services
  # As the inventory has it: a service on hosts of its own, or both on each host.
  fleets = merge(
    { for name in keys(local.services) : trimprefix(name, "plane_") => [name] if !module.inventory.shares_hosts },
    { for name in ["api-graphql"] : name => keys(local.services) if module.inventory.shares_hosts },
  )
  fleet_of = merge([for fleet, names in local.fleets : { for name in names : name => fleet }]...)
  # The tier high has no most.
  endless = var.replicas == null ? [for name, service in local.services : name if service.replicas.max == null] : []
  replicas = {
    for fleet, names in local.fleets : fleet => {
      min = var.replicas == null ? max([for name in names : local.services[name].replicas.min]...) : var.replicas.min
      max = var.replicas == null ? max([for name in names : coalesce(local.services[name].replicas.max, local.services[name].replicas.min)]...) : var.replicas.max
    }
  }
}

module "sizing" {
  source   = "../sizing"
  for_each = local.services

  workers     = each.value.workers
  threads     = each.value.threads
  slots       = each.value.slots
  heavy_slots = each.value.heavy_slots
  # A refresh starts one host more before it stops one.
  replicas = local.replicas[local.fleet_of[each.key]].max + 1
}

locals {
  needs = {
    for name, service in local.services : name =>
    service.change == "start-first" ? module.sizing[name].change_mib : module.sizing[name].peak_mib
  }
  too_large            = { for name, service in local.services : name => service if local.needs[name] > service.memory_mib }
  database_connections = sum([for size in module.sizing : size.database_connections])
}

module "secrets" {
  source = "../secrets"

  prefix     = "plane/${var.name}"
  names      = module.inventory.secret_names
  kms_key_id = var.site.kms_key_arn
}

module "load_balancer" {
  source = "../load_balancer"
  count  = var.load_balancer ? 1 : 0

  name                = local.prefix
  vpc_id              = var.site.vpc_id
  subnet_ids          = var.site.load_balancer_subnet_ids
  client_cidrs        = var.site.client_cidrs
  certificate_arn     = var.site.certificate_arn
  access_logs_bucket  = var.site.access_logs_bucket
  web_acl_arn         = var.site.web_acl_arn
  default_service     = "plane_api"
  keep_alive_seconds  = module.inventory.keep_alive_seconds
  deletion_protection = var.protected
  services            = { for name, service in local.services : name => merge(service, { paths = lookup(var.routes, name, []) }) }
}

# Admission believes X-Forwarded-* from the subnets of the load balancer, whose addresses change.
data "aws_subnet" "load_balancer" {
  for_each = var.load_balancer ? toset(var.site.load_balancer_subnet_ids) : []

  id = each.key
}

module "fleet" {
  source   = "../api_fleet"
  for_each = local.fleets

  name           = "${local.prefix}-${each.key}"
  environment    = var.name
  services       = { for name in each.value : name => local.services[name].port }
  image_id       = var.site.image_id
  instance_types = var.instance_types
  needs = {
    cpu        = sum([for name in each.value : local.services[name].cpu])
    memory_mib = sum([for name in each.value : local.services[name].memory_mib])
  }
  disk_gib   = var.disk_gib
  replicas   = local.replicas[each.key]
  vpc_id     = var.site.vpc_id
  subnet_ids = var.site.host_subnet_ids
  load_balancer = one([
    for balancer in module.load_balancer : {
      security_group_id = balancer.security_group_id
      target_group_arns = { for name in each.value : name => balancer.target_groups[name].arn }
      cidrs             = sort([for subnet in data.aws_subnet.load_balancer : subnet.cidr_block])
    }
  ])
  client_cidrs    = var.load_balancer ? [] : var.site.client_cidrs
  data_stores     = var.site.data_stores
  kms_key_arn     = var.site.kms_key_arn
  grace_seconds   = max([for name in each.value : local.services[name].grace_seconds]...)
  bundle          = var.site.bundle
  agent_namespace = var.site.agent_namespace
  secret_arns     = values(module.secrets.arns)
}

module "alarms" {
  source   = "../alarms"
  for_each = local.services

  name                   = "${local.prefix}-${each.key}"
  environment            = var.name
  service                = each.key
  autoscaling_group_name = module.fleet[local.fleet_of[each.key]].autoscaling_group_name
  scales                 = local.replicas[local.fleet_of[each.key]].max > local.replicas[local.fleet_of[each.key]].min
  load_balancer = one([
    for balancer in module.load_balancer : {
      arn_suffix              = balancer.arn_suffix
      target_group_arn_suffix = balancer.target_groups[each.key].arn_suffix
    }
  ])
  slots           = module.sizing[each.key].slots
  service_seconds = var.service_seconds[each.key]
  queue_timeout   = each.value.queue_timeout
  topic_arn       = var.site.alarm_topic_arn
  agent_namespace = var.site.agent_namespace
}

# A month's price at the fewest and at the most hosts. Traffic, logs, requests and keys are not in it: they depend on use.
locals {
  prices = yamldecode(file("${path.module}/../../prices.yml")).plane_prices
  fleet_month = lookup(local.prices.instance_hour, var.instance_types[0], null) == null ? null : (
    local.prices.instance_hour[var.instance_types[0]] * local.prices.hours_a_month +
    var.disk_gib * local.prices.disk_gib_month + local.prices.detailed_monitoring_month
  )
  # One unit of capacity, and an address in each of its subnets.
  balancer_month = !var.load_balancer ? 0 : local.prices.hours_a_month * (
    local.prices.load_balancer_hour + local.prices.load_balancer_unit_hour +
    length(var.site.load_balancer_subnet_ids) * local.prices.public_address_hour
  )
  fixed_month = (
    local.balancer_month + length(module.secrets.arns) * local.prices.secret_month +
    sum([for alarm in module.alarms : alarm.count]) * local.prices.alarm_month
  )
  hosts = {
    least = sum([for fleet in local.replicas : fleet.min])
    most  = sum([for fleet in local.replicas : fleet.max])
  }
}
