# This file is maintained automatically by "terraform init".
# Manual edits may be lost in future updates.

provider "registry.terraform.io/hashicorp/aws" {
  version     = "5.40.0"
  constraints = "~> 5.40"
  hashes = [
    "h1:WtJrBRmFzrDsNrSoJcvqSyZMGNhrCZlTK9jVBVzxLQs=",
    "zh:11f177a2385703740bd32d0652186f4c4d3b8fe2ec1ba5aae3d9c4d1bb3aa8c4",
  ]
}

provider "registry.terraform.io/hashicorp/random" {
  version = "3.6.0"
}
