"""Speed, memory and size, beside what they are held against.

    python -m benchmarks                       every benchmark
    python -m benchmarks ingest questions      these only
    python -m benchmarks --write --date 2025-01-31

The real repository is the bundle in the folder LEDGER_CORPUS (default ../shared). Everything is made in a
temporary folder. `--write` puts the tables into docs/benchmarks.md, and leaves those of benchmarks that
were not run as they are.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks._figures import FailedError, Figure, not_measured, table
from benchmarks._places import ROOT, Place, machine, versions
from benchmarks._terraform import COMMITS

PAGE = ROOT / "docs" / "benchmarks.md"
NAMES = (
    "ingest", "peers", "terraform", "increments", "questions", "links", "deliveries", "memory", "keeping",
    "merkle",
)  # fmt: skip


def main() -> None:
    """Runs what was named, prints each table as soon as it is there."""
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder goes, too
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ledger-bench-"))
        place = Place(Path(folder), options.rounds, options.commits, stack)
        for name in options.names or NAMES:
            started = time.perf_counter()
            text = _section(name, place, options)
            print(f"## {name}\n\n{text}\n", flush=True)
            print(f"({name} took {time.perf_counter() - started:.0f} s)\n", file=sys.stderr)
            if options.write:
                _write(options.write, name, text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], metavar="NAME", help=str(NAMES))
    parser.add_argument("--rounds", type=_positive, default=5, help="runs of each side (5)")
    parser.add_argument(
        "--commits", type=_positive, default=COMMITS, help="size of the Terraform repository"
    )
    parser.add_argument("--date", default="", help="when this is measured, to stand in the page")
    parser.add_argument("--note", default="", help="what a reader should know of the machine")
    parser.add_argument(
        "--write", nargs="?", type=Path, const=PAGE, help="put the tables into docs/benchmarks.md"
    )
    return parser.parse_intermixed_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _section(name: str, place: Place, options: argparse.Namespace) -> str:
    """The table of one benchmark, and on what it was measured."""
    before = os.getloadavg()[0]
    try:
        figures: list[Figure] = importlib.import_module(f"benchmarks.{name}").measure(place)
    except FailedError as error:
        figures = [not_measured(name, error)]
    rounds = f"{options.rounds} round{'s' * (options.rounds != 1)}"
    facts = [rounds, machine(), versions(), f"load {before:.1f} before it"]
    facts += [one for one in (options.date, options.note) if one]
    return f"{table(figures)}\n\n{'; '.join(facts)}."


def _write(page: Path, name: str, text: str) -> None:
    """Puts a section between its two marks."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, mark, rest = page.read_text("utf-8").partition(begin)
    if not mark:
        sys.exit(f"{page} has no mark {begin.strip()}")
    page.write_text(f"{before}{begin}\n{text}\n\n{end}{rest.partition(end)[2]}", "utf-8")


if __name__ == "__main__":
    main()
