"""Whether what a forge calls a merge is what landed, where no ref of the remote names its head.

A forge names head and merge of a pull request. Where the mirror holds both, the merge is compared again
as it is for heads that refs name. A merge that has not been fetched yet is waited for; a head that is not
there by then is not asked for, and nothing is told of it.

Gerrit names the commit of a change, which lands by a merge above it where the branch had moved on. That
merge is the first step of the branch that holds it. It may bring several changes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

from ledger.events import NewEvent, PullRequestMatched, PullRequestMismatched
from ledger.matching import Match, ToldMerge, match_brought, match_told, read_history
from ledger.sources.git.refs import match_key
from ledger.sources.git.state import HEADS, Merge, Pull


def tell_merges(state: Pull) -> Iterator[NewEvent]:
    """Compares the merges that forges named and that are there now; the others stay in the cursor."""
    waiting = state.after.merges
    if not waiting:
        return
    ids = list({one for merge in waiting.values() for one in (merge.commit, merge.head)})
    there = {one: oid for one, oid in zip(ids, state.mirror.commits_of(ids), strict=True) if oid}
    left = dict(waiting)
    for branch in state.branches:
        tip = state.after.refs[HEADS + branch]
        steps = set(state.mirror.first_parents(tip))
        named = {n: one for n, one in left.items() if there.get(one.commit) in steps}
        beside = {
            number: there[one.commit]
            for number, one in left.items()
            if number not in named and one.base == branch and one.commit in there
        }
        yield from _told(state, tip, named, there)
        brought = yield from _brought(state, tip, beside)
        left = {n: one for n, one in left.items() if n not in named and n not in brought}
    state.after.merges = {n: one for n, one in left.items() if one.base in state.branches}


def _told(
    state: Pull, tip: str, merges: Mapping[str, Merge], there: Mapping[str, str]
) -> Iterator[NewEvent]:
    """What the named steps of a branch hold."""
    asked = [
        ToldMerge(int(number), there[one.commit], there[one.head], one.commits)
        for number, one in merges.items()
        if one.head in there and there[one.head] != there[one.commit]
    ]
    new = [one for one in asked if not _is_told(state, one.commit, one.number, one.head)]
    if new:
        found = match_told(state.mirror, state.options.name, tip, new)
        yield from _events(state, found)


def _brought(
    state: Pull, tip: str, commits: Mapping[str, str]
) -> Generator[NewEvent, None, set[str]]:
    """The merges that brought commits to a branch; returns the numbers of which one did."""
    if not commits:
        return set()
    history = read_history(state.mirror, tip, ())
    merges: dict[str, list[tuple[int, str]]] = {}
    for number, commit in commits.items():
        if step := history.landed.get(commit):
            merges.setdefault(history.steps[step - 1], []).append((int(number), commit))
    for merge, brought in merges.items():
        new = [one for one in brought if not _is_told(state, merge, *one)]
        if new:
            yield from _events(state, match_brought(state.mirror, state.options.name, merge, new))
    return {str(number) for brought in merges.values() for number, _ in brought}


def _is_told(state: Pull, commit: str, number: int, head: str) -> bool:
    """Whether it was told before what a commit holds of a head."""
    found = state.tools.told(f"{state.options.name}/match/{commit}/")
    return any(
        isinstance(one.data, PullRequestMatched | PullRequestMismatched)
        and (one.data.number, one.data.head) == (number, head)
        for one in found
    )


def _events(state: Pull, found: Sequence[Match]) -> Iterator[NewEvent]:
    by_commit: dict[tuple[str, int], list[Match]] = {}
    for one in found:
        by_commit.setdefault((one.commit, one.number), []).append(one)
    for some in by_commit.values():
        yield from (state.event(match_key(one, some), one) for one in some)
