"""What happened in a span of time: landings, syncs, drift, hand edits, suspensions, in one timeline.

The oldest is first, so that causes stand above effects and the newest is next to the prompt. Each entry
says by which clock its time is told. Feeds say how far the answer can be trusted: what a feed has
not yet told is in no timeline.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from ledger.errors import NotFoundError
from ledger.instants import moment
from ledger.queries.inputs import Deployable, deployables, directories_made_from, follows
from ledger.store.drivers import Connection

LANDED, REWRITTEN = "landed", "rewritten"
SYNCED, SYNC_FAILED = "synced", "sync_failed"
DRIFTED, DRIFT_ENDED, EDITED = "drifted", "drift_ended", "edited"
SUSPENDED, RESUMED, APPLICATION = "suspended", "resumed", "application"
# The order of what happened in one second: a cause before its effect.
KINDS = (
    LANDED, REWRITTEN, APPLICATION, SUSPENDED, RESUMED, SYNCED, SYNC_FAILED, EDITED, DRIFTED, DRIFT_ENDED,
)  # fmt: skip


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. Texts are empty and numbers null where they do not apply.

    `environments` is empty where nothing that it touches is mapped to one. `clock` says who told `at`.
    """

    at: str
    clock: str
    kind: str
    environments: list[str]
    cluster: str = ""
    application: str = ""
    resource: str = ""
    repository: str = ""
    branch: str = ""
    commit_sha: str = ""
    pull_request: int | None = None
    approval: str = ""
    who: str = ""
    what: str
    alarming: bool = False
    grade: str
    reason: str
    evidence_position: int
    recorded_at: str


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """How far a feed is read: `read_at` is empty if never, `stale` where it may not have told it all."""

    feed: str
    kind: str
    read_at: str
    failure: str
    stale: bool


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """What happened from `since` (inclusive) to `until` (exclusive), the oldest first."""

    environment: str
    since: str
    until: str
    entries: list[Entry]
    feeds: list[Freshness]


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A configured source that is polled, and the cluster that it reads, if one."""

    name: str
    cluster: str = ""


def timeline(
    connection: Connection,
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
    known = _environments(connection)
    if environment and environment not in known:
        names = ", ".join(sorted(known)) or "none"
        raise NotFoundError(
            f"there is no environment {environment!r}", hint=f"Mapped in ledger.toml: {names}."
        )
    entries = [
        *_landings(connection, since, until, known),
        *_rewritten(connection, since, until, known),
        *_syncs(connection, since, until),
        *_applications(connection, since, until),
    ]
    if environment:
        entries = [one for one in entries if environment in one.environments]
    entries.sort(key=lambda one: (one.at, KINDS.index(one.kind), one.evidence_position))
    return Timeline(
        environment=environment,
        since=since,
        until=until,
        entries=entries,
        feeds=list(_feeds(connection, sources, min(until, now), patience)),
    )


# -- landings ------------------------------------------------------------------------------------


class _Mapping(msgspec.Struct, frozen=True):
    """The paths that are mapped to an environment."""

    repository: str
    paths: list[str]

    def holds(self, repository: str, path: str) -> bool:
        return self.repository in ("", repository) and any(
            fnmatchcase(path, pattern) for pattern in self.paths
        )


def _environments(connection: Connection) -> dict[str, _Mapping]:
    rows = connection.rows("select environment, repository, paths from environments")
    return {name: _Mapping(repository, paths.split("\n")) for name, repository, paths in rows}


_LANDED = (
    "landed_at", "landed_grade", "repository", "branch", "number", "commit_sha", "subject",
    "author_name", "merged_by", "pull_request", "link_grade", "approval", "approval_reason",
    "superseded", "evidence_position", "recorded_at",
)  # fmt: skip


def _landings(
    connection: Connection, since: str, until: str, known: Mapping[str, _Mapping]
) -> Iterator[Entry]:
    rows = connection.rows(
        f"select {', '.join(_LANDED)} from revisions where landed_at >= ? and landed_at < ?",  # noqa: S608
        [since, until],
    )
    found = [dict(zip(_LANDED, row, strict=True)) for row in rows]
    places = defaultdict(list)
    for one in deployables(connection) if found else ():
        places[one.repository].append(one)
    for row in found:
        yield _landing(connection, row, known, places[row["repository"]])


def _landing(
    connection: Connection,
    row: Mapping[str, Any],
    known: Mapping[str, _Mapping],
    places: Sequence[Deployable],
) -> Entry:
    touched = _touched(connection, row)
    environments = {
        name
        for name, mapping in known.items()
        if any(mapping.holds(row["repository"], path) for path in touched)
    }
    made_from = directories_made_from(
        connection, row["repository"], row["branch"], row["number"], touched
    )
    applications = [one for one in places if one.path in made_from and follows(one, row["branch"])]
    environments |= {one.environment for one in applications if one.environment}
    superseded = ", which the branch has moved away from" if row["superseded"] else ""
    return Entry(
        at=row["landed_at"],
        clock="the ledger or a forge saw the branch move"
        if row["landed_grade"] == "reported"
        else "inferred from commit times",
        kind=LANDED,
        environments=sorted(environments),
        application=", ".join(dict.fromkeys(one.application for one in applications)),
        repository=row["repository"],
        branch=row["branch"],
        commit_sha=row["commit_sha"],
        pull_request=row["pull_request"],
        approval=row["approval"],
        who=row["author_name"] + (f", merged by {row['merged_by']}" if row["merged_by"] else ""),
        what=f"{row['subject']}{superseded}",
        alarming=row["approval"] == "unapproved" or bool(row["superseded"]),
        grade=row["landed_grade"],
        reason=row["approval_reason"],
        evidence_position=row["evidence_position"],
        recorded_at=row["recorded_at"],
    )


def _touched(connection: Connection, row: Mapping[str, Any]) -> list[str]:
    rows = connection.rows(
        "select distinct path, old_path from model_resource_change where repository = ? "
        "and branch = ? and revision_number = ? and commit_sha = ?",
        [row["repository"], row["branch"], row["number"], row["commit_sha"]],
    )
    return sorted({path for pair in rows for path in pair if path})


def _rewritten(
    connection: Connection, since: str, until: str, known: Mapping[str, _Mapping]
) -> Iterator[Entry]:
    rows = connection.rows(
        "select m.recorded_at, m.repository, b.branch, m.kind, m.old_sha, m.new_sha, m.abandoned, "
        "m.evidence_position from model_ref_move m join model_branch b on b.repository = m.repository "
        "and m.ref = 'refs/heads/' || b.branch "
        "where m.kind in ('forced', 'deleted') and m.recorded_at >= ? and m.recorded_at < ?",
        [since, until],
    )
    for at, repository, branch, kind, old, new, abandoned, position in rows:
        mapped = {name for name, one in known.items() if one.repository == repository}
        mapped |= {
            one.environment
            for one in deployables(connection, repository)
            if one.environment and follows(one, branch)
        }
        moved = f"{branch} was forced from {old[:9]} to {new[:9]}, leaving {abandoned} behind"
        what = f"{branch} was deleted at {old[:9]}" if kind == "deleted" else moved
        yield Entry(
            at=at,
            clock="the ledger saw the branch move",
            kind=REWRITTEN,
            environments=sorted(mapped),
            repository=repository,
            branch=branch,
            commit_sha=new,
            what=what,
            alarming=True,
            grade="reported",
            reason="Git does not tell who did it",
            evidence_position=position,
            recorded_at=at,
        )


# -- what controllers tell -----------------------------------------------------------------------

_SYNCED = (
    "at", "environment", "cluster", "application", "repository", "revision", "previous_revision",
    "outcome", "kind", "initiated_by", "automated", "message", "evidence_position", "recorded_at",
)  # fmt: skip
_HOW = {
    "initial": "for the first time",
    "unknown_since": "the first sync that is known",
    "source_changed": "from another source than before",
    "change": "",
    "repeat": "the same revision again",
    "rollback": "back to an older revision",
    "self_heal": "putting back what was changed by hand",
    "partial": "chosen resources only",
    "local": "from a person's own files, not from Git",
    "failed": "",
}


def _syncs(connection: Connection, since: str, until: str) -> Iterator[Entry]:
    rows = connection.rows(
        "select case when finished_at = '' then started_at else finished_at end as at, "  # noqa: S608
        f"{', '.join(_SYNCED[1:])} from deployments "
        "where case when finished_at = '' then started_at else finished_at end >= ? "
        "and case when finished_at = '' then started_at else finished_at end < ?",
        [since, until],
    )
    for values in rows:
        row = dict(zip(_SYNCED, values, strict=True))
        failed = row["outcome"] == "failed"
        yield Entry(
            at=row["at"],
            clock="the controller says so",
            kind=SYNC_FAILED if failed else SYNCED,
            environments=[row["environment"]] if row["environment"] else [],
            cluster=row["cluster"],
            application=row["application"],
            repository=row["repository"],
            commit_sha=row["revision"],
            who=row["initiated_by"] or ("automated" if row["automated"] else ""),
            what=_sync_text(row, failed),
            alarming=failed or row["kind"] in ("local", "rollback", "partial"),
            grade="reported",
            reason="",
            evidence_position=row["evidence_position"],
            recorded_at=row["recorded_at"],
        )


def _sync_text(row: Mapping[str, Any], failed: bool) -> str:
    revision = str(row["revision"])
    shown = revision[:9] if len(revision) >= 40 else revision or "an unknown revision"
    if failed:
        return f"{shown} failed: {row['message'] or 'no reason is told'}"
    how = _HOW.get(row["kind"], row["kind"])
    return f"{shown}, {how}" if how else shown


def _applications(connection: Connection, since: str, until: str) -> Iterator[Entry]:
    rows = connection.rows(
        "select observed_at, environment, cluster, application, repository, action, fields, "
        "old_value, new_value, evidence_position, recorded_at from application_changes "
        "where observed_at >= ? and observed_at < ?",
        [since, until],
    )
    for (
        at,
        environment,
        cluster,
        name,
        repository,
        action,
        fields,
        old,
        new,
        position,
        recorded,
    ) in rows:
        kind, what = _application_text(action, fields, old, new)
        yield Entry(
            at=at,
            clock="first seen so then; it happened since the look before",
            kind=kind,
            environments=[environment] if environment else [],
            cluster=cluster,
            application=name,
            repository=repository,
            what=what,
            alarming=kind == SUSPENDED or action == "deleted",
            grade="reported",
            reason="the controller does not tell who did it",
            evidence_position=position,
            recorded_at=recorded,
        )


def _application_text(
    action: str, fields: str, old: str | None, new: str | None
) -> tuple[str, str]:
    if action != "changed":
        return APPLICATION, f"the application was {action}"
    names = fields.split(", ")
    also = ", ".join(name for name in names if name != "automated")
    rest = f"; also changed: {also}" if also else ""
    if "automated" in names:
        on = bool(json.loads(new or "{}").get("automated", False))
        word = "on" if on else "off"
        return RESUMED if on else SUSPENDED, f"automated sync was turned {word}{rest}"
    before, after = json.loads(old or "{}"), json.loads(new or "{}")
    told = [f"{name}: {_short(before.get(name))} → {_short(after.get(name))}" for name in names]
    return APPLICATION, f"the application was changed: {'; '.join(told)}"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"


# -- how far all this is known -------------------------------------------------------------------


def _feeds(
    connection: Connection, sources: Iterable[Watched], end: str, patience: int
) -> Iterator[Freshness]:
    sources = list(sources)
    state = {
        name: (read_at, failure)
        for name, read_at, failure in connection.rows(
            "select feed, succeeded_at, failure from feeds where kind = 'source'"
        )
    }
    for one in sources:
        read_at, failure = state.get(one.name, ("", ""))
        yield Freshness(
            feed=one.name,
            kind="source",
            read_at=read_at,
            failure=failure,
            stale=bool(failure) or _is_stale(read_at, end, patience),
        )
    polled = {one.cluster for one in sources}
    for cluster, read_at in _looks(connection):
        if cluster not in polled:
            yield Freshness(
                feed=cluster,
                kind="cluster",
                read_at=read_at,
                failure="",
                stale=_is_stale(read_at, end, patience),
            )


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
