"""How refs moved, and what the heads of pull requests hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ledger.events import NewEvent, RefMoved
from ledger.matching import match_pull_requests
from ledger.sources import Batch
from ledger.sources.git.commits import tell_commits
from ledger.sources.git.state import DISPLACED, HEADS, TAGS, Pull, pull_number, readable_ref

LONG_REF = 500


def move_of(state: Pull, ref: str, old: str, new: str) -> NewEvent:
    """The move of a ref, as an event; what a forced move abandons is kept in the mirror for good."""
    sequence = state.after.moves.get(ref, 0) + 1
    kind = "fast_forward"
    abandoned: list[str] = []
    if not old or not new:
        kind = "deleted" if old else "created"
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


def tell_heads(state: Pull, heads: dict[str, str]) -> Iterator[Batch]:
    tips = sorted(set(heads.values()))
    if not tips:
        return
    told = {oid for ref, oid in state.after.refs.items() if ref.startswith(HEADS)}
    told |= {oid for ref, oid in state.before.refs.items() if pull_number(ref) is not None}
    exclude = [
        oid
        for oid, size in zip(told, state.mirror.sizes(list(told)), strict=True)
        if size is not None
    ]
    state.total += len(state.mirror.reachable(tips, exclude))
    for events, contents in tell_commits(state, tips, exclude, set()):
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


def tell_matches(state: Pull, commits: dict[str, str]) -> Iterator[Batch]:
    heads = {
        number: oid for ref, oid in commits.items() if (number := pull_number(ref)) is not None
    }
    if not heads:
        return
    first_time = not any(pull_number(ref) is not None for ref in state.before.refs)
    for branch in state.branches:
        tip = state.after.refs.get(HEADS + branch)
        if tip is None:
            continue
        new = [commit for one, commit, _ in state.revisions if one == branch]
        if not first_time and not new:
            continue
        tip = commits.get(HEADS + branch, tip)
        wanted = state.mirror.first_parents(tip)[::-1] if first_time else new
        for found in match_pull_requests(state.mirror, state.options.name, tip, wanted, heads):
            events = [state.event(f"match/{one.commit}/{one.number}", one) for one in found]
            if events:
                yield state.batch(events)
