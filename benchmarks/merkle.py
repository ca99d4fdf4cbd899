"""What the tree costs beside hashing the entries: leaves per second, and as a ratio.

Run `python -m benchmarks.merkle`. Figures are of one core's time, the best of some runs; ratios
travel between machines, leaves per second do not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import process_time

from ledger.merkle import Rebuilder, extend, leaf_hash

LEAVES = 200_000
ENTRY_SIZE = 330  # a typical event
RUNS = 5


def seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(RUNS):
        started = process_time()
        work()
        best = min(best, process_time() - started)
    return best


def append(leaves: list[bytes], batch: int) -> None:
    """As a store does it: only the edge of the tiles is read again."""
    tiles: dict[tuple[int, int], bytes] = {}
    for size in range(0, len(leaves), batch):
        tiles.update(extend(size, tiles, leaves[size : size + batch]).tiles)


def rebuild(leaves: list[bytes]) -> None:
    """As verification does it: each full tile is given out to be compared."""
    rebuilder = Rebuilder(lambda *_: None)
    for leaf in leaves:
        rebuilder.add(leaf)
    rebuilder.head()


def main() -> None:
    entries = [number.to_bytes(ENTRY_SIZE, "big") for number in range(LEAVES)]
    leaves = [leaf_hash(entry) for entry in entries]
    alone = seconds(lambda: [leaf_hash(entry) for entry in entries])
    measured = {
        f"leaf hashing alone, {ENTRY_SIZE} bytes": alone,
        "extend, batches of 1,000": seconds(lambda: append(leaves, 1_000)),
        "extend, batches of 10,000": seconds(lambda: append(leaves, 10_000)),
        "rebuild": seconds(lambda: rebuild(leaves)),
    }
    sys.stdout.write(f"{'':36}{'leaves/s':>12}{'ratio':>8}\n")
    for name, spent in measured.items():
        sys.stdout.write(f"{name:36}{LEAVES / spent:>12,.0f}{alone / spent:>8.2f}\n")


if __name__ == "__main__":
    main()
