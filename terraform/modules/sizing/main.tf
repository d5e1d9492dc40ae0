# The arithmetic of ansible/module_utils/process_model/sizing.py, with what was measured on real Plane (its MEASURED).
# tests/terraform/test_sizing.py holds the two against each other.
locals {
  master  = 7
  warm    = 140
  shared  = 93
  thread  = 0.1
  request = 1.5
  copies  = 6.5
  # As above, of one request in each worker at a time.
  transient = 0

  slots  = coalesce(var.slots, var.workers * var.threads)
  common = var.preload ? local.shared : 0
  rest   = local.master + local.common + var.workers * (local.warm - local.common)
  peak = (
    local.rest + local.slots * (local.thread + local.request) +
    local.copies * var.heavy_slots * var.heavy_payload_mib +
    local.transient * min(var.heavy_slots, var.workers) * var.heavy_payload_mib
  )
}
