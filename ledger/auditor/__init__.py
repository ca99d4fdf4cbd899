"""An auditor's own SQL: read-only, over the public views alone, through two gates.

Gate 1 (`gate`, pure) accepts one query made of known parts and writes it out again; what comes out
is what runs. Gate 2 is the database: on SQLite an authorizer in a process of its own
(`sqlite_child`), on PostgreSQL a role that can read the views and nothing else (`postgres`; the
store makes it). Time, rows, memory and text are bounded in both. Recording the query as an event is
up to the caller.
"""

from __future__ import annotations

import time
from urllib.parse import unquote

from ledger.auditor.contract import Answer, Contract
from ledger.auditor.output import render_table, write_csv, write_json
from ledger.errors import QueryError, StoreError

__all__ = [
    "Answer",
    "Contract",
    "check",
    "query",
    "render_table",
    "write_csv",
    "write_json",
]


def check(sql: str, contract: Contract, dialect: str) -> str:
    """The SQL to run instead of `sql`: one harmless query over the contract's views, regenerated.

    `dialect` is sqlite or postgresql. Raises QueryError, which says what is wrong, where, and what
    to do. Pure. The first call imports sqlglot (0.1 s); then about a millisecond.
    """
    from ledger.auditor import gate  # noqa: PLC0415  # sqlglot: only for those who ask SQL

    return gate.check(sql, contract, dialect)


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
    dialect, place = _database(database_url)
    checked = check(sql, contract, dialect)
    start = time.monotonic()
    if dialect == "sqlite":
        from ledger.auditor import sqlite  # noqa: PLC0415  # subprocess, threading

        columns, rows, truncated = sqlite.run(
            place, checked, contract, limit=limit, seconds=seconds
        )
    else:
        from ledger.auditor import postgres  # noqa: PLC0415

        columns, rows, truncated = postgres.run(
            place, checked, contract, limit=limit, seconds=seconds
        )
    return Answer(columns, rows, truncated, checked, time.monotonic() - start)


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
