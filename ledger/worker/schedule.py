"""When a report is due, and for which period. Pure: no clock, all times are UTC text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ledger import cron
from ledger.config import FILE, ReportSettings, Settings
from ledger.cron import Cron
from ledger.errors import LedgerError, UsageError
from ledger.instants import FORMAT, moment
from ledger.periods import Period, parse_period, zone

RETRY = timedelta(hours=1)
PERIODS = ("last-day", "last-week", "last-month", "last-quarter", "last-year")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A report, when it is due, and which period it is to cover."""

    report: str
    period: str
    cron: Cron
    zone: ZoneInfo

    @property
    def key(self) -> str:
        """What it is called where its runs are noted; with another cron it is another schedule."""
        return f"report/{self.report}/{self.period}/{self.cron.text}"

    def covers(self, planned: str) -> Period:
        """The period of the run planned for a time, however late it is made."""
        return parse_period(self.period, self.zone.key, planned)


def due(schedule: Schedule, done: str, now: str) -> str:
    """The planned time that is to be done at `now`, empty if none; of several missed, the last."""
    planned = written(cron.last_until(schedule.cron, moment(now), schedule.zone))
    return planned if planned > done else ""


def next_run(schedule: Schedule, now: str, *, failed: bool = False) -> str:
    """When a report is looked at next: as planned, or an hour after a failure where that is sooner."""
    planned = cron.next_after(schedule.cron, moment(now), schedule.zone)
    return written(min(planned, moment(now) + RETRY) if failed else planned)


def read_schedules(settings: Settings, check: Callable[[str], None]) -> list[Schedule]:
    """The reports of the configuration; `check` raises for a name that no report has.

    Raises UsageError that names the one at fault.
    """
    local = zone(settings.time_zone)
    found = [_schedule(one, local, check) for one in settings.report]
    keys = [one.key for one in found]
    for one in found:
        if keys.count(one.key) > 1:
            raise UsageError(
                f"{FILE}: [[report]] {one.report!r} stands there twice alike", hint="Remove one."
            )
    return found


def _schedule(one: ReportSettings, local: ZoneInfo, check: Callable[[str], None]) -> Schedule:
    try:
        check(one.name)
        if one.period not in PERIODS:
            raise UsageError(
                f"{one.period!r} is no period of a scheduled report",
                hint=f"Write one of {', '.join(PERIODS)}.",
            )
        return Schedule(one.name, one.period, cron.parse(one.cron), local)
    except LedgerError as error:
        message = f"{FILE}: [[report]] {one.name!r}: {error.message}"
        raise UsageError(message, hint=error.hint) from None


def written(at: datetime) -> str:
    """UTC text of a moment."""
    return at.astimezone(UTC).strftime(FORMAT)
