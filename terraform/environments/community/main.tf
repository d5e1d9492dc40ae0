terraform {
  required_version = ">= 1.11"

  # Bucket and region: terraform init -backend-config=...; one run at a time holds the lock.
  backend "s3" {
    key          = "plane/community.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

variable "site" {
  description = "What the account has already; the module environment describes it."
  type        = any
}

provider "aws" {
  region = var.site.region

  default_tags {
    tags = { project = "plane", environment = "community" }
  }
}

module "environment" {
  source = "../../modules/environment"

  name           = "community"
  site           = var.site
  instance_types = ["t3.medium", "t3a.medium"]
  # One machine, whose own proxy answers on 443.
  load_balancer = false
  replicas      = { min = 1, max = 1 }
}

output "environment" {
  description = "Capacity, database connections, and where the load balancer is."
  value       = module.environment
}
