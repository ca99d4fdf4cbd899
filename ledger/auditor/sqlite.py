"""Asks SQLite: starts the child process that is gate 2, and reads its lines."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from ledger.auditor import sqlite_child
from ledger.auditor.contract import MAX_ANSWER_BYTES, Contract
from ledger.auditor.failures import from_sqlite, too_large, too_slow
from ledger.auditor.functions import FUNCTIONS, SQLITE, SQLITE_OPERATORS, TABLE_FUNCTIONS
from ledger.errors import QueryError, StoreError

_GRACE_SECONDS: Final = 1.0  # for the child to notice the limit itself, before it is killed


def run(
    path: str, sql: str, contract: Contract, *, limit: int | None, seconds: float
) -> tuple[tuple[str, ...], list[tuple[Any, ...]], bool]:
    """Columns, rows, and whether there were more rows. Costs 40 ms for the process.

    The file must exist; nothing is created. On a database in WAL mode SQLite may write the `-shm`
    file beside it, never the database.
    """
    if not Path(path).is_file():
        raise StoreError(f"There is no ledger at {path}.", hint="Run `ledger init` first.")
    columns: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = []
    size = 0
    with _child(_request(path, sql, contract, limit, seconds), seconds + _GRACE_SECONDS) as lines:
        for line in lines:
            size += len(line)
            if size > MAX_ANSWER_BYTES:
                raise too_large()
            value = json.loads(line)
            if isinstance(value, list):
                rows.append(tuple(value))
            elif "columns" in value:
                columns = tuple(value["columns"])
            elif "truncated" in value:
                return columns, rows, value["truncated"]
            else:
                raise from_sqlite(value["error"], value["message"], sql, contract, seconds)
    raise QueryError(
        "The process that ran this SQL ended without an answer.",
        hint="It may have needed too much memory. Narrow the query and try again.",
    )


def _request(
    path: str, sql: str, contract: Contract, limit: int | None, seconds: float
) -> dict[str, Any]:
    return {
        "path": str(Path(path).resolve()),
        "sql": sql,
        "views": sorted(contract.views),
        "functions": sorted(FUNCTIONS[SQLITE] | SQLITE_OPERATORS),
        "table_functions": sorted(TABLE_FUNCTIONS[SQLITE]),
        "limit": limit,
        "seconds": seconds,
    }


@contextmanager
def _child(request: dict[str, Any], seconds: float) -> Iterator[Iterator[str]]:
    """The lines of a child that knows no environment and is dead after `seconds` at the latest."""
    command = [sys.executable, "-I", "-S", sqlite_child.__file__]
    try:
        started = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            encoding="utf-8",
        )
    except OSError as error:
        raise StoreError(f"The process that asks SQLite cannot be started: {error}.") from None
    with started as process:
        killer = threading.Timer(seconds, process.kill)
        killer.start()
        try:
            yield _lines(process, request, killer, seconds - _GRACE_SECONDS)
        finally:
            killer.cancel()
            process.kill()


def _lines(
    process: subprocess.Popen[str], request: dict[str, Any], killer: threading.Timer, seconds: float
) -> Iterator[str]:
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    _send(stdin, request)
    for line in stdout:
        if not line.endswith("\n"):
            break  # killed while writing
        yield line
    if killer.finished.is_set():
        raise too_slow(seconds)


def _send(stdin: IO[str], request: dict[str, Any]) -> None:
    try:
        json.dump(request, stdin)
        stdin.close()
    except BrokenPipeError:
        pass  # the child ended at once; that it says nothing is the error
