"""Who somebody is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.queries.people import Somebody


@click.command()
@click.argument("name", default="")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print."
)
def people(name: str, output: str) -> None:
    """Who is NAME, a login, an e-mail address or a shown name, and why; everybody without NAME."""
    from ledger import config, registry  # noqa: PLC0415
    from ledger.cli.text import json_text, rows  # noqa: PLC0415
    from ledger.queries.people import find_people  # noqa: PLC0415
    from ledger.store import Store  # noqa: PLC0415

    settings = config.load()
    with Store.open(settings.database_url, read_only=True) as store, store.connection.snapshot():
        registry.check_projections(store.versions())
        found = find_people(store.connection, name)
    if output == "json":
        click.echo(json_text({"people": found}))
        return
    for line in rows(line for one in found for line in told(one)):
        click.echo(line)


def told(one: Somebody) -> Iterator[str]:
    """Somebody as text: the names, each joining once, with its grade and reason."""
    from ledger.cli.text import visible  # noqa: PLC0415

    yield click.style(visible(one.person), bold=True) + ("  bot" if one.bot else "")
    seen: set[tuple[frozenset[str], str, str]] = set()
    for each in one.grounds:
        value = f"{each.forge}/{each.value}" if each.forge and each.kind == "login" else each.value
        pair = (frozenset((value, each.joined_to)), each.ground, each.valid_from)
        if pair in seen:
            continue
        seen.add(pair)
        until = f", until {each.valid_until}" if each.valid_until else ""
        since = f", since {each.valid_from}" if each.valid_from else ""
        joined = f" = {visible(each.joined_to)}" if each.joined_to and each.kind != "name" else ""
        reason = f"{each.grade}: {visible(each.reason)}{since}{until}"
        if each.kind == "name":
            reason = reason.replace("shown with it", f"shown with {visible(each.joined_to)}")
        yield f"  {each.kind:<9}{visible(value)}{joined}  ({reason})"
