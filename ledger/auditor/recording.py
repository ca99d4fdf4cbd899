"""Who asked what: an auditor's query as an event of the log."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from uuid import uuid4

from ledger.clock import utc_now
from ledger.events import Identity, NewEvent, QueryExecuted
from ledger.store import Store


def record(
    url: str, sql: str, rows: int, truncated: bool, *, clock: Callable[[], str] = utc_now
) -> None:
    """Records a query, so that it is known who looked at what.

    Raises DeniedError where the database user may not write to the ledger.
    """
    now = clock()
    event = NewEvent(
        stream="auditor",
        key=f"query/{uuid4()}",
        source="sql",
        occurred_at=now,
        actor=Identity(login=login()),
        data=QueryExecuted(sql=sql, rows=rows, truncated=truncated),
    )
    with Store.open(url) as store:
        store.append([event], source="sql", recorded_at=now)


def login() -> str:
    """Who runs this program; a number where the machine has no name for them, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
