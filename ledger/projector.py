"""Feeds projections with recorded events: rows and checkpoint in one transaction.

Theory. A projection sees its tables "as of this event", also the rows it has just made. So rows
live in a workspace first: a cache of rows by key that is written back at the end of a batch. What
the cache holds never changes an answer, because a row that is not there is read from the table;
hence any split into batches, and a rebuild, give the same tables.

A projection that fails stops at that position, with those that read its tables; its rows and
checkpoint stay as they were and `feeds` says why. The log and the other projections go on. As the
others are then ahead of it, it comes back by a rebuild.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from operator import itemgetter
from typing import Any, cast

from ledger.comparing import FieldText, Place, Shape
from ledger.documents import Documents
from ledger.errors import IntegrityError, LedgerError, StoreError
from ledger.events import RecordedEvent
from ledger.projections import Dropped, Projection, R, Row, Table
from ledger.resources import Resource
from ledger.store import Store
from ledger.store.drivers import POSTGRESQL
from ledger.store.schema import table_name

BATCH = 4_000
MAX_ROWS = 16_000
SMALL = 500
Key = tuple[Any, ...]


class _Cache:
    """The rows of one table that were read or made."""

    def __init__(self, store: Store, table: Table, suffix: str) -> None:
        self.table = table
        self.name = table_name(table, suffix)
        self._connection = store.connection
        self._select = f"select {', '.join(table.columns)} from {self.name}"  # noqa: S608
        self._key_of = _getter(table.columns, table.key)
        self._lookups = {names: _getter(table.columns, names) for names in table.lookups}
        self._make = table.row._make  # type: ignore[attr-defined]
        self.rows: dict[Key, Row | None] = {}
        self._groups: dict[tuple[str, ...], dict[Key, dict[Key, None]]] = {}
        self._dirty: dict[Key, Row] = {}
        self._gone: dict[Key, None] = {}
        self._added: list[Row] = []
        self.complete = False
        self._forget()
        self._load_if_small()
        self._last_id: int | None = None

    def _forget(self) -> None:
        self.rows = {}
        self._groups = {names: {} for names in self._lookups}
        self.complete = False

    def _load_if_small(self) -> None:
        if self.table.log:
            return
        found = self._connection.rows(f"{self._select} limit {SMALL + 1}")
        if len(found) <= SMALL:
            self.complete = True
            for raw in found:
                self._hold(self._make(raw))

    def next_id(self) -> int:
        """The number after the highest one given, in this table whose key is a number."""
        if self._last_id is None:
            sql = f"select max({self.table.key[0]}) from {self.name}"  # noqa: S608
            self._last_id = int(self._connection.rows(sql)[0][0] or 0)
        self._last_id += 1
        return self._last_id

    def _hold(self, row: Row) -> None:
        """Keeps a row, and its key in those groups that are known whole."""
        key = self._key_of(row)
        old = self.rows.get(key)
        self.rows[key] = row
        for names, group_of in self._lookups.items():
            groups = self._groups[names]
            group = group_of(row)
            if old is not None and (before := group_of(old)) != group and before in groups:
                groups[before].pop(key, None)
            if group in groups:
                groups[group][key] = None
            elif self.complete:
                groups[group] = {key: None}

    def get(self, key: Key) -> Row | None:
        if key in self.rows:
            return self.rows[key]
        if self.complete:
            return None
        where = " and ".join(f"{name} = ?" for name in self.table.key)
        found = self._connection.rows(f"{self._select} where {where}", key)
        row = self._make(found[0]) if found else None
        if row is None:
            self.rows[key] = None
        else:
            self._hold(row)
        return row

    def find(self, names: tuple[str, ...], values: Key) -> list[Row]:
        groups = self._groups[names]
        if values not in groups and not self.complete:
            groups[values] = {}
            group_of = self._lookups[names]
            where = " and ".join(f"{name} = ?" for name in names)
            for raw in self._connection.rows(f"{self._select} where {where}", values):
                row = self._make(raw)
                known = self.rows.get(self._key_of(row))
                if known is None:
                    if self._key_of(row) not in self._gone:
                        self._hold(row)
                elif group_of(known) == values:
                    groups[values][self._key_of(row)] = None
            # Rows made since, which the table does not have yet, say better where they belong.
            for key, made in self._dirty.items():
                if group_of(made) == values:
                    groups[values][key] = None
        keys = groups.get(values, ())
        ordered = sorted(keys) if len(keys) > 1 else keys
        return [cast("Row", self.rows[key]) for key in ordered]

    def put(self, row: Row) -> None:
        if self.table.log:
            self._added.append(row)
            return
        self._hold(row)
        self._dirty[self._key_of(row)] = row

    def drop(self, key: Key) -> None:
        """Takes a row away."""
        old = self.get(key)
        if old is not None:
            for names, group_of in self._lookups.items():
                self._groups[names].get(group_of(old), {}).pop(key, None)
            self.rows[key] = None
            self._dirty.pop(key, None)
            self._gone[key] = None

    def flush(self) -> None:
        if self._added:
            self._connection.insert(self.name, self.table.columns, self._added)
            self._added = []
        if self._gone:
            where = " and ".join(f"{name} = ?" for name in self.table.key)
            for key in self._gone:
                self._connection.execute(f"delete from {self.name} where {where}", key)  # noqa: S608
            self._gone = {}
        if self._dirty:
            rows = list(self._dirty.values())
            self._connection.upsert(self.name, self.table.columns, self.table.key, rows)
            self._dirty = {}
        if len(self.rows) > MAX_ROWS:
            self._forget()


def _getter(columns: tuple[str, ...], names: tuple[str, ...]) -> Callable[[Row], Key]:
    places = [columns.index(name) for name in names]
    if len(places) == 1:
        place = places[0]
        return lambda row: (row[place],)
    return itemgetter(*places)


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
        self._caches: dict[type[Row], _Cache] = {
            table.row: _Cache(store, table, suffix) for one in projections for table in one.tables
        }
        self._recent: dict[int, RecordedEvent] = {}
        self._lists: dict[bytes, list[bytes]] = {}
        self.row_count = 0
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

    def _find_in_log(self, cache: _Cache, lookup: dict[str, Any]) -> list[Row]:
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

    def remember(self, events: Iterable[RecordedEvent]) -> None:
        """Keeps the events of a batch at hand, and the last of the batch before."""
        kept = dict(list(self._recent.items())[-BATCH:])
        kept.update((one.position, one) for one in events)
        self._recent = kept

    def pieces(self, digest: str) -> list[bytes]:
        raw = bytes.fromhex(digest[7:])
        known = self._lists.get(raw)
        if known is None:
            known = self._store.pieces(raw)
            self.note_pieces(raw, known)
        return known

    def note_pieces(self, digest: bytes, pieces: list[bytes]) -> None:
        """Remembers how a content was cut."""
        if len(self._lists) > MAX_ROWS:
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

    def put(self, row: Row) -> None:
        """Applies a row that a projection made."""
        cache = self._caches.get(type(row))
        if cache is not None:
            cache.put(row)
        else:
            assert isinstance(row, Dropped)
            self._caches[row.row].drop(row.key)
        self.row_count += 1

    def flush(self) -> None:
        """Writes what is new to the tables."""
        for cache in self._caches.values():
            cache.flush()


class _Overtaken(Exception):  # noqa: N818 (never leaves this module)
    """Another process has moved the checkpoints."""


class _Failed(Exception):  # noqa: N818 (never leaves this module)
    def __init__(self, projection: Projection, position: int, reason: str) -> None:
        super().__init__(reason)
        self.projection = projection
        self.position = position
        self.reason = reason


class Projector:
    """Keeps the tables of projections up with the log."""

    def __init__(
        self,
        store: Store,
        projections: Sequence[Projection],
        documents: Documents,
        *,
        suffix: str = "",
    ) -> None:
        self._store = store
        self._projections = projections
        self._documents = documents
        self._suffix = suffix
        self._inside = False
        self._checkpoint = 0
        self._end = 0
        self._failed: set[str] = set()
        self.failures: list[str] = []
        self._resume()

    def _resume(self) -> None:
        """Goes on from where the tables stand, with nothing remembered."""
        if not self._suffix:
            states = _states(self._store, self._projections)
            self._failed = {name for name, (_, failure) in states.items() if failure}
            healthy = [at for name, (at, _) in states.items() if name not in self._failed]
            self._checkpoint = min(healthy, default=self._store.head().size)
        self._workspace = self._new_workspace()

    def _new_workspace(self) -> Workspace:
        return Workspace(self._store, self._projections, self._documents, self._suffix)

    @property
    def checkpoint(self) -> int:
        """The position up to which the healthy projections have read (exclusive)."""
        return self._checkpoint

    @property
    def workspace(self) -> Workspace:
        """What the projections read, for warming it."""
        return self._workspace

    def catch_up(self, recent: Sequence[RecordedEvent] = (), *, until: int | None = None) -> int:
        """Projects everything recorded and not yet projected; gives the new checkpoint.

        `recent` are events just appended, which are then not read again.
        """
        self._end = self._store.head().size
        end = self._end if until is None else until
        while self._checkpoint < end:
            if recent and recent[0].position == self._checkpoint:
                events = list(recent[:BATCH])
                recent = recent[BATCH:]
            else:
                events = self._store.read(self._checkpoint, min(BATCH, end - self._checkpoint))
            if not events:
                raise IntegrityError(
                    f"the log has no position {self._checkpoint} although its size is {end}",
                    hint="Run `ledger verify`.",
                )
            self._batch(events)
        return self._checkpoint

    def catch_up_inside(self, until: int) -> None:
        """As `catch_up`, inside a transaction that the caller holds."""
        self._inside = True
        self.catch_up(until=until)

    def _batch(self, events: list[RecordedEvent]) -> None:
        while events:
            try:
                self._attempt(events)
            except _Overtaken:
                self._resume()
                events = [one for one in events if one.position >= self._checkpoint]
            except _Failed as failed:
                before = [one for one in events if one.position < failed.position]
                self._workspace = self._new_workspace()
                if before:
                    self._batch(before)  # which another process may overtake
                self._give_up(failed)
                events = [one for one in events if one.position >= self._checkpoint]
            else:
                return

    def _attempt(self, events: Sequence[RecordedEvent]) -> None:
        workspace = self._workspace
        workspace.remember(events)
        active = [one for one in self._projections if one.name not in self._failed]
        last = events[-1].position + 1
        with nullcontext() if self._inside else self._store.connection.transaction(durable=False):
            if not self._suffix:
                self._check_not_overtaken(active)
            for recorded in events:
                workspace.at = recorded.position
                kind = type(recorded.data)
                for one in active:
                    if kind in one.handles:
                        self._project(one, recorded)
            if last == self._end:
                for one in active:
                    self._settle(one, last)
            workspace.flush()
            if not self._suffix:
                _save_states(self._store, active, last)
        self._checkpoint = last

    def _check_not_overtaken(self, active: Sequence[Projection]) -> None:
        """Another process may have projected the same events since; it holds the rows until then."""
        lock = (
            " order by projection for update"
            if self._store.connection.dialect == POSTGRESQL
            else ""
        )
        rows = self._store.connection.rows(
            f"select projection, checkpoint from projection_state{lock}"  # noqa: S608
        )
        checkpoints: dict[str, int] = dict(rows)
        if any(checkpoints.get(one.name) != self._checkpoint for one in active):
            raise _Overtaken

    def _project(self, one: Projection, recorded: RecordedEvent) -> None:
        try:
            for row in one.project(recorded, self._workspace):
                self._workspace.put(row)
        except (IntegrityError, StoreError):
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise _Failed(one, recorded.position, reason) from error

    def _settle(self, one: Projection, end: int) -> None:
        if one.settle is None:
            return
        try:
            for row in one.settle(self._workspace):
                self._workspace.put(row)
        except (IntegrityError, StoreError):
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise _Failed(one, end - 1, reason) from error

    def _give_up(self, failed: _Failed) -> None:
        if self._suffix:
            raise LedgerError(
                f"projection {failed.projection.name} failed at position {failed.position}: {failed.reason}",
                hint="The tables in use are unchanged. Please report this.",
            ) from failed
        names = {failed.projection.name}
        for one in self._projections:
            if names.intersection(one.after):
                names.add(one.name)
        with self._store.connection.transaction():
            for one in self._projections:
                if one.name in names - self._failed:
                    why = (
                        failed.reason
                        if one is failed.projection
                        else f"waits for {failed.projection.name}"
                    )
                    text = f"stopped at position {failed.position}: {why}"
                    self._store.connection.execute(
                        "update projection_state set failure = ? where projection = ?",
                        [text, one.name],
                    )
                    self.failures.append(f"{one.name} {text}")
        self._failed |= names


def _states(store: Store, projections: Sequence[Projection]) -> dict[str, tuple[int, str]]:
    rows = store.connection.rows(
        "select projection, version, checkpoint, failure from projection_state"
    )
    known = {name: (version, checkpoint, failure) for name, version, checkpoint, failure in rows}
    wrong = [one.name for one in projections if known.get(one.name, (0, 0, ""))[0] != one.version]
    if wrong or len(known) != len(projections):
        raise StoreError(
            f"projections of another version: {', '.join(wrong) or 'one that this program lacks'}",
            hint="Run `ledger rebuild`; it makes the tables again from the log.",
        )
    return {name: (int(checkpoint), failure) for name, (_, checkpoint, failure) in known.items()}


def _save_states(store: Store, projections: Sequence[Projection], checkpoint: int) -> None:
    if not projections:
        return
    marks = ", ".join("?" * len(projections))
    store.connection.execute(
        f"update projection_state set checkpoint = ? where projection in ({marks})",  # noqa: S608
        [checkpoint, *(one.name for one in projections)],
    )
