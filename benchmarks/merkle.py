"""What the tree costs beside hashing the entries. Time of one core, the best of some runs."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

from benchmarks._figures import Bar, Figure
from benchmarks._places import Place
from ledger.merkle import Rebuilder, extend, leaf_hash

LEAVES = 200_000
ENTRY_SIZE = 330  # a typical event
RUNS = 5


def measure(_: Place) -> list[Figure]:
    """Three rows: leaves a second, and how many times as long as hashing the entries alone."""
    entries = [number.to_bytes(ENTRY_SIZE, "big") for number in range(LEAVES)]
    leaves = [leaf_hash(entry) for entry in entries]
    alone = _seconds(lambda: [leaf_hash(entry) for entry in entries])
    measured = {
        "the tree: extend, in batches of 1,000": _seconds(lambda: _append(leaves, 1_000)),
        "the tree: extend, in batches of 10,000": _seconds(lambda: _append(leaves, 10_000)),
        "the tree: rebuild": _seconds(lambda: _rebuild(leaves)),
    }
    peer = f"hashing entries of {ENTRY_SIZE} bytes: {LEAVES / alone:,.0f}/s"
    return [
        Figure(what, f"{LEAVES / spent:,.0f}/s", peer, f"{spent / alone:.2f} times", str(Bar()))
        for what, spent in measured.items()
    ]


def _seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(RUNS):
        started = process_time()
        work()
        best = min(best, process_time() - started)
    return best


def _append(leaves: list[bytes], batch: int) -> None:
    """As a store does it: only the edge of the tiles is read again."""
    tiles: dict[tuple[int, int], bytes] = {}
    for size in range(0, len(leaves), batch):
        tiles.update(extend(size, tiles, leaves[size : size + batch]).tiles)


def _rebuild(leaves: list[bytes]) -> None:
    """As verification does it: each full tile is given out to be compared."""
    rebuilder = Rebuilder(lambda *_: None)
    for leaf in leaves:
        rebuilder.add(leaf)
    rebuilder.head()
