"""What happened in a span of time: landings, syncs, drift, hand edits, suspensions, in one timeline.

The oldest is first, so that causes stand above effects and the newest is next to the prompt. Each entry
says by which clock its time is told. Feeds say how far the answer can be trusted: what a feed has
not yet told is in no timeline.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from ledger.errors import NotFoundError
from ledger.events import CollectorGap
from ledger.instants import moment
from ledger.queries import clusters, controllers, landings
from ledger.queries.answers import Freshness, Timeline
from ledger.store import Store
from ledger.store.drivers import Connection

# The order of what happened in one second: a cause before its effect.
KINDS = (
    landings.LANDED, landings.REWRITTEN, controllers.APPLICATION, controllers.SUSPENDED, controllers.RESUMED,
    controllers.SYNCED, controllers.SYNC_FAILED, clusters.EDITED, clusters.DRIFTED, clusters.DRIFT_ENDED,
)  # fmt: skip


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A configured source that is polled, and the cluster that it reads, if one."""

    name: str
    cluster: str = ""


def timeline(
    store: Store,
    *,
    since: str,
    until: str,
    environment: str = "",
    sources: Sequence[Watched] = (),
    now: str,
    patience: int,
) -> Timeline:
    """The timeline of an environment, or of all. Times are UTC text.

    A feed that was last read more than `patience` seconds before the end of the span (or before now, where
    the span goes on) is stale. Raises NotFoundError for an environment that is not mapped.
    """
    connection = store.connection
    known = landings.environments(connection)
    if environment and environment not in known:
        names = ", ".join(sorted(known)) or "none"
        raise NotFoundError(
            f"there is no environment {environment!r}", hint=f"Mapped in ledger.toml: {names}."
        )
    entries = [
        *landings.landed(connection, since, until, known),
        *landings.rewritten(connection, since, until, known),
        *controllers.syncs(connection, since, until),
        *controllers.applications(connection, since, until),
        *clusters.drift(connection, since, until),
        *clusters.edits(store, since, until),
    ]
    unmapped = sum(not one.environments for one in entries) if environment else 0
    if environment:
        entries = [one for one in entries if environment in one.environments]
    entries.sort(key=lambda one: (one.at, KINDS.index(one.kind), one.evidence_position))
    return Timeline(
        environment=environment,
        since=since,
        until=until,
        entries=entries,
        unmapped=unmapped,
        feeds=list(_feeds(connection, sources, since, min(until, now), patience)),
    )


def read_feeds(store: Store) -> set[str]:
    """The sources that were polled at least once."""
    rows = store.connection.rows(
        "select feed from feeds where kind = 'source' and succeeded_at <> ''"
    )
    return {row[0] for row in rows}


# -- how far all this is known -------------------------------------------------------------------


def _feeds(
    connection: Connection, sources: Sequence[Watched], since: str, end: str, patience: int
) -> Iterator[Freshness]:
    """Every source that is polled, every cluster that none polls, and what else has gaps."""
    rows = connection.rows("select feed, succeeded_at, failure from feeds where kind = 'source'")
    state = {feed: (read_at, failure) for feed, read_at, failure in rows}
    gaps, refusals = _gaps(connection, since)
    for one in sources:
        read_at, failure = state.get(one.name, ("", ""))
        stale = bool(failure) or _is_stale(read_at, end, patience)
        yield _freshness(one.name, "source", read_at, failure, stale, gaps.pop(one.name, 0))
    polled = {one.cluster for one in sources}
    for cluster, read_at in _looks(connection):
        if cluster not in polled:
            yield _freshness(cluster, "cluster", read_at, "", _is_stale(read_at, end, patience), 0)
    for feed, count in gaps.items():
        yield _freshness(feed, "other", "", "", True, count)
    for feed, count in refusals.items():
        yield _freshness(feed, "receiver", "", "", True, count)


def _freshness(
    feed: str, kind: str, read_at: str, failure: str, stale: bool, gaps: int
) -> Freshness:
    return Freshness(feed=feed, kind=kind, read_at=read_at, failure=failure, stale=stale, gaps=gaps)


def _gaps(connection: Connection, since: str) -> tuple[Counter[str], Counter[str]]:
    """How many gaps each source recorded since a time; apart, those that tell of refused requests."""
    rows = connection.rows(
        "select source, data from gaps where recorded_at >= ? order by source", [since]
    )
    counts = Counter[str](), Counter[str]()
    for source, data in rows:
        counts[msgspec.json.decode(data, type=CollectorGap).kind == "refused"][source] += 1
    return counts


def _looks(connection: Connection) -> list[tuple[str, str]]:
    """When each cluster was last looked at, as the looks say themselves. Costs the number of looks."""
    rows = connection.rows(
        "select stream, max(occurred_at) from log_event where type = 'cluster.surveyed' "
        "group by stream order by stream"
    )
    return [(stream.removeprefix("cluster/"), at) for stream, at in rows]


def _is_stale(read_at: str, end: str, patience: int) -> bool:
    if not read_at:
        return True
    return (moment(end) - moment(read_at)).total_seconds() > patience
