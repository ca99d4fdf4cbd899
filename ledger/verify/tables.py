"""Whether the tables that answer questions are what the log gives: made again beside, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ledger import registry
from ledger.documents import Documents
from ledger.errors import StoreError
from ledger.projections import Projection, Table
from ledger.projector import Projector
from ledger.store import Store, schema
from ledger.store.drivers import POSTGRESQL, Connection
from ledger.verify.findings import Finding

SUFFIX = "__check"
STEP = 1_000
ATTEMPTS = 10
SHOWN = 200  # characters of a value
Progress = Callable[[int, int], None]


def verify_projections(
    store: Store, *, progress: Progress = lambda _a, _b: None
) -> Iterator[Finding]:
    """Makes every projection again from the log and names the first row of each table that differs.

    The tables in use are brought up to the log first, as every ingest does, and otherwise left as they
    are; writers wait while rows are compared. Costs what `ledger rebuild` costs, in time and in space.
    Raises StoreError where the database is read-only or other writers never rest.
    """
    connection = store.connection
    documents = Documents(registry.parsers, store.content)
    stopped = _catch_up(store, documents)
    yield from (Finding(None, f"projection {one}") for one in stopped.values())
    projections = [one for one in registry.projections() if one.name not in stopped]
    try:
        _begin(connection, projections)
        beside = Projector(store, projections, documents, suffix=SUFFIX)
        size = store.head().size
        while beside.checkpoint < size:
            beside.catch_up(until=min(size, beside.checkpoint + STEP))
            progress(beside.checkpoint, size)
        for _ in range(ATTEMPTS):
            found = _compare(store, projections, beside)
            if found is not None:
                yield from found
                return
            _catch_up(store, documents)
        raise StoreError(
            "the projections never came to rest", hint="Try again when no ingest is running."
        )
    finally:
        _drop(connection)


def _begin(connection: Connection, projections: Sequence[Projection]) -> None:
    _drop(connection)
    with connection.transaction():
        schema.create_tables(connection, projections, SUFFIX)


def _drop(connection: Connection) -> None:
    with connection.transaction():
        tables = [name for name in schema.model_tables(connection) if name.endswith(SUFFIX)]
        schema.drop_tables(connection, tables)


def _catch_up(store: Store, documents: Documents) -> dict[str, str]:
    """Projects what is new into the tables in use. Gives the projections that stopped, and how."""
    Projector(store, registry.projections(), documents).catch_up()
    rows = store.connection.rows("select projection, failure from projection_state")
    return {
        name: f"{name} {failure}; its tables were not compared" for name, failure in rows if failure
    }


def _compare(
    store: Store, projections: Sequence[Projection], beside: Projector
) -> list[Finding] | None:
    """Compares while nothing is written; None where the tables in use are not at the log's end."""
    connection = store.connection
    with connection.transaction():
        store.lock()
        size = store.head().size
        lock = " for update" if connection.dialect == POSTGRESQL else ""
        rows = connection.rows(f"select projection, checkpoint from projection_state{lock}")  # noqa: S608
        reached: dict[str, int] = dict(rows)
        if any(reached.get(one.name) != size for one in projections):
            return None
        beside.catch_up_inside(size)
        tables = (table for one in projections for table in one.tables)
        return [found for table in tables if (found := _first_difference(connection, table))]


def _first_difference(connection: Connection, table: Table) -> Finding | None:
    used, made = schema.table_name(table), schema.table_name(table, SUFFIX)
    columns = ", ".join(table.columns)
    wrong = _except(connection, columns, table.key, used, made)
    right = _except(connection, columns, table.key, made, used)
    if wrong is None and right is None:
        counts = connection.rows(
            f"select (select count(*) from {used}), (select count(*) from {made})"  # noqa: S608
        )
        if counts[0][0] == counts[0][1]:
            return None
        return Finding(None, f"table {used} has {counts[0][0]} rows, the log gives {counts[0][1]}")
    places = [table.columns.index(name) for name in table.key]

    def key(row: tuple[Any, ...] | None) -> tuple[Any, ...]:
        return tuple(row[place] for place in places) if row else ()

    if right is None or (wrong is not None and _before(key(wrong), key(right))):
        return Finding(None, f"table {used}: the log gives no row {_shown(table.key, key(wrong))}")
    if wrong is None or key(wrong) != key(right):
        return Finding(None, f"table {used}: row {_shown(table.key, key(right))} is missing")
    differing = [at for at, (a, b) in enumerate(zip(wrong, right, strict=True)) if not _same(a, b)]
    at = differing[0] if differing else 0
    return Finding(
        None,
        f"table {used}, row {_shown(table.key, key(right))}: column {table.columns[at]} says "
        f"{_value(wrong[at])}, the log gives {_value(right[at])}",
    )


def _except(
    connection: Connection, columns: str, key: Sequence[str], one: str, other: str
) -> tuple[Any, ...] | None:
    """The first row, by key, of one table that the other has not."""
    order = ", ".join(key)
    sql = (
        f"select {columns} from {one} except select {columns} from {other} order by {order} limit 1"  # noqa: S608
    )
    rows = connection.rows(sql)
    return rows[0] if rows else None


def _before(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    try:
        return bool(one < other)
    except TypeError:  # SQLite was made to hold text for a number: any order is as good
        return True


def _same(one: object, other: object) -> bool:
    return type(one) is type(other) and one == other


def _shown(names: Sequence[str], values: tuple[Any, ...]) -> str:
    return ", ".join(f"{name} {_value(one)}" for name, one in zip(names, values, strict=True))


def _value(value: object) -> str:
    text = f"x'{value.hex()}'" if isinstance(value, bytes) else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
