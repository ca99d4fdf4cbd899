"""From a live object to the people who approved what it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ledger.queries.answers import Differing, Hop, Setting, Trace
    from ledger.queries.deployed import Deployed

_STATES = {
    "live": "green", "partly_live": "yellow", "rolled_back": "red", "pending": "yellow",
    "in_sync": "green", "derived": "green", "drifted": "red", "absent": "red", "extra": "red",
}  # fmt: skip
_VERDICTS = {"approved": "green", "waived": "yellow", "unapproved": "red", "unexplained": "red"}
_GRADES = {"proved": "green", "reported": "green", "inferred": "yellow", "unlinked": "red"}
_LABELS = {"pull_request": "pull", "approval": "approvers"}
SHOWN = 10


@click.command()
@click.argument("name")
@click.option("-n", "--namespace", help="The namespace in the cluster.")
@click.option("--cluster", default="", help="The cluster, where several have it.")
@click.option("--field", default="", help="Only this field, such as spec.replicas.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print."
)
def trace(name: str, namespace: str | None, cluster: str, field: str, output: str) -> None:
    """From the live object NAME back to its file, revision, pull request, approvers, and sync.

    NAME is KIND/NAME as in kubectl. Each hop says how well it is known and why; the chain is known no
    better than its weakest hop.
    """

    from ledger import config, registry  # noqa: PLC0415
    from ledger.cli.text import fitted, json_text  # noqa: PLC0415
    from ledger.documents import Documents  # noqa: PLC0415
    from ledger.queries import Asker  # noqa: PLC0415
    from ledger.queries.trace import Tracer  # noqa: PLC0415
    from ledger.store import Store  # noqa: PLC0415

    settings = config.load()
    with Store.open(settings.database_url, read_only=True) as store, store.connection.snapshot():
        registry.check_projections(store.versions())
        asker = Asker(store, Documents(registry.parsers, store.content))
        found = Tracer(store, asker).trace(name, namespace=namespace, cluster=cluster, field=field)
    if output == "json":
        answer = {"name": name, "field": field or None, "trace": found}
        click.echo(json_text(answer))
        return
    for line in fitted(trace_lines(found, everything=bool(field))):
        click.echo(line)


def trace_lines(found: Trace, *, everything: bool = False) -> list[str]:
    """A trace as text: the verdicts, the hops, what differs, and what set it without approval."""
    from ledger.cli.text import visible  # noqa: PLC0415
    from ledger.queries.objects import title  # noqa: PLC0415

    name = visible(title(found.kind, found.namespace, found.name))
    where = [f"in cluster {found.cluster}"]
    where += [f"({found.environment or 'unmapped'}{f', {found.tier}' if found.tier else ''})"]
    lines = [f"{click.style(name, bold=True)}  {visible(' '.join(where))}"]
    lines.append(_verdict("state", found.state.verdict, found.state.reason, _STATES))
    lines.append(_verdict("approval", found.approval.verdict, found.approval.reason, _VERDICTS))
    lines += [_hop(one, found.state.reason) for one in found.hops]
    weakest = _LABELS.get(found.weakest, found.weakest)
    lines.append(f"  {_dim('chain')}      {_graded(found.grade)}, as {weakest} is its weakest hop")
    lines += [_difference(one) for one in found.differences]
    shown = [one for one in found.settings if everything or one.approval != "approved"]
    lines += [_setting(one) for one in shown[:SHOWN]]
    if len(shown) > SHOWN:
        lines.append(_dim(f"  … and {len(shown) - SHOWN} more; --output json shows all"))
    return lines


def _dim(text: str) -> str:
    return click.style(text, dim=True)


def _graded(grade: str) -> str:
    return click.style(grade, fg=_GRADES.get(grade))


def _verdict(label: str, verdict: str, reason: str, colours: dict[str, str]) -> str:
    from ledger.cli.text import visible  # noqa: PLC0415

    word = click.style(
        (verdict or "none").replace("_", " "), fg=colours.get(verdict, "yellow"), bold=True
    )
    return f"  {_dim(f'{label:<9}')}  {word}: {visible(reason)}"


def _hop(one: Hop, said: str) -> str:
    from ledger.cli.text import visible  # noqa: PLC0415

    label = f"{_LABELS.get(one.hop, one.hop):<9}"
    reason = "see state" if one.reason == said else visible(one.reason)
    return f"  {_dim(label)}  {visible(one.what)}  ({_graded(one.grade)}: {reason})"


def _difference(one: Differing) -> str:
    from ledger.cli.text import value, visible  # noqa: PLC0415

    field = click.style(visible(one.field or "(the whole)"), bold=True)
    desired = "nothing" if one.action == "undeclared" else value(one.desired)
    live = "nothing" if one.action == "missing" else value(one.live)
    told = f"{field}: Git has {desired}, live is {live}"
    if one.excuse:
        return f"  {_dim('excused  ')}  {told}  ({visible(one.excuse)})"
    return f"  {click.style('differs  ', fg='red')}  {told}"


def _setting(one: Setting) -> str:
    from ledger.cli.text import visible  # noqa: PLC0415

    field = click.style(visible(one.field or "(the whole)"), bold=True)
    verdict = click.style(one.approval, fg=_VERDICTS.get(one.approval, "yellow"))
    by = ""
    if one.revision is not None:
        number = one.revision.pull_request.number
        link = f"#{number}" if number is not None else "direct push"
        who = visible(one.revision.author.name)
        by = f" by {one.revision.commit_sha[:12]} ({link}, {who})"
    spelled = f" ({visible(one.input_field)})" if one.input_field else ""
    through = f" in {visible(one.path)}{spelled}" if one.path else ""
    return f"  {_dim('set      ')}  {field}{by}{through}  {verdict}: {visible(one.reason)}"


def live_lines(found: Sequence[Deployed]) -> list[str]:
    """A line for each application that a change is live in, or is not."""
    return [_live_line(one) for one in found]


def _live_line(one: Deployed) -> str:
    from ledger.cli.text import visible  # noqa: PLC0415

    word = one.state.replace("_", " ")
    label = click.style(f"{word:<9}", fg=_STATES.get(one.state)) + " " * (1 + (len(word) > 9))
    place = visible(one.environment or f"{one.cluster} (unmapped)")
    standing = f" {visible(one.standing())}".rstrip()
    return f"  {label}{place}{standing}  ({one.grade}: {visible(one.reason)})"
