"""Asks SQLite: starts the child process that is gate 2, and reads its lines."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from ledger.auditor import sqlite_child
from ledger.auditor.contract import MAX_ANSWER_BYTES, Contract
from ledger.auditor.failures import from_sqlite, too_large, too_slow
from ledger.auditor.functions import FUNCTIONS, SQLITE, SQLITE_OPERATORS, TABLE_FUNCTIONS
from ledger.errors import QueryError, StoreError

Found = tuple[tuple[str, ...], list[tuple[Any, ...]], bool]
Ask = Callable[[str, int | None, float], Found]

_GRACE_SECONDS: Final = 1.0  # for the child to notice the limit itself, before it is killed


def run(path: str, sql: str, contract: Contract, *, limit: int | None, seconds: float) -> Found:
    """Columns, rows, and whether there were more rows, of one checked query."""
    with session(path, contract, seconds) as ask:
        return ask(sql, limit, seconds)


@contextmanager
def session(path: str, contract: Contract, seconds: float) -> Iterator[Ask]:
    """What asks checked queries of one state of the file, for `seconds` at most in all.

    Costs 40 ms for the process. The file must exist; nothing is created. On a database in WAL mode
    SQLite may write the `-shm` file beside it, never the database.
    """
    if not Path(path).is_file():
        raise StoreError(f"There is no ledger at {path}.", hint="Run `ledger init` first.")
    with _child() as process:
        _send(process, _request(path, contract, seconds))
        yield lambda sql, limit, allowed: _answer(process, sql, contract, limit, allowed)


def _answer(
    process: subprocess.Popen[str], sql: str, contract: Contract, limit: int | None, seconds: float
) -> Found:
    columns: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = []
    size = 0
    for line in _lines(process, {"sql": sql, "limit": limit, "seconds": seconds}, seconds):
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


def _request(path: str, contract: Contract, seconds: float) -> dict[str, Any]:
    return {
        "path": str(Path(path).resolve()),
        "views": sorted(contract.views),
        "functions": sorted(FUNCTIONS[SQLITE] | SQLITE_OPERATORS),
        "table_functions": sorted(TABLE_FUNCTIONS[SQLITE]),
        "seconds": seconds,
    }


@contextmanager
def _child() -> Iterator[subprocess.Popen[str]]:
    """A child that knows no environment and is dead afterwards."""
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
        try:
            yield process
        finally:
            process.kill()
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # what it never read is flushed again
                process.stdin.close()


def _lines(
    process: subprocess.Popen[str], request: dict[str, Any], seconds: float
) -> Iterator[str]:
    """The lines of one answer; the child is killed where it takes longer than `seconds`."""
    assert process.stdout is not None
    killer = threading.Timer(seconds + _GRACE_SECONDS, process.kill)
    killer.start()
    try:
        _send(process, request)
        for line in process.stdout:
            if not line.endswith("\n"):
                break  # killed while writing
            yield line
        if killer.finished.is_set():
            raise too_slow(seconds)
    finally:
        killer.cancel()


def _send(process: subprocess.Popen[str], request: dict[str, Any]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # the child ended at once; that it says nothing is the error
