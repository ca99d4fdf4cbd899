"""A month of a small company: its repository, its forge, its Argo CD and its clusters.

Times are fixed, so everything that is told is the same on every machine. `tell` stops wherever the
ledger should look; what is true of the story stands in `truths`, written by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ledger.demo import files, ruled
from ledger.demo.cluster import Json
from ledger.demo.company import STAGING, Company, Look
from ledger.demo.controller import HOME
from ledger.demo.people import BOT, JONAS, MAYA, PRIYA, SAM, TOM

SECRETS: Final = (files.FIRST_PASSWORD, files.SECOND_PASSWORD)
NIGHT: Final = "temp: let the vendor in"
DISPLACED: Final = "payments: debug logging"
WRONG_NUMBER: Final = "Payments: five replicas in production (#2)"
DENIED: Final = (
    'admission webhook "images.acme.example" denied the request: the image is not signed'
)


def tell(folder: Path) -> Iterator[Look]:
    """Lets the company work in a folder; gives every time at which a ledger looks at it.

    The caller ingests before it asks for the next: what a force-push displaces can only be seen
    before it is gone.
    """
    company = Company(folder)
    company.repository.begin()
    yield from _before_the_ledger(company)
    yield from _releases(company)
    yield from _night(company)
    yield from _roll_back(company)
    yield from _force_push(company)
    yield from _later(company)
    yield from ruled.tell(company)


def _before_the_ledger(acme: Company) -> Iterator[Look]:
    start = {"README.md": files.README, files.NETWORK: files.VPC}
    acme.start(MAYA, "2025-09-01 09:12", "Start the infrastructure repository", start)
    manifests = {
        f"{files.BASE}/deployment.yaml": files.deployment(),
        f"{files.BASE}/service.yaml": files.service("payments"),
        f"{files.BASE}/secret.yaml": files.secret(files.FIRST_PASSWORD),
        f"{files.BASE}/kustomization.yaml": files.base(),
    }
    acme.land(1, MAYA, "2025-09-01 15:40", "Payments: first deployment", manifests, PRIYA)
    policies = {
        files.POLICY: files.policy(),
        f"{files.BASE}/default-deny.yaml": files.DEFAULT_DENY,
        f"{files.BASE}/kustomization.yaml": files.base(policies=True),
    }
    acme.land(
        2, PRIYA, "2025-09-02 11:05", "Payments: let only the web front end in", policies, TOM
    )
    acme.propose(3, TOM, "2025-09-03 16:02", "Bastion: a security group",
                 {files.RULES: files.bastion(files.OFFICE)})  # fmt: skip
    acme.add(3, TOM, "2025-09-03 16:11", "Bastion: the packet filter",
             {files.HOSTS: files.hosts(files.OFFICE)})  # fmt: skip
    acme.forge.review(3, MAYA, "2025-09-03 16:18", "approved")
    message = "Merge pull request #3 from acme/tom-o/3"
    acme.merge(3, TOM, "2025-09-03 16:22", message)
    overlays = {
        files.STAGING: files.staging("1.4.2"),
        files.PRODUCTION: files.production("1.4.2"),
        "apps/payments/overlays/production/autoscaler.yaml": files.AUTOSCALER,
    }
    acme.land(4, MAYA, "2025-09-04 10:30", "Payments: staging and production", overlays, TOM)
    acme.applications("2025-09-04 10:40", {
        "payments": ("apps/payments/overlays/production", HOME, "payments"),
        "payments-staging": ("apps/payments/overlays/staging", STAGING, "payments-staging"),
    })  # fmt: skip
    acme.controller.sync("payments", "2025-09-04 10:45:10")
    acme.controller.sync("payments-staging", "2025-09-04 10:45:40")
    web = files.application("web", greeting="Welcome") | {files.WEB: files.web("2.0.4")}
    acme.land(5, JONAS, "2025-09-04 15:20", "Web: first deployment", web, MAYA)
    acme.applications("2025-09-04 15:30", {"web": ("apps/web/overlays/production", HOME, "web")})
    acme.controller.sync("web", "2025-09-04 15:33:20")
    orders = files.application("orders", timeout="5s") | {
        files.ORDERS: files.overlay("orders", "orders", "0.9.1", 2, "limits.yaml"),
        "apps/orders/overlays/production/limits.yaml": files.settings("orders-limits", rate="50"),
    }
    acme.land(6, SAM, "2025-09-04 16:10", "Orders: first deployment", orders, PRIYA)
    toolbox = files.plain_deployment("toolbox", f"{files.IMAGES}/toolbox:7", 1)
    tools = {f"{files.TOOLBOX}/deployment.yaml": toolbox}
    acme.land(7, TOM, "2025-09-04 17:05", "A toolbox for the operators", tools)
    acme.applications("2025-09-04 17:10", {"toolbox": (files.TOOLBOX, HOME, "toolbox")})
    acme.controller.sync("toolbox", "2025-09-04 17:12:05")
    yield acme.look("2025-09-05T08:00:00Z", HOME, STAGING)


def _releases(acme: Company) -> Iterator[Look]:
    staging = {files.STAGING: files.staging("1.5.0")}
    landed = acme.land(8, BOT, "2025-09-08 10:02", "Payments 1.5.0 on staging", staging, PRIYA)
    acme.controller.sync("payments-staging", "2025-09-08 10:05:00")
    yield acme.look(landed)
    production = {files.PRODUCTION: files.production("1.5.0")}
    landed = acme.land(
        9, BOT, "2025-09-09 14:18", "Promote payments 1.5.0 to production", production, MAYA
    )
    acme.controller.sync("payments", "2025-09-09 14:21:05")
    yield acme.look(landed)
    orders = {"orders": ("apps/orders/overlays/production", HOME, "orders")}
    acme.applications("2025-09-10 09:00", orders, automated=False)
    acme.controller.sync("orders", "2025-09-10 09:02:11", SAM)
    yield acme.look("2025-09-10T09:04:00Z", applications=True)
    rotated = {f"{files.BASE}/secret.yaml": files.secret(files.SECOND_PASSWORD)}
    title = "Payments: rotate the database password"
    landed = acme.land(10, PRIYA, "2025-09-11 13:44", title, rotated, TOM)
    acme.controller.sync("payments", "2025-09-11 13:47:12")
    acme.controller.sync("payments-staging", "2025-09-11 13:47:40")
    yield acme.look(landed)
    acme.clusters[HOME].edit(
        "ConfigMap", "web", "web-settings", "2025-09-12T07:31:00Z", "data", _NOTICE
    )
    yield acme.look("2025-09-12T08:00:00Z", HOME)
    # Pull request 11 is merged by hand, and its number mistyped.
    more = {files.PRODUCTION: files.production("1.5.0", 5)}
    acme.propose(11, SAM, "2025-09-12 16:46", "Payments: five replicas in production", more)
    landed = acme.push(SAM, "2025-09-12 16:52", WRONG_NUMBER, more)
    acme.controller.sync("payments", "2025-09-12 16:55:31")
    yield acme.look(landed)
    acme.forge.close(11, SAM, "2025-09-12 16:58")
    yield from _stale(acme)


def _stale(acme: Company) -> Iterator[Look]:
    """Approved, then pushed to again. Its sync fails once, which only the last operation tells."""
    candidate = {files.WEB: files.web("2.1.0-rc.1")}
    acme.propose(12, JONAS, "2025-09-15 10:32", "Web 2.1.0", candidate)
    acme.forge.review(12, MAYA, "2025-09-15 10:44", "approved")
    acme.add(
        12, JONAS, "2025-09-15 11:02", "Web: the release itself", {files.WEB: files.web("2.1.0")}
    )
    landed = acme.squash(12, JONAS, "2025-09-15 11:20", "Web 2.1.0")
    acme.controller.fail("web", "2025-09-15 11:23:30", "Deployment", DENIED)
    yield acme.look(landed)
    yield acme.look("2025-09-15T11:26:00Z", applications=True)
    acme.controller.sync("web", "2025-09-15 11:52:00", JONAS)
    yield acme.look("2025-09-15T12:00:00Z", applications=True)


def _night(acme: Company) -> Iterator[Look]:
    opened = {
        files.RULES: files.bastion(files.WORLD),
        files.HOSTS: files.hosts(files.WORLD),
        files.POLICY: files.policy(vendor=True),
    }
    landed = acme.push(SAM, "2025-09-17 02:13", NIGHT, opened)
    acme.controller.sync("payments", "2025-09-17 02:16:04")
    acme.controller.sync("payments-staging", "2025-09-17 02:16:30")
    yield acme.look(landed)
    # The morning closes what it knows of.
    closed = {
        files.RULES: files.bastion(files.OFFICE),
        files.HOSTS: files.hosts(files.OFFICE),
    }
    title = "Close SSH to the world again"
    acme.propose(13, TOM, "2025-09-17 08:30", title, closed)
    acme.forge.review(13, MAYA, "2025-09-17 08:38", "approved")
    yield acme.look(acme.squash(13, TOM, "2025-09-17 08:41", title))
    acme.clusters[HOME].scale("payments", "payments", 6, "2025-09-17T08:50:00Z")
    yield acme.look("2025-09-17T09:00:00Z", HOME)
    title = "One folder for all firewall rules"
    head = acme.repository.move(14, TOM, "2025-09-18 11:07", title, files.RULES, files.MOVED_RULES)
    acme.opened(14, TOM, "2025-09-18 11:07", title, head)
    acme.forge.review(14, PRIYA, "2025-09-18 11:14", "approved")
    yield acme.look(acme.squash(14, TOM, "2025-09-18 11:18", title))


def _roll_back(acme: Company) -> Iterator[Look]:
    """Merged against a reviewer's word, rolled back within the hour."""
    acme.propose(15, JONAS, "2025-09-19 10:21", "Web 2.2.0", {files.WEB: files.web("2.2.0")})
    acme.forge.review(15, PRIYA, "2025-09-19 10:29", "changes_requested")
    acme.forge.review(15, MAYA, "2025-09-19 10:34", "approved")
    landed = acme.squash(15, JONAS, "2025-09-19 10:40", "Web 2.2.0")
    acme.controller.sync("web", "2025-09-19 10:43:10")
    yield acme.look(landed)
    acme.controller.set_automated("web", False)  # Argo CD refuses to roll back while it is on
    acme.controller.roll_back("web", "2025-09-19 11:20:00", PRIYA, 1)
    yield acme.look("2025-09-19T11:30:00Z", applications=True)


def _force_push(acme: Company) -> Iterator[Look]:
    manifest = f"{files.BASE}/deployment.yaml"
    landed = acme.push(JONAS, "2025-09-22 17:56", DISPLACED, {manifest: files.deployment("debug")})
    acme.controller.sync("payments", "2025-09-22 17:59:20")
    acme.controller.sync("payments-staging", "2025-09-22 17:59:50")
    yield acme.look(landed)
    acme.force_back(JONAS, "2025-09-22 18:07")
    quieter, title = {manifest: files.deployment("warning")}, "Payments: log at warning level"
    acme.propose(16, JONAS, "2025-09-22 18:10", title, quieter)
    acme.forge.review(16, JONAS, "2025-09-22 18:12", "approved")
    landed = acme.squash(16, JONAS, "2025-09-22 18:21", title)
    acme.controller.sync("payments", "2025-09-22 18:24:18")
    acme.controller.sync("payments-staging", "2025-09-22 18:24:50")
    yield acme.look(landed)


def _later(acme: Company) -> Iterator[Look]:
    # An approved edit on top of the night's: it approves what it changes, and no more.
    labelled = {files.POLICY: files.policy(vendor=True, owner="payments-team")}
    title = "Payments: say who owns the policy"
    landed = acme.land(17, PRIYA, "2025-09-23 08:50", title, labelled, MAYA)
    acme.controller.sync("payments", "2025-09-23 08:53:40")
    acme.controller.sync("payments-staging", "2025-09-23 08:54:10")
    yield acme.look(landed)
    desks = {
        files.MOVED_RULES: files.bastion(files.SMALL_OFFICE),
        files.HOSTS: files.hosts(files.SMALL_OFFICE),
    }
    title = "Bastion: only the operators' desks"
    acme.propose(18, TOM, "2025-09-23 09:30", title, desks)
    acme.propose(19, BOT, "2025-09-24 09:51", "Payments 1.6.0 on staging",
                 {files.STAGING: files.staging("1.6.0")})  # fmt: skip
    acme.forge.review(19, PRIYA, "2025-09-24 09:55", "approved")
    acme.forge.dismiss(19, PRIYA, TOM, "2025-09-24 09:58")
    landed = acme.squash(19, BOT, "2025-09-24 10:03", "Payments 1.6.0 on staging", SAM)
    acme.controller.sync("payments-staging", "2025-09-24 10:06:00")
    yield acme.look(landed)
    title = "Promote payments 1.6.0 to production"
    acme.propose(
        20, BOT, "2025-09-25 14:56", title, {files.PRODUCTION: files.production("1.6.0", 5)}
    )
    landed = acme.squash(20, BOT, "2025-09-25 15:07", title, SAM)
    acme.controller.sync("payments", "2025-09-25 15:10:02")
    yield acme.look(landed)
    acme.forge.review(20, MAYA, "2025-09-25 15:31", "approved")
    acme.forge.review(18, PRIYA, "2025-09-26 11:24", "approved")
    yield acme.look(acme.squash(18, TOM, "2025-09-26 11:31", "Bastion: only the operators' desks"))
    slower = {files.ORDERS_SETTINGS: files.settings("orders-settings", timeout="8s")}
    yield acme.look(acme.land(21, SAM, "2025-09-26 15:20", "Orders: longer timeouts", slower, TOM))
    cluster = acme.clusters[HOME]
    cluster.scale("payments", "payments", 3, "2025-09-26T18:40:00Z")
    yield acme.look("2025-09-26T20:00:00Z", HOME)
    cluster.edit("NetworkPolicy", "payments", "default-deny", "2025-09-27T01:42:00Z", "spec", _PEER)
    cluster.create(_SHELL, "2025-09-27T01:47:00Z", "kubectl-run")
    cluster.delete("ConfigMap", "orders", "orders-limits")
    cluster.run_pods("payments", "payments", "2025-09-26T18:40:00Z")
    yield acme.look("2025-09-27T08:00:00Z", HOME, STAGING)


_NOTICE: Final[Json] = {"greeting": "Closed for maintenance"}
_PEER: Final[Json] = {"ingress": [{"from": [{"ipBlock": {"cidr": files.LAPTOP}}]}]}
_SHELL: Final[Json] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "debug-shell",
        "namespace": "payments",
        "labels": {"app": "payments", "run": "debug-shell"},
    },
    "spec": {"containers": [{"name": "debug-shell", "image": "docker.io/library/busybox:1.36"}]},
}
