"""What one payload of GitHub tells: a fact of a pull request or of a review.

A merge commit counts only where the forge says that the pull request is merged: open and closed ones
carry the commit of a test merge. How it was merged is not told, so `method` stays empty. Whatever
is missing or malformed and can be done without stays empty; without the rest SourceError is raised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from ledger.errors import SourceError
from ledger.events import (
    Identity,
    NewEvent,
    ProposedCommit,
    PullRequest,
    PullRequestPushed,
    ReviewDismissed,
    ReviewSubmitted,
)
from ledger.instants import utc_text
from ledger.jsontext import Value, clean
from ledger.sources import Tools, keyed, payloads
from ledger.sources.keyed import Merge
from ledger.sources.payloads import Json, Told, count, identity, number, part, sha

KIND: Final = "github"
WEB_FLOW: Final = "web-flow"  # commits what people do on GitHub's pages

_NAMES = r"([\w.-]{1,100}/[\w.-]{1,100})"
_WEB = re.compile(
    rf"https?://(?:[^/@\s]*@)?([A-Za-z0-9.-]{{1,253}})(?::[0-9]+)?/{_NAMES}(?=/|$)", re.ASCII
)
_API = re.compile(rf"(?:/api/v3)?/repos/{_NAMES}/pulls/([0-9]{{1,15}})$", re.ASCII)
_API_HOST = re.compile(r"https?://(?:api\.)?([A-Za-z0-9.-]{1,253})(?::[0-9]+)?(?=/)")
_STATES = {"approved", "changes_requested", "commented", "dismissed"}


def told(forge: str, read: Value, tools: Tools) -> Told:
    """Makes the text of a value ready to be kept, for the facts of one repository."""
    return payloads.told(KIND, forge, read, tools)


def _opened(told: Told, pull: Json, body: Json) -> NewEvent:
    data = _pull_request(told, pull)
    again = body.get("action") == "reopened"
    at = data.updated_at if again else data.created_at
    who = _identity(body.get("sender")) or data.author
    return keyed.opened(told, data, at, who, again=again)


def _pushed(told: Told, pull: Json, body: Json) -> NewEvent:
    """With the time in its key, as it was recorded from the first version on."""
    data = _pull_request(told, pull)
    before, after = sha(body.get("before")), sha(body.get("after")) or data.head
    return told.event(
        f"pull/{data.number}/pushed/{before}..{after}/{data.updated_at}",
        data.updated_at,
        _identity(body.get("sender")),
        PullRequestPushed(
            repository=told.repository,
            forge=told.forge,
            pull_request=data,
            before=before,
            after=after,
            at=data.updated_at,
            raw=told.raw,
        ),
    )


def _closed(told: Told, pull: Json, body: Json) -> NewEvent:
    """Merged or not; who is None where nobody is told."""
    data = _pull_request(told, pull)
    sender = _identity(body.get("sender"))
    if _is_merged(pull):
        return _merged(told, pull, data, sender)
    at = utc_text(pull.get("closed_at")) or data.updated_at
    return keyed.closed(told, data, at, sender)


def _merged(told: Told, pull: Json, data: PullRequest, sender: Identity | None) -> NewEvent:
    at = utc_text(pull.get("merged_at")) or utc_text(pull.get("closed_at"))
    merger = pull.get("merged_by")
    merge = Merge(
        commit=sha(pull.get("merge_commit_sha")),
        at=at,
        by=_identity(merger),
        by_bot=is_bot(merger),
        commits=count(pull.get("commits")),
    )
    return keyed.merged(told, data, merge, sender)


def standing(told: Told, pull: Json) -> NewEvent:
    """How a pull request stands that the API gave: merged, closed, or opened and not yet either."""
    if pull.get("state") == "open":
        return _opened(told, pull, {})
    return _closed(told, pull, {})


def _is_merged(pull: Json) -> bool:
    """In lists the API leaves `merged` out, but not `merged_at`; without both nothing is known."""
    if isinstance(pull.get("merged"), bool):
        return bool(pull["merged"])
    if "merged_at" in pull:
        return pull["merged_at"] is not None
    raise SourceError("it does not tell whether the pull request was merged")


def _submitted(told: Told, pull: Json, body: Json) -> NewEvent:
    return review(told, number(pull.get("number")), part(body, "review"))


def review(told: Told, of: int, review: Json) -> NewEvent:
    """A review; one that was dismissed since tells no more than that."""
    state = str(review.get("state", "")).lower()
    if state not in _STATES:
        raise SourceError(f"a review in the unknown state {clean(state)[:40]!r}")
    identifier = number(review.get("id"))
    reviewer = _identity(review.get("user"))
    at = utc_text(review.get("submitted_at"))
    return told.event(
        f"review/{identifier}/submitted",
        at,
        reviewer,
        ReviewSubmitted(
            repository=told.repository,
            forge=told.forge,
            number=of,
            review=str(identifier),
            reviewer=reviewer,
            reviewer_is_bot=is_bot(review.get("user")),
            state=state,
            commit=sha(review.get("commit_id")),
            submitted_at=at,
            association=told.text(review.get("author_association")),
            url=told.text(review.get("html_url")),
            raw=told.raw,
        ),
    )


def listed(told: Told, of: int, head: str, commits: Sequence[Json]) -> NewEvent:
    """The commits of a pull request, as the API lists them. GitHub itself is nobody who commits."""
    found = [
        ProposedCommit(
            commit=sha(one.get("sha")),
            author=_identity(one.get("author")),
            committer=_committer(one),
        )
        for one in commits
    ]
    return keyed.listed(told, of, head, found)


def _committer(commit: Json) -> Identity | None:
    who = _identity(commit.get("committer"))
    return None if who is None or who.login == WEB_FLOW else who


def head_of(pull: Json) -> str:
    """The head of a pull request."""
    return sha(part(pull, "head").get("sha"))


def _dismissed(told: Told, pull: Json, body: Json) -> NewEvent:
    review = part(body, "review")
    at = utc_text(review.get("updated_at")) or utc_text(pull.get("updated_at"))
    return _dismissal(told, number(pull.get("number")), review, at, body.get("sender"))


def dismissal(told: Told, of: int, review: Json, event: Json) -> NewEvent:
    """The event `review_dismissed` of a pull request: who dismissed which review, and when."""
    return _dismissal(told, of, review, utc_text(event.get("created_at")), event.get("actor"))


def _dismissal(told: Told, of: int, review: Json, at: str, who: Any) -> NewEvent:
    identifier = number(review.get("id"))
    return told.event(
        f"review/{identifier}/dismissed",
        at,
        _identity(who),
        ReviewDismissed(
            repository=told.repository,
            forge=told.forge,
            number=of,
            review=str(identifier),
            reviewer=_identity(review.get("user")),
            commit=sha(review.get("commit_id")),
            at=at,
            raw=told.raw,
        ),
    )


BY_WEBHOOK: dict[tuple[str, str], Callable[[Told, Json, Json], NewEvent]] = {
    ("pull_request", "opened"): _opened,
    ("pull_request", "reopened"): _opened,
    ("pull_request", "synchronize"): _pushed,
    ("pull_request", "closed"): _closed,
    ("pull_request_review", "submitted"): _submitted,
    ("pull_request_review", "edited"): _submitted,
    ("pull_request_review", "dismissed"): _dismissed,
}


# -- the parts of a payload ----------------------------------------------------------------------


def _pull_request(told: Told, pull: Json) -> PullRequest:
    head, base = part(pull, "head"), part(pull, "base")
    labels = pull.get("labels")
    names = [part({"": one}, "").get("name") for one in labels] if isinstance(labels, list) else []
    return PullRequest(
        number=number(pull.get("number")),
        title=told.text(pull.get("title")),
        author=_identity(pull.get("user")),
        author_is_bot=is_bot(pull.get("user")),
        url=told.text(pull.get("html_url")),
        base=told.text(base.get("ref")),
        base_commit=sha(base.get("sha")),
        head_ref=told.text(head.get("ref")),
        head=sha(head.get("sha")),
        labels=sorted({told.text(name) for name in names} - {""}),
        draft=pull.get("draft") is True,
        created_at=utc_text(pull.get("created_at")),
        updated_at=utc_text(pull.get("updated_at")),
    )


def forge(address: Any) -> str:
    """`github.com/acme/infra` of the address of a page; as spelled, names differ in case only."""
    match = _WEB.match(address) if isinstance(address, str) else None
    if match is None:
        raise SourceError("it does not tell of which repository it is")
    return f"{match[1]}/{match[2]}".lower()


def reviewed(review: Json) -> tuple[str, int]:
    """The repository and number of the pull request that a review is of."""
    address = review["pull_request_url"]
    host = _API_HOST.match(address) if isinstance(address, str) else None
    match = _API.match(address, host.end()) if host else None
    if host is None or match is None:
        raise SourceError("it does not tell of which pull request it is")
    page = review.get("html_url")
    name = forge(page) if page else f"{host[1]}/{match[1]}".lower()
    return name, number(int(match[2]))


def _identity(user: Any) -> Identity | None:
    """Nobody where the forge no longer knows who it was."""
    return identity(user.get("login")) if isinstance(user, dict) else None


def is_bot(user: Any) -> bool:
    """Whether GitHub says that a user is a program."""
    if not isinstance(user, dict):
        return False
    return user.get("type") == "Bot" or str(user.get("login")).endswith("[bot]")
