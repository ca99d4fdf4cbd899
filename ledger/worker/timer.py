"""Does what is due, one job after another. The only module that uses APScheduler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.base import BaseTrigger

from ledger.instants import moment

PATIENCE = 60.0  # seconds: after a longer wait the machine may have slept, or its clock been set


@dataclass(slots=True)
class Job:
    """A piece of work, and when it comes next (UTC text): `upcoming(now, failed)` says so."""

    name: str
    next: str
    upcoming: Callable[[str, bool], str]


class _When(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Fires when the job says; however many times it was missed, it fires once."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def get_next_fire_time(self, _: datetime | None, now: datetime) -> datetime:
        return max(moment(self._job.next), now + timedelta(microseconds=1))


class Timer(BaseScheduler):  # type: ignore[misc]  # APScheduler has no types
    """Does jobs in the thread that starts it, until it is told to stop."""

    def __init__(self, wait: Callable[[float], None], stopping: Callable[[], bool]) -> None:
        super().__init__(timezone=UTC, executors={"default": DebugExecutor()})
        self._wait = wait
        self._stopping = stopping
        self._planned = 0

    def plan(self, job: Job, work: Callable[[Job], object]) -> None:
        """Adds a job, which `work` does; it may move `job.next`. Of two at once the first added is first."""
        self._planned += 1
        self.add_job(
            work,
            _When(job),
            id=f"{self._planned:06}",  # the order among equals
            args=[job],
            next_run_time=moment(job.next),
            coalesce=True,
            misfire_grace_time=None,
            max_instances=1,
        )

    def start(self) -> None:
        """Comes back when told to stop."""
        super().start()
        try:
            while not self._stopping():
                seconds = self._process_jobs()
                if not self._stopping():
                    self._wait(min(seconds, PATIENCE))
        finally:
            self.shutdown()

    def shutdown(self, wait: bool = True) -> None:
        """Ends the scheduler; no job runs then, for they run in this thread."""
        super().shutdown(wait)

    def wakeup(self) -> None:
        """Nothing to do: nobody adds jobs from outside."""
