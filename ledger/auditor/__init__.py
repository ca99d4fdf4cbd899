"""An auditor's own SQL: read-only, over the public views alone, through two gates.

Gate 1 (`gate`, pure) accepts one query made of known parts and writes it out again; what comes out
is what runs. Gate 2 is the database: on SQLite an authorizer in a process of its own
(`sqlite_child`), on PostgreSQL a role that can read the views and nothing else (`postgres`; the
store makes it). Time, rows, memory and text are bounded in both. Recording the query as an event is
up to the caller.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from ledger.auditor.contract import Answer, Contract
from ledger.auditor.output import render_table, write_csv, write_json
from ledger.errors import QueryError, StoreError

__all__ = [
    "Answer",
    "Contract",
    "Session",
    "check",
    "query",
    "render_table",
    "session",
    "write_csv",
    "write_json",
]


Ask = Callable[[str, int | None, float], tuple[tuple[str, ...], list[tuple[Any, ...]], bool]]


def check(sql: str, contract: Contract, dialect: str) -> str:
    """The SQL to run instead of `sql`: one harmless query over the contract's views, regenerated.

    `dialect` is sqlite or postgresql. Raises QueryError, which says what is wrong, where, and what
    to do. Pure. The first call imports sqlglot (0.1 s); then about a millisecond.
    """
    from ledger.auditor import gate  # noqa: PLC0415  # sqlglot: only for those who ask SQL

    return gate.check(sql, contract, dialect)


def with_values(sql: str, parameters: Mapping[str, str | int]) -> str:
    """The SQL with each `:name` that is a parameter written out as the literal of its value. Pure."""

    def literal(match: re.Match[str]) -> str:
        value = parameters.get(match[1], match[0])
        if value is match[0]:
            return match[0]
        return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"

    return _PARAMETER.sub(literal, sql)


_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)\b")


class Session:
    """Asks queries that all see one state of the database."""

    def __init__(self, dialect: str, contract: Contract, ask: Ask) -> None:
        self.dialect = dialect
        self.contract = contract
        self._ask = ask

    def query(
        self,
        sql: str,
        parameters: Mapping[str, str | int] | None = None,
        *,
        limit: int | None = None,
        seconds: float = 300.0,
    ) -> Answer:
        """The answer to one query, as `query` gives it; without a `limit` it is whole.

        `:name` in it stands for a parameter; outside of texts alone.
        """
        written = with_values(sql, parameters or {})
        return self.run(check(written, self.contract, self.dialect), limit=limit, seconds=seconds)

    def run(self, checked: str, *, limit: int | None, seconds: float) -> Answer:
        """As `query`, of SQL that `check` has given back."""
        start = time.monotonic()
        columns, rows, truncated = self._ask(checked, limit, seconds)
        return Answer(columns, rows, truncated, checked, time.monotonic() - start)


@contextmanager
def session(database_url: str, contract: Contract, *, seconds: float = 3600.0) -> Iterator[Session]:
    """Several queries over one state of the database, for `seconds` at most in all.

    StoreError if the database cannot be reached. Nothing is changed, whatever the queries are.
    """
    dialect, place = _database(database_url)
    if dialect == "sqlite":
        from ledger.auditor import sqlite  # noqa: PLC0415  # subprocess, threading

        with sqlite.session(place, contract, seconds) as ask:
            yield Session(dialect, contract, ask)
    else:
        from ledger.auditor import postgres  # noqa: PLC0415

        with postgres.session(place, contract, seconds) as ask:
            yield Session(dialect, contract, ask)


def query(
    database_url: str,
    sql: str,
    contract: Contract,
    *,
    limit: int | None = 1000,
    seconds: float = 30.0,
) -> Answer:
    """The answer to one query; changes nothing, whatever the query is.

    At most `limit` rows (None: all) come back, after at most `seconds`; beyond that, or beyond
    512 MiB, it raises QueryError. StoreError if the database cannot be reached.
    """
    if limit is not None and limit < 0:
        raise QueryError(f"The row limit {limit} is negative.", hint="Give 0 or more.")
    if not 0 < seconds <= 86_400:
        raise QueryError(f"A time limit of {seconds:g} seconds is not possible.")
    dialect, _ = _database(database_url)
    if dialect == "postgresql":  # no connection for a query that is refused
        checked = check(sql, contract, dialect)
        with session(database_url, contract, seconds=seconds) as one:
            return one.run(checked, limit=limit, seconds=seconds)
    with session(database_url, contract, seconds=seconds) as one:  # the child starts meanwhile
        return one.run(check(sql, contract, dialect), limit=limit, seconds=seconds)


def _database(url: str) -> tuple[str, str]:
    """The dialect, and the path of a file or the URL that libpq understands."""
    scheme, separator, rest = url.partition("://")
    kind, _, _driver = scheme.partition("+")
    if separator and kind == "sqlite" and rest.startswith("/"):
        path = unquote(rest[1:].partition("?")[0])
        if path and path != ":memory:":
            return "sqlite", path
    if separator and kind in ("postgresql", "postgres"):
        return "postgresql", f"postgresql://{rest}"
    raise StoreError(
        f"There is no database of the kind {scheme[:40]!r} to ask.",
        hint="The URL is sqlite:///path, sqlite:////absolute/path or postgresql://…",
    )
