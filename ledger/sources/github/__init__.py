"""GitHub and GitHub Enterprise: pull requests and reviews, as webhooks and as answers of the API tell them.

Read are the webhooks `pull_request` (opened, reopened, synchronize, closed), `pull_request_review`, `push`,
`check_run`, `check_suite`, `status`, `branch_protection_rule` and `repository_ruleset`; from files also
pull requests and reviews as the REST API gives them, lists of them, the events of a repository or user,
deliveries with their headers, and answers with the address that was asked (rule suites, branch protection,
members of a team). Other webhooks and actions tell nothing that is recorded. Facts about
the payloads are from GitHub's own descriptions (`webhook-events-and-payloads`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from ledger import jsontext
from ledger.errors import SourceError
from ledger.events import NewEvent
from ledger.jsontext import Value, clean
from ledger.sources import Batch, Configured, Import, Source, Tools, Webhook, payloads, recorded
from ledger.sources.github import answers, checks, facts, pushes, rules
from ledger.sources.github.facts import KIND
from ledger.sources.payloads import Json, Told, part

Headers = Mapping[str, str]
_OTHERS = ("x-gitea-", "x-forgejo-", "x-gogs-")

# -- deliveries ----------------------------------------------------------------------------------


def authentic(headers: Headers, body: bytes, secret: bytes) -> bool:
    """Whether `X-Hub-Signature-256` is the HMAC-SHA256 of the raw body under the secret."""
    return recorded.signed(headers.get("x-hub-signature-256", ""), body, secret)


def identify(headers: Headers, _: bytes) -> str:
    """GitHub's id of the delivery, which stays when it is delivered again; empty where there is none.

    Gitea, Forgejo and Gogs send GitHub's headers beside their own, and are none.
    """
    told = headers.get("x-github-delivery", "")
    ours = headers.get("x-github-event") and not any(one.startswith(_OTHERS) for one in headers)
    return payloads.delivery_id(told) if ours else ""


def events_from_request(headers: Headers, body: bytes, tools: Tools) -> Batch:
    """What a delivery tells, as JSON or as a form. Raises SourceError where it cannot be read."""
    read = _payload(headers, body)
    if not isinstance(read.value, dict):
        raise SourceError("the body is no JSON object")
    return events_from_delivery(headers.get("x-github-event", ""), read, tools)


def _payload(headers: Headers, body: bytes) -> Value:
    try:
        if headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
            fields = parse_qs(body.decode("ascii"), errors="surrogateescape", max_num_fields=100)
            body = fields.get("payload", [""])[0].encode("utf-8", "surrogateescape")
        return jsontext.only_value(body)
    except ValueError as error:
        raise SourceError(f"the body cannot be read: {error}") from None


def events_from_delivery(name: str, read: Value, tools: Tools) -> Batch:
    """What the body of a webhook called `name` tells; no event where it is of another concern."""
    body: Json = read.value
    action = body.get("action")
    tell = facts.BY_WEBHOOK.get((name, action)) if isinstance(action, str) else None
    tell_all = _TELLS.get(name)
    if tell is None and (tell_all is None or action not in _ACTIONS.get(name, (action,))):
        return Batch(events=[], ignored=1)
    pull = part(body, "pull_request")
    address = part(body, "repository").get("html_url") or pull.get("html_url")
    told = facts.told(facts.forge(address), read, tools)
    events = [tell(told, pull, body)] if tell is not None else []
    if tell_all is not None:
        events += tell_all(told, body)
    if not events:
        return Batch(events=[], ignored=1)
    return Batch(events=events, contents=told.contents)


_TELLS: Mapping[str, Callable[[Told, Json], list[NewEvent]]] = {
    "push": pushes.delivered,
    "check_run": lambda told, body: checks.run(told, part(body, "check_run")),
    "check_suite": lambda told, body: checks.suite(told, part(body, "check_suite")),
    "status": checks.status,
    "branch_protection_rule": rules.protection_changed,
    "repository_ruleset": rules.ruleset_changed,
}
_ACTIONS = {
    "check_run": ("completed",),
    "check_suite": ("completed",),
    "branch_protection_rule": ("created", "edited", "deleted"),
    "repository_ruleset": ("created", "edited", "deleted"),
}


# -- answers of the API, and files -----------------------------------------------------------------


def events_from_answer(read: Value, tools: Tools) -> Batch:
    """What a value of a file tells. Raises SourceError where it is nothing that is known here."""
    value = read.value
    if not isinstance(value, dict):
        raise SourceError("it is no JSON object")
    delivery = _delivery_in(read)
    if delivery is not None:
        return events_from_delivery(*delivery, tools)
    answered = answers.answer(read)
    if answered is not None:
        return answers.events_from(answered, tools)
    if "pull_request_url" in value and "state" in value:
        if str(value["state"]).lower() == "pending":  # not yet given
            return Batch(events=[], ignored=1)
        forge, number = facts.reviewed(value)
        told = facts.told(forge, read, tools)
        event = facts.review(told, number, value)
    elif {"number", "head", "base"} <= value.keys():
        told = facts.told(facts.forge(value.get("html_url")), read, tools)
        event = facts.standing(told, value)
    else:
        raise SourceError(_unknown(value))
    return Batch(events=[event], contents=told.contents)


def _delivery_in(read: Value) -> tuple[str, Value] | None:
    """(name of the webhook, its body) where a value is a delivery, or an event of the events API."""
    value: Json = read.value
    request = value.get("request")  # as the API gives deliveries of a hook
    if isinstance(request, dict) and "payload" in request:
        return _stored(read.place, part(request, "headers"), request["payload"])
    if "headers" in value and "body" in value:
        return _stored(read.place, part(value, "headers"), value["body"])
    if isinstance(value.get("type"), str) and isinstance(value.get("payload"), dict):
        return _listed(read)
    if isinstance(value.get("pull_request"), dict) and isinstance(value.get("action"), str):
        if isinstance(value.get("review"), dict):
            return "pull_request_review", read
        return ("pull_request" if "number" in value else "another"), read
    if {"repository", "sender"} <= value.keys() or "zen" in value:
        return next((name for name, has in _SHAPES.items() if has <= value.keys()), "another"), read
    return None


_SHAPES: Mapping[str, frozenset[str]] = {
    "push": frozenset({"ref", "before", "after", "pusher"}),
    "check_run": frozenset({"check_run"}),
    "check_suite": frozenset({"check_suite"}),
    "status": frozenset({"sha", "state", "context"}),
    "branch_protection_rule": frozenset({"rule", "action"}),
    "repository_ruleset": frozenset({"repository_ruleset"}),
}


def _stored(place: str, headers: Json, body: Any) -> tuple[str, Value]:
    lower = {name.lower(): told for name, told in headers.items() if isinstance(told, str)}
    name = lower.get("x-github-event", "")
    if not name:
        raise SourceError("the delivery has no header X-GitHub-Event")
    if isinstance(body, str):
        read = _payload(lower, clean(body).encode())
    else:
        try:
            read = Value(place, jsontext.compact(body), body)
        except ValueError as error:
            raise SourceError(str(error)) from None
    if not isinstance(read.value, dict):
        raise SourceError("the body of the delivery is no JSON object")
    return name, read


_LISTED = {"PullRequestEvent": "pull_request", "PullRequestReviewEvent": "pull_request_review"}


def _listed(read: Value) -> tuple[str, Value]:
    """An event as `GET /repos/…/events` gives it: the webhook's body, and around it who and where."""
    value: Json = read.value
    body = {"sender": value.get("actor"), **value["payload"]}
    if body.get("action") == "created":
        body["action"] = "submitted"
    return _LISTED.get(value["type"], "another"), read._replace(value=body)


def _unknown(value: Json) -> str:
    if isinstance(value.get("message"), str):
        return f"it is an error that the forge answered: {clean(value['message'])[:200]}"
    return "it is no webhook, pull request or review of GitHub"


def read_files(given: Import, tools: Tools) -> Iterator[Batch]:
    """What files tell: JSON values of the kinds above, one or many in a file."""
    return recorded.read_files(KIND, given, tools, events_from_answer)


def _options(configured: Configured) -> Any:
    from ledger.sources.github.access import options  # noqa: PLC0415 (heavy, and needed only here)

    return options(configured)


def _pull(options: Any, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    from ledger.sources.github.polling import pull  # noqa: PLC0415

    return pull(options, cursor, tools)


SOURCE = Source(
    kind=KIND,
    options=_options,
    pull=_pull,
    read=read_files,
    webhook=Webhook(
        headers=frozenset({"content-type", "x-github-event"}),
        authentic=authentic,
        identify=identify,
        events=events_from_request,
        reconciles=frozenset(
            {
                "pull_request.opened",
                "pull_request.merged",
                "pull_request.closed",
                "review.submitted",
                "ref.pushed",
            }
        ),
    ),
)
