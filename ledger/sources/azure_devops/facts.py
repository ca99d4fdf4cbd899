"""What one payload of Azure DevOps (also Server, once TFS) tells.

A vote is told without commit, and in a pull request also without time: the log of its threads tells
when, and its iterations tell the head then, so that commit is marked as deduced. 10 and 5 approve, -5
and -10 ask for changes, 0 takes back. A pull request tells no time at which it changed last: that is the
time of the webhook, or of the last thing that its threads and iterations tell. `git.pullrequest.merged`
is said of test merges, too: only a completed one is merged. Groups vote by their members, who are told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import msgspec

from ledger.errors import SourceError
from ledger.events import (
    Identity,
    NewEvent,
    ProposedCommit,
    PullRequest,
    RefPushed,
)
from ledger.instants import utc_text
from ledger.jsontext import clean
from ledger.sources import Batch, keyed, payloads
from ledger.sources.keyed import Merge
from ledger.sources.payloads import Json, Told, number, part, parts, sha, side
from ledger.sources.votes import APPROVED, CHANGES_REQUESTED, DISMISSED, Head, Vote, head_at, voted

KIND: Final = "azure_devops"
MAX_CHANGES: Final = 1_000  # refs that one push moves
ACTIVE, COMPLETED, ABANDONED = "active", "completed", "abandoned"
_HEADS = "refs/heads/"
_LIVE = "Windows Live ID\\"  # whose accounts are named so in some payloads and without it in others
_WORDS = {
    10: APPROVED,
    5: APPROVED,
    0: DISMISSED,
    -5: CHANGES_REQUESTED,
    -10: CHANGES_REQUESTED,
}
_METHODS = {
    "noFastForward": "merge",
    "squash": "squash",
    "rebase": "rebase",
    "rebaseMerge": "rebase_merge",
}
_VOTE = re.compile(r"-?[0-9]{1,2}")


def forge(repository: Json) -> str:
    """`dev.azure.com/acme/platform/_git/infra`, as Git clones it. Raises SourceError."""
    remote = repository.get("remoteUrl") or repository.get("webUrl")
    if isinstance(remote, str) and "/_git/" in remote:
        address = urlsplit(remote)
        if address.hostname:
            return f"{address.hostname}{address.path.rstrip('/')}".lower()
    name, project = repository.get("name"), part(repository, "project")
    address = urlsplit(str(repository.get("url", "")))
    if not address.hostname or "/_apis/" not in address.path or not isinstance(name, str):
        raise SourceError("it does not tell of which repository it is")
    above = address.path.partition("/_apis/")[0].split("/")
    if unquote(above[-1]) in (project.get("id"), project.get("name")):
        above.pop()
    within = [] if project.get("name") in (name, None) else [quote(str(project["name"]))]
    return "/".join([address.hostname, *above[1:], *within, "_git", quote(name)]).lower()


# -- pull requests -------------------------------------------------------------------------------


def standing(told: Told, pull: Json, as_of: str = "") -> NewEvent:
    """A pull request as the API gives it, or a webhook; `as_of` is the time of what it shows."""
    data, status = _pull_request(told, pull, as_of), pull.get("status")
    closed_at = utc_text(pull.get("closedDate"))
    who = part(pull, "closedBy")
    if status == COMPLETED:
        commit = sha(part(pull, "lastMergeCommit").get("commitId"))
        merge = Merge(commit, closed_at, user(who), is_bot(who), _method(pull))
        return keyed.merged(told, data, merge)
    if status == ABANDONED:
        return keyed.closed(told, data, closed_at or data.updated_at, user(who))
    if status != ACTIVE:
        raise SourceError(f"a pull request in the unknown status {clean(str(status))[:40]!r}")
    return keyed.opened(told, data, data.created_at, data.author)


def _method(pull: Json) -> str:
    chosen = part(pull, "completionOptions")
    strategy = chosen.get("mergeStrategy")
    if isinstance(strategy, str) and strategy in _METHODS:
        return _METHODS[strategy]
    return "squash" if chosen.get("squashMerge") is True else ""


def _pull_request(told: Told, pull: Json, as_of: str) -> PullRequest:
    author = part(pull, "createdBy")
    labels = [one.get("name") for one in parts(pull, "labels") if one.get("active") is not False]
    created, closed = utc_text(pull.get("creationDate")), utc_text(pull.get("closedDate"))
    return PullRequest(
        number=number(pull.get("pullRequestId")),
        title=told.text(pull.get("title")),
        author=user(author),
        author_is_bot=is_bot(author),
        url=_page(told, pull),
        base=_branch(told, pull.get("targetRefName")),
        base_commit=sha(part(pull, "lastMergeTargetCommit").get("commitId")),
        head_ref=_branch(told, pull.get("sourceRefName")),
        head=sha(part(pull, "lastMergeSourceCommit").get("commitId")),
        labels=sorted({told.text(name) for name in labels} - {""}),
        draft=pull.get("isDraft") is True,
        created_at=created,
        updated_at=max(as_of, created, closed),
    )


def _page(told: Told, pull: Json) -> str:
    """The page for people; `url` is that of the API."""
    return f"https://{told.forge}/pullrequest/{number(pull.get('pullRequestId'))}"


def _branch(told: Told, ref: Any) -> str:
    return told.text(ref).removeprefix(_HEADS)


def listed(told: Told, of: int, head: str, commits: Sequence[Json]) -> NewEvent:
    """The commits of a pull request, newest first, with the people that the commits themselves name."""
    found = [
        ProposedCommit(
            commit=sha(one.get("commitId")),
            author=_claimed(part(one, "author")),
            committer=_claimed(part(one, "committer")),
        )
        for one in reversed(commits)
    ]
    return keyed.listed(told, of, head, found)


def whole(
    of: Callable[[Any], Told],
    pull: Json,
    threads: Sequence[Json],
    iterations: Sequence[Json],
    commits: Sequence[Json],
) -> Batch:
    """A pull request with all that belongs to it. `of` makes each value ready to be kept by itself."""
    told, known, named = of(pull), heads(iterations), people(pull, threads)
    number_of = number(pull.get("pullRequestId"))
    events = [standing(told, pull, last_told(threads, iterations))]
    contents = list(told.contents)

    def add(value: Any, tell: Callable[[Told], NewEvent | None]) -> None:
        told = of(value)
        found = tell(told)
        if found is not None:
            events.append(found)
            contents.extend(told.contents)

    for one in threads:
        add(one, lambda told, one=one: vote(told, number_of, one, known, named))  # type: ignore[misc]
    for one in iterations:
        add(one, lambda told, one=one: push(told, number_of, one, known))  # type: ignore[misc]
    head = sha(part(pull, "lastMergeSourceCommit").get("commitId"))
    if commits and head:
        add(list(commits), lambda told: listed(told, number_of, head, commits))
    if pull.get("status") == COMPLETED and not threads:
        events += standing_votes(told, pull)
    return Batch(events=events, contents=contents)


# -- iterations: the heads of a pull request -------------------------------------------------------


def heads(iterations: Sequence[Json]) -> list[Head]:
    """The heads of a pull request by the times of its iterations."""
    found: list[Head] = []
    for one in sorted(iterations, key=_order):
        commit = sha(part(one, "sourceRefCommit").get("commitId"))
        if commit and (not found or found[-1].commit != commit):
            found.append(Head(utc_text(one.get("createdDate")), commit))
    return found


def push(told: Told, of: int, one: Json, known: Sequence[Head]) -> NewEvent | None:
    """The push that an iteration is of; None for the first, and where the head is the one before."""
    at, commit = (
        utc_text(one.get("createdDate")),
        sha(part(one, "sourceRefCommit").get("commitId")),
    )
    found = [index for index, head in enumerate(known) if head == Head(at, commit)]
    if not found or found[0] == 0:
        return None
    data = PullRequest(number=of, head=commit, updated_at=at)
    before = known[found[0] - 1].commit
    return keyed.pushed(told, data, before, commit, at, user(part(one, "author")))


def _order(iteration: Json) -> int:
    found = iteration.get("id")
    return found if type(found) is int else 0


# -- votes ---------------------------------------------------------------------------------------


def standing_votes(told: Told, pull: Json) -> Iterator[NewEvent]:
    """The votes that stand in a completed pull request; when and at which commits is not told."""
    for one in parts(pull, "reviewers"):
        vote = one.get("vote")
        if type(vote) is int and vote and one.get("isContainer") is not True:
            of = number(pull.get("pullRequestId"))
            yield voted(told, Vote(of, user(one), _word(vote), "", bot=is_bot(one)))


def vote(
    told: Told, of: int, thread: Json, known: Sequence[Head], people: Mapping[str, Json]
) -> NewEvent | None:
    """The vote that a thread of the system is of; None for other threads. `people` are known by their ids."""
    if _property(thread, "CodeReviewThreadType") != "VoteUpdate":
        return None
    said, at = (
        _property(thread, "CodeReviewVoteResult"),
        utc_text(thread.get("publishedDate")),
    )
    if not _VOTE.fullmatch(said):
        raise SourceError(f"a vote of an unknown value: {clean(said)[:40]!r}")
    who = _voter(thread, people)
    return voted(
        told, Vote(of, user(who), _word(int(said)), at, head_at(known, at), True, is_bot(who))
    )


def people(pull: Json, threads: Sequence[Json]) -> dict[str, Json]:
    """Whoever a pull request and its threads name, by id: old threads name voters by their id alone."""
    found = [part(pull, "createdBy"), part(pull, "closedBy"), *parts(pull, "reviewers")]
    for thread in threads:
        found += [part(one, "author") for one in parts(thread, "comments")]
        found += [one for one in part(thread, "identities").values() if isinstance(one, dict)]
    return {_id(one.get("id")): one for one in found if one.get("uniqueName")}


def last_told(threads: Sequence[Json], iterations: Sequence[Json]) -> str:
    """The time of the last thing that threads and iterations tell."""
    times = [utc_text(one.get("publishedDate")) for one in threads]
    times += [utc_text(one.get("createdDate")) for one in iterations]
    return max(times, default="")


def _voter(thread: Json, people: Mapping[str, Json]) -> Json:
    named = part(part(thread, "identities"), _property(thread, "CodeReviewVotedByIdentity"))
    if named:
        return named
    voter = _property(thread, "CodeReviewVotedByTfId")
    return people.get(_id(voter), {"uniqueName": voter})


def _property(thread: Json, name: str) -> str:
    found = part(part(thread, "properties"), name).get("$value")
    return str(found) if isinstance(found, str | int) else ""


def _id(told: Any) -> str:
    """An id of an identity, which is spelled with and without dashes."""
    return told.replace("-", "").lower() if isinstance(told, str) else ""


def _word(vote: int) -> str:
    if vote not in _WORDS:
        raise SourceError(f"a vote of an unknown value: {vote}")
    return _WORDS[vote]


# -- pushes --------------------------------------------------------------------------------------


def pushes(told: Told, push: Json) -> Iterator[NewEvent]:
    """The branches that a push moved."""
    who, at = part(push, "pushedBy"), utc_text(push.get("date"))
    moves = parts(push, "refUpdates")[:MAX_CHANGES]
    commits = [sha(one.get("commitId")) for one in reversed(parts(push, "commits"))]
    for one in moves:
        ref = told.text(one.get("name"))
        if not ref.startswith(_HEADS):
            continue
        before, after = side(one.get("oldObjectId")), side(one.get("newObjectId"))
        fact = RefPushed(
            repository=told.repository,
            forge=told.forge,
            ref=ref,
            before=before,
            after=after,
            pusher_is_bot=is_bot(who),
            at=at,
            commits=[one for one in commits if one] if len(moves) == 1 else [],
            push=str(push.get("pushId") or ""),
            raw=told.raw,
        )
        yield keyed.ref_pushed(told, fact, user(who))


# -- the parts of a payload ----------------------------------------------------------------------


def user(told: Json) -> Identity | None:
    """An account by its unique name, mostly an address; nobody where there is none."""
    login = told.get("uniqueName")
    who = payloads.identity(login.removeprefix(_LIVE) if isinstance(login, str) else None)
    shown = told.get("displayName")
    if who is None or not isinstance(shown, str):
        return who
    return msgspec.structs.replace(who, name=clean(shown)[: payloads.MAX_NAME])


def is_bot(told: Json) -> bool:
    """Whether an account is that of a service or of a build."""
    descriptor, login = str(told.get("descriptor", "")), str(told.get("uniqueName", ""))
    return descriptor.startswith(("svc.", "aadsp.")) or login.startswith("Build\\")


def _claimed(person: Json) -> Identity | None:
    """Somebody as a commit names them."""
    told = {
        name: clean(value)[: payloads.MAX_NAME]
        for name in ("name", "email")
        if isinstance(value := person.get(name), str)
    }
    return Identity(**told) if told else None
