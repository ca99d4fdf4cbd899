"""Cron expressions of five fields, as crontab(5) means them, in a time zone. Pure: no clock.

Sunday is 0 and 7; where both the day of the month and the day of the week are given, either will do. A
time that the clocks skip in spring counts at the moment that they were put forward; one that comes
twice in autumn counts once, the first time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from ledger.errors import UsageError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES = {
    "month": {name: number for number, name in enumerate(_MONTHS, 1)},
    "day of the week": {name: number for number, name in enumerate(_DAYS)},
}
_FIELDS = (
    ("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12),
    ("day of the week", 0, 7),
)  # fmt: skip
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = re.compile(r"^(?:(\*)|([a-z]+|[0-9]{1,2})(?:-([a-z]+|[0-9]{1,2}))?)(?:/([0-9]{1,2}))?$")
_HINT = (
    "Write five fields, minute hour day month weekday, such as '0 6 1 * *' for 06:00 on the first."
)
DAYS_TO_LOOK = 41 * 366  # a 29 February on a certain weekday, across 2100, is 40 years away


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression. `either` where a day may match by the month or by the week."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def on(self, day: date) -> bool:
        """Whether it runs on a day."""
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either else by_month and by_week


def parse(text: str) -> Cron:
    """The meaning of five fields. Raises UsageError for what is none, or names no day of any year."""
    words = text.lower().split()
    if len(words) != len(_FIELDS):
        raise UsageError(f"{text!r} is no cron expression of five fields", hint=_HINT)
    found = [_values(text, word, *field_) for word, field_ in zip(words, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = found
    either = not words[2].startswith("*") and not words[4].startswith("*")
    if not either and all(min(days) > _LONGEST[month - 1] for month in months):
        raise UsageError(f"{text!r} names a day that no month has", hint=_HINT)
    return Cron(
        text=text,
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(one % 7 for one in weekdays),
        either=either,
    )


def _values(text: str, word: str, name: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in word.split(","):
        match = _PART.match(part)
        if match is None:
            raise _refusal(text, part, name, low, high)
        star, first, last, step = match.groups()
        start = low if star else _number(text, first, name, low, high)
        if star or (step and not last):
            end = high if name != "day of the week" else 6
        else:
            end = _number(text, last or first, name, low, high)
        if end < start or step in ("0", "00"):
            raise _refusal(text, part, name, low, high)
        found |= set(range(start, end + 1, int(step or 1)))
    return found


def _number(text: str, word: str, name: str, low: int, high: int) -> int:
    number = _NAMES.get(name, {}).get(word, int(word) if word.isdecimal() else -1)
    if not low <= number <= high:
        raise _refusal(text, word, name, low, high)
    return number


def _refusal(text: str, part: str, name: str, low: int, high: int) -> UsageError:
    return UsageError(f"cron {text!r}: {part!r} is no {name} ({low}-{high})", hint=_HINT)


def next_after(cron: Cron, moment: datetime, zone: tzinfo) -> datetime:
    """The first run strictly after a moment (aware), as UTC."""
    day = moment.astimezone(zone).date() - timedelta(days=1)
    for _ in range(DAYS_TO_LOOK):
        for run in _runs(cron, day, zone):
            if run > moment:
                return run
        day += timedelta(days=1)
    raise AssertionError(f"{cron.text!r} never runs")  # parse refuses such


def last_until(cron: Cron, moment: datetime, zone: tzinfo) -> datetime:
    """The last run at or before a moment (aware), as UTC."""
    day = moment.astimezone(zone).date() + timedelta(days=1)
    for _ in range(DAYS_TO_LOOK):
        for run in reversed(list(_runs(cron, day, zone))):
            if run <= moment:
                return run
        day -= timedelta(days=1)
    raise AssertionError(f"{cron.text!r} never ran")  # parse refuses such


def _runs(cron: Cron, day: date, zone: tzinfo) -> Iterator[datetime]:
    """The moments of a day at which it runs, in order, each once."""
    if not cron.on(day):
        return
    last: datetime | None = None
    for hour in cron.hours:
        for minute in cron.minutes:
            run = _instant(datetime.combine(day, time(hour, minute)), zone)
            if run != last:
                yield run
            last = run


def _instant(wall: datetime, zone: tzinfo) -> datetime:
    """The moment when clocks show a time; where they skip it, when they were put forward."""
    for _ in range(24 * 60 + 1):  # some islands have skipped a whole day
        moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
            return moment
        wall += timedelta(minutes=1)
    raise AssertionError(f"no clock of {zone} shows {wall}")
