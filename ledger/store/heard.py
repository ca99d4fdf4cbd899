"""What deliveries told, and what they should have: notes beside the inbox, by which losses are found.

Operational, as the inbox is. A note says of a fact (by its key) that a delivery told it, and whether it
came in time. A fact that the API told is awaited until a delivery tells it, or it is known to be lost.

Old notes are dropped up to one that came in time. What happened before the first of those that are left
is never awaited, so that a fact whose own note is gone is not taken for lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.store.drivers import POSTGRESQL
from ledger.store.inbox import Inbox

MOST_OLD = 1_000
"""How many old notes of a feed are let stand, so that dropping them is seldom done."""

_HEARD = (
    "sender text not null, feed text not null, key text not null, at text not null, "
    "live integer not null, primary key (sender, key)"
)
_AWAITED = (
    "sender text not null, key text not null, feed text not null, at text not null, "
    "stream text not null, primary key (sender, key)"
)


class Note(NamedTuple):
    """A fact that a delivery told: its feed, its key, when it happened, whether it came in time."""

    feed: str
    key: str
    at: str
    live: bool


class Awaited(NamedTuple):
    """A fact that the API told and no delivery yet."""

    sender: str
    key: str
    feed: str
    at: str
    stream: str


class Heard:
    """The notes of an open inbox."""

    def __init__(self, inbox: Inbox) -> None:
        self._connection = inbox.connection
        self._heard, self._awaited = inbox.beside("heard"), inbox.beside("awaited")
        if not self._stand():
            with self._connection.transaction():
                if self._connection.dialect == POSTGRESQL:
                    self._connection.execute(
                        "select pg_advisory_xact_lock(hashtext('ledger inbox'))"
                    )
                self._connection.script(
                    [
                        f"create table if not exists {self._heard} ({_HEARD})",
                        f"create index if not exists heard_live on {self._heard} (sender, feed, at) "
                        "where live = 1",
                        f"create table if not exists {self._awaited} ({_AWAITED})",
                    ]
                )

    def _stand(self) -> bool:
        """Whether the tables are there; the last that is made tells."""
        if self._connection.dialect == POSTGRESQL:
            return self._connection.rows("select to_regclass(?)", [self._awaited])[0][0] is not None
        sql = "select 1 from sqlite_master where type = 'table' and name = ?"
        return bool(self._connection.rows(sql, [self._awaited]))

    def note(self, sender: str, notes: Sequence[Note], old: str) -> None:
        """Notes what a delivery told; what came in time once stays so. Drops what is `old` (UTC text).

        Costs a look at the old notes of each feed, of which there are few.
        """
        sql = (
            f"insert into {self._heard} as h (sender, feed, key, at, live) values (?, ?, ?, ?, ?) "  # noqa: S608
            "on conflict (sender, key) do update set "
            "live = case when excluded.live > h.live then excluded.live else h.live end"
        )
        with self._connection.transaction():
            for one in notes:
                values = [sender, one.feed, one.key, one.at, int(one.live)]
                self._connection.execute(sql, values)
            for feed in sorted({one.feed for one in notes}):
                self._prune(sender, feed, old)

    def _prune(self, sender: str, feed: str, old: str) -> None:
        """Drops the notes of a feed before the last one that came in time and is old, if there are many."""
        live = f"from {self._heard} where sender = ? and feed = ? and live = 1"
        [(last, count)] = self._connection.rows(
            f"select max(at), count(*) {live} and at < ?", [sender, feed, old]
        )
        if count > MOST_OLD:
            self._connection.execute(
                f"delete from {self._heard} where sender = ? and feed = ? and at < ?",  # noqa: S608
                [sender, feed, last],
            )

    def begun(self, sender: str) -> dict[str, str]:
        """Since when each feed of a sender delivers: the time of the first fact that came in time."""
        sql = f"select feed, min(at) from {self._heard} where sender = ? and live = 1 group by feed"  # noqa: S608
        return {str(feed): str(at) for feed, at in self._connection.rows(sql, [sender])}

    def expect(self, awaited: Sequence[Awaited]) -> None:
        """Awaits the facts that no delivery told yet."""
        sql = (
            f"insert into {self._awaited} (sender, key, feed, at, stream) "  # noqa: S608
            "select ?, ?, ?, ?, ? where not exists "
            f"(select 1 from {self._heard} where sender = ? and key = ?) on conflict do nothing"
        )
        with self._connection.transaction():
            for one in awaited:
                self._connection.execute(sql, [*one, one.sender, one.key])

    def awaited(self, sender: str, before: str) -> list[Awaited]:
        """What happened before a time and is still awaited, oldest first. What came since is forgotten."""
        with self._connection.transaction():
            self._connection.execute(
                f"delete from {self._awaited} where sender = ? and exists (select 1 "  # noqa: S608
                f"from {self._heard} h where h.sender = {self._awaited}.sender "
                f"and h.key = {self._awaited}.key)",
                [sender],
            )
        rows = self._connection.rows(
            f"select sender, key, feed, at, stream from {self._awaited} "  # noqa: S608
            "where sender = ? and at < ? order by at, key",
            [sender, before],
        )
        return [Awaited(*row) for row in rows]

    def around(self, one: Awaited) -> tuple[str, str]:
        """When the facts just before and after one happened that came in time; empty where none did."""
        live = f"from {self._heard} where sender = ? and feed = ? and live = 1"
        [(before, after)] = self._connection.rows(
            f"select (select max(at) {live} and at < ?), (select min(at) {live} and at > ?)",
            [one.sender, one.feed, one.at, one.sender, one.feed, one.at],
        )
        return str(before or ""), str(after or "")

    def settle(self, one: Awaited) -> None:
        """Awaits a fact no longer."""
        with self._connection.transaction():
            self._connection.execute(
                f"delete from {self._awaited} where sender = ? and key = ?",  # noqa: S608
                [one.sender, one.key],
            )
