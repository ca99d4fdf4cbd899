"""Compares a log, while it is re-hashed, with the tree heads that others hold of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ledger.anchors import Held
from ledger.merkle import HASH_SIZE, TILE_WIDTH, Rebuilder
from ledger.verify.findings import Finding

ReadHashes = Callable[[int], bytes]  # the hashes of events that the log now has in one tile


class Holding:
    """The heads held outside, smallest first. `next_size` is where the next one is to be compared."""

    def __init__(self, held: Sequence[Held], hashes: ReadHashes) -> None:
        self._left = sorted(held, key=lambda one: one.head.size)
        self._hashes = hashes
        self._agreed_size = 0
        self.agreed: list[Held] = []

    @property
    def next_size(self) -> int:
        return self._left[0].head.size if self._left else -1

    def compare(self, rebuilder: Rebuilder) -> Iterator[Finding]:
        """Compares what is held of the size reached. Costs one root."""
        now = rebuilder.head()
        while self._left and self._left[0].head.size == now.size:
            one = self._left.pop(0)
            if one.head == now:
                self.agreed.append(one)
                self._agreed_size = now.size
                continue
            yield Finding(
                self._first_difference(one, now.size),
                f"from here on the log is not the one that {one.name} holds the tree head of "
                f"(size {one.head.size}, root {one.head.root.hex()})",
            )

    def end(self, size: int) -> Iterator[Finding]:
        """What is held of a longer log than there is."""
        for one in self._left:
            at = self._first_difference(one, size) if one.tiles else size
            lost = one.head.size - size
            before = "" if one.tiles else "; it does not tell whether those before are as they were"
            yield Finding(
                at,
                f"the log ends at size {size}, and {one.name} holds the tree head of size "
                f"{one.head.size}: {lost:,} event{'s are' if lost > 1 else ' is'} missing{before}",
            )
        self._left.clear()

    def _first_difference(self, one: Held, size: int) -> int:
        """The first event that differs where tiles are held, else the first that may."""
        if one.tiles is None:
            return self._agreed_size
        for number in range(self._agreed_size // TILE_WIDTH, -(-size // TILE_WIDTH)):
            theirs, ours = one.hashes(number), self._hashes(number)
            for at in range(0, min(size - number * TILE_WIDTH, TILE_WIDTH) * HASH_SIZE, HASH_SIZE):
                if theirs[at : at + HASH_SIZE] != ours[at : at + HASH_SIZE]:
                    return number * TILE_WIDTH + at // HASH_SIZE
        return size
