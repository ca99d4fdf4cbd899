"""Reports: list, run, verify."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def report() -> None:
    """Documents for auditors, with the evidence inside: as PDF, or HTML."""


@report.command("list")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print."
)
def list_reports(output: str) -> None:
    """The reports there are, and the controls that each runs."""
    from ledger import reports  # noqa: PLC0415

    known = reports.find_all()
    if output == "json":
        from ledger.cli.text import json_text  # noqa: PLC0415

        told = [
            {
                "name": one.name,
                "title": one.title,
                "sentence": one.sentence,
                "controls": list(one.controls),
            }
            for one in known
        ]
        click.echo(json_text(told))
        return
    for one in known:
        click.echo(click.style(one.name, bold=True) + f"  {one.title} ({', '.join(one.controls)})")
        click.echo(f"  {one.sentence}")


@report.command()
@click.argument("name")
@click.option(
    "--period",
    default="last-month",
    show_default=True,
    help="Such as last-quarter, 2026-Q3, 2026-09, all.",
)
@click.option(
    "--at-position", type=int, help="As the ledger was when its log held this many events."
)
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    help="Where to write it; the suffix .html gives HTML.",
)
def run(name: str, period: str, at_position: int | None, file: Path | None) -> None:
    """Write the report NAME for a period, and record in the log that it was issued.

    The period begins and ends in the time zone of ledger.toml. The same log position gives the same
    bytes. The record itself stands in the log after the position that the report stands on.
    """
    from ledger import config  # noqa: PLC0415
    from ledger.cli.text import visible  # noqa: PLC0415
    from ledger.clock import utc_now  # noqa: PLC0415
    from ledger.periods import parse_period  # noqa: PLC0415
    from ledger.reports.issue import issue  # noqa: PLC0415

    settings = config.load()
    span = parse_period(period, settings.time_zone, utc_now())
    made = issue(settings, name, span, file=file, at_position=at_position)
    facts = made.facts
    click.echo(f"file        {visible(str(made.path))}")
    click.echo(f"digest      {made.digest}")
    click.echo(f"period      {span.name}, {span.time_zone}")
    click.echo(f"position    {facts.standing.position} {facts.standing.root}")
    click.echo("anchoring   NOT EXTERNALLY ANCHORED")
    for one in facts.results:
        told = f"{one.population:,} items, {one.count('exception'):,} exceptions, "
        told += f"{one.count('unknown'):,} unknown"
        click.echo(f"{one.control.id:<11} {told}")
    if not made.recorded:
        click.echo("issued before with the same bytes; nothing was recorded", err=True)


@report.command()
@click.argument("file", type=click.Path(path_type=Path))
def verify(file: Path) -> None:
    """Whether FILE is a report that this ledger issued, byte for byte, and the log still bears it out."""
    from ledger import config  # noqa: PLC0415
    from ledger.cli.text import visible  # noqa: PLC0415
    from ledger.reports.verify import verify as check  # noqa: PLC0415
    from ledger.store import Store  # noqa: PLC0415

    settings = config.load()
    with Store.open(settings.database_url, read_only=True) as store, store.connection.snapshot():
        found = check(store, file)
    issued, event = found.issued, found.event
    who = f" by {visible(event.actor.login)}" if event.actor and event.actor.login else ""
    click.echo(
        click.style("verified: ", fg="green", bold=True)
        + f"{visible(str(file))} is {issued.report} for {issued.period}, as it was issued at "
        f"{event.recorded_at}{who}."
    )
    click.echo(
        f"It stands on log position {issued.position}; the log of now {found.size} events still has the root "
        f"{issued.root} there."
    )
