"""Tells whether a file is a report that this ledger issued, and whether the log still bears it out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import IntegrityError, UsageError
from ledger.events import RecordedEvent, ReportIssued
from ledger.merkle import Rebuilder, leaf_hash
from ledger.store import Store

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Verified:
    """What a file was found to be: the event that tells of its issue, and the size of the log now."""

    event: RecordedEvent
    issued: ReportIssued
    size: int


def verify(store: Store, file: Path) -> Verified:
    """Finds the issue of a file by its bytes, and hashes the log again up to there and to its end.

    Raises IntegrityError where the file was changed or never issued here, or the log was changed;
    UsageError where the file cannot be read. Reads every event once.
    """
    digest = _digest(file)
    found = _event(store, digest)
    if found is None:
        raise IntegrityError(
            f"{file} is no report that this ledger issued: no report has its digest {digest}",
            hint="A byte of it was changed after it was issued, or another ledger issued it. `ledger sql "
            '"select * from reports"` lists what was issued here.',
        )
    event, issued = found
    _check_log(store, issued)
    return Verified(event, issued, store.head().size)


def _digest(file: Path) -> str:
    hashed = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                hashed.update(chunk)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error
    return f"sha256:{hashed.hexdigest()}"


def _event(store: Store, digest: str) -> tuple[RecordedEvent, ReportIssued] | None:
    rows = store.connection.rows(
        "select position from log_event where type = ? order by position", [ReportIssued.TYPE]
    )
    for (position,) in rows:
        [event] = store.read(position, 1)
        if isinstance(event.data, ReportIssued) and event.data.digest == digest:
            return event, event.data
    return None


def _check_log(store: Store, issued: ReportIssued) -> None:
    """The events as they stand give the root on the report, and the head of today."""
    rebuilder = Rebuilder()
    then = ""
    for row in store.leaves():
        if row[0] != rebuilder.size:
            raise _changed(f"position {rebuilder.size} is missing")
        rebuilder.add(leaf_hash(bytes(row[-1])))
        if rebuilder.size == issued.position:
            then = rebuilder.head().root.hex()
    if then != issued.root:
        raise _changed(
            f"its first {issued.position} events give the root {then or 'of nothing'}, and the report stands "
            f"on {issued.root}"
        )
    if rebuilder.head() != store.head():
        raise _changed("its events do not give its head")


def _changed(what: str) -> IntegrityError:
    return IntegrityError(
        f"the file is as it was issued, but the log was changed: {what}",
        hint="Run `ledger verify`; it names the first bad position.",
    )
