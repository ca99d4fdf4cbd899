"""What landed on branches, and which environments it touches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from ledger.projections.pushes import BYPASS
from ledger.queries.answers import Entry
from ledger.queries.inputs import Deployable, deployables, directories_made_from, follows
from ledger.queries.revisions import landed_clock, told_once
from ledger.store.drivers import Connection
from ledger.tellings import Tellings

LANDED, REWRITTEN = "landed", "rewritten"


class Mapped(msgspec.Struct, frozen=True):
    """The paths that are mapped to an environment."""

    repository: str
    paths: list[str]

    def holds(self, repository: str, path: str) -> bool:
        """Whether a file belongs to the environment."""
        return self.repository in ("", repository) and any(
            fnmatchcase(path, pattern) for pattern in self.paths
        )


def environments(connection: Connection) -> dict[str, Mapped]:
    """The environments that are mapped, with the paths that belong to each."""
    rows = connection.rows("select environment, repository, paths from environments")
    return {name: Mapped(repository, paths.split("\n")) for name, repository, paths in rows}


_LANDED = (
    "landed_at", "landed_grade", "repository", "branch", "number", "commit_sha", "subject",
    "author_name", "merged_by", "merged_at", "pull_request", "link_grade", "approval", "approval_reason",
    "superseded", "evidence_position", "recorded_at", "pushed_by", "pushed_at", "direct",
)  # fmt: skip


def landed(
    connection: Connection, since: str, until: str, known: Mapping[str, Mapped]
) -> Iterator[Entry]:
    """The revisions that landed in a span, each once, with all environments whose inputs it touches."""
    once, values = told_once(connection)
    where = " and ".join(["v.landed_at >= ?", "v.landed_at < ?", *once])
    rows = connection.rows(
        f"select {', '.join(_LANDED)} from revisions v where {where}",  # noqa: S608
        [since, until, *values],
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
    known: Mapping[str, Mapped],
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
        clock=landed_clock(
            row["landed_at"], row["landed_grade"], row["merged_at"], row["pushed_at"]
        ),
        kind=LANDED,
        environments=sorted(environments),
        application=", ".join(dict.fromkeys(one.application for one in applications)),
        repository=row["repository"],
        branch=row["branch"],
        commit_sha=row["commit_sha"],
        pull_request=row["pull_request"],
        approval=row["approval"],
        who=row["author_name"] + _landed_by(row),
        what=f"{row['subject']}{superseded}",
        alarming=row["approval"] == "unapproved" or bool(row["superseded"]),
        grade=row["landed_grade"],
        reason=row["approval_reason"],
        evidence_position=row["evidence_position"],
        recorded_at=row["recorded_at"],
    )


def _landed_by(row: Mapping[str, Any]) -> str:
    """Who merged or pushed it, as the forge says."""
    if row["merged_by"]:
        return f", merged by {row['merged_by']}"
    if not row["pushed_by"]:
        return ", pushed past the rules" if row["direct"] == BYPASS else ""
    past = "past the rules " if row["direct"] == BYPASS else ""
    return f", pushed {past}by {row['pushed_by']}"


def _touched(connection: Connection, row: Mapping[str, Any]) -> list[str]:
    rows = connection.rows(
        "select distinct path, old_path from model_resource_change where repository = ? "
        "and branch = ? and revision_number = ? and commit_sha = ?",
        [row["repository"], row["branch"], row["number"], row["commit_sha"]],
    )
    return sorted({path for pair in rows for path in pair if path})


def rewritten(
    connection: Connection, since: str, until: str, known: Mapping[str, Mapped]
) -> Iterator[Entry]:
    """The tracked branches that were forced elsewhere, or deleted."""
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
        who, reason = _pushed_away(connection, repository, branch, old)
        yield Entry(
            at=at,
            clock="the ledger saw the branch move",
            kind=REWRITTEN,
            environments=sorted(mapped),
            repository=repository,
            branch=branch,
            commit_sha=new,
            who=who,
            what=what,
            alarming=True,
            grade="reported",
            reason=reason,
            evidence_position=position,
            recorded_at=at,
        )


def _pushed_away(connection: Connection, repository: str, branch: str, old: str) -> tuple[str, str]:
    """Who pushed a branch away from a commit, where the forge tells, and how that is known."""
    rows = connection.rows(
        "select told from model_push where repository = ? and branch = ? and before_sha = ?",
        [repository, branch, old],
    )
    told = Tellings(rows[0][0]) if len(rows) == 1 else Tellings()
    who = str(told.get("pusher"))
    if not who:
        return "", "Git does not tell who did it"
    return who, f"{told.get('forge').partition('/')[0]} says that {who} pushed it away from there"
