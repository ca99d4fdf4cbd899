"""A small company: what it has, and the few things that its people do with several of them at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from ledger.demo.cluster import Cluster
from ledger.demo.controller import HOME, Controller
from ledger.demo.forge import Forge
from ledger.demo.people import Person
from ledger.demo.repository import Contents, Repository

REPOSITORY: Final = "infra"
STAGING: Final = "staging-eu1"


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


@dataclass(slots=True)
class Company:
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

    def start(self, who: Person, when: str, subject: str, contents: Contents) -> None:
        """The first commit, which was there before the forge told anybody anything."""
        self.repository.push(who, when, subject, contents)

    def push(self, who: Person, when: str, subject: str, contents: Contents) -> str:
        """A direct push; gives when a ledger sees it."""
        before = self.repository.tip
        self.forge.pushed(who, when, before, self.repository.push(who, when, subject, contents))
        return _looked(when)

    def push_past_rules(self, who: Person, when: str, subject: str, contents: Contents) -> str:
        """A direct push of somebody whom the rules of the branch do not hold."""
        before = self.repository.tip
        landed = self.push(who, when, subject, contents)
        self.forge.passed_over(who, when, before, self.repository.tip)
        return landed

    def force_back(self, who: Person, when: str) -> None:
        """Somebody pushes the last commit of main away."""
        before = self.repository.tip
        self.repository.force_back(1)
        self.forge.pushed(who, when, before, self.repository.tip, forced=True)

    def propose(self, number: int, who: Person, when: str, title: str, contents: Contents) -> None:
        """A pull request of one commit."""
        head = self.repository.propose(number, who, when, title, contents)
        self.opened(number, who, when, title.splitlines()[0], head)

    def opened(self, number: int, who: Person, when: str, title: str, head: str) -> None:
        """The forge learns of a pull request."""
        self.forge.open(number, who, when, title, base=self.repository.tip, head=head)

    def add(self, number: int, who: Person, when: str, subject: str, contents: Contents) -> None:
        """One commit more on a pull request."""
        head = self.repository.propose(number, who, when, subject, contents)
        self.forge.push(number, who, when, head)

    def update(self, number: int, who: Person, when: str) -> None:
        """Somebody brings the branch of a pull request up to date with main."""
        self.forge.push(number, who, when, self.repository.update(number, who, when))

    def squash(
        self,
        number: int,
        who: Person,
        when: str,
        title: str,
        merger: Person | None = None,
        body: str = "",
    ) -> str:
        """The forge squashes a pull request onto main; gives when a ledger sees it."""
        before = self.repository.tip
        commit = self.repository.squash(number, who, when, title, body)
        self._merged(number, merger or who, when, before, commit)
        return _looked(when)

    def merge(self, number: int, who: Person, when: str, message: str) -> str:
        """The forge merges a pull request with a merge commit; gives when a ledger sees it."""
        before = self.repository.tip
        commit = self.repository.merge(number, who, when, message)
        self._merged(number, who, when, before, commit)
        return _looked(when)

    def _merged(self, number: int, who: Person, when: str, before: str, commit: str) -> None:
        self.forge.merge(number, who, when, commit)
        self.forge.pushed(who, when, before, commit)

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
        if text := self.forge.take_answers():
            found.append(self._file(at, "github", f"answers-{_name(at)}.jsonl", text))
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
