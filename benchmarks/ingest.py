"""Ingest of the real repository, against Git printing the same history, and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks._figures import Bar, FailedError, Figure, interleaved, not_measured, ratio, timed
from benchmarks._places import MAIN_ONLY, Place, first_ingest

LOG_MAIN, LOG_ALL = "`git log -p main`", "`git log -p --all`"
MAIN, ALL = "ingest of main without pull requests", "ingest of everything, heads linked"
LOG_ONLY, POSTGRES = "the log of main only", "main without pull requests, PostgreSQL"


def measure(place: Place) -> list[Figure]:
    """Five rows."""
    bundle = place.bundle
    sides: dict[str, Callable[[int], float]] = {
        LOG_MAIN: lambda _: timed(["git", "log", "-p", "main"], place.clone),
        MAIN: first_ingest(place, bundle, MAIN_ONLY),
        LOG_ONLY: first_ingest(place, bundle, MAIN_ONLY, log_only=True),
        LOG_ALL: lambda _: timed(["git", "log", "-p", "--all"], place.clone),
        ALL: first_ingest(place, bundle),
    }
    missing = _missing_server(place)
    if not missing:
        sides[POSTGRES] = first_ingest(place, bundle, MAIN_ONLY, postgres=True)
    _warm(place.clone)
    times = interleaved(place.rounds, sides)
    figures = [
        ratio(MAIN, times[MAIN], LOG_MAIN, times[LOG_MAIN], Bar(most=3.5, aim="2.5")),
        ratio(LOG_ONLY, times[LOG_ONLY], LOG_MAIN, times[LOG_MAIN], Bar(most=2)),
        ratio(ALL, times[ALL], LOG_ALL, times[LOG_ALL], Bar(most=3)),
    ]
    if missing:
        return [*figures, not_measured(POSTGRES, missing)]
    on_sqlite = ratio(POSTGRES, times[POSTGRES], "on SQLite", times[MAIN], Bar(most=1.5))
    return [*figures, on_sqlite]


def _missing_server(place: Place) -> str:
    """Why there is no PostgreSQL; empty where there is."""
    try:
        place.new_postgres()
    except (FailedError, OSError) as error:
        return str(error)
    return ""


def _warm(clone: Path) -> None:
    """Reads the repository once, so that the first round is as the others."""
    timed(["git", "log", "--raw", "--all"], clone)
