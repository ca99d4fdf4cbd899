"""Makes and upgrades a ledger: the log by migrations, projection tables and views by their own words.

The log's schema is migrated and never altered; projection tables are dropped and made again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ledger.errors import StoreError
from ledger.merkle import EMPTY_ROOT
from ledger.projections import Projection, Table
from ledger.store import drivers
from ledger.store.drivers import POSTGRESQL, SQLITE, Connection
from ledger.store.roles import AUDITOR_ROLE, grant_sql

_SQL_TYPES = {
    SQLITE: {int: "integer", str: "text", bytes: "blob"},
    POSTGRESQL: {int: "bigint", str: 'text collate "C"', bytes: "bytea"},
}


@dataclass(frozen=True, slots=True)
class View:
    """One public view: its name, what it shows, its columns with a sentence each, and its query."""

    name: str
    sentence: str
    columns: dict[str, str]
    sql: str


def shipped(folder: str) -> Path:
    """The folder `migrations` or `reports`: in the wheel it is inside the package, else beside it."""
    package = Path(str(resources.files("ledger")))
    inside = package / f"_{folder}"
    return inside if inside.is_dir() else package.parent / folder


# -- views ---------------------------------------------------------------------------------------

_HEADER = re.compile(r"^-- (?P<name>[a-z_]+): (?P<text>.+)$")


@cache
def views() -> tuple[View, ...]:
    """The public views in order of name, from the files of `ledger/views`."""
    folder = Path(str(resources.files("ledger"))) / "views"
    return tuple(_view(path) for path in sorted(folder.glob("*.sql")))


def _view(path: Path) -> View:
    lines = path.read_text("utf-8").splitlines()
    header = [match for line in lines if (match := _HEADER.match(line))]
    body = "\n".join(line for line in lines if not line.startswith("--")).strip()
    sentence, *columns = header
    return View(
        name=path.stem,
        sentence=sentence["text"],
        columns={match["name"]: match["text"] for match in columns},
        sql=body.rstrip(";"),
    )


def _view_sql(view: View, dialect: str) -> str:
    """The query of a view for a database. Two expressions differ: see `docs/explanation`."""
    sql = view.sql
    if dialect == SQLITE:
        sql = re.sub(
            r"json_part\((\w+(?:\.\w+)?), '(\w+)'\)", r"json_extract(cast(\1 as text), '$.\2')", sql
        )
        sql = re.sub(r"hex_text\((\w+(?:\.\w+)?)\)", r"lower(hex(\1))", sql)
    else:
        sql = re.sub(
            r"json_part\((\w+(?:\.\w+)?), '(\w+)'\)",
            r"(convert_from(\1, 'UTF8')::json -> '\2')::text",
            sql,
        )
        sql = re.sub(r"hex_text\((\w+(?:\.\w+)?)\)", r"encode(\1, 'hex')", sql)
    return sql


def create_views(connection: Connection) -> None:
    """Drops every public view and makes it again."""
    drop_views(connection)
    for view in _views_in_order():
        connection.script([f"create view {view.name} as {_view_sql(view, connection.dialect)}"])


def drop_views(connection: Connection) -> None:
    """Drops every public view."""
    connection.script(f"drop view if exists {view.name}" for view in reversed(_views_in_order()))


def _views_in_order() -> list[View]:
    """The views, each after those that it reads."""
    left = {view.name: view for view in views()}
    reads = {
        name: set(re.findall(r"\b(?:from|join) ([a-z_]+)", view.sql)) & (left.keys() - {name})
        for name, view in left.items()
    }
    ordered: list[View] = []
    while left:
        ready = [name for name in left if not reads[name] & left.keys()]
        ordered += [left.pop(name) for name in ready or list(left)]
    return ordered


# -- projection tables ---------------------------------------------------------------------------


def table_name(table: Table, suffix: str = "") -> str:
    """The name of a projection's table, or of the one that a rebuild makes beside it."""
    return f"{table.name}{suffix}"


def create_tables(
    connection: Connection, projections: Iterable[Projection], suffix: str = ""
) -> None:
    """Makes the empty tables of projections, with the look-ups that projecting needs."""
    for one in projections:
        for table in one.tables:
            connection.script([_table_sql(table, connection.dialect, suffix)])
            create_indexes(connection, table, table.lookups, suffix)


def _table_sql(table: Table, dialect: str, suffix: str) -> str:
    types = _SQL_TYPES[dialect]
    columns: list[str] = []
    for name, annotation in table.types().items():
        options = getattr(annotation, "__args__", (annotation,))
        base = next(option for option in options if option is not type(None))
        null = "" if type(None) in options else " not null"
        columns.append(f"{name} {types[base]}{null}")
    key = f"primary key ({', '.join(table.key)})"
    single = len(table.key) == 1 and table.types()[table.key[0]] is int
    tail = " without rowid" if dialect == SQLITE and not single else ""
    return f"create table {table_name(table, suffix)} ({', '.join(columns)}, {key}){tail}"


def create_indexes(
    connection: Connection, table: Table, groups: Sequence[tuple[str, ...]], suffix: str = ""
) -> None:
    """Makes an index for each group of columns that the primary key does not begin with."""
    for columns in groups:
        if columns == table.key[: len(columns)]:
            continue
        name = _index_name(table, columns, suffix)
        connection.script(
            [f"create index {name} on {table_name(table, suffix)} ({', '.join(columns)})"]
        )


def _index_name(table: Table, columns: Sequence[str], suffix: str) -> str:
    return f"{table.name}_{'_'.join(columns)}"[: 63 - len(suffix)] + suffix


def swap(connection: Connection, projections: Sequence[Projection], suffix: str) -> None:
    """Puts the tables that a rebuild made in the place of those in use, inside a transaction."""
    drop_views(connection)
    drop_tables(
        connection, [name for name in model_tables(connection) if not name.endswith(suffix)]
    )
    for one in projections:
        for table in one.tables:
            for columns in table.lookups:
                connection.script([f"drop index if exists {_index_name(table, columns, suffix)}"])
            connection.script([f"alter table {table_name(table, suffix)} rename to {table.name}"])
            create_indexes(connection, table, [*table.lookups, *table.indexes])
    size = int(connection.rows("select size from log_head where id = 1")[0][0])
    connection.execute("delete from projection_state")
    columns = ("projection", "version", "checkpoint", "failure")
    rows = [(one.name, one.version, size, "") for one in projections]
    connection.insert("projection_state", columns, rows)
    create_views(connection)


def drop_tables(connection: Connection, tables: Iterable[str]) -> None:
    """Drops tables by name where they are."""
    connection.script(f"drop table if exists {name}" for name in tables)


def model_tables(connection: Connection) -> list[str]:
    """The names of all projection tables that stand, also those of other program versions."""
    if connection.dialect == SQLITE:
        sql = "select name from sqlite_master where type = 'table' and name like 'model!_%' escape '!'"
    else:
        sql = (
            "select tablename from pg_tables where schemaname = current_schema() "
            "and tablename like 'model!_%' escape '!'"
        )
    return [row[0] for row in connection.rows(sql)]


# -- the whole ledger ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Made:
    """Whether a ledger is new, and what an administrator still has to do."""

    fresh: bool
    warning: str


def initialise(url: str, projections: Sequence[Projection]) -> Made:
    """Makes a ledger in a database, or upgrades the one that is there; one caller after another.

    Raises StoreError when the database cannot be had or is of a newer program.
    """
    connection = drivers.connect(url)
    try:
        if connection.dialect == POSTGRESQL:  # on SQLite the migrations' transaction is the lock
            connection.execute("select pg_advisory_lock(hashtext('ledger init'))")
        _migrate(url)
        with connection.transaction():
            fresh = not connection.rows("select 1 from log_head where id = 1")
            if fresh:
                connection.insert(
                    "log_head", ("id", "size", "root", "recorded_at"), [(1, 0, EMPTY_ROOT, "")]
                )
            if not model_tables(connection):
                make_projections(connection, projections)
            create_views(connection)
        return Made(fresh, protect(connection))
    finally:
        connection.close()


def make_projections(connection: Connection, projections: Sequence[Projection]) -> None:
    """Makes every projection table and index, empty, and notes the versions."""
    create_tables(connection, projections)
    for one in projections:
        for table in one.tables:
            create_indexes(connection, table, table.indexes)
    columns = ("projection", "version", "checkpoint", "failure")
    rows = [(one.name, one.version, 0, "") for one in projections]
    connection.upsert("projection_state", columns, ("projection",), rows)


def protect(connection: Connection) -> str:
    """Gives the auditor's role the views, where the database has roles; why it could not, or ""."""
    if connection.dialect != POSTGRESQL:
        return ""
    try:
        with connection.transaction():
            connection.script(grant_sql([view.name for view in views()], AUDITOR_ROLE))
    except StoreError as error:
        return (
            f"the role {AUDITOR_ROLE} could not be given the views ({error.message}); `ledger sql` refuses "
            f"to run until an administrator has made it: CREATE ROLE {AUDITOR_ROLE} NOLOGIN; "
            f"GRANT {AUDITOR_ROLE} TO the ledger's user. Then run `ledger init` again"
        )
    return ""


def _migrate(url: str) -> None:
    from alembic import command  # noqa: PLC0415 (heavy, and needed only here)
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415
    from sqlalchemy import create_engine, event  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")))
    engine = create_engine(_sqlalchemy_url(url))
    if url.startswith("sqlite"):
        # Through our own driver first: the page size and WAL mode are set before the first write.
        drivers.connect(url).close()
        # The driver's own transactions leave out the definition of tables: a failure would leave half.
        event.listen(engine, "connect", _without_own_transactions)
        event.listen(engine, "begin", lambda one: one.exec_driver_sql("begin immediate"))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise StoreError(
            f"the database is of a schema that this program does not know: {error}",
            hint="Use a newer program.",
        ) from error
    except SQLAlchemyError as error:
        raise StoreError(f"the database cannot be set up: {error}") from error
    finally:
        engine.dispose()


def _without_own_transactions(connection: Any, _: object) -> None:
    connection.isolation_level = None
    connection.execute("pragma busy_timeout = 60000")


def _sqlalchemy_url(url: str) -> Any:
    from sqlalchemy import URL  # noqa: PLC0415

    scheme, _, rest = url.partition("://")
    if scheme.startswith("postgres"):
        return f"postgresql+psycopg://{rest}"
    return URL.create(
        "sqlite", database=drivers.sqlite_path(url)
    )  # a path may hold a question mark
