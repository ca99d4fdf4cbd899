"""Which removed document of a revision stands again at another place: a move, not two changes.

Identical content first, then the same name at another path (or under another API group), then the
closest content of documents that only their path names. Beyond 1,000 candidates only identical
content pairs, so the time is bounded. Ties go by path.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MAX_CANDIDATES = 1_000
CLOSE_ENOUGH = 0.5


@dataclass(frozen=True, slots=True)
class Document:
    """A document that left or came: its address and the digest of its content (None if not kept)."""

    path: str
    api_group: str
    kind: str
    namespace: str
    name: str
    digest: bytes | None
    item: int

    @property
    def named_by_path(self) -> bool:
        return self.name == self.path


Lines = Callable[[Document], "Counter[bytes]"]


def pair_moves(
    removed: Sequence[Document], added: Sequence[Document], lines: Lines
) -> list[tuple[int, int]]:
    """Pairs (index of removed, index of added), each index at most once, in order of the added."""
    pairs: dict[int, int] = {}
    taken: set[int] = set()

    def offer(candidates: list[tuple[float, str, str, int, int]]) -> None:
        for _, _, _, gone, come in sorted(candidates):
            if gone not in taken and come not in pairs:
                taken.add(gone)
                pairs[come] = gone

    offer(_identical(removed, added))
    if len(removed) + len(added) <= MAX_CANDIDATES:
        offer(_same_name(removed, added, taken, set(pairs), lines))
        offer(_close(removed, added, taken, set(pairs), lines))
    return sorted(((gone, come) for come, gone in pairs.items()), key=lambda pair: pair[1])


Candidate = tuple[float, str, str, int, int]


def _identical(removed: Sequence[Document], added: Sequence[Document]) -> list[Candidate]:
    by_digest: dict[tuple[bytes, int], list[int]] = defaultdict(list)
    for index, one in enumerate(removed):
        if one.digest is not None:
            by_digest[one.digest, one.item].append(index)
    found: list[Candidate] = []
    for come, two in enumerate(added):
        rivals = by_digest.get((two.digest, two.item), ()) if two.digest is not None else ()
        if len(rivals) > 50:
            rivals = [gone for gone in rivals if _base(removed[gone].path) == _base(two.path)][:50]
        for gone in rivals:
            one = removed[gone]
            if one.kind == two.kind and one.path != two.path:
                strange = float(_base(one.path) != _base(two.path))
                found.append((strange, one.path, two.path, gone, come))
    return found


def _base(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _same_name(
    removed: Sequence[Document],
    added: Sequence[Document],
    taken: set[int],
    paired: set[int],
    lines: Lines,
) -> list[Candidate]:
    by_name: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for index, one in enumerate(removed):
        if index not in taken and not one.named_by_path:
            by_name[one.kind, one.namespace, one.name].append(index)
    return [
        (1 - _likeness(removed[gone], two, lines), removed[gone].path, two.path, gone, come)
        for come, two in enumerate(added)
        if come not in paired and not two.named_by_path
        for gone in by_name.get((two.kind, two.namespace, two.name), ())
        if removed[gone].path != two.path or removed[gone].api_group != two.api_group
    ]


def _close(
    removed: Sequence[Document],
    added: Sequence[Document],
    taken: set[int],
    paired: set[int],
    lines: Lines,
) -> list[Candidate]:
    left = [index for index, one in enumerate(removed) if index not in taken and one.named_by_path]
    right = [index for index, one in enumerate(added) if index not in paired and one.named_by_path]
    found: list[Candidate] = []
    for come in right:
        for gone in left:
            one, two = removed[gone], added[come]
            if one.kind == two.kind and one.path != two.path:
                likeness = _likeness(one, two, lines)
                if likeness >= CLOSE_ENOUGH:
                    found.append((1 - likeness, one.path, two.path, gone, come))
    return found


def _likeness(one: Document, two: Document, lines: Lines) -> float:
    """The share of lines in common, 0 to 1, of the longer one."""
    left, right = lines(one), lines(two)
    most = max(left.total(), right.total())
    return (left & right).total() / most if most else 0.0
