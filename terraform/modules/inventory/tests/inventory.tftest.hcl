run "staging_runs_the_tier_low_on_hosts_of_their_own" {
  command = plan
  variables { environment = "staging" }

  assert {
    condition     = toset(keys(output.services)) == toset(["plane_api", "plane_graphql"])
    error_message = "both services"
  }
  assert {
    condition     = output.services.plane_api.workers == 2 && output.services.plane_api.threads == 8
    error_message = "the proposal's staging model, 2 workers of 8 threads"
  }
  assert {
    condition     = output.services.plane_api.worker_class == "gthread" && output.services.plane_graphql.worker_class == "uvicorn"
    error_message = "the REST service is WSGI, an unset class is uvicorn"
  }
  assert {
    condition     = output.services.plane_api.memory_mib == 2048 && output.services.plane_api.heavy_slots == 2
    error_message = "2 GiB, and 2 slots for page descriptions"
  }
  assert {
    condition     = output.services.plane_api.queue_timeout == 20 && output.services.plane_graphql.queue_timeout == 10
    error_message = "the longest queue is that of the heavy route"
  }
  assert {
    condition     = !output.shares_hosts
    error_message = "GraphQL has hosts of its own"
  }
  assert {
    condition     = contains(output.secret_names, "database_url") && length(output.secret_names) == 5
    error_message = "five secrets"
  }
  assert {
    condition     = output.keep_alive_seconds == 60
    error_message = "of haproxy.cfg.j2"
  }
}

run "the_inventory_wins_over_the_default" {
  command = plan
  variables { environment = "cloud" }

  assert {
    condition     = output.services.plane_api.tier == "medium" && output.services.plane_api.workers == 3 && output.services.plane_api.memory_mib == 4096
    error_message = "the row of medium"
  }
  assert {
    condition     = output.services.plane_graphql.slots == 48
    error_message = "the inventory's slots, not the role's 32"
  }
}

run "commercial_runs_both_services_on_one_host" {
  command = plan
  variables { environment = "commercial" }

  assert {
    condition     = output.shares_hosts
    error_message = "every host of GraphQL is one of REST"
  }
}

run "community_has_no_graphql" {
  command = plan
  variables { environment = "community" }

  assert {
    condition     = keys(output.services) == ["plane_api"] && !output.shares_hosts
    error_message = "REST alone"
  }
}

run "an_unknown_environment_is_refused" {
  command = plan
  variables { environment = "production" }
  expect_failures = [var.environment]
}
