# Reads files and computes; needs no provider.
terraform {
  required_version = ">= 1.11"
}
