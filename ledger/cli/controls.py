"""Controls: list, run, explain."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ledger.auditor import Session
    from ledger.controls import Result

FOUND = 8  # the exit status where --fail-on asks for one
_FAILING = {"exception": ("exception",), "unknown": ("exception", "unknown")}


@click.group()
def control() -> None:
    """Rules that judge every item of a population: what was approved, what was not, what is unknown."""


@control.command("list")
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print."
)
def list_controls(output: str) -> None:
    """The controls there are: those of the program, and those in controls/ beside ledger.toml."""
    from ledger import config, controls  # noqa: PLC0415
    from ledger.cli.text import json_text, visible  # noqa: PLC0415

    known = controls.find_all(config.load().folder)
    if output == "json":
        told = [
            {
                "id": one.id,
                "version": one.version,
                "title": one.title,
                "criteria": list(one.criteria),
                "population": one.population,
                "sha256": one.digest,
                "file": one.file,
            }
            for one in known
        ]
        click.echo(json_text({"controls": told}))
        return
    width = max((len(one.id) for one in known), default=0)
    for one in known:
        click.echo(f"{one.id:<{width}}  {visible(one.title)} (version {one.version})")


@control.command()
@click.argument("name", metavar="ID")
@click.option(
    "--period", default="all", show_default=True, help="Such as last-month, 2026-Q3, 2026-09."
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    help="How to print.",
)
@click.option(
    "--fail-on",
    type=click.Choice(sorted(_FAILING)),
    help=f"End with {FOUND} where there is an exception; with `unknown`, where there is either.",
)
def run(name: str, period: str, output: str, fail_on: str | None) -> None:
    """Judge the whole population of the control ID over a period; prints what did not pass.

    json and csv print every item. Exceptions are an answer and no failure: without --fail-on the command
    ends with 0.
    """
    from ledger import auditor, config, controls, registry  # noqa: PLC0415
    from ledger.clock import utc_now  # noqa: PLC0415
    from ledger.periods import parse_period  # noqa: PLC0415

    settings = config.load()
    chosen = controls.find(settings.folder, name)
    span = parse_period(period, settings.time_zone, utc_now())
    with auditor.session(settings.database_url, controls.contract()) as connection:
        versions = connection.query("select projection, version from projections", seconds=60)
        registry.check_projections(versions.rows)
        result = controls.run(chosen, span, connection)
        _warn(connection)
    if output == "csv":
        auditor.write_csv(result.answer(), sys.stdout)
    elif output == "json":
        auditor.write_json(result.answer(), sys.stdout)
    else:
        _print(result)
    if fail_on and any(result.count(outcome) for outcome in _FAILING[fail_on]):
        sys.exit(FOUND)


@control.command()
@click.argument("name", metavar="ID")
def explain(name: str) -> None:
    """The whole text of the control ID: what it asks and why, and its SQL."""
    from ledger import config, controls  # noqa: PLC0415
    from ledger.cli.text import visible  # noqa: PLC0415

    one = controls.find(config.load().folder, name)
    click.echo(visible(one.text, lines=True).rstrip("\n"))
    click.echo(click.style(f"\n{visible(one.file)}  SHA-256 {one.digest}", dim=True), err=True)


def _print(result: Result) -> None:
    from ledger.auditor import Answer, render_table  # noqa: PLC0415
    from ledger.cli.text import visible  # noqa: PLC0415

    control, period = result.control, result.period
    click.echo(click.style(f"{control.id}  {visible(control.title)}", bold=True))
    span = (
        "all that is recorded"
        if period.is_all
        else f"{period.name}: {period.start} to {period.end}"
    )
    click.echo(f"{span}, {result.population:,} items")
    colours = {"exception": "red", "unknown": "yellow", "pass": "green", "not_applicable": None}
    counts = [
        click.style(f"{result.count(name):,} {name.replace('_', ' ')}", fg=colour)
        for name, colour in colours.items()
    ]
    click.echo(", ".join(counts))
    found = result.of("exception", "unknown")
    if not found:
        if not result.population:
            click.echo("nothing to judge, which is no pass", err=True)
        return
    wanted = ("outcome", "occurred_at", "environment", "owner", "reason", "item")
    columns = tuple(name for name in wanted if any(getattr(one, name) for one in found))
    rows = [tuple(_short(getattr(one, name)) for name in columns) for one in found]
    width = shutil.get_terminal_size((160, 24)).columns
    click.echo()
    click.echo(render_table(Answer(columns, rows, False, "", 0.0), width), nl=False)


def _short(text: str) -> str:
    """The text with commit ids cut as people write them; json and csv have them whole."""
    return re.sub(r"\b[0-9a-f]{40}(?:[0-9a-f]{24})?\b", lambda match: match[0][:12], text)


def _warn(connection: Session) -> None:
    """Says so where the tables have not read all that sources told."""
    last = connection.query(
        "select position from events where type not in ('query.executed', 'report.issued')"
        " order by position desc limit 1"
    ).rows
    rows = connection.query("select projection, checkpoint, failure from projections").rows
    behind = [
        f"{name} {failure or f'has read up to position {checkpoint}'}"
        for name, checkpoint, failure in rows
        if failure or (last and checkpoint <= last[0][0])
    ]
    for line in behind:
        click.echo(click.style(f"warning: projection {line}", fg="yellow"), err=True)
