"""What one payload of Bitbucket Cloud tells.

It abbreviates heads and merge commits to 12 digits; they stay so, unless `whole` holds the whole name. It
tells no commit with an approval: that is the head as of the delivery, or by the times of its log of
activities, and is marked as deduced. When a pull request was merged only the webhook and that log tell:
its `updated_on` may be that of a later comment. Nicknames are not unique, so an account's id is its login.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from ledger.errors import SourceError
from ledger.events import (
    CheckCompleted,
    Identity,
    NewEvent,
    ProposedCommit,
    PullRequest,
    RefPushed,
)
from ledger.instants import utc_text
from ledger.jsontext import clean
from ledger.sources import keyed, payloads
from ledger.sources.keyed import Merge
from ledger.sources.payloads import Json, Told, number, part, parts, sha
from ledger.sources.votes import APPROVED, CHANGES_REQUESTED, DISMISSED, Head, Vote, head_at, voted

KIND: Final = "bitbucket"
HOST: Final = "bitbucket.org"
MAX_CHANGES: Final = 1_000  # refs that one push moves
OPEN, MERGED = "OPEN", "MERGED"
CLOSED: Final = ("DECLINED", "SUPERSEDED")
Whole = Mapping[str, str]

_NAME = re.compile(r"[\w.{}-]{1,100}/[\w.{}-]{1,100}", re.ASCII)
_OBJECT = re.compile(r"[0-9a-f]{12,64}")
_IN_ADDRESS = re.compile(r"/commit/([0-9a-f]{40})(?=/|$)")
_AUTHOR = re.compile(r"([^<>]*)<([^<>\s]+)>")
_VOTES = {
    "approval": APPROVED,
    "changes_request": CHANGES_REQUESTED,
    "changes_requested": CHANGES_REQUESTED,
}
_STANDING = {"approved": APPROVED, "changes_requested": CHANGES_REQUESTED}
_ENDED = {"SUCCESSFUL": "success", "FAILED": "failure", "STOPPED": "cancelled"}


def forge(repository: Json) -> str:
    """`bitbucket.org/acme/infra`. Raises SourceError where the repository is not named."""
    name = repository.get("full_name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SourceError("it does not tell of which repository it is")
    return f"{HOST}/{name}".lower()


def forge_of(pull: Json) -> str:
    """The repository that a pull request is for, whatever it comes from."""
    return forge(part(part(pull, "destination"), "repository"))


# -- pull requests -------------------------------------------------------------------------------


def standing(told: Told, pull: Json, whole: Whole, end: Json | None = None) -> NewEvent:
    """A pull request as the API gives it; `end` is the activity that merged or closed it, if known."""
    data, state = _pull_request(told, pull, whole), pull.get("state")
    at = utc_text((end or {}).get("date"))
    if state == MERGED:
        return _merged(told, pull, data, at, whole)
    if state in CLOSED:
        who = user(part(pull, "closed_by")) or user(part(end or {}, "author"))
        return keyed.closed(told, data, at, who)
    if state != OPEN:
        raise SourceError(f"a pull request in the unknown state {clean(str(state))[:40]!r}")
    return keyed.opened(told, data, data.created_at, data.author)


def as_of(told: Told, body: Json) -> NewEvent:
    """A pull request as a webhook tells it, at the moment of what it tells."""
    pull = part(body, "pullrequest")
    end = {"date": pull.get("updated_on"), "author": body.get("actor")}
    return standing(told, pull, {}, end)


def _merged(told: Told, pull: Json, data: PullRequest, at: str, whole: Whole) -> NewEvent:
    who = part(pull, "closed_by")
    commit = _object(part(pull, "merge_commit"), whole)
    merge = Merge(commit, at, user(who), is_bot(who))
    return keyed.merged(told, data, merge, dated=False)


def listed(told: Told, of: int, head: str, commits: Sequence[Json]) -> NewEvent:
    """The commits of a pull request, which the API lists newest first."""
    found = [
        ProposedCommit(commit=sha(one.get("hash")), author=_author(part(one, "author")))
        for one in reversed(commits)
    ]
    return keyed.listed(told, of, head, found)


def _pull_request(told: Told, pull: Json, whole: Whole) -> PullRequest:
    source, base = part(pull, "source"), part(pull, "destination")
    author = part(pull, "author")
    return PullRequest(
        number=number(pull.get("id")),
        title=told.text(pull.get("title")),
        author=user(author),
        author_is_bot=is_bot(author),
        url=told.text(part(part(pull, "links"), "html").get("href")),
        base=told.text(part(base, "branch").get("name")),
        base_commit=_object(part(base, "commit"), whole),
        head_ref=told.text(part(source, "branch").get("name")),
        head=_object(part(source, "commit"), whole),
        draft=pull.get("draft") is True,
        created_at=utc_text(pull.get("created_on")),
        updated_at=utc_text(pull.get("updated_on")),
    )


# -- votes ---------------------------------------------------------------------------------------


def vote(told: Told, body: Json, taken_back: bool | None) -> NewEvent:
    """What somebody said, as a webhook tells it. Without the webhook's name the participants say which.

    Raises SourceError where neither does.
    """
    pull = part(body, "pullrequest")
    word, said = next((word, part(body, name)) for name, word in _VOTES.items() if name in body)
    who = part(said, "user")
    if taken_back is None:
        taken_back = _is_taken_back(pull, who, word)
    return voted(
        told,
        Vote(
            number=number(pull.get("id")),
            who=user(who),
            state=DISMISSED if taken_back else word,
            at=utc_text(said.get("date")),
            commit=_object(part(part(pull, "source"), "commit"), {}),
            deduced=True,
            bot=is_bot(who),
            url=told.text(part(part(pull, "links"), "html").get("href")),
        ),
    )


def is_vote(body: Json) -> bool:
    """Whether the body of a webhook tells what somebody said."""
    return any(isinstance(body.get(name), dict) for name in _VOTES)


def _is_taken_back(pull: Json, who: Json, word: str) -> bool:
    for one in parts(pull, "participants"):
        if "approved" in one and user(part(one, "user")) == user(who) is not None:
            return _standing_word(one) != word
    raise SourceError(
        "the body does not say whether it was given or taken back: hand it over with the header X-Event-Key"
    )


def _standing_word(participant: Json) -> str:
    state = participant.get("state")
    word = _STANDING.get(state, "") if isinstance(state, str) else ""
    return word or (APPROVED if participant.get("approved") is True else "")


def standing_votes(told: Told, pull: Json) -> Iterator[NewEvent]:
    """The votes that stand in a merged pull request; at which commits they were given is not told."""
    for one in parts(pull, "participants"):
        if word := _standing_word(one):
            who, at = part(one, "user"), utc_text(one.get("participated_on"))
            of = number(pull.get("id"))
            yield voted(told, Vote(of, user(who), word, at, bot=is_bot(who)))


# -- the log of activities -----------------------------------------------------------------------


def heads(activities: Sequence[Json], whole: Whole) -> list[Head]:
    """The heads of a pull request by the times of its updates."""
    found: list[Head] = []
    for one in sorted(_updates(activities), key=lambda one: str(one.get("date"))):
        commit = _object(part(part(one, "source"), "commit"), whole)
        if commit and (not found or found[-1].commit != commit):
            found.append(Head(utc_text(one.get("date")), commit))
    return found


def end(activities: Sequence[Json]) -> Json | None:
    """The update that merged or closed a pull request."""
    ends = [one for one in _updates(activities) if one.get("state") in (MERGED, *CLOSED)]
    return min(ends, key=lambda one: str(one.get("date")), default=None)


def activity(
    told: Told, pull: Json, one: Json, known: Sequence[Head], whole: Whole
) -> NewEvent | None:
    """What one activity tells: a vote, or a push where it brought a head; else nothing."""
    for name, word in _VOTES.items():
        if isinstance(one.get(name), dict):
            return _voted(told, pull, part(one, name), word, known)
    return _pushed(told, pull, part(one, "update"), known, whole)


def _voted(told: Told, pull: Json, said: Json, word: str, known: Sequence[Head]) -> NewEvent:
    who, at = part(said, "user"), utc_text(said.get("date"))
    commit = head_at(known, at)
    of = number(pull.get("id"))
    return voted(told, Vote(of, user(who), word, at, commit, True, is_bot(who)))


def _pushed(
    told: Told, pull: Json, update: Json, known: Sequence[Head], whole: Whole
) -> NewEvent | None:
    at = utc_text(update.get("date"))
    commit = _object(part(part(update, "source"), "commit"), whole)
    found = [index for index, one in enumerate(known) if one == Head(at, commit)]
    if not found or found[0] == 0:
        return None
    data = msgspec.structs.replace(
        _pull_request(told, {**pull, "draft": update.get("draft")}, whole),
        title=told.text(update.get("title")),
        base=told.text(part(part(update, "destination"), "branch").get("name")),
        base_commit=_object(part(part(update, "destination"), "commit"), whole),
        head=commit,
        updated_at=at,
    )
    before = known[found[0] - 1].commit
    return keyed.pushed(told, data, before, commit, at, user(part(update, "author")))


def _updates(activities: Sequence[Json]) -> list[Json]:
    return [part(one, "update") for one in activities if isinstance(one.get("update"), dict)]


# -- pushes and checks ---------------------------------------------------------------------------


def pushes(told: Told, body: Json) -> Iterator[NewEvent]:
    """The branches that a push moved. Bitbucket does not tell when."""
    who = part(body, "actor")
    for change in parts(part(body, "push"), "changes")[:MAX_CHANGES]:
        old, new = part(change, "old"), part(change, "new")
        name = new.get("name") or old.get("name")
        if (new or old).get("type") != "branch" or not isinstance(name, str):
            continue
        before, after = sha(part(old, "target").get("hash")), sha(part(new, "target").get("hash"))
        commits = [sha(one.get("hash")) for one in reversed(parts(change, "commits"))]
        whole = change.get("truncated") is False
        ref = told.text(f"refs/heads/{name}")
        fact = RefPushed(
            repository=told.repository,
            forge=told.forge,
            ref=ref,
            before=before,
            after=after,
            forced=change.get("forced") is True,
            pusher_is_bot=is_bot(who),
            commits=[one for one in commits if one],
            commit_count=len(commits) if whole else 0,
            raw=told.raw,
        )
        yield keyed.ref_pushed(told, fact, user(who))


def check(told: Told, status: Json) -> NewEvent | None:
    """A status of a commit, once it has ended; None before."""
    state = status.get("state")
    conclusion = _ENDED.get(state) if isinstance(state, str) else None
    if conclusion is None:
        return None
    commit = sha(part(status, "commit").get("hash")) or _addressed(status)
    if not commit:
        raise SourceError("it does not tell of which commit the status is")
    at, name = utc_text(status.get("updated_on")), told.text(status.get("key"))
    named = hashlib.sha256(name.encode()).hexdigest()[:16]
    fact = CheckCompleted(
        repository=told.repository,
        forge=told.forge,
        commit=commit,
        name=told.text(status.get("name")) or name,
        conclusion=conclusion,
        check=name,
        started_at=utc_text(status.get("created_on")),
        completed_at=at,
        url=told.text(status.get("url")),
        raw=told.raw,
    )
    return told.event(f"status/{commit}/{named}/{at}/completed", at, None, fact)


def _addressed(status: Json) -> str:
    """The commit in the address of a status."""
    address = part(part(status, "links"), "commit").get("href")
    found = _IN_ADDRESS.search(address) if isinstance(address, str) else None
    return found[1] if found else ""


# -- the parts of a payload ----------------------------------------------------------------------


def user(told: Json) -> Identity | None:
    """An account by its id; nobody where there is none."""
    who = payloads.identity(told.get("account_id") or told.get("uuid"))
    name = told.get("display_name") or told.get("nickname") or told.get("username")
    if who is None or not isinstance(name, str):
        return who
    return msgspec.structs.replace(who, name=clean(name)[: payloads.MAX_NAME])


def is_bot(told: Json) -> bool:
    """Whether an account is that of a program."""
    return told.get("type") == "app_user"


def _author(author: Json) -> Identity | None:
    """Who wrote a commit: an account where Bitbucket knows it, else what the commit itself says."""
    raw = _AUTHOR.fullmatch(str(author.get("raw", "")).strip()[: 2 * payloads.MAX_NAME])
    claimed = Identity(name=clean(raw[1].strip()), email=clean(raw[2])) if raw else None
    return user(part(author, "user")) or claimed


def head_of(pull: Json, whole: Whole) -> str:
    """The head of a pull request."""
    return _object(part(part(pull, "source"), "commit"), whole)


def short(commit: Json) -> str:
    """The name of a commit where it is abbreviated, else empty."""
    told = _object(commit, {})
    return "" if sha(told) else told


def _object(commit: Json, whole: Whole) -> str:
    told = commit.get("hash")
    if not isinstance(told, str) or not _OBJECT.fullmatch(told):
        return ""
    return whole.get(told, told)
