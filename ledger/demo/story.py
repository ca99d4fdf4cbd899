"""Five weeks of a small company's Git repository, made with real Git, and what is true of them.

Names, dates, zone and contents are fixed, so the commit ids are the same on every machine. Git is
run without the user's settings: no identity, signing key, hook, template or ignore file of theirs
has a part in it. `tell` stops wherever the ledger should look; `TRUTHS` and `LANDINGS` are written
by hand and say what it must answer.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from ledger.demo import files
from ledger.errors import SourceError

FORGE = ("Acme Forge", "forge@acme.example")
MAYA = ("Maya Lindqvist", "maya@acme.example")
PRIYA = ("Priya Raman", "priya@acme.example")
TOM = ("Tom Okafor", "tom@acme.example")
SAM = ("Sam Costa", "sam@acme.example")
JONAS = ("Jonas Weber", "jonas@acme.example")
BOT = ("acme-release-bot", "release-bot@acme.example")
SECRETS = (files.FIRST_PASSWORD, files.SECOND_PASSWORD)

Person = tuple[str, str]
Contents = Mapping[str, str]


NIGHT = "temp: let the vendor in"
DISPLACED = "payments: debug logging"
WRONG_NUMBER = "Payments: five replicas in production (#2)"


@dataclass(frozen=True, slots=True)
class Landing:
    """One step of main: its subject, its author, the pull request that it really landed, and how
    Git alone proves that; without a number nothing does."""

    subject: str
    author: Person
    number: int | None = None
    method: str = ""
    superseded: bool = False

    @property
    def grade(self) -> str:
        return "unlinked" if self.number is None else "proved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What `ledger when NAME --field FIELD --at AT` must answer."""

    name: str
    field: str = ""
    at: str = ""
    answer: Landing


_START = Landing("Start the infrastructure repository", MAYA)
_FIRST = Landing("Payments: first deployment (#1)", MAYA, 1, "equal_tree")
_POLICY = Landing("Payments: let only the web front end in (#2)", PRIYA, 2, "equal_tree")
_BASTION = Landing("Merge pull request #3 from acme/bastion", TOM, 3, "head_is_parent")
_STAGES = Landing("Payments: staging and production (#4)", MAYA, 4, "equal_tree")
_STAGED_5 = Landing("Payments 1.5.0 on staging (#5)", BOT, 5, "equal_tree")
_PROMOTED_5 = Landing("Promote payments 1.5.0 to production (#6)", BOT, 6, "equal_tree")
_ROTATED = Landing("Payments: rotate the database password (#7)", PRIYA, 7, "equal_tree")
_FIVE = Landing(WRONG_NUMBER, SAM)
_OPENED = Landing(NIGHT, SAM)
_REVERTED = Landing(f'Revert "{NIGHT}" (#9)', TOM, 9, "equal_tree")
_MOVED = Landing("One folder for all firewall rules (#10)", TOM, 10, "equal_tree")
_DEBUG = Landing(DISPLACED, JONAS, superseded=True)
_QUIETER = Landing("Payments: log at warning level (#11)", JONAS, 11, "equal_tree")
_STAGED_6 = Landing("Payments 1.6.0 on staging (#12)", BOT, 12, "equal_tree")
_PROMOTED_6 = Landing("Promote payments 1.6.0 to production (#13)", BOT, 13, "equal_tree")
_DESKS = Landing("Bastion: only the operators' desks (#14)", TOM, 14, "equal_blobs")

LANDINGS = (
    *(_START, _FIRST, _POLICY, _BASTION, _STAGES, _STAGED_5, _PROMOTED_5, _ROTATED, _FIVE),
    *(_OPENED, _REVERTED, _MOVED, _DEBUG, _QUIETER, _STAGED_6, _PROMOTED_6, _DESKS),
)

_GROUP, _TAG = "aws_security_group.bastion", "images[name=images.acme.example/payments].newTag"
_LEVEL = "spec.template.spec.containers[name=payments].env"
TRUTHS = (
    Truth(name=_GROUP, field="ingress", at="2025-09-16", answer=_BASTION),
    Truth(name=_GROUP, field="ingress", at="2025-09-17 03:00", answer=_OPENED),
    Truth(name=_GROUP, field="ingress", at="2025-09-17 12:00", answer=_REVERTED),
    Truth(name=_GROUP, field="ingress", answer=_DESKS),
    Truth(name=_GROUP, field="egress", answer=_BASTION),
    Truth(name=_GROUP, at="2025-09-19", answer=_MOVED),
    Truth(name=files.HOSTS, at="2025-09-17 03:00", answer=_OPENED),
    Truth(name=files.HOSTS, field="line[3]", answer=_DESKS),
    Truth(name="secret/payments-db", field="stringData.password", answer=_ROTATED),
    Truth(name="secret/payments-db", field="stringData.username", answer=_FIRST),
    Truth(name="netpol/payments", answer=_POLICY),
    Truth(name=files.PRODUCTION, field="replicas[name=payments].count", answer=_FIVE),
    Truth(name=files.PRODUCTION, field=_TAG, at="2025-09-10", answer=_PROMOTED_5),
    Truth(name=files.PRODUCTION, field=_TAG, answer=_PROMOTED_6),
    Truth(name=files.STAGING, field=_TAG, answer=_STAGED_6),
    Truth(name="deploy/payments", field=_LEVEL, at="2025-09-22 18:10", answer=_DEBUG),
    Truth(name="deploy/payments", field=_LEVEL, answer=_QUIETER),
    Truth(name="svc/payments", answer=_FIRST),
)


def tell(repository: Path) -> Iterator[str]:
    """Makes the repository; gives a time wherever a ledger that reads it every five minutes looks.

    The caller ingests before it asks for the next: what a force-push displaces can only be seen
    before it is gone.
    """
    story = _Repository(repository)
    story.begin()
    yield from _before_the_ledger(story)
    yield from _releases(story)
    yield from _night(story)
    yield from _force_push(story)
    yield from _later(story)


def _before_the_ledger(story: _Repository) -> Iterator[str]:
    story.push(
        MAYA,
        "2025-09-01 09:12",
        "Start the infrastructure repository",
        {"README.md": files.README, files.NETWORK: files.VPC},
    )
    manifests = {
        f"{files.BASE}/deployment.yaml": files.deployment(),
        f"{files.BASE}/service.yaml": files.SERVICE,
        f"{files.BASE}/secret.yaml": files.secret(files.FIRST_PASSWORD),
        f"{files.BASE}/kustomization.yaml": files.base(),
    }
    story.squash(1, MAYA, "2025-09-01 15:40", "Payments: first deployment", manifests)
    policy = {
        f"{files.BASE}/networkpolicy.yaml": files.POLICY,
        f"{files.BASE}/kustomization.yaml": files.base(policy=True),
    }
    story.squash(2, PRIYA, "2025-09-02 11:05", "Payments: let only the web front end in", policy)
    story.merge(
        3,
        TOM,
        "2025-09-03 16:22",
        "bastion",
        [
            ("Bastion: a security group", {files.RULES: files.bastion(files.OFFICE)}),
            ("Bastion: the packet filter", {files.HOSTS: files.hosts(files.OFFICE)}),
        ],
    )
    overlays = {
        files.STAGING: files.overlay("payments-staging", "1.4.2", 1),
        files.PRODUCTION: files.overlay("payments", "1.4.2", 3),
    }
    story.squash(4, MAYA, "2025-09-04 10:30", "Payments: staging and production", overlays)
    yield "2025-09-05T08:00:00Z"


def _releases(story: _Repository) -> Iterator[str]:
    staging = {files.STAGING: files.overlay("payments-staging", "1.5.0", 1)}
    yield story.squash(5, BOT, "2025-09-08 10:02", "Payments 1.5.0 on staging", staging)
    production = {files.PRODUCTION: files.overlay("payments", "1.5.0", 3)}
    yield story.squash(
        6, BOT, "2025-09-09 14:18", "Promote payments 1.5.0 to production", production
    )
    rotated = {f"{files.BASE}/secret.yaml": files.secret(files.SECOND_PASSWORD)}
    yield story.squash(
        7, PRIYA, "2025-09-11 13:44", "Payments: rotate the database password", rotated
    )
    # Pull request 8 is merged by hand, and its number mistyped.
    more = {files.PRODUCTION: files.overlay("payments", "1.5.0", 5)}
    story.propose(8, SAM, "2025-09-12 16:49", [("Payments: five replicas in production", more)])
    yield story.push(SAM, "2025-09-12 16:52", WRONG_NUMBER, more)


def _night(story: _Repository) -> Iterator[str]:
    opened = {files.RULES: files.bastion(files.WORLD), files.HOSTS: files.hosts(files.WORLD)}
    yield story.push(SAM, "2025-09-17 02:13", NIGHT, opened)
    yield story.revert(9, TOM, "2025-09-17 08:41", NIGHT)
    yield story.move(
        10,
        TOM,
        "2025-09-18 11:18",
        "One folder for all firewall rules",
        files.RULES,
        files.MOVED_RULES,
    )


def _force_push(story: _Repository) -> Iterator[str]:
    manifest = f"{files.BASE}/deployment.yaml"
    yield story.push(JONAS, "2025-09-22 17:56", DISPLACED, {manifest: files.deployment("debug")})
    story.force_back(1)
    quieter = {manifest: files.deployment("warning")}
    yield story.squash(11, JONAS, "2025-09-22 18:21", "Payments: log at warning level", quieter)


def _later(story: _Repository) -> Iterator[str]:
    desks = {
        files.MOVED_RULES: files.bastion(files.SMALL_OFFICE),
        files.HOSTS: files.hosts(files.SMALL_OFFICE),
    }
    story.propose(14, TOM, "2025-09-23 09:30", [("Bastion: only the operators' desks", desks)])
    staging = {files.STAGING: files.overlay("payments-staging", "1.6.0", 1)}
    yield story.squash(12, BOT, "2025-09-24 10:03", "Payments 1.6.0 on staging", staging)
    production = {files.PRODUCTION: files.overlay("payments", "1.6.0", 5)}
    yield story.squash(
        13, BOT, "2025-09-25 15:07", "Promote payments 1.6.0 to production", production
    )
    yield story.land(14, TOM, "2025-09-26 11:31", "Bastion: only the operators' desks")


@dataclass(slots=True)
class _Repository:
    """A working copy and the few things that the company does with it."""

    path: Path
    ids: dict[str, str] = field(default_factory=dict)

    def begin(self) -> None:
        self.path.mkdir()
        self._git("init", "--quiet", "--template=", "--object-format=sha1", "--initial-branch=main")

    def push(self, who: Person, when: str, subject: str, contents: Contents) -> str:
        """A commit straight on main."""
        self._commit(who, when, subject, contents)
        return _looked(when)

    def propose(
        self, number: int, who: Person, when: str, steps: Sequence[tuple[str, Contents]]
    ) -> None:
        """A pull request: a branch from main whose head stands where forges put it."""
        self._git("switch", "--quiet", "--create", f"pull-{number}")
        for subject, contents in steps:
            self._commit(who, when, subject, contents)
        self._keep_head(number)

    def squash(self, number: int, who: Person, when: str, subject: str, contents: Contents) -> str:
        """A pull request, squashed onto main by the forge within the minute."""
        self.propose(number, who, _before(when), [(subject, contents)])
        return self.land(number, who, when, subject)

    def land(self, number: int, who: Person, when: str, subject: str) -> str:
        """Squashes a pull request onto main, as forges do: author kept, committer the forge."""
        self._git(
            "merge",
            "--quiet",
            "--squash",
            f"refs/pull/{number}/head",
            env=_people(who, FORGE, when),
        )
        self._commit(who, when, f"{subject} (#{number})", {}, committer=FORGE)
        return _looked(when)

    def merge(
        self,
        number: int,
        who: Person,
        when: str,
        branch: str,
        steps: Sequence[tuple[str, Contents]],
    ) -> str:
        """A pull request, merged with a merge commit."""
        self.propose(number, who, _before(when), steps)
        message = f"Merge pull request #{number} from acme/{branch}"
        arguments = ["merge", "--quiet", "--no-ff", "-m", message, f"refs/pull/{number}/head"]
        self._git(*arguments, env=_people(who, FORGE, when))
        return _looked(when)

    def revert(self, number: int, who: Person, when: str, subject: str) -> str:
        """A pull request that takes a commit back."""
        self._git("switch", "--quiet", "--create", f"pull-{number}")
        self._git("revert", "--no-edit", self.ids[subject], env=_people(who, who, _before(when)))
        self._keep_head(number)
        return self.land(number, who, when, f'Revert "{subject}"')

    def move(self, number: int, who: Person, when: str, subject: str, old: str, new: str) -> str:
        """A pull request that moves a file."""
        self._git("switch", "--quiet", "--create", f"pull-{number}")
        (self.path / new).parent.mkdir(parents=True, exist_ok=True)
        self._git("mv", "--", old, new)
        self._commit(who, _before(when), subject, {})
        self._keep_head(number)
        return self.land(number, who, when, subject)

    def force_back(self, steps: int) -> None:
        """Takes commits off main, as somebody does who is about to push with --force."""
        self._git("reset", "--quiet", "--hard", f"HEAD~{steps}")

    def _keep_head(self, number: int) -> None:
        self._git("update-ref", f"refs/pull/{number}/head", "HEAD")
        self._git("switch", "--quiet", "main")
        self._git("branch", "--quiet", "-D", f"pull-{number}")

    def _commit(
        self,
        who: Person,
        when: str,
        subject: str,
        contents: Contents,
        *,
        committer: Person | None = None,
    ) -> None:
        for name, text in contents.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())
        self._git("add", "--all")
        self._git("commit", "--quiet", "-m", subject, env=_people(who, committer or who, when))
        self.ids[subject] = self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        command = ["git", *_SETTINGS, *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=self.path,
                env={**_clean_environment(), **(env or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                check=False,
            )
        except FileNotFoundError as error:
            raise SourceError("git is not installed", hint="Install git 2.39 or newer.") from error
        if done.returncode:
            raise SourceError(
                f"git {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout


_SETTINGS = (
    "-c", "safe.directory=*",
    "-c", "commit.gpgsign=false",
    "-c", "core.autocrlf=false",
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.excludesFile=/dev/null",
    "-c", "core.attributesFile=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "gc.auto=0",
    "-c", "maintenance.auto=false",
)  # fmt: skip


def _clean_environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name == "GIT_EXEC_PATH"
    }
    mine = {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_EDITOR": "true",
        "LC_ALL": "C",
    }
    # Somebody must stand in the reflog too, also where the machine's own user has no name.
    return {**kept, **mine, **_people(FORGE, FORGE, "2025-09-01 09:00")}


def _people(author: Person, committer: Person, when: str) -> dict[str, str]:
    stamp = f"{when}:00 +0000"
    return {
        "GIT_AUTHOR_NAME": author[0],
        "GIT_AUTHOR_EMAIL": author[1],
        "GIT_AUTHOR_DATE": stamp,
        "GIT_COMMITTER_NAME": committer[0],
        "GIT_COMMITTER_EMAIL": committer[1],
        "GIT_COMMITTER_DATE": stamp,
    }


def _before(when: str) -> str:
    """When the branch of what landed then was written: eleven minutes earlier."""
    return (datetime.fromisoformat(when) - timedelta(minutes=11)).isoformat(" ", "minutes")


def _looked(when: str) -> str:
    """When a ledger that reads main every five minutes saw what landed then."""
    landed = datetime.fromisoformat(when)
    return f"{landed + timedelta(minutes=5 - landed.minute % 5):%Y-%m-%dT%H:%M:00Z}"
