"""Gitea and Forgejo: pull requests and reviews, as webhooks and as answers of the API tell them.

Their payloads follow GitHub's, so the facts are made as GitHub's are; here stands what differs. Read are
the webhooks `pull_request` with the actions opened, reopened, synchronized, closed and reviewed; from files
also pull requests and reviews as the REST API gives them, and lists of them. Facts about the payloads are
from Gitea's `services/webhook/deliver.go`, `modules/structs/hook.go` and `modules/structs/pull_review.go`.

The webhook of a review tells neither its id nor its time nor its commit: these are the pull request's, as of
the delivery. The API tells them. A push is told without the head before it.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from typing import Final

from ledger import jsontext
from ledger.errors import SourceError
from ledger.events import NewEvent, ReviewSubmitted
from ledger.instants import utc_text
from ledger.jsontext import Value, clean
from ledger.sources import Batch, Import, Source, Tools, Webhook, payloads
from ledger.sources.github import facts
from ledger.sources.payloads import Json, Told, identity, number, part, sha

KIND: Final = "gitea"
_ACTIONS = {
    "opened": "opened",
    "reopened": "reopened",
    "synchronized": "synchronize",
    "closed": "closed",
}
_SAID = {
    "pull_request_review_approved": "approved",
    "pull_request_review_rejected": "changes_requested",
}
_STATES = {
    "APPROVED": "approved",
    "REQUEST_CHANGES": "changes_requested",
    "COMMENT": "commented",
}
_NOT_GIVEN = ("PENDING", "REQUEST_REVIEW")
_PULL = re.compile(r".*/pulls/([0-9]{1,15})$")
_SIGNATURES = ("x-forgejo-signature", "x-gitea-signature", "x-gogs-signature")
_DELIVERIES = ("x-forgejo-delivery", "x-gitea-delivery", "x-gogs-delivery")

Headers = Mapping[str, str]


def authentic(headers: Headers, body: bytes, secret: bytes) -> bool:
    """Whether the signature is the HMAC-SHA256 of the raw body under the secret, in hex."""
    told = next((headers[name] for name in _SIGNATURES if headers.get(name)), "")
    right = hmac.digest(secret, body, "sha256").hex().encode() if secret else b""
    return bool(secret) and hmac.compare_digest(told.encode("utf-8", "replace"), right)


def identify(headers: Headers, _: bytes) -> str:
    """The forge's id of the delivery; empty where there is none."""
    told = next((headers[name] for name in _DELIVERIES if headers.get(name)), "")
    return payloads.delivery_id(told)


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
    """What files tell: bodies of webhooks, pull requests and reviews of the API, one or many in a file."""
    return payloads.read_files(KIND, given, tools, events_from_value)


def events_from_value(read: Value, tools: Tools) -> Batch:
    """What a body of a webhook or an answer of the API tells. Raises SourceError where it is neither."""
    value = read.value
    if not isinstance(value, dict):
        raise SourceError("it is no JSON object")
    if "pull_request_url" in value and "state" in value:
        return _from_review(read, value, tools)
    if ("repository" in value and "sender" in value) or ("ref" in value and "pusher_type" in value):
        return _from_webhook(read, value, tools)
    if {"number", "head", "base"} <= value.keys():
        told = payloads.told(KIND, facts.forge(value.get("html_url")), read, tools)
        return Batch(events=[facts.standing(told, value)], contents=told.contents)
    raise SourceError("it is no webhook, pull request or review of Gitea or Forgejo")


def _from_webhook(read: Value, body: Json, tools: Tools) -> Batch:
    pull, action = part(body, "pull_request"), body.get("action")
    as_github = _ACTIONS.get(action) if isinstance(action, str) else None
    if not pull or (as_github is None and action != "reviewed"):
        return Batch(events=[], ignored=1)
    address = part(body, "repository").get("html_url") or pull.get("html_url")
    told = payloads.told(KIND, facts.forge(address), read, tools)
    if as_github is None:
        return Batch(events=[_reviewed(told, pull, body)], contents=told.contents)
    tell = facts.BY_WEBHOOK["pull_request", as_github]
    return Batch(events=[tell(told, pull, body)], contents=told.contents)


def _reviewed(told: Told, pull: Json, body: Json) -> NewEvent:
    said = part(body, "review").get("type")
    state = _SAID.get(said, "commented") if isinstance(said, str) else "commented"
    reviewer = identity(part(body, "sender").get("login"))
    at = utc_text(pull.get("updated_at"))
    of = number(pull.get("number"))
    review = f"{of}/{reviewer.login if reviewer else ''}/{state}/{at}"
    return told.event(
        f"review/{review}",
        at,
        reviewer,
        ReviewSubmitted(
            repository=told.repository,
            forge=told.forge,
            number=of,
            review=review,
            reviewer=reviewer,
            state=state,
            commit=sha(body.get("commit_id")) or facts.head_of(pull),
            submitted_at=at,
            url=told.text(pull.get("html_url")),
            raw=told.raw,
        ),
    )


def _from_review(read: Value, review: Json, tools: Tools) -> Batch:
    state = review.get("state")
    if state in _NOT_GIVEN:
        return Batch(events=[], ignored=1)
    if not isinstance(state, str) or state not in _STATES:
        raise SourceError(f"a review in the unknown state {clean(str(state))[:40]!r}")
    page = review["pull_request_url"]
    match = _PULL.fullmatch(page) if isinstance(page, str) else None
    if match is None:
        raise SourceError("it does not tell of which pull request it is")
    told = payloads.told(KIND, facts.forge(page), read, tools)
    dismissed = review.get("dismissed") is True
    # What the forge itself does not count comes from somebody without the right to write.
    said = {
        **review,
        "state": "dismissed" if dismissed else _STATES[state],
        "author_association": "NOT_OFFICIAL" if review.get("official") is False else "",
    }
    event = facts.review(told, number(int(match[1])), said)
    return Batch(events=[event], contents=told.contents)


SOURCE = Source(
    kind=KIND,
    read=read_files,
    webhook=Webhook(
        headers=frozenset({"content-type", "x-gitea-event", "x-forgejo-event"}),
        authentic=authentic,
        identify=identify,
        events=events_from_request,
    ),
)
