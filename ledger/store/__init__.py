"""The store: the only transactions. The log is appended to here and nowhere else.

Theory. Positions come from one row, `log_head`, which is also the lock: a writer takes it
(`BEGIN IMMEDIATE` on SQLite, `FOR UPDATE` on PostgreSQL), so positions have no gaps and become
visible in order, which a database sequence does not promise. Events, tiles, tree head, contents
and the source's cursor stand in one transaction: after a crash a source is read on from a cursor
that matches the log exactly.

An event's key is natural. The same key with the same bytes is skipped; with other bytes it is
another telling of the fact and is kept beside the first, under `key#digest`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import msgspec

from ledger import codec, contents
from ledger.contents import Content
from ledger.errors import DeniedError, IntegrityError, StoreError
from ledger.events import EnvironmentMapped, Event, NewEvent, PersonMapped, RecordedEvent
from ledger.merkle import TreeHead, extend, leaf_hash, root_from_tiles
from ledger.store import drivers
from ledger.store.drivers import POSTGRESQL, Connection
from ledger.store.encoding import encode_all, first_tellings

EVENT_COLUMNS = (
    "position", "key", "type", "stream", "source", "occurred_at", "recorded_at", "leaf",
)  # fmt: skip
SCHEMA_VERSION = "0004"
MAX_WARM = 16_000_000  # packed bytes of contents that were read ahead
_SOME = 200


@dataclass(frozen=True, slots=True)
class SourceReading:
    """How far a source is read and how the last attempt went. Times are UTC text, empty if never."""

    cursor: bytes
    attempted_at: str
    succeeded_at: str
    failure: str


class State(NamedTuple):
    """How far the tables of one projection are; `checkpoint` is exclusive, `failure` why they stopped."""

    projection: str
    version: int
    checkpoint: int
    failure: str


class Store:
    """An open ledger. Not shared between threads.

    With a `lender` its contents stand in that other ledger; its log is its own.
    """

    def __init__(self, connection: Connection, lender: Store | None = None) -> None:
        self.connection = connection
        self._lender = lender
        self._known_content = lru_cache(maxsize=256)(self._content_row)
        self._warm: dict[bytes, drivers.Row] = {}
        self._warm_bytes = 0

    @classmethod
    def open(cls, url: str, *, read_only: bool = False, lender: Store | None = None) -> Store:
        """Opens the ledger at a database URL; StoreError when it is not there or of another version."""
        if drivers.is_absent(url):
            raise _no_ledger(url)
        connection = drivers.connect(url, read_only=read_only)
        store = cls(connection, lender)
        store._check_version(url)
        return store

    def close(self) -> None:
        """Ends the connection."""
        self.connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def states(self) -> list[State]:
        """The state of each projection whose tables stand here."""
        sql = "select projection, version, checkpoint, failure from projection_state"
        return [State(*row) for row in self.connection.rows(sql)]

    def versions(self) -> list[drivers.Row]:
        """The (name, version) of each projection whose tables stand here."""
        return self.connection.rows("select projection, version from projection_state")

    def _check_version(self, url: str) -> None:
        try:
            rows = self.connection.rows("select version_num from alembic_version")
        except DeniedError:
            self.close()
            raise DeniedError(
                f"this database user may not read the ledger in {_shown(url)}",
                hint="An auditor's own login asks the views: `ledger sql`. The rest needs the ledger's user.",
            ) from None
        except StoreError:
            self.close()
            raise _no_ledger(url) from None
        if [row[0] for row in rows] != [SCHEMA_VERSION]:
            self.close()
            raise StoreError(
                f"the ledger in {_shown(url)} is of schema {rows and rows[0][0]}, "
                f"this program needs {SCHEMA_VERSION}",
                hint="Run `ledger init` again to upgrade it, or use the program that made it.",
            )

    # -- the log -----------------------------------------------------------------------------

    def head(self) -> TreeHead:
        """The size and root of the log."""
        size, root, _ = self._head_row(lock=False)
        return TreeHead(size, root)

    def root(self, size: int) -> bytes:
        """The root that the log had when it held `size` events, from its tiles."""
        return root_from_tiles(size, self.tile)

    def _head_row(self, *, lock: bool) -> tuple[int, bytes, str]:
        suffix = " for update" if lock and self.connection.dialect == POSTGRESQL else ""
        sql = f"select size, root, recorded_at from log_head where id = 1{suffix}"  # noqa: S608
        rows = self.connection.rows(sql)
        if not rows:
            raise IntegrityError("the head of the log is missing", hint="Run `ledger verify`.")
        size, root, recorded_at = rows[0]
        return int(size), bytes(root), str(recorded_at)

    def lock(self) -> None:
        """Holds off every other writer until the transaction ends."""
        self._head_row(lock=True)

    def append(
        self,
        events: Sequence[NewEvent],
        *,
        source: str,
        recorded_at: str,
        kept: Iterable[Content] = (),
        cursor: bytes | None = None,
    ) -> list[RecordedEvent]:
        """Appends what is new of `events`, with contents and cursor, in one transaction.

        `recorded_at` is the clock of the caller; it never runs backwards in the log. Gives the
        events that were appended, at their positions. Costs one look-up for each key and three
        bulk inserts.
        """
        with self.connection.transaction():
            size, root, last = self._head_row(lock=True)
            recorded_at = max(recorded_at, last)
            fresh = self._fresh(events) if size else first_tellings(events)
            packed = list(kept)
            recorded: list[RecordedEvent] = []
            if fresh:
                rows, attachments, recorded = encode_all(fresh, size, recorded_at)
                packed += attachments
                self._insert(rows, size, root, recorded_at)
            self._keep(packed)
            if cursor is not None:
                self._save_reading(source, cursor, recorded_at)
        return recorded

    def take_over(self, rows: Sequence[drivers.Row]) -> None:
        """Appends rows of another log's `leaves`, at least one, as they stand there.

        Raises IntegrityError where they do not go on from the end of this log.
        """
        with self.connection.transaction():
            size, root, _ = self._head_row(lock=True)
            if [row[0] for row in rows] != list(range(size, size + len(rows))):
                raise IntegrityError(
                    f"the events of the other log do not go on from position {size}",
                    hint="Run `ledger verify`.",
                )
            self._insert(list(rows), size, root, rows[-1][6])

    def _fresh(self, events: Sequence[NewEvent]) -> list[NewEvent]:
        """What is not yet recorded; another telling of a recorded fact gets a key of its own."""
        known = self.connection.among("log_event", "key", [event.key for event in events])
        if not known:
            return first_tellings(events)
        fresh: list[NewEvent] = []
        for event in events:
            if event.key in known:
                if codec.same_fact(self._leaf(event.key), event):
                    continue
                event = msgspec.structs.replace(event, key=codec.variant_key(event))  # noqa: PLW2901
                if self.connection.among("log_event", "key", [event.key]):
                    continue
            fresh.append(event)
        return first_tellings(fresh)

    def _leaf(self, key: str) -> bytes:
        return bytes(self.connection.rows("select leaf from log_event where key = ?", [key])[0][0])

    def _insert(self, rows: list[drivers.Row], size: int, root: bytes, recorded_at: str) -> None:
        connection = self.connection
        if root_from_tiles(size, self.tile) != root:
            raise IntegrityError(
                f"the tree of the log does not match its head at size {size}; nothing was appended",
                hint="Someone changed the database. Run `ledger verify`.",
            )
        connection.insert("log_event", EVENT_COLUMNS, rows)
        extension = extend(size, self.tile, [leaf_hash(row[-1]) for row in rows])
        tiles = [(level, number, data) for (level, number), data in extension.tiles.items()]
        connection.upsert("log_tile", ("level", "number", "hashes"), ("level", "number"), tiles)
        head = extension.head
        connection.execute(
            "update log_head set size = ?, root = ?, recorded_at = ? "
            "where id = 1 and size = ? and root = ?",
            [head.size, head.root, recorded_at, size, root],
        )
        columns = ("size", "root", "recorded_at")
        connection.insert("log_tree_head", columns, [(head.size, head.root, recorded_at)])

    def tile(self, level: int, number: int) -> bytes:
        """The hashes of one tile of the log's tree, as stored; IntegrityError if it is missing."""
        sql = "select hashes from log_tile where level = ? and number = ?"
        rows = self.connection.rows(sql, [level, number])
        if not rows:
            raise IntegrityError(f"tile {level}/{number} of the log is missing")
        return bytes(rows[0][0])

    def _keep(self, packed: Sequence[Content]) -> None:
        unique = {content.digest: content for content in packed}
        known = self.connection.among("log_content", "digest", list(unique))
        rows = [
            (one.digest, one.kind, one.data) for one in unique.values() if one.digest not in known
        ]
        self.connection.insert("log_content", ("digest", "kind", "data"), rows)

    def read(self, start: int, limit: int) -> list[RecordedEvent]:
        """The events from a position on, at most `limit`."""
        sql = "select position, leaf from log_event where position >= ? order by position limit ?"
        rows = self.connection.rows(sql, [start, limit])
        return [self._decode(position, leaf) for position, leaf in rows]

    def leaves(self, start: int = 0) -> Iterator[drivers.Row]:
        """Every row of the log from a position on, as stored, in order, in constant memory."""
        columns = ", ".join(EVENT_COLUMNS)
        sql = f"select {columns} from log_event where position >= ? order by position"  # noqa: S608
        return self.connection.stream(sql, [start])

    def find(self, key: str) -> RecordedEvent | None:
        """The event with a key."""
        rows = self.connection.rows("select position, leaf from log_event where key = ?", [key])
        return self._decode(*rows[0]) if rows else None

    def told(self, prefix: str) -> list[RecordedEvent]:
        """The events whose key begins with a prefix that ends in a slash, in order of position."""
        assert prefix.endswith("/")
        end = prefix[:-1] + "0"  # the character after the slash
        rows = self.connection.rows(
            "select position, leaf from log_event where key >= ? and key < ? order by position",
            [prefix, end],
        )
        return [self._decode(position, leaf) for position, leaf in rows]

    def since(
        self, position: int, stream: str, types: Sequence[type[Event]]
    ) -> tuple[list[RecordedEvent], int]:
        """The events of some types in a stream from a position on, and the position after all that there are.

        Cost grows with what was recorded since then.
        """
        size = self.head().size
        marks = ", ".join("?" * len(types))
        rows = self.connection.rows(
            "select position, leaf from log_event where position >= ? and position < ? "  # noqa: S608
            f"and stream = ? and type in ({marks}) order by position",
            [position, size, stream, *(one.TYPE for one in types)],
        )
        return [self._decode(at, leaf) for at, leaf in rows], size

    def latest(self, kind: str, stream: str) -> RecordedEvent | None:
        """The newest event of a type in a stream. Cost grows with the events of that type."""
        rows = self.connection.rows(
            "select position, leaf from log_event where type = ? and stream = ? "
            "order by position desc limit 1",
            [kind, stream],
        )
        return self._decode(*rows[0]) if rows else None

    def environments(self) -> list[str]:
        """The names of all environments that were ever mapped."""
        return self._streams(EnvironmentMapped.TYPE, "environment/")

    def persons(self) -> list[str]:
        """The names of all persons that were ever mapped."""
        return self._streams(PersonMapped.TYPE, "person/")

    def _streams(self, kind: str, room: str) -> list[str]:
        sql = "select distinct stream from log_event where type = ?"
        return [row[0].removeprefix(room) for row in self.connection.rows(sql, [kind])]

    def _decode(self, position: int, leaf: bytes) -> RecordedEvent:
        return codec.decode(position, bytes(leaf), self.attachment)

    # -- contents ----------------------------------------------------------------------------

    def attachment(self, digest: str) -> bytes:
        """The bytes of an attachment or content by its text digest; IntegrityError if missing."""
        return self.content(contents.digest_bytes(digest))

    def content(self, digest: bytes) -> bytes:
        """The bytes of a content; IntegrityError if it is missing."""
        return contents.unpack(digest, self._read_content)

    def pieces(self, digest: bytes) -> list[bytes]:
        """The digests of the pieces of a content."""
        return contents.pieces_of(digest, self._read_content)

    def warm(self, digests: Iterable[bytes]) -> None:
        """Reads contents that will be asked for, with their pieces: two statements, not one for each.

        Holds them packed, at least until it is called again. Those that are missing are left to `content`,
        and so is what is left where they are too much to hold.
        """
        if self._lender is not None:
            self._lender.warm(digests)
            return
        if self._warm_bytes > MAX_WARM:
            self._warm.clear()
            self._warm_bytes = 0
        lists = [data for kind, data in self._warm_rows(digests) if kind != contents.PIECE]
        self._warm_rows(
            data[start : start + contents.DIGEST_SIZE]
            for data in lists
            for start in range(0, len(data), contents.DIGEST_SIZE)
        )

    def _warm_rows(self, digests: Iterable[bytes]) -> list[drivers.Row]:
        """The rows that were not at hand before."""
        asked = sorted(set(digests) - self._warm.keys())
        found: dict[bytes, drivers.Row] = {}
        for start in range(0, len(asked), _SOME):
            if self._warm_bytes > MAX_WARM:
                break
            some = asked[start : start + _SOME]
            marks = ", ".join("?" * len(some))
            sql = f"select digest, kind, data from log_content where digest in ({marks})"  # noqa: S608
            rows = self.connection.rows(sql, some)
            found |= {row[0]: row[1:] for row in rows}
            self._warm_bytes += sum(len(row[2]) for row in rows)
        self._warm |= found
        return list(found.values())

    def _read_content(self, digest: bytes) -> tuple[int, bytes] | None:
        try:
            return self._known_content(digest)
        except LookupError:  # not remembered: it may come
            return None

    def _content_row(self, digest: bytes) -> tuple[int, bytes]:
        if self._lender is not None:
            return self._lender._content_row(digest)
        row = self._warm.get(digest)
        if row is None:
            sql = "select kind, data from log_content where digest = ?"
            row = self.connection.rows(sql, [digest])[0]
        kind, data = row
        if not isinstance(data, bytes):
            raise IntegrityError(f"content {contents.digest_text(digest)} is not kept as bytes")
        return int(kind), data

    # -- operational -------------------------------------------------------------------------

    def reading(self, source: str) -> SourceReading:
        """How far a source is read; an empty cursor when never."""
        sql = (
            "select cursor, attempted_at, succeeded_at, failure from source_state where source = ?"
        )
        rows = self.connection.rows(sql, [source])
        if not rows:
            return SourceReading(b"", "", "", "")
        cursor, attempted, succeeded, failure = rows[0]
        return SourceReading(bytes(cursor), attempted, succeeded, failure)

    def _save_reading(self, source: str, cursor: bytes, at: str) -> None:
        columns = ("source", "cursor", "attempted_at", "succeeded_at", "failure")
        self.connection.upsert("source_state", columns, ("source",), [(source, cursor, at, at, "")])

    def touch(self, source: str, at: str) -> None:
        """Notes that a source was read and held nothing new."""
        done = (
            "update source_state set attempted_at = ?, succeeded_at = ?, failure = '' "
            "where source = ? returning source"
        )
        with self.connection.transaction():
            if not self.connection.rows(done, [at, at, source]):
                self._save_reading(source, b"", at)

    def fail(self, source: str, at: str, failure: str) -> None:
        """Notes that a source could not be read; its cursor stays."""
        with self.connection.transaction():
            now = self.reading(source)
            columns = ("source", "cursor", "attempted_at", "succeeded_at", "failure")
            row = (source, now.cursor, at, now.succeeded_at, failure)
            self.connection.upsert("source_state", columns, ("source",), [row])


def _no_ledger(url: str) -> StoreError:
    return StoreError(f"there is no ledger in {_shown(url)}", hint="Run `ledger init` first.")


def _shown(url: str) -> str:
    """A database URL without its password."""
    scheme, separator, rest = url.partition("://")
    credentials, at, host = rest.rpartition("@")
    user = credentials.partition(":")[0]
    return f"{scheme}{separator}{user}{at}{host}" if at else url
