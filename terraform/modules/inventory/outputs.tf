output "services" {
  description = "Service -> its settings that infrastructure depends on; memory in MiB, times in seconds, slots null for workers x threads."
  value       = local.services
}

output "shares_hosts" {
  description = "Whether every host of the GraphQL service is one of the REST service too."
  value = (
    length(local.names) > 1 &&
    length(setsubtract(try(keys(local.groups.plane_graphql.hosts), []), keys(local.groups.plane_api.hosts))) == 0
  )
}

output "secret_names" {
  description = "What the roles need from a vault: the names in the inventories' vault.yml.example, without their prefix."
  value = distinct(flatten([
    for path in fileset(local.root, "inventories/*/group_vars/*/vault.yml.example") :
    [for name in keys(yamldecode(file("${local.root}/${path}"))) : trimprefix(name, "vault_plane_release_")]
  ]))
}

output "keep_alive_seconds" {
  description = "How long admission keeps an idle connection: a load balancer in front must give up first."
  value = tonumber(one(regex(
    "timeout http-keep-alive ([0-9]+)s", file("${local.root}/ansible/roles/admission/templates/haproxy.cfg.j2")
  )))
}
