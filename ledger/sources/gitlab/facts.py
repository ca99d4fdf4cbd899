"""What one payload of GitLab tells: of a merge request, a review, a push or a pipeline.

A merge request is told in the words of pull requests; its `iid` is its number. Whatever is missing or
malformed and can be done without stays empty; without the rest SourceError is raised. Facts about the
payloads are from GitLab's `doc/api/merge_requests.md`, `doc/api/events.md` and `doc/api/pipelines.md`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ledger.errors import SourceError
from ledger.events import (
    CheckCompleted,
    Identity,
    NewEvent,
    ProposedCommit,
    PullRequest,
    RefPushed,
    ReviewSubmitted,
)
from ledger.jsontext import Value, clean, compact
from ledger.sources import Tools, keyed, payloads
from ledger.sources.keyed import Merge
from ledger.sources.payloads import Json, Told, count, identity, number, part, sha
from ledger.sources.ruled import Rules, observed

KIND: Final = "gitlab"
PIPELINE: Final = "pipeline"
BRANCHES: Final = "refs/heads/"
_PROJECT = re.compile(
    r"https?://(?:[^/@\s]*@)?([A-Za-z0-9.-]{1,253})(?::[0-9]+)?/((?:[\w.+-]{1,255}/){1,20}[\w.+-]{1,255}?)"
    r"(?:\.git)?/?$",
    re.ASCII,
)
_MERGE_REQUEST = re.compile(r"(?:/-)?/merge_requests/[0-9]+$")
_BOT = re.compile(r"(?:project|group)_[0-9]+_bot|ghost$|support-bot$|alert-bot$")
_EMAIL = re.compile(r"[^\s@\[\]]{1,64}@[^\s@\[\]]{1,190}")
_CONCLUSIONS = {
    "success": "success",
    "failed": "failure",
    "canceled": "cancelled",
    "skipped": "skipped",
}


def told(forge: str, value: Any, tools: Tools) -> Told:
    """Makes a value of the API ready to be kept, for the facts of one project."""
    try:
        read = Value("", compact(value), value)
    except ValueError as error:
        raise SourceError(str(error)) from None
    return payloads.told(KIND, forge, read, tools)


# -- merge requests --------------------------------------------------------------------------------


def standing(told: Told, value: Json) -> NewEvent:
    """A merge request as the API gives it: merged, closed, or opened and not yet either."""
    data = merge_request(told, value)
    if value.get("state") == "merged":
        who = part(value, "merge_user") or part(value, "merged_by")
        commit, method = _landed(value)
        at = payloads.time(value.get("merged_at"))
        merge = Merge(commit or data.head, at, user(who), is_bot(who), method)
        return keyed.merged(told, data, merge)
    if value.get("state") == "closed":
        at = payloads.time(value.get("closed_at")) or data.updated_at
        return keyed.closed(told, data, at, user(part(value, "closed_by")))
    return keyed.opened(told, data, data.created_at, data.author)


def _landed(value: Json) -> tuple[str, str]:
    """(what landed, how), both empty where the head itself did: then GitLab does not tell how."""
    if merge := sha(value.get("merge_commit_sha")):
        return merge, "merge"
    squash = sha(value.get("squash_commit_sha"))
    return squash, "squash" if squash else ""


def merge_request(told: Told, value: Json) -> PullRequest:
    """The merge request of an answer of the API."""
    labels = value.get("labels")
    names = labels if isinstance(labels, list) else []
    author = part(value, "author")
    return PullRequest(
        number=number(value.get("iid")),
        title=told.text(value.get("title")),
        author=user(author),
        author_is_bot=is_bot(author),
        url=told.text(value.get("web_url")),
        base=told.text(value.get("target_branch")),
        base_commit=sha(part(value, "diff_refs").get("base_sha")),
        head_ref=told.text(value.get("source_branch")),
        head=sha(value.get("sha")),
        labels=sorted({told.text(name) for name in names} - {""}),
        draft=(value.get("draft") or value.get("work_in_progress")) is True,
        created_at=payloads.time(value.get("created_at")),
        updated_at=payloads.time(value.get("updated_at")),
    )


def listed(told: Told, of: int, head: str, commits: list[Json]) -> NewEvent:
    """The commits of a merge request, oldest first. GitLab tells names and e-mails of them, no logins."""
    found = [
        ProposedCommit(
            commit=sha(one.get("id")),
            author=_named(told, one, "author"),
            committer=_named(told, one, "committer"),
        )
        for one in commits
    ]
    return keyed.listed(told, of, head, found)


def _named(told: Told, commit: Json, role: str) -> Identity | None:
    who = Identity(
        name=told.text(commit.get(f"{role}_name"))[: payloads.MAX_NAME],
        email=told.text(commit.get(f"{role}_email"))[: payloads.MAX_NAME],
        login=told.text(commit.get(f"{role}_login"))[: payloads.MAX_NAME],
    )
    return None if who == Identity() else who


# -- reviews ---------------------------------------------------------------------------------------


def review(
    told: Told, of: int, who: Json, state: str, head: str, at: str, *, after: bool = False
) -> NewEvent:
    """What somebody said of a merge request at a head that is deduced, for GitLab never tells it.

    The key is made of what a webhook and the API both tell, so that they tell one review: the latest
    time in which the same person said the same at the same head counts. `after` is behind the merge,
    which keeps what was said before apart.
    """
    reviewer = user(who)
    name = reviewer.login if reviewer else ""
    identifier = f"{of}/{name}/{state}/{head}{'/after merge' if after else ''}"
    data = ReviewSubmitted(
        repository=told.repository,
        forge=told.forge,
        number=of,
        review=identifier,
        reviewer=reviewer,
        reviewer_is_bot=is_bot(who),
        state=state,
        commit=head,
        commit_deduced=bool(head),
        submitted_at=at,
        raw=told.raw,
    )
    return told.event(f"review/{identifier}", at, reviewer, data)


def kept_rules(told: Told, of: int, one: Rules, merged_at: str) -> NewEvent:
    """A set of rules that a merge request merged under."""
    data = observed(told, one, merged_at, of)
    return told.event(f"pull/{of}/rules/{one.ruleset}", merged_at, None, data)


# -- pushes and pipelines --------------------------------------------------------------------------


def push_listed(told: Told, value: Json) -> NewEvent | None:
    """A push of the events of a project; None for one of tags, or of many branches at once."""
    push = part(value, "push_data")
    ref = push.get("ref")
    if push.get("ref_type") != "branch" or not isinstance(ref, str) or not ref:
        return None
    who = part(value, "author") or {"username": value.get("author_username")}
    data = RefPushed(
        repository=told.repository,
        forge=told.forge,
        ref=BRANCHES + clean(ref),
        before=sha(push.get("commit_from")),
        after=sha(push.get("commit_to")),
        pusher_is_bot=is_bot(who),
        at=payloads.time(value.get("created_at")),
        commit_count=count(push.get("commit_count")),
        push=str(number(value.get("id"))),
        raw=told.raw,
    )
    return keyed.ref_pushed(told, data, user(who))


def check(told: Told, pipeline: Json) -> NewEvent | None:
    """A pipeline that ended; None while it runs or waits."""
    conclusion = _CONCLUSIONS.get(str(pipeline.get("status")))
    commit = sha(pipeline.get("sha"))
    if conclusion is None or not commit:
        return None
    identifier = str(number(pipeline.get("id")))
    at = payloads.time(pipeline.get("finished_at")) or payloads.time(pipeline.get("updated_at"))
    data = CheckCompleted(
        repository=told.repository,
        forge=told.forge,
        commit=commit,
        name=PIPELINE,
        conclusion=conclusion,
        check=identifier,
        started_at=payloads.time(pipeline.get("started_at") or pipeline.get("created_at")),
        completed_at=at,
        url=told.text(pipeline.get("web_url") or pipeline.get("url")),
        raw=told.raw,
    )
    return told.event(f"check/{identifier}/completed", at, None, data)


# -- the parts of a payload ------------------------------------------------------------------------


def forge(address: Any) -> str:
    """`gitlab.com/group/project` of the address of a project's page."""
    match = _PROJECT.match(address) if isinstance(address, str) else None
    if match is None:
        raise SourceError("it does not tell of which project it is")
    return f"{match[1]}/{match[2]}".lower()


def project_of(page: Any) -> str:
    """The address of a project, of that of one of its merge requests."""
    return _MERGE_REQUEST.sub("", page) if isinstance(page, str) else ""


def user(user: Json) -> Identity | None:
    """Somebody by login, with an e-mail where GitLab tells the user's own."""
    who = identity(user.get("username"))
    email = user.get("email")
    if who is None or not isinstance(email, str) or not _EMAIL.fullmatch(email):
        return who
    return Identity(login=who.login, email=clean(email))


def is_bot(user: Json) -> bool:
    """Whether GitLab says so, or the name is one of those that it gives to its own."""
    return user.get("bot") is True or bool(_BOT.match(str(user.get("username"))))
