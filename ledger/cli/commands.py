"""Setting up, reading sources, SQL, rebuilding, the demo."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ledger.config import Settings
    from ledger.store.schema import Made


@click.command()
@click.option(
    "--database", default="", help="A database URL; an SQLite file in this folder if left out."
)
def init(database: str) -> None:
    """Make a ledger: ledger.toml, the redaction key, and the database. Upgrades one that is there."""
    from ledger import config  # noqa: PLC0415

    path = config.config_path()
    if path.exists():
        settings = config.load()
        if database and database != settings.database:
            from ledger.errors import UsageError  # noqa: PLC0415

            raise UsageError(f"{path} names another database already", hint="Change it there.")
    else:
        config.write_new(path, database or "sqlite:///ledger.db")
        settings = config.load()
    made = set_up(settings)
    fresh = made.fresh
    if made.warning:
        click.echo(click.style(f"warning: {made.warning}", fg="yellow"), err=True)
    click.echo(f"{'Made' if fresh else 'Upgraded'} the ledger of {path}.")
    if fresh:
        click.echo("Keep ledger.key safe and out of Git: without it, secrets no longer compare.")
        click.echo(
            "Next: ledger source add git NAME --url URL --branch BRANCH, then ledger ingest."
        )


def set_up(settings: Settings) -> Made:
    """Makes or upgrades the database and the key."""
    from ledger import config, registry  # noqa: PLC0415
    from ledger.store import schema  # noqa: PLC0415

    made = schema.initialise(settings.database_url, registry.projections())
    if made.fresh:
        config.write_key(settings.path(settings.redaction.key_file))
    return made


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--survey", is_flag=True, help="Count everything that is reachable now, not once a day."
)
@click.option(
    "--processes",
    type=click.IntRange(0),
    default=0,
    help="How many may work; 0 for what suits the machine.",
)
@click.option("--log-only", is_flag=True, help="Record events; leave the projections for later.")
def ingest(names: tuple[str, ...], survey: bool, processes: int, log_only: bool) -> None:
    """Read what is new in the sources into the ledger: without NAMES in all, and what was delivered."""
    from ledger import config  # noqa: PLC0415
    from ledger import ingest as shell  # noqa: PLC0415
    from ledger.cli.progress import shown_progress  # noqa: PLC0415
    from ledger.errors import UsageError  # noqa: PLC0415

    settings = config.load()
    if not settings.source and not settings.webhook:
        raise UsageError("no source to read", hint="Run `ledger source add git NAME --url URL`.")
    with shown_progress() as progress:
        outcomes = shell.ingest(
            settings,
            names,
            progress=progress,
            processes=processes,
            project=not log_only,
            survey=survey,
            waits=lambda name: click.echo(
                f"{name}: another process is reading it; waiting for its end", err=True
            ),
        )
    for one in outcomes:
        if one.failure:
            from ledger.cli.text import visible  # noqa: PLC0415 (with all that can be shown)

            click.echo(click.style(f"{one.source}: {visible(one.failure)}", fg="red"), err=True)
            if one.hint:
                click.echo(visible(one.hint, lines=True), err=True)
        else:
            click.echo(
                f"{one.source}: {one.appended:,} new event{'s' * (one.appended != 1)}"
                if one.appended
                else f"{one.source}: nothing new"
            )
        for line in one.stopped:
            click.echo(click.style(f"projection {line}", fg="red"), err=True)
    whole = bool(names) or _drain(settings, project=not log_only)
    if not whole or any(one.failure or one.stopped for one in outcomes):
        sys.exit(5)


def _drain(settings: Settings, *, project: bool) -> bool:
    """Records what was delivered and says so; False where some of it could not be read."""
    from ledger.store.inbox import may_exist  # noqa: PLC0415

    if not may_exist(settings.database_url):
        return True
    from ledger import deliveries  # noqa: PLC0415

    drained = deliveries.drain(settings, project=project)
    if drained.read:
        new = f"{drained.appended:,} new event{'s' * (drained.appended != 1)}"
        told = f"{drained.read:,} recorded, {new if drained.appended else 'nothing new'}"
        click.echo(f"deliveries: {told}")
    if drained.unreadable:
        told = f"{drained.unreadable:,} could not be read, see the view gaps"
        click.echo(click.style(f"deliveries: {told}", fg="red"), err=True)
    if drained.refused:
        click.echo(f"deliveries: {drained.refused:,} requests were refused, see the view gaps")
    if drained.counting:
        click.echo(
            f"deliveries: {drained.counting:,} refused in an hour that is not over; a gap tells of it then"
        )
    return not drained.unreadable


@click.command()
@click.argument("query", required=False)
@click.option(
    "--output",
    "-o",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    help="How to print.",
)
@click.option("--limit", default=1000, help="At most this many rows; 0 for all.", show_default=True)
@click.option("--seconds", default=30.0, help="At most this long.", show_default=True)
@click.option("--views", "dictionary", is_flag=True, help="Print the data dictionary instead.")
def sql(query: str | None, output: str, limit: int, seconds: float, dictionary: bool) -> None:
    """Ask the public views with a QUERY of your own (- reads it from standard input). Read-only."""
    from contextlib import closing  # noqa: PLC0415

    from ledger import auditor, config, registry  # noqa: PLC0415
    from ledger.auditor.recording import record  # noqa: PLC0415
    from ledger.errors import DeniedError, UsageError  # noqa: PLC0415
    from ledger.store import drivers, schema  # noqa: PLC0415

    if dictionary:
        from ledger import reports  # noqa: PLC0415

        click.echo(reports.data_dictionary(), nl=False)
        return
    if not query:
        raise UsageError("no query", hint="`ledger sql --views` prints what can be asked.")
    text = sys.stdin.read() if query == "-" else query
    settings = config.load()
    contract = auditor.Contract(views={view.name: tuple(view.columns) for view in schema.views()})
    answer = auditor.query(
        settings.database_url, text, contract, limit=limit or None, seconds=seconds
    )
    with closing(drivers.connect(settings.database_url, read_only=True)) as connection:
        registry.check_projections(connection.rows("select projection, version from projections"))
    try:
        record(settings.database_url, answer.sql, len(answer.rows), answer.truncated)
    except DeniedError:
        click.echo(_NOT_RECORDED, err=True)
    if output == "csv":
        auditor.write_csv(answer, sys.stdout)
    elif output == "json":
        auditor.write_json(answer, sys.stdout)
    else:
        click.echo(
            auditor.render_table(answer, shutil.get_terminal_size((160, 24)).columns), nl=False
        )
    if answer.truncated:
        click.echo(f"only the first {limit:,} rows; --limit 0 gives all", err=True)


_NOT_RECORDED = (
    "This query is not recorded in the ledger: this database user may read the views and write nothing. "
    "The server's own log may tell of it."
)


@click.command()
def rebuild() -> None:
    """Make every projection again from the log, beside the tables in use, and swap them in."""
    from ledger import config  # noqa: PLC0415
    from ledger import ingest as shell  # noqa: PLC0415
    from ledger.cli.progress import shown_steps  # noqa: PLC0415

    settings = config.load()
    with shown_steps("rebuilding") as progress:
        reached = shell.rebuild(settings, progress=progress)
    click.echo(f"Rebuilt the projections up to position {reached:,}.")


@click.command()
@click.option(
    "--directory", default="", help="Where to leave the demo's ledger; a new folder if left out."
)
def demo(directory: str) -> None:
    """A small company's story, ingested and asked, in a few seconds and without any server."""
    from ledger.demo import run  # noqa: PLC0415

    run(Path(directory) if directory else None)
