"""What one payload of Gitea or Forgejo tells of a pull request or of its reviews.

Both forges write the same JSON. Where it misleads: `head.sha` is the tip of the head's branch, whatever was
merged, unless the branch is gone, so an answer of the API about a pull request that is no longer open does
not tell the head that was merged; its list of commits does. `submitted_at` of a review is when its draft was
begun; a review that was not dismissed last changed when it was given. A review that takes another's place
dismisses that. Times that are not known are written as the year 1. Somebody who left is the user -1.

Facts are from `services/convert/pull.go`, `pull_review.go` and `models/issues/review.go` of Gitea.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import unquote

from ledger.errors import SourceError
from ledger.events import (
    Identity,
    ListedReview,
    NewEvent,
    ProposedCommit,
    PullRequest,
    ReviewDismissed,
    ReviewsListed,
    ReviewSubmitted,
)
from ledger.jsontext import Value, clean
from ledger.sources import Tools, keyed, payloads
from ledger.sources.keyed import Merge
from ledger.sources.payloads import MAX_NAME, Json, Told, number, part, parts, sha

KIND: Final = "gitea"
NOT_OFFICIAL: Final = "NOT_OFFICIAL"

_STATES = {
    "APPROVED": "approved",
    "REQUEST_CHANGES": "changes_requested",
    "COMMENT": "commented",
}
_NOT_GIVEN = ("PENDING", "REQUEST_REVIEW")
_SAID = {
    "pull_request_review_approved": "approved",
    "pull_request_approved": "approved",
    "pull_request_review_rejected": "changes_requested",
    "pull_request_rejected": "changes_requested",
}
_OWN_BOTS = ("gitea-actions", "forgejo-actions")
_GHOST = -1
_PAGE = re.compile(
    r"https?://(?:[^/@\s]*@)?([A-Za-z0-9.-]{1,253})(?::[0-9]+)?((?:/[\w.-]{1,100}){2,6}?)"
    r"(?:/(?:pulls|issues)/([0-9]{1,15})(?:[/?#]\S*)?|/|\.git)?",
    re.ASCII,
)
_API = re.compile(
    r"(https?://[^/\s]{1,300}(?:/[\w.-]{1,100}){0,4}?)/api/v1/repos/([\w.-]{1,100}/[\w.-]{1,100})/",
    re.ASCII,
)


def told(forge: str, read: Value, tools: Tools) -> Told:
    """Makes the text of a value ready to be kept, for the facts of one repository."""
    return payloads.told(KIND, forge, read, tools)


# -- pull requests -------------------------------------------------------------------------------


def opened(told: Told, pull: Json, body: Json) -> NewEvent:
    """A webhook: opened or opened again."""
    data = pull_request(told, pull, head_of(pull))
    again = body.get("action") == "reopened"
    at = data.updated_at if again else data.created_at
    return keyed.opened(told, data, at, person(body.get("sender")) or data.author, again=again)


def pushed(told: Told, pull: Json, body: Json) -> NewEvent:
    """A webhook: the head moved. It does not tell from where; newer versions do."""
    data = pull_request(told, pull, head_of(pull))
    before, after = sha(body.get("before")), sha(body.get("after")) or data.head
    return keyed.pushed(told, data, before, after, data.updated_at, person(body.get("sender")))


def closed(told: Told, pull: Json, body: Json) -> NewEvent:
    """A webhook: merged, or closed without it."""
    return _ended(told, pull, head_of(pull), person(body.get("sender")))


def standing(told: Told, pull: Json, commits: Sequence[Json] = ()) -> NewEvent:
    """How a pull request stands that the API gave: merged, closed, or opened and not yet either.

    `commits` is the whole list of its commits, where that was read, for the head that was merged.
    """
    if pull.get("state") == "open":
        data = pull_request(told, pull, head_of(pull))
        return keyed.opened(told, data, data.created_at, data.author)
    return _ended(told, pull, tip(commits) or _kept_head(pull), None)


def _ended(told: Told, pull: Json, head: str, sender: Identity | None) -> NewEvent:
    data = pull_request(told, pull, head)
    if pull.get("merged") is True:
        merger = pull.get("merged_by")
        at = time(pull.get("merged_at")) or time(pull.get("closed_at"))
        commit = sha(pull.get("merge_commit_sha")) or sha(pull.get("merged_commit_id"))
        merge = Merge(commit, at, person(merger), is_bot(merger))
        return keyed.merged(told, data, merge, sender)
    if pull.get("merged") is False:
        at = time(pull.get("closed_at")) or data.updated_at
        return keyed.closed(told, data, at, sender)
    raise SourceError("it does not tell whether the pull request was merged")


def pull_request(told: Told, pull: Json, head: str) -> PullRequest:
    """The pull request as told, with the head that is known to be its own."""
    base, named = part(pull, "base"), part(pull, "head")
    ref = named.get("ref")
    if isinstance(ref, str) and ref.startswith("refs/pull/"):
        ref = named.get("label")
    author = pull.get("user")
    return PullRequest(
        number=number(pull.get("number")),
        title=told.text(pull.get("title")),
        author=person(author),
        author_is_bot=is_bot(author),
        url=told.text(pull.get("html_url")),
        base=told.text(base.get("ref")),
        base_commit=sha(base.get("sha")) if pull.get("state") == "open" else "",
        head_ref=told.text(ref),
        head=head,
        labels=sorted({told.text(one.get("name")) for one in parts(pull, "labels")} - {""}),
        draft=pull.get("draft") is True,
        created_at=time(pull.get("created_at")),
        updated_at=time(pull.get("updated_at")),
    )


def head_of(pull: Json) -> str:
    """The tip of the head's branch, as of the telling."""
    return sha(part(pull, "head").get("sha"))


def _kept_head(pull: Json) -> str:
    """The head where the branch is gone, so that the forge tells the one that it kept."""
    ref = part(pull, "head").get("ref")
    return head_of(pull) if isinstance(ref, str) and ref.startswith("refs/pull/") else ""


# -- commits -------------------------------------------------------------------------------------


def tip(commits: Sequence[Json]) -> str:
    """The one listed commit that is no parent of another; empty where there is not just one."""
    inner = {sha(parent.get("sha")) for one in commits for parent in parts(one, "parents")}
    tips = {sha(one.get("sha")) for one in commits} - inner - {""}
    return tips.pop() if len(tips) == 1 else ""


def listed(told: Told, of: int, head: str, commits: Sequence[Json]) -> NewEvent:
    """The commits of a pull request, which the API lists from the newest on."""
    newest_first = bool(commits) and sha(commits[0].get("sha")) == tip(commits)
    ordered: Iterable[Json] = reversed(commits) if newest_first else commits
    found = [
        ProposedCommit(
            commit=sha(one.get("sha")),
            author=person(one.get("author")),
            committer=person(one.get("committer")),
        )
        for one in ordered
    ]
    return keyed.listed(told, of, head, found)


# -- reviews -------------------------------------------------------------------------------------


def reviewed(told: Told, pull: Json, body: Json) -> NewEvent:
    """A webhook: somebody gave a review. It has no id, no commit and no time of its own."""
    kind = part(body, "review").get("type")
    state = _SAID.get(kind, "commented") if isinstance(kind, str) else "commented"
    reviewer = person(body.get("sender"))
    of, at, head = number(pull.get("number")), time(pull.get("updated_at")), head_of(pull)
    review = f"{of}/{reviewer.login if reviewer else ''}/{state}/{at}"
    data = ReviewSubmitted(
        repository=told.repository,
        forge=told.forge,
        number=of,
        review=review,
        reviewer=reviewer,
        reviewer_is_bot=is_bot(body.get("sender")),
        state=state,
        commit=sha(body.get("commit_id")) or head,
        commit_deduced=bool(head) and not sha(body.get("commit_id")),
        submitted_at=at,
        url=told.text(pull.get("html_url")),
        provisional=True,
        raw=told.raw,
    )
    return told.event(f"review/{review}", at, reviewer, data)


BY_ACTION: dict[str, Callable[[Told, Json, Json], NewEvent]] = {
    "opened": opened,
    "reopened": opened,
    "synchronized": pushed,
    "closed": closed,
    "reviewed": reviewed,
}


def is_given(review: Json) -> bool:
    """Whether it was given, and is no draft or request. Raises SourceError for what nobody knows."""
    state = review.get("state")
    if state in _NOT_GIVEN:
        return False
    if not isinstance(state, str) or state not in _STATES:
        raise SourceError(f"a review in the unknown state {clean(str(state))[:40]!r}")
    return True


def review(told: Told, of: int, value: Json, merged_at: str = "~") -> list[NewEvent]:
    """A review that was given, and that it was dismissed, where it was.

    When it was dismissed is told only as a time by which it was; after `merged_at` that says nothing.
    """
    identifier = str(number(value.get("id")))
    reviewer = person(value.get("user"))
    dismissed = value.get("dismissed") is True
    begun, changed = time(value.get("submitted_at")), time(value.get("updated_at"))
    at = begun if dismissed else max(begun, changed)
    commit = sha(value.get("commit_id"))
    submitted = ReviewSubmitted(
        repository=told.repository,
        forge=told.forge,
        number=of,
        review=identifier,
        reviewer=reviewer,
        reviewer_is_bot=is_bot(value.get("user")),
        state=_STATES[value["state"]],
        commit=commit,
        submitted_at=at,
        association=NOT_OFFICIAL if value.get("official") is False else "",
        url=told.text(value.get("html_url")),
        raw=told.raw,
    )
    events = [told.event(f"review/{identifier}/submitted", at, reviewer, submitted)]
    if dismissed:
        until = changed if changed <= merged_at else ""
        dismissal = ReviewDismissed(
            repository=told.repository,
            forge=told.forge,
            number=of,
            review=identifier,
            reviewer=reviewer,
            commit=commit,
            at=until,
            raw=told.raw,
        )
        events.append(told.event(f"review/{identifier}/dismissed", until, None, dismissal))
    return events


def reviews(told: Told, pull: Json, values: Sequence[Json]) -> NewEvent:
    """All reviews of a pull request, listed after it was read."""
    of, at = number(pull.get("number")), time(pull.get("updated_at"))
    found = [
        ListedReview(
            review=str(number(one.get("id"))),
            official=_flag(one.get("official")),
            stale=_flag(one.get("stale")),
            dismissed=one.get("dismissed") is True,
        )
        for one in values
        if one.get("state") in _STATES
    ]
    data = ReviewsListed(
        repository=told.repository,
        forge=told.forge,
        number=of,
        at=at,
        head=head_of(pull) if pull.get("state") == "open" else "",
        reviews=sorted(found, key=lambda one: int(one.review)),
        raw=told.raw,
    )
    return told.event(f"pull/{of}/reviews/{at}", at, None, data)


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


# -- the parts of a payload ----------------------------------------------------------------------


def page(address: Any) -> tuple[str, int]:
    """The full name of a repository with its host, of the address of one of its pages; 0 without a number."""
    match = _PAGE.fullmatch(address) if isinstance(address, str) else None
    if match is None:
        raise SourceError("it does not tell of which repository it is")
    return f"{match[1]}{match[2].removesuffix('.git')}".lower(), int(match[3] or 0)


def of_api(address: Any) -> str:
    """The full name of the repository, of an address of the API that lies below it."""
    match = _API.match(unquote(address)) if isinstance(address, str) else None
    if match is None:
        raise SourceError("it does not tell of which repository it is")
    return page(f"{match[1]}/{match[2]}")[0]


def time(value: Any) -> str:
    """UTC text of a time; empty where it is none, or one of the years that mean none."""
    text = payloads.time(value)
    return text if text >= "1970-01-02" else ""


def person(user: Any) -> Identity | None:
    """Somebody by login and the e-mail that the forge shows; nobody where it no longer knows who it was."""
    if not isinstance(user, dict) or user.get("id") == _GHOST:
        return None
    who = payloads.identity(user.get("login") or user.get("username"))
    email = str(user.get("email") or "")
    fits = "@" in email and len(email) <= MAX_NAME
    return who and Identity(login=who.login, email=clean(email) if fits else "")


def is_bot(user: Any) -> bool:
    """Whether it is the forge's own runner, or says of itself that it is a bot."""
    if not isinstance(user, dict):
        return False
    login = str(user.get("login") or user.get("username") or "")
    return user.get("type") == "Bot" or login in _OWN_BOTS or login.endswith("[bot]")
