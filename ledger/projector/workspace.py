"""The rows that projections read and make, and what else they are told: as of the event at hand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, cast

from ledger.comparing import FieldText, Place, Shape
from ledger.documents import Documents
from ledger.events import RecordedEvent
from ledger.projections import Dropped, Projection, R, Row
from ledger.projector.cache import Cache
from ledger.resources import Resource
from ledger.store import Store

MAX_LISTS = 16_000
SPILL = 20_000


class Workspace:
    """The context of projections: their tables, earlier events and contents, as of the event at hand."""

    def __init__(
        self,
        store: Store,
        projections: Sequence[Projection],
        documents: Documents,
        suffix: str = "",
    ) -> None:
        self._store = store
        self._documents = documents
        self._caches: dict[type[Row], Cache] = {
            table.row: Cache(store, table, suffix) for one in projections for table in one.tables
        }
        self._puts = {row: cache.put for row, cache in self._caches.items()}
        self._recent: OrderedDict[int, RecordedEvent] = OrderedDict()
        self._lists: dict[bytes, list[bytes]] = {}
        self.at = -1

    def get(self, row: type[R], *key: Any) -> R | None:
        cache = self._caches[row]
        if cache.table.log:
            found = self._find_in_log(cache, dict(zip(cache.table.key, key, strict=True)))
            return cast("R", found[0]) if found else None
        return cast("R | None", cache.get(key))

    def find(self, row: type[R], **lookup: Any) -> Sequence[R]:
        cache = self._caches[row]
        if cache.table.log:
            return cast("Sequence[R]", self._find_in_log(cache, lookup))
        return cast("Sequence[R]", cache.find(tuple(lookup), tuple(lookup.values())))

    def _find_in_log(self, cache: Cache, lookup: dict[str, Any]) -> list[Row]:
        cache.flush()
        where = " and ".join(f"{name} = ?" for name in lookup)
        order = ", ".join(cache.table.key)
        columns = ", ".join(cache.table.columns)
        sql = f"select {columns} from {cache.name} where {where} order by {order}"  # noqa: S608
        rows = self._store.connection.rows(sql, tuple(lookup.values()))
        return [cache.table.row._make(row) for row in rows]  # type: ignore[attr-defined]

    def event(self, position: int) -> RecordedEvent:
        recorded = self._recent.get(position)
        if recorded is None:
            recorded = self._store.read(position, 1)[0]
            self._recent[position] = recorded
        return recorded

    def event_of(self, key: str) -> RecordedEvent | None:
        found = self._store.find(key)
        return found if found is not None and found.position <= self.at else None

    def remember(self, events: Iterable[RecordedEvent], before: int) -> None:
        """Keeps the events of a batch at hand, and the last `before` of those kept so far."""
        while len(self._recent) > before:
            self._recent.popitem(last=False)
        self._recent.update((one.position, one) for one in events)

    def pieces(self, digest: str) -> list[bytes]:
        raw = bytes.fromhex(digest[7:])
        known = self._lists.get(raw)
        if known is None:
            known = self._store.pieces(raw)
            self.note_pieces(raw, known)
        return known

    def note_pieces(self, digest: bytes, pieces: list[bytes]) -> None:
        """Remembers how a content was cut."""
        if len(self._lists) > MAX_LISTS:
            self._lists.clear()
        self._lists[digest] = pieces

    def content(self, digest: bytes) -> bytes:
        return self._store.content(digest)

    def shapes(self, path: str, piece: bytes) -> Sequence[Shape]:
        return self._documents.shapes(path, piece)

    def resources(self, path: str, piece: bytes) -> Sequence[Resource]:
        return self._documents.parse(path, piece)

    def difference(self, before: Place | None, after: Place | None) -> list[FieldText] | None:
        return self._documents.difference(before, after)

    def next_id(self, row: type[Row]) -> int:
        return self._caches[row].next_id()

    def apply(self, rows: Iterable[Row]) -> None:
        """Applies the rows that a projection makes, each before it makes the next."""
        puts = self._puts
        for count, row in enumerate(rows, 1):
            if not count % SPILL:  # a huge commit: what is made is written before all is made
                self.flush()
            put = puts.get(type(row))
            if put is not None:
                put(row)
            else:
                assert isinstance(row, Dropped)
                self._caches[row.row].drop(row.key)

    def flush(self) -> None:
        """Writes what is new to the tables."""
        for cache in self._caches.values():
            cache.flush()
