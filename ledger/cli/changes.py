"""On call's first command: what changed lately."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ledger.queries.answers import Entry, Freshness, Timeline

PATIENCE = 15 * 60  # seconds; where the worker comes less often, three of its rounds
_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


@click.command()
@click.option("--env", "environment", default="", help="Only what touches this environment.")
@click.option(
    "--since", default="24h", show_default=True, help="From this time on (1h, 2d, 2026-09-01)."
)
@click.option("--until", default="now", show_default=True, help="Before this time.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print."
)
def changes(environment: str, since: str, until: str, output: str) -> None:
    """What changed: landings, syncs, hand edits, drift, suspensions, in one timeline, newest last.

    Below it stands how far each feed is read: what a feed has not told yet is missing above.
    """

    from ledger import config, registry  # noqa: PLC0415
    from ledger.cli.text import json_text, rows  # noqa: PLC0415
    from ledger.clock import utc_now  # noqa: PLC0415
    from ledger.errors import UsageError  # noqa: PLC0415
    from ledger.instants import parse_instant  # noqa: PLC0415
    from ledger.queries.timeline import Watched, read_feeds, timeline  # noqa: PLC0415
    from ledger.store import Store  # noqa: PLC0415

    settings = config.load()
    now = utc_now()
    start, end = parse_instant(since, now), parse_instant(until, now)
    if start >= end:
        raise UsageError(f"--since {since} is not before --until {until}")
    with Store.open(settings.database_url, read_only=True) as store, store.connection.snapshot():
        registry.check_projections(store.versions())
        read = read_feeds(store)
        found = timeline(
            store,
            since=start,
            until=end,
            environment=environment,
            sources=[
                Watched(name=one.name, cluster=one.cluster)
                for one in settings.source
                if one.name in read or _is_polled(one.kind)
            ],
            now=now,
            patience=max(PATIENCE, 3 * 60 * settings.worker.every),
        )
    if output == "json":
        click.echo(json_text(found))
    else:
        for line in rows(lines(found, now)):
            click.echo(line)


def _is_polled(kind: str) -> bool:
    from ledger import registry  # noqa: PLC0415 (imports the kind's source, and what that needs)

    known = registry.source(kind)
    return known is None or known.pull is not None


def lines(found: Timeline, now: str) -> list[str]:
    """The timeline as text for a terminal."""
    where = found.environment or "all environments"
    told = [click.style(f"{where}  {found.since} to {found.until}", bold=True)]
    told += [_entry(one, everywhere=not found.environment) for one in found.entries]
    if not found.entries:
        known = any(one.stale for one in found.feeds) or not found.feeds
        told.append("nothing is known to have happened" if known else "nothing happened")
    if found.unmapped:
        more = (
            f"{found.unmapped} more of no environment that is mapped; without --env they are listed"
        )
        told.append(click.style(more, fg="yellow"))
    return [*told, *(_feed(one, now) for one in found.feeds)]


def _entry(one: Entry, *, everywhere: bool) -> str:
    from ledger.cli.text import visible  # noqa: PLC0415

    kind = click.style(f"{one.kind.replace('_', ' '):<11}", fg="red" if one.alarming else "green")
    place = ", ".join(one.environments) or "unmapped"
    environment = f"{visible(place):<12}  " if everywhere else ""
    by = click.style(f"  by {visible(one.who)}", dim=True) if one.who else ""
    return f"{one.at}  {kind}  {environment}{_subject(one)}{visible(one.what)}{by}"


def _subject(one: Entry) -> str:
    from ledger.cli.text import visible  # noqa: PLC0415

    if one.kind == "landed":
        link = "direct push" if one.pull_request is None else f"#{one.pull_request}"
        known = "approval unknown" if one.approval == "unknown" else one.approval
        colour = {"approved": "green", "unapproved": "red"}.get(one.approval, "yellow")
        approval = click.style(f"{link}, {known}", fg=colour)
        return f"{visible(f'{one.repository}@{one.branch}')} {one.commit_sha[:9]}  {approval}  "
    name = one.resource or one.application or one.repository
    cluster = f" in {one.cluster}" if one.cluster else ""
    return click.style(visible(name), bold=True) + visible(f"{cluster}: ")


def _feed(one: Freshness, now: str) -> str:
    from ledger.cli.text import visible  # noqa: PLC0415

    name = visible(f"cluster {one.feed}" if one.kind == "cluster" else one.feed)
    ago = f"{_span(one.read_at, now)} ago" if one.read_at else ""
    if one.kind == "other":
        text, colour = f"{name} could not be read in full", "red"
    elif one.kind == "receiver":
        text, colour = f"requests to the receiver for {name} were refused", "yellow"
    elif one.failure:
        last = f"; last read {ago}" if ago else ""
        text, colour = f"{name} cannot be read: {visible(one.failure)}{last}", "red"
    elif not ago:
        text, colour = f"{name} was never read", "red"
    elif one.stale:
        text, colour = f"{name} was last read {ago}: what came later is not above", "yellow"
    else:
        text, colour = f"{name} was read {ago}", ""
    if one.gaps:
        text += f"; {one.gaps} gap{'s' * (one.gaps != 1)} recorded since, see the view gaps"
        colour = colour or "yellow"
    return click.style(text, fg=colour) if colour else click.style(text, dim=True)


def _span(then: str, now: str) -> str:
    """`3 h`, in the largest unit of which there are at least one."""
    from ledger.instants import moment  # noqa: PLC0415

    seconds = max(0, int((moment(now) - moment(then)).total_seconds()))
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return "0 s"
