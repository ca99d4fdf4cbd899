"""Reading files that forges, controllers and clusters gave."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ledger.sources import Batch


_GAPS = {"unreadable": "not read", "incomplete": "nothing is gone", "ambiguous": "two clusters"}


@click.command("import")
@click.argument("kind")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--cluster", default="", help="The cluster that the files are of, by your name for it."
)
@click.option(
    "--complete",
    is_flag=True,
    help="You state that the FILES hold every object of each kind in each namespace that they show: "
    "what was there before and is not in them is recorded as gone, on your word.",
)
def import_files(kind: str, files: tuple[Path, ...], cluster: str, complete: bool) -> None:
    """Record what FILES of a KIND tell, such as saved webhooks and API answers of github.

    Importing a file again adds nothing. What cannot be read is recorded as a gap, and named.
    """
    from ledger import config  # noqa: PLC0415
    from ledger import ingest as shell  # noqa: PLC0415
    from ledger.auditor.recording import login  # noqa: PLC0415
    from ledger.cli.text import visible  # noqa: PLC0415
    from ledger.events import CollectorGap, Identity, LiveRemoved  # noqa: PLC0415
    from ledger.sources import Import  # noqa: PLC0415

    gaps: list[str] = []
    ignored = gone = 0

    def note(_: str, batch: Batch) -> None:
        nonlocal ignored, gone
        told = [one.data for one in batch.events]
        gaps.extend(
            f"{_GAPS.get(one.kind, one.kind)}: {one.detail}"
            for one in told
            if isinstance(one, CollectorGap)
        )
        ignored += batch.ignored
        gone += sum(isinstance(one, LiveRemoved) and one.stated_by is not None for one in told)

    person = Identity(login=login()) if complete else None
    given = Import(files=files, cluster=cluster, stated_by=person)
    outcome = shell.import_files(config.load(), kind, given, progress=note)
    for detail in gaps:
        click.echo(click.style(visible(detail), fg="red"), err=True)
    for line in outcome.stopped:
        click.echo(click.style(f"projection {line}", fg="red"), err=True)
    click.echo(f"{kind}: {_told(outcome.appended, ignored)}")
    if gone:
        click.echo(f"{gone:,} object{'s are' if gone > 1 else ' is'} gone, on a person's word")
    if gaps or outcome.stopped:
        sys.exit(5)


def _told(appended: int, ignored: int) -> str:
    new = f"{appended:,} new event{'s' * (appended != 1)}" if appended else "nothing new"
    if not ignored:
        return new
    return f"{new}; {ignored:,} of the values tell{'s' * (ignored == 1)} nothing that is recorded"
