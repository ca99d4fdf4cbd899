"""Where a change is live: which syncs brought it, took it back, or have not brought it yet."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from ledger.fields import under
from ledger.queries.inputs import Deployable, deployables, directories_made_from, follows
from ledger.store.drivers import Connection

LIVE, PARTLY, ROLLED_BACK, PENDING, NOT_OBSERVED = (
    "live", "partly_live", "rolled_back", "pending", "not_observed",
)  # fmt: skip
BASELINES = ("unknown_since", "source_changed")


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """Where one application stands towards a change.

    `state` is live, partly_live, rolled_back, pending or not_observed. `since` is when the sync ended that
    made it so: the one that brought it, or that took back all that had changed it since; empty where that
    was before the first sync that is known, at `known_at`, and where nothing made it so. `environment` is
    empty where the place is unmapped.
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

    def standing(self) -> str:
        """Since when it stands so and who asked for that, as words; empty where nothing made it so."""
        when = ""
        if self.since:
            when = f"{'at' if self.state == ROLLED_BACK else 'since'} {self.since}"
        elif self.known_at:
            when = f"already at {self.known_at}, unknown since when"
        automated = self.initiated_by == "automated"
        asked = f", asked for by {self.initiated_by}" if self.initiated_by else ""
        return when + (", automated" if automated else asked)


class _Sync(NamedTuple):
    kind: str
    commit_sha: str
    number: int
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
    fields: Sequence[str] = (),
    only: tuple[str, str, str] | None = None,
) -> list[Deployed]:
    """Where the revision of a branch stands in each application that is made from any of `paths`.

    Where the revision moved a file to one of them, its old path counts, too. `fields` are those of
    `paths` that it is about; none and "" mean all of them. `only` narrows it to one: the cluster and
    namespace of its own object, and its name. Empty where the ledger knows of no such application.
    """
    candidates = [
        one
        for one in deployables(connection, repository)
        if follows(one, branch) and only in (None, one[:3])
    ]
    if not candidates:
        return []
    paths = [*paths, *_moved_from(connection, repository, branch, number, commit, paths)]
    roots = {number: directories_made_from(connection, repository, branch, number, paths)}
    syncs = _syncs(connection, repository, branch, number, commit)
    found: dict[tuple[str, ...], tuple[Deployable, list[_Sync]]] = {}
    for one in candidates:
        told = syncs.get(one[:4], [])
        if one.path not in roots[number]:
            # What an application took in later is live by the first sync that had it.
            baselines = [sync for sync in told if sync.kind in BASELINES]
            for at in {sync.number for sync in baselines} - roots.keys():
                roots[at] = directories_made_from(connection, repository, branch, at, paths)
            had = [sync for sync in baselines if one.path in roots[sync.number]]
            if not had:
                continue
            told = [sync for sync in told if sync in had or sync.kind not in BASELINES]
        found[one[:4]] = (one, told)
    if not found:
        return []
    later = _changed_later(connection, repository, branch, number, paths, fields)
    return [_stands(connection, one, told, later, paths, commit) for one, told in found.values()]


def _moved_from(
    connection: Connection,
    repository: str,
    branch: str,
    number: int,
    commit: str,
    paths: Sequence[str],
) -> list[str]:
    """Where a revision moved files from that it brought to `paths`."""
    rows = connection.rows(
        "select distinct old_path, path from model_resource_change where repository = ? "
        "and branch = ? and revision_number = ? and commit_sha = ? and old_path <> '' order by 1",
        [repository, branch, number, commit],
    )
    return [old for old, path in rows if path in paths and old not in paths]


def _changed_later(
    connection: Connection,
    repository: str,
    branch: str,
    number: int,
    paths: Sequence[str],
    wanted: Sequence[str],
) -> set[str]:
    """The later revisions of a branch that changed any of some fields of files."""
    marks = ", ".join("?" * len(paths))
    rows = connection.rows(
        "select c.commit_sha, f.field from model_resource_change c "  # noqa: S608
        "left join model_field_change f on f.change = c.change "
        f"where c.repository = ? and c.branch = ? and c.revision_number > ? and c.path in ({marks})",
        [repository, branch, number, *paths],
    )
    return {
        commit
        for commit, field in rows
        if not wanted
        or "" in wanted
        or not field
        or any(under(field, one) or under(one, field) for one in wanted)
    }


def _syncs(
    connection: Connection, repository: str, branch: str, number: int, commit: str
) -> dict[tuple[str, ...], list[_Sync]]:
    """The syncs that say something of a revision, or of later ones, oldest first, by application and cluster.

    One look at the view for all of them: it costs the number of all syncs, whatever is asked of it.
    """
    rows = connection.rows(
        "select r.controller_cluster, r.application_namespace, r.application, r.cluster, r.kind, "
        "r.commit_sha, coalesce(r.number, 0), r.deployed_at, r.deployment, "
        "case when s.initiated_by <> '' then s.initiated_by when s.automated = 1 then 'automated' "
        "else '' end, r.evidence_position "
        "from deployed_revisions r join model_sync s on s.sync = r.deployment "
        "where r.repository = ? and (r.commit_sha = ? "
        "or r.branch = ? and r.number >= ? and r.kind <> 'partial') "
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
    later: Collection[str],
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
    again = _live_again(syncs, later, (whole or baseline)[-1]) if whole or baseline else None
    if again is not None:
        return _deployed(one, LIVE, grade, f"a sync of {name} went back to it{how}", again)
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


def _live_again(syncs: Sequence[_Sync], later: Collection[str], brought: _Sync) -> _Sync | None:
    """The sync that took back the last of the later changes; None where there were none, or one stands."""
    last = {
        sync.commit_sha: sync
        for sync in syncs
        if sync.commit_sha in later
        and sync.deployed_at > brought.deployed_at
        and sync.kind not in (*BASELINES, "partial")
    }
    if any(sync.kind != "rolled_back" for sync in last.values()):
        return None
    return max(last.values(), key=lambda sync: (sync.deployed_at, sync.deployment), default=None)


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
