"""A repository on Gerrit: its branches, and its changes and votes out of NoteDb, without any API.

Branches and tags are read as from any Git repository. Changes are read from `refs/changes/NN/<change>/meta`;
a change whose notes moved is read whole again, and what is recorded is recognised by its keys, so that notes
which the server wrote anew add only what is new. See `notedb`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ledger.commits import read_commit
from ledger.contents import Content
from ledger.errors import SourceError
from ledger.events import CollectorGap, NewEvent
from ledger.gitio import Mirror, list_remote
from ledger.sources import Batch, Configured, Source, Tools, git
from ledger.sources.gerrit.notedb import Note, read_change

KIND: Final = "gerrit"
CHANGES_AT_ONCE = 500
MAX_NOTES = 10_000
_META = re.compile(r"refs/changes/[0-9]{2}/([1-9][0-9]{0,8})/meta")


@dataclass(frozen=True, slots=True, kw_only=True)
class GerritOptions:
    """One `[[source]]` of kind gerrit: how its branches are read, and its name on the server."""

    git: git.GitOptions
    forge: str


class Cursor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far the branches are read, and the notes of each change as read."""

    git: str = ""
    metas: dict[str, str] = {}


def pull(options: GerritOptions, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    """Everything new on the branches, then every change whose notes moved. Raises SourceError as git does."""
    reached = msgspec.json.decode(cursor, type=Cursor) if cursor else Cursor()
    for batch in git.pull(options.git, reached.git.encode("ascii"), tools):
        if batch.cursor is None:
            yield batch
        else:
            reached = msgspec.structs.replace(reached, git=batch.cursor.decode("ascii"))
            yield replace(batch, cursor=msgspec.json.encode(reached))
    listed, _ = list_remote(options.git.url, ["refs/changes/*"])
    found = {ref: oid for ref, oid in listed.items() if _META.fullmatch(ref)}
    moved = sorted(
        (ref for ref, oid in found.items() if reached.metas.get(ref) != oid), key=_change_number
    )
    gone = sorted(reached.metas.keys() - found.keys(), key=_change_number)
    if not moved and not gone:
        return
    mirror = Mirror(options.git.mirror)
    if moved:
        mirror.fetch(options.git.url, moved)
    yield from _tell(options, reached, {ref: found[ref] for ref in moved}, gone, mirror, tools)


def _tell(
    options: GerritOptions,
    reached: Cursor,
    moved: Mapping[str, str],
    gone: Sequence[str],
    mirror: Mirror,
    tools: Tools,
) -> Iterator[Batch]:
    metas = {ref: oid for ref, oid in reached.metas.items() if ref not in gone}
    refs = list(moved)
    for start in range(0, max(len(refs), 1), CHANGES_AT_ONCE):
        some = {ref: moved[ref] for ref in refs[start : start + CHANGES_AT_ONCE]}
        events, contents = _changes(options, some, mirror, tools)
        if start == 0:
            events += [_gone(options, ref, reached.metas[ref]) for ref in gone]
        metas |= some
        reached = msgspec.structs.replace(reached, metas=dict(metas))
        yield Batch(
            events=events,
            contents=contents,
            cursor=msgspec.json.encode(reached),
            done=start + len(some),
            total=len(refs),
        )
    for batch in git.compare(options.git, reached.git.encode("ascii"), tools):
        if batch.cursor is not None:
            reached = msgspec.structs.replace(reached, git=batch.cursor.decode("ascii"))
        yield replace(batch, cursor=msgspec.json.encode(reached))


def _changes(
    options: GerritOptions, metas: Mapping[str, str], mirror: Mirror, tools: Tools
) -> tuple[list[NewEvent], list[Content]]:
    parents = {line[0]: line[1:] for line in mirror.graph(sorted(set(metas.values())))}
    events: list[NewEvent] = []
    contents: list[Content] = []
    with mirror.objects() as read:
        for ref, tip in metas.items():
            try:
                told, kept = _change(options, ref, _notes(tip, parents, read), tools)
            except SourceError as error:
                events.append(_gap(options, ref, tip, tools.redact(error.message)))
            else:
                events += told
                contents += kept
    return events, contents


def _notes(
    tip: str,
    parents: Mapping[str, Sequence[str]],
    read: Callable[[Sequence[str]], Iterator[bytes | None]],
) -> list[bytes]:
    """The notes of a change, oldest first."""
    ids: list[str] = []
    at = tip
    while at:
        ids.append(at)
        if len(ids) > MAX_NOTES:
            raise SourceError(f"a change of more than {MAX_NOTES:,} notes")
        above = parents.get(at, ())
        at = above[0] if above else ""
    found = list(read(ids[::-1]))
    if None in found:
        raise SourceError("some of its notes are missing from the repository", retryable=True)
    return [raw for raw in found if raw is not None]


def _change(
    options: GerritOptions, ref: str, raws: Sequence[bytes], tools: Tools
) -> tuple[list[NewEvent], list[Content]]:
    name, number = options.git.name, _change_number(ref)
    notes: list[Note] = []
    contents: list[Content] = []
    for raw in raws:
        commit = read_commit(raw)
        commit.message = tools.redact(commit.message)
        stored = tools.store("note.txt", raw)
        contents += stored.contents
        notes.append(Note(commit, stored.digest))
    events = [
        NewEvent(
            stream=f"repository/{name}",
            key=f"{name}/change/{number}/{one.key}",
            source=name,
            occurred_at=one.at,
            actor=one.actor,
            data=one.data,
        )
        for one in read_change(name, options.forge, number, notes)
    ]
    return events, contents


def _change_number(ref: str) -> int:
    return int(ref.split("/")[3])


def _gap(options: GerritOptions, ref: str, tip: str, reason: str) -> NewEvent:
    name, number = options.git.name, _change_number(ref)
    detail = f"change {number}, notes {tip}: {reason}"
    return NewEvent(
        stream=f"repository/{name}",
        key=f"{name}/change/{number}/unreadable/{tip}",
        source=name,
        data=CollectorGap(repository=name, kind="unreadable", detail=detail),
    )


def _gone(options: GerritOptions, ref: str, last: str) -> NewEvent:
    name, number = options.git.name, _change_number(ref)
    detail = f"change {number} is no longer on the server; its notes were last {last}"
    return NewEvent(
        stream=f"repository/{name}",
        key=f"{name}/change/{number}/gone/{last}",
        source=name,
        data=CollectorGap(repository=name, kind="removed", detail=detail),
    )


def options(configured: Configured) -> GerritOptions:
    """The options of a `[[source]]` of kind gerrit."""
    plain = git.options(configured)
    parts = urlsplit(configured.url)
    named = f"{parts.hostname}{parts.path.removesuffix('.git')}" if parts.hostname else ""
    forge = str(configured.settings.get("forge") or named.removeprefix("/a/") or configured.name)
    return GerritOptions(git=replace(plain, pull_requests=False), forge=forge)


SOURCE = Source(kind=KIND, options=options, pull=pull)
