"""Tracked branches: every new commit, each first-parent step after its commit, and the move."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from ledger.events import CommitObserved, NewEvent, RevisionObserved
from ledger.gitio import Mirror
from ledger.sources import Batch
from ledger.sources.git.commits import tell_commits
from ledger.sources.git.refs import move_of
from ledger.sources.git.state import DISPLACED, HEADS, Pull


def tell_branches(
    state: Pull, heads: dict[str, str], commits: Mapping[str, str]
) -> Iterator[Batch]:
    """Tells the branches that moved. `commits` is what the refs of the mirror lead to."""
    told = [oid for ref, oid in state.before.refs.items() if ref.startswith(HEADS)]
    told = [tip for tip in told if state.mirror.has(tip)]
    for branch in state.branches:
        if tip := heads.get(HEADS + branch):
            place = f"{DISPLACED}{branch}/"
            displaced = [oid for ref, oid in commits.items() if ref.startswith(place)]
            yield from _tell_branch(state, branch, tip, told, displaced)
            told.append(tip)


def _tell_branch(
    state: Pull, branch: str, tip: str, told: list[str], displaced: list[str]
) -> Iterator[Batch]:
    ref = HEADS + branch
    old = state.before.refs.get(ref, "")
    graph = state.graph([tip], told)
    chain, number, ahead = _new_chain(state, branch, tip, graph, displaced)
    move = move_of(state, ref, old, tip, ahead=ahead)
    new = set(graph)
    state.total += len(new)
    pending = deque(chain)

    def steps() -> Iterator[NewEvent]:
        nonlocal number
        while pending and pending[0][0] not in new:
            commit, parent = pending.popleft()
            number += 1
            data = RevisionObserved(
                repository=state.options.name,
                branch=branch,
                number=number,
                commit=commit,
                first_parent=parent,
                move=move.key,
            )
            yield state.event(f"revision/{branch}/{commit}", data)

    mainline = {commit for commit, _ in chain}
    bare = _told_off_the_line(state, [commit for commit, _ in chain if commit not in new], told)
    for events, contents in tell_commits(state, bare, [], mainline, walk=False):
        state.revisions += [(branch, one.data.commit) for one in events]  # type: ignore[union-attr]
        yield state.batch(events, contents)
    first = list(steps())
    for events, contents in tell_commits(state, [tip], told, mainline):
        together: list[NewEvent] = first
        first = []
        for event in events:
            together.append(event)
            data = event.data
            assert isinstance(data, CommitObserved)
            new.discard(data.commit)
            if data.commit in mainline:
                state.revisions.append((branch, data.commit))
            together.extend(steps())
        yield state.batch(together, contents)
    state.after.refs[ref] = tip
    state.after.numbers[branch] = number
    yield state.batch([*first, *steps(), move])


def _new_chain(
    state: Pull, branch: str, tip: str, graph: Mapping[str, str], displaced: Sequence[str]
) -> tuple[list[tuple[str, str]], int, bool]:
    """The first-parent steps of the branch that were not yet told, oldest first, with their parents;
    the number of the step below them; and whether that is the old tip.

    `graph` has the commits that no branch had, `displaced` are tips of lines that were left before.
    """
    mirror = state.mirror
    old = state.before.refs.get(HEADS + branch, "")
    number = 0
    line, below = _line(graph, tip)
    if below != old and old and mirror.has(old):
        line = mirror.first_parents(tip, old)
        below = _parent_of(mirror, line[-1]) if line else tip
        if below != old:
            # A forced move, or a merge whose second parent is the old tip: the lines part further down.
            mirror.update_refs([f"update {DISPLACED}{branch}/{old} {old}\n"])
            displaced = [*displaced, old]
    exclude = old if below == old else ""
    if exclude:
        number = state.before.numbers.get(branch, 0)
    else:
        line, below = _line(state.graph([tip]), tip)
    told = {commit for one in displaced for commit in mirror.first_parents(one, exclude)}
    fresh = [commit for commit in line if commit not in told]
    shared = line[len(fresh)] if len(fresh) < len(line) else below
    steps = _with_parents(fresh[::-1], shared)
    return steps, number + len(line) - len(fresh), bool(exclude)


def _line(graph: Mapping[str, str], tip: str) -> tuple[list[str], str]:
    """The first-parent chain from `tip` as far as the graph goes, newest first; and what is below it."""
    line: list[str] = []
    while tip in graph:
        line.append(tip)
        tip = graph[tip]
    return line, tip


def _told_off_the_line(state: Pull, steps: list[str], told: list[str]) -> list[str]:
    """Which of these steps were told as commits of a side branch so far, hence without contents."""
    if not steps:
        return []
    line = {commit for tip in told for commit in state.mirror.first_parents(tip)}
    return [commit for commit in steps if commit not in line]


def _parent_of(mirror: Mirror, commit: str) -> str:
    line = mirror.rev_list(["--first-parent", "--max-count=2"], [f"{commit}\n".encode()])
    return line[1] if len(line) > 1 else ""


def _with_parents(oldest_first: list[str], below: str) -> list[tuple[str, str]]:
    return list(zip(oldest_first, [below, *oldest_first], strict=False))
