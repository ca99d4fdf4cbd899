"""What kustomizations and applications decide of a resource, as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ledger.cli.text import value, visible
from ledger.queries.answers import Change
from ledger.queries.deciding import Decision
from ledger.queries.names import ResourceName

if TYPE_CHECKING:
    from ledger.queries.effective import Decided

MANY = 5


def lines(resources: Sequence[ResourceName], decision: Decision | None = None) -> list[str]:
    """What set the namespace that was asked for, and what decides the field that was."""
    found = [_made(one) for one in resources if one.set_by]
    if decision is None:
        return found
    shown = decision.decided[:MANY]
    found += [line for one in shown for line in _decided(one)]
    if len(decision.decided) > MANY:
        found.append(f"  … and {len(decision.decided) - MANY} more fields; --output json shows all")
    if decision.unread:
        found.append(
            click.style(f"nothing after revision {decision.unread} changed it", fg="yellow")
            + "; what came before was too much to read, so this is the document's own last change"
        )
    found += [
        f"  not read: {visible(one)}"
        for one in sorted({one.unread for one in decision.decided} - {""})
    ]
    if decision.each_for_itself:
        several = decision.each_for_itself
        named = ", ".join(visible(one or ".") for one in several[:MANY])
        more = f" and {len(several) - MANY} more" if len(several) > MANY else ""
        found.append(
            click.style("this is the document alone", fg="yellow")
            + f": it is built in {len(several)} directories, which decide this differently ({named}{more}); "
            "choose one with -n or --path"
        )
    return found


def left_out(unread: int) -> list[str]:
    """Of which changes a history does not tell, because there was too much to read."""
    told = (
        f"up to revision {unread} these are the changes of the document alone: what its inputs changed "
        "by then was too much to read; ask `ledger history` for their paths"
    )
    return [click.style(told, fg="yellow")] if unread else []


def spelled(field: str, written: str) -> list[str]:
    """What a field is called in the file, where that is another name than the one asked for."""
    return [f"{visible(field)} is written as {visible(written)} in the file"] if written else []


def title_of(change: Change, resources: Sequence[ResourceName], decision: Decision) -> str:
    """The name under which a change is shown, be it of the resource or of an input."""
    known = [*resources, *(one.resource for one in decision.inputs() if one.resource is not None)]
    found = (one for one in known if one.resource == change.resource)
    return next((one.title() for one in found), change.path)


def _made(one: ResourceName) -> str:
    what = (
        f"namespace {visible(one.effective_namespace)}" if one.effective_namespace else "its name"
    )
    return f"{visible(one.title())}: {what} set by {visible(one.set_by)} {_inferred()}"


def _decided(one: Decided) -> list[str]:
    where = f" in {visible(one.directory)}" if one.directory else ""
    head = f"{visible(one.field)} is {value(one.value)}{where} {_inferred()}"
    setters = [
        f"{visible(each.path)} {visible(each.field)}".rstrip() for each in one.setters[:MANY]
    ]
    return [head, *(f"  decided by {each}" for each in setters)]


def _inferred() -> str:
    return click.style("(inferred)", dim=True)
