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
