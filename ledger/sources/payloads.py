"""JSON that forges send and answer: read from files and deliveries, and made ready to be told.

What every forge's source has in common: how a file of payloads is read value by value, how the text that a
fact was read from is kept, and the small parts of a payload, where malformed is empty.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ledger import jsontext
from ledger.contents import Content
from ledger.errors import SourceError
from ledger.events import CollectorGap, Event, Identity, NewEvent
from ledger.jsontext import Fault, Value, clean
from ledger.sources import Batch, Import, Tools

MAX_FILE: Final = 128 * 2**20
EVENTS_AT_ONCE: Final = 200
MAX_NAME: Final = 255

Json = dict[str, Any]

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_ID = re.compile(r"[\x21-\x7e]{1,200}")


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


# -- files ---------------------------------------------------------------------------------------


def read_files(
    kind: str, given: Import, tools: Tools, tell: Callable[[Value, Tools], Batch]
) -> Iterator[Batch]:
    """What files of JSON values tell, one or many values in each. What cannot be read is a gap.

    `tell` gives the events of one value, and raises SourceError where it is nothing that it knows.
    """
    for path in given.files:
        yield from _read_file(kind, path, tools, tell)


def _read_file(
    kind: str, path: Path, tools: Tools, tell: Callable[[Value, Tools], Batch]
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
    for one in found:
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


def delivery_id(value: str) -> str:
    """A sender's own id of a delivery; empty where it could be none."""
    return value if _ID.fullmatch(value) else ""
