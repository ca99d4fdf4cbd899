"""Azure DevOps: pull requests, votes and pushes, as service hooks and the API tell them.

Read are the hooks `git.pullrequest.created`, `updated` and `merged`, and `git.push`; from files also pull
requests as the API gives them, alone, in pages, or with what belongs to one
(`{"pullRequest": …, "threads": …, "iterations": …, "commits": …}`). Facts about the payloads are from
Microsoft's `service-hooks/events`, `git/pull-request-threads` and recorded traffic.

Azure signs nothing: a hook proves itself by the password of its basic authentication, or by the header
`X-Ledger-Token`. So whoever reads it on its way can change it and knows the secret: use TLS.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterator, Mapping
from typing import Any

from ledger.errors import SourceError
from ledger.events import PullRequestMerged
from ledger.instants import utc_text
from ledger.jsontext import Value
from ledger.sources import Batch, Configured, Import, Source, Tools, Webhook, payloads, recorded
from ledger.sources.azure_devops import facts
from ledger.sources.azure_devops.facts import KIND
from ledger.sources.payloads import Json, part, parts

Headers = Mapping[str, str]
_PULLS = {"git.pullrequest.created", "git.pullrequest.updated", "git.pullrequest.merged"}
# -- deliveries ----------------------------------------------------------------------------------


def authentic(headers: Headers, _: bytes, secret: bytes) -> bool:
    """Whether the request brings the secret: as `X-Ledger-Token`, or as password of basic authentication.

    A secret with a colon may be user and password.
    """
    token = headers.get("x-ledger-token", "").encode("utf-8", "replace")
    scheme, _space, told = headers.get("authorization", "").partition(" ")
    try:
        pair = base64.b64decode(told.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        pair = b""
    password = pair.partition(b":")[2]
    found = [hmac.compare_digest(one, secret) for one in (token, password, pair)]
    return bool(secret) and any(found)


def identify(_: Headers, body: bytes) -> str:
    """The event's id and that of its notification, which retries repeat; empty where there is none."""
    try:
        value = recorded.body_of(body).value
    except SourceError:
        return ""
    told = [value.get(name) for name in ("id", "subscriptionId", "notificationId")]
    found = [str(one) for one in told if isinstance(one, str | int) and one]
    return payloads.delivery_id("/".join(found)) if value.get("eventType") else ""


def events_from_request(_: Headers, body: bytes, tools: Tools) -> Batch:
    """What a delivery tells. Raises SourceError where it cannot be read."""
    return events_from_hook(recorded.body_of(body), tools)


def events_from_hook(read: Value, tools: Tools) -> Batch:
    """What the body of a service hook tells; it names itself."""
    body: Json = read.value
    kind, resource = body.get("eventType"), part(body, "resource")
    if kind == "git.push":
        told = payloads.told(KIND, facts.forge(part(resource, "repository")), read, tools)
        return Batch(events=list(facts.pushes(told, resource)), contents=told.contents)
    tested = kind == "git.pullrequest.merged" and resource.get("status") != facts.COMPLETED
    if not isinstance(kind, str) or kind not in _PULLS or tested:
        return Batch(events=[], ignored=1)
    return _of_pull_request(read, resource, tools, utc_text(body.get("createdDate")))


def _of_pull_request(read: Value, pull: Json, tools: Tools, as_of: str = "") -> Batch:
    told = payloads.told(KIND, facts.forge(part(pull, "repository")), read, tools)
    events = [facts.standing(told, pull, as_of)]
    if pull.get("status") == facts.COMPLETED:
        events += facts.standing_votes(told, pull)
    return Batch(events=events, contents=told.contents)


# -- answers of the API, and files -----------------------------------------------------------------


def events_from_value(read: Value, tools: Tools) -> Batch:
    """What a value of a file tells. Raises SourceError where it is nothing that is known here."""
    value = read.value
    if not isinstance(value, dict):
        raise SourceError("it is no JSON object")
    if delivered := recorded.delivery(read):
        return events_from_hook(delivered[1], tools)
    if answered := recorded.answer(read):
        read = answered.read
        value = read.value
        if not isinstance(value, dict):
            raise SourceError("the answer is no JSON object")
    if part(value, "pullRequest"):
        return _events_from_bundle(read, tools)
    if isinstance(value.get("eventType"), str):
        return events_from_hook(read, tools)
    if "pullRequestId" in value and "status" in value:
        return _of_pull_request(read, value, tools)
    if "commitId" in value:
        raise SourceError(
            "a commit alone does not tell of which pull request it is: hand over both, "
            '{"pullRequest": …, "commits": …}'
        )
    raise recorded.refusal(value, "Azure DevOps")


def _events_from_bundle(read: Value, tools: Tools) -> Batch:
    """What a pull request tells with its threads, iterations and commits: lists, or answers of the API."""
    pull = part(read.value, "pullRequest")
    name = facts.forge(part(pull, "repository"))
    lists = [_list(read.value, one) for one in ("threads", "iterations", "commits")]
    return facts.whole(lambda one: recorded.told_of(KIND, name, one, tools), pull, *lists)


def _list(bundle: Json, name: str) -> list[Json]:
    page = part(bundle, name)
    return parts(page, "value") if page else parts(bundle, name)


def read_files(given: Import, tools: Tools) -> Iterator[Batch]:
    """What files tell: JSON values of the kinds above, one or many in a file."""
    return recorded.read_files(KIND, given, tools, events_from_value, _items)


def _items(read: Value) -> Iterator[Value]:
    return recorded.items(read, "value")


def _options(configured: Configured) -> Any:
    from ledger.sources.azure_devops.polling import options  # noqa: PLC0415 (heavy)

    return options(configured)


def _pull(options: Any, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    from ledger.sources.azure_devops.polling import pull  # noqa: PLC0415

    return pull(options, cursor, tools)


SOURCE = Source(
    kind=KIND,
    options=_options,
    pull=_pull,
    read=read_files,
    webhook=Webhook(
        headers=frozenset({"content-type"}),
        authentic=authentic,
        identify=identify,
        events=events_from_request,
        reconciles=frozenset({PullRequestMerged.TYPE}),
    ),
)
