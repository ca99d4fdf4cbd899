"""What the ledger records of itself: its configuration, its gaps, and who asked it what."""

from __future__ import annotations

from typing import ClassVar

from ledger.events.base import Fact, Identity


class EnvironmentMapped(Fact, frozen=True, kw_only=True):
    """What belongs to an environment, as configured; a mapping of nothing withdraws it.

    `tier` is its class, such as production. `paths` are shell patterns of files in `repository` (empty:
    any), `clusters` names of clusters, `namespaces` and `applications` shell patterns that narrow
    them down (empty: all).
    """

    TYPE: ClassVar[str] = "environment.mapped"
    VERSION: ClassVar[int] = 1

    environment: str
    tier: str = ""
    repository: str = ""
    paths: list[str] = []
    clusters: list[str] = []
    namespaces: list[str] = []
    applications: list[str] = []


class PersonMapped(Fact, frozen=True, kw_only=True):
    """Which names, e-mail addresses and logins are one person, as configured; none withdraws the person."""

    TYPE: ClassVar[str] = "person.mapped"
    VERSION: ClassVar[int] = 1

    person: str
    bot: bool = False
    identities: list[Identity] = []


class CollectorGap(Fact, frozen=True, kw_only=True):
    """A span of a source that could not be read; every answer that leans on it says so.

    `kind` is why: `unreadable`, or `denied` where we may not read it. `refused` where requests to the
    receiver were: then `count` of them, from `since` to `until`, and whether anything was lost is not known.
    `undelivered` where a forge's webhook lost something that its API told, between the deliveries of
    `since` and `until`.
    """

    TYPE: ClassVar[str] = "collector.gap"
    VERSION: ClassVar[int] = 1

    repository: str
    kind: str
    detail: str
    since: str = ""
    until: str = ""
    count: int = 0


class QueryExecuted(Fact, frozen=True, kw_only=True):
    """An auditor's own SQL, as it ran."""

    TYPE: ClassVar[str] = "query.executed"
    VERSION: ClassVar[int] = 1

    sql: str
    rows: int
    truncated: bool = False


class ControlCounted(Fact, frozen=True, kw_only=True):
    """What a control found in a report; `digest` is the SHA-256 of the control's file, in hexadecimal."""

    control: str
    version: int
    digest: str
    population: int
    passed: int = 0
    exceptions: int = 0
    unknown: int = 0
    not_applicable: int = 0


class ReportIssued(Fact, frozen=True, kw_only=True):
    """A report was written: what it stands on, and the digest of its file.

    `position` is the size of the log that it stands on, so its events are those at 0 to `position` - 1,
    and `root` is the root of their tree. `period` is how the period is typed; `period_end` is not in it.
    `projections` are `name version`. `format` is pdf or html. The same of all these give the same
    bytes again.
    """

    TYPE: ClassVar[str] = "report.issued"
    VERSION: ClassVar[int] = 1

    report: str
    period: str
    period_start: str
    period_end: str
    time_zone: str
    position: int
    root: str
    program: str
    projections: list[str]
    format: str
    digest: str
    controls: list[ControlCounted] = []
