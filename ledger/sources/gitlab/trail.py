"""What the answers about one merge request tell together: who pushed, approved, and took it back, when.

GitLab tells of an approval who gave it and when, and never at which commit. It tells when each version of
a merge request came to be. So the head of an approval is deduced: that of the newest version by then. Its
list of approvals has only those that stand; what became of others stands in the notes that GitLab itself
writes (`approved this merge request`). A reset on a push leaves no note: what is noted and no longer
listed has lapsed, nobody tells when. Who pushed a version is told by the note about it (`added 2
commits`), which names its last commit. Pure; facts are from GitLab's `doc/api/merge_request_approvals.md`,
`merge_requests.md` and `notes.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from ledger.contents import Content
from ledger.errors import SourceError
from ledger.events import NewEvent, PullRequest
from ledger.sources import Batch, Tools, keyed, payloads
from ledger.sources.gitlab import facts, rules
from ledger.sources.gitlab.facts import KIND
from ledger.sources.payloads import Json, Told, number, part, parts, sha
from ledger.sources.ruled import Rules

_SAID = {
    "approved this merge request": "approved",
    "unapproved this merge request": "dismissed",
    "requested changes": "changes_requested",
}
_ADDED = re.compile(r"added [0-9]+ (?:new )?commits?\b")
_COMMIT = re.compile(r"\b[0-9a-f]{8,40}\b")
_SOON = 60.0  # seconds within which GitLab writes the note about a push


class Answers(NamedTuple):
    """The answers about one merge request, each None where it could not be had."""

    merge_request: Json
    versions: Sequence[Json] | None = None
    notes: Sequence[Json] | None = None
    approvals: Json | None = None
    commits: Sequence[Json] | None = None
    approval_state: Json | None = None


class _Said(NamedTuple):
    """What somebody said, when, and what it was read from; `at` is empty where that is not told."""

    who: Json
    state: str
    at: str
    evidence: Json
    lapsed: bool = False


def events(forge: str, given: Answers, tools: Tools) -> Batch:
    """Every fact that the answers tell; what cannot be told of them is a gap and stops nothing else."""
    return _Facts(forge, given, tools).all()


class _Facts:
    def __init__(self, forge: str, given: Answers, tools: Tools) -> None:
        self._forge = forge
        self._given = given
        self._tools = tools
        self._number = number(given.merge_request.get("iid"))
        found = [one for one in given.versions or () if _moment(one.get("created_at"))]
        self._versions = sorted(found, key=lambda one: (_moment(one["created_at"]), str(one)))
        self._events: list[NewEvent] = []
        self._contents: list[Content] = []

    def all(self) -> Batch:
        request = self._given.merge_request
        at = payloads.time(request.get("merged_at"))
        self._add(request, lambda told: facts.standing(told, request))
        for before, version, note in self._pushes():
            evidence = {"version": version, **({"note": note} if note else {})}
            self._add(evidence, lambda told, b=before, v=version, n=note: self._push(told, b, v, n))
        for said in self._reviews():
            then = self._head_at(said.at)
            evidence = {**said.evidence, **({"version": then} if then else {})}
            self._add(evidence, lambda told, s=said, v=then: self._review(told, s, v))
        head, commits = sha(request.get("sha")), list(self._given.commits or ())
        if head and commits:
            commits.reverse()
            self._add(commits, lambda told: facts.listed(told, self._number, head, commits))
        for one in self._rules() if at else ():
            self._add(one.evidence, lambda told, r=one: facts.kept_rules(told, self._number, r, at))
        pipeline = part(request, "head_pipeline")
        if pipeline:
            self._add(pipeline, lambda told: facts.check(told, pipeline))
        return Batch(events=self._events, contents=self._contents)

    def _add(self, evidence: Any, tell: Any) -> None:
        try:
            told = facts.told(self._forge, evidence, self._tools)
            event = tell(told)
        except SourceError as error:
            what = f"pull request {self._number}"
            self._events.append(payloads.unread(KIND, self._forge, what, error, self._tools))
            return
        if event is not None:
            self._events.append(event)
            self._contents += told.contents

    def _rules(self) -> Iterator[Rules]:
        """The approval rules that it merged under; told once, for who can approve may be told anew."""
        told = self._tools.told(f"{self._forge}/pull/{self._number}/rules/")
        if self._given.approval_state and not told:
            yield from rules.kept(self._given.merge_request, self._given.approval_state)

    # -- pushes ------------------------------------------------------------------------------------

    def _pushes(self) -> Iterator[tuple[str, Json, Json | None]]:
        """(head before, version, the note about it) of each version with another head than the last."""
        left = [one for one in self._notes() if _ADDED.match(_body(one))]
        before = ""
        for version in self._versions:
            head = sha(version.get("head_commit_sha"))
            if before and head and head != before:
                note = _note_of(version, head, left)
                left = [one for one in left if one is not note]
                yield before, version, note
            before = head or before

    def _push(self, told: Told, before: str, version: Json, note: Json | None) -> NewEvent:
        head, at = sha(version.get("head_commit_sha")), payloads.time(version.get("created_at"))
        data = PullRequest(number=self._number, head=head, updated_at=at)
        who = facts.user(part(note or {}, "author"))
        return keyed.pushed(told, data, before, head, at, who)

    # -- reviews -----------------------------------------------------------------------------------

    def _notes(self) -> list[Json]:
        """The notes that GitLab wrote itself, oldest first. What people write proves nothing."""
        found = [one for one in self._given.notes or () if one.get("system") is True]
        return sorted(found, key=lambda one: (str(one.get("created_at")), str(one.get("id"))))

    def _reviews(self) -> Iterator[_Said]:
        last: dict[Any, _Said] = {}
        for note in self._notes():
            state = _SAID.get(_body(note).lower())
            if state is not None:
                at = note.get("created_at")
                said = _Said(part(note, "author"), state, str(at), {"note": note})
                yield said
                if state != "changes_requested":
                    last[_person(said.who)] = said
        if self._given.approvals is None:
            return
        standing = parts(self._given.approvals, "approved_by")
        people = {_person(part(one, "user")) for one in standing}
        for one in standing:
            who = part(one, "user")
            known = last.get(_person(who))
            if known is None or known.state != "approved":
                yield _Said(who, "approved", str(one.get("approved_at") or ""), {"approval": one})
        listed = sorted(str(part(one, "user").get("username")) for one in standing)
        for who, said in last.items():
            if said.state == "approved" and who not in people:
                evidence = {**said.evidence, "approved_by": listed}
                yield _Said(said.who, "dismissed", said.at, evidence, lapsed=True)

    def _review(self, told: Told, said: _Said, version: Json | None) -> NewEvent:
        merged = _moment(self._given.merge_request.get("merged_at"))
        at = _moment(said.at)
        after = merged is not None and at is not None and at > merged and not said.lapsed
        head = sha((version or {}).get("head_commit_sha"))
        text = payloads.time(said.at)
        event = facts.review(told, self._number, said.who, said.state, head, text, after=after)
        # Of what lapsed the time is that of the approval: when it lapsed is not told.
        return msgspec.structs.replace(event, occurred_at="") if said.lapsed else event

    def _head_at(self, at: str) -> Json | None:
        """The newest version as of a time; the only one, where there never was another."""
        moment = _moment(at)
        if moment is None:
            return self._versions[0] if len(self._versions) == 1 else None
        found = [one for one in self._versions if (_moment(one["created_at"]) or moment) <= moment]
        return found[-1] if found else None


def _note_of(version: Json, head: str, notes: Sequence[Json]) -> Json | None:
    """The note about a push: it names the head, else it is the only one that was written soon after."""
    for one in notes:
        if any(head.startswith(name) for name in _COMMIT.findall(_body(one))):
            return one
    came = _moment(version.get("created_at"))
    soon = [
        one
        for one in notes
        if came
        and (written := _moment(one.get("created_at")))
        and 0 <= (written - came).total_seconds() <= _SOON
    ]
    return soon[0] if len(soon) == 1 else None


def _body(note: Json) -> str:
    body = note.get("body")
    return body.strip() if isinstance(body, str) else ""


def _person(user: Json) -> Any:
    """What tells people of one GitLab apart: the id, which a new name does not change."""
    found = user.get("id")
    return found if type(found) is int else str(user.get("username"))


def _moment(told: Any) -> datetime | None:
    """A time to its microsecond; None where it is none."""
    if not isinstance(told, str) or "T" not in told:
        return None
    try:
        found = datetime.fromisoformat(told)
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
