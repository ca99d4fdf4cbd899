"""Mainline revisions: which there are, what is known of each, and where a branch stood at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.errors import NotFoundError, UsageError
from ledger.queries.answers import Approval, Link, Moment, Named, Person, Push, Revision
from ledger.queries.many import for_each
from ledger.queries.names import Scope, branches, tracked
from ledger.store.drivers import Connection, Row

HEADS = "refs/heads/"
_REVISION = (
    "repository", "branch", "number", "commit_sha", "subject", "author_name", "author_email",
    "committer_name", "committer_email", "authored_at", "committed_at", "landed_at",
    "landed_grade", "recorded_at", "signature_status", "superseded", "pull_request", "link_grade",
    "link_reason", "merged_by", "merged_at", "approval", "approval_reason", "approvers",
    "approved_at", "pushed_by", "pushed_at", "direct", "direct_reason",
)  # fmt: skip
_COLUMNS = ", ".join(
    f"c.{name}" if name.startswith("committer") else f"v.{name}" for name in _REVISION
)
_COMMITTED = "join model_commit c on c.repository = v.repository and c.commit_sha = v.commit_sha"


class Revisions:
    """Reads revisions from one open ledger."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: dict[tuple[str, str, str], Revision] = {}
        self._tips: dict[tuple[str, str], Row] = {}
        self._lines: dict[tuple[str, str, str], tuple[set[str], int]] = {}

    def revision(self, repository: str, branch: str, commit: str) -> Revision:
        """The revision that a commit is on a branch."""
        key = (repository, branch, commit)
        if key not in self._known:
            where = "v.repository = ? and v.branch = ? and v.commit_sha = ?"
            self._known[key] = self._select(where, list(key))[0]
        return self._known[key]

    def first_parent(self, revision: Revision) -> str:
        """The commit before a revision on its line; empty where it is the first."""
        rows = self._connection.rows(
            "select first_parent from model_revision where repository = ? and branch = ? "
            "and commit_sha = ?",
            (revision.repository, revision.branch, revision.commit_sha),
        )
        return str(rows[0][0]) if rows else ""

    def warm(self, repository: str, branch: str, commits: Iterable[str]) -> None:
        """Reads revisions that will be asked for, with one statement for many."""
        asked = {one for one in commits if (repository, branch, one) not in self._known}
        if len(asked) < 2:
            return
        rows = for_each(
            self._connection,
            sorted(asked),
            f"select {_COLUMNS} from w cross join revisions v {_COMMITTED} "  # noqa: S608
            "where v.repository = ? and v.branch = ? and v.commit_sha = w.wanted",
            repository,
            branch,
        )
        for one in self._made(list(rows)):
            self._known[repository, branch, one.commit_sha] = one

    def _select(self, where: str, values: Sequence[object]) -> list[Revision]:
        sql = f"select {_COLUMNS} from revisions v {_COMMITTED} where {where}"  # noqa: S608
        return self._made(self._connection.rows(sql, values))

    def _made(self, rows: Sequence[Row]) -> list[Revision]:
        found = [dict(zip(_REVISION, row, strict=True)) for row in rows]
        names: dict[tuple[str, str], list[Named]] = {}
        for repository in dict.fromkeys(row["repository"] for row in found):
            commits = {row["commit_sha"] for row in found if row["repository"] == repository}
            self._read_names(repository, commits, names)
        return [
            _revision(row, names.get((row["repository"], row["commit_sha"]), [])) for row in found
        ]

    def _read_names(
        self, repository: str, commits: Iterable[str], names: dict[tuple[str, str], list[Named]]
    ) -> None:
        """What revisions revert or bring again."""
        rows = for_each(
            self._connection,
            sorted(commits),
            "select t.repository, t.revision_sha, t.role, t.named_sha, l.number, t.grade, t.reason "
            "from w cross join model_relation t left join model_link l "
            "on l.repository = t.repository and l.commit_sha = t.named_sha and l.best = 1 "
            "and l.role = 'merged' where t.repository = ? and t.revision_sha = w.wanted "
            "order by t.role, t.named_sha, t.commit_sha",
            repository,
        )
        for name, commit, role, named, number, grade, reason in rows:
            one = Named(role=role, commit_sha=named, number=number, grade=grade, reason=reason)
            names.setdefault((name, commit), []).append(one)

    def log(
        self,
        scope: Scope,
        *,
        since: str = "",
        until: str = "",
        author: str = "",
        direct: bool = False,
        unapproved: bool = False,
        superseded: bool = False,
        limit: int = 0,
    ) -> list[Revision]:
        """Mainline revisions, newest first, by when they landed.

        What stands on a branch that is tracked now is not told again under the name of one that was
        renamed or let go, unless that is the branch asked for. What reached a branch unapproved did so
        though the branch has moved away from it since.
        """
        where, values = ["1 = 1"], list[object]()
        if not scope.branch:
            where, values = told_once(self._connection)
        for column in ("repository", "branch"):
            if wanted := getattr(scope, column):
                where.append(f"v.{column} = ?")
                values.append(wanted)
        if since:
            where.append("v.landed_at >= ?")
            values.append(since)
        if until:
            where.append("v.landed_at < ?")
            values.append(until)
        if author:
            where.append("(v.author_name = ? or v.author_email = ?)")
            values += [author, author]
        if direct:
            where.append("v.pull_request is null")
        if unapproved:
            where.append("v.approval <> 'approved'")
        if not (superseded or unapproved):
            where.append("v.superseded = 0")
        if scope.path:
            where.append(_TOUCHES)
            values += [scope.path, _below(scope.path), scope.path, _below(scope.path)]
        tail = " order by v.landed_at desc, v.repository, v.branch, v.number desc"
        if limit:
            tail += " limit ?"
            values.append(limit)
        return self._select(" and ".join(where) + tail, values)

    def moment(self, repository: str, branch: str, at: str) -> Moment:
        """The tip of a branch at a time (UTC text), at a commit id, or now where `at` is empty.

        From the moves that the ledger saw; before the first of them, inferred from commit times.
        Raises NotFoundError where the branch had no revision yet.
        """
        tip = self._tip(repository, branch)
        if not tip:
            raise NotFoundError(f"{repository} has no tracked branch {branch!r}")
        if not at:
            return Moment(
                at="now", commit_sha=tip[0], number=tip[1], clock="the branch as last read"
            )
        if "T" not in at:
            return self._moment_of_commit(repository, branch, at)
        moves = self._connection.rows(
            "select new_sha, recorded_at from model_ref_move where repository = ? and ref = ? "
            "order by sequence",
            (repository, HEADS + branch),
        )
        seen = [(commit, when) for commit, when in moves if when <= at]
        if seen:
            commit, when = seen[-1]
            number = self._number(repository, branch, commit)
            return Moment(
                at=at,
                commit_sha=commit,
                number=number,
                clock=f"the ledger saw the branch there at {when}",
            )
        return self._inferred(repository, branch, at)

    def _tip(self, repository: str, branch: str) -> Row:
        """Commit and number; empty where the branch has no revision."""
        key = (repository, branch)
        if key not in self._tips:
            rows = self._connection.rows(
                "select tip, number from model_branch where repository = ? and branch = ?", key
            )
            self._tips[key] = rows[0] if rows else ()
        return self._tips[key]

    def _inferred(self, repository: str, branch: str, at: str) -> Moment:
        # Only what was there when the branch was first read; of what came later it is known when.
        rows = self._connection.rows(
            "select r.commit_sha, r.number from model_revision r join model_ref_move m on m.key = r.move "
            "where r.repository = ? and r.branch = ? and m.sequence = 1 and r.landed_floor <= ? "
            "order by r.number desc limit 1",
            (repository, branch, at),
        )
        if not rows:
            raise NotFoundError(f"{repository}@{branch} had no revision at {at}")
        commit, number = rows[0]
        clock = "inferred from commit times, for the ledger did not yet read the branch then"
        return Moment(at=at, commit_sha=commit, number=number, clock=clock)

    def _moment_of_commit(self, repository: str, branch: str, commit: str) -> Moment:
        rows = self._connection.rows(
            "select commit_sha, number, superseded from model_revision where repository = ? "
            "and branch = ? and commit_sha >= ? and commit_sha < ? order by commit_sha limit 2",
            (repository, branch, commit, commit + "g"),
        )
        if len(rows) != 1 or len(commit) < 4:
            what = "several revisions" if len(rows) > 1 else "no revision"
            raise UsageError(f"{commit!r} names {what} of {repository}@{branch}")
        name, number, superseded = rows[0]
        if not superseded:
            self._lines[repository, branch, name] = (set(), number)
        return Moment(
            at=commit, commit_sha=name, number=number, clock="the revision that was named"
        )

    def _number(self, repository: str, branch: str, commit: str) -> int:
        rows = self._connection.rows(
            "select number from model_revision where repository = ? and branch = ? and commit_sha = ?",
            (repository, branch, commit),
        )
        return int(rows[0][0]) if rows else 0

    def _displaced(self, repository: str, branch: str, moment: Moment) -> tuple[set[str], int]:
        """The superseded part of the line below a tip, and the number where the current line begins."""
        key = (repository, branch, moment.commit_sha)
        if key not in self._lines:
            self._lines[key] = self._walked(repository, branch, moment)
        return self._lines[key]

    def _walked(self, repository: str, branch: str, moment: Moment) -> tuple[set[str], int]:
        found: set[str] = set()
        commit, number = moment.commit_sha, moment.number
        while commit:
            rows = self._connection.rows(
                "select superseded, first_parent, number from model_revision "
                "where repository = ? and branch = ? and commit_sha = ?",
                (repository, branch, commit),
            )
            if not rows or not rows[0][0]:
                return found, int(rows[0][2]) if rows else number
            found.add(commit)
            commit = rows[0][1]
            number = 0
        return found, number if not found else 0


_TOUCHES = (
    "exists (select 1 from model_resource_change h where h.repository = v.repository "
    "and h.branch = v.branch and h.revision_number = v.number and h.commit_sha = v.commit_sha "
    "and (h.path = ? or h.path like ? escape '!' or h.old_path = ? or h.old_path like ? escape '!'))"
)


def _below(path: str) -> str:
    text = path.rstrip("/")
    for char in "!%_":
        text = text.replace(char, f"!{char}")
    return text.replace("*", "%") if "*" in text else f"{text}/%"


def told_once(connection: Connection) -> tuple[list[str], list[object]]:
    """Conditions on rows `v` of revisions, with their values: none is told under an older name of its branch.

    Two small reads; none of it costs where every known branch is tracked now.
    """
    now = tracked(connection)
    where: list[str] = ["1 = 1"]
    values: list[object] = []
    for repository, branch in branches(connection, Scope()):
        others = [other for name, other in now if name == repository]
        if others and branch not in others:
            marks = ", ".join("?" * len(others))
            where.append(
                "not (v.repository = ? and v.branch = ? and exists (select 1 from model_revision o "  # noqa: S608
                f"where o.repository = v.repository and o.branch in ({marks}) "
                "and o.commit_sha = v.commit_sha))"
            )
            values += [repository, branch, *others]
    return where, values


def landed_clock(landed_at: str, grade: str, *told: str) -> str:
    """Who told when a revision landed, as words; `told` are the times that the forge told."""
    if grade == "inferred":
        return "inferred from commit times"
    return "as the forge says" if landed_at in told else "seen by the ledger"


def approval_grade(verdict: str, link: Link) -> str:
    """What a forge reports of a pull request is known no better than the link to it."""
    if verdict == "unknown" or link.number is None:
        return "unlinked"
    return "inferred" if link.grade == "inferred" else "reported"


def _revision(row: dict[str, Any], names: list[Named]) -> Revision:
    link = Link(
        number=row.pop("pull_request"),
        grade=row.pop("link_grade"),
        reason=row.pop("link_reason"),
        merged_by=row.pop("merged_by"),
        merged_at=row.pop("merged_at"),
    )
    push = Push(
        by=row.pop("pushed_by"),
        at=row.pop("pushed_at"),
        direct=row.pop("direct") or "",
        reason=row.pop("direct_reason") or "",
    )
    approvers = row.pop("approvers")
    approval = Approval(
        verdict=row["approval"],
        grade=approval_grade(row.pop("approval"), link),
        reason=row.pop("approval_reason"),
        approvers=approvers.split(", ") if approvers else [],
        approved_at=row.pop("approved_at"),
    )
    return Revision(
        author=Person(name=row.pop("author_name"), email=row.pop("author_email")),
        committer=Person(name=row.pop("committer_name"), email=row.pop("committer_email")),
        superseded=bool(row.pop("superseded")),
        pull_request=link,
        push=push,
        names=names,
        approval=approval,
        **row,
    )
