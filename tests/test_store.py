"""The log keeps its promises on both databases: in order, once, all or nothing, and never changed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from ledger import contents, registry
from ledger.codec import variant_key
from ledger.contents import Content
from ledger.errors import IntegrityError, LedgerError, StoreError
from ledger.events import (
    CollectorGap,
    EnvironmentMapped,
    Identity,
    NewEvent,
    QueryExecuted,
    RecordedEvent,
)
from ledger.merkle import EMPTY_ROOT, Rebuilder, TreeHead, leaf_hash, node_hash
from ledger.store import EVENT_COLUMNS, SourceReading, Store
from ledger.store.drivers import POSTGRESQL, SQLITE, driver_url
from ledger.store.guards import check_guards, guard_statements
from ledger.store.schema import initialise
from ledger.testing import make_database

Row = tuple[Any, ...]
AT = "2026-09-01T00:00:00Z"
LATER = "2026-09-01T00:00:01Z"
LOG = ("log_head", "log_event", "log_tile", "log_tree_head", "log_content")


@pytest.fixture
def url(database_url: str) -> str:
    """The URL of an empty ledger."""
    make_database(database_url)
    return database_url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        yield opened


@pytest.fixture
def sqlite_ledger(sqlite_url: str) -> str:
    initialise(sqlite_url, registry.projections())
    return sqlite_url


@pytest.fixture
def postgres_ledger(postgres_url: str) -> str:
    initialise(postgres_url, registry.projections())
    return postgres_url


def fact(number: int, *, rows: int = 0, sql: str = "") -> NewEvent:
    return NewEvent(
        stream=f"stream/{number % 3}",
        key=f"fact/{number}",
        source="made up",
        occurred_at=AT,
        actor=Identity(login=f"user-{number}"),
        data=QueryExecuted(sql=sql or f"select {number} -- “é\u2028🚀”", rows=rows),
    )


def facts(*numbers: int) -> list[NewEvent]:
    return [fact(number) for number in numbers]


def append(
    store: Store, events: Sequence[NewEvent], at: str = AT, **more: Any
) -> list[RecordedEvent]:
    return store.append(events, source="made up", recorded_at=at, **more)


def keys(store: Store) -> list[str]:
    return [recorded.key for recorded in store.read(0, 100_000)]


def raw(url: str, *statements: str) -> list[Row]:
    """Statements past the program, as the database's owner; gives the rows of the last one."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as db:
            db.execute("pragma synchronous = off")
            return [db.execute(statement).fetchall() for statement in statements][-1]
    with psycopg.connect(driver_url(url), autocommit=True) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def everything(url: str) -> dict[str, list[Row]]:
    return {table: sorted(raw(url, f"select * from {table}")) for table in LOG}


def root_of(hashes: Sequence[bytes]) -> bytes:
    """RFC 6962's hash of a list, as it is written there."""
    if not hashes:
        return sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    middle = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(root_of(hashes[:middle]), root_of(hashes[middle:]))


def expect_whole_log(store: Store) -> None:
    """Positions, columns, tiles and heads are what the leaves alone give."""
    rows = list(store.leaves())
    assert [row[0] for row in rows] == list(range(len(rows)))
    hashes = [sha256(b"\x00" + row[-1]).digest() for row in rows]
    assert store.head() == TreeHead(len(rows), root_of(hashes))
    tiles: dict[tuple[int, int], bytes] = {}
    rebuilder = Rebuilder(lambda level, number, data: tiles.update({(level, number): data}))
    for one in hashes:
        rebuilder.add(one)
    stored = store.connection.rows("select level, number, hashes from log_tile")
    assert {(level, number): data for level, number, data in stored} == tiles | rebuilder.edge()
    for size, root in store.connection.rows("select size, root from log_tree_head"):
        assert root == root_of(hashes[:size])


# -- appending -----------------------------------------------------------------------------------


def test_a_new_ledger_is_empty(store: Store) -> None:
    assert store.head() == TreeHead(0, EMPTY_ROOT)
    assert store.read(0, 10) == []
    assert list(store.leaves()) == []
    assert append(store, []) == []
    assert store.head() == TreeHead(0, EMPTY_ROOT)


def test_positions_are_gapless_from_0_however_events_are_batched(store: Store) -> None:
    start = 0
    for size in (1, 3, 0, 250, 2, 256, 300):
        recorded = append(store, facts(*range(start, start + size)))
        assert [one.position for one in recorded] == list(range(start, start + size))
        start += size
        assert store.head().size == start
    assert keys(store) == [f"fact/{number}" for number in range(start)]
    expect_whole_log(store)
    sizes = [
        size for [size] in store.connection.rows("select size from log_tree_head order by size")
    ]
    assert sizes == [1, 4, 254, 256, 512, 812]


def test_what_append_gives_is_what_is_read(store: Store) -> None:
    events = [*facts(0, 1), fact(2, sql="x" * 20_000)]
    recorded = append(store, events)
    assert store.read(0, 10) == recorded
    for event, one in zip(events, recorded, strict=True):
        assert (one.stream, one.key, one.source) == (event.stream, event.key, event.source)
        assert (one.actor, one.data) == (event.actor, event.data)
        assert (one.occurred_at, one.recorded_at) == (AT, AT)


def test_the_columns_say_what_the_leaf_says(store: Store) -> None:
    append(store, facts(7))
    [row] = store.leaves()
    leaf = msgspec.json.decode(row[-1])
    assert row[:1] == (0,)
    assert row[1:-1] == tuple(leaf[name] for name in EVENT_COLUMNS[1:-1])


def test_the_same_fact_is_recorded_once(store: Store) -> None:
    append(store, facts(0, 1, 2))
    before = store.head()
    assert append(store, facts(2, 0, 1), at=LATER) == []
    assert store.head() == before
    recorded = append(store, facts(1, 3, 0, 4))
    assert [(one.position, one.key) for one in recorded] == [(3, "fact/3"), (4, "fact/4")]
    expect_whole_log(store)


def test_a_large_batch_read_again_is_recorded_once(store: Store) -> None:
    events = facts(*range(2_500))
    assert len(append(store, events)) == 2_500
    assert append(store, events) == []
    assert len(append(store, [*events, *facts(2_500)])) == 1
    assert store.head().size == 2_501


def test_another_telling_of_a_fact_is_kept_beside_the_first_once(store: Store) -> None:
    append(store, [fact(0)])
    other = fact(0, rows=5)
    [recorded] = append(store, [other])
    assert recorded.key == variant_key(other)
    assert recorded.key.startswith("fact/0#")
    assert recorded.data == other.data
    assert append(store, [other]) == []
    assert append(store, [fact(0), other, fact(0)]) == []
    [third] = append(store, [fact(0, rows=6), fact(0), other])
    assert keys(store) == ["fact/0", recorded.key, third.key]
    assert store.find("fact/0") == store.read(0, 1)[0]
    assert store.find(recorded.key) == recorded
    expect_whole_log(store)


@pytest.mark.parametrize("known", [0, 1])
def test_repeats_inside_one_batch_are_recorded_once(store: Store, known: int) -> None:
    append(store, facts(*range(100, 100 + known)))
    one, other = fact(0), fact(0, rows=5)
    recorded = append(store, [one, other, *facts(1), one, other, fact(0), *facts(1, 100)])
    assert [r.key for r in recorded][:3] == ["fact/0", variant_key(other), "fact/1"]
    assert len(recorded) == 4 - known
    assert append(store, [other, one, *facts(1)]) == []
    expect_whole_log(store)


def test_the_first_telling_of_a_batch_has_the_natural_key_whatever_is_told_next(
    store: Store,
) -> None:
    one, other = fact(0), fact(0, rows=5)
    append(store, [other, one])
    assert keys(store) == ["fact/0", variant_key(one)]
    assert append(store, [one, other, one]) == []


def test_the_time_of_recording_never_runs_backwards(store: Store) -> None:
    append(store, facts(0), at=LATER)
    [recorded] = append(store, facts(1), at=AT)
    assert recorded.recorded_at == LATER
    [recorded] = append(store, facts(2), at="2026-09-01T00:00:02Z")
    assert recorded.recorded_at == "2026-09-01T00:00:02Z"
    assert [row[6] for row in store.leaves()] == [LATER, LATER, "2026-09-01T00:00:02Z"]


def test_the_cursor_is_saved_with_the_batch(store: Store) -> None:
    append(store, facts(0), cursor=b"\x00cursor\xff")
    assert store.reading("made up") == SourceReading(b"\x00cursor\xff", AT, AT, "")
    append(store, [], cursor=b"further", at=LATER)
    assert store.reading("made up") == SourceReading(b"further", LATER, LATER, "")
    append(store, facts(1))
    assert store.reading("made up").cursor == b"further"


BROKEN = Content(b"d" * 32, 0, None)  # type: ignore[arg-type]
FAULTS: dict[str, dict[str, Any]] = {
    "an event without canonical bytes": {"events": [fact(8), fact(9, sql="\ud800")]},
    "a content that the database refuses": {"kept": [contents.pack(b"kept"), BROKEN]},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_an_error_inside_an_append_leaves_neither_events_nor_cursor(
    store: Store, url: str, fault: dict[str, Any]
) -> None:
    append(store, facts(0), cursor=b"before")
    before = everything(url)
    with pytest.raises(LedgerError):
        append(store, fault.get("events", facts(1, 2)), kept=fault.get("kept", ()), cursor=b"after")
    assert everything(url) == before
    assert store.reading("made up").cursor == b"before"
    append(store, facts(1, 2), cursor=b"after")
    assert keys(store) == ["fact/0", "fact/1", "fact/2"]
    expect_whole_log(store)


def test_a_cursor_that_cannot_be_saved_takes_its_events_back(store: Store, url: str) -> None:
    append(store, facts(0), cursor=b"before")
    before = everything(url)
    if url.startswith("sqlite"):
        refuse = "create trigger refuse before update on source_state begin select raise(abort, 'no'); end"
        raw(url, refuse)
    else:
        raw(url, "alter table source_state add constraint refuse check (length(cursor) < 7)")
    with pytest.raises(StoreError):
        append(store, facts(1), kept=[contents.pack(b"kept")], cursor=b"afterwards")
    assert everything(url) == before


# -- asking --------------------------------------------------------------------------------------


def test_reading_gives_a_span_in_order(store: Store) -> None:
    append(store, facts(*range(10)))
    assert [one.position for one in store.read(3, 4)] == [3, 4, 5, 6]
    assert [one.position for one in store.read(8, 100)] == [8, 9]
    assert store.read(10, 5) == []
    assert [row[0] for row in store.leaves(7)] == [7, 8, 9]


def test_an_event_is_found_by_its_key(store: Store) -> None:
    append(store, facts(0, 1))
    found = store.find("fact/1")
    assert found is not None
    assert (found.position, found.data) == (1, fact(1).data)
    assert store.find("fact/2") is None
    assert store.find("fact/%") is None


def test_the_latest_of_a_type_in_a_stream_is_found(store: Store) -> None:
    gap = NewEvent(
        stream="stream/0",
        key="gap",
        source="s",
        data=CollectorGap(repository="infra", kind="unreadable", detail="?"),
    )
    append(store, [*facts(0, 3, 4), gap])
    latest = store.latest("query.executed", "stream/0")
    assert latest is not None
    assert latest.key == "fact/3"
    found = store.latest("collector.gap", "stream/0")
    assert found is not None
    assert found.key == "gap"
    assert store.latest("collector.gap", "stream/1") is None
    assert store.latest("ref.moved", "stream/0") is None


def test_a_source_that_fails_keeps_its_cursor(store: Store) -> None:
    assert store.reading("made up") == SourceReading(b"", "", "", "")
    store.fail("made up", AT, "unreachable: “é”")
    assert store.reading("made up") == SourceReading(b"", AT, "", "unreachable: “é”")
    append(store, facts(0), cursor=b"c", at=LATER)
    assert store.reading("made up") == SourceReading(b"c", LATER, LATER, "")
    store.fail("made up", "2026-09-02T00:00:00Z", "again")
    assert store.reading("made up") == SourceReading(b"c", "2026-09-02T00:00:00Z", LATER, "again")
    store.touch("made up", "2026-09-03T00:00:00Z")
    at = "2026-09-03T00:00:00Z"
    assert store.reading("made up") == SourceReading(b"c", at, at, "")
    assert store.reading("another") == SourceReading(b"", "", "", "")


def test_a_snapshot_sees_one_state(store: Store, url: str) -> None:
    append(store, facts(0))
    with Store.open(url, read_only=True) as reader, reader.connection.snapshot():
        before = reader.head()
        append(store, facts(1, 2))
        assert reader.head() == before
        assert keys(reader) == ["fact/0"]
        assert len(list(reader.leaves())) == 1
    assert len(keys(store)) == 3


# -- contents ------------------------------------------------------------------------------------


def test_each_distinct_content_is_kept_once(store: Store, url: str) -> None:
    one, other = contents.pack(b"one"), contents.pack(b"")
    append(store, facts(0), kept=[one, other, one])
    append(store, facts(1), kept=iter([one, contents.pack(b"three")]))
    append(store, [], kept=[other])
    assert len(raw(url, "select * from log_content")) == 3
    assert store.content(one.digest) == b"one"
    assert store.content(other.digest) == b""
    assert store.attachment("sha256:" + sha256(b"three").hexdigest()) == b"three"
    assert store.pieces(one.digest) == [one.digest]


def test_a_file_cut_into_pieces_is_read_back_whole(store: Store) -> None:
    pieces = [contents.pack(b"a\n---\n"), contents.pack(b"b" * 100_000), contents.pack(b"\xff\x00")]
    file = b"a\n---\n" + b"b" * 100_000 + b"\xff\x00" + b"a\n---\n"
    order = [pieces[0].digest, pieces[1].digest, pieces[2].digest, pieces[0].digest]
    listed = contents.pack_list(sha256(file).digest(), order)
    append(store, facts(0), kept=[listed, *pieces])
    assert store.content(listed.digest) == file
    assert store.pieces(listed.digest) == order


def test_an_attachment_is_kept_with_its_event_and_shared_by_equal_ones(
    store: Store, url: str
) -> None:
    paths = [f"apps/{number}/**" for number in range(1_000)]
    events = [
        NewEvent(
            stream=f"environment/{name}",
            key=name,
            source="configuration",
            data=EnvironmentMapped(environment=name, paths=paths),
        )
        for name in ("one", "two")
    ]
    append(store, events)
    assert [one.data for one in store.read(0, 10)] == [one.data for one in events]
    assert len(raw(url, "select * from log_content")) == 1
    assert append(store, events) == []


def test_a_content_that_is_missing_is_an_integrity_error(store: Store) -> None:
    piece = contents.pack(b"piece")
    lost = sha256(b"lost").digest()
    listed = contents.pack_list(sha256(b"both").digest(), [piece.digest, lost])
    append(store, facts(0), kept=[piece, listed])
    with pytest.raises(IntegrityError, match=lost.hex()):
        store.content(lost)
    with pytest.raises(IntegrityError, match=lost.hex()):
        store.content(listed.digest)
    with pytest.raises(IntegrityError, match=lost.hex()):
        store.pieces(lost)
    append(store, facts(1), kept=[contents.pack(b"lost")])
    assert store.content(listed.digest) == b"piecelost"


def test_a_content_that_cannot_be_read_is_an_integrity_error(store: Store) -> None:
    broken = Content(b"b" * 32, contents.PIECE, b"not compressed")
    inner = contents.pack_list(b"i" * 32, [contents.pack(b"x").digest])
    loop = contents.pack_list(b"l" * 32, [b"l" * 32])
    outer = contents.pack_list(b"o" * 32, [inner.digest])
    append(store, facts(0), kept=[broken, inner, loop, outer, contents.pack(b"x")])
    for one in (broken, loop, outer):
        with pytest.raises(IntegrityError):
            store.content(one.digest)


# -- tampering that an append meets --------------------------------------------------------------


def unguarded(url: str, *statements: str) -> None:
    """Statements with every trigger out of the way; the triggers are as before afterwards."""
    if url.startswith("sqlite"):
        triggers = raw(url, "select name, sql from sqlite_master where type = 'trigger'")
        off = [f"drop trigger {name}" for name, _ in triggers]
        on = [sql for _, sql in triggers]
    else:
        named = raw(
            url,
            "select t.tgname, c.relname from pg_trigger t join pg_class c on c.oid = t.tgrelid "
            "where not t.tgisinternal",
        )
        off = [f"alter table {table} disable trigger {name}" for name, table in named]
        on = [f"alter table {table} enable always trigger {name}" for name, table in named]
    raw(url, *off, *statements, *on)


def flipped(table: str, column: str, where: str, url: str) -> str:
    """A statement that changes the first byte of a column."""
    [[value]] = raw(url, f"select {column} from {table} where {where}")
    other = bytes([value[0] ^ 1]) + value[1:]
    text = f"x'{other.hex()}'" if url.startswith("sqlite") else f"'\\x{other.hex()}'"
    return f"update {table} set {column} = {text} where {where}"


@pytest.mark.parametrize(
    ("table", "column", "where"),
    [
        ("log_tile", "hashes", "level = 0 and number = 1"),
        ("log_tile", "hashes", "level = 1 and number = 0"),
        ("log_head", "root", "id = 1"),
    ],
)
def test_a_changed_edge_of_the_tree_stops_every_append(
    store: Store, url: str, table: str, column: str, where: str
) -> None:
    append(store, facts(*range(300)), cursor=b"before")
    unguarded(url, flipped(table, column, where, url))
    before = everything(url)
    with pytest.raises(IntegrityError, match=r"nothing was appended"):
        append(store, facts(300), kept=[contents.pack(b"kept")], cursor=b"after")
    assert everything(url) == before
    assert store.reading("made up").cursor == b"before"


@pytest.mark.parametrize(
    "statement",
    [
        "delete from log_tile where level = 0 and number = 1",
        "delete from log_head",
        "update log_head set size = 299",
        "update log_head set size = 301",
        "update log_head set size = 0",
    ],
)
def test_a_head_or_tile_that_is_gone_or_of_another_size_stops_every_append(
    store: Store, url: str, statement: str
) -> None:
    append(store, facts(*range(300)))
    unguarded(url, statement)
    before = everything(url)
    with pytest.raises(IntegrityError):
        append(store, facts(300))
    assert everything(url) == before


# -- several writers -----------------------------------------------------------------------------

WRITER = """
import random, sys
from ledger.events import NewEvent, QueryExecuted
from ledger.store import Store

url, me = sys.argv[1], int(sys.argv[2])
random.seed(me)

def fact(name, number):
    data = QueryExecuted(sql=name, rows=number)
    return NewEvent(stream=name, key=f"{name}/{number}", source=name, data=data)

with Store.open(url) as store:
    mine = [fact(f"writer {me}", number) for number in range(100)]
    shared = [fact("shared", number) for number in range(40)]
    random.shuffle(shared)
    while mine or shared:
        count = random.randint(1, 20)
        batch = mine[:count] + shared[:count // 2]
        del mine[:count], shared[:count // 2]
        cursor = str(len(mine)).encode()
        store.append(batch, source=f"writer {me}", recorded_at="2026-09-01T00:00:00Z", cursor=cursor)
"""


def start(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": ""})


def test_several_writers_at_once_leave_one_log_without_gaps_or_repeats(url: str) -> None:
    writers = [start(WRITER, url, str(number)) for number in range(4)]
    for writer in writers:
        assert writer.communicate(timeout=60)[1] == b""
        assert writer.returncode == 0
    with Store.open(url) as store:
        expect_whole_log(store)
        recorded = keys(store)
        assert len(recorded) == len(set(recorded)) == 4 * 100 + 40
        for number in range(4):
            mine = [key for key in recorded if key.startswith(f"writer {number}/")]
            assert mine == [f"writer {number}/{one}" for one in range(100)]
            assert store.reading(f"writer {number}").cursor == b"0"


KILLED = """
import os, sys
from ledger.events import NewEvent, QueryExecuted
from ledger.store import Store

store = Store.open(sys.argv[1])
events = [
    NewEvent(stream="s", key=f"lost/{n}", source="lost", data=QueryExecuted(sql="", rows=n))
    for n in range(300)
]

class Last:  # asked for when events, tiles and heads are written
    @property
    def digest(self):
        written = store.connection.rows("select count(*) from log_event where source = 'lost'")
        assert written == [(300,)], written
        os._exit(9)

store.append(events, source="lost", recorded_at="2026-09-01T00:00:00Z", kept=[Last()], cursor=b"c")
"""


def test_a_writer_killed_inside_its_transaction_leaves_no_trace(store: Store, url: str) -> None:
    append(store, facts(*range(10)))
    before = everything(url)
    killed = start(KILLED, url)
    assert killed.communicate(timeout=60)[1] == b""
    assert killed.returncode == 9
    assert everything(url) == before
    assert store.reading("lost").cursor == b""
    append(store, facts(10))
    expect_whole_log(store)


# -- guards --------------------------------------------------------------------------------------

COPY = "type, stream, source, occurred_at, recorded_at, leaf from log_event"
NEXT = f"select 300, 'new', {COPY} where position = 4"
REFUSED = {
    "change an event": "update log_event set source = 'x' where position = 3",
    "move an event": "update log_event set position = 300 where position = 299",
    "remove the last event": "delete from log_event where position = 299",
    "remove every event": "delete from log_event",
    "leave a gap": f"insert into log_event select 301, 'new', {COPY} where position = 4",
    "take a position again": f"insert into log_event select 299, 'new', {COPY} where position = 4",
    "stand before the first": f"insert into log_event select -1, 'new', {COPY} where position = 4",
    "take a key again": f"insert into log_event select 300, key, {COPY} where position = 4",
    "change by position": f"insert into log_event select 5, 'new', {COPY} where position = 4 "
    "on conflict (position) do update set key = 'new'",
    "change by key": f"insert into log_event select 300, key, {COPY} where position = 4 "
    "on conflict (key) do update set source = 'x'",
    "change a content": "update log_content set kind = 1",
    "remove a content": "delete from log_content",
    "change a tree head": "update log_tree_head set size = 299 where size = 300",
    "remove a tree head": "delete from log_tree_head where size = 200",
    "remove a tile": "delete from log_tile where level = 0 and number = 1",
    "shorten a tile": "update log_tile set hashes = substr(hashes, 1, 32)",
    "move a tile": "update log_tile set number = 7 where number = 1",
}
SQLITE_REFUSED = {
    "replace by position": f"insert or replace into log_event select 5, 'new', {COPY} where position = 4",
    "replace by key": f"insert or replace into log_event select 300, key, {COPY} where position = 4",
    "replace itself": "replace into log_event select * from log_event where position = 3",
    "update or replace": "update or replace log_event set key = 'fact/1' where position = 3",
    "replace a tree head": "replace into log_tree_head select size, x'00', '' from log_tree_head",
    "an older tree head": "insert into log_tree_head values (250, x'00', '')",
    "replace a content by rowid": "insert or replace into log_content (rowid, digest, kind, data) "
    "values (1, x'00', 0, x'00')",
    "alter a tile": "update log_tile set hashes = zeroblob(length(hashes) + 32)",
    "replace a tile": "replace into log_tile values (0, 0, zeroblob(8192))",
    "replace a tile by rowid": "replace into log_tile (rowid, level, number, hashes) values (1, 9, 9, x'')",
    "push a tile out": "update or replace log_tile set rowid = 1 where rowid = 2",
}
POSTGRES_REFUSED = {
    "alter a tile": "update log_tile set hashes = overlay(hashes placing '\\x00'::bytea from 1)",
    "change without other triggers": "set session_replication_role = replica; "
    "update log_event set source = 'x'",
    "empty it without other triggers": "set session_replication_role = replica; truncate log_event",
    **{f"truncate {table}": f"truncate {table}" for table in LOG[1:]},
    "two at once with a gap": f"insert into log_event {NEXT} union all "
    f"select 302, 'newer', {COPY} where position = 4",
}


def filled(url: str) -> None:
    with Store.open(url) as store:
        append(store, facts(*range(200)), kept=[contents.pack(b"one"), contents.pack(b"two")])
        append(store, facts(*range(200, 300)))


def test_what_was_recorded_cannot_be_changed(url: str) -> None:
    assert let_through(url, REFUSED) == []


def test_what_was_recorded_cannot_be_replaced_on_sqlite(sqlite_ledger: str) -> None:
    assert let_through(sqlite_ledger, SQLITE_REFUSED) == []


def test_what_was_recorded_cannot_be_emptied_on_postgresql(postgres_ledger: str) -> None:
    assert let_through(postgres_ledger, POSTGRES_REFUSED) == []


def let_through(url: str, statements: Mapping[str, str]) -> list[str]:
    """Which of some statements a filled ledger does not refuse, or is another one after."""
    filled(url)
    before = everything(url)
    found = []
    for what, statement in statements.items():
        try:
            raw(url, *statement.split("; "))
        except (sqlite3.IntegrityError, psycopg.Error):
            if everything(url) == before:
                continue
        found.append(what)
    return found


def test_a_content_cannot_be_replaced_by_its_digest(sqlite_ledger: str) -> None:
    filled(sqlite_ledger)
    before = everything(sqlite_ledger)
    raw(sqlite_ledger, "replace into log_content select digest, 1, x'00' from log_content")
    assert everything(sqlite_ledger) == before


def test_a_refusal_is_told_as_one_of_ours(store: Store) -> None:
    append(store, facts(0))
    with pytest.raises(StoreError, match="append-only"), store.connection.transaction():
        store.connection.execute("delete from log_event")
    append(store, facts(1))
    expect_whole_log(store)


class Undo(Exception):  # noqa: N818
    pass


def is_missed(store: Store, *statements: str) -> bool:
    """Whether the check finds what the statements did; they are taken back, and it finds nothing then."""
    missed = False
    with suppress(Undo), store.connection.transaction():
        store.connection.script(statements)
        try:
            check_guards(store.connection)
        except IntegrityError as error:
            missed = "not protected" in error.message
        raise Undo
    check_guards(store.connection)
    return missed


def triggers(dialect: str) -> dict[str, str]:
    """Guard → its table."""
    words = [one.split() for one in guard_statements(dialect) if one.startswith("CREATE TRIGGER")]
    return {one[2]: one[one.index("ON") + 1] for one in words}


def test_every_table_of_the_log_but_its_head_is_guarded() -> None:
    assert {*triggers(SQLITE).values()} == {*triggers(POSTGRESQL).values()} == {*LOG[1:]}


def test_a_guard_that_was_dropped_is_missed(store: Store) -> None:
    dialect = store.connection.dialect
    check_guards(store.connection)
    for name, table in triggers(dialect).items():
        on_table = f" on {table}" if dialect == POSTGRESQL else ""
        assert is_missed(store, f"drop trigger {name}{on_table}")


def test_a_guard_that_lost_its_teeth_is_missed_on_sqlite(sqlite_ledger: str) -> None:
    with Store.open(sqlite_ledger) as store:
        for statement in guard_statements(SQLITE):
            name = statement.split()[2]
            head, _, _ = statement.partition(" BEGIN ")
            assert is_missed(store, f"drop trigger {name}", f"{head} BEGIN SELECT 1; END")
            never = head.partition(" WHEN ")[0] + " WHEN 0"
            toothless = statement.replace(head, never)
            assert is_missed(store, f"drop trigger {name}", toothless)


def test_a_guard_that_lost_its_teeth_is_missed_on_postgresql(postgres_ledger: str) -> None:
    nothing = (
        "create function nothing() returns trigger language plpgsql as 'begin return new; end'"
    )
    with Store.open(postgres_ledger) as store:
        for name, table in triggers(POSTGRESQL).items():
            assert is_missed(store, f"alter table {table} disable trigger {name}")
            assert is_missed(store, f"alter table {table} enable trigger {name}")
            assert is_missed(store, f"alter table {table} enable replica trigger {name}")
            for statement in toothless(name, table):
                always = f"alter table {table} enable always trigger {name}"
                assert is_missed(
                    store, nothing, f"drop trigger {name} on {table}", statement, always
                )
        for function in ("ledger_refuse", "ledger_contiguous", "ledger_tile_grows"):
            empty = f"create or replace function {function}() returns trigger language plpgsql as"
            assert is_missed(store, f"{empty} 'begin return new; end'")
            assert is_missed(store, f"alter function {function}() set search_path = elsewhere")


def toothless(name: str, table: str) -> list[str]:
    """Guards by name alone."""
    return [
        f"create trigger {name} before insert on {table} for each row execute function nothing()",
        f"create trigger {name} before insert on {table} for each row execute function ledger_refuse()",
        f"create trigger {name} before update or delete on {table} for each row when (false) "
        "execute function ledger_refuse()",
        f"create trigger {name} before update or delete on {table} for each row "
        "execute function nothing()",
    ]


def test_a_decoy_does_not_hide_a_changed_function(postgres_ledger: str) -> None:
    with Store.open(postgres_ledger) as store:
        [[body]] = store.connection.rows(
            "select prosrc from pg_proc where proname = 'ledger_refuse'"
        )
        for number in range(3):
            assert is_missed(
                store,
                f"create function ledger_refuse(a{number} int) returns void language plpgsql as $${body}$$",
                "create or replace function ledger_refuse() returns trigger language plpgsql "
                "as 'begin return new; end'",
            )


# -- opening -------------------------------------------------------------------------------------


def test_a_database_that_is_not_there_is_no_ledger_and_is_not_made(
    sqlite_url: str, tmp_path: Path
) -> None:
    for read_only in (False, True):
        with pytest.raises(StoreError, match="no ledger") as caught:
            Store.open(sqlite_url, read_only=read_only)
        assert "ledger init" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_something_else_is_no_ledger(database_url: str) -> None:
    raw(database_url, "create table theirs (number integer)")
    for read_only in (False, True):
        with pytest.raises(StoreError, match="no ledger") as caught:
            Store.open(database_url, read_only=read_only)
        assert "ledger init" in caught.value.hint
    assert raw(database_url, "select * from theirs") == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database at all, but long enough to have a header of one hundred bytes" * 9)
    for read_only in (False, True):
        with pytest.raises(StoreError):
            Store.open(f"sqlite:///{path}", read_only=read_only)


@pytest.mark.parametrize("version", ["0001", "9999"])
def test_a_ledger_of_another_schema_version_is_not_touched(url: str, version: str) -> None:
    raw(url, f"update alembic_version set version_num = '{version}'")
    with pytest.raises(StoreError, match=version) as caught:
        Store.open(url)
    assert "ledger init" in caught.value.hint


def test_an_unknown_or_unreachable_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="mysql"):
        Store.open("mysql://root@localhost/ledger")
    with pytest.raises(StoreError, match="cannot reach") as caught:
        Store.open(f"postgresql://ann:hunter2@/ledger?host={tmp_path}")
    assert "hunter2" not in str(caught.value)


def test_a_password_is_not_shown(postgres_url: str) -> None:
    with pytest.raises(StoreError, match="no ledger") as caught:
        Store.open(postgres_url.replace("postgres@", "postgres:hunter2@"))
    assert "hunter2" not in str(caught.value)


def test_a_ledger_opened_for_reading_cannot_be_written(url: str) -> None:
    filled(url)
    before = everything(url)
    with Store.open(url, read_only=True) as store:
        assert store.head().size == 300
        expect_whole_log(store)
        with pytest.raises(StoreError):
            append(store, facts(300))
        with pytest.raises(StoreError):
            store.fail("made up", AT, "no")
        with pytest.raises(StoreError):
            store.connection.execute("create table mine (number integer)")
        assert store.head().size == 300
    assert everything(url) == before


def test_a_ledger_on_sqlite_survives_a_loss_of_power(sqlite_ledger: str) -> None:
    with Store.open(sqlite_ledger) as store:
        settings = [
            store.connection.rows(f"pragma {name}")[0][0]
            for name in ("journal_mode", "synchronous")
        ]
    assert settings == ["wal", 2]


def test_a_leaf_is_hashed_as_rfc_6962_says(store: Store) -> None:
    append(store, facts(0))
    [row] = store.leaves()
    assert store.head() == TreeHead(1, leaf_hash(row[-1]))
