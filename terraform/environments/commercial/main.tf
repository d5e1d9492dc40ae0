terraform {
  required_version = ">= 1.11"

  # Bucket and region: terraform init -backend-config=...; one run at a time holds the lock.
  backend "s3" {
    key          = "plane/commercial.tfstate"
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
    tags = { project = "plane", environment = "commercial" }
  }
}

module "environment" {
  source = "../../modules/environment"

  name           = "commercial"
  site           = var.site
  instance_types = ["m6i.large", "m6a.large", "m5.large"]
  # One machine, whose own proxy answers on 443.
  load_balancer = false
  replicas      = { min = 1, max = 1 }
}

output "environment" {
  description = "Capacity, database connections, and where the load balancer is."
  value       = module.environment
}
