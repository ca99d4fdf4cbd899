"""Syncs, each put together from what the controller's history and its last operation tell of it.

Which of two tellings of a field counts depends on where it stands, never on which came first: the
operation knows more than the history, and where they are alike, the digest decides. What kind of
deployment a sync is depends on other syncs and on the branch: that stands in `steps`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import NamedTuple

from ledger.events import (
    ApplicationSource,
    RecordedEvent,
    Sync,
    SyncApplied,
    SyncedResource,
    SyncFailed,
)
from ledger.projections import Context, Projection, Row, Table, column, key_text
from ledger.projections.applications import directory
from ledger.tellings import Tellings, digest

SUCCEEDED, FAILED = "succeeded", "failed"
_HISTORY, _OPERATION = "1", "2"


class SyncRow(NamedTuple):
    """One operation of a controller. `complete` is 1 where it applied all that a revision declares.

    `synced` counts the resources whose own result is good, of `resources` that are told. `told` is what
    the row is made from.
    """

    sync: str
    cluster: str
    namespace: str
    application: str
    uid: str
    started_at: str
    finished_at: str
    outcome: str
    message: str
    history_id: int
    initiated_by: str
    automated: int
    partial: int
    self_heal: int
    local: int
    complete: int
    retries: int
    resources: int
    synced: int
    told: str
    evidence_position: int
    recorded_at: str


class SyncSourceRow(NamedTuple):
    """One source of a sync and the revision of it that was applied; at least one for each sync."""

    sync: str
    source: int
    cluster: str
    namespace: str
    application: str
    repository: str
    url: str
    path: str
    chart: str
    target_revision: str
    revision: str


class SyncResourceRow(NamedTuple):
    """What a sync did with one object."""

    sync: str
    api_group: str
    kind: str
    namespace: str
    name: str
    hook: str
    status: str
    message: str


SYNCS = Table(
    "model_sync",
    SyncRow,
    key=("sync",),
    lookups=(("cluster", "namespace", "application"),),
    indexes=(("cluster", "namespace", "application", "started_at"),),
)
SYNC_SOURCES = Table(
    "model_sync_source",
    SyncSourceRow,
    key=("sync", "source"),
    lookups=(("cluster", "namespace", "application"),),
)
SYNC_RESOURCES = Table(
    "model_sync_resource",
    SyncResourceRow,
    key=("sync", "api_group", "kind", "namespace", "name", "hook"),
)


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    assert isinstance(data, SyncApplied | SyncFailed)
    one = data.sync
    name = key_text(
        "/".join((one.cluster, one.namespace, one.application, one.uid, one.started_at))
    )
    known = context.get(SyncRow, name)
    told = Tellings(known.told if known else "")
    said, rank = digest(data), _HISTORY if one.history_id >= 0 else _OPERATION
    told.add(_fields(data), rank, said)
    told.add({"history_id": one.history_id + 1}, rank, said)
    # A repository may have been named in the configuration since: then it is told again.
    mapped = any(source.repository for source in one.sources)
    told.add({"sources": _sources(one)}, f"{int(mapped)}{rank}", said)
    yield _sync_row(name, one, told, known, recorded)
    sources = told.get("sources", []) or [{}]
    for number, source in enumerate(sources):
        row = SyncSourceRow(
            sync=name,
            source=number,
            cluster=key_text(one.cluster),
            namespace=key_text(one.namespace),
            application=key_text(one.application),
            repository=source.get("repository", ""),
            url=column(source.get("url", "")),
            path=directory(source.get("path", "")),
            chart=column(source.get("chart", "")),
            target_revision=column(source.get("target_revision", "")),
            revision=key_text(source.get("revision", "")),
        )
        if row != context.get(SyncSourceRow, name, number):
            yield row
    for resource in one.resources:
        yield from _resource(name, resource, context)


def _fields(data: SyncApplied | SyncFailed) -> dict[str, object]:
    one = data.sync
    failed = isinstance(data, SyncFailed)
    return {
        "finished_at": one.finished_at,
        "outcome": FAILED if failed else SUCCEEDED,
        "message": data.message if isinstance(data, SyncFailed) else "",
        "initiated_by": one.initiated_by,
        "automated": one.automated,
        "partial": one.partial,
        "self_heal": one.self_heal,
        "local": one.local,
        "retries": one.retries,
        "resources": len(one.resources),
        "synced": sum(1 for two in one.resources if two.status in ("Synced", "Pruned")),
    }


def _sources(one: Sync) -> list[dict[str, str]]:
    """Each source with its revision; there may be more of one than of the other."""
    return [
        {
            "repository": source.repository,
            "url": source.url,
            "path": source.path,
            "chart": source.chart,
            "target_revision": source.target_revision,
            "revision": revision,
        }
        for source, revision in zip_longest(one.sources, one.revisions)
        for source, revision in [(source or ApplicationSource(url=""), revision or "")]
    ]


def _sync_row(
    name: str, one: Sync, told: Tellings, known: SyncRow | None, recorded: RecordedEvent
) -> SyncRow:
    outcome = told.get("outcome")
    partial, local = told.get("partial", False), told.get("local", False)
    return SyncRow(
        sync=name,
        cluster=key_text(one.cluster),
        namespace=key_text(one.namespace),
        application=key_text(one.application),
        uid=column(one.uid),
        started_at=one.started_at,
        finished_at=told.get("finished_at"),
        outcome=outcome,
        message=column(told.get("message")),
        history_id=told.get("history_id", 0) - 1,
        initiated_by=column(told.get("initiated_by")),
        automated=int(told.get("automated", False)),
        partial=int(partial),
        self_heal=int(told.get("self_heal", False)),
        local=int(local),
        complete=int(outcome == SUCCEEDED and not partial and not local),
        retries=told.get("retries", 0),
        resources=told.get("resources", 0),
        synced=told.get("synced", 0),
        told=column(told.text),
        evidence_position=known.evidence_position if known else recorded.position,
        recorded_at=known.recorded_at if known else recorded.recorded_at,
    )


def _resource(name: str, one: SyncedResource, context: Context) -> Iterable[Row]:
    row = SyncResourceRow(
        sync=name,
        api_group=key_text(one.api_group),
        kind=key_text(one.kind),
        namespace=key_text(one.namespace),
        name=key_text(one.name),
        hook=key_text(one.hook),
        status=column(one.status),
        message=column(one.message),
    )
    known = context.get(SyncResourceRow, *row[:6])
    if known is None or known[6:] < row[6:]:
        yield row


PROJECTION = Projection(
    name="deployments",
    version=1,
    tables=(SYNCS, SYNC_SOURCES, SYNC_RESOURCES),
    handles=(SyncApplied, SyncFailed),
    project=project,
)
