"""What a database says about a query, in words that help: no internals, and what to do next."""

from __future__ import annotations

import re
from typing import Final

from ledger.auditor.contract import MAX_ANSWER_BYTES, Contract, nearest
from ledger.errors import QueryError, StoreError

_NARROW: Final = (
    "Filter by repository, environment or time, select fewer columns, or aggregate in SQL."
)


def too_slow(seconds: float) -> QueryError:
    return QueryError(
        f"The query was stopped after its time limit of {seconds:g} seconds.",
        hint=f"{_NARROW} Joins need an ON condition, recursive CTEs an end.",
    )


def too_large() -> QueryError:
    return QueryError(
        f"The answer is larger than {MAX_ANSWER_BYTES // (1 << 20)} MiB.", hint=_NARROW
    )


def out_of_memory() -> QueryError:
    return QueryError("The query needs more memory than it may use.", hint=_NARROW)


def no_column(name: str, sql: str, contract: Contract) -> QueryError:
    """The refusal of a column, with the columns that the views of this query do have."""
    bare = name.rpartition(".")[2].strip("\"`'")
    words = set(re.findall(r"\w+", sql.lower()))
    views = {view: columns for view, columns in contract.views.items() if view in words}
    columns = frozenset(column for columns in views.values() for column in columns)
    listed = "; ".join(f"{view} has {', '.join(views[view])}" for view in sorted(views))
    return QueryError(
        f"There is no column {name}.",
        hint=nearest(bare, columns) or f"Text stands in 'single quotes'. {listed}".strip(),
    )


def from_sqlite(
    kind: str, message: str, sql: str, contract: Contract, seconds: float
) -> QueryError | StoreError:
    """The error of the child process, by its kind and SQLite's message."""
    if kind == "time":
        return too_slow(seconds)
    if kind == "memory" or "too big" in message or "is full" in message:
        return out_of_memory()
    if message == "disk I/O error":
        return QueryError(
            f"The database could not go on: {message}.",
            hint=f"If small queries work, this one needs too much temporary space. {_NARROW}",
        )
    if re.search("unable to open|readonly|not a database|disk image|locked", message):
        return StoreError(
            f"The ledger cannot be read: {message}.",
            hint="Reading needs the right to read the file, and to write its -shm file beside it.",
        )
    if column := re.match(r"no such column: (.+)", message):
        return no_column(column[1], sql, contract)
    if re.search(r"not authorized|prohibited", message):
        return QueryError(
            f"The database refused this query: {message}.",
            hint="Only the public views can be read.",
        )
    if missing := re.match(r"no such table: (.+)", message):
        return not_made(missing[1].removeprefix("main."))
    return database_says(message)


def not_made(view: str) -> QueryError:
    return QueryError(
        f"This ledger has no view {view} yet.", hint="Run `ledger init` to make its views again."
    )


def database_says(message: str) -> QueryError:
    return QueryError(f"The database does not accept this query: {message.strip()}")
