"""Drift as episodes: from the first look that saw it to the first that no longer did.

Each look is held against what had been synced by then. What that came to is kept beside the look with
what it was held against, so that it is worked out once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from ledger.live import DIFFERENT, DOUBTFUL, Comparison, Difference, managers_of
from ledger.projections import column
from ledger.projections.live.desired import App, Sync
from ledger.projections.live.rows import EpisodeRow, Identity, LookRow, VerdictRow
from ledger.resources import Value

MAX_FIELDS = 100
_UNTOLD = 2


class Point(NamedTuple):
    """A time at which an object was held against what was synced; `gone` where it was not there.

    `drifted` is None where it cannot be told, because what was synced by then is not known.
    """

    at: str
    drifted: bool | None
    gone: bool
    fields: tuple[str, ...]
    manager: str
    synced: str
    look: LookRow


def basis_of(app: App, syncs: Sequence[Sync], lines: object, scaled_by: str) -> str:
    """A digest of what a look is held against: what had been synced by then, and the rules in force now."""
    told = [
        [*app.name, app.destination, app.namespace, [list(one) for one in app.rules]],
        [[list(one[:5]), [[list(source), rev] for source, rev in one.revisions]] for one in syncs],
        lines,
        scaled_by,
    ]
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:32]


def verdict(
    identity: Identity,
    look: LookRow,
    basis: str,
    found: Comparison | None,
    manager: str,
    *,
    known: bool = True,
) -> VerdictRow:
    """What a look came to, as a row. `known` is false where what it is to be held against is not."""
    drifted = known and found is not None and found.verdict == DIFFERENT
    unknown = not known or (found is not None and found.verdict == DOUBTFUL)
    fields = [one.field for one in found.standing()][:MAX_FIELDS] if found and drifted else []
    return VerdictRow(
        object=identity.key,
        observed_at=look.observed_at,
        mark=look.mark,
        basis=basis,
        drifted=_UNTOLD if unknown else int(drifted),
        fields=column(msgspec.json.encode(fields).decode()),
        manager=column(manager) if drifted else "",
    )


def newest_manager(found: Sequence[Difference], managers: Value, live: Value, look: LookRow) -> str:
    """The tool that last set one of the fields that differ, as far as field managers say."""
    told = [one for difference in found for one in managers_of(managers, live, difference.way)]
    return max(told)[1] if told else look.manager


def is_drift(row: VerdictRow) -> bool | None:
    """Whether a look saw drift; None where that cannot be told."""
    return None if row.drifted == _UNTOLD else bool(row.drifted)


def fields_of(row: VerdictRow) -> tuple[str, ...]:
    """The fields that a look saw differ."""
    return tuple(msgspec.json.decode(row.fields, type=list[str]))


def episodes(identity: Identity, app: App, points: Sequence[Point]) -> Iterator[EpisodeRow]:
    """The episodes that the points of an object make, in order of time.

    A point of which nothing can be told neither begins nor ends one.
    """
    begun: list[Point] = []
    for point in points:
        if point.drifted is None:
            continue
        if point.drifted:
            begun.append(point)
        elif begun:
            yield _episode(identity, app, begun, point)
            begun = []
    if begun:
        yield _episode(identity, app, begun, None)


def standing_drift(points: Sequence[Point]) -> Point | None:
    """The point at which an object was last seen to differ, where nothing has been told since."""
    told = [one for one in points if one.drifted is not None]
    return told[-1] if told and told[-1].drifted and points[-1].drifted is not True else None


def _episode(identity: Identity, app: App, begun: Sequence[Point], end: Point | None) -> EpisodeRow:
    first = begun[0]
    fields = sorted({field for point in begun for field in point.fields})[:MAX_FIELDS]
    return EpisodeRow(
        object=identity.key,
        first_seen=first.at,
        **identity._asdict(),
        app_cluster=app.name.cluster,
        app_namespace=app.name.namespace,
        application=app.name.application,
        fields=msgspec.json.encode(fields).decode(),
        manager=first.manager,
        synced_commit_sha=first.synced,
        closed_at=end.at if end is not None else None,
        closed_by=_closed_by(app, begun[-1], end) if end is not None else "",
        evidence_position=first.look.evidence_position,
        recorded_at=first.look.recorded_at,
    )


def _closed_by(app: App, last: Point, end: Point) -> str:
    """How an episode ended: removed; git (what is synced now declares it so), sync, or reverted."""
    if end.gone:
        return "removed"
    if end.look.mark == last.look.mark:
        return "git"
    synced = any(last.at < sync.ended_at <= end.at for sync in app.syncs)
    return "sync" if synced else "reverted"
