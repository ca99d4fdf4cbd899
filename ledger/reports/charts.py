"""Pictures of numbers, as SVG that says its numbers in words too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from markupsafe import Markup

from ledger.controls import Result
from ledger.instants import FORMAT
from ledger.periods import zone

WIDTH, HEIGHT, FLOOR, TALL, LEFT = 696, 84, 68, 58, 26
COLOURS = {
    "pass": "#12766c",
    "not_applicable": "#9fb0be",
    "unknown": "#c98a10",
    "exception": "#b3261b",
}
UNITS = ((45, "day"), (400, "week"), (3700, "month"))


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture and what stands below it."""

    svg: Markup
    caption: str


def over_time(results: Iterable[Result]) -> tuple[Chart, ...]:
    """A column chart for each control whose population is spread over a period."""
    return tuple(_columns(one) for one in results if one.population and one.control.parameters)


def _columns(result: Result) -> Chart:
    local = zone(result.period.time_zone)
    days = [
        datetime.strptime(one.occurred_at, FORMAT).replace(tzinfo=UTC).astimezone(local).date()
        for one in result.items
    ]
    if result.period.is_all:
        first, last = min(days), max(days)
    else:
        bounds = (result.period.start, result.period.end)
        first, after = (
            datetime.strptime(one, FORMAT).replace(tzinfo=UTC).astimezone(local).date()
            for one in bounds
        )
        last = after - timedelta(days=1)
    span = (last - first).days + 1
    unit = next((name for most, name in UNITS if span <= most), "year")
    starts = _starts(first, last, unit)
    counts = Counter(
        (_start(day, unit), one.outcome) for day, one in zip(days, result.items, strict=True)
    )
    return Chart(
        svg=_svg(result, starts, counts, unit),
        caption=f"Items of {result.control.id} by {unit}, in {result.period.time_zone}",
    )


def _start(day: date, unit: str) -> date:
    match unit:
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "year":
            return day.replace(month=1, day=1)
    return day


def _starts(first: date, last: date, unit: str) -> list[date]:
    """The first day of every bucket from the first day to the last."""
    step = {"day": 1, "week": 7, "month": 32, "year": 367}[unit]
    found = [_start(first, unit)]
    while (following := _start(found[-1] + timedelta(days=step), unit)) <= last:
        found.append(following)
    return found


def _svg(
    result: Result, starts: Sequence[date], counts: Counter[tuple[date, str]], unit: str
) -> Markup:
    totals = [sum(counts[start, name] for name in COLOURS) for start in starts]
    most = max(totals)
    pitch = (WIDTH - LEFT) / len(starts)
    wide = min(pitch * 0.76, 26)
    parts = [
        _text(LEFT - 5, FLOOR - TALL + 4, f"{most:,}", "end"),
        _text(LEFT - 5, FLOOR + 2.5, "0", "end"),
        f'<path d="M{LEFT} {FLOOR - TALL}H{WIDTH}" stroke="#dde4e9" stroke-width="0.7" fill="none"/>',
    ]
    every = -(-len(starts) // 16)
    for place, start in enumerate(starts):
        x, y = LEFT + place * pitch + (pitch - wide) / 2, float(FLOOR)
        for name, colour in COLOURS.items():
            if count := counts[start, name]:
                tall = max(TALL * count / most, 1.2)
                y -= tall
                parts.append(
                    f'<rect x="{x:.2f}" y="{y:.2f}" width="{wide:.2f}" height="{tall:.2f}" fill="{colour}"/>'
                )
        if place % every == 0:
            parts.append(_text(x + wide / 2, FLOOR + 12, _label(start, unit), "middle"))
    parts.append(
        f'<path d="M{LEFT} {FLOOR}H{WIDTH}" stroke="#33475a" stroke-width="1" fill="none"/>'
    )
    words = ", ".join(f"{result.count(name):,} {name.replace('_', ' ')}" for name in COLOURS)
    told = (
        f"{result.control.id}: {result.population:,} items by {unit} from {starts[0]} on: {words}. "
        f"The fullest {unit} has {most:,}."
    )
    return Markup(
        '<svg role="img" viewBox="0 0 {} {}" width="100%"><title>{}</title>{}</svg>'
    ).format(WIDTH, HEIGHT, told, Markup("".join(parts)))  # noqa: S704 (numbers and dates alone)


def _label(start: date, unit: str) -> str:
    match unit:
        case "month":
            return start.isoformat()[:7]
        case "year":
            return start.isoformat()[:4]
    return f"{start.month:02}-{start.day:02}"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" font-family="IBM Plex Sans, sans-serif" font-size="8" '
        f'fill="#5b6b79" text-anchor="{anchor}">{text}</text>'
    )
