"""Figures beside their bars, and how two sides are timed so that they can be compared.

Machines are shared, so both sides of a comparison run in turns in one session, and a ratio is that of
two runs of one round. What is printed are medians over the rounds with the ratio's least and greatest.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

Times = dict[str, list[float]]
HEADINGS = ("what", "ledger", "against", "figure", "bar", "verdict")
# Nothing of the user's Git settings takes part, on either side.
PLAIN_GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}


class FailedError(Exception):
    """A side that does not run; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure is held against: at most, or at least, so much of a unit. `aim` is only told."""

    most: float | None = None
    least: float | None = None
    unit: str = ""
    aim: str = ""

    def __str__(self) -> str:
        if self.most is None and self.least is None:
            return "stated"
        bound = f"≤ {_short(self.most)}" if self.most is not None else f"≥ {_short(self.least)}"
        return f"{bound}{self.unit}" + (f", aim {self.aim}" if self.aim else "")

    def judge(self, values: Sequence[float]) -> str:
        """Whether the median holds, and whether every round does."""
        if self.most is None and self.least is None:
            return ""
        if not self._holds(statistics.median(values)):
            return "**missed**"
        return "met" if all(map(self._holds, values)) else "met, not in every round"

    def _holds(self, value: float) -> bool:
        if self.most is not None:
            return value <= self.most
        return self.least is None or value >= self.least


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table, as text. `HEADINGS` names its cells."""

    what: str
    ours: str = ""
    against: str = ""
    figure: str = ""
    bar: str = ""
    verdict: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.what, self.ours, self.against, self.figure, self.bar, self.verdict)


def ratio(
    what: str,
    ours: Sequence[float],
    peer: str,
    theirs: Sequence[float],
    bar: Bar,
    *,
    flip: bool = False,
) -> Figure:
    """How many times as long we take; with `flip`, how many times as long the peer takes."""
    pairs = zip(ours, theirs, strict=True)
    ratios = [other / mine if flip else mine / other for mine, other in pairs]
    return Figure(
        what,
        seconds(statistics.median(ours)),
        f"{peer}: {seconds(statistics.median(theirs))}",
        _with_spread(ratios, " times"),
        str(bar),
        bar.judge(ratios),
    )


def beyond(
    what: str, ours: Sequence[float], peer: str, theirs: Sequence[float], bar: Bar
) -> Figure:
    """How many seconds longer we take than what cannot be avoided."""
    more = [mine - other for mine, other in zip(ours, theirs, strict=True)]
    return Figure(
        what,
        seconds(statistics.median(ours)),
        f"{peer}: {seconds(statistics.median(theirs))}",
        _with_spread(more, " s beyond"),
        str(bar),
        bar.judge(more),
    )


def rate(what: str, ours: Sequence[float], peer: str, theirs: Sequence[float], bar: Bar) -> Figure:
    """How many times as much a second we do as the peer."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return Figure(
        what,
        f"{_rounded(statistics.median(ours))}/s",
        f"{peer}: {_rounded(statistics.median(theirs))}/s",
        _with_spread(ratios, " times"),
        str(bar),
        bar.judge(ratios),
    )


def value(what: str, values: Sequence[float], unit: str, bar: Bar) -> Figure:
    """A figure of ours alone."""
    return Figure(what, "", "", _with_spread(values, unit), str(bar), bar.judge(values))


def not_measured(what: str, reason: object) -> Figure:
    """A row that says why there is no figure."""
    return Figure(what, figure=f"not measured: {' '.join(str(reason).split())}")


def seconds(number: float) -> str:
    """Seconds with as many places as mean something."""
    return f"{number:.2f} s" if number < 10 else f"{number:.1f} s"


def _short(number: float | None) -> str:
    assert number is not None
    return f"{number:,.3g}" if number < 1000 else f"{number:,.0f}"


def _with_spread(values: Sequence[float], unit: str) -> str:
    middle = f"{_rounded(statistics.median(values))}{unit}"
    if len(values) == 1:
        return middle
    return f"{middle} ({_rounded(min(values))} to {_rounded(max(values))})"


def _rounded(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def table(figures: Sequence[Figure]) -> str:
    """The rows as Markdown."""
    rows = [HEADINGS, ("---",) * len(HEADINGS), *(one.cells for one in figures)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


# -- timing --------------------------------------------------------------------------------------


def interleaved(rounds: int, sides: Mapping[str, Callable[[int], float]]) -> Times:
    """Seconds of each side in each round; a side is called with the number of the round.

    The order turns by one in each round, so that none always runs with the others' warm caches.
    """
    names = list(sides)
    times: Times = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            times[name].append(sides[name](number))
    return times


def timed(
    command: Sequence[str | Path], folder: Path, env: Mapping[str, str] | None = None
) -> float:
    """Wall seconds of a command whose output is read and dropped. FailedError where it fails."""
    start = time.perf_counter()
    with TemporaryFile() as complaints:
        with subprocess.Popen(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, **PLAIN_GIT, **(env or {})},
        ) as process:
            assert process.stdout is not None
            while process.stdout.read(1 << 20):
                pass
        spent = time.perf_counter() - start
        if process.returncode:
            complaints.seek(0)
            lines = complaints.read().decode("utf-8", "replace").strip().splitlines()
            why = lines[-1] if lines else f"it ended with {process.returncode}"
            raise FailedError(f"{Path(command[0]).name} {' '.join(map(str, command[1:4]))}: {why}")
    return spent


def percentile(values: Sequence[float], share: float) -> float:
    """The value that the given share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
