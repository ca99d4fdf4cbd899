"""Whose turn it is to read a source: one process at a time, or two would tell the same moves by two cursors.

On PostgreSQL an advisory lock of the session that writes; on SQLite a lock (flock) on a file beside the
database. Both end with their process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ledger.errors import StoreError
from ledger.store import Store, drivers
from ledger.store.drivers import SQLITE

_LOCK = "hashtext('ledger source ' || current_schema()), hashtext(?)"


@contextmanager
def turn(store: Store, url: str, source: str) -> Iterator[bool]:
    """Whether it is ours until the end of the block; never waits. StoreError where nobody can tell."""
    if store.connection.dialect == SQLITE:
        with _locked(Path(f"{drivers.sqlite_path(url)}.{source}.lock")) as taken:
            yield taken
        return
    rows = store.connection.rows
    taken = bool(rows(f"select pg_try_advisory_lock({_LOCK})", [source])[0][0])
    try:
        yield taken
    finally:
        if taken:
            with suppress(StoreError):  # a lost session holds nothing
                rows(f"select pg_advisory_unlock({_LOCK})", [source])


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"the lock {path} cannot be opened: {error.strerror}",
            hint="Whoever reads sources needs the right to write beside the database.",
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
