"""The rows of one table while projections run: what was read, what was made and is not yet written."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, cast

from ledger.projections import Row, Table
from ledger.store import Store
from ledger.store.schema import table_name

MAX_ROWS = 16_000
SMALL = 500
MAX_KNOWN = 100_000
Key = tuple[Any, ...]
Keys = tuple[Key, ...] | dict[Key, None]  # none or one, as most groups have it; or more


class Cache:
    """The rows of one table that were read or made."""

    def __init__(self, store: Store, table: Table, suffix: str) -> None:
        self.table = table
        self.name = table_name(table, suffix)
        self._connection = store.connection
        self._select = f"select {', '.join(table.columns)} from {self.name}"  # noqa: S608
        self._key_of = _getter(table.columns, table.key)
        self._lookups = {names: _getter(table.columns, names) for names in table.lookups}
        self._make = table.row._make  # type: ignore[attr-defined]
        self._groups: dict[tuple[str, ...], dict[Key, Keys]] = {}
        self._dirty: dict[Key, Row] = {}
        # Of the dirty rows: their keys by group, some of which have moved on to another group.
        self._made: dict[tuple[str, ...], dict[Key, list[Key]]] = {n: {} for n in self._lookups}
        self._gone: dict[Key, None] = {}
        self._added: list[Row] = []
        # Rows of a log, nine of ten, are only noted: a call less for each.
        self.put: Callable[[Row], None] = self._added.append if table.log else self._put
        self.rows: dict[Key, Row | None] = {}
        self.complete = False
        self._begun = table.log
        # Hashes of the keys and groups that there may be, if that is known once the table is large: most
        # rows that are asked for then are new ones, and no statement needs to say so.
        self._known: set[int] | None = None
        self._forget()
        self._last_id: int | None = None

    def _forget(self) -> None:
        if self.complete:
            self._known = set()
            for key, row in self.rows.items():
                if row is not None:
                    self._note(key, row)
        self.rows = {}
        self._groups = {names: {} for names in self._lookups}
        self.complete = False

    def _begin(self) -> None:
        """Reads a small table whole when it is first asked for, and not before: most never are."""
        self._begun = True
        found = self._connection.rows(f"{self._select} limit {SMALL + 1}")
        if len(found) <= SMALL:
            self.complete = True
            for raw in found:
                self._hold(self._make(raw))

    def _note(self, key: Key, row: Row) -> None:
        """Remembers that there may be such a row."""
        if self._known is not None:
            self._known.add(hash(key))
            for names, group_of in self._lookups.items():
                self._known.add(hash((names, group_of(row))))
            if len(self._known) > MAX_KNOWN:
                self._known = None

    def _is_new(self, key: Key | tuple[tuple[str, ...], Key]) -> bool:
        """Whether no row with such a key, or in such a group, was ever there."""
        return self.complete or (self._known is not None and hash(key) not in self._known)

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
                groups[before] = _without(groups[before], key)
            held = groups.get(group)
            if held:
                groups[group] = _with(held, key)
            elif held is not None or self.complete:
                groups[group] = (key,)

    def get(self, key: Key) -> Row | None:
        if not self._begun:
            self._begin()
        if key in self.rows:
            return self.rows[key]
        if self._is_new(key):
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
        if not self._begun:
            self._begin()
        groups = self._groups[names]
        if values not in groups and not self._is_new((names, values)):
            groups[values] = ()
            group_of = self._lookups[names]
            where = " and ".join(f"{name} = ?" for name in names)
            for raw in self._connection.rows(f"{self._select} where {where}", values):
                row = self._make(raw)
                known = self.rows.get(self._key_of(row))
                if known is None:
                    if self._key_of(row) not in self._gone:
                        self._hold(row)
                elif group_of(known) == values:
                    groups[values] = _with(groups[values], self._key_of(row))
            # Rows made since, which the table does not have yet, say better where they belong.
            for key in self._made[names].get(values, ()):
                if key in self._dirty and group_of(self._dirty[key]) == values:
                    groups[values] = _with(groups[values], key)
        keys = groups.get(values, ())
        ordered = sorted(keys) if len(keys) > 1 else keys
        return [cast("Row", self.rows[key]) for key in ordered]

    def _put(self, row: Row) -> None:
        if not self._begun:
            self._begin()
        self._hold(row)
        key = self._key_of(row)
        self._dirty[key] = row
        if not self.complete:
            self._note(key, row)
        for names, group_of in self._lookups.items():
            self._made[names].setdefault(group_of(row), []).append(key)

    def drop(self, key: Key) -> None:
        """Takes a row away."""
        old = self.get(key)
        if old is not None:
            for names, group_of in self._lookups.items():
                groups, group = self._groups[names], group_of(old)
                if group in groups:
                    groups[group] = _without(groups[group], key)
            self.rows[key] = None
            self._dirty.pop(key, None)
            self._gone[key] = None

    def flush(self) -> None:
        if self._added:
            self._connection.insert(self.name, self.table.columns, self._added)
            self._added.clear()
        if self._gone:
            where = " and ".join(f"{name} = ?" for name in self.table.key)
            for key in self._gone:
                self._connection.execute(f"delete from {self.name} where {where}", key)  # noqa: S608
            self._gone = {}
        if self._dirty:
            rows = list(self._dirty.values())
            self._connection.upsert(self.name, self.table.columns, self.table.key, rows)
            self._dirty = {}
            self._made = {names: {} for names in self._lookups}
        if len(self.rows) > MAX_ROWS:
            self._forget()


def _with(keys: Keys, key: Key) -> Keys:
    if isinstance(keys, dict):
        keys[key] = None
        return keys
    return {keys[0]: None, key: None} if keys and keys[0] != key else (key,)


def _without(keys: Keys, key: Key) -> Keys:
    if isinstance(keys, dict):
        keys.pop(key, None)
        return keys
    return () if keys == (key,) else keys


def _getter(columns: tuple[str, ...], names: tuple[str, ...]) -> Callable[[Row], Key]:
    places = [columns.index(name) for name in names]
    if len(places) == 1:
        place = places[0]
        return lambda row: (row[place],)
    return itemgetter(*places)
