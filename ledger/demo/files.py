"""The files of the demo's company, as its people wrote them."""

from __future__ import annotations

from typing import Final

OFFICE: Final = "198.51.100.0/24"
WORLD: Final = "0.0.0.0/0"
SMALL_OFFICE: Final = "198.51.100.16/28"
BACKUP: Final = "10.20.4.17"
VENDOR: Final = "203.0.113.0/24"
LAPTOP: Final = "192.0.2.77/32"
# Made up, and still never shown: the tests look for them in everything that the ledger keeps.
FIRST_PASSWORD: Final = "plum-Kettle-4417-harbour"
SECOND_PASSWORD: Final = "slow-Walnut-9052-meadow"

BASE: Final = "apps/payments/base"
POLICY: Final = f"{BASE}/networkpolicy.yaml"
STAGING: Final = "apps/payments/overlays/staging/kustomization.yaml"
PRODUCTION: Final = "apps/payments/overlays/production/kustomization.yaml"
NETWORK: Final = "terraform/network/main.tf"
RULES: Final = "terraform/network/bastion.tf"
DNS: Final = "terraform/network/dns.tf"
OWNERS: Final = ".github/CODEOWNERS"
MOVED_RULES: Final = "firewall/bastion.tf"
HOSTS: Final = "hosts/firewall.conf"
WEB: Final = "apps/web/overlays/production/kustomization.yaml"
ORDERS: Final = "apps/orders/overlays/production/kustomization.yaml"
ORDERS_SETTINGS: Final = "apps/orders/base/settings.yaml"
TOOLBOX: Final = "tools/toolbox"
IMAGES: Final = "images.acme.example"

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

VENDOR_SUBNET = """
resource "aws_subnet" "vendor" {
  vpc_id     = aws_vpc.main.id
  cidr_block = "10.20.9.0/24"
}
"""

CODEOWNERS = """\
# Who must approve what, from the last line that fits.
/terraform/  @acme/platform
/firewall/   @acme/platform
/hosts/      @acme/platform
/apps/payments/  @maya-l @priya-r
"""


def dns(seconds: int) -> str:
    """The zone inside the network: how long its answers may be kept."""
    return f"""\
resource "aws_route53_zone" "inside" {{
  name = "acme.internal"
}}

resource "aws_route53_record" "bastion" {{
  zone_id = aws_route53_zone.inside.zone_id
  name    = "bastion"
  type    = "A"
  ttl     = {seconds}
  records = ["10.20.1.10"]
}}
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


def hosts(network: str, *more: str) -> str:
    """The packet filter of the machines behind it: plain text that no parser knows."""
    lines = "".join(f"allow {one}\n" for one in more)
    return f"""\
# Packet filter of the jump hosts, read at boot.
default deny
allow tcp 22 from {network}
allow tcp 443 from any
allow icmp from 10.20.0.0/16
{lines}"""


def deployment(log_level: str = "info") -> str:
    """The Deployment of payments."""
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: payments
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
          image: {IMAGES}/payments
          ports:
            - containerPort: 8080
          env:
            - name: LOG_LEVEL
              value: {log_level}
          envFrom:
            - secretRef:
                name: payments-db
"""


DEFAULT_DENY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
spec:
  podSelector: {}
  policyTypes: [Ingress]
"""


def policy(*, vendor: bool = False, owner: str = "") -> str:
    """Who may talk to payments: the web front end, and for a night that did not end a vendor."""
    labels = f"  labels:\n    owner: {owner}\n" if owner else ""
    block = f"        - ipBlock:\n            cidr: {VENDOR}\n" if vendor else ""
    return f"""\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: payments
{labels}spec:
  podSelector:
    matchLabels:
      app: payments
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: web
{block}      ports:
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
stringData:
  username: payments
  password: {password}
"""


AUTOSCALER = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: payments
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: payments
  minReplicas: 3
  maxReplicas: 10
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: 70
"""


def plain_deployment(name: str, image: str, replicas: int, settings: str = "") -> str:
    """A small Deployment; `settings` is the ConfigMap that it reads."""
    env = f"          envFrom:\n            - configMapRef:\n                name: {settings}\n"
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels:
    app: {name}
spec:
  replicas: {replicas}
  selector:
    matchLabels:
      app: {name}
  template:
    metadata:
      labels:
        app: {name}
    spec:
      containers:
        - name: {name}
          image: {image}
          ports:
            - containerPort: 8080
{env if settings else ""}"""


def service(name: str) -> str:
    """The Service in front of a Deployment."""
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  selector:
    app: {name}
  ports:
    - name: http
      port: 80
      targetPort: 8080
"""


def settings(name: str, **values: str) -> str:
    """A ConfigMap."""
    lines = "".join(f'  {key}: "{value}"\n' for key, value in values.items())
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n{lines}"


def kustomization(*resources: str) -> str:
    """A kustomization that only lists its resources."""
    return "resources:\n" + "".join(f"  - {one}\n" for one in resources)


def base(*, policies: bool = False) -> str:
    """The kustomization of the base of payments."""
    more = ("networkpolicy.yaml", "default-deny.yaml") if policies else ()
    return kustomization("deployment.yaml", "service.yaml", "secret.yaml", *more)


def overlay(app: str, namespace: str, tag: str, replicas: int, *more: str) -> str:
    """The kustomization of an overlay: it sets namespace, image and replicas."""
    resources = "".join(f"  - {one}\n" for one in ("../../base", *more))
    return f"""\
namespace: {namespace}
resources:
{resources}images:
  - name: {IMAGES}/{app}
    newTag: {tag}
replicas:
  - name: {app}
    count: {replicas}
"""


def staging(tag: str) -> str:
    """Payments on staging."""
    return overlay("payments", "payments-staging", tag, 1)


def production(tag: str, replicas: int = 3) -> str:
    """Payments in production."""
    return overlay("payments", "payments", tag, replicas, "autoscaler.yaml")


def web(tag: str) -> str:
    """The web front end in production."""
    return overlay("web", "web", tag, 2)


def application(app: str, **settings_of: str) -> dict[str, str]:
    """The base of an application: a Deployment, a Service, and a ConfigMap of its settings."""
    folder, name = f"apps/{app}/base", f"{app}-settings"
    return {
        f"{folder}/deployment.yaml": plain_deployment(app, f"{IMAGES}/{app}", 1, name),
        f"{folder}/service.yaml": service(app),
        f"{folder}/settings.yaml": settings(name, **settings_of),
        f"{folder}/kustomization.yaml": kustomization(
            "deployment.yaml", "service.yaml", "settings.yaml"
        ),
    }
