"""Peak memory of the commands that read or write everything: the largest process, and all together.

Runs that are looked at are not timed: looking costs time.
"""

from __future__ import annotations

from benchmarks._figures import Bar, FailedError, Figure, not_measured, value
from benchmarks._memory import Peak, peak_of
from benchmarks._places import LEDGER, MAIN_ONLY, Place, set_up

BAR = Bar(most=350, unit=" MB")


def measure(place: Place) -> list[Figure]:
    """Two rows for each of five commands."""
    main, everything = place.new("memory"), place.new("memory")
    try:
        set_up(main, place.bundle, MAIN_ONLY)
        set_up(everything, place.bundle)
        peaks = {
            "ingest of main without pull requests": peak_of([*LEDGER, "ingest"], main),
            "ingest of everything": peak_of([*LEDGER, "ingest"], everything),
            "verify": peak_of([*LEDGER, "verify"], everything),
            "rebuild": peak_of([*LEDGER, "rebuild"], everything),
        }
    except FailedError as error:
        return [not_measured("peak memory", error)]
    return [row for what, peak in peaks.items() for row in _rows(what, peak)]


def _rows(what: str, peak: Peak) -> list[Figure]:
    name, most = max(peak.largest.items(), key=lambda one: one[1])
    git = {one: high for one, high in peak.largest.items() if one.startswith("git")}
    beside = f", of git {max(git.values()):.0f}" if git else ""
    first = value(f"{what}: largest process (`{name}`{beside})", [most], " MB", BAR)
    return [first, value(f"{what}: the whole tree of processes", [peak.sum], " MB", BAR)]
