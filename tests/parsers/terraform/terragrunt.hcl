include "root" {
  path = find_in_parent_folders()
}

terraform {
  source = "git::https://git.acme.example/modules.git//network?ref=v4.2.0"
}

dependency "vpc" {
  config_path = "../vpc"

  mock_outputs = {
    vpc_id = "vpc-00000000"
  }
}

inputs = {
  vpc_id      = dependency.vpc.outputs.vpc_id
  environment = "prod"
}
