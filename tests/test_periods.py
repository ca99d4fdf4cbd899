"""Periods: the spans that people mean, half-open, in any zone and on the nights that clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import UsageError
from ledger.instants import FORMAT
from ledger.periods import BEGINNING, END, Period, day_start, local_text, parse_period, zone

NOW = "2026-11-23T01:00:00Z"  # a Monday
ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Asia/Kathmandu")


def span(text: str, time_zone: str = "UTC", now: str = NOW) -> tuple[str, str]:
    found = parse_period(text, time_zone, now)
    return found.start, found.end


@pytest.mark.parametrize(
    ("text", "name", "start", "end"),
    [
        ("last-day", "2026-11-22", "2026-11-22", "2026-11-23"),
        ("last-week", "2026-W47", "2026-11-16", "2026-11-23"),
        ("last-month", "2026-10", "2026-10-01", "2026-11-01"),
        ("last-quarter", "2026-Q3", "2026-07-01", "2026-10-01"),
        ("last-year", "2025", "2025-01-01", "2026-01-01"),
        ("2026-Q4", "2026-Q4", "2026-10-01", "2027-01-01"),
        ("2026-12", "2026-12", "2026-12-01", "2027-01-01"),
        ("2024-02", "2024-02", "2024-02-01", "2024-03-01"),
        ("2026", "2026", "2026-01-01", "2027-01-01"),
        ("2026-W01", "2026-W01", "2025-12-29", "2026-01-05"),
        ("2026-09-30", "2026-09-30", "2026-09-30", "2026-10-01"),
        ("2026-09-01..2026-10-01", "2026-09-01..2026-10-01", "2026-09-01", "2026-10-01"),
    ],
)
def test_a_period_is_what_people_mean(text: str, name: str, start: str, end: str) -> None:
    found = parse_period(text, "UTC", NOW)
    assert found == Period(name, f"{start}T00:00:00Z", f"{end}T00:00:00Z", "UTC")
    again = parse_period(found.name, "UTC", "2031-01-01T00:00:00Z")
    assert again == found, "its name means the same on any day"


def test_all_is_all_of_time() -> None:
    found = parse_period("all", "UTC", NOW)
    assert (found.start, found.end, found.is_all) == (BEGINNING, END, True)


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "last-fortnight", "2026-13", "2026-Q5", "2026-W54", "2026-02-30", "26"),
        *("2026-09-01..", "..2026-09-01", "2026-10-01..2026-09-01", "2026-09-01..2026-09-01"),
        *("0001", "9999", "٢٠٢٦", "2026-09-01..all", "2026-9", "2026 09"),
    ],
)
def test_what_is_no_period_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="is no period") as error:
        parse_period(text, "UTC", NOW)
    assert "last-month" in error.value.hint


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "../etc/passwd", "UTC\0"])
def test_an_unknown_time_zone_is_named(name: str) -> None:
    with pytest.raises(UsageError, match="is no time zone"):
        parse_period("2026", name, NOW)


def test_now_is_read_in_the_zone() -> None:
    midnight = "2026-10-31T23:30:00Z"  # the first of November in Berlin
    assert parse_period("last-month", "Europe/Berlin", midnight).name == "2026-10"
    assert parse_period("last-month", "UTC", midnight).name == "2026-09"


def test_a_month_with_a_change_of_clocks_has_an_hour_more_or_less() -> None:
    assert span("2026-10", "Europe/Berlin") == ("2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z")
    assert span("2026-03", "Europe/Berlin") == ("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z")


@pytest.mark.parametrize(
    ("day", "time_zone", "start"),
    [
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),  # begins at one o'clock
        ("2019-02-17", "America/Sao_Paulo", "2019-02-17T03:00:00Z"),  # 23 o'clock came twice before
        ("2018-11-04", "America/Havana", "2018-11-04T04:00:00Z"),  # midnight comes twice
        ("2011-12-31", "Pacific/Apia", "2011-12-30T10:00:00Z"),  # the 30th never was
        ("1919-03-31", "America/Toronto", "1919-03-31T04:30:00Z"),  # from 23:30 to 00:30
    ],
)
def test_a_day_begins_at_its_first_instant(day: str, time_zone: str, start: str) -> None:
    assert day_start(date.fromisoformat(day), zone(time_zone)) == start


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.sampled_from(ZONES))
def test_days_follow_each_other_without_gap_or_overlap(day: date, time_zone: str) -> None:
    local = zone(time_zone)
    start, end = (day_start(one, local) for one in (day, day + timedelta(days=1)))
    assert start < end
    first = datetime.strptime(start, FORMAT).replace(tzinfo=UTC)
    assert first.astimezone(local).date() == day
    assert (first - timedelta(seconds=1)).astimezone(local).date() < day


def test_periods_have_titles() -> None:
    titles = [
        parse_period(text, "UTC", NOW).title
        for text in (
            "all",
            "2026-Q3",
            "2026-W39",
            "2026-09",
            "2026",
            "2026-09-30",
            "2026-09-01..2026-10-01",
        )
    ]
    assert titles == [
        "All that is recorded", "Quarter 3 of 2026", "Week 39 of 2026", "September 2026", "2026",
        "30 September 2026", "1 September 2026 up to 1 October 2026",
    ]  # fmt: skip


def test_local_text_tells_the_offset() -> None:
    assert local_text("2026-08-31T22:00:00Z", "Europe/Berlin") == "2026-09-01 00:00 +02:00"
    assert local_text("2026-08-31T22:00:00Z", "America/St_Johns") == "2026-08-31 19:30 -02:30"
