"""GitLab: merge requests, approvals, pushes, pipelines and rules, from webhooks, the API and files.

A merge request is told in the words of pull requests. From files are read bodies of webhooks, alone or
with their headers (`{"headers": …, "body": …}`), merge requests as the REST API gives them, and such a one
with the other answers about it: `{"merge_request": …,
"versions": […], "notes": […], "approvals": …, "commits": […], "approval_state": …}`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from typing import Any

from ledger.errors import SourceError
from ledger.jsontext import Value
from ledger.sources import (
    Batch,
    Configured,
    Import,
    Source,
    Tools,
    Webhook,
    payloads,
    recorded,
)
from ledger.sources.gitlab import facts, trail
from ledger.sources.gitlab.facts import KIND
from ledger.sources.gitlab.hooks import events_from_webhook
from ledger.sources.payloads import Json, part, parts

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


def signed_at(headers: Headers) -> int | None:
    """The second since 1970 that the signature covers; None where the delivery brings a token only.

    It is 0, hence far from now, where it is signed and tells no time.
    """
    if not headers.get("webhook-signature"):
        return None
    told = headers.get("webhook-timestamp", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) <= 12 else 0


def identify(headers: Headers, body: bytes) -> str:
    """GitLab's id of the delivery, which its retries repeat; where an old one has none, of event and body.

    Of a signed delivery it is the id that the signature covers.
    """
    if not headers.get("x-gitlab-event"):
        return ""
    signed = bool(headers.get("webhook-signature"))
    told = headers.get("webhook-id", "") if signed else headers.get("idempotency-key", "")
    if told or signed:
        return payloads.delivery_id(told)
    event = payloads.delivery_id(headers.get("x-gitlab-event-uuid", ""))
    return f"{event or 'body'}/{hashlib.sha256(body).hexdigest()[:32]}"


def events_from_request(headers: Headers, body: bytes, tools: Tools) -> Batch:
    """What a delivery tells. Raises SourceError where it cannot be read."""
    uuid = payloads.delivery_id(headers.get("x-gitlab-event-uuid", ""))
    return events_from_value(recorded.body_of(body), tools, uuid)


# -- answers of the API, and files -----------------------------------------------------------------


def events_from_value(read: Value, tools: Tools, uuid: str = "") -> Batch:
    """What a body of a webhook or an answer of the API tells. Raises SourceError where it is neither."""
    value = read.value
    if not isinstance(value, dict):
        raise SourceError("it is no JSON object")
    if kept := recorded.delivery(read):
        headers, read = kept
        value, uuid = read.value, payloads.delivery_id(headers.get("x-gitlab-event-uuid", ""))
        if not isinstance(value, dict):
            raise SourceError("the body of the delivery is no JSON object")
    kind = value.get("object_kind") or value.get("event_type") or value.get("event_name")
    if kind is not None:
        return events_from_webhook(kind, read, tools, uuid)
    if _is_merge_request(part(value, "merge_request")):
        return _together(value, tools)
    if _is_merge_request(value):
        told = payloads.told(KIND, facts.forge(facts.project_of(value.get("web_url"))), read, tools)
        return Batch(events=[facts.standing(told, value)], contents=told.contents)
    raise SourceError("it is no webhook and no merge request of GitLab")


def _is_merge_request(value: Json) -> bool:
    return "iid" in value and "target_branch" in value


def _together(value: Json, tools: Tools) -> Batch:
    """A merge request with the other answers about it, as `pull` reads them."""
    request = part(value, "merge_request")
    given = trail.Answers(
        merge_request=request,
        versions=parts(value, "versions") if "versions" in value else None,
        notes=parts(value, "notes") if "notes" in value else None,
        approvals=part(value, "approvals") or None,
        commits=parts(value, "commits") if "commits" in value else None,
        approval_state=part(value, "approval_state") or None,
    )
    forge = facts.forge(facts.project_of(request.get("web_url")))
    return trail.events(forge, given, tools)


def read_files(given: Import, tools: Tools) -> Iterator[Batch]:
    """What files tell: JSON values of the kinds above, one or many in a file."""
    return recorded.read_files(KIND, given, tools, events_from_value)


def _options(configured: Configured) -> Any:
    from ledger.sources.gitlab.polling import options  # noqa: PLC0415 (heavy, needed only here)

    return options(configured)


def _pull(options: Any, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    from ledger.sources.gitlab.polling import pull  # noqa: PLC0415

    return pull(options, cursor, tools)


SOURCE = Source(
    kind=KIND,
    options=_options,
    pull=_pull,
    read=read_files,
    webhook=Webhook(
        headers=frozenset({"content-type", "x-gitlab-event", "x-gitlab-event-uuid"}),
        authentic=authentic,
        identify=identify,
        events=events_from_request,
        reconciles=frozenset(
            {
                "pull_request.opened",
                "pull_request.merged",
                # Not requested changes, which older versions do not deliver; pushes without a time; nor
                # pipelines, which may run in another project.
                "review.submitted/approved",
                "review.submitted/dismissed",
            }
        ),
        signed_at=signed_at,
    ),
)
