mock_provider "aws" {
  mock_data "aws_ec2_instance_type" {
    defaults = {
      default_vcpus = 2
      memory_size   = 8192
    }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_subnet" {
    defaults = { cidr_block = "192.0.2.0/28" }
  }
  mock_data "aws_default_tags" {
    defaults = { tags = {} }
  }
}

variables {
  name           = "cloud"
  instance_types = ["m6i.large"]
  site = {
    region                   = "eu-west-1"
    vpc_id                   = "vpc-1"
    host_subnet_ids          = ["subnet-1", "subnet-2"]
    load_balancer_subnet_ids = ["subnet-3", "subnet-4"]
    image_id                 = "ami-0123456789abcdef0"
    certificate_arn          = "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
    access_logs_bucket       = "logs"
    alarm_topic_arn          = "arn:aws:sns:eu-west-1:123456789012:plane"
    database_connections     = 432
  }
}

run "cloud_is_a_fleet_for_each_service" {
  command = plan

  assert {
    condition     = output.capacity.plane_api.slots == 24 && output.capacity.plane_graphql.slots == 48
    error_message = "3 workers of 8 threads; the inventory's slots"
  }
  assert {
    condition     = output.capacity.plane_api.hosts == { min = 3, max = 5 }
    error_message = "the tier's replicas"
  }
  assert {
    condition     = output.database_connections == 6 * (24 + 48)
    error_message = "5 hosts and the one that a refresh adds"
  }
  assert {
    condition     = length(output.secrets) == 5
    error_message = "what the inventories take from a vault"
  }
}

# A host: 730 x 0.096 + 30 x 0.08 + 2.10; beside them 730 x (0.0225 + 0.008 + 2 x 0.005) + 5 x 0.40 + 8 x 0.10.
run "a_month_has_a_price" {
  command = plan

  assert {
    condition     = output.monthly_usd.hosts == { least = 6, most = 10 }
    error_message = "two fleets of 3 to 5"
  }
  assert {
    condition     = abs(output.monthly_usd.least - (6 * 74.58 + 32.365)) < 0.001
    error_message = "6 hosts: ${output.monthly_usd.least}"
  }
  assert {
    condition     = abs(output.monthly_usd.most - (10 * 74.58 + 32.365)) < 0.001
    error_message = "10 hosts: ${output.monthly_usd.most}"
  }
  assert {
    condition     = abs(output.capacity.plane_api.requests_per_second - 3 * floor(24 * 0.6 * 60 / 0.12) / 60) < 0.001
    error_message = "3 hosts of 24 slots, 6 of 10 busy, 0.12 s each: ${output.capacity.plane_api.requests_per_second}"
  }
}

run "a_type_that_nobody_knows_the_price_of_has_none" {
  command = plan
  variables { instance_types = ["m7i.large"] }

  assert {
    condition     = output.monthly_usd.least == null && output.monthly_usd.most == null
    error_message = "no price is better than a wrong one"
  }
}

run "commercial_is_one_fleet_of_both" {
  command = plan
  variables { name = "commercial" }

  assert {
    condition     = output.capacity.plane_api.hosts == output.capacity.plane_graphql.hosts
    error_message = "one fleet"
  }
}

run "a_database_with_one_connection_too_few_is_refused" {
  command = plan
  variables {
    site = {
      region                   = "eu-west-1"
      vpc_id                   = "vpc-1"
      host_subnet_ids          = ["subnet-1", "subnet-2"]
      load_balancer_subnet_ids = ["subnet-3", "subnet-4"]
      image_id                 = "ami-0123456789abcdef0"
      certificate_arn          = "arn:aws:acm:eu-west-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
      access_logs_bucket       = "logs"
      alarm_topic_arn          = "arn:aws:sns:eu-west-1:123456789012:plane"
      database_connections     = 431
    }
  }
  expect_failures = [output.database_connections]
}

# The peak alone would fit, the instance that a change prepares does not: 200 slots are 320 MiB.
run "a_model_that_does_not_fit_its_limit_is_refused" {
  command = plan

  override_module {
    target = module.inventory
    outputs = {
      services = {
        plane_api = {
          tier        = "low", worker_class = "gthread", workers = 5, threads = 40, cpu = 1, memory_mib = 1700, slots = null,
          heavy_slots = 2, port = 8000, health_path = "/", timeout = 30, grace_seconds = 30, queue_timeout = 20,
          change      = "start-first", replicas = { min = 1, max = 1 }
        }
      }
      shares_hosts       = false
      secret_names       = ["secret_key"]
      keep_alive_seconds = 60
    }
  }
  expect_failures = [output.capacity]
}

run "the_same_model_fits_when_the_old_instance_stops_first" {
  command = plan

  override_module {
    target = module.inventory
    outputs = {
      services = {
        plane_api = {
          tier        = "low", worker_class = "gthread", workers = 5, threads = 40, cpu = 1, memory_mib = 1700, slots = null,
          heavy_slots = 2, port = 8000, health_path = "/", timeout = 30, grace_seconds = 30, queue_timeout = 20,
          change      = "stop-first", replicas = { min = 1, max = 1 }
        }
      }
      shares_hosts       = false
      secret_names       = ["secret_key"]
      keep_alive_seconds = 60
    }
  }

  assert {
    condition     = output.capacity.plane_api.needed_mib == 1092
    error_message = "one instance at a time"
  }
}

run "a_tier_without_a_most_asks_for_one" {
  command = plan

  override_module {
    target = module.inventory
    outputs = {
      services = {
        plane_api = {
          tier        = "high", worker_class = "gthread", workers = 2, threads = 8, cpu = 1, memory_mib = 2048, slots = null,
          heavy_slots = 2, port = 8000, health_path = "/", timeout = 30, grace_seconds = 30, queue_timeout = 20,
          change      = "start-first", replicas = { min = 5, max = null }
        }
      }
      shares_hosts       = false
      secret_names       = ["secret_key"]
      keep_alive_seconds = 60
    }
  }
  expect_failures = [output.capacity]
}
