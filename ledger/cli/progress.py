"""Progress on standard error, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.ingest import Progress
    from ledger.sources import Batch


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Gives a function that shows how many commits of a source are read."""
    with _bars() as move:

        def show(source: str, batch: Batch) -> None:
            move(source, batch.done, batch.total)

        yield show


@contextmanager
def shown_steps(what: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function that shows how far one long work is."""
    with _bars() as move:
        yield lambda done, total: move(what, done, total)


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    if not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    from rich.console import Console  # noqa: PLC0415 (only where somebody looks)
    from rich.progress import Progress as Bars  # noqa: PLC0415
    from rich.progress import TaskID  # noqa: PLC0415

    tasks: dict[str, TaskID] = {}
    with Bars(console=Console(stderr=True), transient=True) as bars:

        def move(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total or None)
            bars.update(tasks[what], completed=done, total=total or None)

        yield move
