"""JSON that forges send and answer, made ready to be told.

What every forge's source has in common: how the text that a fact was read from is kept, the gap for what
cannot be read, and the small parts of a payload, where malformed is empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from ledger import jsontext
from ledger.contents import Content
from ledger.errors import SourceError
from ledger.events import (
    CollectorGap,
    Event,
    Identity,
    NewEvent,
)
from ledger.instants import utc_text
from ledger.jsontext import Value, clean
from ledger.sources import Tools

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


def side(value: Any) -> str:
    """One side of a move of a branch; empty for the zeros that say that it was not there."""
    name = sha(value)
    return name if name.strip("0") else ""


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
