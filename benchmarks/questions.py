"""Questions about many resources and fields: time in the database, and of the whole program."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import Any

from benchmarks._figures import Bar, Figure, beyond, interleaved, percentile, timed
from benchmarks._places import Place, ledger
from ledger.cli import cli
from ledger.store import Store
from ledger.store.drivers import SqliteConnection

SEED, ASKED, PROGRAMS = 20_250_101, 300, 10
PEER = "`python -c 'import sqlite3'`"
LEAST = [sys.executable, "-c", "import sqlite3"]
Sample = list[tuple[str, str]]


def measure(place: Place) -> list[Figure]:
    """Ten rows: two for each question, then the whole program."""
    sample = _sample(f"sqlite:///{place.whole / 'ledger.db'}")
    commands: dict[str, list[list[str]]] = {
        "when": _asks("when", sample, field=True),
        "history": _asks("history", sample, field=True),
        "blame": _asks("blame", sample, field=False),
    }
    figures: list[Figure] = []
    with _ledger_of(place.whole):
        for name, asks in commands.items():
            times = [_asked(arguments) for arguments in asks]
            what = f"`{name}`, {len(asks)} times"
            inside, around = [one[0] for one in times], [one[1] for one in times]
            figures.append(_at(f"{what}: in the database", inside, Bar(most=5, unit=" ms")))
            figures.append(_at(f"{what}: in all, imports apart", around, Bar()))
    return figures + _programs(place, {name: asks[:PROGRAMS] for name, asks in commands.items()})


def _asks(command: str, sample: Sample, *, field: bool) -> list[list[str]]:
    asks = [[command, resource] for resource, _ in sample]
    if field:
        asks += [[command, resource, "--field", path] for resource, path in sample if path]
    return asks


def _at(what: str, values: list[float], bar: Bar) -> Figure:
    """The 95th percentile in milliseconds; the median and the worst stand beside it."""
    at, middle, worst = percentile(values, 0.95), percentile(values, 0.5), max(values)
    text = f"{at:.1f} ms at the 95th percentile (median {middle:.1f}, worst {worst:.1f})"
    return Figure(what, figure=text, bar=str(bar), verdict=bar.judge([at]))


def _sample(url: str) -> Sample:
    """(identity of a resource, a field of it that was once changed), the same for the same ledger."""
    chance = random.Random(SEED)  # noqa: S311 (the same each time)
    with Store.open(url, read_only=True) as store:
        rows = store.connection.rows("select resource from resources where present = 1 order by 1")
        chosen = chance.sample([row[0] for row in rows], min(ASKED, len(rows)))
        found: Sample = []
        for resource in chosen:
            fields = store.connection.rows(
                "select distinct field from field_changes where resource = ? and field <> '' "
                "order by field",
                [resource],
            )
            found.append((resource, chance.choice(fields)[0] if fields else ""))
    return found


@contextmanager
def _ledger_of(folder: Path) -> Iterator[None]:
    """Commands that run in this process use the ledger of a folder."""
    os.environ["LEDGER_CONFIG"] = str(folder / "ledger.toml")
    try:
        yield
    finally:
        del os.environ["LEDGER_CONFIG"]


def _asked(arguments: list[str]) -> tuple[float, float]:
    """Milliseconds (in the database, in all) of one command, with a connection of its own."""
    with _timed_database() as spent, redirect_stdout(StringIO()):
        start = time.perf_counter()
        cli.main(arguments, standalone_mode=False)
        around = time.perf_counter() - start
    return sum(spent) * 1000, around * 1000


@contextmanager
def _timed_database() -> Iterator[list[float]]:
    """Notes how long SQLite takes to open, and for each statement until its last row."""
    spent: list[float] = []
    kept = {name: getattr(SqliteConnection, name) for name in ("__init__", "rows", "execute")}

    def timing(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def run(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return method(*arguments, **options)
            finally:
                spent.append(time.perf_counter() - start)

        return run

    for name, method in kept.items():
        setattr(SqliteConnection, name, timing(method))
    try:
        yield spent
    finally:
        for name, method in kept.items():
            setattr(SqliteConnection, name, method)


def _programs(place: Place, commands: dict[str, list[list[str]]]) -> list[Figure]:
    """The whole program, beside a Python that only imports sqlite3."""

    def program(asks: list[list[str]]) -> Callable[[int], float]:
        return lambda number: ledger(place.whole, *asks[number % len(asks)])

    sides: dict[str, Callable[[int], float]] = {PEER: lambda _: timed(LEAST, place.whole)}
    sides |= {f"`ledger {name}`": program(asks) for name, asks in commands.items()}
    sides["`ledger --help`"] = program([["--help"]])
    times = interleaved(max(PROGRAMS, place.rounds), sides)
    return [
        beyond(
            f"{name}, the whole process",
            times[name],
            PEER,
            times[PEER],
            Bar(most=0.15 if "--help" in name else 0.2, unit=" s"),
        )
        for name in sides
        if name != PEER
    ]
