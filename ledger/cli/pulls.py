"""The story of one pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.queries.pulls import Check, Opinion, PullRequest

_COLOURS = {"approved": "green", "unapproved": "red", "unknown": "yellow"}
_SHORT = 12


@click.command("pr")
@click.argument("number", type=click.IntRange(min=1))
@click.option("--repository", default="", help="The source, where several have this number.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print."
)
def pull_request(number: int, repository: str, output: str) -> None:
    """The whole story of pull request NUMBER: who made and judged it, what landed, where it went."""
    from ledger import config, registry  # noqa: PLC0415
    from ledger.cli.text import fitted, json_text  # noqa: PLC0415
    from ledger.queries.pulls import find_pull_request  # noqa: PLC0415
    from ledger.store import Store  # noqa: PLC0415

    settings = config.load()
    with Store.open(settings.database_url, read_only=True) as store, store.connection.snapshot():
        registry.check_projections(store.versions())
        found = find_pull_request(store.connection, number, repository)
    if output == "json":
        click.echo(json_text(found))
        return
    for line in fitted(story(found)):
        click.echo(line)


def story(one: PullRequest) -> Iterator[str]:
    """A pull request as text, in the order in which things happened."""
    from ledger.cli.text import visible  # noqa: PLC0415

    title = visible(one.title) or "(its forge told no title)"
    state = one.state or "known from Git alone"
    yield click.style(f"#{one.number} {title}", bold=True) + f"  {state}  {one.repository}"
    opened = f", opened {one.created_at}" if one.created_at else ""
    into = f", into {visible(one.base)}" if one.base else ""
    yield f"  author     {visible(one.author) or 'not told'}{opened}{into}"
    for who in one.contributions:
        counted = [(who.commits, "commit"), (who.pushes, "later push")]
        said = " and ".join(_counted(*each) for each in counted if each[0])
        yield f"  hand       {visible(who.login) or 'somebody unknown'}: {said}"
    if one.head_sha:
        what = "the head that merged" if one.merged_at else "the head as last seen"
        yield f"  head       {one.head_sha[:_SHORT]}  {what}"
    judged = [(review.submitted_at, _review(review)) for review in one.reviews]
    judged += [(check.completed_at, _check(check, bool(one.merged_at))) for check in one.checks]
    yield from (line for _, line in sorted(judged, key=lambda each: each[0]))
    if one.merged_at and one.rules:
        then = "" if one.rules.startswith("not known") else "in force then: "
        yield f"  rules      {then}{visible(one.rules)}"
    verdict = click.style(one.approval.verdict, fg=_COLOURS.get(one.approval.verdict))
    reason = visible(one.approval.reason)
    at = f" at {one.approval.approved_at}" if one.approval.approved_at else ""
    yield f"  approval   {verdict}{at}  ({one.approval.grade}: {reason})"
    if one.merged_at:
        merged_as = f" as {one.merge_commit_sha[:_SHORT]}" if one.merge_commit_sha else ""
        by = visible(one.merged_by) or "somebody who is not told"
        yield f"  merged     by {by} at {one.merged_at}{merged_as}  (reported)"
    elif one.closed_at:
        yield f"  closed     at {one.closed_at}, not merged"
    yield from _after(one)
    yield f"  evidence   position {one.evidence_position}"


def _review(one: Opinion) -> str:
    """`TIME bob approved at 4c9f791407e3: counts, …`; of requested changes whether they stand."""
    from ledger.cli.text import visible  # noqa: PLC0415

    at = f" at {one.commit_sha[:_SHORT]}" if one.commit_sha else ""
    when = one.submitted_at or "at a time that is not told"
    who = visible(one.reviewer) or "somebody unknown"
    word, _, why = visible(one.reason).partition(": ")
    if one.counts:
        became = f"counts, {visible(one.reason)}"
    elif word == "dismissed" and one.dismissed_by:
        became = f"does not count (dismissed): by {visible(one.dismissed_by)} at {why}"
    elif word == one.state:  # it asked for changes, or only says that it was dismissed
        became = why
    elif one.state == "commented":
        became = "says neither yes nor no"
    else:
        became = f"does not count ({word}): {why}"
    return f"  review     {when} {who} {_SAID.get(one.state, visible(one.state))}{at}: {became}"


_SAID = {
    "changes_requested": "requested changes",
    "dismissed": "gave a review that was dismissed",
}


def _check(one: Check, merged: bool) -> str:
    """`TIME ci/build: success`, and where it ended another way by the merge, how."""
    from ledger.cli.text import visible  # noqa: PLC0415

    when = one.completed_at or "at a time that is not told"
    app = f" by {visible(one.app)}" if one.app and one.app != one.name else ""
    then = ""
    if merged and one.at_merge != one.conclusion:
        then = f"; {visible(one.at_merge)} by the merge" if one.at_merge else "; after the merge"
    return f"  check      {when} {visible(one.name)}{app}: {visible(one.conclusion)}{then}"


def _after(one: PullRequest) -> Iterator[str]:
    """What landed of it, and where that went."""
    from ledger.cli.text import named, visible  # noqa: PLC0415

    if not one.landed:
        yield "  landed     nothing that the ledger has read on a tracked branch"
    for landing in one.landed:
        place = f"revision {landing.number} of {visible(landing.branch)}" if landing.number else ""
        if not place:
            place = f"no longer on {visible(landing.branch)}" if landing.branch else "on no branch"
        best = "" if landing.best else "  not its merge"
        commit = landing.commit_sha[:_SHORT]
        when = f" at {landing.landed_at}" if landing.landed_at else ""
        reason = visible(landing.reason)
        yield f"  landed     {commit} {place}{when}{best}  ({landing.grade}: {reason})"
    for each in one.names:
        yield f"  {each.role:<10} {named(each)}"
    for each in one.named_by:
        done = "reverted" if each.role == "reverts" else "backported"
        yield f"  {done:<10} by {named(each)}"
    for sync in one.delivered:
        place = sync.environment or "unmapped"
        when = sync.deployed_at or "at a time that is not told"
        how = visible(f"{sync.application} in {sync.cluster or 'a cluster that is not named'}")
        kind = sync.kind.replace("_", " ")
        yield f"  deployed   {visible(place)} {when} by {how}: {sync.commit_sha[:_SHORT]} {kind}"


def _counted(number: int, thing: str) -> str:
    plural = f"{thing}{'es' if thing.endswith('push') else 's'}"
    return f"{number} {thing if number == 1 else plural}"
