"""Projections see their tables as of the event at hand, however events are cut into batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import ingest, projector, registry
from ledger.config import Settings
from ledger.documents import Documents
from ledger.errors import IntegrityError, LedgerError, StoreError
from ledger.events import CollectorGap, NewEvent, QueryExecuted, RecordedEvent
from ledger.projections import Context, Dropped, Projection, Row, Table
from ledger.projector import Projector
from ledger.store import Store
from ledger.store.schema import initialise, make_projections, model_tables
from ledger.testing import make_database

AT = "2026-09-01T00:00:00Z"
Made = Callable[[Sequence[Projection]], Store]


@pytest.fixture
def make(database_url: str) -> Iterator[Made]:
    """A ledger with these projections alone."""
    opened: list[Store] = []

    def making(projections: Sequence[Projection]) -> Store:
        make_database(database_url)
        store = Store.open(database_url)
        opened.append(store)
        with store.connection.transaction():
            store.connection.execute("delete from projection_state")
            make_projections(store.connection, projections)
        return store

    yield making
    for store in opened:
        store.close()


def following(store: Store, projections: Sequence[Projection]) -> Projector:
    return Projector(store, projections, Documents(registry.parsers, store.content))


def tell(store: Store, *words: str) -> list[RecordedEvent]:
    """Appends an event for each word."""
    start = store.head().size
    events = [
        NewEvent(
            stream="made up",
            key=f"event/{start + number}",
            source="made up",
            data=QueryExecuted(sql=word, rows=number),
        )
        for number, word in enumerate(words)
    ]
    return store.append(events, source="made up", recorded_at=AT)


def rows(store: Store, table: Table) -> list[Row]:
    order = ", ".join(table.key)
    found = store.connection.rows(
        f"select {', '.join(table.columns)} from {table.name} order by {order}"
    )
    return [table.row._make(row) for row in found]  # type: ignore[attr-defined]


def states(store: Store) -> dict[str, tuple[int, str]]:
    found = store.connection.rows("select projection, checkpoint, failure from projection_state")
    return {name: (checkpoint, failure) for name, checkpoint, failure in found}


def word(recorded: RecordedEvent) -> str:
    assert isinstance(recorded.data, QueryExecuted)
    return recorded.data.sql


# -- what a projection sees ----------------------------------------------------------------------


class Item(NamedTuple):
    shelf: str
    number: int
    colour: str
    size: int
    note: str | None
    mark: bytes | None


class Answer(NamedTuple):
    id: int
    position: int
    question: str
    answer: str


ITEMS = Table(
    "model_made_item",
    Item,
    key=("shelf", "number"),
    lookups=(("colour",), ("size", "shelf"), ("shelf",)),
    indexes=(("note",),),
)
ANSWERS = Table("model_made_answer", Answer, key=("id",), lookups=(("question",),), log=True)
Steps = list[list[Any]]


def item(step: list[Any]) -> Item:
    _, shelf, number, colour, size, note, mark = step
    return Item(shelf, number, colour, size, note, None if mark is None else bytes.fromhex(mark))


def answer_steps(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    """Does what the event says: puts rows, and writes down what it then sees."""
    for step in json.loads(word(recorded)):
        if step[0] == "put":
            yield item(step)
        elif step[0] == "drop":
            yield Dropped(Item, (step[1], step[2]))
        else:
            question = json.dumps(step)
            answer = repr(ask(context, step))
            yield Answer(context.next_id(Answer), recorded.position, question, answer)


def ask(context: Context, step: list[Any]) -> Any:
    kind, *values = step
    if kind == "get":
        return context.get(Item, *values)
    if kind == "colour":
        return list(context.find(Item, colour=values[0]))
    if kind == "size":
        return list(context.find(Item, size=values[0], shelf=values[1]))
    if kind == "shelf":
        return list(context.find(Item, shelf=values[0]))
    if kind == "answers":
        return list(context.find(Answer, question=json.dumps(values[0])))
    return context.get(Answer, *values)


ANSWERING = Projection(
    name="answering",
    version=1,
    tables=(ITEMS, ANSWERS),
    handles=(QueryExecuted,),
    project=answer_steps,
)


class Oracle:
    """The same with a dict and a list."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, int], Item] = {}
        self.answers: list[Answer] = []

    def event(self, position: int, steps: Steps) -> None:
        for step in steps:
            if step[0] == "put":
                self.items[step[1], step[2]] = item(step)
            elif step[0] == "drop":
                self.items.pop((step[1], step[2]), None)
            else:
                answer = repr(self.ask(step))
                self.answers.append(
                    Answer(len(self.answers) + 1, position, json.dumps(step), answer)
                )

    def ask(self, step: list[Any]) -> Any:
        kind, *values = step
        items = [self.items[key] for key in sorted(self.items)]
        if kind == "get":
            return self.items.get((values[0], values[1]))
        if kind == "colour":
            return [one for one in items if one.colour == values[0]]
        if kind == "size":
            return [one for one in items if (one.size, one.shelf) == tuple(values)]
        if kind == "shelf":
            return [one for one in items if one.shelf == values[0]]
        if kind == "answers":
            return [one for one in self.answers if one.question == json.dumps(values[0])]
        return next((one for one in self.answers if one.id == values[0]), None)


SHELVES = st.sampled_from(["", "a", "Z", "é", "\ue000", "\U0001f680"])
COLOURS = st.sampled_from(["red", "blue"])
SIZES = st.sampled_from([0, 1, -(2**53) + 1])
NUMBERS = st.integers(0, 2)
PUTS = st.tuples(
    st.just("put"),
    SHELVES,
    NUMBERS,
    COLOURS,
    SIZES,
    st.sampled_from([None, "", "note"]),
    st.sampled_from([None, "", "00ff"]),
)
DROPS = st.tuples(st.just("drop"), SHELVES, NUMBERS)
QUESTIONS = st.one_of(
    st.tuples(st.just("get"), SHELVES, NUMBERS),
    st.tuples(st.just("colour"), COLOURS),
    st.tuples(st.just("size"), SIZES, SHELVES),
    st.tuples(st.just("shelf"), SHELVES),
)
ABOUT_ANSWERS = st.one_of(
    st.tuples(st.just("answers"), QUESTIONS.map(list)),
    st.tuples(st.just("answer"), st.integers(1, 8)),
)
STEPS = st.lists(
    st.one_of(PUTS, PUTS, DROPS, QUESTIONS, QUESTIONS, ABOUT_ANSWERS).map(list),
    min_size=1,
    max_size=6,
)


class Way(NamedTuple):
    """One way to come to the same end."""

    batch: int
    max_rows: int
    small: int
    restart_every: int
    appends: list[int]
    spill: int = 20_000
    max_known: int = 100_000


WAYS = st.builds(
    Way,
    batch=st.sampled_from([1, 2, 3, 1_000]),
    max_rows=st.sampled_from([0, 2, 5, 16_000]),
    small=st.sampled_from([0, 3, 500]),
    restart_every=st.integers(1, 4),
    appends=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    spill=st.sampled_from([1, 2, 20_000]),
    max_known=st.sampled_from([0, 3, 100_000]),
)


def go(store: Store, told: list[Steps], way: Way) -> int:
    """Tells the events and follows them in one of many ways; gives the first position."""
    first = store.head().size
    with store.connection.transaction():
        for table in (ITEMS, ANSWERS):
            store.connection.execute(f"delete from {table.name}")
        store.connection.execute("update projection_state set checkpoint = ?", [first])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projector, "BATCH", way.batch)
        patch.setattr(projector.cache, "MAX_ROWS", way.max_rows)
        patch.setattr(projector.cache, "MAX_KNOWN", way.max_known)
        patch.setattr(projector.cache, "SMALL", way.small)
        patch.setattr(projector.workspace, "SPILL", way.spill)
        follower = following(store, [ANSWERING])
        left = [json.dumps(steps) for steps in told]
        turn = 0
        while left:
            size = way.appends[turn % len(way.appends)]
            recorded = tell(store, *left[:size])
            del left[:size]
            turn += 1
            if turn % way.restart_every == 0:
                follower = following(store, [ANSWERING])
            assert follower.catch_up(recorded if turn % 2 else ()) == store.head().size
    return first


def test_no_statement_looks_for_a_row_that_is_known_to_be_new(
    made: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a table that was seen whole, which is then too large to be held."""
    monkeypatch.setattr(projector.cache, "MAX_ROWS", 2)
    follower = following(made, [ANSWERING])
    puts = [["put", "a", number, "red", 0, None, None] for number in range(5)]
    follower.catch_up(tell(made, json.dumps(puts)))
    asked: list[str] = []
    rows_of = made.connection.rows

    def noting(sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        asked.append(sql)
        return rows_of(sql, parameters)

    monkeypatch.setattr(made.connection, "rows", noting)

    def statements(*questions: list[Any]) -> int:
        asked.clear()
        follower.catch_up(tell(made, json.dumps(questions)))
        return sum(f" {ITEMS.name} " in sql for sql in asked)

    assert statements(["get", "b", 1], ["colour", "blue"], ["size", 1, "a"]) == 0
    assert statements(["get", "a", 1], ["colour", "red"]) == 2


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_projection_sees_its_tables_as_of_the_event_whatever_is_remembered(
    made: Store, data: st.DataObject
) -> None:
    told = data.draw(st.lists(STEPS, min_size=1, max_size=10), label="events")
    first = go(made, told, data.draw(WAYS, label="way"))
    oracle = Oracle()
    for position, steps in enumerate(told, first):
        oracle.event(position, steps)
    assert rows(made, ANSWERS) == oracle.answers
    assert rows(made, ITEMS) == [oracle.items[key] for key in sorted(oracle.items)]
    assert states(made) == {"answering": (first + len(told), "")}


@pytest.fixture
def made(make: Made) -> Store:
    return make([ANSWERING])


def test_a_row_that_moves_to_another_group_is_found_there_alone(made: Store) -> None:
    put = ["put", "a", 1, "red", 0, None, None]
    moved = ["put", "a", 1, "blue", 0, None, None]
    told: list[Steps] = [[put], [["colour", "red"], moved, ["colour", "red"], ["colour", "blue"]]]
    for max_rows in (0, 16_000):
        go(made, told, Way(1, max_rows, 0, 1, [1]))
        red, none, blue = (row.answer for row in rows(made, ANSWERS) if isinstance(row, Answer))
        assert (red, none) == (repr([Item("a", 1, "red", 0, None, None)]), "[]")
        assert blue == repr([Item("a", 1, "blue", 0, None, None)])


def test_looking_for_rows_of_a_group_does_not_look_at_all_that_was_made(
    made: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    getter = projector.cache._getter

    def counting(columns: tuple[str, ...], names: tuple[str, ...]) -> Callable[[Row], Any]:
        of = getter(columns, names)

        def count(row: Row) -> Any:
            nonlocal looked
            looked += 1
            return of(row)

        return count

    monkeypatch.setattr(projector.cache, "_getter", counting)
    work: list[int] = []
    for size in (50, 200):
        looked = 0
        steps = [
            step
            for one in range(size)
            for step in (["put", f"k{one}", 1, f"c{one}", 0, None, None], ["colour", f"c{one}"])
        ]
        go(made, [steps], Way(1, 16_000, 0, 1, [1]))
        work.append(looked)
    assert work[1] < 5 * work[0]


# -- a projection that fails ---------------------------------------------------------------------


class Count(NamedTuple):
    word: str
    times: int


class Kept(NamedTuple):
    position: int
    word: str


class Copy(NamedTuple):
    position: int
    word: str


class Total(NamedTuple):
    position: int
    total: int


COUNTED = Table("model_made_count", Count, key=("word",))
KEPT = Table("model_made_kept", Kept, key=("position",))
COPIED = Table("model_made_copied", Copy, key=("position",))
TOTALS = Table("model_made_total", Total, key=("position",), log=True)
BROKEN = {"bad", "worse"}


def count(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    known = context.get(Count, word(recorded))
    yield Count(word(recorded), known.times + 1 if known else 1)


def keep(recorded: RecordedEvent, _: Context) -> Iterable[Row]:
    yield Kept(recorded.position, "half done")
    if word(recorded) in BROKEN:
        raise ValueError(f"cannot read {word(recorded)!r}: “é”")
    yield Kept(recorded.position, word(recorded))


def copy(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    kept = context.get(Kept, recorded.position)
    assert kept is not None
    yield Copy(*kept)


def total(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    if word(recorded) == "worse" and "worse" in BROKEN:
        raise KeyError("total")
    before = sum(1 for at in range(recorded.position) if context.get(Total, at))
    yield Total(recorded.position, before + 1)


def made_up(name: str, table: Table, project: Any, *after: str, version: int = 1) -> Projection:
    return Projection(
        name=name,
        version=version,
        tables=(table,),
        handles=(QueryExecuted,),
        project=project,
        after=after,
    )


COUNTING = made_up("counting", COUNTED, count)
KEEPING = made_up("keeping", KEPT, keep)
COPYING = made_up("copying", COPIED, copy, "keeping")
TOTALLING = made_up("totalling", TOTALS, total, "copying")
SUMMING = made_up("summing", TOTALS, total)
ALL = [COUNTING, KEEPING, COPYING, TOTALLING]
STOPPED = "stopped at position {}: ValueError: cannot read {!r}: “é”"


@pytest.mark.parametrize(("batch", "at"), [(1, 3), (2, 0), (1_000, 3), (1_000, 6)])
def test_a_projection_that_fails_stops_there_and_the_others_go_on(
    make: Made, monkeypatch: pytest.MonkeyPatch, batch: int, at: int
) -> None:
    monkeypatch.setattr(projector, "BATCH", batch)
    words = ["good"] * 7
    words[at] = "bad"
    store = make(ALL)
    follower = following(store, ALL)
    assert follower.catch_up(tell(store, *words)) == follower.checkpoint == 7
    why = STOPPED.format(at, "bad")
    waits = f"stopped at position {at}: waits for keeping"
    assert states(store) == {
        "counting": (7, ""),
        "keeping": (at, why),
        "copying": (at, waits),
        "totalling": (at, waits),
    }
    assert follower.failures == [f"keeping {why}", f"copying {waits}", f"totalling {waits}"]
    assert rows(store, COUNTED) == [Count("bad", 1), Count("good", 6)]
    assert rows(store, KEPT) == rows(store, COPIED) == [(number, "good") for number in range(at)]
    assert rows(store, TOTALS) == [Total(number, number + 1) for number in range(at)]


def test_the_log_and_the_healthy_projections_go_on_after_a_failure(make: Made) -> None:
    store = make(ALL)
    follower = following(store, ALL)
    follower.catch_up(tell(store, "good", "bad"))
    stopped = {name: state for name, state in states(store).items() if name != "counting"}
    follower.catch_up(tell(store, "good", "bad"))
    follower = following(store, ALL)
    assert follower.catch_up(tell(store, "good")) == 5
    assert follower.failures == []
    assert states(store) == stopped | {"counting": (5, "")}
    assert rows(store, COUNTED) == [Count("bad", 2), Count("good", 3)]
    assert rows(store, KEPT) == [Kept(0, "good")]


def test_two_projections_fail_each_at_its_own_event(make: Made) -> None:
    projections = [COUNTING, KEEPING, SUMMING]
    store = make(projections)
    follower = following(store, projections)
    follower.catch_up(tell(store, "good", "bad", "good", "worse", "good"))
    assert states(store) == {
        "counting": (5, ""),
        "keeping": (1, STOPPED.format(1, "bad")),
        "summing": (3, "stopped at position 3: KeyError: 'total'"),
    }
    assert rows(store, TOTALS) == [Total(0, 1), Total(1, 2), Total(2, 3)]
    assert rows(store, COUNTED) == [Count("bad", 1), Count("good", 3), Count("worse", 1)]


@pytest.mark.parametrize("batch", [1, 1_000])
def test_the_log_goes_on_when_every_projection_has_failed(
    make: Made, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(projector, "BATCH", batch)
    store = make([KEEPING, COPYING])
    follower = following(store, [KEEPING, COPYING])
    assert follower.catch_up(tell(store, "good", "bad", "good")) == 3
    assert follower.catch_up(tell(store, "good")) == 4
    assert following(store, [KEEPING, COPYING]).catch_up(tell(store, "good")) == 5
    assert {checkpoint for checkpoint, _ in states(store).values()} == {1}
    assert rows(store, COPIED) == [Copy(0, "good")]
    assert store.head().size == 5


def test_tampered_evidence_is_never_taken_for_a_projection_that_fails(make: Made) -> None:
    def read_lost(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
        yield Kept(recorded.position, context.content(b"d" * 32).decode())

    reading = made_up("reading", KEPT, read_lost)
    store = make([COUNTING, reading])
    follower = following(store, [COUNTING, reading])
    tell(store, "good")
    with pytest.raises(IntegrityError):
        follower.catch_up()
    assert states(store) == {"counting": (0, ""), "reading": (0, "")}
    assert rows(store, COUNTED) == []
    assert store.head().size == 1


def test_a_row_that_the_database_refuses_stops_everything_and_changes_nothing(make: Made) -> None:
    def wrong(recorded: RecordedEvent, _: Context) -> Iterable[Row]:
        yield Kept(recorded.position, None)  # type: ignore[arg-type]

    writing = made_up("writing", KEPT, wrong)
    store = make([COUNTING, writing])
    tell(store, "good")
    with pytest.raises(StoreError):
        following(store, [COUNTING, writing]).catch_up()
    assert states(store) == {"counting": (0, ""), "writing": (0, "")}
    assert rows(store, COUNTED) == []


# -- reading on ----------------------------------------------------------------------------------


def test_events_that_a_projection_does_not_handle_move_its_checkpoint_alone(make: Made) -> None:
    store = make([COUNTING])
    gap = CollectorGap(repository="infra", kind="unreadable", detail="?")
    event = NewEvent(stream="s", key="gap", source="s", data=gap)
    store.append([event], source="s", recorded_at=AT)
    assert following(store, [COUNTING]).catch_up() == 1
    assert rows(store, COUNTED) == []
    assert states(store) == {"counting": (1, "")}


def test_a_projector_that_was_overtaken_counts_nothing_twice(make: Made) -> None:
    store = make([COUNTING])
    one, other = following(store, [COUNTING]), following(store, [COUNTING])
    first = tell(store, "a", "b", "a")
    one.catch_up(first)
    assert other.catch_up(first) == 3
    second = tell(store, "a")
    assert other.catch_up(second) == 4
    third = tell(store, "b")
    assert one.catch_up(third) == 5
    assert other.catch_up() == 5
    assert rows(store, COUNTED) == [Count("a", 3), Count("b", 2)]


def test_a_projector_reads_up_to_where_it_is_told(make: Made) -> None:
    store = make([COUNTING])
    tell(store, *["a"] * 5)
    follower = following(store, [COUNTING])
    assert follower.catch_up(until=2) == follower.checkpoint == 2
    assert rows(store, COUNTED) == [Count("a", 2)]
    assert follower.catch_up() == 5
    assert follower.catch_up() == 5
    assert rows(store, COUNTED) == [Count("a", 5)]


def test_a_projection_reads_no_event_before_its_time(make: Made) -> None:
    def look(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
        keys = [f"event/{number}" for number in range(5)]
        seen = [found.position for key in keys if (found := context.event_of(key))]
        assert [context.event(position).key for position in seen] == keys[: len(seen)]
        yield Kept(recorded.position, str(seen))

    looking = made_up("looking", KEPT, look)
    store = make([looking])
    tell(store, *"abcd")
    following(store, [looking]).catch_up()
    assert rows(store, KEPT) == [Kept(at, str(list(range(at + 1)))) for at in range(4)]


def test_numbers_are_given_out_without_gaps_also_after_a_failure(make: Made) -> None:
    def number(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
        yield Total(context.next_id(Total), recorded.position)
        yield Total(context.next_id(Total), recorded.position)

    numbering = made_up("numbering", TOTALS, number)
    store = make([numbering, KEEPING])
    following(store, [numbering, KEEPING]).catch_up(tell(store, "good", "bad", "good"))
    following(store, [numbering, KEEPING]).catch_up(tell(store, "good"))
    assert rows(store, TOTALS) == [Total(1 + at, at // 2) for at in range(8)]


# -- versions and rebuilding ---------------------------------------------------------------------


@pytest.fixture
def installed(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A ledger whose program finds the made-up projections as those of another package."""
    package = tmp_path / "site" / "made_up-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1\n")
    lines = [f"{name.lower()} = {__name__}:{name}" for name in ("COUNTING", "KEEPING", "COPYING")]
    (package / "entry_points.txt").write_text("\n".join(["[ledger.projections]", *lines, ""]))
    monkeypatch.syspath_prepend(package.parent)
    initialise(database_url, registry.projections())
    return Settings(database=database_url, folder=tmp_path)


@pytest.fixture
def store(installed: Settings) -> Iterator[Store]:
    with Store.open(installed.database_url) as opened:
        yield opened


def catch_up(store: Store) -> Projector:
    follower = following(store, registry.projections())
    follower.catch_up()
    return follower


def test_projections_of_other_packages_are_found(installed: Settings) -> None:
    assert installed.source == []
    assert {"counting", "keeping", "copying"} < {one.name for one in registry.projections()}
    names = [one.name for one in registry.projections()]
    assert names.index("keeping") < names.index("copying")


def test_a_rebuild_brings_a_stopped_projection_back(
    installed: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(store, "good", "bad", "good")
    catch_up(store)
    assert states(store)["keeping"] == (1, STOPPED.format(1, "bad"))
    monkeypatch.setattr(f"{__name__}.BROKEN", set())
    seen: list[tuple[int, int]] = []
    assert ingest.rebuild(installed, progress=lambda *at: seen.append(at)) == 3
    assert seen == [(3, 3)]
    assert set(states(store).values()) == {(3, "")}
    words = ["good", "bad", "good"]
    assert rows(store, KEPT) == rows(store, COPIED) == [*enumerate(words)]
    assert rows(store, COUNTED) == [Count("bad", 1), Count("good", 2)]
    tell(store, "more")
    assert catch_up(store).failures == []
    assert rows(store, COPIED) == [*enumerate([*words, "more"])]


def test_a_rebuild_that_fails_leaves_the_tables_in_use(installed: Settings, store: Store) -> None:
    tell(store, "good", "bad", "good")
    catch_up(store)
    before = states(store), rows(store, KEPT), rows(store, COUNTED)
    with pytest.raises(LedgerError, match="projection keeping failed at position 1: ValueError"):
        ingest.rebuild(installed)
    assert (states(store), rows(store, KEPT), rows(store, COUNTED)) == before
    tell(store, "good")
    catch_up(store)
    assert rows(store, COUNTED) == [Count("bad", 1), Count("good", 3)]


def test_a_rebuild_gives_the_same_tables_however_often_and_leaves_none_behind(
    installed: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.BROKEN", set())
    monkeypatch.setattr(projector, "BATCH", 3)
    monkeypatch.setattr(projector.cache, "MAX_ROWS", 2)
    for number in range(10):
        tell(store, f"word {number % 3}", "same")
        catch_up(store)
    before = rows(store, KEPT), rows(store, COUNTED), rows(store, COPIED)
    tables = sorted(model_tables(store.connection))
    for _ in range(3):
        assert ingest.rebuild(installed) == 20
        assert (rows(store, KEPT), rows(store, COUNTED), rows(store, COPIED)) == before
        assert sorted(model_tables(store.connection)) == tables
    tell(store, "same")
    catch_up(store)
    assert Count("same", 11) in rows(store, COUNTED)


def test_a_rebuild_starts_afresh_after_one_that_was_interrupted(
    installed: Settings, store: Store
) -> None:
    tell(store, "good")
    with store.connection.transaction():
        store.connection.script(["create table model_made_kept__next (rubbish integer)"])
        store.connection.script(["create table model_retired (rubbish integer)"])
    assert ingest.rebuild(installed) == 1
    assert rows(store, KEPT) == [Kept(0, "good")]
    assert not {"model_made_kept__next", "model_retired"} & set(model_tables(store.connection))


OTHERS = {
    "another version": "update projection_state set version = 99 where projection = 'counting'",
    "one too few": "delete from projection_state where projection = 'counting'",
    "one too many": "insert into projection_state (projection, version, checkpoint, failure) "
    "values ('retired', 1, 0, '')",
    "none at all": "delete from projection_state",
}


@pytest.mark.parametrize("statement", OTHERS.values(), ids=OTHERS.keys())
def test_tables_of_other_projections_are_not_followed_until_rebuilt(
    installed: Settings, store: Store, statement: str
) -> None:
    tell(store, "good")
    catch_up(store)
    with store.connection.transaction():
        store.connection.execute(statement)
    before = rows(store, COUNTED)
    tell(store, "good")
    with pytest.raises(StoreError) as caught:
        catch_up(store)
    assert "ledger rebuild" in caught.value.hint
    assert rows(store, COUNTED) == before
    ingest.rebuild(installed)
    assert rows(store, COUNTED) == [Count("good", 2)]
    assert set(states(store)) == {one.name for one in registry.projections()}
    catch_up(store)
