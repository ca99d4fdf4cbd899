"""What one payload of Bitbucket Data Center (also called Server, and Stash) tells.

An approval names the commit that was reviewed last, which is what it was given at. Old servers send
no links, so that nothing tells their host: a repository is then called `project/name` alone. Deleted pull
requests were never merged; they are told as closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ledger.errors import SourceError
from ledger.events import (
    Identity,
    NewEvent,
    ProposedCommit,
    PullRequest,
    RefPushed,
)
from ledger.instants import FORMAT, utc_text
from ledger.jsontext import Value, clean
from ledger.sources import Tools, keyed, payloads
from ledger.sources.keyed import Merge
from ledger.sources.payloads import Json, Told, number, part, parts, sha, side
from ledger.sources.votes import APPROVED, CHANGES_REQUESTED, DISMISSED, Head, Vote, head_at, voted

KIND: Final = "bitbucket_datacenter"
MAX_CHANGES: Final = 1_000  # refs that one push moves
OPEN, MERGED, DECLINED = "OPEN", "MERGED", "DECLINED"
_HEADS = "refs/heads/"
_HOST = re.compile(r"(?:https?|ssh)://(?:[^/@\s]*@)?([A-Za-z0-9.-]{1,253})(?::[0-9]+)?/")
_PART = re.compile(r"~?[\w.-]{1,128}", re.ASCII)
_SAID = {
    "APPROVED": APPROVED,
    "NEEDS_WORK": CHANGES_REQUESTED,
    "UNAPPROVED": DISMISSED,
}
_DONE = {"APPROVED": APPROVED, "REVIEWED": CHANGES_REQUESTED, "UNAPPROVED": DISMISSED}


def name_of(host: str, project: str, repository: str) -> str:
    """The full name of a repository: `git.example.org/prj/infra`."""
    return "/".join(one for one in (host, project, repository) if one).lower()


def forge(repository: Json, *links: Json) -> str:
    """The full name of a repository, its host found in any of the links. Raises SourceError."""
    project, slug = part(repository, "project").get("key"), repository.get("slug")
    for one in (project, slug):
        if not isinstance(one, str) or not _PART.fullmatch(one):
            raise SourceError("it does not tell of which repository it is")
    host = next(filter(None, map(_host, (repository, *links))), "")
    return name_of(host, str(project), str(slug))


def forge_of(pull: Json) -> str:
    """The repository that a pull request is for."""
    return forge(part(part(pull, "toRef"), "repository"), pull, part(part(pull, "author"), "user"))


def _host(value: Json) -> str:
    links = part(value, "links")
    for one in (*parts(links, "self"), *parts(links, "clone")):
        address = one.get("href")
        match = _HOST.match(address) if isinstance(address, str) else None
        if match:
            return match[1]
    return ""


def told_of(forge: str, read: Value, tools: Tools) -> Told:
    """Makes a text ready to be kept. A repository may be known by the address that Git clones it from."""
    told = payloads.told(KIND, forge, read, tools)
    host, slash, path = forge.partition("/")
    cloned = tools.repository(f"{host}{slash}scm/{path}")
    if told.repository == forge and cloned:
        return Told(KIND, tools, forge, cloned, told.raw, told.contents)
    return told


# -- pull requests -------------------------------------------------------------------------------


def standing(told: Told, pull: Json, end: Json | None = None) -> NewEvent:
    """A pull request as the API gives it; `end` is the activity that merged or declined it, if known."""
    data, state = _pull_request(told, pull), pull.get("state")
    over = end or {}
    at = time(over.get("createdDate")) or time(pull.get("closedDate"))
    actor = part(over, "user")
    if state == MERGED:
        return _merged(told, pull, data, at, over)
    if state in (DECLINED, "DELETED"):
        return keyed.closed(told, data, at or data.updated_at, user(actor))
    if state != OPEN:
        raise SourceError(f"a pull request in the unknown state {clean(str(state))[:40]!r}")
    return keyed.opened(told, data, data.created_at, data.author)


def as_of(told: Told, body: Json) -> NewEvent:
    """A pull request as a webhook tells it, at the moment of what it tells."""
    pull = part(body, "pullRequest")
    at = utc_text(body.get("date"))
    who = user(part(body, "actor"))
    key = body.get("eventKey")
    data = _pull_request(told, pull)
    if key == "pr:from_ref_updated":
        before = sha(body.get("previousFromHash"))
        return keyed.pushed(told, data, before, data.head, at or data.updated_at, who)
    if key == "pr:reopened":
        return keyed.opened(told, data, at or data.updated_at, who, again=True)
    if key == "pr:deleted":
        return keyed.closed(told, data, at, who)
    closed = pull.get("closedDate")
    over = {
        "createdDate": closed if closed is not None else body.get("date"),
        "user": body.get("actor"),
    }
    return standing(told, pull, over)


def _merged(told: Told, pull: Json, data: PullRequest, at: str, over: Json) -> NewEvent:
    who = part(over, "user")
    commit = sha(part(over, "commit").get("id"))
    commit = commit or sha(part(part(pull, "properties"), "mergeCommit").get("id"))
    merge = Merge(commit, at, user(who), is_bot(who))
    return keyed.merged(told, data, merge, dated=False)


def listed(told: Told, of: int, head: str, commits: Sequence[Json]) -> NewEvent:
    """The commits of a pull request, which the API lists newest first."""
    found = [
        ProposedCommit(
            commit=sha(one.get("id")),
            author=user(part(one, "author")),
            committer=user(part(one, "committer")),
        )
        for one in reversed(commits)
    ]
    return keyed.listed(told, of, head, found)


def _pull_request(told: Told, pull: Json) -> PullRequest:
    source, base = part(pull, "fromRef"), part(pull, "toRef")
    author = part(part(pull, "author"), "user")
    pages = parts(part(pull, "links"), "self")
    return PullRequest(
        number=number(pull.get("id")),
        title=told.text(pull.get("title")),
        author=user(author),
        author_is_bot=is_bot(author),
        url=told.text(pages[0].get("href")) if pages else "",
        base=_branch(told, base),
        base_commit=sha(base.get("latestCommit")),
        head_ref=_branch(told, source),
        head=sha(source.get("latestCommit")),
        draft=pull.get("draft") is True,
        created_at=time(pull.get("createdDate")),
        updated_at=time(pull.get("updatedDate")),
    )


def _branch(told: Told, ref: Json) -> str:
    return told.text(ref.get("id")).removeprefix(_HEADS)


# -- votes ---------------------------------------------------------------------------------------


def vote(told: Told, body: Json) -> NewEvent:
    """What a reviewer said, as a webhook tells it."""
    pull, participant = part(body, "pullRequest"), part(body, "participant")
    who = part(participant, "user")
    commit = sha(participant.get("lastReviewedCommit"))
    head = sha(part(pull, "fromRef").get("latestCommit"))
    return voted(
        told,
        Vote(
            number=number(pull.get("id")),
            who=user(who),
            state=_said(participant),
            at=utc_text(body.get("date")),
            commit=commit or head,
            deduced=not commit,
            bot=is_bot(who),
        ),
    )


def _said(participant: Json) -> str:
    status = participant.get("status")
    if not isinstance(status, str) or status not in _SAID:
        raise SourceError(f"a reviewer with the unknown status {clean(str(status))[:40]!r}")
    return _SAID[status]


def standing_votes(told: Told, pull: Json) -> Iterator[NewEvent]:
    """The votes that stand in a merged pull request; when they were given is not told."""
    for one in (*parts(pull, "reviewers"), *parts(pull, "participants")):
        who = part(one, "user")
        if one.get("status") in ("APPROVED", "NEEDS_WORK"):
            commit = sha(one.get("lastReviewedCommit"))
            of = number(pull.get("id"))
            yield voted(told, Vote(of, user(who), _said(one), "", commit, bot=is_bot(who)))


# -- the log of activities -----------------------------------------------------------------------


def heads(activities: Sequence[Json], created_at: str) -> list[Head]:
    """The heads of a pull request by the times of its updates."""
    moves = [one for one in activities if is_push(one)]
    moves.sort(key=lambda one: time(one.get("createdDate")))
    first = [Head(created_at, sha(moves[0].get("previousFromHash")))] if moves else []
    return first + [Head(time(one.get("createdDate")), sha(one.get("fromHash"))) for one in moves]


def is_push(one: Json) -> bool:
    """Whether an activity brought another head."""
    before, after = sha(one.get("previousFromHash")), sha(one.get("fromHash"))
    return one.get("action") == "RESCOPED" and before != after != ""


def is_vote(one: Json) -> bool:
    """Whether an activity is what somebody said."""
    return str(one.get("action")) in _DONE


def agrees(one: Json, participant: Json) -> bool:
    """Whether an activity says what a participant's status says now."""
    return _DONE.get(str(one.get("action"))) == _SAID.get(str(participant.get("status")))


def end(activities: Sequence[Json]) -> Json | None:
    """The activity that merged or declined a pull request last."""
    ends = [one for one in activities if one.get("action") in (MERGED, DECLINED)]
    return max(ends, key=lambda one: time(one.get("createdDate")), default=None)


def activity(told: Told, pull: Json, one: Json, known: Sequence[Head]) -> NewEvent | None:
    """What one activity tells: a vote, a push, or that it was opened again; else nothing."""
    action, at = one.get("action"), time(one.get("createdDate"))
    who = part(one, "user")
    if isinstance(action, str) and action in _DONE:
        head = head_at(known, at) if known else sha(part(pull, "fromRef").get("latestCommit"))
        commit = sha(part(one, "participant").get("lastReviewedCommit"))
        of = number(pull.get("id"))
        return voted(
            told,
            Vote(of, user(who), _DONE[action], at, commit or head, not commit, is_bot(who)),
        )
    # What may look different later is left out, so that an activity is told alike at any time.
    data = msgspec.structs.replace(
        _pull_request(told, pull),
        title="",
        url="",
        base="",
        base_commit="",
        head="",
        draft=False,
        updated_at=at,
    )
    if action == "REOPENED":
        return keyed.opened(told, data, at, user(who), again=True)
    if is_push(one):
        before, after = sha(one.get("previousFromHash")), sha(one.get("fromHash"))
        data = msgspec.structs.replace(data, head=after)
        return keyed.pushed(told, data, before, after, at, user(who))
    return None


# -- pushes --------------------------------------------------------------------------------------


def pushes(told: Told, body: Json) -> Iterator[NewEvent]:
    """The branches that a push moved."""
    who, at = part(body, "actor"), utc_text(body.get("date"))
    for change in parts(body, "changes")[:MAX_CHANGES]:
        ref = told.text(part(change, "ref").get("id") or change.get("refId"))
        if not ref.startswith(_HEADS):
            continue
        before, after = side(change.get("fromHash")), side(change.get("toHash"))
        fact = RefPushed(
            repository=told.repository,
            forge=told.forge,
            ref=ref,
            before=before,
            after=after,
            pusher_is_bot=is_bot(who),
            at=at,
            raw=told.raw,
        )
        yield keyed.ref_pushed(told, fact, user(who))


# -- the parts of a payload ----------------------------------------------------------------------


def user(told: Json) -> Identity | None:
    """Somebody by the name of their account; a committer without one by name and address alone."""
    account = told.get("name") if isinstance(told.get("id"), int) else None
    if isinstance(account, str) and any(char.isspace() for char in account):
        account = told.get("slug")  # a login holds no blanks
    who = payloads.identity(account)
    shown = told.get("displayName") or (told.get("name") if who is None else None)
    email = told.get("emailAddress")
    claimed = {
        name: clean(value)[: payloads.MAX_NAME]
        for name, value in (("name", shown), ("email", email))
        if isinstance(value, str)
    }
    if who is None and not claimed:
        return None
    return msgspec.structs.replace(who or Identity(), **claimed)


def is_bot(told: Json) -> bool:
    """Whether an account is that of a program."""
    return told.get("type") == "SERVICE"


def time(told: Any) -> str:
    """UTC text of milliseconds since 1970 or of an ISO time; empty where it is none."""
    if type(told) is int and 0 < told < 2**48:
        try:
            return datetime.fromtimestamp(told // 1000, UTC).strftime(FORMAT).rjust(20, "0")
        except (ValueError, OverflowError, OSError):
            return ""
    return utc_text(told)
