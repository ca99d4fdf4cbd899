"""The Merkle tree of the log: RFC 6962 hashes, kept in the tiles of C2SP tlog-tiles.

The tree (RFC 6962 §2.1, unchanged in RFC 9162). With D[n] the first n entries:

    MTH({})   = SHA-256()
    MTH({d})  = SHA-256(0x00 || d)
    MTH(D[n]) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n])),  k the largest power of two < n

The two prefixes stop an inner node from being passed off as an entry. The split at a power of two
makes everything else cheap: a perfect subtree (2^h leaves from a multiple of 2^h on) is the same
in every larger tree, so it is hashed once and kept for ever. A tree of n leaves is its *peaks*, the
perfect subtrees that the binary digits of n spell, hashed together from the right:

    n = 11 = 8 + 2 + 1                      root
                                           /    \\
                                       [0,8)     o
                                               /   \\
                                          [8,10)   [10,11)

The tiles (https://c2sp.org/tlog-tiles). Of the tree's rows only every eighth is kept: level 0 is
the row of leaf hashes, level l the row of roots of perfect subtrees of 256^l leaves. Each row is
cut into tiles of 256 hashes of 32 bytes; hash i of tile n at level l is

    MTH(D[(n * 256 + i) * 256^l : (n * 256 + i + 1) * 256^l])

so a hash appears at level l + 1 exactly when the tile below it is full, and the rows in between
are hashed again when needed: at most 255 node hashes a tile. An entry costs 32.1 bytes of tiles.

The edge. The last tile of level l is partial, floor(size / 256^l) mod 256 hashes wide; where that
is 0 there is none. These tiles, one a level at most, hold all the peaks, hence the root, and are
all that an append reads. Appending lengthens partial tiles and starts new ones; a full tile never
changes. So whoever asks about an older, smaller tree may be handed tiles that have grown since:
of each tile the hashes that count at `size` are used and the rest ignored.

The proofs. An inclusion proof is the siblings from leaf to root; a consistency proof is the fewest
nodes from which both the old root and the new can be made. Verifying needs no tiles and no trust
in whoever made the proof. From size 0 any tree would do, so no such proof is made or accepted.

Nothing here stores, signs or reads a clock; tiles are read through a `ReadTile` that is passed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias

from ledger.errors import IntegrityError, NotFoundError, UsageError

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
HASH_SIZE: Final = 32
EMPTY_ROOT: Final = sha256().digest()
ENTRIES: Final = -1  # the level of entry bundles, in paths alone

TileKey: TypeAlias = tuple[int, int]  # level, number
# Returns the stored bytes of one tile. Asked only for tiles that exist at the size in question, and
# once for each in one call. What it raises is passed on.
ReadTile: TypeAlias = Callable[[int, int], bytes]
_ReadRow: TypeAlias = Callable[[int, int], list[bytes]]


@dataclass(frozen=True, slots=True)
class TreeHead:
    """What a whole log comes down to: how many entries, and the hash that commits to them all."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Extension:
    """What an append changes: every tile begun or lengthened, in full, and the new head."""

    tiles: dict[TileKey, bytes]
    head: TreeHead


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry's bytes. One SHA-256."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees side by side. One SHA-256."""
    return sha256(b"\x01" + left + right).digest()


def edge_tiles(size: int) -> list[tuple[int, int, int]]:
    """(level, number, width) of each partial tile of a log of `size`, lowest level first.

    They are all that `extend` and `root_from_tiles` read: at most one a level.
    """
    return [
        (level, size >> TILE_HEIGHT * (level + 1), width)
        for level in range(size.bit_length() // TILE_HEIGHT + 1)
        if (width := (size >> TILE_HEIGHT * level) % TILE_WIDTH)
    ]


def extend(
    size: int, edge: Mapping[TileKey, bytes] | ReadTile, leaf_hashes: Sequence[bytes]
) -> Extension:
    """Append leaves to a log of `size`; however they are batched, tiles and head are the same.

    Reads each of `edge_tiles(size)` once and nothing else. Costs one node hash a leaf and up to 255
    a level to hash the edge again, so batches of 1,000 or more are cheap. That the edge belongs to
    the recorded root is for the caller to know (`root_from_tiles`). Here only its length is judged:
    a tile longer than `size` allows means that the log has grown since `size` was read, and to go
    on would fork it.
    """
    _check_hashes(f"Leaves from {size} on", leaf_hashes)
    read = edge if callable(edge) else lambda *key: edge.get(key, b"")
    tiles: dict[TileKey, bytes] = {}
    row, root = list(leaf_hashes), b""
    level, before = 0, size
    while before or row:
        number, width = divmod(before, TILE_WIDTH)
        old = _row(size, level, number, read(level, number), exact=True) if width else []
        if row:
            row = old + row
            for at in range(0, len(row), TILE_WIDTH):
                tiles[level, number + at // TILE_WIDTH] = b"".join(row[at : at + TILE_WIDTH])
        row, root = _reduce(row or old, root)
        level, before = level + 1, number
    return Extension(tiles, TreeHead(size + len(leaf_hashes), root or EMPTY_ROOT))


def root_from_tiles(size: int, read_tile: ReadTile) -> bytes:
    """The root of a log of `size`, from its partial tiles alone: at most one read a level."""
    return _range_root(0, size, _reader(size, read_tile)) or EMPTY_ROOT


def inclusion_proof(index: int, size: int, read_tile: ReadTile) -> list[bytes]:
    """Siblings from leaf `index` up to the root of the log of `size`: RFC 6962's PATH(m, D[n]).

    At most ⌈log₂ size⌉ hashes. Reads at most two tiles a level: the leaf's own and the edge's.
    """
    if not 0 <= index < size:
        raise NotFoundError(f"There is no entry {index} in a log of {size} entries.")
    siblings, _ = _siblings(index, 0, size, _reader(size, read_tile))
    return siblings[::-1]


def consistency_proof(old: int, new: int, read_tile: ReadTile) -> list[bytes]:
    """The nodes that show the log of `new` to begin with that of `old`: RFC 6962's PROOF(m, D[n]).

    At most ⌈log₂ new⌉ + 1 hashes, none when the sizes are equal. Reads at most two tiles a level.
    """
    if old <= 0:
        raise UsageError(
            "A consistency proof from an empty log proves nothing: every log extends it.",
            hint="Ask for one from a size of 1 or more.",
        )
    if old > new:
        raise UsageError(f"A log of {new} entries cannot extend one of {old}.")
    read = _reader(new, read_tile)
    siblings, begin = _siblings(old - 1, old, new, read)
    if begin:  # at 0 that subtree is the whole old tree, and the verifier has its root
        siblings.append(_range_root(begin, old, read))
    return siblings[::-1]


def verify_inclusion(leaf: bytes, index: int, head: TreeHead, proof: Sequence[bytes]) -> None:
    """Return if `leaf` (a leaf hash) is entry `index` of the log with that head, else raise.

    One node hash for each hash of the proof. Any input is safe; a proof has just one valid length.
    Size and root must come from one signed head: a root alone does not fix the size.
    """
    what = f"Inclusion proof of entry {index} in the log of {head.size} entries"
    if not 0 <= index < head.size:
        raise IntegrityError(f"{what}: there is no such entry in that log.")
    count, sides = _path_shape(index, head.size)
    _check_proof(what, proof, count)
    _check_hashes(what, (leaf, head.root))
    _check_root(what, _climb(leaf, sides, proof), head.root)


def verify_consistency(old: TreeHead, new: TreeHead, proof: Sequence[bytes]) -> None:
    """Return if the log with head `new` begins with the whole log with head `old`, else raise.

    At most two node hashes for each hash of the proof. Any input is safe. Equal sizes need equal
    roots and an empty proof; an old size of 0 is refused, for the empty log begins every log.
    """
    what = f"Consistency proof from {old.size} to {new.size} entries"
    if not 0 < old.size <= new.size:
        raise IntegrityError(f"{what}: no proof can show that.")
    _check_hashes(what, (old.root, new.root))
    if old.size == new.size:
        _check_proof(what, proof, 0)
        _check_root(what, old.root, new.root)
        return
    # The proof is the path from the old log's last peak up to the new root. It begins with that
    # peak, unless the peak is the whole old log: then the old root stands in for it.
    height = (old.size & -old.size).bit_length() - 1
    index = (old.size - 1) >> height
    count, sides = _path_shape(index, ((new.size - 1) >> height) + 1)
    _check_proof(what, proof, count + (index > 0))
    peak, *path = proof if index else (old.root, *proof)
    # What lies left of the path was there before; what lies right of it came since.
    before = [sibling for bit, sibling in enumerate(path) if sides >> bit & 1]
    _check_root(f"{what}, old log", _climb(peak, -1, before), old.root)
    _check_root(f"{what}, new log", _climb(peak, sides, path), new.root)


class Rebuilder:
    """Builds a log's tiles and heads again from its leaf hashes, one by one.

    Keeps at most 255 hashes a level, whatever the size. `on_tile(level, number, data)` is called
    with each tile as it fills, lower level first; those and `edge()` together are exactly the tiles
    of a log of that size. What `on_tile` raises is passed on, and ends the rebuilding.
    """

    def __init__(self, on_tile: Callable[[int, int, bytes], None] | None = None) -> None:
        self._on_tile = on_tile
        self._rows: list[list[bytes]] = [[]]
        self._leaves = self._rows[0]
        self._full = 0  # full tiles of level 0

    @property
    def size(self) -> int:
        return self._full * TILE_WIDTH + len(self._leaves)

    def add(self, leaf: bytes) -> None:
        """Add the next leaf hash. About one node hash, spent when a tile fills."""
        if len(leaf) != HASH_SIZE:
            _check_hashes(f"Leaf {self.size}", (leaf,))
        leaves = self._leaves
        leaves.append(leaf)
        if len(leaves) == TILE_WIDTH:
            self._full += 1
            self._close_full_tiles()

    def head(self) -> TreeHead:
        """The tree head so far; adding may go on. At most 255 node hashes a level."""
        root = b""
        for row in self._rows:
            _, root = _reduce(row, root)
        return TreeHead(self.size, root or EMPTY_ROOT)

    def edge(self) -> dict[TileKey, bytes]:
        """The partial tiles so far, those of `edge_tiles(size)`. Hashes nothing."""
        return {
            (level, self._full >> TILE_HEIGHT * level): b"".join(row)
            for level, row in enumerate(self._rows)
            if row
        }

    def _close_full_tiles(self) -> None:
        level = 0
        while len(row := self._rows[level]) == TILE_WIDTH:
            if self._on_tile is not None:
                number = (self._full >> TILE_HEIGHT * level) - 1
                self._on_tile(level, number, b"".join(row))
            roots, _ = _reduce(row, b"")
            row.clear()
            level += 1
            if level == len(self._rows):
                self._rows.append([])
            self._rows[level] += roots


def tile_path(level: int, number: int, width: int = TILE_WIDTH) -> str:
    """Where tlog-tiles serves a tile, below the log's prefix: `tile/0/x001/x234/067.p/112`.

    Level `ENTRIES` gives the bundle of the entries themselves.
    """
    if not (ENTRIES <= level <= 63 and number >= 0 and 0 < width <= TILE_WIDTH):
        raise ValueError(f"no tile has level {level}, number {number} and width {width}")
    path = f"{number % 1000:03}"
    while number := number // 1000:
        path = f"x{number % 1000:03}/{path}"
    partial = f".p/{width}" if width < TILE_WIDTH else ""
    return f"tile/{'entries' if level == ENTRIES else level}/{path}{partial}"


_PATH = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?")


def parse_tile_path(path: str) -> tuple[int, int, int]:
    """(level, number, width) of a path made by `tile_path`; no other spelling is accepted."""
    if match := _PATH.fullmatch(path):
        name, groups, partial = match.groups()
        level = ENTRIES if name == "entries" else int(name)
        number = int(groups.replace("x", "").replace("/", ""))
        width = int(partial) if partial else TILE_WIDTH
        if level <= 63 and 0 < width <= TILE_WIDTH and tile_path(level, number, width) == path:
            return level, number, width
    raise UsageError(f"{path!r} is no tile's path.", hint="One reads tile/0/x001/x234/067.p/112.")


def _reduce(row: list[bytes], right: bytes) -> tuple[list[bytes], bytes]:
    """Hash a row of one level, from the start of a tile on, up to the row of the next level.

    Returns the roots of its full tiles, and the root of what is left over together with `right`:
    the root of all that lies to the right of the row, or empty.
    """
    for _ in range(TILE_HEIGHT):
        if len(row) & 1:
            right = node_hash(row[-1], right) if right else row[-1]
        # `zip` drops the last hash of an odd row. Calling `node_hash` here would cost a tenth more.
        pairs = iter(row)
        row = [sha256(b"\x01" + a + b).digest() for a, b in zip(pairs, pairs, strict=False)]
    return row, right


def _siblings(leaf: int, until: int, size: int, read: _ReadRow) -> tuple[list[bytes], int]:
    """What lies beside the path from the root down to `leaf`, topmost first, and where it ends.

    It ends at the subtree whose last leaf comes just before `until`, or else at the leaf itself.
    """
    siblings = []
    begin, end = 0, size
    while end - begin > 1 and end != until:
        middle = begin + (1 << (end - begin - 1).bit_length() - 1)
        if leaf < middle:
            siblings.append(_range_root(middle, end, read))
            end = middle
        else:
            siblings.append(_range_root(begin, middle, read))
            begin = middle
    return siblings, begin


def _range_root(begin: int, end: int, read: _ReadRow) -> bytes:
    """The root of leaves [begin, end), peak by peak from the right; empty for no leaves.

    `begin` must be a multiple of a power of two that is no less than `end - begin`.
    """
    root = b""
    while begin < end:
        span = (end - begin) & (begin - end)
        end -= span
        level, rest = divmod(span.bit_length() - 1, TILE_HEIGHT)
        number, first = divmod(end // span << rest, TILE_WIDTH)
        _, root = _reduce(read(level, number)[first : first + (1 << rest)], root)
    return root


def _reader(size: int, read_tile: ReadTile) -> _ReadRow:
    """Tiles as a log of `size` has them: each read once, checked, cut to the hashes that count."""
    rows: dict[TileKey, list[bytes]] = {}

    def read(level: int, number: int) -> list[bytes]:
        if (level, number) not in rows:
            rows[level, number] = _row(size, level, number, read_tile(level, number))
        return rows[level, number]

    return read


def _row(size: int, level: int, number: int, data: bytes, exact: bool = False) -> list[bytes]:
    width = min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - number * TILE_WIDTH)
    needed = width * HASH_SIZE
    if len(data) < needed or len(data) % HASH_SIZE or (exact and len(data) > needed):
        raise IntegrityError(
            f"{tile_path(level, number, width)} of the log of {size} entries has {len(data)} bytes "
            f"instead of {needed}.",
            hint="The tile was damaged or lost, or the log has another size than was read.",
        )
    return [data[start : start + HASH_SIZE] for start in range(0, needed, HASH_SIZE)]


def _path_shape(index: int, size: int) -> tuple[int, int]:
    """How many siblings a leaf's path has, and the side of each: bit i set means the left one.

    The bits of `index` say so until the path meets that of the last leaf. From there on it is the
    tree's right border, where siblings are on the left and exist only for the bits that are set.
    """
    inner = (index ^ (size - 1)).bit_length()
    return inner + (index >> inner).bit_count(), index | -1 << inner


def _climb(node: bytes, sides: int, siblings: Sequence[bytes]) -> bytes:
    for bit, sibling in enumerate(siblings):
        node = node_hash(sibling, node) if sides >> bit & 1 else node_hash(node, sibling)
    return node


def _check_proof(what: str, proof: Sequence[bytes], count: int) -> None:
    if len(proof) != count:
        raise IntegrityError(f"{what}: it has {len(proof)} hashes where {count} are needed.")
    _check_hashes(what, proof)


def _check_hashes(what: str, hashes: Sequence[bytes]) -> None:
    if wrong := set(map(len, hashes)) - {HASH_SIZE}:
        raise IntegrityError(f"{what}: a hash has {min(wrong)} bytes instead of {HASH_SIZE}.")


def _check_root(what: str, computed: bytes, expected: bytes) -> None:
    if computed != expected:
        raise IntegrityError(
            f"{what}: it leads to root {computed.hex()}, not to {expected.hex()}.",
            hint="The entry, the proof or the tree head is not what was recorded.",
        )
