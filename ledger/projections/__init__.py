"""Projections turn recorded events into rows that can be asked. One file each; found by scan.

A projection is pure: no clock, no Git, no SQL. It reads what the context gives (earlier events,
contents, parsed documents, its own tables and those of projections declared before it, all as of
the event at hand) and yields rows. A row that has the key of an older row replaces it. The same
events in any batches, or all at once, give the same tables, so every table can be made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar, get_type_hints

from ledger.comparing import FieldText, Place, Shape
from ledger.events import Event, RecordedEvent
from ledger.resources import Resource

MAX_KEY = 1_000
Row = tuple[Any, ...]
R = TypeVar("R", bound=Row)
D = TypeVar("D", bound=Event)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of rows of one NamedTuple class, whose annotations give the columns.

    `key` names the primary key. `lookups` are the groups of columns by which rows are found while
    projecting; `indexes` those that only questions need. `log` tables are only ever added to.
    """

    name: str
    row: type[Row]
    key: tuple[str, ...]
    lookups: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    log: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.row._fields)  # type: ignore[attr-defined]

    def types(self) -> dict[str, Any]:
        """Column → Python type (int, str, bytes, each perhaps `| None`)."""
        return get_type_hints(self.row)


class Dropped(NamedTuple):
    """What `settle` yields for a row that is no longer: the class of the row, and its key."""

    row: type[Row]
    key: Row


def column(text: str) -> str:
    """Text for a column: PostgreSQL takes no NUL, so it stands as a visible escape everywhere."""
    return text.replace("\0", "\\u0000") if "\0" in text else text


def key_text(text: str) -> str:
    """Text for an indexed column: PostgreSQL indexes at most 2,700 bytes of a row.

    What is longer than 1,000 bytes keeps its beginning and its end, with a digest between them.
    """
    text = column(text)
    raw = b"" if len(text) <= MAX_KEY // 4 else text.encode()
    if len(raw) <= MAX_KEY:
        return text
    digest = hashlib.sha256(raw).hexdigest()[:32]
    head, tail = raw[: MAX_KEY * 2 // 5], raw[-MAX_KEY * 2 // 5 :]
    return f"{head.decode('utf-8', 'ignore')}…{digest}…{tail.decode('utf-8', 'ignore')}"


class Context(Protocol):
    """What a projection may read: everything as of the event at hand."""

    def get(self, row: type[R], *key: Any) -> R | None:
        """The row with a key."""

    def find(self, row: type[R], **lookup: Any) -> Sequence[R]:
        """The rows that match one of the table's declared lookups, in the order of their keys."""

    def event(self, position: int) -> RecordedEvent:
        """An earlier event."""

    def event_of(self, key: str) -> RecordedEvent | None:
        """An earlier event by its key."""

    def pieces(self, digest: str) -> list[bytes]:
        """The digests of the pieces of a content."""

    def content(self, digest: bytes) -> bytes:
        """The bytes of a content."""

    def shapes(self, path: str, piece: bytes) -> Sequence[Shape]:
        """The resources of a piece without their bodies, read by the parser for that path."""

    def difference(self, before: Place | None, after: Place | None) -> list[FieldText] | None:
        """The field rows between two documents; None where they are too many."""

    def resources(self, path: str, piece: bytes) -> Sequence[Resource]:
        """The resources of a piece with their bodies, which nobody may change. Costs a parse."""

    def next_id(self, row: type[Row]) -> int:
        """The next unused number for a table whose key is one number, from 1."""


Project = Callable[[RecordedEvent, Context], Iterable[Row]]
Settle = Callable[[Context], Iterable[Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """The whole contract of a projection. Raise `version` when rows would differ: it is rebuilt.

    `settle` makes rows that depend on the state of tables and not on the way it came about: it runs
    when the tables have caught up with the log, after every projection it reads. It must give the same
    tables however often it runs, and find out cheaply what there is to do. Only it may take rows away
    (`Dropped`), for what is no longer so would never have been so in a rebuild.
    """

    name: str
    version: int
    tables: tuple[Table, ...]
    handles: tuple[type[Event], ...]
    project: Project
    after: tuple[str, ...] = ()
    settle: Settle | None = None
