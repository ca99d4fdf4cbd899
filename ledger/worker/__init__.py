"""The worker: it says when things are done, never what.

A round reads every source that can be polled, then takes in what was delivered; reports come on
their cron. Everything runs in the thread that calls, one job after another, and behind the lead, so
that of several workers on one database only one works. APScheduler keeps the jobs in memory; when a
report last ran stands in the database, so what was due while no worker ran is done once, at start.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from ledger import registry
from ledger.clock import utc_now
from ledger.config import FILE, Settings
from ledger.deliveries import Drained
from ledger.errors import LedgerError, StoreError, UsageError
from ledger.ingest import Outcome
from ledger.instants import moment
from ledger.periods import Period
from ledger.sources import Batch
from ledger.store import Store, schedules
from ledger.store.leader import Lead
from ledger.worker.schedule import Schedule, due, next_run, read_schedules, written
from ledger.worker.timer import Job, Timer

ASK_FOR_LEAD = 10.0  # seconds between two tries
LONGEST_PAUSE = timedelta(
    hours=1
)  # of a source that fails again and again, where rounds come sooner
BUSY = "another worker is at work on this database"
Progress = Callable[[str, Batch], None]


class Stopped(Exception):  # noqa: N818 (no error: it was asked for)
    """The worker was told to stop, and the batch at hand is recorded."""


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one piece of work, for people to read. `at` is UTC text."""

    at: str
    job: str
    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """The work itself.

    `ingest(source, progress)` reads a source. `drain()` records what was delivered. `check(report)`
    raises UsageError where there is no such report. `issue(report, period)` writes one and says in a
    few words where.
    """

    ingest: Callable[[str, Progress], Outcome]
    drain: Callable[[], Drained]
    check: Callable[[str], None]
    issue: Callable[[str, Period], str]


def pollable(settings: Settings) -> list[str]:
    """The names of the sources that can be polled. Raises UsageError for an unknown kind."""
    known = registry.sources()
    for one in settings.source:
        if one.kind not in known:
            raise UsageError(
                f"{FILE}: source {one.name}: unknown kind {one.kind!r}",
                hint=f"Known: {', '.join(sorted(known))}.",
            )
    return [one.name for one in settings.source if known[one.kind].pull is not None]


class Worker:
    """Does what is due. `say` is given each line as it comes; `stopping` is asked between batches.

    `wait(seconds)` comes back then, or as soon as the worker is told to stop. Raises UsageError for
    a configuration that cannot be carried out. A job that fails is told of and stops nothing else.
    """

    def __init__(
        self,
        settings: Settings,
        duties: Duties,
        *,
        say: Callable[[Line], None],
        stopping: Callable[[], bool],
        wait: Callable[[float], None],
        clock: Callable[[], str] = utc_now,
    ) -> None:
        if settings.worker.every < 1:
            raise UsageError(f"{FILE}: [worker] every must be 1 minute or more")
        self._url = settings.database_url
        self._every = timedelta(minutes=settings.worker.every)
        self._sources = pollable(settings)
        self._schedules = read_schedules(settings, duties.check)
        self._duties = duties
        self._say = say
        self._stopping = stopping
        self._wait = wait
        self._clock = clock
        self._lead = Lead(self._url)
        self._led = False
        self._failures: dict[str, int] = {}  # of each source, in a row
        self._not_before: dict[str, str] = {}

    def once(self) -> bool:
        """One round: reads, takes in, writes the reports that are due. Whether all of it was done.

        Raises StoreError where another worker has the lead.
        """
        if not self._lead.take():
            raise StoreError(BUSY, hint="Nothing was done here.")
        try:
            failed = [self._do(work, job) for job, work in self._jobs()]
            return not any(failed)
        finally:
            self._lead.release()

    def run(self) -> None:
        """Works until it is told to stop; waits first while another worker has the lead."""
        try:
            if not self._has_lead():
                return
            timer = Timer(self._wait, self._stopping)
            for job, work in self._jobs():
                self._tell("worker", f"{job.name}: next run {job.next}")
                timer.plan(job, partial(self._do, work))
            timer.start()
            self._tell("worker", "stopped")
        finally:
            self._lead.release()

    # -- jobs ------------------------------------------------------------------------------------

    def _jobs(self) -> list[tuple[Job, Callable[[], Iterator[Line]]]]:
        """The rounds first, so that a report that was missed rests on what is new."""
        now = self._clock()
        found = [(Job("ingest", now, self._after_pause), self._round)]
        for one in self._schedules:
            first = now if due(one, self._done(one, now), now) else next_run(one, now)
            job = Job(f"report {one.report}", first, partial(_after_report, one))
            found.append((job, partial(self._report, one)))
        return found

    def _after_pause(self, now: str, _: bool) -> str:
        return written(moment(now) + self._every)

    def _do(self, work: Callable[[], Iterator[Line]], job: Job) -> bool:
        """Does a job and tells of it; whether any of it failed."""
        if self._stopping() or not self._has_lead():
            return False
        failed = False
        for line in self._guarded(job.name, work):
            again = f"; next run {job.upcoming(line.at, True)}" if line.failed else ""
            self._say(Line(line.at, line.job, line.text + again, line.failed))
            failed |= line.failed
        job.next = job.upcoming(self._clock(), failed)
        return failed

    def _guarded(self, name: str, work: Callable[[], Iterator[Line]]) -> Iterator[Line]:
        """The lines of a piece of work; what it raises is one more line."""
        try:
            yield from work()
        except Stopped:
            yield self._line(name, "stopped between two batches; the next round goes on")
        except LedgerError as error:
            yield self._line(name, _sentence(error.message, error.hint), failed=True)
        except Exception as error:  # noqa: BLE001 (a fault in one job must not end the others)
            if os.environ.get("LEDGER_TRACEBACK"):
                traceback.print_exc()
            reason = f"internal error, LEDGER_TRACEBACK=1 shows where: {type(error).__name__}"
            yield self._line(name, f"{reason}: {error}", failed=True)

    def _round(self) -> Iterator[Line]:
        for name in self._sources:
            if not self._stopping() and self._not_before.get(name, "") <= self._clock():
                yield from self._guarded(f"ingest {name}", partial(self._read, name))
        if not self._stopping():
            yield from self._guarded("deliveries", self._drain)

    def _read(self, name: str) -> Iterator[Line]:
        outcome, job = self._duties.ingest(name, self._between_batches), f"ingest {name}"
        if outcome.failure:
            reason = _sentence(outcome.failure, outcome.hint)
            yield self._line(job, reason + self._backed_off(name), failed=True)
        else:
            self._failures.pop(name, None)
            yield self._line(job, _new(outcome.appended) or "nothing new")
        for stopped in outcome.stopped:
            yield self._line(job, f"projection {stopped}", failed=True)

    def _backed_off(self, name: str) -> str:
        """Leaves a source that failed alone for twice as long each time; says so where it is left out."""
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        longest = max(self._every, LONGEST_PAUSE)
        pause = min(self._every * 2 ** min(failures - 1, 20), longest)
        self._not_before[name] = written(moment(self._clock()) + pause)
        if pause == self._every:
            return ""
        return f"; failed {failures} times in a row, tried again from {self._not_before[name]}"

    def _drain(self) -> Iterator[Line]:
        drained = self._duties.drain()
        if not drained.read:
            return
        told = f"{drained.read:,} recorded, {_new(drained.appended) or 'nothing new'}"
        bad = f"; {drained.unreadable:,} could not be read, see `ledger sql` on gaps"
        yield self._line(
            "deliveries", told + bad * bool(drained.unreadable), failed=bool(drained.unreadable)
        )

    def _between_batches(self, _: str, __: Batch) -> None:
        if self._stopping():
            raise Stopped

    def _report(self, schedule: Schedule) -> Iterator[Line]:
        now, job = self._clock(), f"report {schedule.report}"
        planned = due(schedule, self._done(schedule, now), now)
        if not planned:
            yield self._line(job, f"not due; next run {next_run(schedule, now)}")
            return
        period = schedule.covers(planned)
        told = self._duties.issue(schedule.report, period)
        with Store.open(self._url) as store:
            schedules.note_run(store, schedule.key, planned, self._clock())
        yield self._line(job, f"{told} ({period.name}, planned for {planned})")

    def _done(self, schedule: Schedule, now: str) -> str:
        """What a report was last done for; of a new one, nothing before now is to be caught up."""
        with Store.open(self._url) as store:
            done = schedules.last_planned(store, schedule.key)
            if not done:
                schedules.note_run(store, schedule.key, now, now)
        return done or now

    # -- the lead --------------------------------------------------------------------------------

    def _has_lead(self) -> bool:
        """Waits for the lead, and says so; false when told to stop meanwhile.

        A database that cannot be reached is an error at the start, and waited for later.
        """
        said = ""
        while not self._stopping():
            reason = self._why_not()
            if not reason:
                if said:
                    self._tell("worker", "has the lead now")
                return True
            if reason != said:
                self._tell("worker", f"waits: {reason}")
                said = reason
            self._wait(ASK_FOR_LEAD)
        return False

    def _why_not(self) -> str:
        try:
            taken = self._lead.take()
        except StoreError as error:
            if not self._led:
                raise
            return error.message
        self._led = self._led or taken
        return "" if taken else BUSY

    def _line(self, job: str, text: str, *, failed: bool = False) -> Line:
        return Line(self._clock(), job, text, failed)

    def _tell(self, job: str, text: str) -> None:
        self._say(self._line(job, text))


def _after_report(schedule: Schedule, now: str, failed: bool) -> str:
    return next_run(schedule, now, failed=failed)


def _new(count: int) -> str:
    return f"{count:,} new event{'s' * (count != 1)}" if count else ""


def _sentence(message: str, hint: str) -> str:
    return " ".join(f"{message.rstrip('.')}. {hint}".split()) if hint else message
