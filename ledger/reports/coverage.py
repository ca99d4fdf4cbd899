"""What a report's populations cannot hold: times that nobody read, and changes that nobody tells of shipping.

Both come from recorded events alone, so that a report comes out the same again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from ledger.auditor import Session
from ledger.periods import Period
from ledger.reports.facts import Coverage, Hole, Unshipped

# A look at a cluster speaks for the time that it looked. A repository is read whole each time, so that
# all that its source told speaks for when it was told. Of a source that nobody counts, only what happened
# is known to have come; a claim of later than it was recorded counts as of the record.
LOOKS = """
select source, stream, min(occurred_at) as first, max(occurred_at) as last, 1 as counted from events
where type = 'cluster.surveyed' group by source, stream
union all
select source, '', min(recorded_at), max(recorded_at), 1 from events
where type <> 'collector.gap' and source in (select source from events where type = 'source.surveyed')
group by source
union all
select source, '', min(told_at), max(told_at), 0 from (
  select source, case when coalesce(occurred_at, '') = '' or occurred_at > recorded_at then recorded_at
                 else occurred_at end as told_at
  from events
  where type not in ('collector.gap', 'environment.mapped', 'query.executed', 'report.issued')
    and source not in (select source from events where type in ('source.surveyed', 'cluster.surveyed'))
) told
group by source
order by 1, 2
"""
# Each look at a cluster with the one after it, where the time from one to the other meets the period.
TIMES = """
select source, stream, at, following from (
  select source, stream, occurred_at as at,
         lead(occurred_at) over (partition by source, stream order by occurred_at) as following
  from (select distinct source, stream, occurred_at from events where type = 'cluster.surveyed') looks
) pairs
where at < :end and (following > :start or at >= :start)
order by source, stream, at
"""
MAPPED = (
    "select environment, repository, paths from environments where paths <> '' order by environment"
)
SHIPPED = """
select repository, path from applications where repository <> ''
union
select repository, path from deployment_sources where repository <> ''
"""
LANDED = """
select distinct r.repository, r.branch, r.number, r.commit_sha, r.landed_at, r.subject, r.pull_request,
       r.approval, r.approval_reason, r.evidence_position, c.path, c.old_path
from revisions r
join resource_changes c on c.repository = r.repository and c.branch = r.branch
  and c.commit_sha = r.commit_sha
where r.superseded = 0 and r.landed_at >= :start and r.landed_at < :end
order by r.landed_at, r.repository, r.branch, r.number, c.path, c.old_path
"""
APPLIED = "select environment, repository, commit_sha from applied_changes where environment <> ''"


def read_coverage(period: Period, connection: Session) -> Iterator[Coverage]:
    """How far the looks of each source speak for a period, by source. Costs a row for each look in it."""
    times = defaultdict(list)
    bounds = {"start": period.start, "end": period.end}
    for source, stream, at, following in connection.query(TIMES, bounds).rows:
        times[source, stream].append((at, following))
    for source, stream, first, last, counted in connection.query(LOOKS).rows:
        pairs = times[source, stream]
        holes = [(at, following) for at, following in pairs if following is not None]
        whole = period.is_all
        yield Coverage(
            source=source,
            cluster=stream.removeprefix("cluster/"),
            counted=bool(counted),
            before=None if whole else _hole(period.start, min(first, period.end), first),
            after=None if whole else _hole(max(last, period.start), period.end, last),
            looks=sum(at >= period.start for at, _ in pairs) if stream else None,
            between=_hole(*max(holes, key=_length)) if holes else None,
        )


def _length(hole: tuple[str, str]) -> timedelta:
    start, end = (datetime.fromisoformat(one) for one in hole)
    return end - start


def _hole(start: str, end: str, at: str = "") -> Hole | None:
    """The time between two instants, if there is any; `at` stands for the end at which a look was."""
    if start >= end:
        return None
    return Hole(_span(start, end), start, end) if not at else Hole(_span(start, end), at, at)


def _span(start: str, end: str) -> str:
    """The time between two instants in days and hours, for people."""
    between = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    days, hours = between.days, (between - timedelta(days=between.days)) // timedelta(hours=1)
    parts = [
        f"{number} {word}{'' if number == 1 else 's'}"
        for number, word in ((days, "day"), (hours, "hour"))
        if number
    ]
    return " and ".join(parts) or "less than an hour"


def read_unshipped(period: Period, connection: Session) -> Iterator[Unshipped]:
    """Revisions that landed in a period on mapped paths which are in no application's directory.

    One for each revision and environment. Costs a row for each file changed in the period.
    """
    mapped = [(*row[:2], row[2].split("\n")) for row in connection.query(MAPPED).rows]
    shipped = {
        (repository, path.strip("/").removeprefix("./") if path != "." else "")
        for repository, path in connection.query(SHIPPED).rows
    }

    @cache
    def place(repository: str, path: str) -> tuple[str, str] | None:
        """The environment and pattern of a path that no application takes its manifests from."""
        parts = path.split("/")
        if any((repository, "/".join(parts[:depth])) in shipped for depth in range(len(parts))):
            return None
        for environment, limit, patterns in mapped:
            for pattern in patterns if limit in ("", repository) else ():
                if fnmatchcase(path, pattern):
                    return environment, pattern
        return None

    if not mapped:
        return
    bounds = {"start": period.start, "end": period.end}
    found: dict[tuple[Any, ...], dict[str, None]] = {}
    for *revision, path, old_path in connection.query(LANDED, bounds).rows:
        for one in filter(None, (path, old_path)):
            if at := place(revision[0], one):
                found.setdefault((at[0], *revision), {})[at[1]] = None
    judged = set(connection.query(APPLIED).rows) if found else set()
    for (environment, *told), patterns in found.items():
        repository, branch, number, commit, landed_at, subject, pull, approval, reason, position = (
            told
        )
        yield Unshipped(
            environment=environment,
            patterns=tuple(patterns),
            repository=repository,
            branch=branch,
            number=number,
            commit=commit,
            landed_at=landed_at,
            subject=subject or "",
            pull_request=pull,
            approval=approval,
            reason=reason,
            judged=(environment, repository, commit) in judged,
            position=position,
        )
