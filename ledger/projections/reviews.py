"""Pull requests as their forge tells them, their reviews, and the judgement that follows.

Several tellings of one pull request or review are merged field by field by the forge's own time, so
that webhooks and the API give the same rows in any order. A merge is final. A review that was
dismissed keeps what it said. Whenever a fact of a pull request comes, it is judged again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ledger import approval
from ledger.events import (
    Identity,
    PullRequestClosed,
    PullRequestListed,
    PullRequestMerged,
    PullRequestOpened,
    PullRequestPushed,
    RecordedEvent,
    ReviewDismissed,
    ReviewSubmitted,
)
from ledger.projections import Context, Projection, Row, Table, column, key_text
from ledger.tellings import Tellings, digest

OPEN, CLOSED, MERGED = "open", "closed", "merged"
_PULLS = (PullRequestOpened, PullRequestPushed, PullRequestMerged, PullRequestClosed)
PullRequestEvent = PullRequestOpened | PullRequestPushed | PullRequestMerged | PullRequestClosed
ReviewEvent = ReviewSubmitted | ReviewDismissed
_STATES = {PullRequestOpened: OPEN, PullRequestClosed: CLOSED, PullRequestMerged: MERGED}
_MAX_OBJECT, _MAX_TIME = 64, 32  # characters of an object's name and of a time in a key
_PLAIN = ("title", "url", "base", "base_commit", "head_ref", "created_at")


class ReportedPullRequestRow(NamedTuple):
    """A pull request as its forge tells it; empty where it tells nothing.

    `head_sha` is the head that merged, else the last one told. `told` is what the row is made from.
    """

    repository: str
    number: int
    forge: str
    state: str
    title: str
    author: str
    author_is_bot: int
    url: str
    base: str
    base_sha: str
    head_ref: str
    head_sha: str
    labels: str
    draft: int
    created_at: str
    updated_at: str
    closed_at: str
    merged_at: str
    merged_by: str
    merged_by_bot: int
    merge_commit_sha: str
    merge_method: str
    commits: int
    told: str
    evidence_position: int
    recorded_at: str


class ContributorRow(NamedTuple):
    """A push to a pull request, or a commit listed in it (without a time), and who made it.

    An empty login is somebody unknown.
    """

    repository: str
    number: int
    login: str
    head_sha: str
    pushed_at: str
    evidence_position: int
    recorded_at: str


class ReviewRow(NamedTuple):
    """A review: what it said (dismissed where only that is told), and what became of it."""

    repository: str
    number: int
    review: str
    reviewer: str
    reviewer_is_bot: int
    state: str
    commit_sha: str
    submitted_at: str
    association: str
    url: str
    dismissed: int
    dismissed_at: str
    dismissed_by: str
    carried: int
    counts: int
    reason: str
    told: str
    evidence_position: int
    recorded_at: str


class ApprovalRow(NamedTuple):
    """The judgement of a pull request; `approvers` are logins, parted by a comma and a space."""

    repository: str
    number: int
    verdict: str
    reason: str
    approvers: str
    approved_at: str
    approvals: int
    evidence_position: int
    recorded_at: str


PULL_REQUESTS = Table(
    "model_reported_pull_request", ReportedPullRequestRow, key=("repository", "number")
)
CONTRIBUTORS = Table(
    "model_contributor",
    ContributorRow,
    key=("repository", "number", "login", "head_sha", "pushed_at"),
    lookups=(("repository", "number"),),
)
REVIEWS = Table(
    "model_review",
    ReviewRow,
    key=("repository", "number", "review"),
    lookups=(("repository", "number"),),
)
APPROVALS = Table("model_approval", ApprovalRow, key=("repository", "number"))


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, _PULLS):
        yield from _pull_request(recorded, data, context)
        yield from _judged(recorded, data.repository, data.pull_request.number, context)
    elif isinstance(data, PullRequestListed):
        yield from _listed(recorded, data, context)
        yield from _judged(recorded, data.repository, data.number, context)
    elif isinstance(data, ReviewSubmitted | ReviewDismissed):
        yield _review(recorded, data, context)
        yield from _judged(recorded, data.repository, data.number, context)


# -- pull requests -----------------------------------------------------------------------------------


def _pull_request(
    recorded: RecordedEvent, data: PullRequestEvent, context: Context
) -> Iterable[Row]:
    pull = data.pull_request
    known = context.get(ReportedPullRequestRow, data.repository, pull.number)
    told = Tellings(known.told if known else "")
    _tell(told, data)
    yield _pull_request_row(recorded, data, told)
    if isinstance(data, PullRequestPushed):
        login = approval.person(recorded.actor.login if recorded.actor else "")
        push = column(data.after[:_MAX_OBJECT]), column(data.at[:_MAX_TIME])
        key = (data.repository, pull.number, login, *push)
        if context.get(ContributorRow, *key) is None:
            yield ContributorRow(*key, recorded.position, recorded.recorded_at)


def _listed(recorded: RecordedEvent, data: PullRequestListed, context: Context) -> Iterable[Row]:
    """Who wrote the commits of a pull request, and who committed them where that is another."""
    for one in data.commits:
        logins = [approval.person(one.author.login if one.author else "")]
        if one.committer is not None:
            logins.append(approval.person(one.committer.login))
        for login in dict.fromkeys(logins):
            commit = column(one.commit[:_MAX_OBJECT])
            key = (data.repository, data.number, login, commit, "")
            if context.get(ContributorRow, *key) is None:
                yield ContributorRow(*key, recorded.position, recorded.recorded_at)


def _tell(told: Tellings, data: PullRequestEvent) -> None:
    pull = data.pull_request
    at = _happened_at(data)
    clock, mark = pull.updated_at or at, digest(data)
    snapshot: dict[str, Any] = {name: getattr(pull, name) for name in _PLAIN}
    snapshot |= {
        "forge": data.forge,
        "author": _somebody(pull.author, pull.author_is_bot),
        "labels": pull.labels,
        "draft": pull.draft,
        "head": data.after if isinstance(data, PullRequestPushed) else pull.head,
        "updated_at": clock,
    }
    told.add(snapshot, clock, mark, even_empty=("labels", "draft"))
    if isinstance(data, PullRequestMerged):
        merge = {
            "merged_head": pull.head,
            "merge_commit": data.merge_commit,
            "merged_at": data.merged_at,
            "merged_by": _somebody(data.merged_by, data.merged_by_bot),
            "method": data.method,
            "commits": data.commits,
        }
        told.add(merge, clock, mark)
    if state := _STATES.get(type(data)):
        # Closed and opened in one second: taken for closed. Merged is merged for ever.
        told.add({"state": state}, "~" if state == MERGED else clock, str(state != OPEN))
    if isinstance(data, PullRequestClosed):
        told.add({"closed_at": data.closed_at}, at, mark)


def _happened_at(data: PullRequestEvent) -> str:
    if isinstance(data, PullRequestMerged):
        return data.merged_at
    return data.closed_at if isinstance(data, PullRequestClosed) else data.at


def _somebody(who: Identity | None, is_bot: bool) -> list[Any]:
    """A person as a telling keeps them; empty where nobody is told."""
    return [who.login, who.name, who.email, int(is_bot)] if who is not None else []


def _text(told: Tellings, field: str) -> str:
    return column(told.get(field))


def _name(told: Tellings, field: str) -> str:
    """The login of somebody, else what else they are called."""
    login, name, email, _ = told.get(field) or ("", "", "", 0)
    return column(login or name or email)


def _login(told: Tellings, field: str) -> str:
    return str(told.get(field)[0]) if told.get(field) else ""


def _is_bot(told: Tellings, field: str) -> int:
    return int(told.get(field)[3]) if told.get(field) else 0


def _pull_request_row(
    recorded: RecordedEvent, data: PullRequestEvent, told: Tellings
) -> ReportedPullRequestRow:
    return ReportedPullRequestRow(
        repository=data.repository,
        number=data.pull_request.number,
        forge=_text(told, "forge"),
        state=told.get("state") or OPEN,
        title=_text(told, "title"),
        author=_name(told, "author"),
        author_is_bot=_is_bot(told, "author"),
        url=_text(told, "url"),
        base=_text(told, "base"),
        base_sha=_text(told, "base_commit"),
        head_ref=_text(told, "head_ref"),
        head_sha=column(told.get("merged_head") or told.get("head")),
        labels=column("\n".join(told.get("labels"))),
        draft=int(told.get("draft", False)),
        created_at=_text(told, "created_at"),
        updated_at=_text(told, "updated_at"),
        closed_at=_text(told, "closed_at") if told.get("state") == CLOSED else "",
        merged_at=_text(told, "merged_at"),
        merged_by=_name(told, "merged_by"),
        merged_by_bot=_is_bot(told, "merged_by"),
        merge_commit_sha=key_text(told.get("merge_commit")),
        merge_method=_text(told, "method"),
        commits=told.get("commits", 0),
        told=told.text,
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )


# -- reviews -----------------------------------------------------------------------------------------


def _review(recorded: RecordedEvent, data: ReviewEvent, context: Context) -> ReviewRow:
    key = key_text(data.review)
    known = context.get(ReviewRow, data.repository, data.number, key)
    told = Tellings(known.told if known else "")
    actor = recorded.actor
    mark = digest(data) + digest(actor or Identity())
    if isinstance(data, ReviewSubmitted):
        dismissed = data.state == approval.DISMISSED
        submitted = {
            "reviewer": _somebody(data.reviewer, data.reviewer_is_bot),
            "said": "" if dismissed else data.state,
            "dismissed": dismissed,
            "commit": data.commit,
            "submitted_at": data.submitted_at,
            "association": data.association,
            "url": data.url,
            "carried": data.carried,
        }
        told.add(submitted, data.submitted_at, mark)
    else:
        dismissal = {
            "reviewer_then": _somebody(data.reviewer, False),
            "commit_then": data.commit,
            "dismissed": True,
            "dismissed_at": data.at,
            "dismissed_by": _somebody(actor, False),
        }
        told.add(dismissal, data.at, mark)
    return ReviewRow(
        repository=data.repository,
        number=data.number,
        review=key,
        reviewer=_name(told, "reviewer") or _name(told, "reviewer_then"),
        reviewer_is_bot=_is_bot(told, "reviewer"),
        state=column(told.get("said") or approval.DISMISSED),
        commit_sha=column(told.get("commit") or told.get("commit_then")),
        submitted_at=_text(told, "submitted_at"),
        association=_text(told, "association"),
        url=_text(told, "url"),
        dismissed=int(told.get("dismissed", False)),
        dismissed_at=_text(told, "dismissed_at"),
        dismissed_by=_name(told, "dismissed_by"),
        carried=int(told.get("carried", False)),
        counts=0,
        reason="",
        told=told.text,
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )


def _judged(
    recorded: RecordedEvent, repository: str, number: int, context: Context
) -> Iterable[Row]:
    """The judgement of a pull request, and the reviews of which it says something new."""
    rows = {
        row.review: row for row in context.find(ReviewRow, repository=repository, number=number)
    }
    proposal = _proposal(context, repository, number)
    judged = approval.judge(proposal, [_as_told(row) for row in rows.values()])
    for ruling in judged.rulings:
        row = rows[ruling.review.review]
        ruled = row._replace(counts=int(ruling.counts), reason=column(ruling.reason))
        if ruled != row:
            yield ruled
    yield ApprovalRow(
        repository=repository,
        number=number,
        verdict=judged.verdict,
        reason=column(judged.reason),
        approvers=", ".join(one.login for one in judged.approvers),
        approved_at=column(judged.approved_at),
        approvals=len(judged.approvers),
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )


def _proposal(context: Context, repository: str, number: int) -> approval.Proposal | None:
    row = context.get(ReportedPullRequestRow, repository, number)
    if row is None:
        return None
    told = Tellings(row.told)
    pushed = list(context.find(ContributorRow, repository=repository, number=number))
    return approval.Proposal(
        author=_login(told, "author"),
        contributors=frozenset(one.login for one in pushed),
        head=told.get("merged_head") if row.state == MERGED else told.get("head"),
        merged_at=row.merged_at,
        commits=row.commits,
        merged_by="" if row.merged_by_bot else _login(told, "merged_by"),
        pushes=len(
            {one.head_sha for one in pushed if "" < one.pushed_at <= (row.merged_at or "~")}
        ),
        listed=len({one.head_sha for one in pushed if not one.pushed_at}),
    )


def _as_told(row: ReviewRow) -> approval.Review:
    told = Tellings(row.told)
    return approval.Review(
        review=row.review,
        reviewer=_login(told, "reviewer") or _login(told, "reviewer_then"),
        is_bot=bool(row.reviewer_is_bot),
        state=row.state,
        commit=row.commit_sha,
        submitted_at=row.submitted_at,
        dismissed=bool(row.dismissed),
        dismissed_at=row.dismissed_at,
        association=row.association,
        carried=bool(row.carried),
    )


PROJECTION = Projection(
    name="reviews",
    version=3,
    tables=(PULL_REQUESTS, CONTRIBUTORS, REVIEWS, APPROVALS),
    handles=(*_PULLS, PullRequestListed, ReviewSubmitted, ReviewDismissed),
    project=project,
)
