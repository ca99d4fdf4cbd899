"""Whoever changes the database behind the program's back is found, at the first place that differs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger import contents, exporting, registry
from ledger.anchors import Held, read_held
from ledger.contents import Content
from ledger.errors import StoreError, UsageError
from ledger.events import (
    CommitObserved,
    Event,
    FileChange,
    FileSide,
    Identity,
    NewEvent,
    QueryExecuted,
    RefState,
    SourceSurveyed,
)
from ledger.merkle import EMPTY_ROOT, Rebuilder, TreeHead, leaf_hash
from ledger.store import Store, schema
from ledger.store.drivers import driver_url
from ledger.store.schema import initialise
from ledger.testing import make_database, make_ledger, make_repo, track
from ledger.verify import Checked, Finding, Verifier
from ledger.verify.tables import SUFFIX, verify_projections

Row = tuple[Any, ...]
TABLES = ("log_head", "log_event", "log_tile", "log_tree_head", "log_content")
TIMES = ("2026-09-01T00:00:00Z", "2026-09-02T00:00:00Z", "2026-09-03T00:00:00Z")
COMMIT, SURVEY, LONG_COMMIT, CUT_COMMIT = 10, 20, 30, 250
WHOLE = contents.pack(b"kind: Namespace\n")
PIECES = [contents.pack(b"one\n"), contents.pack(b"---\ntwo\n")]
CUT = contents.pack_list(sha256(b"one\n---\ntwo\n").digest(), [one.digest for one in PIECES])


def commit(content: Content, message: str = "m") -> CommitObserved:
    side = FileSide(mode="100644", id="5" * 40, digest=contents.digest_text(content.digest))
    picture = FileSide(mode="100644", id="6" * 40, content="binary")
    return CommitObserved(
        repository="infra",
        commit="1" * 40,
        tree="2" * 40,
        parents=[],
        author=Identity(name="Anna"),
        committer=Identity(name="Anna"),
        message=message,
        object_digest="",
        files=[FileChange(path="a.yaml", after=side), FileChange(path="a.png", after=picture)],
    )


def data(position: int) -> Event:
    refs = [RefState(ref=f"refs/heads/{number}", commit="c" * 64) for number in range(150)]
    special: dict[int, Event] = {
        COMMIT: commit(WHOLE),
        CUT_COMMIT: commit(CUT),
        LONG_COMMIT: commit(WHOLE, "long " * 4_000),
        SURVEY: SourceSurveyed(
            repository="infra",
            url="",
            branches=[],
            ref_count=150,
            refs_digest="",
            commit_count=0,
            commits_digest="",
            refs=refs,
        ),
    }
    return special.get(position, QueryExecuted(sql=f"select {position}", rows=position))


def fact(position: int) -> NewEvent:
    return NewEvent(stream="s", key=f"fact/{position}", source="made up", data=data(position))


@pytest.fixture
def url(database_url: str) -> str:
    """A ledger of 600 events in three batches: two full tiles and a partial one, and one above them."""
    make_database(database_url)
    with Store.open(database_url) as store:
        for at, (start, end) in zip(TIMES, ((0, 100), (100, 300), (300, 600)), strict=True):
            events = [fact(position) for position in range(start, end)]
            kept = [WHOLE, CUT, *PIECES]
            store.append(events, source="made up", recorded_at=at, kept=kept)
    return database_url


class Intruder:
    """The database's owner, who does not come through the program."""

    def __init__(self, url: str) -> None:
        self.sqlite = url.startswith("sqlite")
        self._db: Any = (
            sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
            if self.sqlite
            else psycopg.connect(driver_url(url), autocommit=True)
        )
        if self.sqlite:
            self.do("pragma synchronous = off")

    def close(self) -> None:
        self._db.close()

    def do(self, sql: str, *values: Any) -> list[Row]:
        done = self._db.execute(sql if self.sqlite else sql.replace("?", "%s"), values)
        return done.fetchall() if done.description else []

    def one(self, sql: str, *values: Any) -> Any:
        return self.do(sql, *values)[0][0]

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """Without triggers; they stand as before afterwards."""
        if self.sqlite:
            triggers = self.do("select name, sql from sqlite_master where type = 'trigger'")
            off = [f"drop trigger {name}" for name, _ in triggers]
            on = [sql for _, sql in triggers]
        else:
            named = self.do(
                "select t.tgname, c.relname from pg_trigger t join pg_class c on c.oid = t.tgrelid "
                "where not t.tgisinternal"
            )
            off = [f"alter table {table} disable trigger {name}" for name, table in named]
            on = [f"alter table {table} enable always trigger {name}" for name, table in named]
        for statement in ("begin", *off):
            self.do(statement)
        try:
            yield
        except BaseException:
            self.do("rollback")
            raise
        for statement in (*on, "commit"):
            self.do(statement)

    def save(self) -> dict[str, list[Row]]:
        return {table: self.do(f"select * from {table}") for table in TABLES}

    def restore(self, saved: dict[str, list[Row]]) -> None:
        with self.unseen():
            for table, rows in saved.items():
                self.do(f"delete from {table}")
                cursor = self._db.cursor()
                mark = "?" if self.sqlite else "%s"
                marks = ", ".join([mark] * len(rows[0]))
                cursor.executemany(f"insert into {table} values ({marks})", rows)
                cursor.close()

    def flip(self, table: str, column: str, where: str, at: int = 0) -> None:
        """Changes one bit of one byte."""
        value = bytearray(self.one(f"select {column} from {table} where {where}"))
        value[at] ^= 1
        self.do(f"update {table} set {column} = ? where {where}", bytes(value))

    def lengthen(self, where: str) -> None:
        tile = self.one(f"select hashes from log_tile where {where}")
        self.do(f"update log_tile set hashes = ? where {where}", tile + b"h" * 32)

    def shift(self, start: int, by: int) -> list[Row]:
        """Moves every event from a position on."""
        self.do("update log_event set position = -1 - position - ? where position >= ?", by, start)
        return self.do("update log_event set position = -1 - position where position < 0")

    def copy(self, position: int, key: str, source: int) -> list[Row]:
        return self.do(
            "insert into log_event select cast(? as integer), cast(? as text), type, stream, source, "
            "occurred_at, recorded_at, leaf from log_event where position = ?",
            position, key, source,
        )  # fmt: skip

    def replace_leaf(self, position: int, old: bytes, new: bytes) -> bytes:
        leaf: bytes = self.one("select leaf from log_event where position = ?", position)
        assert leaf.count(old) == 1
        leaf = leaf.replace(old, new)
        self.do("update log_event set leaf = ? where position = ?", leaf, position)
        return leaf

    def cover_up(self, size: int) -> None:
        """Makes the tiles, the head, and the tree heads up to `size`, that the leaves give."""
        leaves = [bytes(row[0]) for row in self.do("select leaf from log_event order by position")]
        sizes = [row[0] for row in self.do("select size from log_tree_head")]
        self.do("delete from log_tile")
        tiles: dict[tuple[int, int], bytes] = {}
        rebuilder = Rebuilder(lambda level, number, hashes: tiles.update({(level, number): hashes}))
        for leaf in leaves:
            rebuilder.add(leaf_hash(leaf))
            if rebuilder.size in sizes:
                sql = "update log_tree_head set root = ? where size = ?"
                self.do(sql, rebuilder.head().root, rebuilder.size)
        for (level, number), hashes in (tiles | rebuilder.edge()).items():
            self.do("insert into log_tile values (?, ?, ?)", level, number, hashes)
        self.do("delete from log_tree_head where size > ?", size)
        sql = "update log_head set size = ?, root = ?, recorded_at = ?"
        at = self.one("select recorded_at from log_event order by position desc limit 1")
        self.do(sql, size, rebuilder.head().root, at)


@pytest.fixture
def intruder(url: str) -> Iterator[Intruder]:
    with closing(Intruder(url)) as opened:
        yield opened


def findings(url: str, held: Sequence[Held] = ()) -> list[Finding]:
    """As `ledger verify` looks."""
    with Store.open(url, read_only=True) as store, store.connection.snapshot():
        verifier = Verifier(store, held)
        return [*verifier.log(), *verifier.kept()]


def count_found(
    url: str, intruder: Intruder, cases: dict[str, Case], subtests: pytest.Subtests
) -> int:
    """How many of the cases were found, each as it says."""
    count = 0
    saved = intruder.save()
    assert findings(url) == []
    for what, (tamper, position, words) in cases.items():
        with subtests.test(what):
            try:
                with intruder.unseen():
                    tamper(intruder)
                found = findings(url)
            finally:
                intruder.restore(saved)
            assert found, "not found"
            assert found[0].position == position, found
            assert words in found[0].what
            positions = [one.position for one in found if one.position is not None]
            assert position is None or min(positions) == position
            count += 1
    assert findings(url) == []
    return count


Case = tuple[Callable[[Intruder], object], int | None, str]
MATCH = "do not match the hash in the tree"


def change_column(column: str) -> Callable[[Intruder], object]:
    sql = f"update log_event set {column} = 'commit.observed/x' where position = 77"
    return lambda i: i.do(sql)


EVENTS: dict[str, Case] = {
    "an event is changed": (
        lambda i: i.replace_leaf(50, b'"rows":50', b'"rows":51'), 50, MATCH),
    "the first event is changed": (
        lambda i: i.replace_leaf(0, b"select 0", b"select 9"), 0, MATCH),
    "the last event is changed": (
        lambda i: i.replace_leaf(599, b"select 599", b"select 598"), 599, MATCH),
    "two events are changed": (
        lambda i: [i.replace_leaf(at, b'"made up"', b'"made-up"') for at in (400, 80)], 80, MATCH),
    "one bit of a leaf is flipped": (
        lambda i: i.flip("log_event", "leaf", "position = 255", 20), 255, MATCH),
    "a leaf is emptied": (
        lambda i: i.do("update log_event set leaf = ? where position = 3", b""), 3, MATCH),
    "an event is removed from the middle": (
        lambda i: i.do("delete from log_event where position = 51"), 51, "missing; the next event"),
    "the first event is removed": (
        lambda i: i.do("delete from log_event where position = 0"), 0, "missing; the next event"),
    "an event is removed and the gap closed": (
        lambda i: (i.do("delete from log_event where position = 51"), i.shift(52, -1)), 51, MATCH),
    "an event is inserted": (
        lambda i: (i.shift(52, 1), i.copy(52, "new", 51)), 52, MATCH),
    "an event is added at the end": (lambda i: i.copy(600, "new", 599), 600, MATCH),
    "an event is added beyond the end": (lambda i: i.copy(605, "new", 599), 600, "missing; the next"),
    "an event is put before the first": (lambda i: i.copy(-1, "new", 5), 0, "before the first, at -1"),
    "two events are swapped": (
        lambda i: (
            i.do("update log_event set position = -1 where position = 60"),
            i.do("update log_event set position = 60 where position = 61"),
            i.do("update log_event set position = 61 where position = -1"),
        ), 60, MATCH),
    "the tail is cut": (lambda i: i.do("delete from log_event where position >= 590"), 590, "tile 0/2"),
    "the tail is cut where a tile begins": (
        lambda i: i.do("delete from log_event where position >= 512"), 512, "the head says"),
    "every event is removed": (lambda i: i.do("delete from log_event"), 0, "the head says"),
    "the time of recording is put back": (
        lambda i: i.do("update log_event set recorded_at = '2026-08-01T00:00:00Z' where position = 70"),
        70, "column recorded_at says '2026-08-01"),
    "the time of recording is put forward": (
        lambda i: i.do("update log_event set recorded_at = '2027-08-01T00:00:00Z' where position = 599"),
        599, "column recorded_at says '2027-08-01"),
    **{
        f"column {column} is changed": (
            change_column(column), 77, f"column {column} says 'commit.observed/x'")
        for column in ("key", "type", "stream", "source", "occurred_at")
    },
}  # fmt: skip

TREE: dict[str, Case] = {
    "a hash of a full tile is changed": (
        lambda i: i.flip("log_tile", "hashes", "level = 0 and number = 1", 5 * 32 + 31), 261, MATCH),
    "a hash of the last tile is changed": (
        lambda i: i.flip("log_tile", "hashes", "level = 0 and number = 2", 87 * 32), 599, MATCH),
    "a hash higher up is changed": (
        lambda i: i.flip("log_tile", "hashes", "level = 1 and number = 0", 32), 256, "tile 1/0"),
    "a tile is removed": (
        lambda i: i.do("delete from log_tile where level = 0 and number = 1"), 256, MATCH),
    "a tile higher up is removed": (lambda i: i.do("delete from log_tile where level = 1"), 0, "tile 1/0"),
    "a tile is longer than the log": (
        lambda i: i.lengthen("level = 0 and number = 2"),
        600, "tile 0/2"),
    "a tile is added": (
        lambda i: i.do("insert into log_tile values (0, 9, ?)", b"h" * 32), None, "5 tiles"),
    "the root of a tree head is changed": (
        lambda i: i.flip("log_tree_head", "root", "size = 300"), 299, "tree head of size 300"),
    "the size of a tree head is changed": (
        lambda i: i.do("update log_tree_head set size = 301 where size = 300"),
        300, "tree head of size 301"),
    "the time of a tree head is changed": (
        lambda i: i.do("update log_tree_head set recorded_at = ? where size = 300", TIMES[0]),
        299, "tree head of size 300"),
    "a tree head of nothing is added": (
        lambda i: i.do("insert into log_tree_head values (0, ?, ?)", b"r" * 32, TIMES[0]),
        0, "tree head of size 0"),
    "a tree head beyond the end is added": (
        lambda i: i.do("insert into log_tree_head values (700, ?, ?)", b"r" * 32, TIMES[0]),
        600, "tree head of size 700"),
    "the newest tree head is removed": (
        lambda i: i.do("delete from log_tree_head where size = 600"), 300, "no tree head of size 600"),
    "the head is smaller": (lambda i: i.do("update log_head set size = 599"), 599, "the head says"),
    "the head is larger": (lambda i: i.do("update log_head set size = 601"), 600, "the head says"),
    "the head's root is changed": (lambda i: i.flip("log_head", "root", "id = 1"), 600, "the head says"),
    "the head's time is changed": (
        lambda i: i.do("update log_head set recorded_at = '2030-01-01T00:00:00Z'"),
        None, "the head does not"),
    "the head is removed": (lambda i: i.do("delete from log_head"), None, "head of the log is missing"),
}  # fmt: skip


def alter(content: Content, kind: int, kept: bytes) -> Callable[[Intruder], object]:
    sql = "update log_content set kind = ?, data = ? where digest = ?"
    return lambda i: i.do(sql, kind, kept, content.digest)


def remove(content: Content) -> Callable[[Intruder], object]:
    return lambda i: i.do("delete from log_content where digest = ?", content.digest)


def remove_attachment(position: int) -> Callable[[Intruder], object]:
    def removing(intruder: Intruder) -> None:
        leaf: bytes = intruder.one("select leaf from log_event where position = ?", position)
        digest = leaf.partition(b'"attachment":"sha256:')[2][:64].decode()
        intruder.do("delete from log_content where digest = ?", bytes.fromhex(digest))

    return removing


LOST, OTHER = "is not in the ledger", "is not what was recorded"
CONTENTS: dict[str, Case] = {
    "a content is another": (alter(WHOLE, 0, contents.pack(b"kind: Secret\n").data), None, OTHER),
    "a content is rubbish": (alter(WHOLE, 0, b"rubbish"), None, "cannot be read"),
    "a content is empty": (alter(WHOLE, 0, b""), None, "cannot be read"),
    "a content is cut short": (alter(WHOLE, 0, WHOLE.data[:-3]), None, "cannot be read"),
    "a content passes for a list": (alter(WHOLE, 1, PIECES[0].digest), None, OTHER),
    "a list is in another order": (alter(CUT, 1, CUT.data[32:] + CUT.data[:32]), None, OTHER),
    "a list lacks a piece": (alter(CUT, 1, CUT.data[:32]), None, OTHER),
    "a list holds half a digest": (alter(CUT, 1, CUT.data[:40]), None, LOST),
    "a list holds itself": (alter(CUT, 1, CUT.digest), None, "should be a piece"),
    "a piece of a list is removed": (remove(PIECES[1]), None, LOST),
    "a content is removed": (remove(WHOLE), COMMIT, "that it speaks of is missing"),
    "a list is removed": (remove(CUT), CUT_COMMIT, "that it speaks of is missing"),
    "an attachment of a survey is removed": (remove_attachment(SURVEY), SURVEY, LOST),
    "an attachment of a commit is removed": (remove_attachment(LONG_COMMIT), LONG_COMMIT, LOST),
    "every content is removed": (lambda i: i.do("delete from log_content"), COMMIT, "missing"),
}

AS_TEXT: dict[str, Case] = {
    "a leaf is made text": (
        lambda i: i.do("update log_event set leaf = cast(leaf as text) where position = 9"), 9, MATCH),
    "a tile is made text": (
        lambda i: i.do("update log_tile set hashes = 'text' where number = 1"), 256, MATCH),
    "a tree head is made text": (
        lambda i: i.do("update log_tree_head set root = 'text' where size = 300"), 299, "tree head"),
    "a content is made text": (
        lambda i: i.do("update log_content set data = 'text' where kind = 0"), None, "cannot be read"),
    "a list is made text": (
        lambda i: i.do("update log_content set data = 'text' where kind = 1"), None, "not kept as bytes"),
    "a digest is made text": (
        lambda i: i.do("update log_content set digest = 'text' where kind = 1"), None, LOST),
    "a leaf is made text that is not UTF-8": (
        lambda i: i.do("update log_event set leaf = cast(x'ff' as text) where position = 300"),
        300, "cannot be read"),
    "a column is made text that is not UTF-8": (
        lambda i: i.do("update log_event set source = cast(x'ff' as text) where position = 300"),
        300, "cannot be read"),
    "a tile is made text that is not UTF-8": (
        lambda i: i.do("update log_tile set hashes = cast(hashes as text) where number = 1"),
        256, "cannot be read"),
    "a content is made text that is not UTF-8": (
        lambda i: i.do("update log_content set data = cast(x'ff' as text) where kind = 1"),
        None, "the contents cannot be read"),
    "the head is made text": (
        lambda i: i.do("update log_head set root = 'text'"), None, "the head cannot be read"),
}  # fmt: skip


def test_an_event_that_is_not_as_recorded_is_found(
    url: str, intruder: Intruder, subtests: pytest.Subtests
) -> None:
    assert count_found(url, intruder, EVENTS, subtests) == len(EVENTS)


def test_a_tree_that_does_not_follow_from_the_events_is_found(
    url: str, intruder: Intruder, subtests: pytest.Subtests
) -> None:
    assert count_found(url, intruder, TREE, subtests) == len(TREE)


def test_a_content_that_is_not_as_recorded_is_found(
    url: str, intruder: Intruder, subtests: pytest.Subtests
) -> None:
    assert count_found(url, intruder, CONTENTS, subtests) == len(CONTENTS)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_sqlite_lets_stand_in_place_of_bytes_is_found(
    url: str, intruder: Intruder, subtests: pytest.Subtests
) -> None:
    assert count_found(url, intruder, AS_TEXT, subtests) == len(AS_TEXT)


def test_a_trigger_that_was_dropped_is_found(url: str, intruder: Intruder) -> None:
    intruder.do("drop trigger log_tile_only_grows" + ("" if intruder.sqlite else " on log_tile"))
    [found] = findings(url)
    assert found.position is None
    assert "log_tile_only_grows" in found.what


def test_what_was_tampered_with_is_named_also_where_the_triggers_are_gone(
    url: str, intruder: Intruder
) -> None:
    triggers = "log_event_no_update" if intruder.sqlite else "log_event_no_change on log_event"
    intruder.do(f"drop trigger {triggers}")
    intruder.replace_leaf(50, b'"rows":50', b'"rows":51')
    first, second = findings(url)
    assert (first.position, second.position) == (None, 50)
    assert str(second) == f"position 50: the event's bytes {MATCH}"


def test_an_event_changed_with_its_hash_is_found_by_the_next_tree_head(
    url: str, intruder: Intruder
) -> None:
    with intruder.unseen():
        leaf = intruder.replace_leaf(150, b'"rows":150', b'"rows":151')
        tile = bytearray(intruder.one("select hashes from log_tile where level = 0 and number = 0"))
        tile[150 * 32 : 151 * 32] = leaf_hash(leaf)
        intruder.do("update log_tile set hashes = ? where level = 0 and number = 0", bytes(tile))
    first = findings(url)[0]
    assert (first.position, first.what[:25]) == (299, "the tree head of size 300")


def test_events_recorded_out_of_order_are_found_under_a_tree_that_fits(
    url: str, intruder: Intruder
) -> None:
    with intruder.unseen():
        early = b"2026-08-01T00:00:00Z"
        for position in (200, 201):
            intruder.replace_leaf(position, TIMES[1].encode(), early)
            sql = "update log_event set recorded_at = ? where position = ?"
            intruder.do(sql, early.decode(), position)
        intruder.cover_up(600)
    [found] = findings(url)
    assert found.position == 200
    assert "recorded at 2026-08-01T00:00:00Z, before" in found.what


def test_bytes_that_are_no_event_are_found_under_a_tree_that_fits(
    url: str, intruder: Intruder
) -> None:
    for leaf in (b"", b"no event", b'{"data":{},"key":"\xff"}', b'{"data":' + b"[" * 50_000):
        with intruder.unseen():
            intruder.do("update log_event set leaf = ? where position = 111", leaf)
            intruder.cover_up(600)
        first = findings(url)[0]
        assert first.position == 111
        assert "the bytes are no event" in first.what


def test_a_log_rewritten_with_its_tree_shows_only_against_a_tree_head_held_elsewhere(
    url: str, intruder: Intruder
) -> None:
    with Store.open(url) as store:
        held = store.head()
    with intruder.unseen():
        intruder.replace_leaf(150, b'"rows":150', b'"rows":151')
        intruder.cover_up(600)
    assert findings(url) == []
    with Store.open(url) as store:
        assert store.head().size == held.size
        assert store.head().root != held.root


def test_a_log_cut_back_with_its_tree_shows_only_against_a_tree_head_held_elsewhere(
    url: str, intruder: Intruder
) -> None:
    with intruder.unseen():
        intruder.do("delete from log_event where position >= 300")
        intruder.cover_up(300)
    assert findings(url) == []
    with Store.open(url) as store:
        assert store.head().size == 300


@pytest.mark.parametrize("sizes", [(), (1,), (255, 1), (256, 1), (300, 300, 169)])
def test_a_clean_ledger_has_no_findings(database_url: str, sizes: tuple[int, ...]) -> None:
    initialise(database_url, registry.projections())
    start = 0
    with Store.open(database_url) as store:
        for size in sizes:
            events = [fact(position) for position in range(start, start + size)]
            kept = [WHOLE, CUT, *PIECES]
            store.append(events, source="made up", recorded_at=TIMES[0], kept=kept)
            start += size
        verifier = Verifier(store)
        assert [*verifier.log(), *verifier.kept()] == []
        checked = verifier.checked()
        assert (checked.events, checked.tree_heads) == (start, len(sizes))
        assert checked.head == store.head()
    if not sizes:
        assert checked == Checked(0, 0, 0, 0, TreeHead(0, EMPTY_ROOT))


def test_what_was_looked_at_is_counted(url: str) -> None:
    with Store.open(url) as store:
        verifier = Verifier(store)
        assert [*verifier.log(), *verifier.kept()] == []
        clear = [
            bytes(row[0])
            for row in store.connection.rows("select digest from log_content where kind = 0")
        ]
        size = sum(len(store.content(digest)) for digest in clear)
        assert verifier.checked() == Checked(600, len(clear) + 1, size, 3, store.head())
        assert len(clear) == 1 + 2 + 2


def test_an_append_meanwhile_is_not_taken_for_tampering(url: str) -> None:
    with (
        Store.open(url, read_only=True) as reader,
        reader.connection.snapshot(),
        Store.open(url) as writer,
    ):
        verifier = Verifier(reader)
        looking = verifier.log()
        before = reader.head()
        writer.append([fact(600), fact(601)], source="made up", recorded_at=TIMES[2])
        assert [*looking, *verifier.kept()] == []
        assert verifier.checked().head == before
    assert findings(url) == []


# -- against what is held outside ----------------------------------------------------------------


@pytest.fixture
def outside(url: str, tmp_path: Path) -> Path:
    """The folder of tiles that somebody keeps of the whole log."""
    with Store.open(url, read_only=True) as store:
        exporting.export_tiles(store, tmp_path / "tiles", "ledger", None)
    return tmp_path / "tiles"


def rewrite(intruder: Intruder, tamper: Callable[[Intruder], object]) -> None:
    """Changes events, and everything that follows from them, so that the database is one whole."""
    tamper(intruder)
    size = intruder.one("select count(*) from log_event")
    intruder.cover_up(size)
    root, at = intruder.do("select root, recorded_at from log_head")[0]
    intruder.do(
        "update log_tree_head set recorded_at = (select e.recorded_at from log_event e "
        "where e.position = log_tree_head.size - 1)"
    )
    if not intruder.do("select 1 from log_tree_head where size = ?", size):
        intruder.do("insert into log_tree_head values (?, ?, ?)", size, root, at)


def back_date(intruder: Intruder) -> None:
    for position in range(100, 103):
        intruder.replace_leaf(position, TIMES[1].encode(), TIMES[0].encode())
    intruder.do("update log_event set recorded_at = ? where position between 100 and 102", TIMES[0])


def cut_off(intruder: Intruder) -> list[Row]:
    return intruder.do("delete from log_event where position >= 590")


# What is done, the first event that differs, and what can be named by a tree head alone.
REWRITTEN: dict[str, tuple[Callable[[Intruder], object], int, int]] = {
    "an event is changed": (
        lambda i: i.replace_leaf(270, b'"rows":270', b'"rows":271'), 270, 0),
    "the last event is changed": (
        lambda i: i.replace_leaf(599, b"select 599", b"select 598"), 599, 0),
    "an event is removed": (
        lambda i: (i.do("delete from log_event where position = 51"), i.shift(52, -1)), 51, 599),
    "an event is inserted": (
        lambda i: (
            i.shift(52, 1), i.copy(52, "fact/0x33", 51),
            i.replace_leaf(52, b'"fact/51"', b'"fact/0x33"'),
        ), 52, 0),
    "two events are swapped": (
        lambda i: (
            i.do("update log_event set position = -1 where position = 60"),
            i.do("update log_event set position = 60 where position = 61"),
            i.do("update log_event set position = 61 where position = -1"),
        ), 60, 0),
    "events are back-dated": (back_date, 100, 0),
    "the tail is cut": (cut_off, 590, 590),
    "the tail is cut where a tile begins": (
        lambda i: i.do("delete from log_event where position >= 512"), 512, 512),
    "the tail is cut and the rest is changed": (
        lambda i: (cut_off(i), i.replace_leaf(270, b'"rows":270', b'"rows":271')), 270, 590),
}  # fmt: skip


def test_a_log_rewritten_with_its_tree_is_found_by_what_is_held_outside(
    url: str, intruder: Intruder, outside: Path, subtests: pytest.Subtests
) -> None:
    tiles, head = read_held(outside), read_held(outside / "checkpoint")
    saved = intruder.save()
    for what, (tamper, position, by_head_alone) in REWRITTEN.items():
        with subtests.test(what):
            try:
                with intruder.unseen():
                    rewrite(intruder, tamper)
                alone = findings(url)
                by_tiles, by_head = findings(url, [tiles]), findings(url, [head])
            finally:
                intruder.restore(saved)
            assert alone == [], "it is a log without a flaw"
            assert [one.position for one in by_tiles] == [position]
            assert str(outside) in by_tiles[0].what
            assert [one.position for one in by_head] == [by_head_alone]
            assert str(outside / "checkpoint") in by_head[0].what
    assert findings(url, [tiles, head]) == []


def test_a_smaller_tree_head_that_still_holds_narrows_down_where_a_log_was_rewritten(
    url: str, intruder: Intruder, outside: Path
) -> None:
    with Store.open(url) as store:
        heads = [Held(f"head {size}", TreeHead(size, store.root(size))) for size in (100, 257, 600)]
    with intruder.unseen():
        rewrite(intruder, lambda i: i.replace_leaf(270, b'"rows":270', b'"rows":271'))
    with Store.open(url, read_only=True) as store:
        verifier = Verifier(store, heads)
        [found] = verifier.log()
    assert found.position == 257
    assert "head 600" in found.what
    assert [one.name for one in verifier.agreed] == ["head 100", "head 257"]
    assert outside.is_dir()


def test_a_log_that_has_grown_goes_on_from_what_is_held(url: str, outside: Path) -> None:
    with Store.open(url) as store:
        store.append([fact(600), fact(601)], source="made up", recorded_at=TIMES[2])
    assert findings(url, [read_held(outside)]) == []


def test_a_tree_head_is_read_in_each_form_in_which_it_is_kept(
    url: str, outside: Path, tmp_path: Path
) -> None:
    with Store.open(url) as store:
        head = store.head()
    forms = {
        "line": f"events   600\r\ntree head   600 {head.root.hex()}\r\nanchoring …\r\n",
        "report.json": f'{{"log": {{"position": 600, "root": "{head.root.hex()}", "anchored": false}}}}',
        "checkpoint": (outside / "checkpoint").read_text(),
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text, newline="")
        assert read_held(tmp_path / name).head == head


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "{}",
        "[" * 100_000,
        '{"log": {"position": 600, "root": "00"}}',
        '{"log": {"position": -1, "root": "' + "00" * 32 + '"}}',
        '{"a":' * 100_000,
        "tree head   600 00\n",
        f"tree head   600 {'0' * 64}\ntree head   601 {'0' * 64}\n",
        "ledger\n600\nAAAA\n",
        f"ledger\n0600\n{'A' * 43}=\n",
        f"ledger\n0\n{'A' * 43}=\n",
        f"ledger\n600\n{'A' * 42}B=\n",
        "a" * 2_000_000,
    ],
)
def test_what_holds_no_tree_head_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    with pytest.raises(UsageError):
        read_held(tmp_path / "file")
    with pytest.raises(UsageError, match="cannot be read"):
        read_held(tmp_path / "none")


# -- projections ---------------------------------------------------------------------------------


@pytest.fixture
def projected(database_url: str, tmp_path: Path) -> str:
    """A ledger of a repository with a few revisions, its projections up to date."""
    repo = make_repo(tmp_path / "r.git")
    for replicas in (1, 2, 3):
        text = (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api, namespace: prod}\n"
            f"spec: {{replicas: {replicas}}}\n"
        )
        repo.commit({"api.yaml": text}, f"{replicas} replicas")
    ledger = make_ledger(tmp_path / "ledger", track(repo), database=database_url)
    ledger.grow()
    return database_url


def differences(url: str) -> list[str]:
    with Store.open(url) as store:
        found = [str(one) for one in verify_projections(store)]
        assert not [one for one in schema.model_tables(store.connection) if one.endswith(SUFFIX)]
    return found


def dump(url: str) -> dict[str, list[str]]:
    with Store.open(url) as store:
        return {
            name: sorted(map(repr, store.connection.rows(f"select * from {name}")))
            for name in schema.model_tables(store.connection)
        }


def test_projections_that_the_log_gives_have_no_findings_and_stay_untouched(projected: str) -> None:
    before = dump(projected)
    assert differences(projected) == []
    assert dump(projected) == before


ROWS = {
    "a value is changed": (
        "model_revision",
        "update model_revision set committed_at = '1999-01-01T00:00:00Z' where number = 2",
        ("repository 'infra', branch 'main', commit_sha '", "column committed_at says '1999-01-01"),
    ),
    "a value is made nothing": (
        "model_field_change",
        "update model_field_change set new_value = null where new_value = '3'",
        ("change 3, sequence ", "column new_value says None, the log gives '3'"),
    ),
    "a number is changed": (
        "model_revision",
        "update model_revision set evidence_position = evidence_position + 1 where number = 1",
        ("column evidence_position says ",),
    ),
    "a row is removed": (
        "model_branch",
        "delete from model_branch",
        ("row repository 'infra', branch 'main' is missing",),
    ),
    "a row is added": (
        "model_environment",
        "insert into model_environment select 'prod', '', '', '[]', '[]', '[]', '[]', 0, 1, 'now'",
        ("the log gives no row environment 'prod'",),
    ),
    "a key is changed": (
        "model_patch",
        "update model_patch set commit_sha = '0' where patch_id = (select min(patch_id) from model_patch)",
        ("the log gives no row repository 'infra', patch_id ",),
    ),
}


def test_a_row_of_a_projection_that_the_log_does_not_give_is_named(
    projected: str, subtests: pytest.Subtests
) -> None:
    for what, (table, sql, words) in ROWS.items():
        with subtests.test(what):
            with Store.open(projected) as store, store.connection.transaction():
                saved = store.connection.rows(f"select * from {table}")
                store.connection.execute(sql)
                assert store.connection.rows(f"select * from {table}") != saved
            [found] = differences(projected)
            assert found.startswith(f"table {table}")
            assert all(word in found for word in words), found
            with Store.open(projected) as store, store.connection.transaction():
                names = [
                    one.columns
                    for projection in registry.projections()
                    for one in projection.tables
                    if one.name == table
                ]
                store.connection.execute(f"delete from {table}")
                store.connection.insert(table, names[0], saved)
    assert differences(projected) == []


def test_projections_that_are_behind_the_log_are_brought_up_before_they_are_compared(
    projected: str,
) -> None:
    with Store.open(projected) as store:
        store.append([fact(999)], source="made up", recorded_at="2030-01-01T00:00:00Z")
    assert differences(projected) == []


def test_what_an_interrupted_comparison_left_is_cleared_away(projected: str) -> None:
    with Store.open(projected) as store:
        schema.create_tables(store.connection, registry.projections()[:1], SUFFIX)
    assert differences(projected) == []


def test_a_projection_that_stopped_is_no_pass(projected: str) -> None:
    with Store.open(projected) as store, store.connection.transaction():
        store.connection.execute(
            "update projection_state set failure = 'stopped at position 3: x' where projection = ?",
            [registry.projections()[-1].name],
        )
    [found] = differences(projected)
    assert registry.projections()[-1].name in found
    assert "its tables were not compared" in found


def test_projections_cannot_be_made_again_where_nothing_can_be_written(projected: str) -> None:
    with Store.open(projected, read_only=True) as store, pytest.raises(StoreError):
        list(verify_projections(store))
