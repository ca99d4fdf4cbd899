"""The shapes in which the demo's truths are written down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ledger.demo.controller import STAMP, TAKES
from ledger.demo.people import Person

PROD_CLUSTER = "prod-eu1"


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
class Answer:
    """What `ledger when NAME --field FIELD --at AT` must answer."""

    name: str
    field: str = ""
    at: str = ""
    answer: Landing


@dataclass(frozen=True, slots=True)
class Review:
    """One review; `word` is the first word of why it does not count, empty where it does."""

    reviewer: Person
    state: str
    word: str = ""


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request: whether it was approved at its merge, and why."""

    number: int
    approval: str
    reason: str
    reviews: tuple[Review, ...] = ()
    merged_by: Person | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """One sync: what of it was new to its place (`ships`), and what it took away again (`takes_back`)."""

    application: str
    environment: str
    cluster: str = PROD_CLUSTER
    started_at: str
    kind: str = "change"
    by: Person | None = None
    outcome: str = "succeeded"
    message: str = ""
    revision: Landing
    ships: tuple[Landing, ...] = ()
    takes_back: tuple[Landing, ...] = ()

    @property
    def finished_at(self) -> str:
        """Each takes nine seconds."""
        return (datetime.fromisoformat(self.started_at) + TAKES).strftime(STAMP)


@dataclass(frozen=True, slots=True)
class Applied:
    """One item of the audited population: a landing that reached an environment."""

    environment: str
    application: str
    landing: Landing
    kind: str
    approval: str


@dataclass(frozen=True, slots=True)
class Live:
    """One object of a cluster at the end of the story, with its two verdicts."""

    cluster: str
    kind: str
    namespace: str
    name: str
    state: str
    approval: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One span in which an object was not what Git says; `closed_at` is empty while it lasts."""

    kind: str
    namespace: str
    name: str
    application: str
    fields: tuple[str, ...]
    first_seen: str
    closed_at: str = ""
    closed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What `ledger trace NAME -n NAMESPACE --field FIELD` must find: the verdicts, and which landing
    decided the approval; `weakest` is the hop that is known least."""

    name: str
    namespace: str
    field: str = ""
    state: str
    approval: str
    decided_by: Landing
    weakest: str
