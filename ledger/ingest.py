"""Reads sources into the log, and keeps the projections up with it batch by batch."""

from __future__ import annotations

import gc
import importlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from threading import Thread
from typing import TYPE_CHECKING, Any

import msgspec

from ledger import mapping, registry
from ledger.clock import utc_now
from ledger.config import Settings, SourceSettings, read_key
from ledger.errors import SourceError, UsageError
from ledger.events import (
    CollectorGap,
    NewEvent,
)
from ledger.reconciling import reconciling
from ledger.sources import Batch, Configured, Import, Source, Tools
from ledger.store import Store
from ledger.store.guards import check_guards
from ledger.store.inbox import Inbox
from ledger.store.turns import turn

if TYPE_CHECKING:
    from ledger.background import Background
    from ledger.workbench import Workbench

MOST_WORKERS = 2
PAUSE = 0.2  # seconds between two looks whether a source is free
MANY = 500  # events after which the statistics of the tables are another
NEVER_COMPLETE = "Leave out --complete: only dumps of kind kubernetes are objects that may be gone."
Clock = Callable[[], str]
Progress = Callable[[str, Batch], None]
Record = Callable[[str, Callable[[Tools], Batch]], int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one source gave: how many events were new, and why it failed if it did."""

    source: str
    appended: int
    failure: str = ""
    hint: str = ""
    stopped: tuple[str, ...] = ()


def _quiet(_: str, __: Batch) -> None:
    """No progress is shown."""


def ingest(
    settings: Settings,
    names: Sequence[str] = (),
    *,
    clock: Clock = utc_now,
    progress: Progress = _quiet,
    processes: int = 0,
    project: bool = True,
    survey: bool = False,
    waits: Callable[[str], None] = lambda _: None,
) -> list[Outcome]:
    """Reads the named sources, or all, one after another. A source that fails does not stop the next.

    What cannot be reached is recorded as a gap. `processes` is how many may work, 0 for what suits
    the machine; the results are the same. A source that another process reads comes last, after its
    end; `waits` is told its name, and `progress` of an empty batch meanwhile. Raises LedgerError for
    faults of our own.
    """
    wanted = [settings.find_source(name) for name in names] or list(settings.source)
    with _running(settings, clock, progress, processes, project, survey) as run:
        return run.read_all(wanted, waits)


def import_files(
    settings: Settings,
    kind: str,
    given: Import,
    *,
    clock: Clock = utc_now,
    progress: Progress = _quiet,
) -> Outcome:
    """Records what files tell, read by the source of that kind. Reading a file again adds nothing.

    A bad file is recorded as a gap and does not stop the others. Raises UsageError where no source
    of that kind reads files.
    """
    with _running(settings, clock, progress) as run:
        return run.read_files(kind, given)


@contextmanager
def recording(
    settings: Settings, *, clock: Clock = utc_now, project: bool = True
) -> Iterator[Record]:
    """Lends a function that records, as of a source, what another tells when it is handed the tools.

    It gives how many events were new, and raises what telling raises. For callers that bring their
    own input, such as deliveries.
    """
    with _running(settings, clock, _quiet, project=project) as run:
        yield run.record


@contextmanager
def _running(
    settings: Settings,
    clock: Clock,
    progress: Progress,
    processes: int = 1,
    project: bool = True,
    survey: bool = False,
) -> Iterator[_Run]:
    with Store.open(settings.database_url) as store, _patient_collector():
        check_guards(store.connection)
        run = _Run(settings, store, clock, progress, processes, project, survey)
        try:
            run.catch_up()
            run.map_configured()
            yield run
            run.refresh_statistics()
        finally:
            run.close()


@contextmanager
def _patient_collector() -> Iterator[None]:
    """Parsed documents are many objects without cycles: looking for cycles often is lost time."""
    before = gc.get_threshold()
    gc.set_threshold(1_000_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Run:
    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        progress: Progress,
        processes: int,
        project: bool,
        survey: bool,
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._progress = progress
        self._survey = survey
        self._project = project
        self._key = read_key(settings)
        self._appended = 0
        # With two cores, too: the others rest while this one appends, and it while they prepare.
        suits = 1 + MOST_WORKERS if (os.cpu_count() or 1) > 1 else 1
        self._processes = processes or suits
        self._made: Workbench | None = None
        self._importing: Thread | None = None
        self._background: list[Background[Any]] = []
        if settings.redaction.patterns:
            self._bench()  # a pattern that is no good is told before anything is read

    def _bench(self) -> Workbench:
        """What is needed where something is to be recorded, and not before."""
        if self._importing is not None:
            self._importing.join()  # two threads must not import each other's halves
        if self._made is None:
            from ledger.workbench import Workbench  # noqa: PLC0415 (0.1 s, for nothing mostly)

            self._made = Workbench(
                self._settings,
                self._store,
                self._key,
                processes=self._processes,
                project=self._project,
            )
        return self._made

    def _expect(self) -> None:
        """Imports what recording takes, while a source waits for what is new."""
        if self._made is None and self._importing is None:
            self._importing = Thread(target=_import_workbench, daemon=True)
            self._importing.start()

    def _later(self, tool: str) -> Callable[..., Any]:
        """A method of the workbench, which is made when the first of them is called."""

        def call(*arguments: Any) -> Any:
            return getattr(self._bench(), tool)(*arguments)

        return call

    def close(self) -> None:
        if self._made is not None:
            self._made.end()
        for one in self._background:
            one.end()
        if self._made is not None:
            self._made.close()
        for one in self._background:
            one.close()

    def refresh_statistics(self) -> None:
        """Lets the database choose its indexes by what it holds now."""
        if self._appended >= MANY:
            self._store.connection.analyze()

    def catch_up(self) -> None:
        """Projects what a run recorded that then broke off, or that was to leave it for later."""
        if self._project and not self._is_projected():
            self._bench().project()

    def _is_projected(self) -> bool:
        """Whether the tables are those of this program, and know all that is recorded."""
        states = self._store.states()
        size = self._store.head().size
        return registry.is_current(states) and all(
            one.failure or one.checkpoint == size for one in states
        )

    def map_configured(self) -> None:
        """Records what the configuration says otherwise than it was recorded last."""
        if events := mapping.news(self._settings, self._store, self._clock()):
            self._append(Batch(events=events), mapping.SOURCE)

    def read_all(
        self, wanted: Sequence[SourceSettings], waits: Callable[[str], None]
    ) -> list[Outcome]:
        """Reads sources in their order, but `last` ones after the others; those that another process reads
        after all others."""
        outcomes: dict[str, Outcome] = {}
        said: set[str] = set()
        in_turn = sorted(wanted, key=self._comes_last)
        while left := [one for one in in_turn if one.name not in outcomes]:
            before = len(outcomes)
            for one in left:
                with turn(self._store, self._settings.database_url, one.name) as ours:
                    if ours:
                        outcomes[one.name] = self.read(one)
            if len(outcomes) == before:
                for one in left:
                    if one.name not in said:
                        waits(one.name)
                    self._progress(one.name, Batch(events=[]))
                said.update(one.name for one in left)
                time.sleep(PAUSE)
        return [outcomes[one.name] for one in wanted]

    @staticmethod
    def _comes_last(source: SourceSettings) -> bool:
        plan = registry.source(source.kind)
        return plan is not None and plan.last

    def read(self, source: SourceSettings) -> Outcome:
        """Reads one source to its end."""
        now = self._clock()
        reading = self._store.reading(source.name)
        appended = 0
        try:
            plan = self._plan(source)
            if plan.options is None or plan.pull is None:
                raise SourceError(
                    f"source {source.name}: what is of kind {source.kind} cannot be polled",
                    hint=f"Hand over files with `ledger import {source.kind} FILE...`.",
                )
            options = plan.options(self._configured(source))
            if not reading.cursor:
                self._bench().expect_much()
            batches = 0
            with reconciling(plan, self._settings.database_url) as reconciler:
                for batch in plan.pull(options, reading.cursor, self._tools(now)):
                    reconciler.expect(batch.events, now)
                    appended += self._append(batch, source.name)
                    batches += 1
                    self._progress(source.name, batch)
                for lost, gap in reconciler.lost(now, self._is_recorded):
                    appended += self._append(Batch(events=[gap]), source.name)
                    reconciler.settle(lost)
            if not batches:
                self._store.touch(source.name, now)
        except (SourceError, UsageError) as error:
            failure = self._bench().redact(error.message)
            self._note_failure(source, now, reading.succeeded_at, failure)
            return Outcome(source.name, appended, failure, error.hint)
        return Outcome(source.name, appended, stopped=self._stopped())

    def _stopped(self) -> tuple[str, ...]:
        return self._made.stopped if self._made is not None else ()

    def _is_recorded(self, key: str) -> bool:
        return self._store.find(key) is not None

    def _was_received(self, kind: str, delivery: str) -> bool:
        inbox = Inbox.find(self._settings.database_url)
        if inbox is None:
            return False
        with inbox:
            return inbox.was_accepted(kind, delivery)

    def read_files(self, kind: str, given: Import) -> Outcome:
        """Records what files tell."""
        plan = registry.source(kind)
        if plan is None or plan.read is None:
            reads = sorted(name for name, one in registry.sources().items() if one.read is not None)
            raise UsageError(
                f"nothing reads files of kind {kind!r}", hint=f"Known: {', '.join(reads)}."
            )
        if given.stated_by is not None and not plan.completes:
            raise UsageError(f"files of kind {kind} are never complete", hint=NEVER_COMPLETE)
        appended = 0
        for batch in plan.read(given, self._tools(self._clock())):
            appended += self._append(batch, kind)
            self._progress(kind, batch)
        return Outcome(kind, appended, stopped=self._stopped())

    def record(self, source: str, tell: Callable[[Tools], Batch]) -> int:
        """Records what one call of `tell` gives."""
        return self._append(tell(self._tools(self._clock())), source)

    def _plan(self, source: SourceSettings) -> Source:
        plan = registry.source(source.kind)
        if plan is None:
            known = ", ".join(sorted(registry.sources()))
            raise SourceError(
                f"source {source.name}: unknown kind {source.kind!r}", hint=f"Known: {known}."
            )
        return plan

    def _configured(self, source: SourceSettings) -> Configured:
        settings = self._settings
        return Configured(
            name=source.name,
            url=settings.url(source),
            mirror=settings.mirror(source),
            folder=settings.folder,
            settings=msgspec.to_builtins(source),
        )

    def _tools(self, now: str) -> Tools:
        return Tools(
            now=now,
            prepare=self._later("prepare"),
            heads=self._later("heads"),
            redact=self._later("redact"),
            fingerprint=lru_cache(10_000)(self._later("fingerprint")),
            store=self._later("make_ready"),
            repository=self._settings.repository,
            survey=self._survey,
            expect=self._expect,
            told=self._store.told,
            since=self._store.since,
            content=self._store.attachment,
            meanwhile=self._meanwhile,
            received=self._was_received,
        )

    def _meanwhile(self, work: Callable[..., Iterator[Any]], *arguments: Any) -> Iterable[Any]:
        if self._processes == 1:
            return work(*arguments)
        from ledger.background import Background  # noqa: PLC0415 (only where there is much to do)

        self._background.append(Background(work, *arguments))
        return self._background[-1]

    def _append(self, batch: Batch, source: str) -> int:
        recorded = self._store.append(
            batch.events,
            source=source,
            recorded_at=self._clock(),
            kept=batch.contents,
            cursor=batch.cursor,
        )
        if self._project and (recorded or batch.contents):
            self._bench().project(recorded, batch.contents)
        self._appended += len(recorded)
        return len(recorded)

    def _note_failure(
        self, source: SourceSettings, now: str, succeeded_at: str, failure: str
    ) -> None:
        self._store.fail(source.name, now, failure)
        gap = CollectorGap(
            repository=source.name, kind="unreadable", detail=failure, since=succeeded_at
        )
        event = NewEvent(
            stream=f"repository/{source.name}",
            key=f"{source.name}/gap/{succeeded_at or 'never'}",
            source=source.name,
            data=gap,
        )
        self._append(Batch(events=[event]), source.name)


def _import_workbench() -> None:
    with suppress(Exception):  # what is wrong is raised where it is used
        importlib.import_module("ledger.workbench")
        registry.parsers()
        registry.projections()


def rebuild(
    settings: Settings, *, progress: Callable[[int, int], None] = lambda _a, _b: None
) -> int:
    """Makes every projection again from the log, beside the tables in use, and swaps them in.

    Gives the position reached. Readers see the old tables until the swap, which is one transaction.
    """
    from ledger.documents import Documents  # noqa: PLC0415 (only a rebuild needs them here)
    from ledger.projector import Projector  # noqa: PLC0415
    from ledger.store import schema  # noqa: PLC0415

    projections = registry.projections()
    suffix = "__next"
    with Store.open(settings.database_url) as store, _patient_collector():
        connection = store.connection
        with connection.transaction():
            leftovers = [name for name in schema.model_tables(connection) if name.endswith(suffix)]
            schema.drop_tables(connection, leftovers)
            schema.create_tables(connection, projections, suffix)
        projector = Projector(
            store, projections, Documents(registry.parsers, store.content), suffix=suffix
        )
        size = store.head().size
        while projector.checkpoint < size:
            projector.catch_up(until=min(size, projector.checkpoint + 1_000))
            progress(projector.checkpoint, size)
        with connection.transaction():
            store.lock()
            projector.catch_up_inside(store.head().size)
            schema.swap(connection, projections, suffix)
        schema.protect(connection)
        connection.analyze()
        return projector.checkpoint
