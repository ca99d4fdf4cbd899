"""The lead: of all workers on one database, the one that holds it does the scheduled work.

On PostgreSQL a session's advisory lock, which ends with the session however that ends; on SQLite a
lock on a file beside the database, which ends with the process.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from ledger.errors import StoreError
from ledger.store import drivers
from ledger.store.drivers import Connection

_LOCK = "hashtext('ledger worker'), hashtext(current_schema()::text)"  # one ledger is one schema


class Lead:
    """The lead of one database, perhaps held. Not shared between threads."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: Connection | None = None
        self._file: int | None = None

    def take(self) -> bool:
        """Whether this worker has the lead now; never waits. StoreError where nobody can tell."""
        if self.held():
            return True
        if self._url.startswith("sqlite:///"):
            return self._take_file(Path(drivers.sqlite_path(self._url) + ".worker.lock"))
        return self._take_session()

    def _take_file(self, path: Path) -> bool:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"the worker's lock {path} cannot be opened: {error.strerror}",
                hint="The worker needs the right to write beside the database.",
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._file = handle
        return True

    def _take_session(self) -> bool:
        session = drivers.connect(self._url)
        try:
            taken = bool(session.rows(f"select pg_try_advisory_lock({_LOCK})")[0][0])
        except StoreError:
            session.close()
            raise
        if taken:
            self._session = session
        else:
            session.close()
        return taken

    def held(self) -> bool:
        """Whether the lead is still held: a session may have been lost. Costs a round trip."""
        if self._file is not None:
            return True
        if self._session is None:
            return False
        try:
            self._session.rows("select 1")
        except StoreError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Lets the next one have it."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(StoreError):  # it may be lost already
                session.rows(f"select pg_advisory_unlock({_LOCK})")
            session.close()
        handle, self._file = self._file, None
        if handle is not None:
            os.close(handle)
