variables {
  workers     = 2
  threads     = 8
  heavy_slots = 2
}

run "the_proposals_model_with_bounded_heavy_slots" {
  command = plan

  assert {
    condition     = output.slots == 16
    error_message = "2 workers of 8 threads"
  }
  assert {
    condition     = output.rest_mib == 287
    error_message = "two warm workers were measured at 287 MB"
  }
  assert {
    condition     = output.change_mib == output.rest_mib + output.peak_mib && output.peak_mib > output.rest_mib
    error_message = "two colours during a change"
  }
  assert {
    condition     = output.database_connections == 16
    error_message = "one for each slot"
  }
}

run "preload_shares_memory" {
  command = plan
  variables { preload = true }

  assert {
    condition     = output.rest_mib == 194
    error_message = "measured at 194 MB"
  }
}

run "no_worker_is_refused" {
  command = plan
  variables { workers = 0 }
  expect_failures = [var.workers]
}

run "half_a_thread_is_refused" {
  command = plan
  variables { threads = 1.5 }
  expect_failures = [var.threads]
}

run "no_slot_is_refused" {
  command = plan
  variables {
    slots       = 0
    heavy_slots = 0
  }
  expect_failures = [var.slots]
}

run "more_heavy_slots_than_slots_are_refused" {
  command = plan
  variables { heavy_slots = 17 }
  expect_failures = [var.heavy_slots]
}
