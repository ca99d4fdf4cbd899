"""Spans of a calendar as people type them, made into UTC text; a period includes its start and not its end.

A day begins at its first instant in the ledger's time zone, whatever the clocks did that night.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ledger.errors import UsageError
from ledger.instants import FORMAT

BEGINNING = "0001-01-01T00:00:00Z"
END = "9999-12-31T23:59:59Z"
EXAMPLES = (
    "last-month, last-quarter, last-week, last-day, last-year, 2026-Q3, 2026-09, 2026-W39, 2026, "
    "2026-09-30, 2026-09-01..2026-10-01 (the last day is not included), all"
)
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_NEAR = (date(1, 1, 2), date(9999, 12, 30))  # days whose UTC times can be written in any zone


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open span: `start` belongs to it, `end` does not; both UTC text.

    `name` is how it is typed to mean the same span again, whatever the day.
    """

    name: str
    start: str
    end: str
    time_zone: str

    @property
    def is_all(self) -> bool:
        """Whether it is all of time."""
        return self.name == "all"

    @property
    def title(self) -> str:
        """As people say it: `September 2026`, `Quarter 3 of 2026`, `30 September 2026`."""
        if self.is_all:
            return "All that is recorded"
        if match := re.fullmatch(r"(\d{4})-([QW])(\d+)", self.name):
            word = "Quarter" if match[2] == "Q" else "Week"
            return f"{word} {int(match[3])} of {match[1]}"
        if match := re.fullmatch(r"(\d{4})-(\d\d)", self.name):
            return f"{MONTHS[int(match[2]) - 1]} {match[1]}"
        first, _, after = self.name.partition("..")
        told = [_spoken(one) for one in (first, after) if one]
        return " up to ".join(told)


def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises UsageError for what is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"{name!r} is no time zone",
            hint="Set time_zone in ledger.toml to an IANA name such as Europe/Berlin, or to UTC.",
        ) from None


def parse_period(text: str, time_zone: str, now: str) -> Period:
    """The period that a text means in a time zone; `now` decides what `last-month` is.

    Raises UsageError for what is no period.
    """
    local = zone(time_zone)
    text = text.strip()
    if text == "all":
        return Period("all", BEGINNING, END, time_zone)
    today = datetime.strptime(now, FORMAT).replace(tzinfo=UTC).astimezone(local).date()
    try:
        name = _last(text, today) if text.startswith("last-") else text
        first, after = _days(name)
        if not _NEAR[0] <= first < after <= _NEAR[1]:
            raise ValueError
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no period", hint=f"Write one of {EXAMPLES}.") from None
    return Period(name, day_start(first, local), day_start(after, local), time_zone)


def _last(text: str, today: date) -> str:
    """The period before the one that is going on, under its own name."""
    match text.removeprefix("last-"):
        case "day":
            return (today - timedelta(days=1)).isoformat()
        case "week":
            year, week, _ = (today - timedelta(days=7)).isocalendar()
            return f"{year:04}-W{week:02}"
        case "month":
            return (today.replace(day=1) - timedelta(days=1)).strftime("%Y-%m").rjust(7, "0")
        case "quarter":
            before = today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1) - timedelta(days=1)
            return f"{before.year:04}-Q{(before.month + 2) // 3}"
        case "year":
            return f"{today.year - 1:04}"
    raise ValueError(text)


def _days(name: str) -> tuple[date, date]:
    """The first day of a period, and the first that is no longer of it."""
    if match := re.fullmatch(r"(\d{4})", name, re.ASCII):
        return date(int(match[1]), 1, 1), date(int(match[1]) + 1, 1, 1)
    if match := re.fullmatch(r"(\d{4})-Q([1-4])", name, re.ASCII):
        return _months(int(match[1]), int(match[2]) * 3 - 2, 3)
    if match := re.fullmatch(r"(\d{4})-(\d\d)", name, re.ASCII):
        return _months(int(match[1]), int(match[2]), 1)
    if match := re.fullmatch(r"(\d{4})-W(\d\d)", name, re.ASCII):
        monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
        return monday, monday + timedelta(days=7)
    first, dots, after = name.partition("..")
    if dots:
        return _day(first), _day(after)
    return _day(name), _day(name) + timedelta(days=1)


def _spoken(day: str) -> str:
    if len(day) == 4:
        return day
    year, month, number = day.split("-")
    return f"{int(number)} {MONTHS[int(month) - 1]} {year}"


def _months(year: int, month: int, count: int) -> tuple[date, date]:
    years, rest = divmod(month - 1 + count, 12)
    return date(year, month, 1), date(year + years, rest + 1, 1)


def _day(text: str) -> date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError(text)
    return date.fromisoformat(text)


def day_start(day: date, local: ZoneInfo) -> str:
    """The first instant of a day in a zone, as UTC text.

    Where the clocks skip midnight it is the instant of the skip; where midnight comes twice, the first.
    """
    midnight = datetime.combine(day, time())
    late = midnight.replace(tzinfo=local).astimezone(UTC)
    early = midnight.replace(tzinfo=local, fold=1).astimezone(UTC)
    # In a skipped hour the two readings stand in the other order, the skip between them.
    low, high = int(early.timestamp()), int(late.timestamp())
    while low < high:
        middle = (low + high) // 2
        there = datetime.fromtimestamp(middle, local).replace(tzinfo=None) >= midnight
        low, high = (low, middle) if there else (middle + 1, high)
    return datetime.fromtimestamp(high, UTC).strftime(FORMAT).rjust(20, "0")


def local_text(utc: str, time_zone: str) -> str:
    """A UTC time as it reads in a zone, with its offset: `2026-09-01 00:00 +02:00`."""
    moment = datetime.strptime(utc, FORMAT).replace(tzinfo=UTC).astimezone(zone(time_zone))
    offset = moment.strftime("%z")
    return f"{moment:%Y-%m-%d %H:%M} {offset[:3]}:{offset[3:5]}"
