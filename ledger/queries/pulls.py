"""The whole story of one pull request: who made it, who judged it, what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ledger.errors import AmbiguousError, NotFoundError
from ledger.queries.answers import Approval, Named
from ledger.store.drivers import Connection


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody brought to a pull request: listed commits and told pushes; `login` empty is unknown."""

    login: str
    commits: int
    pushes: int


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """A review, and whether it counts. Times are UTC text, empty where they are not told.

    `dismissed_by` is empty where it was not dismissed, or nobody tells by whom.
    """

    reviewer: str
    state: str
    commit_sha: str
    submitted_at: str
    counts: bool
    reason: str
    dismissed_by: str
    evidence_position: int


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """How the latest run of a check of the head ended, and how the latest one by the merge had.

    `at_merge` is empty where none had ended by then; `completed_at` where the forge does not tell.
    """

    name: str
    app: str
    conclusion: str
    completed_at: str
    at_merge: str
    evidence_position: int


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """A mainline commit that is linked to a pull request, or said to be.

    `best` where it is the commit's own pull request; `number` is the revision's, null off the current line.
    """

    branch: str
    number: int | None
    commit_sha: str
    landed_at: str
    best: bool
    grade: str
    reason: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A sync that brought a commit of it to a cluster; `kind` as in the view `deployed_revisions`."""

    environment: str
    cluster: str
    application: str
    commit_sha: str
    deployed_at: str
    kind: str


class PullRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request as its forge tells it and as Git shows it; empty and null where neither does.

    `refusal` is the one word for why it is not approved, `rules` what the rules in force at its merge
    demanded. `names` is what its revisions revert or bring again, `named_by` the revisions that revert or
    bring it.
    """

    repository: str
    number: int
    state: str
    title: str
    url: str
    author: str
    base: str
    head_sha: str
    created_at: str
    updated_at: str
    closed_at: str
    merged_at: str
    merged_by: str
    merge_commit_sha: str
    approval: Approval
    refusal: str
    rules: str
    contributions: list[Contribution]
    reviews: list[Opinion]
    checks: list[Check]
    landed: list[Landing]
    delivered: list[Delivery]
    names: list[Named]
    named_by: list[Named]
    evidence_position: int


_TEXTS = (
    "state", "title", "url", "author", "base", "head_sha", "created_at", "updated_at", "closed_at",
    "merged_at", "merged_by", "merge_commit_sha", "refusal", "rules",
)  # fmt: skip


def find_pull_request(connection: Connection, number: int, repository: str = "") -> PullRequest:
    """The story of a pull request. NotFoundError, or AmbiguousError where several repositories have it."""
    columns = (
        "repository, state, title, url, author, base, head_sha, created_at, updated_at, closed_at, "
        "merged_at, merged_by, merge_commit_sha, refusal, rules, approval, reason, approvers, "
        "approved_at, evidence_position"
    )
    sql = f"select {columns} from pull_requests where number = ?"  # noqa: S608 (columns are ours)
    found = [
        dict(zip(columns.split(", "), row, strict=True))
        for row in connection.rows(f"{sql} order by repository", [number])
        if repository in ("", row[0])
    ]
    if not found:
        where = f" of {repository}" if repository else ""
        raise NotFoundError(
            f"nothing is known of pull request {number}{where}",
            hint="Git alone shows a pull request by its head or by what landed; its forge tells the rest.",
        )
    if len(found) > 1:
        names = ", ".join(one["repository"] for one in found)
        raise AmbiguousError(
            f"several repositories have a pull request {number}: {names}",
            hint="Say which one with --repository.",
        )
    return _story(connection, number, found[0])


def _story(connection: Connection, number: int, row: dict[str, Any]) -> PullRequest:
    key = [row["repository"], number]
    landed = _landed(connection, key)
    return PullRequest(
        repository=row["repository"],
        number=number,
        **{name: row[name] or "" for name in _TEXTS},
        approval=_approval(row),
        contributions=_contributions(connection, key),
        reviews=_reviews(connection, key),
        checks=_checks(connection, row["repository"], row["head_sha"], number),
        landed=landed,
        delivered=_delivered(connection, row["repository"], landed),
        names=_named(connection, key, "revision_sha", "named_sha"),
        named_by=_named(connection, key, "named_sha", "revision_sha"),
        evidence_position=row["evidence_position"],
    )


def _approval(row: dict[str, Any]) -> Approval:
    """What the forge tells of approvals is reported, whatever is known of the commit that landed."""
    return Approval(
        verdict=row["approval"] or "unknown",
        grade="reported" if row["approval"] in ("approved", "unapproved") else "unlinked",
        reason=row["reason"] or "",
        approvers=[one for one in (row["approvers"] or "").split(", ") if one],
        approved_at=row["approved_at"] or "",
    )


def _contributions(connection: Connection, key: Sequence[Any]) -> list[Contribution]:
    rows = connection.rows(
        """select login, count(distinct case when pushed_at = '' then head_sha end),
                  count(distinct case when pushed_at <> '' then head_sha end)
           from model_contributor where repository = ? and number = ?
           group by login order by login""",
        key,
    )
    return [Contribution(login=row[0], commits=int(row[1]), pushes=int(row[2])) for row in rows]


def _reviews(connection: Connection, key: Sequence[Any]) -> list[Opinion]:
    rows = connection.rows(
        """select reviewer, state, commit_sha, submitted_at, counts, reason, dismissed_by,
                  evidence_position
           from reviews where repository = ? and number = ? order by submitted_at, review""",
        key,
    )
    return [
        Opinion(
            reviewer=row[0],
            state=row[1],
            commit_sha=row[2],
            submitted_at=row[3],
            counts=bool(row[4]),
            reason=row[5],
            dismissed_by=row[6] or "",
            evidence_position=row[7],
        )
        for row in rows
    ]


def _checks(connection: Connection, repository: str, head: str | None, number: int) -> list[Check]:
    rows = connection.rows(
        """select name, app, conclusion, completed_at, conclusion_at_merge, evidence_position
           from checks where repository = ? and commit_sha = ? and pull_request = ? order by name, app""",
        [repository, head or "", number],
    )
    return [
        Check(
            name=row[0],
            app=row[1],
            conclusion=row[2],
            completed_at=row[3],
            at_merge=row[4] or "",
            evidence_position=row[5],
        )
        for row in rows
    ]


def _landed(connection: Connection, key: Sequence[Any]) -> list[Landing]:
    """Links with what speaks against them, too; the current line's number first where there are several.

    What landed may have another verdict than its pull request: then the reason says so.
    """
    rows = connection.rows(
        """select l.commit_sha, l.best, l.grade,
             l.reason || case when l.best = 1 and a.verdict = 'approved' and r.approval <> 'approved'
               then '; ' || r.approval || ': ' || r.approval_reason else '' end,
             r.branch, r.number, r.landed_at, r.superseded
           from model_link l
           left join revisions r on r.repository = l.repository and r.commit_sha = l.commit_sha
           left join model_approval a on a.repository = l.repository and a.number = l.number
           where l.repository = ? and l.number = ?
           order by l.best desc, l.rank, r.branch, r.number, l.commit_sha""",
        key,
    )
    return [
        Landing(
            commit_sha=row[0],
            best=bool(row[1]),
            grade=row[2],
            reason=row[3],
            branch=row[4] or "",
            number=None if row[7] else row[5],
            landed_at=row[6] or "",
        )
        for row in rows
    ]


def _named(connection: Connection, key: Sequence[Any], own: str, other: str) -> list[Named]:
    """What a pull request's revisions say of other ones, or other ones of them; with their pull requests."""
    rows = connection.rows(
        f"""select t.role, t.{other}, o.number, t.grade, t.reason
            from model_link l
            join model_relation t on t.repository = l.repository and t.{own} = l.commit_sha
            left join model_link o on o.repository = t.repository and o.commit_sha = t.{other}
              and o.best = 1 and o.role = 'merged'
            where l.repository = ? and l.number = ? and l.best = 1 and l.role = 'merged'
              and t.revision_sha <> ''
            order by t.role, t.{other}, t.commit_sha""",  # noqa: S608 (columns are ours)
        key,
    )
    return [
        Named(role=row[0], commit_sha=row[1], number=row[2], grade=row[3], reason=row[4])
        for row in rows
    ]


def _delivered(
    connection: Connection, repository: str, landed: Sequence[Landing]
) -> list[Delivery]:
    commits = sorted({one.commit_sha for one in landed if one.best})
    if not commits:
        return []
    marks = ", ".join("?" * len(commits))
    rows = connection.rows(
        f"""select environment, cluster, application, commit_sha, deployed_at, kind
            from deployed_revisions where repository = ? and commit_sha in ({marks})
            order by deployed_at, cluster, application""",  # noqa: S608 (question marks)
        [repository, *commits],
    )
    return [
        Delivery(
            environment=row[0] or "",
            cluster=row[1] or "",
            application=row[2],
            commit_sha=row[3],
            deployed_at=row[4] or "",
            kind=row[5],
        )
        for row in rows
    ]
