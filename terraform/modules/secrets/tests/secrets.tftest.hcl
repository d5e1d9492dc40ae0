mock_provider "aws" {}

variables {
  prefix = "plane/staging"
  names  = ["database_url", "secret_key"]
}

run "names_without_values" {
  assert {
    condition     = aws_secretsmanager_secret.this["database_url"].name == "plane/staging/database_url"
    error_message = "prefix and name"
  }
  assert {
    condition     = aws_secretsmanager_secret.this["secret_key"].recovery_window_in_days == 30
    error_message = "a deleted secret can be brought back"
  }
  assert {
    condition     = toset(keys(output.arns)) == toset(["database_url", "secret_key"])
    error_message = "an ARN for each"
  }
}

run "a_blank_in_the_prefix_is_refused" {
  command = plan
  variables { prefix = "plane/my staging" }
  expect_failures = [var.prefix]
}

run "no_name_is_refused" {
  command = plan
  variables { names = [] }
  expect_failures = [var.names]
}

run "a_recovery_that_is_too_short_is_refused" {
  command = plan
  variables { recovery_days = 0 }
  expect_failures = [var.recovery_days]
}
