"""Counts of refused requests, of which nothing else is kept: a row for each sender, reason and hour.

They stand beside the inbox until the hour is over and recorded, so that nobody can fill the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ledger.store.drivers import POSTGRESQL, SQLITE, Connection

_COUNTED = (
    "sender text not null, reason text not null, hour text not null, requests bigint not null, "
    "first_at text not null, last_at text not null, closed integer not null"
)
_COLUMNS = {
    SQLITE: f"number integer primary key autoincrement, {_COUNTED}",
    POSTGRESQL: f"number bigint generated always as identity primary key, {_COUNTED}",
}


class Kind(NamedTuple):
    """What refused requests are counted by; `hour` is the beginning of UTC text, `2026-11-23T04`."""

    sender: str
    reason: str
    hour: str


class Count(NamedTuple):
    """How many there were, and when the first and the last of them came (UTC text)."""

    requests: int
    first_at: str
    last_at: str

    def plus(self, other: Count) -> Count:
        """Both together."""
        first, last = min(self.first_at, other.first_at), max(self.last_at, other.last_at)
        return Count(self.requests + other.requests, first, last)


class Refusals(NamedTuple):
    """A count that is final. What is still counted for its hour later is another."""

    number: int
    kind: Kind
    total: Count


def statements(table: str, dialect: str) -> list[str]:
    """What makes the table of the counts."""
    return [
        f"create table if not exists {table} ({_COLUMNS[dialect]})",
        f"create unique index if not exists refusal_counting on {table} (sender, reason, hour) "
        "where closed = 0",
    ]


class RefusalCounts:
    """The counts in a table of an open inbox."""

    def __init__(self, connection: Connection, table: str) -> None:
        self._connection = connection
        self._table = table

    def add(self, counts: Mapping[Kind, Count]) -> None:
        """Counts requests durably."""
        sql = (
            f"insert into {self._table} as r "  # noqa: S608
            "(sender, reason, hour, requests, first_at, last_at, closed) values (?, ?, ?, ?, ?, ?, 0) "
            "on conflict (sender, reason, hour) where closed = 0 do update set "
            "requests = r.requests + excluded.requests, "
            "first_at = case when excluded.first_at < r.first_at then excluded.first_at "
            "else r.first_at end, "
            "last_at = case when excluded.last_at > r.last_at then excluded.last_at else r.last_at end"
        )
        with self._connection.transaction():
            for kind, count in sorted(counts.items()):
                self._connection.execute(sql, [*kind, *count])

    def final(self, before: str) -> Sequence[Refusals]:
        """The counts of all hours before an hour. They are final from now on."""
        counting = f"{self._table} where closed = 0 and hour < ?"
        if self._connection.rows(f"select 1 from {counting} limit 1", [before]):  # noqa: S608
            with self._connection.transaction():
                self._connection.execute(
                    f"update {self._table} set closed = 1 where closed = 0 and hour < ?",  # noqa: S608
                    [before],
                )
        rows = self._connection.rows(
            "select number, sender, reason, hour, requests, first_at, last_at "  # noqa: S608
            f"from {self._table} where closed = 1 order by hour, sender, reason, number"
        )
        return [
            Refusals(int(row[0]), Kind(*row[1:4]), Count(int(row[4]), *row[5:])) for row in rows
        ]

    def forget(self, number: int) -> None:
        """Drops a final count, which is recorded."""
        with self._connection.transaction():
            self._connection.execute(
                f"delete from {self._table} where number = ? and closed = 1",  # noqa: S608
                [number],
            )

    def counting(self) -> int:
        """How many requests are counted and not yet final."""
        rows = self._connection.rows(
            f"select coalesce(sum(requests), 0) from {self._table} where closed = 0"  # noqa: S608
        )
        return int(rows[0][0])
