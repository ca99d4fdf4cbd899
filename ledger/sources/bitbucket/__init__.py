"""Bitbucket Cloud: pull requests, approvals, pushes and statuses, as webhooks and the API tell them.

Read are the webhooks `pullrequest:created`, `updated`, `fulfilled`, `rejected`, `superseded`, `approved`,
`unapproved`, `changes_request_created` and `changes_request_removed`, `repo:push` and
`repo:commit_status_created` and `updated`; from files also pull requests as the API gives them, alone or in
pages, and with the address that was asked (`{"url": …, "body": …}`) the commits, activities and statuses
of one. Facts about the payloads are from Atlassian's `event-payloads` and recorded traffic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ledger.errors import SourceError
from ledger.events import NewEvent, PullRequestMerged
from ledger.jsontext import Value
from ledger.sources import Batch, Configured, Import, Source, Tools, Webhook, payloads, recorded
from ledger.sources.bitbucket import facts
from ledger.sources.bitbucket.facts import KIND
from ledger.sources.payloads import Json, part, parts

Headers = Mapping[str, str]
_ADDRESS = re.compile(
    r"https?://[^/?#]+/2\.0/repositories/([^/?#]+/[^/?#]+)/pullrequests/([0-9]{1,15})/"
    r"(commits|activity|statuses)(?:\?|$)"
)
_TAKEN_BACK = {
    "pullrequest:approved": False,
    "pullrequest:unapproved": True,
    "pullrequest:changes_request_created": False,
    "pullrequest:changes_request_removed": True,
}
_PULL = {"id", "state", "source", "destination"}

# -- deliveries ----------------------------------------------------------------------------------


def authentic(headers: Headers, body: bytes, secret: bytes) -> bool:
    """Whether `X-Hub-Signature` is the HMAC-SHA256 of the raw body under the secret."""
    return recorded.signed(headers.get("x-hub-signature", ""), body, secret)


def identify(headers: Headers, _: bytes) -> str:
    """Bitbucket's id of the request, which its retries repeat; empty where there is none."""
    told = headers.get("x-request-uuid", "")
    return payloads.delivery_id(told) if headers.get("x-event-key") else ""


def events_from_request(headers: Headers, body: bytes, tools: Tools) -> Batch:
    """What a delivery tells. Raises SourceError where it cannot be read."""
    return events_from_webhook(headers.get("x-event-key", ""), recorded.body_of(body), tools)


def events_from_webhook(name: str, read: Value, tools: Tools) -> Batch:
    """What the body of a webhook tells; `name` is empty where it came without its headers."""
    body: Json = read.value
    if part(body, "push"):
        told = payloads.told(KIND, facts.forge(part(body, "repository")), read, tools)
        return Batch(events=list(facts.pushes(told, body)), contents=told.contents)
    if part(body, "commit_status"):
        told = payloads.told(KIND, facts.forge(part(body, "repository")), read, tools)
        found = facts.check(told, part(body, "commit_status"))
        return _batch(told, [found] if found else [])
    pull = part(body, "pullrequest")
    if not pull or "comment" in body or name.startswith("pullrequest:comment"):
        return Batch(events=[], ignored=1)
    told = payloads.told(KIND, facts.forge_of(pull), read, tools)
    if facts.is_vote(body):
        return _batch(told, [facts.vote(told, body, _TAKEN_BACK.get(name))])
    return _batch(told, [facts.as_of(told, body)])


def _batch(told: payloads.Told, events: list[NewEvent]) -> Batch:
    return Batch(events=events, contents=told.contents, ignored=not events)


# -- answers of the API, and files -----------------------------------------------------------------


def events_from_value(read: Value, tools: Tools) -> Batch:
    """What a value of a file tells. Raises SourceError where it is nothing that is known here."""
    value = read.value
    if not isinstance(value, dict):
        raise SourceError("it is no JSON object")
    if delivered := recorded.delivery(read):
        headers, body = delivered
        return events_from_webhook(headers.get("x-event-key", ""), body, tools)
    if answered := recorded.answer(read):
        return _events_from_answer(answered, tools)
    return _events_from_plain(read, value, tools)


def _events_from_plain(read: Value, value: Json, tools: Tools) -> Batch:
    if {"pullrequest", "push", "commit_status"} & value.keys() or {
        "actor",
        "repository",
    } <= value.keys():
        return events_from_webhook("", read, tools)
    if value.keys() >= _PULL:
        told = payloads.told(KIND, facts.forge_of(value), read, tools)
        events = [facts.standing(told, value, {})]
        if value["state"] == facts.MERGED:
            events += facts.standing_votes(told, value)
        return _batch(told, events)
    if "hash" in value and "author" in value:
        raise SourceError(
            "a commit alone does not tell of which pull request it is: hand over the answer with the "
            'address that was asked, {"url": …, "body": …}'
        )
    raise recorded.refusal(value, "Bitbucket")


def _events_from_answer(answered: recorded.Answer, tools: Tools) -> Batch:
    """What the commits, the activities or the statuses of a pull request tell, or a pull request itself."""
    match = _ADDRESS.match(answered.address)
    page = answered.read.value
    if not isinstance(page, dict):
        raise SourceError("the answer is no JSON object")
    if match is None:
        return _events_from_plain(answered.read, page, tools)
    forge, of = facts.forge({"full_name": match[1]}), payloads.number(int(match[2]))
    values = parts(page, "values")
    told = payloads.told(KIND, forge, answered.read, tools)
    if match[3] == "statuses":
        return _batch(told, [one for one in (facts.check(told, s) for s in values) if one])
    if match[3] == "commits":
        head = payloads.sha(values[0].get("hash")) if values else ""
        if not head or "next" in page:
            raise SourceError("the list of commits is empty, or only a part of it")
        return _batch(told, [facts.listed(told, of, head, values)])
    known = facts.heads(values, {})
    pull = {"id": of}
    found = (facts.activity(told, pull, one, known, {}) for one in values)
    return _batch(told, [one for one in found if one])


def read_files(given: Import, tools: Tools) -> Iterator[Batch]:
    """What files tell: JSON values of the kinds above, one or many in a file."""
    return recorded.read_files(KIND, given, tools, events_from_value, _items)


def _items(read: Value) -> Iterator[Value]:
    return recorded.items(read, "values", _ADDRESS.match)


def _options(configured: Configured) -> Any:
    from ledger.sources.bitbucket.polling import options  # noqa: PLC0415 (heavy, needed only here)

    return options(configured)


def _pull(options: Any, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    from ledger.sources.bitbucket.polling import pull  # noqa: PLC0415

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
