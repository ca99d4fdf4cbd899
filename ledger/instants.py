"""Times as people type them, made into UTC text."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from ledger.errors import UsageError

FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_RELATIVE = re.compile(
    r"^([0-9]{1,6})\s*(s|m|min|h|d|w|second|minute|hour|day|week|month|year)s?(?:\s+ago)?$"
)
_UNITS = {
    "s": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600,
    "d": 86_400, "day": 86_400, "w": 604_800, "week": 604_800,
    "month": 2_629_746, "year": 31_556_952,
}  # fmt: skip


def parse_instant(text: str, now: str) -> str:
    """UTC text of `2026-09-01`, `2026-09-01 02:00`, an ISO time, `now`, `1h`, `2 days ago`.

    A date means its first second, and a time without a zone is UTC. Raises UsageError otherwise.
    """
    text = text.strip()
    if text == "now":
        return now
    if match := _RELATIVE.match(text.lower().replace(".", " ")):
        span = timedelta(seconds=int(match[1]) * _UNITS[match[2]])
        try:
            then = datetime.strptime(now, FORMAT).replace(tzinfo=UTC) - span
            return then.strftime(FORMAT).rjust(20, "0")
        except OverflowError:
            return "0001-01-01T00:00:00Z"
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time", hint="Write 2026-09-01, 2026-09-01T02:00Z or 2h."
        ) from None
    return moment.strftime(FORMAT).rjust(20, "0")


def utc_text(told: object) -> str:
    """UTC text of an RFC 3339 time that another program wrote, to the second; empty where it is none."""
    if not isinstance(told, str) or "T" not in told.upper():
        return ""
    try:
        moment = datetime.fromisoformat(told)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return moment.strftime(FORMAT).rjust(20, "0")


def moment(text: str) -> datetime:
    """The moment of UTC text as the ledger writes it."""
    return datetime.strptime(text, FORMAT).replace(tzinfo=UTC)
