output "slots" {
  description = "Requests that one host runs at once."
  value       = local.slots
}

output "rest_mib" {
  description = "Memory of one warm instance without a request, in MiB."
  value       = local.rest
}

output "peak_mib" {
  description = "Memory of one instance with every slot busy, in MiB: the smallest limit with stop-first."
  value       = local.peak
}

output "change_mib" {
  description = "One instance at its peak beside one that is prepared, in MiB: the smallest limit with start-first."
  value       = local.peak + local.rest
}

output "database_connections" {
  description = "What all replicas open at the most; each busy request holds one."
  value       = var.replicas * local.slots
}
