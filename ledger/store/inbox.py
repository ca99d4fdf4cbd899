"""The inbox: deliveries as they came, kept before they are acknowledged and until they are recorded.

Bodies are not redacted yet, so they stand where no auditor and no copy of the ledger reaches them: on
SQLite in a file of its own, `ledger.db-inbox`, which its owner alone may read; on PostgreSQL in a schema
of its own, called as the ledger's with `_inbox` behind it. A body is dropped once it is recorded: its
redacted text is then in the log's contents. One that could not be read stays until it is sent again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from ledger.errors import StoreError
from ledger.store import drivers, refusals
from ledger.store.drivers import POSTGRESQL, SQLITE, Connection
from ledger.store.refusals import RefusalCounts
from ledger.store.roles import quoted

WAITING, DONE, FAILED = "waiting", "done", "failed"
ACCEPTED: Final = "accepted"
REPEATED: Final = "repeated"
CONFLICTING: Final = "conflicting"
TOGETHER: Final = 100
BYTES: Final = 4 * 2**20
"""How many deliveries are recorded in one transaction, and of how many bytes if more than one."""

_COLUMNS = {
    SQLITE: "number integer primary key autoincrement, sender text not null, delivery text not null, "
    "received_at text not null, headers text not null, body blob not null, digest blob not null, "
    "state text not null, reason text not null, attempts integer not null, unique (sender, delivery)",
    POSTGRESQL: "number bigint generated always as identity primary key, sender text not null, "
    "delivery text not null, received_at text not null, headers text not null, body bytea not null, "
    "digest bytea not null, state text not null, reason text not null, attempts integer not null, "
    "unique (sender, delivery)",
}


class Delivery(NamedTuple):
    """One accepted request: who sent it, the sender's id of it, when it came, and what it held."""

    number: int
    sender: str
    delivery: str
    received_at: str
    headers: dict[str, str]
    body: bytes


class Arrival(NamedTuple):
    """An authentic request that is to be kept. `headers` are those that its source reads."""

    sender: str
    delivery: str
    received_at: str
    headers: Mapping[str, str]
    body: bytes


class Inbox:
    """An open inbox. Not shared between threads."""

    def __init__(self, connection: Connection, table: str, file: Path | None = None) -> None:
        self._connection = connection
        self._table = table
        self._file = file
        self._opened = _identity(file)

    @classmethod
    def open(cls, url: str) -> Inbox:
        """Opens the inbox of the ledger at a database URL, and makes it if there is none.

        Raises StoreError where it cannot be had.
        """
        if url.startswith("sqlite:///"):
            return cls._open_file(file_of(url))
        connection = drivers.connect(url)
        try:
            return cls(connection, _make_schema(connection))
        except StoreError:
            connection.close()
            raise

    @classmethod
    def find(cls, url: str) -> Inbox | None:
        """Opens the inbox only where something was ever delivered."""
        if not may_exist(url):
            return None
        if url.startswith("sqlite:///"):
            return cls.open(url)
        connection = drivers.connect(url)
        if _exists(connection, _table_name(connection)):
            return cls(connection, _make_schema(connection))
        connection.close()
        return None

    @classmethod
    def _open_file(cls, path: Path) -> Inbox:
        try:
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            path.chmod(0o600)  # SQLite gives its other files the rights of this one
        except OSError as error:
            raise StoreError(
                f"the inbox {path} cannot be used: {error.strerror}",
                hint="Check the rights on the folder of the database.",
            ) from error
        connection = drivers.SqliteConnection(str(path))
        connection.execute("pragma secure_delete = on")
        connection.script(_statements("delivery", SQLITE))
        return cls(connection, "delivery", path)

    @property
    def connection(self) -> Connection:
        """The connection, for the notes that stand beside the deliveries (`heard`)."""
        return self._connection

    def beside(self, name: str) -> str:
        """The name in SQL of a table of these notes."""
        return f"{self._table.removesuffix('delivery')}{name}"

    @property
    def refused(self) -> RefusalCounts:
        """What counts the requests of which nothing is kept."""
        return RefusalCounts(self._connection, _refusals_of(self._table))

    def was_accepted(self, sender: str, delivery: str) -> bool:
        """Whether a delivery came, by the sender's own id of it."""
        sql = f"select 1 from {self._table} where sender = ? and delivery = ?"  # noqa: S608
        return bool(self._connection.rows(sql, [sender, delivery]))

    def stands(self) -> bool:
        """Whether its file, if it has one, is still where it was opened; what is moved away takes nothing."""
        return _identity(self._file) == self._opened

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def __enter__(self) -> Inbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- coming in ---------------------------------------------------------------------------

    def accept(
        self,
        sender: str,
        delivery: str,
        *,
        received_at: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> str:
        """Keeps one delivery durably; what it gives is as of `accept_all`."""
        return self.accept_all([Arrival(sender, delivery, received_at, headers, body)])[0]

    def accept_all(self, arrivals: Sequence[Arrival]) -> list[str]:
        """Keeps deliveries durably, all of them or none: one transaction, whatever their number.

        Each is ACCEPTED where it is new, or could not be read when it came before; REPEATED where the same
        stands already, CONFLICTING where the id stands with another body: then nothing is changed.
        """
        with self._connection.transaction():
            return [self._accept(one) for one in arrivals]

    def _accept(self, one: Arrival) -> str:
        digest = hashlib.sha256(one.body).digest()
        text = json.dumps(dict(one.headers))
        made = self._connection.rows(
            f"insert into {self._table} (sender, delivery, received_at, headers, body, digest, "  # noqa: S608
            "state, reason, attempts) values (?, ?, ?, ?, ?, ?, 'waiting', '', 0) "
            "on conflict (sender, delivery) do nothing returning number",
            [one.sender, one.delivery, one.received_at, text, one.body, digest],
        )
        if made:
            return ACCEPTED
        [(number, state, known)] = self._connection.rows(
            f"select number, state, digest from {self._table} "  # noqa: S608
            "where sender = ? and delivery = ?",
            [one.sender, one.delivery],
        )
        if bytes(known) != digest:
            return CONFLICTING
        if state != FAILED:
            return REPEATED
        self._set(number, WAITING, "")
        return ACCEPTED

    # -- going out ---------------------------------------------------------------------------

    def waiting(self) -> Sequence[int]:
        """The numbers of deliveries that are not yet recorded; what was tried most often comes last."""
        rows = self._connection.rows(
            f"select number from {self._table} where state = 'waiting' "  # noqa: S608
            "order by attempts, number"
        )
        return [int(row[0]) for row in rows]

    def take(self, numbers: Sequence[int]) -> list[Delivery]:
        """The first of some waiting deliveries, as many as may be recorded together, perhaps none.

        An attempt is counted for each before it is given. What was tried before comes alone: if it ends
        the process, it does not take others with it again and again. Those that another process had are
        left out. `numbers` are as `waiting` gives them; at most `TOGETHER` of them and `BYTES` are taken.
        """
        marks = ", ".join("?" * min(len(numbers), TOGETHER))
        waiting = f"{self._table} where number in ({marks}) and state = 'waiting'"
        with self._connection.transaction():
            sizes = self._connection.rows(
                f"select number, attempts, length(body) from {waiting} order by attempts, number",  # noqa: S608
                numbers[:TOGETHER],
            )
            chosen = _together(sizes)
            if not chosen:
                return []
            marks = ", ".join("?" * len(chosen))
            self._connection.execute(
                f"update {self._table} set attempts = attempts + 1 where number in ({marks})",  # noqa: S608
                chosen,
            )
            rows = self._connection.rows(
                "select number, sender, delivery, received_at, headers, body "  # noqa: S608
                f"from {self._table} where number in ({marks}) order by number",
                chosen,
            )
        return [
            Delivery(int(number), sender, delivery, received_at, json.loads(headers), bytes(body))
            for number, sender, delivery, received_at, headers, body in rows
        ]

    def done(self, numbers: Sequence[int]) -> None:
        """Notes that deliveries are recorded, and drops their bodies."""
        if not numbers:
            return
        marks = ", ".join("?" * len(numbers))
        with self._connection.transaction():
            self._connection.execute(
                f"update {self._table} set state = 'done', reason = '', body = ? "  # noqa: S608
                f"where number in ({marks})",
                [b"", *numbers],
            )

    def sweep(self) -> None:
        """Removes what SQLite still holds of dropped bodies beside the file, unless others use it now."""
        if self._connection.dialect == SQLITE:
            self._connection.rows("pragma wal_checkpoint(truncate)")

    def failed(self, number: int, reason: str) -> None:
        """Notes that a delivery could not be read and why; it stays, and waits again when it is repeated."""
        with self._connection.transaction():
            self._set(number, FAILED, reason)

    def _set(self, number: int, state: str, reason: str) -> None:
        self._connection.execute(
            f"update {self._table} set state = ?, reason = ? where number = ?",  # noqa: S608
            [state, reason, number],
        )

    def counts(self) -> dict[str, int]:
        """How many deliveries are in each state."""
        rows = self._connection.rows(
            f"select state, count(*) from {self._table} group by state"  # noqa: S608
        )
        return {WAITING: 0, DONE: 0, FAILED: 0} | {state: int(count) for state, count in rows}


def _together(sizes: Sequence[tuple[int, int, int]]) -> list[int]:
    """The first of (number, attempts, bytes) that may be recorded together."""
    chosen: list[int] = []
    room = BYTES
    for number, attempts, size in sizes:
        room -= size
        if chosen and (attempts or room < 0):
            break
        chosen.append(number)
        if attempts:
            break
    return chosen


def _identity(file: Path | None) -> tuple[int, int]:
    """What tells a file from another at its path; nothing where there is none."""
    try:
        found = file.stat() if file is not None else None
    except OSError:
        found = None
    return (found.st_dev, found.st_ino) if found else (0, 0)


def may_exist(url: str) -> bool:
    """False where nothing was ever delivered; of PostgreSQL that is not known without a connection."""
    return not url.startswith("sqlite:///") or file_of(url).exists()


def file_of(url: str) -> Path:
    """The inbox of a ledger on SQLite: beside its file."""
    path = Path(drivers.sqlite_path(url))
    return path.with_name(f"{path.name}-inbox")


def _table_name(connection: Connection) -> str:
    schema = str(connection.rows("select current_schema()")[0][0])
    return f"{quoted(f'{schema}_inbox')}.delivery"


def _exists(connection: Connection, table: str) -> bool:
    return connection.rows("select to_regclass(?)", [table])[0][0] is not None


def _refusals_of(table: str) -> str:
    return f"{table.removesuffix('delivery')}refusal"


def _make_schema(connection: Connection) -> str:
    table = _table_name(connection)
    if not _exists(connection, _refusals_of(table)):  # the newest of what is made here
        try:
            with connection.transaction():
                connection.execute("select pg_advisory_xact_lock(hashtext('ledger inbox'))")
                schema = f"create schema if not exists {table.removesuffix('.delivery')}"
                connection.script([schema, *_statements(table, POSTGRESQL)])
        except StoreError as error:
            raise StoreError(
                f"the schema for deliveries cannot be made: {error.message}",
                hint="Let the ledger's user make schemas in its database (GRANT CREATE ON DATABASE).",
            ) from error
    return table


def _statements(table: str, dialect: str) -> list[str]:
    """What makes the tables, or what an inbox of an earlier version lacks of them."""
    return [
        f"create table if not exists {table} ({_COLUMNS[dialect]})",
        f"create index if not exists delivery_waiting on {table} (attempts, number) "
        "where state = 'waiting'",
        *refusals.statements(_refusals_of(table), dialect),
    ]
