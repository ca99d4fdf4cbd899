"""Whether a pull request's head holds what was reviewed, apart from clean updates from its base.

A forge tells at which commit a review was given and with which head the pull request merged. Where they
differ Git can tell whether anything but the base came in between: the reviewed commit, merged again into
the commit at which the head had left the branch, must give exactly the head's tree. That commit is the
merge base of the head and of what the branch held *before* this merge; were it taken from what the merge
itself brought, what nobody reviewed would stand on both sides and compare as equal.

Compared are the heads of merged pull requests with the commits at which they were approved, and what
others than the author pushed with what stood before. A commit that a force-push hid is asked of the
remote, once a day. Where nobody was told of anything new this costs one look-up in the log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ledger.commits import read_commit
from ledger.events import (
    HeadCompared,
    NewEvent,
    PullRequestMerged,
    PullRequestPushed,
    RecordedEvent,
    ReviewSubmitted,
)
from ledger.gitio import Mirror
from ledger.sources import Tools
from ledger.sources.git.state import Cursor, GitOptions, Merge, Pull, Question

FETCHES = 20  # a refused commit costs one
ASKED_AT_ONCE = 200
NO_BASE = "base"
_TYPES = (ReviewSubmitted, PullRequestPushed, PullRequestMerged)
_HEX = re.compile(r"[0-9a-f]{12,64}")


class Pair(NamedTuple):
    """Two heads to compare. `key` is how the question names them."""

    number: str
    key: str
    reviewed: str
    head: str


def hear(options: GitOptions, cursor: Cursor, tools: Tools) -> bool:
    """Notes in the cursor what forges told since; whether there is anything to compare now."""
    events, told = tools.since(cursor.told, f"repository/{options.name}", _TYPES)
    questions = {number: _copy(one) for number, one in cursor.questions.items()}
    merges: dict[str, PullRequestMerged] = {}
    asked: dict[str, str] = {}  # number → forge
    for event in events:
        data = event.data
        if isinstance(data, PullRequestMerged):
            _note_merge(merges, data)
        elif pair := _pair(event):
            number, forge, key = pair
            questions.setdefault(number, Question()).pairs.setdefault(key, "")
            asked[number] = forge
    for number, forge in asked.items():
        if not questions[number].merge and number not in merges:
            for event in tools.told(f"{forge}/pull/{number}/"):
                if isinstance(event.data, PullRequestMerged):
                    _note_merge(merges, event.data)
    for number, data in merges.items():
        if number in questions:
            questions[number].head = data.pull_request.head
            questions[number].merge = data.merge_commit
            questions[number].commits = data.commits
    cursor.merges = cursor.merges | {
        number: Merge(
            commit=data.merge_commit,
            head=data.pull_request.head,
            base=data.pull_request.base,
            commits=data.commits,
        )
        for number, data in merges.items()
    }
    cursor.told = told if events else cursor.told
    cursor.questions = {
        number: one
        for number, one in questions.items()
        if not one.merge or list(_open(number, one))
    }
    due = any(
        day and day != tools.now[:10] for one in questions.values() for day in one.pairs.values()
    )
    return bool(events) or due


def tell_comparisons(state: Pull) -> Iterator[NewEvent]:
    """Compares what can be compared, and takes it off the questions in the cursor."""
    questions = state.after.questions
    pairs = [pair for number, one in questions.items() for pair in _open(number, one)]
    if not pairs:
        return
    mirror = state.mirror
    merges = {pair.number: questions[pair.number].merge for pair in pairs}
    trees = _trees(mirror, [*merges.values(), *(one for pair in pairs for one in pair[2:])])
    pairs = [pair for pair in pairs if trees[merges[pair.number]]]  # the others wait for the branch
    trees |= _trees(mirror, _asked_for(state, pairs, trees))
    known = [pair for pair in pairs if trees[pair.reviewed] and trees[pair.head]]
    bases = _bases(mirror, known, questions)
    based = {pair: base for pair in known if (base := bases[pair])}
    pairs_again = [(base, pair.reviewed) for pair, base in based.items()]
    again = mirror.merge_trees(pairs_again) if based else ()
    merged: dict[Pair, str] = dict(zip(based, again, strict=True))
    for pair in known:
        base = bases[pair]
        data = HeadCompared(
            repository=state.options.name,
            number=int(pair.number),
            reviewed=pair.reviewed,
            head=pair.head,
            base=base or "",
            tree=merged.get(pair, ""),
            head_tree=trees[pair.head],
            missing=NO_BASE if base is None else "",
        )
        yield _event(state, pair, data)
        del questions[pair.number].pairs[pair.key]
        if not questions[pair.number].pairs:
            del questions[pair.number]


# -- what is asked -----------------------------------------------------------------------------------


def _copy(one: Question) -> Question:
    return Question(pairs=dict(one.pairs), head=one.head, merge=one.merge, commits=one.commits)


def _note_merge(merges: dict[str, PullRequestMerged], data: PullRequestMerged) -> None:
    """Keeps the latest telling of each merge that names both commits."""
    number = str(data.pull_request.number)
    known = merges.get(number)
    late = known is None or data.pull_request.updated_at >= known.pull_request.updated_at
    if late and _HEX.fullmatch(data.merge_commit) and _HEX.fullmatch(data.pull_request.head):
        merges[number] = data


def _pair(event: RecordedEvent) -> tuple[str, str, str] | None:
    """(number, forge, pair) of an approval, or of a push by somebody else than the author."""
    data = event.data
    if isinstance(data, ReviewSubmitted):
        if data.state == "approved" and not data.carried and _HEX.fullmatch(data.commit):
            return str(data.number), data.forge, f"{data.commit}.."
    elif isinstance(data, PullRequestPushed):
        author = data.pull_request.author
        own = author is not None and event.actor is not None and author.login == event.actor.login
        if not own and _HEX.fullmatch(data.before) and _HEX.fullmatch(data.after):
            return str(data.pull_request.number), data.forge, f"{data.before}..{data.after}"
    return None


def _open(number: str, one: Question) -> Iterator[Pair]:
    """What is left to compare of a merged pull request."""
    for key in one.pairs if one.merge else ():
        reviewed, _, head = key.partition("..")
        head = head or one.head
        if not (head.startswith(reviewed) or reviewed.startswith(head)):
            yield Pair(number, key, reviewed, head)


# -- what is not there -------------------------------------------------------------------------------


def _asked_for(state: Pull, pairs: Sequence[Pair], trees: Mapping[str, str]) -> list[str]:
    """Asks the remote for commits that are missing, and for each one only once a day.

    Yields nothing itself: those that came are then there, and of the others it is noted on which day.
    """
    today = state.tools.now[:10]
    questions = state.after.questions
    wanted = {
        one: None
        for pair in pairs
        if questions[pair.number].pairs[pair.key] != today
        for one in pair[2:]
        if not trees[one]
    }
    asked = list(wanted)[:ASKED_AT_ONCE]
    if not asked:
        return []
    refused = state.mirror.fetch_commits(state.options.url, asked, FETCHES)
    for pair in pairs:
        if not refused.keys().isdisjoint(pair[2:]):
            questions[pair.number].pairs[pair.key] = today
    return asked


def tell_missing(state: Pull) -> Iterator[NewEvent]:
    """What could not be compared because the remote did not give a commit when it was asked today.

    The same is told in the same words on every such day, so it is recorded once.
    """
    today = state.tools.now[:10]
    for number, one in state.after.questions.items():
        for pair in _open(number, one):
            if one.pairs[pair.key] == today:
                lacking = _trees(state.mirror, pair[2:])
                data = HeadCompared(
                    repository=state.options.name,
                    number=int(number),
                    reviewed=pair.reviewed,
                    head=pair.head,
                    missing=next((name for name, tree in lacking.items() if not tree), ""),
                )
                yield _event(state, pair, data)


def _event(state: Pull, pair: Pair, data: HeadCompared) -> NewEvent:
    return state.event(f"pull/{pair.number}/compared/{pair.reviewed}..{pair.head}", data)


# -- bases -------------------------------------------------------------------------------------------


def _trees(mirror: Mirror, commits: Iterable[str]) -> dict[str, str]:
    """commit → tree, empty where it is missing."""
    unique = list(dict.fromkeys(commits))
    return dict(zip(unique, mirror.trees(unique), strict=True)) if unique else {}


def _bases(
    mirror: Mirror, pairs: Sequence[Pair], questions: Mapping[str, Question]
) -> dict[Pair, str | None]:
    """Where each head had left the branch: empty where several places fit, None where it is not known."""
    below: dict[str, str] = {}
    found: dict[Pair, str | None] = {}
    with mirror.objects() as read:

        def parents(commit: str) -> list[str]:
            [raw] = read([commit])
            return read_commit(raw).parents if raw is not None else []

        for pair in pairs:
            if pair.number not in below:
                one = questions[pair.number]
                before = parents(one.merge)[:1]
                line = [one.merge]
                if one.head.startswith(one.merge) or (
                    before and mirror.is_ancestor(one.head, before[0])
                ):
                    # The head is the branch's own line: as many steps down as the forge counts.
                    while len(line) <= one.commits and len(above := parents(line[-1])) == 1:
                        line += above
                    counted = one.head.startswith(one.merge) and len(line) == one.commits + 1 > 1
                    before = line[-1:] if counted else []
                below[pair.number] = before[0] if before else ""
            onto = below[pair.number]
            bases = mirror.merge_bases(pair.head, onto) if onto else []
            found[pair] = None if not onto else bases[0] if len(bases) == 1 else ""
    return found
