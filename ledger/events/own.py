"""What the ledger records of itself: its configuration, its gaps, and who asked it what."""

from __future__ import annotations

from typing import ClassVar

from ledger.events.base import Fact


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


class CollectorGap(Fact, frozen=True, kw_only=True):
    """A span of a source that could not be read; every answer that leans on it says so."""

    TYPE: ClassVar[str] = "collector.gap"
    VERSION: ClassVar[int] = 1

    repository: str
    kind: str
    detail: str
    since: str = ""


class QueryExecuted(Fact, frozen=True, kw_only=True):
    """An auditor's own SQL, as it ran."""

    TYPE: ClassVar[str] = "query.executed"
    VERSION: ClassVar[int] = 1

    sql: str
    rows: int
    truncated: bool = False


class ReportIssued(Fact, frozen=True, kw_only=True):
    """A report was written: what it stands on, and the digest of its file.

    The same name, period, position and versions give the same bytes again.
    """

    TYPE: ClassVar[str] = "report.issued"
    VERSION: ClassVar[int] = 1

    report: str
    period_start: str
    period_end: str
    time_zone: str
    position: int
    root: str
    program: str
    digest: str
    controls: list[str] = []
