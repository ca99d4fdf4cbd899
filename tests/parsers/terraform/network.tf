# The network of the shop: who may reach what.

terraform {
  required_version = ">= 1.5.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.40"
    }
  }

  backend "s3" {
    bucket         = "acme-terraform-state"
    key            = "network/terraform.tfstate"
    region         = "eu-west-2"
    dynamodb_table = "terraform-locks"
    encrypt        = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Owner                       = "platform@acme.example"
      "acme.example/cost-centre"  = "4711"
    }
  }
}

provider "aws" {
  alias  = "us"
  region = "us-east-1" // certificates for the CDN
}

data "aws_vpc" "main" {
  filter {
    name   = "tag:Name"
    values = ["main-${var.environment}"]
  }
}

data "aws_subnets" "private" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.main.id]
  }

  tags = { Tier = "private" }
}

/*
 * One rule for each peer. Rules that are no longer needed are removed here first.
 */
resource "aws_security_group" "database" {
  name        = "database-${var.environment}"
  description = "PostgreSQL of the shop: \"primary\" and replicas"
  vpc_id      = data.aws_vpc.main.id

  ingress {
    description     = "shop"
    from_port       = 5432
    to_port         = 5432
    protocol        = "tcp"
    security_groups = [aws_security_group.shop.id]
  }

  ingress {
    description = "office"
    from_port   = 5432
    to_port     = 5432
    protocol    = "tcp"
    cidr_blocks = [
      "203.0.113.0/24",
      "198.51.100.7/32", # the auditors, until March
    ]
  }

  ingress {
    description = "replication"
    from_port   = 5433
    to_port     = 5440
    protocol    = "tcp"
    self        = true
  }

  dynamic "ingress" {
    for_each = { for name, peer in var.peers : name => peer if peer.enabled }

    content {
      description = "peer ${ingress.key}"
      from_port   = 5432
      to_port     = 5432
      protocol    = "tcp"
      cidr_blocks = ingress.value.cidr_blocks
    }
  }

  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }

  tags = merge(local.tags, {
    Name = "database-${var.environment}"
  })

  lifecycle {
    create_before_destroy = true
    ignore_changes        = [description, tags["LastSeen"]]
  }
}

resource "aws_security_group" "shop" {
  name   = "shop"
  vpc_id = data.aws_vpc.main.id
  tags   = local.tags
}

resource "aws_security_group_rule" "metrics" {
  for_each = toset(["9090", "9100"])

  type                     = "ingress"
  from_port                = tonumber(each.key)
  to_port                  = tonumber(each.key)
  protocol                 = "tcp"
  security_group_id        = aws_security_group.shop.id
  source_security_group_id = try(data.aws_security_groups.monitoring.ids[0], null)
}

moved {
  from = aws_security_group.db
  to   = aws_security_group.database
}
