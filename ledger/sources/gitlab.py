"""GitLab: merge requests and approvals, as webhooks and as answers of the API tell them.

A merge request is told in the words of pull requests; its `iid` is its number. Read are the actions open,
reopen, update with new commits, merge, close, approval and approved, unapproval and unapproved of the webhook
`merge_request`; from files also merge requests as the REST API gives them. Facts about the payloads are from
GitLab's `doc/user/project/integrations/webhook_events.md` and `doc/api/merge_requests.md`.

A webhook does not tell at which commit an approval was given: it is the last commit as of the delivery. An
approval that is taken back is told as a later review of the same person that is dismissed. The webhook of a
merge request that was squashed without a merge commit does not tell what landed; the API's answer does.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ledger import jsontext
from ledger.errors import SourceError
from ledger.events import (
    Identity,
    NewEvent,
    PullRequest,
    PullRequestClosed,
    PullRequestMerged,
    PullRequestOpened,
    PullRequestPushed,
    ReviewSubmitted,
)
from ledger.instants import utc_text
from ledger.jsontext import Value
from ledger.sources import Batch, Import, Source, Tools, Webhook, payloads
from ledger.sources.payloads import Json, Told, identity, number, part, sha

KIND: Final = "gitlab"
EVENTS: Final = ("Merge Request Hook", "System Hook")
_PROJECT = re.compile(
    r"https?://(?:[^/@\s]*@)?([A-Za-z0-9.-]{1,253})(?::[0-9]+)?/((?:[\w.+-]{1,255}/){1,20}[\w.+-]{1,255}?)"
    r"(?:\.git)?/?$",
    re.ASCII,
)
_BOT = re.compile(r"(?:project|group)_[0-9]+_bot|ghost$|support-bot$|alert-bot$")

Headers = Mapping[str, str]


# -- deliveries ----------------------------------------------------------------------------------


def authentic(headers: Headers, body: bytes, secret: bytes) -> bool:
    """Whether the delivery is signed with the secret, or brings it as its token where it is not signed.

    Signatures are those of Standard Webhooks: HMAC-SHA256 over id, time and raw body, one of a list.
    """
    if not secret:
        return False
    told = headers.get("webhook-signature", "")
    if not told:
        token = headers.get("x-gitlab-token", "").encode("utf-8", "replace")
        return hmac.compare_digest(token, secret)
    signed = f"{headers.get('webhook-id', '')}.{headers.get('webhook-timestamp', '')}.".encode()
    right = base64.b64encode(hmac.digest(_key(secret), signed + body, "sha256"))
    found = [one.removeprefix("v1,").encode("utf-8", "replace") for one in told.split()[:10]]
    return any(hmac.compare_digest(one, right) for one in found)


def _key(secret: bytes) -> bytes:
    """The bytes of a signing token, which stands as `whsec_` and base64."""
    if not secret.startswith(b"whsec_"):
        return secret
    try:
        return base64.b64decode(secret.removeprefix(b"whsec_"), validate=True)
    except binascii.Error:
        return secret


def identify(headers: Headers, body: bytes) -> str:
    """GitLab's id of the delivery, which its retries repeat; where an old one has none, of event and body."""
    if not headers.get("x-gitlab-event"):
        return ""
    told = headers.get("idempotency-key") or headers.get("webhook-id", "")
    if told:
        return payloads.delivery_id(told)
    event = payloads.delivery_id(headers.get("x-gitlab-event-uuid", ""))
    return f"{event or 'body'}/{hashlib.sha256(body).hexdigest()[:32]}"


def events_from_request(_: Headers, body: bytes, tools: Tools) -> Batch:
    """What a delivery tells. Raises SourceError where it cannot be read."""
    try:
        read = jsontext.only_value(body)
    except ValueError as error:
        raise SourceError(f"the body cannot be read: {error}") from None
    if not isinstance(read.value, dict):
        raise SourceError("the body is no JSON object")
    return events_from_value(read, tools)


def read_files(given: Import, tools: Tools) -> Iterator[Batch]:
    """What files tell: bodies of webhooks and merge requests of the API, one or many in a file."""
    return payloads.read_files(KIND, given, tools, events_from_value)


def events_from_value(read: Value, tools: Tools) -> Batch:
    """What a body of a webhook or an answer of the API tells. Raises SourceError where it is neither."""
    value = read.value
    if not isinstance(value, dict):
        raise SourceError("it is no JSON object")
    kind = value.get("object_kind") or value.get("event_type") or value.get("event_name")
    if kind is not None:
        tell = _BY_ACTION.get(_action(value)) if kind == "merge_request" else None
        if tell is None:
            return Batch(events=[], ignored=1)
        told = payloads.told(KIND, _forge(part(value, "project").get("web_url")), read, tools)
        return Batch(events=[tell(told, value)], contents=told.contents)
    if "iid" in value and "target_branch" in value:
        told = payloads.told(KIND, _forge(_project_of(value.get("web_url"))), read, tools)
        return Batch(events=[_standing(told, value)], contents=told.contents)
    raise SourceError("it is no webhook and no merge request of GitLab")


def _action(body: Json) -> str:
    attributes = part(body, "object_attributes")
    action = attributes.get("action")
    if action is None and "action" not in attributes and attributes.get("state") == "opened":
        return "open"  # a system hook of old
    if action == "update":
        return "push" if sha(attributes.get("oldrev")) else "update"
    return action if isinstance(action, str) else ""


# -- webhooks ------------------------------------------------------------------------------------


def _opened(told: Told, body: Json) -> NewEvent:
    data = _of_webhook(told, body)
    again = _action(body) == "reopen"
    at = data.updated_at if again else data.created_at
    return told.event(
        f"pull/{data.number}/reopened/{at}" if again else f"pull/{data.number}/opened",
        at,
        _user(part(body, "user")),
        PullRequestOpened(
            repository=told.repository,
            forge=told.forge,
            pull_request=data,
            at=at,
            reopened=again,
            raw=told.raw,
        ),
    )


def _pushed(told: Told, body: Json) -> NewEvent:
    data = _of_webhook(told, body)
    before = sha(part(body, "object_attributes").get("oldrev"))
    return told.event(
        f"pull/{data.number}/pushed/{before}..{data.head}/{data.updated_at}",
        data.updated_at,
        _user(part(body, "user")),
        PullRequestPushed(
            repository=told.repository,
            forge=told.forge,
            pull_request=data,
            before=before,
            after=data.head,
            at=data.updated_at,
            raw=told.raw,
        ),
    )


def _merged(told: Told, body: Json) -> NewEvent:
    attributes = part(body, "object_attributes")
    data = _of_webhook(told, body)
    landed = sha(attributes.get("merge_commit_sha"))
    squashed = attributes.get("squash") is True
    merge = landed or ("" if squashed else data.head)
    at = utc_text(attributes.get("merged_at")) or data.updated_at
    return _merge(told, data, merge, at, part(body, "user"), "merge" if landed else "")


def _closed(told: Told, body: Json) -> NewEvent:
    data = _of_webhook(told, body)
    return _close(told, data, data.updated_at, _user(part(body, "user")))


def _approved(told: Told, body: Json) -> NewEvent:
    return _reviewed(told, body, "approved")


def _taken_back(told: Told, body: Json) -> NewEvent:
    return _reviewed(told, body, "dismissed")


def _reviewed(told: Told, body: Json, state: str) -> NewEvent:
    data = _of_webhook(told, body)
    reviewer = _user(part(body, "user"))
    who = reviewer.login if reviewer else ""
    at = data.updated_at
    review = f"{data.number}/{who}/{state}/{at}"
    return told.event(
        f"review/{review}",
        at,
        reviewer,
        ReviewSubmitted(
            repository=told.repository,
            forge=told.forge,
            number=data.number,
            review=review,
            reviewer=reviewer,
            reviewer_is_bot=_is_bot(part(body, "user")),
            state=state,
            commit=data.head,
            submitted_at=at,
            url=data.url,
            raw=told.raw,
        ),
    )


_BY_ACTION: dict[str, Callable[[Told, Json], NewEvent]] = {
    "open": _opened,
    "reopen": _opened,
    "push": _pushed,
    "merge": _merged,
    "close": _closed,
    "approved": _approved,
    "approval": _approved,
    "unapproved": _taken_back,
    "unapproval": _taken_back,
}


def _of_webhook(told: Told, body: Json) -> PullRequest:
    attributes, user = part(body, "object_attributes"), part(body, "user")
    own = _action(body) == "open" or user.get("id") == attributes.get("author_id") is not None
    labels = [label.get("title") for label in payloads.parts(body, "labels")]
    return PullRequest(
        number=number(attributes.get("iid")),
        title=told.text(attributes.get("title")),
        author=_user(user) if own else None,
        author_is_bot=own and _is_bot(user),
        url=told.text(attributes.get("url")),
        base=told.text(attributes.get("target_branch")),
        head_ref=told.text(attributes.get("source_branch")),
        head=sha(part(attributes, "last_commit").get("id")),
        labels=sorted({told.text(name) for name in labels} - {""}),
        draft=(attributes.get("draft") or attributes.get("work_in_progress")) is True,
        created_at=_time(attributes.get("created_at")),
        updated_at=_time(attributes.get("updated_at")),
    )


# -- answers of the API ----------------------------------------------------------------------------


def _standing(told: Told, value: Json) -> NewEvent:
    """A merge request as it is: merged, closed, or opened and not yet either."""
    data = _of_answer(told, value)
    if value.get("state") == "merged":
        merge = sha(value.get("merge_commit_sha")) or sha(value.get("squash_commit_sha"))
        who = part(value, "merge_user") or part(value, "merged_by")
        at = utc_text(value.get("merged_at"))
        if not at:
            raise SourceError(f"merge request {data.number} is merged and has no time of it")
        method = "merge" if sha(value.get("merge_commit_sha")) else "squash" if merge else ""
        return _merge(told, data, merge or data.head, at, who, method)
    if value.get("state") == "closed":
        closer = part(value, "closed_by")
        return _close(told, data, utc_text(value.get("closed_at")), _user(closer))
    return told.event(
        f"pull/{data.number}/opened",
        data.created_at,
        data.author,
        PullRequestOpened(
            repository=told.repository,
            forge=told.forge,
            pull_request=data,
            at=data.created_at,
            raw=told.raw,
        ),
    )


def _of_answer(told: Told, value: Json) -> PullRequest:
    labels = value.get("labels")
    names = labels if isinstance(labels, list) else []
    author = part(value, "author")
    return PullRequest(
        number=number(value.get("iid")),
        title=told.text(value.get("title")),
        author=_user(author),
        author_is_bot=_is_bot(author),
        url=told.text(value.get("web_url")),
        base=told.text(value.get("target_branch")),
        base_commit=sha(part(value, "diff_refs").get("base_sha")),
        head_ref=told.text(value.get("source_branch")),
        head=sha(value.get("sha")),
        labels=sorted({told.text(name) for name in names} - {""}),
        draft=(value.get("draft") or value.get("work_in_progress")) is True,
        created_at=utc_text(value.get("created_at")),
        updated_at=utc_text(value.get("updated_at")),
    )


# -- what both tell --------------------------------------------------------------------------------


def _merge(told: Told, data: PullRequest, commit: str, at: str, who: Json, method: str) -> NewEvent:
    merger = _user(who)
    return told.event(
        f"pull/{data.number}/merged",
        at,
        merger,
        PullRequestMerged(
            repository=told.repository,
            forge=told.forge,
            pull_request=data,
            merge_commit=commit,
            merged_at=at,
            merged_by=merger,
            merged_by_bot=_is_bot(who),
            method=method,
            raw=told.raw,
        ),
    )


def _close(told: Told, data: PullRequest, at: str, who: Identity | None) -> NewEvent:
    closed = PullRequestClosed(
        repository=told.repository,
        forge=told.forge,
        pull_request=data,
        closed_at=at or data.updated_at,
        raw=told.raw,
    )
    return told.event(
        f"pull/{data.number}/closed/{closed.closed_at}", closed.closed_at, who, closed
    )


def _forge(address: Any) -> str:
    """`gitlab.com/group/project` of the address of a project's page."""
    match = _PROJECT.match(address) if isinstance(address, str) else None
    if match is None:
        raise SourceError("it does not tell of which project it is")
    return f"{match[1]}/{match[2]}".lower()


def _project_of(page: Any) -> str:
    """The address of a project, of that of one of its merge requests."""
    text = page if isinstance(page, str) else ""
    return re.sub(r"(?:/-)?/merge_requests/[0-9]+$", "", text)


def _user(user: Json) -> Identity | None:
    return identity(user.get("username"))


def _is_bot(user: Json) -> bool:
    return user.get("bot") is True or bool(_BOT.match(str(user.get("username"))))


def _time(told: Any) -> str:
    """Webhooks of some versions write `2017-12-10 17:08:07 UTC`."""
    text = told if isinstance(told, str) else ""
    return utc_text(re.sub(r"^(\S{10}) (\S{8}) UTC$", r"\1T\2Z", text))


SOURCE = Source(
    kind=KIND,
    read=read_files,
    webhook=Webhook(
        headers=frozenset({"content-type", "x-gitlab-event"}),
        authentic=authentic,
        identify=identify,
        events=events_from_request,
    ),
)
