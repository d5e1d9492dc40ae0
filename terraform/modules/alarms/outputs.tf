output "requests_per_minute" {
  description = "What one host serves at the wanted utilisation; the group grows above it."
  value       = local.requests_per_minute
}
