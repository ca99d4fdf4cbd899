"""JSON that forges send and answer: read from files and deliveries, and made ready to be told.

What every forge's source has in common: how a file of payloads is read value by value, how the text that a
fact was read from is kept, the events that a pull request gives under their natural keys, and the small
parts of a payload, where malformed is empty.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from ledger import jsontext
from ledger.contents import Content
from ledger.errors import SourceError, UsageError
from ledger.events import (
    CollectorGap,
    Event,
    Identity,
    NewEvent,
    PullRequest,
    PullRequestClosed,
    PullRequestMerged,
    PullRequestOpened,
    PullRequestPushed,
)
from ledger.instants import utc_text
from ledger.jsontext import Fault, Value, clean
from ledger.sources import Batch, Configured, Import, Tools

MAX_FILE: Final = 128 * 2**20
EVENTS_AT_ONCE: Final = 200
MAX_NAME: Final = 255

Json = dict[str, Any]

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_ID = re.compile(r"[\x21-\x7e]{1,200}")
_ZONED = re.compile(r"^(\S{10}) (\S{8,15}) (?:UTC|\+0000)$")


@dataclass(frozen=True, slots=True)
class Told:
    """Where a fact is from: its forge and repository, and the text that it was read from."""

    kind: str
    tools: Tools
    forge: str
    repository: str
    raw: str
    contents: list[Content]

    def event(self, key: str, at: str, actor: Identity | None, data: Event) -> NewEvent:
        """An event of this repository under a key that every telling of the fact has."""
        return NewEvent(
            stream=f"repository/{self.repository}",
            key=f"{self.forge}/{key}",
            source=self.kind,
            occurred_at=at,
            actor=actor,
            data=data,
        )

    def text(self, value: Any) -> str:
        """A text of a person, without secrets."""
        return self.tools.redact(clean(value)) if isinstance(value, str) else ""


def told(kind: str, forge: str, read: Value, tools: Tools) -> Told:
    """Makes the text of a value ready to be kept, for the facts of one repository.

    `forge` is its full name with its host. Raises SourceError where the text cannot be kept.
    """
    try:
        text = jsontext.without_secrets(read, tools.redact)
    except ValueError as error:
        raise SourceError(str(error)) from None
    stored = tools.store("delivery.json", text)
    repository = tools.repository(forge) or forge
    return Told(kind, tools, forge, repository, stored.digest, stored.contents)


# -- pull requests -------------------------------------------------------------------------------


def opened(
    told: Told, data: PullRequest, at: str, actor: Identity | None, *, again: bool = False
) -> NewEvent:
    """A pull request was opened, or `again`; also how an open one stands now."""
    key = f"pull/{data.number}/reopened/{at}" if again else f"pull/{data.number}/opened"
    fact = PullRequestOpened(
        repository=told.repository,
        forge=told.forge,
        pull_request=data,
        at=at,
        reopened=again,
        raw=told.raw,
    )
    return told.event(key, at, actor, fact)


def pushed(
    told: Told, data: PullRequest, before: str, after: str, at: str, actor: Identity | None
) -> NewEvent:
    """The head of a pull request moved. The time is no part of the key: webhook and API differ in it."""
    fact = PullRequestPushed(
        repository=told.repository,
        forge=told.forge,
        pull_request=data,
        before=before,
        after=after,
        at=at,
        raw=told.raw,
    )
    return told.event(f"pull/{data.number}/pushed/{before}..{after}", at, actor, fact)


class Merge(NamedTuple):
    """How a pull request was merged: what landed, when, who did it, and what else is told of it."""

    commit: str
    at: str
    by: Identity | None = None
    by_bot: bool = False
    method: str = ""
    commits: int = 0


def merged(told: Told, data: PullRequest, merge: Merge, actor: Identity | None = None) -> NewEvent:
    """A pull request was merged. Raises SourceError where nothing says when.

    `actor` is who acted where who merged is not told.
    """
    if not merge.at:
        raise SourceError(f"pull request {data.number} is merged and has no time of it")
    fact = PullRequestMerged(
        repository=told.repository,
        forge=told.forge,
        pull_request=data,
        merge_commit=merge.commit,
        merged_at=merge.at,
        merged_by=merge.by,
        merged_by_bot=merge.by_bot,
        method=merge.method,
        commits=merge.commits,
        raw=told.raw,
    )
    return told.event(f"pull/{data.number}/merged", merge.at, merge.by or actor, fact)


def closed(told: Told, data: PullRequest, at: str, actor: Identity | None) -> NewEvent:
    """A pull request was closed and not merged."""
    fact = PullRequestClosed(
        repository=told.repository,
        forge=told.forge,
        pull_request=data,
        closed_at=at,
        raw=told.raw,
    )
    return told.event(f"pull/{data.number}/closed/{at}", at, actor, fact)


def unread(kind: str, forge: str, what: str, error: SourceError, tools: Tools) -> NewEvent:
    """A gap: something of a repository, such as `pull request 7`, that could not be read or told."""
    detail = tools.redact(f"{what} of {forge}: {error.message}")
    repository = tools.repository(forge) or forge
    return NewEvent(
        stream=f"repository/{repository}",
        key=f"{forge}/{what.replace(' request ', '/')}/unread/{detail[:200]}",
        source=kind,
        data=CollectorGap(repository=repository, kind="unreadable", detail=detail),
    )


def token(configured: Configured, variable: str) -> str:
    """The token of `token_file`, else of the environment's `variable`; empty without both.

    Raises UsageError where the file cannot be read.
    """
    file = configured.settings.get("token_file")
    if not file:
        return os.environ.get(variable, "").strip()
    try:
        return (configured.folder / Path(str(file)).expanduser()).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"source {configured.name}: cannot read the token in {file}: {error}",
            hint=f"Give token_file in ledger.toml, or set {variable} and leave it out.",
        ) from None


# -- files ---------------------------------------------------------------------------------------


def _itself(read: Value) -> Iterator[Value]:
    yield read


def read_files(
    kind: str,
    given: Import,
    tools: Tools,
    tell: Callable[[Value, Tools], Batch],
    items: Callable[[Value], Iterator[Value]] = _itself,
) -> Iterator[Batch]:
    """What files of JSON values tell, one or many values in each. What cannot be read is a gap.

    `tell` gives the events of one value, and raises SourceError where it is nothing that it knows. `items`
    gives the values that stand in one that is a page of a list.
    """
    for path in given.files:
        yield from _read_file(kind, path, tools, tell, items)


def _read_file(
    kind: str,
    path: Path,
    tools: Tools,
    tell: Callable[[Value, Tools], Batch],
    items: Callable[[Value], Iterator[Value]],
) -> Iterator[Batch]:
    name = clean(path.name)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        fault = Fault("", error.strerror or "it cannot be opened")
        yield Batch(events=[_gap(kind, name, "", fault, tools)])
        return
    digest = hashlib.sha256(data).hexdigest()[:16]
    found: Iterator[Value | Fault] = jsontext.values(data)
    if len(data) > MAX_FILE:
        found = iter([Fault("", f"it is larger than {MAX_FILE >> 20} MB; split it")])
    events: list[NewEvent] = []
    contents: list[Content] = []
    ignored = 0
    for one in _each(found, items):
        try:
            if isinstance(one, Fault):
                raise SourceError(one.reason)
            batch = tell(one, tools)
        except SourceError as error:
            fault = Fault(one.place, error.message)
            batch = Batch(events=[_gap(kind, name, digest, fault, tools)])
        events += batch.events
        contents += batch.contents
        ignored += batch.ignored
        if len(events) >= EVENTS_AT_ONCE:
            yield Batch(events=events, contents=contents, ignored=ignored)
            events, contents, ignored = [], [], 0
    yield Batch(events=events, contents=contents, ignored=ignored)


def _each(
    found: Iterator[Value | Fault], items: Callable[[Value], Iterator[Value]]
) -> Iterator[Value | Fault]:
    for one in found:
        if isinstance(one, Fault):
            yield one
            continue
        try:
            yield from items(one)
        except SourceError as error:
            yield Fault(one.place, error.message)


def _gap(kind: str, name: str, digest: str, fault: Fault, tools: Tools) -> NewEvent:
    """`digest` tells files of one name apart."""
    where = f"{name}, {fault.place}" if fault.place else name
    detail = tools.redact(f"{where}: {clean(fault.reason)}")
    return NewEvent(
        stream=f"import/{kind}",
        key=f"{kind}/import/{digest}/{where}",
        source=kind,
        data=CollectorGap(repository="", kind="unreadable", detail=detail),
    )


# -- the parts of a payload ----------------------------------------------------------------------


def part(value: Json, name: str) -> Json:
    """The object under a name; an empty one where there is none, as for people who left."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def parts(value: Json, name: str) -> list[Json]:
    """The objects of a list under a name."""
    found = value.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def sha(value: Any) -> str:
    """The whole name of a Git object; empty where it is none."""
    return value if isinstance(value, str) and _SHA.fullmatch(value) else ""


def number(value: Any) -> int:
    """The number of a pull request or review. Raises SourceError where it is none."""
    if type(value) is not int or not 0 < value < 2**53:
        raise SourceError("it has no usable number of a pull request or review")
    return value


def count(value: Any) -> int:
    """A small count, 0 where there is none."""
    return value if type(value) is int and 0 <= value < 2**31 else 0


def identity(login: Any) -> Identity | None:
    """Somebody by login; nobody where the forge no longer knows who it was."""
    if not isinstance(login, str) or not login:
        return None
    if len(login) > MAX_NAME:
        raise SourceError(f"a login of more than {MAX_NAME} characters")
    return Identity(login=clean(login))


def time(told: Any) -> str:
    """UTC text of an RFC 3339 time or of Ruby's `2017-12-10 17:08:07 UTC`; empty where it is none."""
    return utc_text(_ZONED.sub(r"\1T\2Z", told)) if isinstance(told, str) else ""


def delivery_id(value: str) -> str:
    """A sender's own id of a delivery; empty where it could be none."""
    return value if _ID.fullmatch(value) else ""
