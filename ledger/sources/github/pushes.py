"""Who pushed what to a branch: the webhook `push`, a repository's activity, and its rule suites.

They tell one push each in their own words under one key, made of the ref and the two commits. Pushes of
tags tell nothing that is recorded, and neither does a push that a rule held off: nothing moved then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ledger.events import NewEvent, PullRequest, PullRequestPushed, RefPushed
from ledger.instants import FORMAT, utc_text
from ledger.jsontext import clean
from ledger.sources import keyed
from ledger.sources.github.facts import is_bot
from ledger.sources.payloads import Json, Told, identity, part, parts, sha, side

BRANCH: Final = "refs/heads/"
MAX_LISTED: Final = 2_048  # commits that a webhook lists


def delivered(told: Told, body: Json) -> list[NewEvent]:
    """What the webhook `push` tells."""
    ref = _branch(body.get("ref"))
    if not ref:
        return []
    commits = [sha(one.get("id")) for one in parts(body, "commits")]
    sender = part(body, "sender")
    pushed = RefPushed(
        repository=told.repository,
        forge=told.forge,
        ref=ref,
        before=side(body.get("before")),
        after=side(body.get("after")),
        forced=body.get("forced") is True,
        pusher_is_bot=is_bot(sender),
        at=_seconds(part(body, "repository").get("pushed_at")),
        commits=[one for one in commits if one],
        commit_count=len(commits) if len(commits) < MAX_LISTED else 0,
        raw=told.raw,
    )
    who = identity(sender.get("login")) or identity(part(body, "pusher").get("name"))
    return [keyed.ref_pushed(told, pushed, who)]


def active(told: Told, item: Json) -> list[NewEvent]:
    """What an item of `GET /repos/{owner}/{repo}/activity` tells."""
    ref = _branch(item.get("ref"))
    if not ref:
        return []
    kind = clean(str(item.get("activity_type", "")))[:40]
    pushed = RefPushed(
        repository=told.repository,
        forge=told.forge,
        ref=ref,
        before=side(item.get("before")),
        after=side(item.get("after")),
        forced=kind == "force_push",
        kind=kind,
        pusher_is_bot=is_bot(item.get("actor")),
        at=utc_text(item.get("timestamp")),
        push=_id(item),
        raw=told.raw,
    )
    return [keyed.ref_pushed(told, pushed, identity(part(item, "actor").get("login")))]


def judged(told: Told, suite: Json, evaluations: Sequence[Json]) -> list[NewEvent]:
    """What a rule suite tells: how a push that went through stood to the rules, and which it passed over."""
    ref, result = _branch(suite.get("ref")), suite.get("result")
    if not ref or result not in ("pass", "bypass"):
        return []
    name = suite.get("actor_name")
    pushed = RefPushed(
        repository=told.repository,
        forge=told.forge,
        ref=ref,
        before=side(suite.get("before_sha")),
        after=side(suite.get("after_sha")),
        pusher_is_bot=isinstance(name, str) and name.endswith("[bot]"),
        at=utc_text(suite.get("pushed_at")),
        result=str(result),
        bypassed=sorted({_rule(one) for one in evaluations if _passed_over(one)} - {""}),
        raw=told.raw,
    )
    return [keyed.ref_pushed(told, pushed, identity(name))]


def forced(told: Told, number: int, event: Json) -> list[NewEvent]:
    """What a pull request's event `head_ref_force_pushed` tells: the head after it, not the one before."""
    after, at = sha(event.get("commit_id")), utc_text(event.get("created_at"))
    if not after or not at:
        return []
    pushed = PullRequestPushed(
        repository=told.repository,
        forge=told.forge,
        pull_request=PullRequest(number=number, updated_at=at),
        before="",
        after=after,
        at=at,
        raw=told.raw,
    )
    key = f"pull/{number}/force_pushed/{after}/{at}"
    return [told.event(key, at, identity(part(event, "actor").get("login")), pushed)]


def _branch(ref: Any) -> str:
    return clean(ref)[:1_000] if isinstance(ref, str) and ref.startswith(BRANCH) else ""


def _seconds(value: Any) -> str:
    """UTC text of seconds since 1970, as the webhook writes this one time; other spellings, too."""
    if type(value) is int and 0 < value < 2**33:
        return datetime.fromtimestamp(value, UTC).strftime(FORMAT)
    return utc_text(value)


def _id(item: Json) -> str:
    found = item.get("id")
    return str(found) if type(found) is int else ""


def _passed_over(evaluation: Json) -> bool:
    return evaluation.get("result") == "fail" and evaluation.get("enforcement") == "active"


def _rule(evaluation: Json) -> str:
    kind = evaluation.get("rule_type")
    return clean(kind)[:100] if isinstance(kind, str) else ""
