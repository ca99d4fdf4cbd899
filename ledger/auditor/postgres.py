"""Asks PostgreSQL, with gate 2: a role that may select from the public views and nothing else.

The query runs in a read-only transaction that is always rolled back, under `SET LOCAL ROLE`,
through a server-side cursor (DECLARE takes one query and nothing else), with time limits. Views
run with their owner's rights, so the tables behind them stay closed to the role.

What this gate cannot do alone: a session whose user owns the ledger could give itself its rights
back with `set_config('role', …)` in mid-query, and then have a function run SQL given as text.
Gate 1 allows no such function. Where the two gates must be independent, let auditors' queries
connect as a login user that is a member of the role and owns nothing; this module works the same
with such a URL.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from datetime import time as clock_time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from ledger.auditor.contract import MAX_ANSWER_BYTES, Contract
from ledger.auditor.failures import (
    database_says,
    no_column,
    not_made,
    out_of_memory,
    too_large,
    too_slow,
)
from ledger.errors import QueryError, StoreError
from ledger.store.roles import AUDITOR_ROLE, quoted

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[Any, ...]]

Found = tuple[tuple[str, ...], list[tuple[Any, ...]], bool]
Ask = Callable[[str, int | None, float], Found]

_CONNECT_SECONDS: Final = 10
_CHUNK_BYTES: Final = 4 * 1024 * 1024  # one FETCH is held whole; rows are asked for accordingly
_CHUNK_ROWS: Final = 2000
_SETTINGS: Final = {
    "bytea_output": "hex",
    "datestyle": "ISO",
    "extra_float_digits": "1",
    "idle_in_transaction_session_timeout": "60s",
    "intervalstyle": "postgres",
    "jit": "off",
    "lock_timeout": "5s",
    "standard_conforming_strings": "on",
    "timezone": "UTC",
    "work_mem": "32MB",
}
_SUPERUSER_SETTINGS: Final = {"temp_file_limit": "1GB"}
# Types that come as the text PostgreSQL writes: JSON unchanged, dates beyond Python's range too.
_AS_TEXT: Final = (
    "json", "jsonb", "date", "time", "timetz", "timestamp", "timestamptz", "interval", "uuid",
)  # fmt: skip
# Relations of the ledger's schema, public views apart, that the role can read all the same.
_TOO_MUCH: Final = """
select c.relname from pg_class c
where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'v', 'm', 'f', 'p')
  and has_any_column_privilege(%s, c.oid, 'SELECT') and c.relname <> all(%s)
order by 1 limit 3
"""
_POWERS: Final = """
select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls
    or exists (select from pg_auth_members m where m.member = r.oid)
from pg_roles r where rolname = %s
"""


def run(url: str, sql: str, contract: Contract, *, limit: int | None, seconds: float) -> Found:
    """Columns, rows, and whether there were more rows, of one checked query."""
    with session(url, contract, seconds) as ask:
        return ask(sql, limit, seconds)


@contextmanager
def session(url: str, contract: Contract, seconds: float) -> Iterator[Ask]:
    """What asks checked queries of one state of the database, on a connection of its own.

    After a query that failed no other is answered.
    """
    end = time.monotonic() + seconds
    with _connected(url) as connection:
        with _translated("", contract, seconds):
            _shield(connection, contract)

        def ask(sql: str, limit: int | None, allowed: float) -> Found:
            with _translated(sql, contract, allowed), connection.cursor() as cursor:
                deadline = min(time.monotonic() + allowed, end)
                _allow(cursor, deadline)
                # binary=True asks for the extended protocol, which takes one statement only
                declare = f"DECLARE answer NO SCROLL CURSOR FOR {sql}"
                cursor.execute(declare.encode(), binary=True)
                found = _fetch(cursor, limit, deadline)
                cursor.execute("CLOSE answer")
                return found

        yield ask


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    """A connection whose only transaction is read-only and rolled back whatever happens."""
    import psycopg  # noqa: PLC0415  # not for whoever asks SQLite
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        parameters: dict[str, Any] = conninfo_to_dict(url)
    except psycopg.Error:
        # libpq's message may repeat the password
        raise StoreError("The database URL cannot be read.", hint=_URL_HINT) from None
    parameters.setdefault("connect_timeout", _CONNECT_SECONDS)
    options = f"{parameters.get('options') or ''} -c default_transaction_read_only=on"
    parameters |= {"options": options.strip(), "client_encoding": "utf8"}
    try:
        connection = psycopg.connect(**parameters, prepare_threshold=None)
    except psycopg.Error as error:
        message = str(error).strip().splitlines()[-1]
        raise StoreError(
            f"The database cannot be reached: {message}", hint="Is it running? Is the URL right?"
        ) from None
    try:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield connection
    finally:
        connection.close()  # without a commit, hence rolled back


_URL_HINT: Final = "Write postgresql://user@host:5432/database."


def _shield(connection: Connection, contract: Contract) -> None:
    """Everything that must hold before a stranger's query may run in this transaction."""
    from psycopg import errors, sql  # noqa: PLC0415
    from psycopg.types.string import TextLoader  # noqa: PLC0415

    for name in _AS_TEXT:
        connection.adapters.register_loader(name, TextLoader)
    _check_role(connection, contract)
    schema = _one(connection, "select current_schema()")
    if schema is None:
        raise StoreError(
            "The search path of this database user names no schema.",
            hint="Point the URL at the ledger's schema: …?options=-csearch_path%3Dledger",
        )
    _set(connection, {**_SETTINGS, "search_path": f"{quoted(schema)}, pg_temp"})
    try:
        with connection.transaction():
            _set(connection, _SUPERUSER_SETTINGS)
    except errors.InsufficientPrivilege:
        pass  # the server's own limit holds
    try:
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(AUDITOR_ROLE)))
    except errors.InsufficientPrivilege:
        raise _no_role(f"This database user may not act as {AUDITOR_ROLE}.") from None


def _check_role(connection: Connection, contract: Contract) -> None:
    """Refuses to go on if the role is missing or may do more than read the public views."""
    powers = connection.execute(_POWERS, [AUDITOR_ROLE]).fetchone()
    if powers is None:
        raise _no_role(f"The database has no role {AUDITOR_ROLE}.")
    if powers[0]:
        raise QueryError(
            f"The role {AUDITOR_ROLE} has rights beyond reading views.",
            hint="Take its attributes and memberships away; it needs none.",
        )
    found = connection.execute(_TOO_MUCH, [AUDITOR_ROLE, list(contract.views)]).fetchall()
    if found:
        raise QueryError(
            f"The role {AUDITOR_ROLE} can read {', '.join(row[0] for row in found)},"
            " which auditors must not.",
            hint="Run `ledger init` again. If it stays so, PUBLIC was granted SELECT: revoke it.",
        )


def _no_role(message: str) -> QueryError:
    return QueryError(
        f"{message} Auditors' SQL never runs without it.",
        hint="Run `ledger init` again, as a user that may create roles.",
    )


def _one(connection: Connection, sql: str) -> Any:
    row = connection.execute(sql.encode()).fetchone()
    return row[0] if row else None


def _set(connection: Connection, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        connection.execute("select set_config(%s, %s, true)", [name, value])


def _allow(cursor: psycopg.Cursor[tuple[Any, ...]], deadline: float) -> None:
    """Gives the next statement what is left of the time."""
    left = max(1, math.ceil((deadline - time.monotonic()) * 1000))
    cursor.execute(f"SET LOCAL statement_timeout = {left}".encode())


def _fetch(
    cursor: psycopg.Cursor[tuple[Any, ...]], limit: int | None, deadline: float
) -> tuple[tuple[str, ...], list[tuple[Any, ...]], bool]:
    """The rows, in chunks that grow as long as they stay small: one row may have a gigabyte."""
    rows: list[tuple[Any, ...]] = []
    columns: tuple[str, ...] = ()
    wanted = math.inf if limit is None else limit + 1
    chunk, total = 1, 0
    while len(rows) < wanted:
        _allow(cursor, deadline)
        asked = int(min(chunk, wanted - len(rows)))
        cursor.execute(f"FETCH FORWARD {asked} FROM answer".encode())
        columns = columns or tuple(column.name for column in cursor.description or ())
        fetched = [tuple(_plain(value) for value in row) for row in cursor.fetchall()]
        rows += fetched
        size = sum(_size(row) for row in fetched)
        total += size
        if total > MAX_ANSWER_BYTES:
            raise too_large()
        if len(fetched) < asked:
            break
        fitting = _CHUNK_BYTES * len(fetched) // max(size, 1)
        chunk = max(1, min(chunk * 4, fitting, _CHUNK_ROWS))
    truncated = limit is not None and len(rows) > limit
    return columns, rows[:limit] if truncated else rows, truncated


def _size(row: tuple[Any, ...]) -> int:
    return 8 * len(row) + sum(len(value) for value in row if isinstance(value, str))


def _plain(value: Any) -> Any:
    """A value as None, bool, int, float or str."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            return _number(value)
        case bytes():
            return value.hex()
        case list() | dict() | tuple():
            return json.dumps(value, ensure_ascii=False, default=_plain_inside)
    return str(value)


def _number(value: Decimal) -> int | float | str:
    """A whole number as int, another as float (as SQLite has it), what neither can hold as text."""
    if not value.is_finite() or value.adjusted() >= 300:
        return str(value)
    return int(value) if value == value.to_integral_value() else float(value)


def _plain_inside(value: Any) -> Any:
    if isinstance(value, (date, clock_time)):
        return value.isoformat()
    return str(value) if isinstance(value, timedelta) else _plain(value)


@contextmanager
def _translated(sql: str, contract: Contract, seconds: float) -> Iterator[None]:
    """PostgreSQL's errors as ours, without its internals."""
    import psycopg  # noqa: PLC0415
    from psycopg import errors  # noqa: PLC0415

    try:
        yield
    except errors.QueryCanceled:
        raise too_slow(seconds) from None
    except (errors.OutOfMemory, errors.ConfigurationLimitExceeded, errors.DiskFull):
        raise out_of_memory() from None
    except errors.ProgramLimitExceeded:
        raise out_of_memory() from None
    except errors.UndefinedColumn as error:
        named = re.match(r'column (?:"([^"]+)"|(\S+)) ', error.diag.message_primary or "")
        if named is None:
            raise _with_hint(error) from None
        raise no_column(named[1] or named[2], sql, contract) from None
    except errors.UndefinedTable as error:
        named = re.fullmatch(r'relation "([^"]+)" does not exist', error.diag.message_primary or "")
        raise not_made(named[1]) if named else _with_hint(error) from None
    except errors.InsufficientPrivilege as error:
        raise QueryError(
            f"The database refused this query: {error.diag.message_primary}.",
            hint="Only the public views can be read.",
        ) from None
    except psycopg.OperationalError as error:
        if error.sqlstate is None:  # the connection, not the query
            raise StoreError(
                "The connection to the database was lost.", hint="Try again."
            ) from None
        raise database_says(error.diag.message_primary or str(error)) from None
    except psycopg.Error as error:
        raise _with_hint(error) from None


def _with_hint(error: psycopg.Error) -> QueryError:
    said = database_says(error.diag.message_primary or str(error))
    return QueryError(said.message, hint=error.diag.message_hint or "")
