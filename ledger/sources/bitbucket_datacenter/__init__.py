"""Bitbucket Data Center: pull requests, approvals and pushes, as webhooks and the API tell them.

Read are the webhooks `pr:opened`, `pr:modified`, `pr:from_ref_updated`, `pr:merged`, `pr:declined`,
`pr:deleted`, `pr:reopened`, `pr:reviewer:approved`, `unapproved`, `needs_work` and `changes_requested`, and
`repo:refs_changed`; from files also pull requests as the API gives them, alone or in pages, and with the
address that was asked (`{"url": …, "body": …}`) the commits and activities of one. Facts about the payloads
are from Atlassian's `event-payload` and recorded traffic.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ledger.errors import SourceError
from ledger.events import PullRequestMerged
from ledger.jsontext import Value
from ledger.sources import Batch, Configured, Import, Source, Tools, Webhook, payloads, recorded
from ledger.sources.bitbucket_datacenter import facts
from ledger.sources.bitbucket_datacenter.facts import KIND
from ledger.sources.payloads import Json, part, parts

Headers = Mapping[str, str]
_ADDRESS = re.compile(
    r"https?://([A-Za-z0-9.-]+)(?::[0-9]+)?(?:/[^?#]*)?/rest/api/(?:1\.0|latest)/(projects|users)/([^/?#]+)"
    r"/repos/([^/?#]+)/pull-requests/([0-9]{1,15})/(commits|activities)(?:\?|$)"
)
_PULLS = frozenset(
    (
        "pr:opened",
        "pr:modified",
        "pr:from_ref_updated",
        "pr:merged",
        "pr:declined",
        "pr:deleted",
        "pr:reopened",
    )
)
_VOTES = frozenset(
    f"pr:reviewer:{word}" for word in ("approved", "unapproved", "needs_work", "changes_requested")
)
_PULL = {"id", "state", "fromRef", "toRef"}

# -- deliveries ----------------------------------------------------------------------------------


def authentic(headers: Headers, body: bytes, secret: bytes) -> bool:
    """Whether `X-Hub-Signature` is the HMAC-SHA256 of the raw body under the secret."""
    return recorded.signed(headers.get("x-hub-signature", ""), body, secret)


def identify(headers: Headers, body: bytes) -> str:
    """The server's id of the request; where an old one has none, the event and the body stand for it."""
    event = headers.get("x-event-key", "")
    told = headers.get("x-request-id", "")
    if not event:
        return ""
    if told:
        return payloads.delivery_id(told)
    return payloads.delivery_id(f"{event}/{hashlib.sha256(body).hexdigest()[:32]}")


def events_from_request(_: Headers, body: bytes, tools: Tools) -> Batch:
    """What a delivery tells. Raises SourceError where it cannot be read."""
    return events_from_webhook(recorded.body_of(body), tools)


def events_from_webhook(read: Value, tools: Tools) -> Batch:
    """What the body of a webhook tells; it names itself."""
    body: Json = read.value
    key = body.get("eventKey")
    if key == "repo:refs_changed":
        name = facts.forge(part(body, "repository"), part(body, "actor"))
        told = facts.told_of(name, read, tools)
        return Batch(events=list(facts.pushes(told, body)), contents=told.contents)
    if not isinstance(key, str) or key not in _PULLS | _VOTES:
        return Batch(events=[], ignored=1)
    told = facts.told_of(facts.forge_of(part(body, "pullRequest")), read, tools)
    event = facts.vote(told, body) if key in _VOTES else facts.as_of(told, body)
    return Batch(events=[event], contents=told.contents)


# -- answers of the API, and files -----------------------------------------------------------------


def events_from_value(read: Value, tools: Tools) -> Batch:
    """What a value of a file tells. Raises SourceError where it is nothing that is known here."""
    value = read.value
    if not isinstance(value, dict):
        raise SourceError("it is no JSON object")
    if delivered := recorded.delivery(read):
        return events_from_webhook(delivered[1], tools)
    if answered := recorded.answer(read):
        return _events_from_answer(answered, tools)
    return _events_from_plain(read, value, tools)


def _events_from_plain(read: Value, value: Json, tools: Tools) -> Batch:
    if isinstance(value.get("eventKey"), str):
        return events_from_webhook(read, tools)
    if value.keys() >= _PULL:
        told = facts.told_of(facts.forge_of(value), read, tools)
        events = [facts.standing(told, value)]
        if value["state"] == facts.MERGED:
            events += facts.standing_votes(told, value)
        return Batch(events=events, contents=told.contents)
    if "authorTimestamp" in value:
        raise SourceError(
            "a commit alone does not tell of which pull request it is: hand over the answer with the "
            'address that was asked, {"url": …, "body": …}'
        )
    raise recorded.refusal(value, "Bitbucket Data Center")


def _events_from_answer(answered: recorded.Answer, tools: Tools) -> Batch:
    """What the commits or the activities of a pull request tell, or a pull request itself."""
    match = _ADDRESS.match(answered.address)
    page = answered.read.value
    if not isinstance(page, dict):
        raise SourceError("the answer is no JSON object")
    if match is None:
        return _events_from_plain(answered.read, page, tools)
    project = f"~{match[3]}" if match[2] == "users" else match[3]
    of, values = payloads.number(int(match[5])), parts(page, "values")
    name = facts.name_of(match[1], project, match[4])
    told = facts.told_of(name, answered.read, tools)
    if match[6] == "commits":
        head = payloads.sha(values[0].get("id")) if values else ""
        if not head or page.get("isLastPage") is False:
            raise SourceError("the list of commits is empty, or only a part of it")
        return Batch(events=[facts.listed(told, of, head, values)], contents=told.contents)
    known = facts.heads(values, "0001-01-01T00:00:00Z")
    found = [facts.activity(told, {"id": of}, one, known) for one in values]
    events = [one for one in found if one]
    return Batch(events=events, contents=told.contents, ignored=not events)


def read_files(given: Import, tools: Tools) -> Iterator[Batch]:
    """What files tell: JSON values of the kinds above, one or many in a file."""
    return recorded.read_files(KIND, given, tools, events_from_value, _items)


def _items(read: Value) -> Iterator[Value]:
    return recorded.items(read, "values", _ADDRESS.match)


def _options(configured: Configured) -> Any:
    from ledger.sources.bitbucket_datacenter.polling import options  # noqa: PLC0415 (heavy)

    return options(configured)


def _pull(options: Any, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    from ledger.sources.bitbucket_datacenter.polling import pull  # noqa: PLC0415

    return pull(options, cursor, tools)


SOURCE = Source(
    kind=KIND,
    options=_options,
    pull=_pull,
    read=read_files,
    webhook=Webhook(
        headers=frozenset({"content-type", "x-event-key"}),
        authentic=authentic,
        identify=identify,
        events=events_from_request,
        reconciles=frozenset({PullRequestMerged.TYPE}),
    ),
)
