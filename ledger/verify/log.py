"""Re-derives everything from the stored bytes and trusts nothing that was computed before.

The first finding is the first bad position. What a database alone cannot show: that the whole log
was rewritten or cut back with its tree. For that a tree head must be held elsewhere; such heads are
compared on the way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from ledger import codec, contents
from ledger.anchors import Held
from ledger.contents import PIECE
from ledger.errors import IntegrityError, StoreError
from ledger.events import CommitObserved
from ledger.merkle import EMPTY_ROOT, HASH_SIZE, Rebuilder, TreeHead, leaf_hash
from ledger.store import Store
from ledger.store.guards import check_guards
from ledger.verify.findings import Finding
from ledger.verify.held import Holding

BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at."""

    events: int
    contents: int
    content_bytes: int
    tree_heads: int
    head: TreeHead


class Verifier:
    """Walks the log once. Constant memory apart from the digests of contents at hand.

    `held` are the tree heads that are kept outside; `agreed` those that the log was found to go on from.
    """

    def __init__(self, store: Store, held: Sequence[Held] = ()) -> None:
        self._store = store
        self._held = Holding(held, self._hashes)
        self._connection = store.connection
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._level0: tuple[int, bytes] = (-1, b"")
        self._tile_count = 0
        self.events = 0
        self.contents = 0
        self.content_bytes = 0
        self.tree_heads = 0
        self.head = TreeHead(0, EMPTY_ROOT)

    def checked(self) -> Checked:
        """What was looked at so far."""
        return Checked(self.events, self.contents, self.content_bytes, self.tree_heads, self.head)

    @property
    def agreed(self) -> list[Held]:
        """The tree heads held outside that the log bears out, smallest first."""
        return self._held.agreed

    def log(self) -> Iterator[Finding]:
        """Guards, then every event against its hash, its columns, its place, its tree."""
        try:
            check_guards(self._connection)
        except IntegrityError as error:
            yield Finding(None, error.message)
        try:
            [[lowest]] = self._connection.rows("select min(position) from log_event")
            if lowest is not None and lowest < 0:
                yield Finding(0, f"an event stands before the first, at {lowest}")
            yield from self._walk()
        except StoreError as error:
            yield Finding(self.events, f"it and what follows cannot be read: {error.message}")

    def _walk(self) -> Iterator[Finding]:
        rebuilder = Rebuilder(self._compare_later)
        heads = self._heads()
        next_head = next(heads, None)
        last = ""
        expected = headed = 0
        for row in self._store.leaves():
            position, recorded_at, leaf = row[0], row[6], _raw(row[7])
            if position != expected:
                yield Finding(expected, f"missing; the next event in the log is at {position}")
                return
            hashed = leaf_hash(leaf)
            if hashed != self._stored_hash(position):
                yield Finding(position, "the event's bytes do not match the hash in the tree")
                return
            wrong = _columns_differ(row, leaf)
            if wrong:
                yield Finding(position, wrong)
                return
            if recorded_at < last:
                yield Finding(
                    position, f"recorded at {recorded_at}, before the event in front of it ({last})"
                )
            last = recorded_at
            rebuilder.add(hashed)
            expected += 1
            self.events = expected
            yield from self._compare_tiles()
            if expected == self._held.next_size:
                yield from self._held.compare(rebuilder)
            while next_head is not None and next_head[0] <= expected:
                size = next_head[0]
                if next_head != (expected, rebuilder.head().root, recorded_at):
                    yield Finding(
                        max(size, 1) - 1,
                        f"the tree head of size {size} does not follow from the events",
                    )
                    return
                self.tree_heads += 1
                headed = size
                next_head = next(heads, None)
        yield from self._end(rebuilder, last)
        if next_head is not None:
            yield Finding(
                expected,
                f"the end of the log is missing: there is a tree head of size {next_head[0]}",
            )
        elif headed != expected:
            yield Finding(headed, f"there is no tree head of size {expected}, the whole log")
        yield from self._held.end(expected)

    def _end(self, rebuilder: Rebuilder, last: str) -> Iterator[Finding]:
        for key, data in rebuilder.edge().items():
            self._compare_later(*key, data)
        yield from self._compare_tiles()
        try:
            stored = self._store.head()
        except (IntegrityError, TypeError, ValueError) as error:
            yield Finding(None, f"the head cannot be read: {error}")
            return
        self.head = rebuilder.head()
        if stored != self.head:
            yield Finding(
                min(stored.size, self.head.size),
                f"the head says size {stored.size} and root {stored.root.hex()}, "
                f"the events give size {self.head.size} and root {self.head.root.hex()}",
            )
        if self._connection.rows("select recorded_at from log_head") != [(last,)]:
            yield Finding(None, f"the head does not say that the last event was recorded at {last}")
        [[tiles]] = self._connection.rows("select count(*) from log_tile")
        if tiles != self._tile_count:
            yield Finding(None, f"the tree has {tiles} tiles, the events give {self._tile_count}")

    def _heads(self) -> Iterator[tuple[int, bytes, str]]:
        rows = self._connection.rows(
            "select size, root, recorded_at from log_tree_head order by size"
        )
        return ((int(size), _raw(root), recorded_at) for size, root, recorded_at in rows)

    def _stored_hash(self, position: int) -> bytes:
        number, at = divmod(position, 256)
        if self._level0[0] != number:
            self._level0 = (number, self._hashes(number))
        return self._level0[1][at * 32 : at * 32 + 32]

    def _hashes(self, number: int) -> bytes:
        rows = self._connection.rows(
            "select hashes from log_tile where level = 0 and number = ?", [number]
        )
        return _raw(rows[0][0]) if rows else b""

    def _compare_later(self, level: int, number: int, data: bytes) -> None:
        self._tiles[level, number] = data
        self._tile_count += 1

    def _compare_tiles(self) -> list[Finding]:
        found: list[Finding] = []
        for (level, number), data in self._tiles.items():
            rows = self._connection.rows(
                "select hashes from log_tile where level = ? and number = ?", [level, number]
            )
            stored = _raw(rows[0][0]) if rows else b""
            if stored != data:
                first = (number * 256 + _first_difference(stored, data)) * 256**level
                found.append(
                    Finding(first, f"tile {level}/{number} of the tree is not what the events give")
                )
        self._tiles.clear()
        return found

    def kept(self) -> Iterator[Finding]:
        """Every content against its digest, and every content that an event speaks of."""
        try:
            yield from self._kept()
            yield from self._spoken_of()
        except StoreError as error:
            yield Finding(None, f"the contents cannot be read: {error.message}")

    def _kept(self) -> Iterator[Finding]:
        pieces = self._connection.stream(
            "select digest, kind, data from log_content order by kind, digest"
        )
        for digest, kind, data in pieces:
            self.contents += 1
            raw = _raw(digest)
            try:
                clear = (
                    contents.inflate(raw, _raw(data)) if kind == PIECE else self._store.content(raw)
                )
            except IntegrityError as error:
                yield Finding(None, error.message)
                continue
            self.content_bytes += len(clear) if kind == PIECE else 0
            if hashlib.sha256(clear).digest() != raw:
                yield Finding(None, f"content {contents.digest_text(raw)} is not what was recorded")

    def _spoken_of(self) -> Iterator[Finding]:
        start = 0
        while True:
            rows = self._connection.rows(
                "select position, leaf from log_event where position >= ? order by position limit ?",
                [start, BATCH],
            )
            if not rows:
                return
            wanted: dict[bytes, int] = {}
            found: list[Finding] = []
            for position, leaf in rows:
                try:
                    digests = _digests(position, _raw(leaf), self._store)
                except IntegrityError as error:
                    found.append(Finding(position, error.message))
                    continue
                for digest in digests:
                    wanted.setdefault(digest, position)
            there = {
                bytes(one) for one in self._connection.among("log_content", "digest", list(wanted))
            }
            for digest, position in wanted.items():
                if digest not in there:
                    what = f"content {contents.digest_text(digest)} that it speaks of is missing"
                    found.append(Finding(position, what))
            yield from sorted(found, key=lambda one: one.position or 0)
            start = rows[-1][0] + 1


def _digests(position: int, leaf: bytes, store: Store) -> list[bytes]:
    data = codec.decode(position, leaf, store.attachment).data  # which reads the attachments
    if not isinstance(data, CommitObserved):
        kept = [getattr(data, name, "") for name in ("raw", "content", "managers", "objects")]
        return [contents.digest_bytes(one) for one in kept if one]
    sides = [side for file in data.files for side in (file.before, file.after) if side]
    return [
        contents.digest_bytes(side.digest) for side in sides if side.digest and not side.content
    ]


def _raw(value: object) -> bytes:
    """The bytes of a column; none where SQLite was made to hold something else there."""
    return bytes(value) if isinstance(value, bytes | memoryview) else b""


def _first_difference(left: bytes, right: bytes) -> int:
    """Which hash of two tiles is the first that differs."""
    at = next(
        (at for at, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), None
    )
    return (min(len(left), len(right)) if at is None else at) // HASH_SIZE


def _columns_differ(row: tuple[object, ...], leaf: bytes) -> str:
    """What of a row's look-up columns is not what its leaf says; empty when all agree."""
    try:
        envelope = msgspec.json.decode(leaf, type=codec.RawEnvelope)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        return f"the bytes are no event: {error}"
    said = (
        envelope.key, envelope.type, envelope.stream, envelope.source, envelope.occurred_at,
        envelope.recorded_at,
    )  # fmt: skip
    names = ("key", "type", "stream", "source", "occurred_at", "recorded_at")
    for name, column, truth in zip(names, row[1:7], said, strict=True):
        if column != truth:
            return f"column {name} says {column!r}, the event says {truth!r}"
    return ""
