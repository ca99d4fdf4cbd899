"""Four weeks of a small company: its repository, its forge, its Argo CD and its clusters.

Times are fixed, so everything that is told is the same on every machine. `tell` stops wherever the
ledger should look; what is true of the story stands in `truths`, written by hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from ledger.demo import files
from ledger.demo.cluster import Cluster, Json
from ledger.demo.controller import HOME, Controller
from ledger.demo.forge import Forge
from ledger.demo.people import BOT, JONAS, MAYA, PRIYA, SAM, TOM, Person
from ledger.demo.repository import Contents, Repository

REPOSITORY: Final = "infra"
STAGING: Final = "staging-eu1"
SECRETS: Final = (files.FIRST_PASSWORD, files.SECOND_PASSWORD)
NIGHT: Final = "temp: let the vendor in"
DISPLACED: Final = "payments: debug logging"
WRONG_NUMBER: Final = "Payments: five replicas in production (#2)"
DENIED: Final = (
    'admission webhook "images.acme.example" denied the request: the image is not signed'
)


@dataclass(frozen=True, slots=True)
class File:
    """What `ledger import KIND FILE --cluster CLUSTER` reads."""

    kind: str
    path: Path
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """A time at which the ledger looks at the repository and is handed files."""

    at: str
    files: tuple[File, ...] = ()


def tell(folder: Path) -> Iterator[Look]:
    """Lets the company work in a folder; gives every time at which a ledger looks at it.

    The caller ingests before it asks for the next: what a force-push displaces can only be seen
    before it is gone.
    """
    company = _Company(folder)
    company.repository.begin()
    yield from _before_the_ledger(company)
    yield from _releases(company)
    yield from _night(company)
    yield from _roll_back(company)
    yield from _force_push(company)
    yield from _later(company)


def _before_the_ledger(acme: _Company) -> Iterator[Look]:
    start = {"README.md": files.README, files.NETWORK: files.VPC}
    acme.push(MAYA, "2025-09-01 09:12", "Start the infrastructure repository", start)
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
    merge = acme.repository.merge(3, TOM, "2025-09-03 16:22", message)
    acme.forge.merge(3, TOM, "2025-09-03 16:22", merge)
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


def _releases(acme: _Company) -> Iterator[Look]:
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


def _stale(acme: _Company) -> Iterator[Look]:
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


def _night(acme: _Company) -> Iterator[Look]:
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


def _roll_back(acme: _Company) -> Iterator[Look]:
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


def _force_push(acme: _Company) -> Iterator[Look]:
    manifest = f"{files.BASE}/deployment.yaml"
    landed = acme.push(JONAS, "2025-09-22 17:56", DISPLACED, {manifest: files.deployment("debug")})
    acme.controller.sync("payments", "2025-09-22 17:59:20")
    acme.controller.sync("payments-staging", "2025-09-22 17:59:50")
    yield acme.look(landed)
    acme.repository.force_back(1)
    quieter, title = {manifest: files.deployment("warning")}, "Payments: log at warning level"
    acme.propose(16, JONAS, "2025-09-22 18:10", title, quieter)
    acme.forge.review(16, JONAS, "2025-09-22 18:12", "approved")
    landed = acme.squash(16, JONAS, "2025-09-22 18:21", title)
    acme.controller.sync("payments", "2025-09-22 18:24:18")
    acme.controller.sync("payments-staging", "2025-09-22 18:24:50")
    yield acme.look(landed)


def _later(acme: _Company) -> Iterator[Look]:
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


@dataclass(slots=True)
class _Company:
    """What the company has, and the few things that its people do with several of them at once."""

    folder: Path
    repository: Repository = field(init=False)
    forge: Forge = field(default_factory=Forge)
    clusters: dict[str, Cluster] = field(init=False)
    controller: Controller = field(init=False)

    def __post_init__(self) -> None:
        self.repository = Repository(self.folder / REPOSITORY)
        self.clusters = {name: Cluster(name) for name in (HOME, STAGING)}
        self.controller = Controller(self.repository, self.clusters)

    def push(self, who: Person, when: str, subject: str, contents: Contents) -> str:
        """A direct push; gives when a ledger sees it."""
        self.repository.push(who, when, subject, contents)
        return _looked(when)

    def propose(self, number: int, who: Person, when: str, title: str, contents: Contents) -> None:
        """A pull request of one commit."""
        head = self.repository.propose(number, who, when, title, contents)
        self.opened(number, who, when, title, head)

    def opened(self, number: int, who: Person, when: str, title: str, head: str) -> None:
        """The forge learns of a pull request."""
        self.forge.open(number, who, when, title, base=self.repository.tip, head=head)

    def add(self, number: int, who: Person, when: str, subject: str, contents: Contents) -> None:
        """One commit more on a pull request."""
        head = self.repository.propose(number, who, when, subject, contents)
        self.forge.push(number, who, when, head)

    def squash(
        self, number: int, who: Person, when: str, title: str, merger: Person | None = None
    ) -> str:
        """The forge squashes a pull request onto main; gives when a ledger sees it."""
        commit = self.repository.squash(number, who, when, title)
        self.forge.merge(number, merger or who, when, commit)
        return _looked(when)

    def land(
        self,
        number: int,
        who: Person,
        when: str,
        title: str,
        contents: Contents,
        approver: Person | None = None,
    ) -> str:
        """A pull request that is opened, approved (or not), and squashed within eleven minutes."""
        self.propose(number, who, _earlier(when, 11), title, contents)
        if approver is not None:
            self.forge.review(number, approver, _earlier(when, 4), "approved")
        return self.squash(number, who, when, title, approver if who.is_bot else who)

    def applications(
        self, when: str, made: dict[str, tuple[str, str, str]], *, automated: bool = True
    ) -> None:
        """Somebody makes applications: name → (path, cluster, namespace)."""
        for name, (path, cluster, namespace) in made.items():
            self.controller.create(name, path, cluster, namespace, when, automated=automated)

    def look(self, at: str, *dumps: str, applications: bool = False) -> Look:
        """The files that are handed over at a look; with dumps of clusters, the applications, too."""
        found: list[File] = []
        if text := self.forge.take():
            found.append(self._file(at, "github", f"webhooks-{_name(at)}.jsonl", text))
        if applications or dumps:
            name = f"applications-{_name(at)}.json"
            found.append(self._file(at, "argocd", name, self.controller.dump(), HOME))
        for cluster in [self.clusters[one] for one in dumps]:
            name = f"{cluster.name}-{_name(at)}.json"
            found.append(self._file(at, "kubernetes", name, cluster.dump(), cluster.name))
        return Look(at, tuple(found))

    def _file(self, at: str, kind: str, name: str, text: str, cluster: str = "") -> File:
        path = self.folder / kind / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        seconds = datetime.fromisoformat(at).timestamp()
        os.utime(path, (seconds, seconds))  # when a dump was taken is the time of its file
        return File(kind, path, cluster)


def _name(at: str) -> str:
    return at[:16].replace(":", "")


def _earlier(when: str, minutes: int) -> str:
    return (datetime.fromisoformat(when) - timedelta(minutes=minutes)).isoformat(" ", "minutes")


def _looked(when: str) -> str:
    """When a ledger that reads main every two minutes saw what landed then."""
    landed = datetime.fromisoformat(when).replace(tzinfo=UTC)
    return f"{landed + timedelta(minutes=2 - landed.minute % 2):%Y-%m-%dT%H:%M:00Z}"
