"""The two databases behind one small surface. SQL is written once, with `?` for parameters.

Rows travel as plain tuples through the drivers themselves: `executemany` on SQLite, COPY on
PostgreSQL. That is five to nine times faster than objects and needs no heavy import at start-up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ledger.errors import DeniedError, StoreError

if TYPE_CHECKING:
    import psycopg

Row = tuple[Any, ...]
SQLITE, POSTGRESQL = "sqlite", "postgresql"
BUSY_SECONDS = 60
_PARAMETERS = 500


class Connection(Protocol):
    """What the store needs of a database connection."""

    dialect: str

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Every row of a query."""

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """The rows of a query one after another, in constant memory."""

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Runs one statement."""

    def script(self, statements: Iterable[str]) -> None:
        """Runs statements that take no parameters, such as the definition of a trigger."""

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Adds rows that are known to be new."""

    def upsert(
        self, table: str, columns: Sequence[str], key: Sequence[str], rows: Sequence[Row]
    ) -> None:
        """Adds rows, or replaces those with the same key. Keys are distinct within `rows`."""

    def among(self, table: str, column: str, values: Sequence[Any]) -> set[Any]:
        """Those of `values` that the column already holds."""

    def transaction(self, *, durable: bool = True) -> Any:
        """A context manager: committed at its end, rolled back on an error. The only writers.

        One that is not durable may be lost whole in a power cut, until a later durable one: enough
        for what can be made again from the log.
        """

    def snapshot(self) -> Any:
        """A context manager within which every read sees one state of the database."""

    def analyze(self) -> None:
        """Refreshes the statistics by which PostgreSQL chooses its plans: some 10 ms a table."""

    def close(self) -> None:
        """Ends the connection."""


def _upsert_sql(table: str, columns: Sequence[str], key: Sequence[str], source: str) -> str:
    rest = [column for column in columns if column not in key]
    sets = ", ".join(f"{column} = excluded.{column}" for column in rest)
    action = f"do update set {sets}" if sets else "do nothing"
    names = ", ".join(columns)
    return f"insert into {table} ({names}) {source} on conflict ({', '.join(key)}) {action}"


class SqliteConnection:
    """SQLite through the standard library, in WAL mode with full synchronisation."""

    dialect = SQLITE

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        try:
            if read_only:
                uri = Path(path).absolute().as_uri() + "?mode=ro"
                self._db = sqlite3.connect(uri, uri=True, isolation_level=None)
            else:
                self._db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
            self._set_up(read_only)
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot open the database {path}: {error}",
                hint="Check the path in ledger.toml and the rights on the file.",
            ) from error

    def _set_up(self, read_only: bool) -> None:
        settings = {"busy_timeout": BUSY_SECONDS * 1000, "cache_size": -32_000, "temp_store": 2}
        if not read_only:
            settings |= {"page_size": 16_384}
            self._db.execute("pragma page_size = 16384")
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = full")
            self._db.execute("pragma recursive_triggers = on")
            # A checkpoint at every 256 MB, not 16: pages that change often are copied less often.
            self._db.execute("pragma wal_autocheckpoint = 16000")
        for name, value in settings.items():
            self._db.execute(f"pragma {name} = {value}")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with _translated():
            return self._db.execute(sql, parameters).fetchall()

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        with _translated():
            yield from self._db.execute(sql, parameters)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        with _translated():
            self._db.execute(sql, parameters)

    def script(self, statements: Iterable[str]) -> None:
        for statement in statements:
            self.execute(statement)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        marks = ", ".join("?" * len(columns))
        sql = f"insert into {table} ({', '.join(columns)}) values ({marks})"  # noqa: S608
        with _translated():
            self._db.executemany(sql, rows)

    def upsert(
        self, table: str, columns: Sequence[str], key: Sequence[str], rows: Sequence[Row]
    ) -> None:
        marks = ", ".join("?" * len(columns))
        with _translated():
            self._db.executemany(_upsert_sql(table, columns, key, f"values ({marks})"), rows)

    def among(self, table: str, column: str, values: Sequence[Any]) -> set[Any]:
        found: set[Any] = set()
        for start in range(0, len(values), _PARAMETERS):
            part = values[start : start + _PARAMETERS]
            marks = ", ".join("?" * len(part))
            sql = f"select {column} from {table} where {column} in ({marks})"  # noqa: S608
            found.update(row[0] for row in self.rows(sql, part))
        return found

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        if not durable:
            self.execute("pragma synchronous = normal")
        self.execute("begin immediate")
        try:
            yield
            self.execute("commit")
        except BaseException:
            if self._db.in_transaction:
                with suppress(sqlite3.Error):  # what cannot be rolled back goes with the connection
                    self._db.execute("rollback")
            raise
        finally:
            if not durable:
                self.execute("pragma synchronous = full")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self.execute("begin")
        try:
            yield
        finally:
            if self._db.in_transaction:
                self._db.execute("rollback")

    def analyze(self) -> None:
        """Nothing: the views are written for SQLite's plans without statistics.

        With sampled ones `applied_changes` takes 20 s on a large history, not one or two.
        """

    def close(self) -> None:
        self._db.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        hint = "Another process may be writing; try again." if "locked" in text else ""
        if "no such table" in text:
            hint = "Run `ledger init` to make or upgrade the database."
        if "no such column" in text or "has no column" in text:
            hint = "The tables are those of another version of the program: run `ledger rebuild`."
        if any(word in text for word in ("readonly", "disk is full", "disk I/O")):
            hint = "Nothing was changed. Free space or rights on the database, then try again."
        raise StoreError(f"the database refused: {text}", hint=hint) from error


class PostgresConnection:
    """PostgreSQL through psycopg 3."""

    dialect = POSTGRESQL

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        import psycopg  # noqa: PLC0415 (a heavy import that SQLite users never need)

        self._psycopg = psycopg
        try:
            self._db: psycopg.Connection[Row] = psycopg.connect(
                driver_url(url), autocommit=True, application_name="ledger"
            )
            self._db.execute(f"set lock_timeout = '{BUSY_SECONDS}s'")
            if read_only:
                self._db.execute("set session characteristics as transaction read only")
        except psycopg.Error as error:
            reason = str(error).strip().replace(driver_url(url), "the database's URL")
            raise StoreError(
                f"cannot reach the database: {reason}",
                hint="Check `database` in ledger.toml, and that the server is running.",
            ) from error

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with self._translated():
            return self._db.execute(_percent(sql), parameters).fetchall()

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        with self._translated(), self._db.transaction(), self._db.cursor("ledger_stream") as cursor:
            cursor.itersize = 2_000
            cursor.execute(_percent(sql), parameters)
            yield from cursor

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        with self._translated():
            self._db.execute(_percent(sql), parameters)

    def script(self, statements: Iterable[str]) -> None:
        with self._translated():
            for statement in statements:
                self._db.execute(statement)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        if not rows:
            return
        sql = f"copy {table} ({', '.join(columns)}) from stdin"
        with self._translated(), self._db.cursor() as cursor, cursor.copy(sql) as copy:
            for row in rows:
                copy.write_row(row)

    def upsert(
        self, table: str, columns: Sequence[str], key: Sequence[str], rows: Sequence[Row]
    ) -> None:
        if not rows:
            return
        staging = f"staging_{table}"
        self.execute(f"create temp table {staging} (like {table}) on commit drop")
        self.insert(staging, columns, rows)
        source = f"select {', '.join(columns)} from {staging}"  # noqa: S608
        self.execute(_upsert_sql(table, columns, key, source))
        self.execute(f"drop table {staging}")

    def among(self, table: str, column: str, values: Sequence[Any]) -> set[Any]:
        sql = f"select {column} from {table} where {column} = any(?)"  # noqa: S608
        return {row[0] for row in self.rows(sql, [list(values)])} if values else set()

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        with self._translated(), self._db.transaction():
            if not durable:
                self._db.execute("set local synchronous_commit = off")
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self._translated(), self._db.transaction():
            self._db.execute("set transaction isolation level repeatable read, read only")
            yield

    def analyze(self) -> None:
        tables = "select tablename from pg_tables where schemaname = current_schema()"
        for (name,) in self.rows(f"{tables} and tableowner = current_user"):
            self.execute(f'analyze "{name}"')

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._psycopg.Error as error:
            text = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            missing = isinstance(error, self._psycopg.errors.UndefinedTable)
            hint = "Run `ledger init` to make or upgrade the database." if missing else ""
            if isinstance(error, self._psycopg.errors.LockNotAvailable):
                hint = "Another process may be writing; try again."
            elif isinstance(error, self._psycopg.errors.DiskFull):
                hint = (
                    "What was recorded is kept. Free space on the server's disk, then run it again."
                )
            elif isinstance(error, self._psycopg.errors.ReadOnlySqlTransaction):
                hint = (
                    "What was recorded is kept. The server takes no writes, as a standby does: see to "
                    "it, or to `database` in ledger.toml, then run it again."
                )
            elif isinstance(error, self._psycopg.OperationalError):
                hint = "What was recorded is kept. See to the server, then run it again."
            if isinstance(error, self._psycopg.errors.UndefinedColumn):
                hint = (
                    "The tables are those of another version of the program: run `ledger rebuild`."
                )
            denied = isinstance(error, self._psycopg.errors.InsufficientPrivilege)
            kind = DeniedError if denied else StoreError
            raise kind(f"the database refused: {text}", hint=hint) from error


def _percent(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


def driver_url(url: str) -> str:
    """The URL as libpq reads it, without SQLAlchemy's driver name."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"


def sqlite_path(url: str) -> str:
    """The file of an `sqlite:///` URL."""
    return url.removeprefix("sqlite:///")


def is_absent(url: str) -> bool:
    """Whether a URL names an SQLite file that is not there; connecting would make it."""
    return url.startswith("sqlite:///") and not Path(sqlite_path(url)).exists()


def connect(url: str, *, read_only: bool = False) -> Connection:
    """A connection to the database of a URL: `sqlite:///PATH` or `postgresql://…`.

    Raises StoreError when it cannot be had.
    """
    if url.startswith("sqlite:///"):
        return SqliteConnection(sqlite_path(url), read_only=read_only)
    if url.startswith(("postgresql://", "postgresql+psycopg://", "postgres://")):
        return PostgresConnection(url, read_only=read_only)
    raise StoreError(
        f"{url.partition('://')[0]!r} is no database that the ledger knows",
        hint="Use sqlite:///PATH or postgresql://USER@HOST/NAME.",
    )


def placeholders(row: Mapping[str, Any]) -> str:
    """`a = ? and b = ?` for the names of a mapping."""
    return " and ".join(f"{name} = ?" for name in row)
