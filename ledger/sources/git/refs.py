"""How refs moved, and what the heads of pull requests hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from ledger.events import NewEvent, PullRequestMatched, PullRequestMismatched, RefMoved
from ledger.gitio import RawCommit
from ledger.matching import Match, match_pull_requests
from ledger.sources import Batch
from ledger.sources.git.commits import PatchId, patch_ids, tell_commits
from ledger.sources.git.state import DISPLACED, HEADS, TAGS, Pull, pull_number, readable_ref

LONG_REF = 500
MANY = 100  # heads; starting a process takes a third of a second


def move_of(state: Pull, ref: str, old: str, new: str, *, ahead: bool = False) -> NewEvent:
    """The move of a ref, as an event; what a forced move abandons is kept in the mirror for good.

    `ahead` where it is known that the new commit comes after the old one.
    """
    sequence = state.after.moves.get(ref, 0) + 1
    kind = "fast_forward"
    abandoned: list[str] = []
    if not old or not new:
        kind = "deleted" if old else "created"
    elif ahead:
        pass
    elif not state.mirror.has(old):
        kind = "forced"
    elif not state.mirror.is_ancestor(old, new):
        kind = "forced"
        abandoned = sorted(state.mirror.reachable([old], [new]))
        state.mirror.update_refs([f"update refs/ledger/kept/{old} {old}\n"])
    data = RefMoved(
        repository=state.options.name,
        ref=readable_ref(ref),
        kind=kind,
        sequence=sequence,
        old=old,
        new=new,
        abandoned=abandoned,
    )
    name = data.ref
    if len(name) > LONG_REF:  # a key is indexed
        name = f"{name[:LONG_REF]}…{hashlib.sha256(name.encode()).hexdigest()}"
    return state.event(f"ref/{name}/{sequence}", data)


@dataclass(frozen=True, slots=True)
class Heads:
    """The moved heads of pull requests, what of their history is told by then, and what is read ahead."""

    tips: Sequence[str]
    exclude: Sequence[str]
    count: Callable[[], int]
    commits: Iterator[RawCommit]
    patches: Iterable[Sequence[PatchId]]


def find_heads(state: Pull, commits: dict[str, str], heads: dict[str, str]) -> Heads | None:
    """Begins to read the heads that moved; None where there are none. Called before the branches are told."""
    moved = {oid for ref, oid in heads.items() if pull_number(ref) is not None}
    if not moved or not state.options.pull_requests:
        return None
    branches = {ref: oid for ref, oid in state.before.refs.items() if ref.startswith(HEADS)}
    branches |= {HEADS + branch: commits[HEADS + branch] for branch in state.branches}
    told = {*branches.values()}
    told |= {oid for ref, oid in state.before.refs.items() if pull_number(ref) is not None}
    sizes = zip(told, state.mirror.sizes(list(told)), strict=True)
    tips, exclude = sorted(moved), [oid for oid, size in sizes if size is not None]
    where = (state.mirror, tips, exclude)
    return Heads(
        tips,
        exclude,
        state.mirror.count(tips, exclude),
        state.mirror.commits(tips, exclude),
        state.tools.meanwhile(patch_ids, *where) if len(tips) > MANY else patch_ids(*where),
    )


def tell_heads(state: Pull, heads: Heads) -> Iterator[Batch]:
    state.total += heads.count()
    patches = chain.from_iterable(heads.patches)
    told = tell_commits(
        state, heads.tips, heads.exclude, set(), patches=patches, stream=heads.commits
    )
    for events, contents in told:
        yield state.batch(events, contents)


def tell_moves(
    state: Pull, heads: dict[str, str], moved: dict[str, str], others: list[str], gone: list[str]
) -> Iterator[Batch]:
    events: list[NewEvent] = []
    for ref in sorted(others, key=_ref_order):
        old = state.before.refs.get(ref, "")
        events.append(move_of(state, ref, _peeled(state, ref, old), heads[ref]))
        state.after.refs[ref] = moved[ref] if ref.startswith(TAGS) else heads[ref]
        state.after.moves[ref] = state.after.moves.get(ref, 0) + 1
    for branch in state.branches:
        ref = HEADS + branch
        if ref in heads:
            state.after.moves[ref] = state.after.moves.get(ref, 0) + 1
    for ref in sorted(gone):
        old = state.before.refs[ref]
        events.append(move_of(state, ref, _peeled(state, ref, old), ""))
        if ref.startswith(HEADS) and state.mirror.has(old):
            place = DISPLACED + ref.removeprefix(HEADS)
            state.mirror.update_refs([f"update {place}/{old} {old}\n"])
        state.after.moves[ref] = state.after.moves.get(ref, 0) + 1
        del state.after.refs[ref]
    if events:
        yield state.batch(events)


def _peeled(state: Pull, ref: str, oid: str) -> str:
    if not oid or not ref.startswith(TAGS):
        return oid
    found = state.mirror.rev_list(["--max-count=1"], [f"{oid}\n".encode()])
    return found[0] if found else oid


def _ref_order(ref: str) -> tuple[str, int, str]:
    return (ref.split("/")[1], pull_number(ref) or 0, ref)


def find_matches(state: Pull, commits: dict[str, str]) -> dict[str, Iterable[list[Match]]]:
    """Begins to look what every revision of each branch holds, where no heads were known before."""
    if not state.options.pull_requests or any(map(pull_number, state.before.refs)):
        return {}
    heads = _pull_requests(commits)
    found: dict[str, Iterable[list[Match]]] = {}
    for branch in state.branches if heads else ():
        where = (state.mirror, state.options.name, commits[HEADS + branch], None, heads)
        if len(heads) > MANY:
            found[branch] = state.tools.meanwhile(match_pull_requests, *where)
        else:
            found[branch] = match_pull_requests(*where)
    return found


def tell_matches(
    state: Pull, commits: dict[str, str], begun: dict[str, Iterable[list[Match]]]
) -> Iterator[Batch]:
    heads = _pull_requests(commits)
    for branch in state.branches if heads else ():
        new = [commit for one, commit in state.revisions if one == branch]
        found = begun.get(branch)
        if found is None and new:
            tip = commits[HEADS + branch]
            found = match_pull_requests(state.mirror, state.options.name, tip, new, heads)
        for some in found or ():
            events = [state.event(match_key(one, some), one) for one in some]
            if events:
                yield state.batch(events)


def match_key(one: Match, among: Sequence[Match]) -> str:
    """The key of a match; of a merge that gives another tree when it is made again there are two."""
    key = f"match/{one.commit}/{one.number}"
    if not isinstance(one, PullRequestMismatched):
        return key
    merged = any(
        isinstance(other, PullRequestMatched)
        and (other.commit, other.number) == (one.commit, one.number)
        for other in among
    )
    return f"{key}/content" if merged else key


def _pull_requests(commits: dict[str, str]) -> dict[int, str]:
    found = ((pull_number(ref), oid) for ref, oid in commits.items())
    return {number: oid for number, oid in found if number is not None}
