# The oldest versions that the tests run with; newer ones are allowed. Why no lock file is kept: terraform/README.md.
terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100"
    }
  }
}
