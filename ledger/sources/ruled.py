"""Rules for branches, of forges whose API lists all that hold: told where they differ from before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from ledger.contents import Content
from ledger.errors import SourceError
from ledger.events import NewEvent, RulesObserved
from ledger.sources import Batch, Tools, keyed, payloads, recorded
from ledger.sources.payloads import Json, Told

ANY_BRANCH: Final = "**"
NO_OTHER: Final = "no other rules"


class Rules(NamedTuple):
    """One set of rules for a branch or a pattern of them: its fields of `rules.observed`, and its source."""

    branch: str
    ruleset: str
    fields: dict[str, Any]
    evidence: Json


def no_other(found: Iterable[Rules]) -> Rules:
    """That somebody looked, and that there are no rules beside those that were found."""
    seen = sorted({(one.branch, one.ruleset) for one in found})
    return Rules(ANY_BRANCH, NO_OTHER, {"found": False}, {"rules": seen})


def changed(
    kind: str,
    forge: str,
    found: Iterable[Rules],
    tools: Tools,
    unknown: Callable[[str], bool] = lambda _: False,
) -> Batch:
    """The sets that differ from what was told of them last, and those that are no more.

    `unknown` says of a name whether its set may still be there though it was not found.
    """
    last: dict[tuple[str, str], RulesObserved] = {}
    for told_before in tools.told(f"{forge}/rules/"):
        if isinstance(told_before.data, RulesObserved):
            last[told_before.data.branch, told_before.data.ruleset] = told_before.data
    all_found = list(found)
    now = {(one.branch, one.ruleset) for one in all_found}
    for branch, ruleset in sorted(last.keys() - now):
        if last[branch, ruleset].found and not unknown(ruleset):
            all_found.append(Rules(branch, ruleset, {"found": False}, {"rules": sorted(now)}))
    events: list[NewEvent] = []
    contents: list[Content] = []
    for one in all_found:
        try:
            told = recorded.told_of(kind, forge, one.evidence, tools)
        except SourceError as error:
            events.append(payloads.unread(kind, forge, f"rules of {one.branch}", error, tools))
            continue
        data = observed(told, one, tools.now)
        known = last.get((one.branch, one.ruleset))
        if known is None or keyed.timeless(known) != keyed.timeless(data):
            events.append(keyed.rules(told, data))
            contents += told.contents
    return Batch(events=events, contents=contents)


def observed(told: Told, one: Rules, at: str, number: int = 0) -> RulesObserved:
    """A set of rules as a fact; `number` is the pull request that it is of alone."""
    return RulesObserved(
        repository=told.repository,
        forge=told.forge,
        branch=one.branch,
        ruleset=one.ruleset,
        number=number,
        at=at,
        raw=told.raw,
        **one.fields,
    )
