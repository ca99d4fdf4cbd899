"""The worker's command."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ledger.config import Settings
    from ledger.periods import Period
    from ledger.worker import Duties, Line
    from ledger.worker.signals import Stop


@click.command()
@click.option("--once", is_flag=True, help="One round, then end; not 0 if any of it failed.")
def worker(once: bool) -> None:
    """Read every source again and again, and write the reports of ledger.toml when they are due.

    A second worker on the same database waits until the first one ends. SIGTERM and Ctrl-C end it after
    the batch at hand.
    """
    from ledger import config  # noqa: PLC0415
    from ledger.worker import Worker  # noqa: PLC0415
    from ledger.worker.signals import Stop  # noqa: PLC0415

    settings = config.load()
    with Stop(_heard).listening() as stop:
        duties = _duties(settings, stop)
        work = Worker(settings, duties, say=_say, stopping=stop.asked, wait=stop.wait)
        if not once:
            work.run()
        elif not work.once():
            sys.exit(5)
        elif stop.asked():
            sys.exit(130)


def _duties(settings: Settings, stop: Stop) -> Duties:
    from ledger import controls, deliveries, ingest, reports  # noqa: PLC0415
    from ledger.worker import Duties  # noqa: PLC0415

    def check(report: str) -> None:
        for control in reports.find(report).controls:
            controls.find(settings.folder, control)

    def issue(report: str, period: Period) -> str:
        from ledger.reports.issue import issue  # noqa: PLC0415

        return str(issue(settings, report, period, folder=folder).path)

    folder = settings.path(settings.worker.reports)
    return Duties(
        ingest=lambda name, progress: ingest.ingest(settings, [name], progress=progress)[0],
        drain=lambda: deliveries.drain(settings, stopped=stop.asked),
        check=check,
        issue=issue,
    )


def _heard() -> None:
    # Not through click: the signal may have come in the middle of a line.
    os.write(2, b"Stopping after the batch at hand; once more to stop at once.\n")


def _say(line: Line) -> None:
    from ledger.cli.text import visible  # noqa: PLC0415

    text = f"{line.at} {visible(line.job)}: {visible(line.text)}"
    click.echo(click.style(text, fg="red") if line.failed else text)
    sys.stdout.flush()
