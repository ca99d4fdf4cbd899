"""GitLab's webhooks: merge requests, pushes to branches, pipelines.

An approval's webhook does not say at which commit it was given: it is the last commit as of the delivery.
When GitLab itself resets approvals on a push, the webhook names who pushed and not whose approvals are
gone, so it tells nothing; the approvals were given at another head, and the API tells which stand. A merge
request that was squashed without a merge commit does not tell what landed; the API does. Facts are from
GitLab's `doc/user/project/integrations/webhook_events.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ledger.errors import SourceError
from ledger.events import NewEvent, PullRequest, RefPushed
from ledger.jsontext import Value, clean
from ledger.sources import Batch, Tools, keyed, payloads
from ledger.sources.gitlab import facts
from ledger.sources.gitlab.facts import BRANCHES, KIND, is_bot, user
from ledger.sources.keyed import Merge
from ledger.sources.payloads import Json, Told, count, number, part, parts, sha, side

_SHOWN = ("title", "labels", "draft", "work_in_progress", "target_branch")
Tell = Callable[[Told, Json], list[NewEvent]]


def events_from_webhook(kind: Any, read: Value, tools: Tools, uuid: str = "") -> Batch:
    """What the body of a webhook tells; no event where it is of another concern.

    `uuid` is GitLab's id of what made it send the webhook.
    """
    body: Json = read.value
    tell: Tell | None = None
    if kind == "merge_request":
        tell = _BY_ACTION.get(_action(body))
        if part(body, "object_attributes").get("system") is True and tell in (
            _approved,
            _taken_back,
        ):
            tell = None
    elif kind == "push":
        return _batch(read, tools, lambda told, body: [_pushed_to_branch(told, body, uuid)])
    elif kind == "pipeline":
        tell = _pipeline
    return Batch(events=[], ignored=1) if tell is None else _batch(read, tools, tell)


def _batch(read: Value, tools: Tools, tell: Tell) -> Batch:
    address = part(read.value, "project").get("web_url")
    told = payloads.told(KIND, facts.forge(address), read, tools)
    events = tell(told, read.value)
    return Batch(events=events, contents=told.contents if events else [], ignored=int(not events))


# -- merge requests --------------------------------------------------------------------------------


def _action(body: Json) -> str:
    attributes = part(body, "object_attributes")
    action = attributes.get("action")
    if action is None and "action" not in attributes and attributes.get("state") == "opened":
        return "open"  # a system hook of old
    if action == "update":
        return "push" if sha(attributes.get("oldrev")) else "update"
    return action if isinstance(action, str) else ""


def _opened(told: Told, body: Json) -> list[NewEvent]:
    data = _merge_request(told, body)
    again = _action(body) == "reopen"
    at = data.updated_at if again else data.created_at
    return [keyed.opened(told, data, at, user(part(body, "user")), again=again)]


def _pushed(told: Told, body: Json) -> list[NewEvent]:
    data = _merge_request(told, body)
    before = sha(part(body, "object_attributes").get("oldrev"))
    who = user(part(body, "user"))
    return [keyed.pushed(told, data, before, data.head, data.updated_at, who)]


def _updated(told: Told, body: Json) -> list[NewEvent]:
    """An open one is told again with what is another now; and who asked for changes."""
    changes = part(body, "changes")
    found: list[NewEvent] = []
    if part(body, "object_attributes").get("state") != "opened":
        return found
    if any(name in changes for name in _SHOWN):
        data = _merge_request(told, body)
        found.append(keyed.opened(told, data, data.created_at, data.author))
    reviewers = part(changes, "reviewers")
    before = {str(one.get("username")): one.get("state") for one in parts(reviewers, "previous")}
    wanted = "requested_changes"
    found += [
        _review(told, body, one, "changes_requested")
        for one in parts(reviewers, "current")
        if one.get("state") == wanted and before.get(str(one.get("username"))) != wanted
    ]
    return found


def _merged(told: Told, body: Json) -> list[NewEvent]:
    attributes, who = part(body, "object_attributes"), part(body, "user")
    data = _merge_request(told, body)
    landed = sha(attributes.get("merge_commit_sha"))
    commit = landed or ("" if attributes.get("squash") is True else data.head)
    at = payloads.time(attributes.get("merged_at")) or data.updated_at
    method = "merge" if landed else ""
    return [keyed.merged(told, data, Merge(commit, at, user(who), is_bot(who), method))]


def _closed(told: Told, body: Json) -> list[NewEvent]:
    data = _merge_request(told, body)
    return [keyed.closed(told, data, data.updated_at, user(part(body, "user")))]


def _approved(told: Told, body: Json) -> list[NewEvent]:
    return [_review(told, body, part(body, "user"), "approved")]


def _taken_back(told: Told, body: Json) -> list[NewEvent]:
    return [_review(told, body, part(body, "user"), "dismissed")]


def _review(told: Told, body: Json, who: Json, state: str) -> NewEvent:
    data = _merge_request(told, body)
    attributes = part(body, "object_attributes")
    after = attributes.get("state") == "merged"
    # The time of the last change may be older than the approval; behind the merge that would belie it.
    at = payloads.time(attributes.get("actioned_at")) or ("" if after else data.updated_at)
    event = facts.review(told, data.number, who, state, data.head, at, after=after)
    return msgspec.structs.replace(event, occurred_at=at or data.updated_at)


_BY_ACTION: dict[str, Tell] = {
    "open": _opened,
    "reopen": _opened,
    "push": _pushed,
    "update": _updated,
    "merge": _merged,
    "close": _closed,
    "approved": _approved,
    "approval": _approved,
    "unapproved": _taken_back,
    "unapproval": _taken_back,
}


def _merge_request(told: Told, body: Json) -> PullRequest:
    attributes = part(body, "object_attributes")
    author = _author(body)
    labels = [label.get("title") for label in parts(body, "labels")]
    return PullRequest(
        number=number(attributes.get("iid")),
        title=told.text(attributes.get("title")),
        author=user(author),
        author_is_bot=is_bot(author),
        url=told.text(attributes.get("url")),
        base=told.text(attributes.get("target_branch")),
        head_ref=told.text(attributes.get("source_branch")),
        head=sha(part(attributes, "last_commit").get("id")),
        labels=sorted({told.text(name) for name in labels} - {""}),
        draft=(attributes.get("draft") or attributes.get("work_in_progress")) is True,
        created_at=payloads.time(attributes.get("created_at")),
        updated_at=payloads.time(attributes.get("updated_at")),
    )


def _author(body: Json) -> Json:
    """The author among the people that a body names; whoever opens it, where their ids are not told."""
    author, actor = part(body, "object_attributes").get("author_id"), part(body, "user")
    if author is None or actor.get("id") is None:
        return actor if _action(body) == "open" else {}
    people = [actor, *parts(body, "assignees"), *parts(body, "reviewers")]
    return next((one for one in people if one.get("id") == author), {})


# -- pushes and pipelines --------------------------------------------------------------------------


def _pushed_to_branch(told: Told, body: Json, uuid: str) -> NewEvent:
    """A push to a branch, of which GitLab tells no time, and of its commits the newest twenty."""
    ref = body.get("ref")
    if not isinstance(ref, str) or not ref.startswith(BRANCHES):
        raise SourceError("a push that does not tell to which branch")
    who = {"username": body.get("user_username"), "email": body.get("user_email")}
    data = RefPushed(
        repository=told.repository,
        forge=told.forge,
        ref=clean(ref),
        before=_commit(body, "before"),
        after=_commit(body, "after"),
        pusher_is_bot=is_bot(who),
        commits=[found for one in parts(body, "commits") if (found := sha(one.get("id")))],
        commit_count=count(body.get("total_commits_count")),
        push=uuid,
        raw=told.raw,
    )
    return keyed.ref_pushed(told, data, user(who))


def _commit(body: Json, name: str) -> str:
    """The commit of a side of a push; empty for zeros, which stand for no branch."""
    if not sha(body.get(name)):
        raise SourceError(f"a push that does not tell the commit {name} it")
    return side(body[name])


def _pipeline(told: Told, body: Json) -> list[NewEvent]:
    found = facts.check(told, part(body, "object_attributes"))
    return [found] if found else []
