"""Asks a ledger for everything that a report prints, through the public views, as of one state.

Nothing operational is asked for (when a source was last tried, how far a cursor is): the log does not
hold it, and a report must come out the same again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ledger import __version__, controls
from ledger.auditor import Session
from ledger.controls import Control, Item, Result
from ledger.errors import IntegrityError
from ledger.periods import Period
from ledger.reports.coverage import read_coverage, read_unshipped
from ledger.reports.facts import (
    ClusterSurvey,
    Earlier,
    Environment,
    Facts,
    Feed,
    Gap,
    LateEvents,
    Move,
    Standing,
    Survey,
    Unmapped,
)
from ledger.reports.templates import Report

LOG = "select count(*) as events, min(recorded_at) as first, max(recorded_at) as last from events"
FEEDS = """
select source, count(*) as events, min(first) as first, max(last) as last from (
  -- What asking adds to the log is told by no source.
  select case when type in ('query.executed', 'report.issued') then '' else source end as source,
         recorded_at as first, recorded_at as last
  from events
) told
group by source order by case when source = '' then 1 else 0 end, source
"""
NEWEST = """
select e.position, e.recorded_at, e.source, e.data from events e
join (select max(position) as position from events where type = :type group by stream, source) n
  on n.position = e.position
order by e.stream, e.source
"""
GAPS = """
select repository, data, recorded_at, evidence_position from gaps
where recorded_at >= :start order by evidence_position
"""
MOVES = """
select m.repository, m.ref, m.kind, m.old_sha, m.new_sha, m.abandoned, m.recorded_at,
       m.evidence_position
from ref_moves m
join (select distinct repository, branch from repositories) b
  on b.repository = m.repository and m.ref = 'refs/heads/' || b.branch
where m.kind in ('forced', 'deleted') and m.recorded_at >= :start and m.recorded_at < :end
order by m.evidence_position
"""
UNMAPPED = """
select coalesce(cluster, '') as cluster, coalesce(application, '') as application, count(*) as items
from applied_changes
where coalesce(environment, '') = '' and first_applied_at >= :start and first_applied_at < :end
group by cluster, application order by 1, 2
"""
EARLIER = """
select position, digest, recorded_at from reports
where report = :report and period_start = :start and period_end = :end and position < :position
order by position desc, evidence_position desc limit 1
"""
LATE = """
select type, source, count(*) as events, min(occurred_at) as first, max(occurred_at) as last
from events
where position >= :position and type not in ('query.executed', 'report.issued')
  and occurred_at >= :start and occurred_at < :end
group by type, source order by type, source
"""


def collect(
    report: Report, used: Sequence[Control], ledger: str, period: Period, connection: Session
) -> Facts:
    """Everything a report prints. Costs one run of each control and a dozen small queries."""
    standing = read_standing(connection)
    results = tuple(controls.run(one, period, connection) for one in used)
    return Facts(
        name=report.name,
        title=report.title,
        sentence=report.sentence,
        ledger=ledger,
        period=period,
        standing=standing,
        results=results,
        feeds=tuple(_feeds(connection)),
        surveys=tuple(_surveys(connection)),
        clusters=tuple(_clusters(connection)),
        gaps=tuple(_gaps(connection, period)),
        moves=tuple(_moves(connection, period)),
        coverage=tuple(read_coverage(period, connection)),
        unshipped=tuple(read_unshipped(period, connection)),
        environments=tuple(_environments(connection, results)),
        unmapped=tuple(_unmapped(connection, period)),
        earlier=_earlier(report, period, standing, results, connection),
    )


def read_standing(connection: Session) -> Standing:
    """The log as the tables of the projections have it."""
    heads = connection.query("select size, root from tree_heads order by size desc limit 1").rows
    size, root = heads[0] if heads else (0, "")
    [[events, first, last]] = connection.query(LOG).rows
    projections = connection.query(
        "select projection, version from projections order by projection"
    ).rows
    return Standing(
        position=size,
        root=root,
        first_recorded_at=first or "",
        last_recorded_at=last or "",
        events=events,
        program=__version__,
        projections=tuple((name, version) for name, version in projections),
    )


def _feeds(connection: Session) -> Iterator[Feed]:
    return (Feed(*row) for row in connection.query(FEEDS).rows)


def _newest(connection: Session, kind: str) -> Iterator[tuple[int, str, str, Mapping[str, Any]]]:
    """(position, when it was recorded, source, data) of each source's newest event in each stream."""
    for position, recorded_at, source, data in connection.query(NEWEST, {"type": kind}).rows:
        yield position, recorded_at, source, msgspec.json.decode(data, type=dict[str, Any])


def _surveys(connection: Session) -> Iterator[Survey]:
    rows = connection.query(
        "select repository, max(commits) as n from repositories group by 1"
    ).rows
    recorded: dict[str, int] = dict(rows)
    for position, recorded_at, _, data in _newest(connection, "source.surveyed"):
        yield Survey(
            repository=data["repository"],
            branches=tuple(data.get("branches", ())),
            refs=data["ref_count"],
            commits=data["commit_count"],
            commits_digest=data["commits_digest"],
            recorded=recorded.get(data["repository"], 0),
            position=position,
            recorded_at=recorded_at,
        )


def _clusters(connection: Session) -> Iterator[ClusterSurvey]:
    for position, recorded_at, source, data in _newest(connection, "cluster.surveyed"):
        scopes = data["scopes"] if isinstance(data["scopes"], list) else None
        yield ClusterSurvey(
            cluster=data["cluster"],
            identity=data.get("identity", ""),
            scopes=None if scopes is None else len(scopes),
            objects=None if scopes is None else sum(one["count"] for one in scopes),
            source=source,
            observed_at=data["observed_at"],
            position=position,
            recorded_at=recorded_at,
        )


def _gaps(connection: Session, period: Period) -> Iterator[Gap]:
    """Gaps whose span meets the period; one without a beginning may reach back to the first day."""
    rows = connection.query(GAPS, {"start": period.start}).rows
    for source, raw, recorded_at, position in rows:
        data = msgspec.json.decode(raw, type=dict[str, Any])
        since = str(data.get("since", ""))
        if since < period.end:
            detail = data.get("detail", "")
            text = detail if isinstance(detail, str) else "see the event"
            yield Gap(source, str(data.get("kind", "")), text, since, recorded_at, position)


def _moves(connection: Session, period: Period) -> Iterator[Move]:
    bounds = {"start": period.start, "end": period.end}
    return (Move(*row) for row in connection.query(MOVES, bounds).rows)


def _environments(connection: Session, results: Sequence[Result]) -> Iterator[Environment]:
    items = Counter(one.environment for result in results for one in result.items)
    sql = "select environment, tier from environments order by environment"
    for name, tier in connection.query(sql).rows:
        yield Environment(name, tier, items[name])


def _unmapped(connection: Session, period: Period) -> Iterator[Unmapped]:
    bounds = {"start": period.start, "end": period.end}
    return (Unmapped(*row) for row in connection.query(UNMAPPED, bounds).rows)


def _earlier(
    report: Report,
    period: Period,
    standing: Standing,
    results: Sequence[Result],
    connection: Session,
) -> Earlier | None:
    """The last report of this name and period before this one, and what came in since."""
    bounds = {"start": period.start, "end": period.end}
    known: dict[str, str | int] = {**bounds, "report": report.name, "position": standing.position}
    rows = connection.query(EARLIER, known).rows
    if not rows:
        return None
    position, digest, recorded_at = rows[0]
    late = connection.query(LATE, bounds | {"position": position}).rows
    return Earlier(
        position=position,
        digest=digest,
        recorded_at=recorded_at,
        events=tuple(LateEvents(*row) for row in late),
        items=tuple(
            (result.control.id, one)
            for result in results
            for one in result.items
            if _newest_evidence(one) >= position
        ),
    )


def _newest_evidence(item: Item) -> int:
    return max((int(text) for text in re.findall(r"\d{1,18}", item.evidence)), default=-1)


def check_whole(standing: Standing) -> None:
    """Raises IntegrityError where the log that the views show has a hole."""
    if standing.events != standing.position:
        raise IntegrityError(
            f"the log has {standing.events} events, its tree head says {standing.position}",
            hint="Run `ledger verify`.",
        )
