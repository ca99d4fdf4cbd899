"""What projections may read, read through the database: for questions that work as they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from ledger import registry
from ledger.comparing import FieldText, Place, Shape
from ledger.documents import Documents
from ledger.events import RecordedEvent
from ledger.projections import R, Row, Table
from ledger.resources import Resource
from ledger.store import Store


class Reading:
    """A projection's context over an open ledger, as everything stands now. Costs a query for each row."""

    def __init__(self, store: Store, documents: Documents) -> None:
        self._store = store
        self._documents = documents

    @cached_property
    def _tables(self) -> dict[type[Row], Table]:
        return {table.row: table for one in registry.projections() for table in one.tables}

    def _select(self, row: type[R], names: Sequence[str], values: Sequence[Any]) -> list[R]:
        table = self._tables[row]
        make: Callable[[Sequence[Any]], R] = row._make  # type: ignore[attr-defined]
        where = " and ".join(f"{name} = ?" for name in names)
        order = ", ".join(table.key)
        columns = ", ".join(table.columns)
        sql = f"select {columns} from {table.name} where {where} order by {order}"  # noqa: S608
        return [make(found) for found in self._store.connection.rows(sql, values)]

    def get(self, row: type[R], *key: Any) -> R | None:
        """The row with a key."""
        found = self._select(row, self._tables[row].key, key)
        return found[0] if found else None

    def find(self, row: type[R], **lookup: Any) -> Sequence[R]:
        """The rows that match, in the order of their keys."""
        return self._select(row, list(lookup), list(lookup.values()))

    def event(self, position: int) -> RecordedEvent:
        """An event."""
        return self._store.read(position, 1)[0]

    def event_of(self, key: str) -> RecordedEvent | None:
        """An event by its key."""
        return self._store.find(key)

    def pieces(self, digest: str) -> list[bytes]:
        """The digests of the pieces of a content."""
        return self._store.pieces(bytes.fromhex(digest[7:]))

    def content(self, digest: bytes) -> bytes:
        """The bytes of a content."""
        return self._store.content(digest)

    def shapes(self, path: str, piece: bytes) -> Sequence[Shape]:
        """The resources of a piece without their bodies."""
        return self._documents.shapes(path, piece)

    def difference(self, before: Place | None, after: Place | None) -> list[FieldText] | None:
        """The field rows between two documents; None where they are too many."""
        return self._documents.difference(before, after)

    def resources(self, path: str, piece: bytes) -> Sequence[Resource]:
        """The resources of a piece with their bodies."""
        return self._documents.parse(path, piece)

    def next_id(self, row: type[Row]) -> int:
        """Refused with TypeError: a question makes no rows, so what asks for a number is misplaced."""
        raise TypeError(f"a question makes no rows of {row.__name__}")
