"""Where a change is live: which syncs brought it, took it back, or have not brought it yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ledger.queries.inputs import Deployable, deployables, directories_made_from, follows
from ledger.store.drivers import Connection

LIVE, PARTLY, ROLLED_BACK, PENDING, NOT_OBSERVED = (
    "live", "partly_live", "rolled_back", "pending", "not_observed",
)  # fmt: skip
BASELINES = ("unknown_since", "source_changed")


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """Where one application stands towards a change.

    `state` is live, partly_live, rolled_back, pending or not_observed. `since` is when the sync ended that
    made it so; empty where that was before the first sync that is known, at `known_at`, and where
    nothing made it so. `environment` is empty where the place is unmapped.
    """

    environment: str
    tier: str
    cluster: str
    application: str
    state: str
    since: str
    known_at: str
    initiated_by: str
    grade: str
    reason: str
    deployment: str
    evidence_position: int | None


class _Sync(NamedTuple):
    kind: str
    commit_sha: str
    deployed_at: str
    deployment: str
    initiated_by: str
    evidence_position: int


def where_live(
    connection: Connection,
    repository: str,
    branch: str,
    *,
    number: int,
    commit: str,
    paths: Sequence[str],
    only: tuple[str, str, str] | None = None,
) -> list[Deployed]:
    """Where the revision of a branch stands in each application that is made from any of `paths`.

    `only` narrows it to one: the cluster and namespace of its own object, and its name. Empty where the
    ledger knows of no such application.
    """
    candidates = [
        one
        for one in deployables(connection, repository)
        if follows(one, branch) and only in (None, one[:3])
    ]
    if not candidates:
        return []
    roots = directories_made_from(connection, repository, branch, number, paths)
    found = list({one[:4]: one for one in candidates if one.path in roots}.values())
    syncs = _syncs(connection, repository, branch, number, commit) if found else {}
    return [_stands(connection, one, syncs.get(one[:4], []), paths, commit) for one in found]


def _syncs(
    connection: Connection, repository: str, branch: str, number: int, commit: str
) -> dict[tuple[str, ...], list[_Sync]]:
    """The syncs that say something of a revision, oldest first, by application and cluster.

    One look at the view for all of them: it costs the number of all syncs, whatever is asked of it.
    """
    rows = connection.rows(
        "select r.controller_cluster, r.application_namespace, r.application, r.cluster, r.kind, "
        "r.commit_sha, r.deployed_at, r.deployment, "
        "case when s.initiated_by <> '' then s.initiated_by when s.automated = 1 then 'automated' "
        "else '' end, r.evidence_position "
        "from deployed_revisions r join model_sync s on s.sync = r.deployment "
        "where r.repository = ? and (r.commit_sha = ? "
        "or r.branch = ? and r.number >= ? and r.kind in ('unknown_since', 'source_changed')) "
        "order by r.deployed_at, r.deployment",
        [repository, commit, branch, number],
    )
    found: dict[tuple[str, ...], list[_Sync]] = {}
    for row in rows:
        found.setdefault(tuple(row[:4]), []).append(_Sync(*row[4:]))
    return found


def _stands(
    connection: Connection,
    one: Deployable,
    syncs: Sequence[_Sync],
    paths: Sequence[str],
    commit: str,
) -> Deployed:
    own = [sync for sync in syncs if sync.commit_sha == commit and sync.kind not in BASELINES]
    whole = [sync for sync in own if sync.kind != "partial"]
    baseline = [sync for sync in syncs if sync.kind in BASELINES]
    name = one.application
    inside = not one.path or any(f"{path}/".startswith(f"{one.path}/") for path in paths)
    grade = "reported" if inside else "inferred"
    how = "" if inside else "; that it is made from this is read from its kustomizations"
    if whole and whole[-1].kind == "rolled_back":
        return _deployed(one, ROLLED_BACK, grade, f"a sync of {name} went back{how}", whole[-1])
    if whole:
        return _deployed(one, LIVE, grade, f"a sync of {name} brought it{how}", whole[-1])
    if baseline:
        why = f"the first sync of {name} that is known had it{how}"
        return _deployed(one, LIVE, grade, why, baseline[0], exactly=False)
    if own:
        why = f"a sync of {name} applied only some resources{how}"
        return _deployed(one, PARTLY, grade, why, own[-1])
    if _is_known(connection, one):
        return _deployed(one, PENDING, "inferred", f"no known sync of {name} brought it{how}")
    return _deployed(one, NOT_OBSERVED, "unlinked", f"no sync of {name} is known")


def _is_known(connection: Connection, one: Deployable) -> bool:
    """Whether any sync of an application is known."""
    rows = connection.rows(
        "select 1 from model_sync where cluster = ? and namespace = ? and application = ? limit 1",
        one[:3],
    )
    return bool(rows)


def _deployed(
    one: Deployable,
    state: str,
    grade: str,
    reason: str,
    sync: _Sync | None = None,
    *,
    exactly: bool = True,
) -> Deployed:
    return Deployed(
        environment=one.environment,
        tier=one.tier,
        cluster=one.cluster,
        application=one.application,
        state=state,
        since=sync.deployed_at if sync and exactly else "",
        known_at=sync.deployed_at if sync else "",
        initiated_by=sync.initiated_by if sync else "",
        grade=grade,
        reason=reason,
        deployment=sync.deployment if sync else "",
        evidence_position=sync.evidence_position if sync else None,
    )
