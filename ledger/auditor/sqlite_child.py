"""Gate 2 on SQLite: queries in a process of its own. Runs as a script, on the standard library.

Reads JSON lines from standard input: what may be read, then one query a line, which all see the
database as the first of them found it. Writes JSON lines for each query: `{"columns": […]}`, one
array for each row, and at last `{"truncated": …}`; or `{"error": kind, "message": …}` instead of
what is missing. A process of its own because a single long C function, such as one `instr` over
megabytes, ends for no time limit but the killing of its process; and so that memory has a limit too.

The authorizer learns first and judges then. Before the query, every public view is compiled once;
each (table, column, inner name) that SQLite reports meanwhile is what the views themselves read.
The query may read the views' own columns and exactly those triples, and call listed functions. So
even a query that gate 1 should have refused, with a CTE named like a view, reaches no column that
the views do not read.

SQLite reports `count(*)` and merged views as a read of no column at all, without saying for whom.
That must be let through, but only for tables that views read: their row counts are no secret.
"""

from __future__ import annotations

import json
import math
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any, TypeAlias

_MEBI = 1 << 20
_ACTION = {
    "READ": sqlite3.SQLITE_READ,
    "SELECT": sqlite3.SQLITE_SELECT,
    "FUNCTION": sqlite3.SQLITE_FUNCTION,
    "RECURSIVE": sqlite3.SQLITE_RECURSIVE,
}
_LIMITS = (
    (sqlite3.SQLITE_LIMIT_LENGTH, 16 * _MEBI),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 256 * 1024),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 1000),
    (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 100),
    (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 0),
    (sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 0),
    (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
)
_HEAP_BYTES = 512 * _MEBI
_TEMPORARY_FILE_BYTES = 1024 * _MEBI
_TICK = 1000  # virtual machine steps between two looks at the clock
_BUSY_SECONDS = 5.0

_Read: TypeAlias = tuple[str | None, str | None, str | None]  # table, column, inner name
_Authorizer: TypeAlias = Callable[[int, str | None, str | None, str | None, str | None], int]


def answers(request: dict[str, Any], queries: Iterable[dict[str, Any]]) -> Iterator[object]:
    """The lines of the answers, query by query; an error is a line too and is never raised."""
    try:
        with closing(_connect(request["path"])) as connection:
            connection.execute("begin").close()
            connection.set_authorizer(_judge(connection, request))
            for query in queries:
                yield from _answer(connection, query)
    except sqlite3.Error as error:
        yield {"error": type(error).__name__, "message": str(error)}


def _answer(connection: sqlite3.Connection, query: dict[str, Any]) -> Iterator[object]:
    deadline = time.monotonic() + query["seconds"]
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _TICK)
    try:
        yield from _rows(connection.execute(query["sql"]), query["limit"])
    except MemoryError:
        yield {"error": "memory", "message": "out of memory"}
    except sqlite3.Error as error:
        kind = "time" if time.monotonic() > deadline else type(error).__name__
        yield {"error": kind, "message": str(error)}


def _connect(path: str) -> sqlite3.Connection:
    """A connection that cannot write, attach or load anything."""
    escaped = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = sqlite3.connect(
        f"file:{escaped}?mode=ro", uri=True, timeout=_BUSY_SECONDS, isolation_level=None
    )
    for limit, value in _LIMITS:
        connection.setlimit(limit, value)
    for pragma in ("query_only = on", f"hard_heap_limit = {_HEAP_BYTES}", *_distrust()):
        connection.execute(f"pragma {pragma}").close()
    connection.text_factory = lambda value: value.decode("utf-8", "backslashreplace")
    return connection


def _distrust() -> list[str]:
    """The pragma that distrusts the schema, if it lets views call JSON functions.

    SQLite 3.40, for one, does not. The authorizer allows views no more functions than auditors,
    which is what distrusting the schema is about.
    """
    with closing(sqlite3.connect(":memory:")) as probe:
        probe.execute("pragma trusted_schema = off").close()
        probe.execute("create view v as select json_extract('{}', '$') as a").close()
        try:
            probe.execute("select a from v").close()
        except sqlite3.OperationalError:
            return []
    return ["trusted_schema = off"]


def _judge(connection: sqlite3.Connection, request: dict[str, Any]) -> _Authorizer:
    """The authorizer of the query: only what the public views read, only allowed functions."""
    views = set(request["views"])
    table_functions = set(request["table_functions"])
    functions = set(request["functions"])
    reads = _learn(connection, request)
    hidden = _tables(connection) - {str(table) for table, _, _ in reads} - views

    def allowed(action: int, first: str | None, second: str | None, inner: str | None) -> bool:
        if action == _ACTION["READ"]:
            if second == "":  # no column; and what is no table is a CTE
                return first not in hidden
            return first in views or first in table_functions or (first, second, inner) in reads
        if action == _ACTION["FUNCTION"]:
            return str(second).lower() in functions
        return action in (_ACTION["SELECT"], _ACTION["RECURSIVE"])

    def judge(
        action: int, first: str | None, second: str | None, _database: str | None, inner: str | None
    ) -> int:
        return sqlite3.SQLITE_OK if allowed(action, first, second, inner) else sqlite3.SQLITE_DENY

    return judge


def _tables(connection: sqlite3.Connection) -> set[str]:
    """Every table and view; SQLite's own under each of their names."""
    connection.set_authorizer(None)
    found = {name for (name,) in connection.execute("select name from sqlite_master")}
    return found | {f"sqlite_{name}" for name in _SCHEMA_TABLES}


_SCHEMA_TABLES = ("master", "schema", "temp_master", "temp_schema")


def _learn(connection: sqlite3.Connection, request: dict[str, Any]) -> set[_Read]:
    """What compiling the public views reads. A view that does not compile reads nothing.

    A table function is set up by its first use, which SQLite reports as a change of its schema
    table; using each once here keeps that away from the judge. The names come from our own code.
    """
    reads: set[_Read] = set()

    def note(
        action: int, first: str | None, second: str | None, _database: str | None, inner: str | None
    ) -> int:
        if action == _ACTION["READ"] and inner is not None:
            reads.add((first, second, inner))
        return sqlite3.SQLITE_OK

    for function in request["table_functions"]:
        connection.execute(f"explain select * from {function}('[]')").close()  # noqa: S608
    connection.set_authorizer(note)
    for view in request["views"]:
        try:
            connection.execute(f"explain select * from `{view}`").close()  # noqa: S608
        except sqlite3.OperationalError:
            continue
    return reads


def _rows(cursor: sqlite3.Cursor, limit: int | None) -> Iterator[object]:
    if cursor.description is None:
        yield {"error": "ProgrammingError", "message": "this is no query"}
        return
    yield {"columns": [column[0] for column in cursor.description]}
    for number, row in enumerate(cursor):
        if number == limit:
            yield {"truncated": True}
            return
        yield [_plain(value) for value in row]
    yield {"truncated": False}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _bound_process(seconds: float) -> None:
    """Bounds large sorts, which go to temporary files, and the life of an orphan."""
    try:
        import resource  # noqa: PLC0415  # not on Windows
    except ImportError:
        return
    for kind, wanted in (
        (resource.RLIMIT_FSIZE, _TEMPORARY_FILE_BYTES),
        (resource.RLIMIT_CPU, math.ceil(seconds) + 2),
    ):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (wanted if hard < 0 else min(wanted, hard), hard))


def main() -> None:
    """Answers the queries on standard input, each before the next is read."""
    request = json.loads(sys.stdin.readline())
    _bound_process(request["seconds"])
    for line in answers(request, map(json.loads, iter(sys.stdin.readline, ""))):
        sys.stdout.write(json.dumps(line, separators=(",", ":")))
        sys.stdout.write("\n")
        if isinstance(line, dict):
            sys.stdout.flush()


if __name__ == "__main__":
    main()
