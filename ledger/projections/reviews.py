"""Pull requests as their forge tells them, and their reviews.

Several tellings of one pull request or review are merged field by field by the forge's own time, so
that webhooks and the API give the same rows in any order. A merge is final. A review that was
dismissed keeps what it said. Of a commit told in full and cut short the full name stays. What is made
of all this is judged in `approvals`.
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
    ReviewsListed,
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

    An empty login is somebody unknown, of whom `email` may be told.
    """

    repository: str
    number: int
    login: str
    email: str
    head_sha: str
    pushed_at: str
    evidence_position: int
    recorded_at: str


class ReviewRow(NamedTuple):
    """A review: what it said, dismissed where only that is told. `told` is what the row is made from."""

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
    deduced: int
    provisional: int
    told: str
    evidence_position: int
    recorded_at: str


class ReviewListRow(NamedTuple):
    """What was told of a pull request until `listed_at` is in a list of its reviews, or was deleted."""

    repository: str
    number: int
    listed_at: str
    evidence_position: int
    recorded_at: str


PULL_REQUESTS = Table(
    "model_reported_pull_request",
    ReportedPullRequestRow,
    key=("repository", "number"),
    lookups=(("repository", "merge_commit_sha"), ("repository", "base")),
)
CONTRIBUTORS = Table(
    "model_contributor",
    ContributorRow,
    key=("repository", "number", "login", "email", "head_sha", "pushed_at"),
    lookups=(("repository", "number"),),
)
REVIEWS = Table(
    "model_review",
    ReviewRow,
    key=("repository", "number", "review"),
    lookups=(("repository", "number"),),
)
LISTS = Table("model_review_list", ReviewListRow, key=("repository", "number"))


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, _PULLS):
        yield from _pull_request(recorded, data, context)
    elif isinstance(data, PullRequestListed):
        yield from _listed(recorded, data, context)
    elif isinstance(data, ReviewSubmitted | ReviewDismissed):
        yield _review(recorded, data, context)
    elif isinstance(data, ReviewsListed):
        known = context.get(ReviewListRow, data.repository, data.number)
        if known is None or known.listed_at < data.at[:_MAX_TIME]:
            yield ReviewListRow(
                data.repository,
                data.number,
                column(data.at[:_MAX_TIME]),
                recorded.position,
                recorded.recorded_at,
            )


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
        key = (data.repository, pull.number, login, "", *push)
        if context.get(ContributorRow, *key) is None:
            yield ContributorRow(*key, recorded.position, recorded.recorded_at)


def _listed(recorded: RecordedEvent, data: PullRequestListed, context: Context) -> Iterable[Row]:
    """Who wrote the commits of a pull request, and who committed them where that is another."""
    for one in data.commits:
        hands = [_hand(one.author)]
        if one.committer is not None:
            hands.append(_hand(one.committer))
        for login, email in dict.fromkeys(hands):
            commit = column(one.commit[:_MAX_OBJECT])
            key = (data.repository, data.number, login, email, commit, "")
            if context.get(ContributorRow, *key) is None:
                yield ContributorRow(*key, recorded.position, recorded.recorded_at)


def _hand(who: Identity | None) -> tuple[str, str]:
    """The login of somebody, else the address that they are known by."""
    login = approval.person(who.login) if who is not None else ""
    return (login, "") if login or who is None else ("", key_text(who.email.strip().casefold()))


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
    # What names neither title nor page tells of a push alone, and nothing of labels.
    whole = ("labels", "draft") if pull.title or pull.url else ()
    told.add(snapshot, clock, mark, even_empty=whole)
    told.add_commits(pull.head, pull.base_commit, snapshot["head"])
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
        told.add_commits(data.merge_commit)
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


def name_of(told: Tellings, field: str) -> str:
    """The login of somebody, else what else they are called."""
    login, name, email, _ = told.get(field) or ("", "", "", 0)
    return column(login or name or email)


def login_of(told: Tellings, field: str) -> str:
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
        author=name_of(told, "author"),
        author_is_bot=_is_bot(told, "author"),
        url=_text(told, "url"),
        base=_text(told, "base"),
        base_sha=column(told.commit("base_commit")),
        head_ref=_text(told, "head_ref"),
        head_sha=column(told.commit("merged_head") or told.commit("head")),
        labels=column("\n".join(told.get("labels"))),
        draft=int(told.get("draft", False)),
        created_at=_text(told, "created_at"),
        updated_at=_text(told, "updated_at"),
        closed_at=_text(told, "closed_at") if told.get("state") == CLOSED else "",
        merged_at=_text(told, "merged_at"),
        merged_by=name_of(told, "merged_by"),
        merged_by_bot=_is_bot(told, "merged_by"),
        merge_commit_sha=key_text(told.commit("merge_commit")),
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
            "commit_guessed" if data.commit_deduced else "commit": data.commit,
            "submitted_at": data.submitted_at,
            "association": data.association,
            "url": data.url,
            "carried": data.carried,
            "provisional": data.provisional,
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
    told.add_commits(data.commit)
    commit = told.commit("commit") or told.commit("commit_then")
    return ReviewRow(
        repository=data.repository,
        number=data.number,
        review=key,
        reviewer=name_of(told, "reviewer") or name_of(told, "reviewer_then"),
        reviewer_is_bot=_is_bot(told, "reviewer"),
        state=column(told.get("said") or approval.DISMISSED),
        commit_sha=column(commit or told.commit("commit_guessed")),
        submitted_at=_text(told, "submitted_at"),
        association=_text(told, "association"),
        url=_text(told, "url"),
        dismissed=int(told.get("dismissed", False)),
        dismissed_at=_text(told, "dismissed_at"),
        dismissed_by=name_of(told, "dismissed_by"),
        carried=int(told.get("carried", False)),
        deduced=int(not commit and bool(told.get("commit_guessed"))),
        provisional=int(told.get("provisional", False)),
        told=told.text,
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )


PROJECTION = Projection(
    name="reviews",
    version=5,
    tables=(PULL_REQUESTS, CONTRIBUTORS, REVIEWS, LISTS),
    handles=(*_PULLS, PullRequestListed, ReviewSubmitted, ReviewDismissed, ReviewsListed),
    project=project,
)
