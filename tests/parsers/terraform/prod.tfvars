# Values for production.
environment = "prod"
region      = "eu-west-2"
sandbox     = false
replicas    = 3
ssh_keys    = []

peers = {
  bank   = { enabled = true, cidr_blocks = ["192.0.2.0/28"] }
  postal = { enabled = false, cidr_blocks = [] }
}

databases = {
  shop = {
    version = "15.6"
    storage = 200
    memory  = 16
  }
}
