locals {
  root   = "${path.module}/../../.."
  folder = "${local.root}/inventories/${var.environment}"
  groups = yamldecode(file("${local.folder}/hosts.yml"))
  tiers  = yamldecode(file("${local.root}/ansible/vars/tiers.yml")).plane_tiers

  # vault.yml is encrypted, and holds nothing that the infrastructure needs.
  given = merge([
    for name in fileset("${local.folder}/group_vars/${var.environment}", "*.yml") :
    yamldecode(file("${local.folder}/group_vars/${var.environment}/${name}")) if name != "vault.yml"
  ]...)

  names = [for name in ["plane_api", "plane_graphql"] : name if contains(keys(local.groups), name)]
  # As Ansible has it: the role's default, unless the inventory says otherwise.
  settings = {
    for service in local.names : service => merge(
      {
        for name, value in yamldecode(file("${local.root}/ansible/roles/${service}/defaults/main.yml")) :
        trimprefix(name, "${service}_") => value
      },
      { for name, value in local.given : trimprefix(name, "${service}_") => value if startswith(name, "${service}_") },
    )
  }
  mebibytes = { MiB = 1, GiB = 1024 }

  services = {
    for service, set in local.settings : service => {
      tier         = set.tier
      worker_class = set.worker_class == "gthread" ? "gthread" : "uvicorn"
      # A default that is a template names the tier's row.
      workers       = try(tonumber(set.workers), local.tiers[set.tier].workers)
      threads       = try(tonumber(set.threads), local.tiers[set.tier].threads)
      cpu           = try(tonumber(set.cpu_limit), local.tiers[set.tier].cpu)
      memory_mib    = local.memory[service]
      slots         = set.slots
      heavy_slots   = sum(concat([0], [for route in set.heavy_routes : route.slots]))
      port          = set.port
      health_path   = set.health_path
      timeout       = set.timeout
      grace_seconds = set.grace_seconds
      queue_timeout = max(set.queue_timeout, [for route in set.heavy_routes : try(route.queue_timeout, set.queue_timeout)]...)
      change        = set.change
      replicas = {
        min = local.tiers[set.tier].replicas_min
        max = local.tiers[set.tier].replicas_max
      }
    }
  }

  memory_text = {
    for service, set in local.settings : service =>
    startswith(set.memory_limit, "{{") ? local.tiers[set.tier].memory : set.memory_limit
  }
  memory = {
    for service, text in local.memory_text : service =>
    tonumber(regex("^[0-9]+", text)) * local.mebibytes[regex("[MG]iB$", text)]
  }
}
