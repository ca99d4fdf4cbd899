"""What events tell of clusters and applications, as rows, and what has to be settled again for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from ledger.contents import digest_bytes
from ledger.events import (
    ApplicationChanged,
    ApplicationCreated,
    ApplicationDeleted,
    ClusterSurveyed,
    LiveObserved,
    LiveRemoved,
    RecordedEvent,
    RefMoved,
    RevisionObserved,
    ScopeCounted,
    SyncApplied,
    SyncFailed,
)
from ledger.events import Identity as Person
from ledger.kustomize.kinds import is_built_in, is_cluster_scoped
from ledger.projections import Context, Row, column, key_text
from ledger.projections.live.rows import (
    ApplicationRow,
    BranchRow,
    ClaimRow,
    Identity,
    LiveRow,
    LookRow,
    Name,
    ObjectRow,
    ScopeRow,
    SeenRow,
)
from ledger.projections.revisions import HEADS
from ledger.resources import Value

HANDLES = (
    LiveObserved,
    LiveRemoved,
    ClusterSurveyed,
    ApplicationCreated,
    ApplicationChanged,
    ApplicationDeleted,
    SyncApplied,
    SyncFailed,
    RevisionObserved,
    RefMoved,
)
TRACKING, INSTANCE = "argocd.argoproj.io/tracking-id", "app.kubernetes.io/instance"
APPLICATION = ("argoproj.io", "Application")
UNKNOWN = "unknown"
_SEEN = msgspec.json.Decoder(list[tuple[str, str, str, str, str]])


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, RevisionObserved):
        yield from _branch(data.repository, data.branch, context)
    elif isinstance(data, RefMoved):
        branch = data.ref.removeprefix(HEADS)
        if branch != data.ref and context.get(BranchRow, data.repository, branch) is not None:
            yield from _branch(data.repository, branch, context)
    elif isinstance(data, LiveObserved):
        yield from _observed(recorded, data, context)
    elif isinstance(data, LiveRemoved):
        yield from _removed(recorded, data, context)
    elif isinstance(data, ClusterSurveyed):
        yield from _surveyed(data, context)
    elif isinstance(data, SyncApplied | SyncFailed):
        one = data.sync
        yield from _application(Name(one.cluster, one.namespace, one.application), context)
    elif isinstance(data, ApplicationDeleted):
        yield from _application(Name(data.cluster, data.namespace, data.name), context)
    elif isinstance(data, ApplicationCreated | ApplicationChanged):
        told = data.application
        yield from _application(Name(told.cluster, told.namespace, told.name), context)


def _branch(repository: str, branch: str, context: Context) -> Iterable[Row]:
    row = context.get(BranchRow, repository, branch)
    if row is None or not row.dirty:
        yield BranchRow(repository, branch, row.tip if row else "", 1)


def _application(name: Name, context: Context) -> Iterable[Row]:
    name = Name(*map(key_text, name))
    row = context.get(ApplicationRow, *name)
    if row is None or not row.dirty:
        yield ApplicationRow(*name, row.destination if row else "", 1)


def _observed(recorded: RecordedEvent, data: LiveObserved, context: Context) -> Iterable[Row]:
    identity = _identity(data)
    content = digest_bytes(data.content)
    claim = claimed(body_of(content, context), identity)
    row = LookRow(
        *identity,
        observed_at=data.observed_at,
        mark=content.hex(),
        content=content,
        managers=digest_bytes(data.managers) if data.managers else None,
        manager=column(data.manager),
        changed_at=data.changed_at,
        uid=column(data.uid),
        owner=key_text(data.owner),
        owner_group=key_text(data.owner_group),
        owner_uid=column(data.owner_uid),
        claim=claim,
        stated_by="",
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )
    known = context.get(LookRow, *identity, row.observed_at, row.mark)
    # Files of one time may tell of one content and of two owners, or of none.
    if known is None or _besides(known) < _besides(row):
        yield _object(identity, row, known, context)
        yield row
    if claim:
        yield ClaimRow(identity.cluster, claim, *identity[1:])


def _besides(row: LookRow) -> tuple[str, ...]:
    """What a look tells apart from when and which content."""
    told = (row.owner_uid, row.uid, row.owner, row.owner_group, row.manager, row.changed_at)
    return (*told, (row.managers or b"").hex())


def _object(
    identity: Identity, look: LookRow, instead_of: LookRow | None, context: Context
) -> ObjectRow:
    """An object with one look more, or with one that tells more than it did."""
    known = context.get(ObjectRow, *identity)
    now = (look.observed_at, look.mark)
    last = max(now, (known.observed_at, known.mark) if known else ("", ""))
    looks = int(known.looks, 16) if known else 0
    for one in (look, instead_of):
        looks ^= _digest(one) if one is not None else 0
    return ObjectRow(*identity, *last, f"{looks:032x}", 1)


def _digest(look: LookRow) -> int:
    told = msgspec.json.encode([look.observed_at, look.mark, look.stated_by, *_besides(look)])
    return int(hashlib.sha256(told).hexdigest()[:32], 16)


def _removed(recorded: RecordedEvent, data: LiveRemoved, context: Context) -> Iterable[Row]:
    identity = _identity(data)
    known = context.get(LookRow, *identity, data.observed_at, "")
    stated_by = _person(data.stated_by)
    if known is not None and (known.stated_by or "") <= stated_by:
        return  # what we saw ourselves needs nobody's word
    row = LookRow(
        *identity,
        observed_at=data.observed_at,
        mark="",
        content=None,
        managers=None,
        manager="",
        changed_at="",
        uid=column(data.uid),
        owner="",
        owner_group="",
        owner_uid="",
        claim="",
        stated_by=stated_by,
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )
    yield _object(identity, row, known, context)
    yield row


def _person(one: Person | None) -> str:
    return column(one.login or one.name or "a person") if one is not None else ""


def _identity(data: LiveObserved | LiveRemoved) -> Identity:
    return Identity(
        *map(key_text, (data.cluster, data.api_group, data.kind, data.namespace, data.name))
    )


def body_of(content: bytes, context: Context) -> Value:
    """The document of a look; None where it is no JSON."""
    try:
        body: Value = msgspec.json.decode(context.content(content))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return body


def claimed(body: Value, identity: Identity) -> str:
    """The application that an object says it belongs to: by Argo CD's tracking id, else by its label.

    A tracking id counts only for the object that it names: it is copied along with other annotations.
    The label's name stands behind a `?`, because Helm sets the same label for reasons of its own.
    """
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(metadata, dict):
        return ""
    tracking = _member(metadata.get("annotations"), TRACKING)
    application, _, rest = tracking.partition(":")
    if application and rest:
        kind, _, place = rest.partition(":")
        named = (kind, place.rpartition("/")[2])
        if named == (f"{identity.api_group}/{identity.kind}", identity.name):
            return key_text(application)
    instance = _member(metadata.get("labels"), INSTANCE)
    return key_text(f"?{instance}") if instance else ""


def _member(value: Value, key: str) -> str:
    held = value.get(key) if isinstance(value, dict) else None
    return held if isinstance(held, str) else ""


def _surveyed(data: ClusterSurveyed, context: Context) -> Iterable[Row]:
    cluster = key_text(data.cluster)
    if data.partial:
        if data.objects:
            yield from _listed(cluster, data, context)
    else:
        stated_by = _person(data.stated_by)
        for one in data.scopes if not stated_by else _kept_apart(data.scopes):
            key = (cluster, key_text(one.api_group), key_text(one.kind), key_text(one.namespace))
            row = context.get(ScopeRow, *key)
            now = (data.observed_at, not stated_by, stated_by)
            if row is None or (row.seen_at, not row.stated_by, row.stated_by) < now:
                yield ScopeRow(*key, data.observed_at, stated_by)
        yield from _doubtful(cluster, context)
    if all((one.api_group, one.kind) == APPLICATION for one in data.scopes):
        return
    for known in context.find(ApplicationRow, destination=cluster):
        if not known.dirty:
            yield known._replace(dirty=1)


def _kept_apart(scopes: Sequence[ScopeCounted]) -> Iterable[ScopeCounted]:
    """The scopes of files that tell the same when no namespace is read as all of them."""
    placed = {(one.api_group, one.kind) for one in scopes if one.namespace}
    for one in scopes:
        told = (one.api_group, one.kind)
        lost = is_built_in(one.api_group) and not is_cluster_scoped(*told)
        if one.namespace or not (lost or told in placed):
            yield one


def _doubtful(cluster: str, context: Context) -> Iterable[Row]:
    """What is not known may be known when more was looked at."""
    for live in context.find(LiveRow, cluster=cluster, state=UNKNOWN):
        row = context.get(ObjectRow, *live[:5])
        if row is not None and not row.dirty:
            yield row._replace(dirty=1)


def _listed(cluster: str, data: ClusterSurveyed, context: Context) -> Iterable[Row]:
    try:
        listed = _SEEN.decode(context.content(digest_bytes(data.objects)))
    except msgspec.MsgspecError:
        return
    for group, kind, namespace, name, _ in listed:
        identity = Identity(cluster, *map(key_text, (group, kind, namespace, name)))
        row = context.get(SeenRow, *identity)
        if row is None or row.seen_at < data.observed_at:
            yield SeenRow(*identity, data.observed_at)
