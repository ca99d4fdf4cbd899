"""The files of the demo's company, as its people wrote them."""

from __future__ import annotations

from typing import Final

OFFICE: Final = "198.51.100.0/24"
WORLD: Final = "0.0.0.0/0"
SMALL_OFFICE: Final = "198.51.100.16/28"
# Made up, and still never shown: the tests look for them in everything that the ledger keeps.
FIRST_PASSWORD: Final = "plum-Kettle-4417-harbour"
SECOND_PASSWORD: Final = "slow-Walnut-9052-meadow"

BASE: Final = "apps/payments/base"
STAGING: Final = "apps/payments/overlays/staging/kustomization.yaml"
PRODUCTION: Final = "apps/payments/overlays/production/kustomization.yaml"
NETWORK: Final = "terraform/network/main.tf"
RULES: Final = "terraform/network/bastion.tf"
MOVED_RULES: Final = "firewall/bastion.tf"
HOSTS: Final = "hosts/firewall.conf"

README = """\
# infra

Everything Acme runs, as code. Changes come by pull request.
"""

VPC = """\
resource "aws_vpc" "main" {
  cidr_block = "10.20.0.0/16"

  tags = {
    Name = "acme"
  }
}
"""


def bastion(network: str) -> str:
    """The security group of the jump host, open to a network."""
    return f"""\
resource "aws_security_group" "bastion" {{
  name        = "bastion"
  description = "The only way in by SSH"
  vpc_id      = aws_vpc.main.id

  ingress {{
    description = "SSH"
    from_port   = 22
    to_port     = 22
    protocol    = "tcp"
    cidr_blocks = ["{network}"]
  }}

  egress {{
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["10.20.0.0/16"]
  }}
}}
"""


def hosts(network: str) -> str:
    """The packet filter of the machines behind it: plain text that no parser knows."""
    return f"""\
# Packet filter of the jump hosts, read at boot.
default deny
allow tcp 22 from {network}
allow tcp 443 from any
allow icmp from 10.20.0.0/16
"""


def deployment(log_level: str = "info") -> str:
    """The Deployment."""
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: payments
  namespace: payments
  labels:
    app: payments
spec:
  replicas: 2
  selector:
    matchLabels:
      app: payments
  template:
    metadata:
      labels:
        app: payments
    spec:
      containers:
        - name: payments
          image: images.acme.example/payments
          ports:
            - containerPort: 8080
          env:
            - name: LOG_LEVEL
              value: {log_level}
          envFrom:
            - secretRef:
                name: payments-db
"""


SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: payments
  namespace: payments
spec:
  selector:
    app: payments
  ports:
    - name: http
      port: 80
      targetPort: 8080
"""

POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: payments
  namespace: payments
spec:
  podSelector:
    matchLabels:
      app: payments
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: web
      ports:
        - protocol: TCP
          port: 8080
"""


def secret(password: str) -> str:
    """The Secret that should not stand in Git, as in so many companies."""
    return f"""\
apiVersion: v1
kind: Secret
metadata:
  name: payments-db
  namespace: payments
stringData:
  username: payments
  password: {password}
"""


def base(*, policy: bool = False) -> str:
    """The kustomization of the base."""
    lines = ["deployment.yaml", "service.yaml", "secret.yaml"] + ["networkpolicy.yaml"] * policy
    return "resources:\n" + "".join(f"  - {line}\n" for line in lines)


def overlay(namespace: str, tag: str, replicas: int) -> str:
    """The kustomization of an overlay."""
    return f"""\
namespace: {namespace}
resources:
  - ../../base
images:
  - name: images.acme.example/payments
    newTag: {tag}
replicas:
  - name: payments
    count: {replicas}
"""
