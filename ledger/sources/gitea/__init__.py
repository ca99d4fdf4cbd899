"""Gitea and Forgejo: pull requests, reviews, pushes, checks and rules, as webhooks and as the API tell them.

Read are the webhooks `pull_request` (opened, reopened, synchronized, closed, reviewed), `push`, `status`,
`workflow_run` of Gitea and `action_run_*` of Forgejo; from files also pull requests, reviews and statuses as
the API gives them, and lists of them. Deliveries also bear the headers of GitHub, which say nothing here.
Facts about deliveries are from Gitea's `services/webhook/deliver.go` and `modules/structs/hook.go`.

The webhook of a review tells neither its id nor its time nor its commit: these are made of the pull
request's, as of the delivery, until the API lists the reviews (`provisional`).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs

from ledger import jsontext
from ledger.errors import SourceError
from ledger.events import NewEvent
from ledger.jsontext import Value, clean
from ledger.sources import Batch, Configured, Import, Source, Tools, Webhook, payloads, recorded
from ledger.sources.gitea import branches, facts
from ledger.sources.gitea.facts import KIND
from ledger.sources.payloads import Json, Told, part, sha

_SIGNATURES: Final = ("x-forgejo-signature", "x-gitea-signature", "x-gogs-signature")
_DELIVERIES: Final = ("x-forgejo-delivery", "x-gitea-delivery", "x-gogs-delivery")
_FORM: Final = "application/x-www-form-urlencoded"

Headers = Mapping[str, str]

# -- deliveries ----------------------------------------------------------------------------------


def authentic(headers: Headers, body: bytes, secret: bytes) -> bool:
    """Whether the signature is the HMAC-SHA256 of the payload under the secret, in hex.

    Of a form it is over the payload in it, and not over the form. Without a secret the forge sends an
    empty signature, or one under an empty key: that is unsigned.
    """
    told = next((headers[name] for name in _SIGNATURES if headers.get(name)), "")
    try:
        signed = _payload(headers, body)
    except ValueError:
        return False
    right = hmac.digest(secret, signed, "sha256").hex().encode() if secret else b""
    return bool(secret) and hmac.compare_digest(told.encode("utf-8", "replace"), right)


def identify(headers: Headers, _: bytes) -> str:
    """The forge's id of the delivery, which a replay repeats; empty where there is none."""
    told = next((headers[name] for name in _DELIVERIES if headers.get(name)), "")
    return payloads.delivery_id(told)


def events_from_request(headers: Headers, body: bytes, tools: Tools) -> Batch:
    """What a delivery tells, as JSON or as a form. Raises SourceError where it cannot be read."""
    try:
        read = jsontext.only_value(_payload(headers, body))
    except ValueError as error:
        raise SourceError(f"the body cannot be read: {error}") from None
    if not isinstance(read.value, dict):
        raise SourceError("the body is no JSON object")
    return events_from_webhook(read, tools)


def _payload(headers: Headers, body: bytes) -> bytes:
    """The JSON of a body. Raises ValueError for a form without just one payload."""
    if not headers.get("content-type", "").lower().startswith(_FORM):
        return body
    fields = parse_qs(body.decode("ascii"), errors="surrogateescape", max_num_fields=100)
    found = fields.get("payload", [])
    if len(found) != 1:
        raise ValueError("the form has not just one payload")
    return found[0].encode("utf-8", "surrogateescape")


def events_from_webhook(read: Value, tools: Tools) -> Batch:
    """What the body of a webhook tells; no event where it is of another concern."""
    body: Json = read.value
    tell = _teller(body)
    if tell is None:
        return Batch(events=[], ignored=1)
    named = part(body, "repository") or part(part(body, "run"), "repository")
    address = named.get("html_url") or part(body, "pull_request").get("html_url")
    told = facts.told(facts.page(address)[0], read, tools)
    return Batch(events=[tell(told)], contents=told.contents)


def _teller(body: Json) -> Callable[[Told], NewEvent] | None:
    """What tells the fact in the body of a webhook, by what the body holds; its headers only name it."""
    pull, action = part(body, "pull_request"), body.get("action")
    if run := part(body, "workflow_run"):
        workflow = part(body, "workflow")
        return (
            partial(branches.run, value=run, workflow=workflow) if action == "completed" else None
        )
    if run := part(body, "run"):
        return partial(branches.run, value=run, workflow={}) if "prior_status" in body else None
    if pull and isinstance(action, str):
        tell = facts.BY_ACTION.get(action)
        return None if tell is None else (lambda told: tell(told, pull, body))
    if {"ref", "before", "after"} <= body.keys():
        return partial(branches.pushed, body=body) if branches.is_of_branch(body) else None
    if {"sha", "context", "state"} <= body.keys() and branches.has_ended(body):
        return partial(branches.status, commit=sha(body["sha"]), value=body)
    return None


# -- answers of the API, and files -----------------------------------------------------------------


def events_from_value(read: Value, tools: Tools) -> Batch:
    """What a value of a file tells. Raises SourceError where it is nothing that is known here."""
    value = read.value
    if not isinstance(value, dict):
        raise SourceError("it is no JSON object")
    if "pull_request_url" in value and "state" in value:
        return _from_review(read, value, tools)
    if _is_webhook(value):
        return events_from_webhook(read, tools)
    if {"number", "head", "base"} <= value.keys():
        told = facts.told(facts.page(value.get("html_url"))[0], read, tools)
        return Batch(events=[facts.standing(told, value)], contents=told.contents)
    if {"context", "status", "url"} <= value.keys():
        return _from_status(read, value, tools)
    if isinstance(value.get("message"), str):
        said = clean(value["message"])[:200]
        raise SourceError(f"it is an error that the forge answered: {said}")
    raise SourceError("it is no webhook, pull request, review or status of Gitea or Forgejo")


def _is_webhook(value: Json) -> bool:
    return (
        {"repository", "sender"} <= value.keys()
        or {"ref", "pusher_type"} <= value.keys()
        or {"run", "prior_status"} <= value.keys()
    )


def _from_review(read: Value, value: Json, tools: Tools) -> Batch:
    if not facts.is_given(value):
        return Batch(events=[], ignored=1)
    forge, of = facts.page(value["pull_request_url"])
    if not of:
        raise SourceError("it does not tell of which pull request it is")
    told = facts.told(forge, read, tools)
    # Whether it was dismissed before the merge is not known here, so it was.
    events = facts.review(told, of, value, merged_at="")
    return Batch(events=events, contents=told.contents)


def _from_status(read: Value, value: Json, tools: Tools) -> Batch:
    if not branches.has_ended(value):
        return Batch(events=[], ignored=1)
    told = facts.told(facts.of_api(value["url"]), read, tools)
    commit = sha(str(value["url"]).rpartition("/")[2])
    return Batch(events=[branches.status(told, commit, value)], contents=told.contents)


def read_files(given: Import, tools: Tools) -> Iterator[Batch]:
    """What files tell: JSON values of the kinds above, one or many in a file."""
    return recorded.read_files(KIND, given, tools, events_from_value)


def _options(configured: Configured) -> Any:
    from ledger.sources.gitea.polling import options  # noqa: PLC0415 (heavy, and needed only here)

    return options(configured)


def _pull(options: Any, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    from ledger.sources.gitea.polling import pull  # noqa: PLC0415

    return pull(options, cursor, tools)


SOURCE = Source(
    kind=KIND,
    options=_options,
    pull=_pull,
    read=read_files,
    webhook=Webhook(
        headers=frozenset({"content-type", "x-gitea-event", "x-forgejo-event"}),
        authentic=authentic,
        identify=identify,
        events=events_from_request,
        reconciles=frozenset({"pull_request.opened", "pull_request.merged", "pull_request.closed"}),
    ),
)
