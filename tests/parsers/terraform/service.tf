locals {
  tags = {
    Environment = var.environment
    ManagedBy   = "terraform"
  }

  replicas  = var.environment == "prod" ? 3 : 1
  is_prod   = contains(["prod", "dr"], var.environment) && !var.sandbox
  ratio     = (local.replicas + 1) * 0.5
  negative  = -1
  zones     = [for zone in data.aws_availability_zones.all.names : upper(zone) if zone != "eu-west-2c"]
  by_team   = { for name, app in var.apps : app.team => name... }
  addresses = aws_instance.web[*].private_ip
  legacy    = aws_instance.web.*.id
  first     = aws_instance.web.0.id
  nothing   = null
  nested    = [[1, 2], [3, [4, { five = 5, "six seven" = [] }]], {}]
  computed = {
    (var.key)          = "by key"
    "${var.prefix}-id" = var.id
    literal : "colon"
  }
  long = (
    var.a == "" ||
    var.b != "" # either
  ) ? "one" : "two"
}

variable "environment" {
  description = "Which one: dev, test or prod"
  type        = string
  nullable    = false

  validation {
    condition     = contains(["dev", "test", "prod"], var.environment)
    error_message = "Must be dev, test or prod."
  }
}

variable "peers" {
  type = map(object({
    enabled     = optional(bool, true)
    cidr_blocks = list(string)
  }))
  default = {}
}

module "database" {
  source  = "terraform-aws-modules/rds/aws"
  version = "6.5.2"

  for_each = var.databases

  identifier        = "${each.key}-${var.environment}"
  engine_version    = each.value.version
  allocated_storage = max(20, each.value.storage)
  password          = random_password.database[each.key].result
  parameters = [
    { name = "log_connections", value = "1" },
    { name = "shared_buffers", value = "${each.value.memory * 0.25}GB" },
  ]

  providers = {
    aws = aws.us
  }

  depends_on = [aws_security_group.database, module.network]
}

resource "kubernetes_deployment" "shop" {
  metadata {
    name      = "shop"
    namespace = var.namespace
  }

  spec {
    replicas = local.replicas

    template {
      spec {
        container {
          name  = "shop"
          image = "registry.acme.example/shop:${var.image_tag}"

          env {
            name  = "DATABASE_URL"
            value = "postgres://${module.database["shop"].username}@${module.database["shop"].endpoint}/shop"
          }

          env {
            name  = "PRICE"
            value = "$${not_a_template} costs 100%"
          }
        }

        container {
          name  = "proxy"
          image = "envoy:1.30.1"
        }
      }
    }
  }

  provisioner "local-exec" {
    command = "echo ${self.metadata[0].name} >> deployed.txt"
    when    = destroy
  }
}

output "endpoint" {
  value       = one(module.database["shop"][*].endpoint)
  description = "Where the database listens"
  sensitive   = true
}

output "summary" {
  value = "%{if local.is_prod}production%{else}test%{endif} in %{for zone in local.zones~} ${zone} %{~endfor}"
}

check "health" {
  data "http" "shop" {
    url = "https://shop.acme.example/healthz"
  }

  assert {
    condition     = data.http.shop.status_code == 200
    error_message = "${data.http.shop.url} answers ${data.http.shop.status_code}"
  }
}

import {
  to = aws_s3_bucket.logs
  id = "acme-logs"
}

removed {
  from = aws_instance.old

  lifecycle {
    destroy = false
  }
}
