"""Which pull request's content a mainline commit holds, recomputed from Git alone.

A squash merge leaves no link in Git, only a number in its subject, which anybody can type. But the
content can be recomputed: what the pull request's head changed since it left the branch, laid onto
the commit's first parent, must give exactly that commit's files. Cheapest way first:

1. the head is the commit itself (fast-forward) or one of its further parents (merge commit, of which
   the rest is asked, too: whoever merges by hand can put anything beside);
2. the head's tree is the commit's tree;
3. every file that the head changed since their only merge base has, in the commit, the very blob
   that the head gave it, and the commit changed no other file;
4. `git merge-tree` of first parent and head gives the commit's own tree (about 5 ms each).

A forge names head and merge itself. Those are compared in the same way, whatever the message says and
whichever refs there are; and where it names a commit that only came with a merge, that merge is asked.

Asking Git for nine thousand merge bases one by one takes half a minute, so many at once are found
in the commit graph in memory; a few are asked for. Both give the same base or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from ledger.commits import named_pull_request, read_commit
from ledger.events import PullRequestMatched, PullRequestMismatched
from ledger.gitio import Mirror, RawChange

BATCH = 1_000
ASK_GIT_UP_TO = 30
Match = PullRequestMatched | PullRequestMismatched
Files = dict[bytes, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Landing:
    """A mainline commit: its parents, its tree, and the pull request that its message names."""

    commit: str
    parents: tuple[str, ...]
    tree: str
    named: int


@dataclass(frozen=True, slots=True)
class ToldMerge:
    """What a forge says: a pull request of so many commits, with this head, landed as this commit."""

    number: int
    commit: str
    head: str
    commits: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """The commit graph of a branch: parents of each commit, and the first-parent step (from 1)
    by which each commit landed."""

    parents: Mapping[str, tuple[str, ...]]
    landed: Mapping[str, int]
    steps: Sequence[str]


def match_pull_requests(
    mirror: Mirror,
    repository: str,
    tip: str,
    wanted: Sequence[str] | None,
    heads: Mapping[int, str],
) -> Iterator[list[Match]]:
    """For each wanted mainline commit, oldest first, what it holds; None asks for the whole line of the
    tip. Nothing is told of a commit that names no known pull request and has none of the heads as itself
    or as a parent."""
    if wanted is None:
        wanted = mirror.first_parents(tip)[::-1]
    landings = list(_landings(mirror, wanted))
    known = {one.commit for one in landings}.union(*(one.parents[1:] for one in landings))
    numbers: dict[str, list[int]] = {}
    for number, head in heads.items():
        if head in known:
            numbers.setdefault(head, []).append(number)
    named = [one for one in landings if one.named in heads]
    history = read_history(mirror, tip, heads.values()) if len(named) > ASK_GIT_UP_TO else None
    for start in range(0, len(landings), BATCH):
        yield _match_batch(
            mirror, repository, history, landings[start : start + BATCH], heads, numbers
        )


def match_told(mirror: Mirror, repository: str, tip: str, told: Sequence[ToldMerge]) -> list[Match]:
    """What first-parent steps of the tip hold that forges name as merges; both commits are there."""
    landings = {one.commit: one for one in _landings(mirror, [each.commit for each in told])}
    asked = {(one.commit, one.number): one for one in told}
    heads = {one.number: one.head for one in told}
    history = read_history(mirror, tip, heads.values()) if len(told) > ASK_GIT_UP_TO else None
    found: list[Match] = []
    for start in range(0, len(told), BATCH):
        some = told[start : start + BATCH]
        named = [replace(landings[one.commit], named=one.number) for one in some]
        numbers: dict[str, list[int]] = {}
        for one in some:
            numbers.setdefault(one.head, []).append(one.number)
        found += _match_batch(mirror, repository, history, named, heads, numbers)
    wanted = dict.fromkeys(one for one in found if (one.commit, one.number) in asked)
    return [
        one
        for one in wanted
        if isinstance(one, PullRequestMatched)
        or not _is_rebased(mirror, landings[one.commit], asked[one.commit, one.number])
    ]


def match_brought(
    mirror: Mirror, repository: str, merge: str, brought: Sequence[tuple[int, str]]
) -> list[Match]:
    """Of (number, commit) that came with a merge: that they did, and where it holds more than its parents."""
    [landing] = _landings(mirror, [merge])
    found: list[Match] = [
        PullRequestMatched(
            repository=repository, commit=merge, number=number, method="brought", head=head
        )
        for number, head in brought
    ]
    number = brought[0][0]
    if len(landing.parents) > 2:
        tips = [
            PullRequestMatched(
                repository=repository,
                commit=merge,
                number=number,
                method="head_is_parent",
                head=one,
            )
            for one in landing.parents[1:]
        ]
        again: Iterable[Match] = _beside_heads(mirror, landing, tips)
    else:
        heads = {number: landing.parents[1]}
        again = _by_content(mirror, repository, None, [replace(landing, named=number)], heads)
    for one in again:
        if isinstance(one, PullRequestMismatched):
            found += [structs.replace(one, number=number, head=head) for number, head in brought]
            break
    return found


def _is_rebased(mirror: Mirror, landing: Landing, told: ToldMerge) -> bool:
    """Whether as many steps as the pull request has commits hold it together: the last one alone need not."""
    below = landing.parents[:1]
    if len(landing.parents) != 1 or told.commits < 2:
        return False
    with mirror.objects() as read:
        for _ in range(told.commits - 1):
            [raw] = read(below) if len(below) == 1 else [None]
            if raw is None:
                return False
            below = tuple(read_commit(raw).parents)
    return len(below) == 1 and [*mirror.merge_trees([(below[0], told.head)])] == [landing.tree]


def _landings(mirror: Mirror, wanted: Sequence[str]) -> Iterator[Landing]:
    with mirror.objects() as read:
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            for commit, raw in zip(part, read(part), strict=True):
                if raw is not None:
                    head = read_commit(raw)
                    named = named_pull_request(head.message)
                    yield Landing(commit, tuple(head.parents), head.tree, named[0] if named else 0)


def _match_batch(
    mirror: Mirror,
    repository: str,
    history: History | None,
    landings: Sequence[Landing],
    heads: Mapping[int, str],
    numbers: Mapping[str, list[int]],
) -> list[Match]:
    found: list[Match] = []
    open_questions: list[Landing] = []
    merges: list[Landing] = []
    for landing in landings:
        by_graph = list(_by_graph(repository, landing, numbers))
        found += by_graph
        named_found = any(one.number == landing.named for one in by_graph)
        if landing.named in heads and landing.parents and not named_found:
            open_questions.append(landing)
        if len(landing.parents) > 2:
            found += _beside_heads(mirror, landing, by_graph)
        if len(landing.parents) == 2:
            merges += [
                replace(landing, named=one.number)
                for one in by_graph
                if one.method == "head_is_parent"
            ]
    found += _by_content(mirror, repository, history, open_questions, heads)
    merged = _by_content(mirror, repository, history, merges, heads)
    found += [one for one in merged if isinstance(one, PullRequestMismatched)]
    order = {landing.commit: index for index, landing in enumerate(landings)}
    return sorted(found, key=lambda one: (order[one.commit], one.number, one.TYPE))


def _by_graph(
    repository: str, landing: Landing, numbers: Mapping[str, list[int]]
) -> Iterator[PullRequestMatched]:
    ways = [("head_is_commit", landing.commit)]
    ways += [("head_is_parent", parent) for parent in landing.parents[1:]]
    for method, head in ways:
        for number in numbers.get(head, ()):
            yield PullRequestMatched(
                repository=repository,
                commit=landing.commit,
                number=number,
                method=method,
                head=head,
            )


def _beside_heads(
    mirror: Mirror, landing: Landing, by_graph: Sequence[PullRequestMatched]
) -> Iterator[PullRequestMismatched]:
    """Of a merge of several heads: tells where a file is as none of the heads has it."""
    matched = [one for one in by_graph if one.method == "head_is_parent"]
    if not matched:
        return
    first, *tips = landing.parents
    bases = [_base(mirror, None, first, tip) for tip in tips]
    ids = list(dict.fromkeys([first, *tips, *filter(None, bases)]))
    trees = dict(zip(ids, mirror.trees(ids), strict=True))
    pairs = [
        (trees[base] if base else "", trees[tip]) for base, tip in zip(bases, tips, strict=True)
    ]
    ours, *each = _changes(mirror, [(trees[first], landing.tree), *pairs])
    if any(all(one.get(path) != after for one in each) for path, after in ours.items()):
        for one in matched:
            theirs = each[tips.index(one.head)]
            named = replace(landing, named=one.number)
            told = _judged(one.repository, named, one.head, ours, theirs, "")
            assert isinstance(told, PullRequestMismatched)
            yield told


def _by_content(
    mirror: Mirror,
    repository: str,
    history: History | None,
    landings: Sequence[Landing],
    heads: Mapping[int, str],
) -> Iterator[Match]:
    if not landings:
        return
    tips = [heads[one.named] for one in landings]
    bases = [
        _base(mirror, history, one.parents[0], tip) for one, tip in zip(landings, tips, strict=True)
    ]
    ids = [*tips, *(one.parents[0] for one in landings), *(base for base in bases if base)]
    trees = dict(zip(ids, mirror.trees(ids), strict=True))
    changed = _changes(mirror, [(trees[one.parents[0]], one.tree) for one in landings])
    proposed = _changes(
        mirror,
        [(trees[base] if base else "", trees[tip]) for base, tip in zip(bases, tips, strict=True)],
    )
    unsure: list[tuple[Landing, str, Files, Files]] = []
    for landing, tip, base, ours, theirs in zip(
        landings, tips, bases, changed, proposed, strict=True
    ):
        # The tree of a head that the base had left behind takes back what landed meanwhile.
        if base and ours == theirs:
            method = "equal_tree" if trees[tip] == landing.tree else "equal_blobs"
            yield PullRequestMatched(
                repository=repository,
                commit=landing.commit,
                number=landing.named,
                method=method,
                head=tip,
                base=base if method == "equal_blobs" else "",
            )
        else:
            unsure.append((landing, tip, ours, theirs))
    pairs = [(landing.parents[0], tip) for landing, tip, _, _ in unsure]
    merged = mirror.merge_trees(pairs) if pairs else iter(())
    for (landing, tip, ours, theirs), tree in zip(unsure, merged, strict=True):
        yield _judged(repository, landing, tip, ours, theirs, tree)


def _judged(
    repository: str, landing: Landing, tip: str, ours: Files, theirs: Files, tree: str
) -> Match:
    if tree == landing.tree:
        return PullRequestMatched(
            repository=repository,
            commit=landing.commit,
            number=landing.named,
            method="merge_tree",
            head=tip,
        )
    return PullRequestMismatched(
        repository=repository,
        commit=landing.commit,
        number=landing.named,
        head=tip,
        paths=len(ours),
        shared_paths=len(ours.keys() & theirs.keys()),
        equal_paths=sum(theirs.get(path) == after for path, after in ours.items()),
    )


def _changes(mirror: Mirror, pairs: Sequence[tuple[str, str]]) -> list[Files]:
    """path → (mode, blob) after, for each pair of trees; empty where a tree is not known."""
    known = [(index, pair) for index, pair in enumerate(pairs) if all(pair)]
    found: list[Files] = [{} for _ in pairs]
    lists: Iterator[list[RawChange]] = mirror.tree_changes([pair for _, pair in known])
    for (index, _), changes in zip(known, lists, strict=True):
        found[index] = {one.path: (one.mode_after, one.id_after) for one in changes}
    return found


def _base(mirror: Mirror, history: History | None, parent: str, head: str) -> str:
    """The only best common ancestor of two commits, empty where there is none or more than one."""
    if history is None:
        found = mirror.merge_bases(parent, head)
        return found[0] if len(found) == 1 else ""
    until = history.landed.get(parent, 0)
    boundary: set[str] = set()
    seen = {head}
    stack = [head]
    while stack:
        commit = stack.pop()
        step = history.landed.get(commit, 0)
        if 0 < step <= until:
            boundary.add(commit)
            continue
        for above in history.parents.get(commit, ()):
            if above not in seen:
                seen.add(above)
                stack.append(above)
    if len(boundary) <= 1:
        return boundary.pop() if boundary else ""
    newest = history.steps[max(history.landed[one] for one in boundary) - 1]
    if newest in boundary:
        return newest  # a first-parent step reaches everything that landed by it
    return _asked(mirror, parent, head)


def _asked(mirror: Mirror, parent: str, head: str) -> str:
    return _base(mirror, None, parent, head)


def read_history(mirror: Mirror, tip: str, heads: Iterable[str]) -> History:
    """The graph of the tip and of some heads. Costs some 10 µs a commit."""
    lines = mirror.graph([tip, *heads])
    parents = {line[0]: tuple(line[1:]) for line in lines}
    steps: list[str] = []
    commit = tip
    while commit:
        steps.append(commit)
        above = parents.get(commit, ())
        commit = above[0] if above else ""
    steps.reverse()
    landed: dict[str, int] = {}
    for number, step in enumerate(steps, 1):
        stack = [step]
        while stack:
            one = stack.pop()
            if one not in landed:
                landed[one] = number
                stack.extend(above for above in parents.get(one, ()) if above not in landed)
    return History(parents, landed, steps)
