"""Makes a report, writes its file, and records that it was issued."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ledger import auditor, controls, registry
from ledger.auditor import Session
from ledger.auditor.recording import login
from ledger.clock import utc_now
from ledger.config import Settings
from ledger.controls import Result
from ledger.documents import Documents
from ledger.errors import IntegrityError, LedgerError, NotFoundError, UsageError
from ledger.events import ControlCounted, Identity, NewEvent, ReportIssued
from ledger.periods import Period
from ledger.projector import Projector
from ledger.reports import templates
from ledger.reports.collect import check_whole, collect
from ledger.reports.facts import Facts
from ledger.reports.pages import HTML, PDF, render
from ledger.reports.replay import replayed
from ledger.store import Store

TRIES = 3


@dataclass(frozen=True, slots=True)
class Issued:
    """A report that was written. `recorded` is false where the same file was issued before."""

    path: Path
    digest: str
    recorded: bool
    facts: Facts


def issue(
    settings: Settings,
    name: str,
    period: Period,
    *,
    file: Path | None = None,
    folder: Path = Path(),
    at_position: int | None = None,
    clock: Callable[[], str] = utc_now,
) -> Issued:
    """Writes the report for a period and records that it was issued; the suffix `.html` gives HTML.

    Without a `file` it is named after report, period and position, in `folder`. The tables are first
    brought up to the log; with `at_position` the first that many events are replayed instead.
    Raises LedgerError, and then records nothing.
    """
    report = templates.find(name)
    used = [controls.find(settings.folder, one) for one in report.controls]
    with Store.open(settings.database_url) as store:
        with _state(settings, store, at_position) as connection:
            ledger = settings.name or f"Ledger {store.root(1).hex()[:12]}"
            facts = collect(report, used, ledger, period, connection)
        _check(store, facts)
        path = file or folder / f"{name}_{period.name}_{facts.standing.position}.{PDF}"
        kind = HTML if path.suffix.lower() in (".html", ".htm") else PDF
        data = render(facts, kind)
        _write(path, data)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        recorded = _record(store, facts, kind, digest, clock())
    return Issued(path, digest, recorded, facts)


@contextmanager
def _state(settings: Settings, store: Store, at_position: int | None) -> Iterator[Session]:
    """What asks about the log as it is, or as it was at a position, with tables that have read it all."""
    size = store.head().size
    if not size:
        raise NotFoundError("nothing is recorded yet", hint="Run `ledger ingest` first.")
    if at_position is not None and not 0 < at_position <= size:
        raise UsageError(
            f"there is no position {at_position}",
            hint=f"The log has {size} events; give 1 to {size}.",
        )
    if at_position in (None, size):
        for _ in range(TRIES):
            _catch_up(store)
            with auditor.session(settings.database_url, controls.contract()) as connection:
                if _is_level(connection, at_position):
                    yield connection
                    return
    # Others write without a pause, or the position has passed.
    with (
        replayed(store, at_position or size) as url,
        auditor.session(url, controls.contract()) as connection,
    ):
        _is_level(connection, None)
        yield connection


def _catch_up(store: Store) -> None:
    Projector(store, registry.projections(), Documents(registry.parsers, store.content)).catch_up()


def _is_level(connection: Session, at_position: int | None) -> bool:
    """Whether every table has read the whole log. Raises LedgerError where one has stopped."""
    [[size]] = connection.query("select max(size) as size from tree_heads").rows
    rows = connection.query("select projection, checkpoint, failure from projections").rows
    for projection, _, failure in rows:
        if failure:
            raise LedgerError(
                f"projection {projection} {failure}",
                hint="No report is issued from tables that have not read the whole log. Run `ledger "
                "rebuild`; if it stops again, please report it.",
            )
    return all(row[1] == size for row in rows) and at_position in (None, size)


def _check(store: Store, facts: Facts) -> None:
    """Raises IntegrityError unless the log has the root that the views told of it."""
    standing = facts.standing
    check_whole(standing)
    if store.root(standing.position).hex() != standing.root:
        raise IntegrityError(
            f"the tree of the log does not have the root {standing.root} at {standing.position}",
            hint="No report was written. Run `ledger verify`.",
        )


def _write(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise UsageError(
            f"{path} cannot be written: {error.strerror or error}", hint="Name another file."
        ) from error


def _record(store: Store, facts: Facts, kind: str, digest: str, now: str) -> bool:
    """Appends the event, and takes it into the tables; false where the file was issued before."""
    standing, period = facts.standing, facts.period
    span = f"{period.start}..{period.end}"
    event = NewEvent(
        stream=f"report/{facts.name}",
        key=f"report/{facts.name}/{span}/{standing.position}/{digest}",
        source="report",
        actor=Identity(login=login()),
        data=_issued(facts, kind, digest),
    )
    if store.find(event.key) is not None:
        return False
    store.append([event], source="report", recorded_at=now)
    _catch_up(store)
    return True


def _issued(facts: Facts, kind: str, digest: str) -> ReportIssued:
    standing, period = facts.standing, facts.period
    return ReportIssued(
        report=facts.name,
        period=period.name,
        period_start=period.start,
        period_end=period.end,
        time_zone=period.time_zone,
        position=standing.position,
        root=standing.root,
        program=standing.program,
        projections=[f"{name} {version}" for name, version in standing.projections],
        format=kind,
        digest=digest,
        controls=[_counted(one) for one in facts.results],
    )


def _counted(result: Result) -> ControlCounted:
    return ControlCounted(
        control=result.control.id,
        version=result.control.version,
        digest=result.control.digest,
        population=result.population,
        passed=result.count("pass"),
        exceptions=result.count("exception"),
        unknown=result.count("unknown"),
        not_applicable=result.count("not_applicable"),
    )
