"""The tree is RFC 6962's, its tiles are tlog-tiles', and nothing forged is accepted."""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import merkle
from ledger.errors import IntegrityError, NotFoundError, UsageError
from ledger.merkle import (
    EMPTY_ROOT,
    ENTRIES,
    ReadTile,
    Rebuilder,
    TileKey,
    TreeHead,
    consistency_proof,
    edge_tiles,
    extend,
    inclusion_proof,
    leaf_hash,
    node_hash,
    parse_tile_path,
    root_from_tiles,
    tile_path,
    verify_consistency,
    verify_inclusion,
)

Tiles = dict[TileKey, bytes]

SIZES = 320
LEAVES = [leaf_hash(b"entry %d" % number) for number in range(SIZES)]


# The standard as it is written, over LEAVES and without tiles: slow, obvious, and nothing shared
# with the module under test.


@cache
def mth(begin: int, end: int) -> bytes:
    if begin == end:
        return sha256(b"").digest()
    if end - begin == 1:
        return LEAVES[begin]
    middle = begin + split(end - begin)
    return sha256(b"\x01" + mth(begin, middle) + mth(middle, end)).digest()


def split(length: int) -> int:
    k = 1
    while k * 2 < length:
        k *= 2
    return k


def path(m: int, begin: int, end: int) -> list[bytes]:
    if end - begin == 1:
        return []
    k = split(end - begin)
    if m < k:
        return [*path(m, begin, begin + k), mth(begin + k, end)]
    return [*path(m - k, begin + k, end), mth(begin, begin + k)]


def subproof(m: int, begin: int, end: int, complete: bool) -> list[bytes]:
    if m == end - begin:
        return [] if complete else [mth(begin, end)]
    k = split(end - begin)
    if m <= k:
        return [*subproof(m, begin, begin + k, complete), mth(begin + k, end)]
    return [*subproof(m - k, begin + k, end, False), mth(begin, begin + k)]


def head(size: int) -> TreeHead:
    return TreeHead(size, mth(0, size))


def expected_tiles(size: int) -> Tiles:
    """Each tile of a log of `size` by the definition in tlog-tiles."""
    tiles = {}
    level, span = 0, 1
    while size // span:
        for number in range(-(-(size // span) // merkle.TILE_WIDTH)):
            first = number * merkle.TILE_WIDTH
            last = min(first + merkle.TILE_WIDTH, size // span)
            tiles[level, number] = b"".join(
                mth(at * span, (at + 1) * span) for at in range(first, last)
            )
        level, span = level + 1, span * merkle.TILE_WIDTH
    return tiles


def reader(tiles: Tiles) -> ReadTile:
    return lambda level, number: tiles[level, number]


class Reads:
    """Reads tiles as a log of `size` may: only those it has, and each of them once."""

    def __init__(self, tiles: Tiles, size: int) -> None:
        self.tiles, self.size, self.seen = tiles, size, list[TileKey]()

    def __call__(self, level: int, number: int) -> bytes:
        assert number << merkle.TILE_HEIGHT * (level + 1) < self.size
        assert (level, number) not in self.seen
        self.seen.append((level, number))
        return self.tiles[level, number]

    @property
    def most_in_a_level(self) -> int:
        levels = [level for level, _ in self.seen]
        return max(map(levels.count, levels), default=0)


@pytest.fixture(params=[8, 2], ids=["real tiles", "small tiles"])
def tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Tiles:
    """All tiles of a log of SIZES entries; tiles of four hashes reach five levels."""
    monkeypatch.setattr(merkle, "TILE_HEIGHT", request.param)
    monkeypatch.setattr(merkle, "TILE_WIDTH", 1 << request.param)
    return extend(0, {}, LEAVES).tiles


def build(leaves: list[bytes], batches: list[int]) -> tuple[Tiles, TreeHead]:
    """Append the leaves in batches of these lengths, then the rest at once."""
    tiles: Tiles = {}
    size = 0
    for length in [*batches, len(leaves)]:
        extension = extend(size, tiles, leaves[size : size + length])
        tiles.update(extension.tiles)
        size = extension.head.size
    return tiles, TreeHead(size, root_from_tiles(size, reader(tiles)))


# Hashes, tiles and roots.

REFERENCE_LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
REFERENCE_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_the_reference_leaves_of_certificate_transparency_have_the_known_roots() -> None:
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in REFERENCE_LEAVES]
    roots = [extend(0, {}, leaves[:size]).head.root.hex() for size in range(9)]
    assert roots == REFERENCE_ROOTS
    assert EMPTY_ROOT.hex() == REFERENCE_ROOTS[0]


def test_an_inner_node_cannot_be_passed_off_as_an_entry() -> None:
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)


def test_every_size_has_the_tiles_and_the_root_of_the_standard(tiles: Tiles) -> None:
    """Also when the tiles that are read have grown since."""
    for size in range(SIZES + 1):
        extension = extend(0, {}, LEAVES[:size])
        assert extension.head == head(size)
        assert extension.tiles == expected_tiles(size)
        assert root_from_tiles(size, Reads(tiles, size)) == mth(0, size)


def test_the_edge_is_the_partial_tiles_and_all_that_an_append_reads(tiles: Tiles) -> None:
    for size in range(SIZES + 1):
        expected = expected_tiles(size)
        edge = edge_tiles(size)
        partial = {key: len(data) // 32 for key, data in expected.items()}
        partial = {key: width for key, width in partial.items() if width < merkle.TILE_WIDTH}
        assert {(level, number): width for level, number, width in edge} == partial
        for added in (0, 1):
            reads = Reads(expected, size)
            extend(size, reads, LEAVES[:added])
            assert reads.seen == [(level, number) for level, number, _ in edge]
        reads = Reads(tiles, size)
        assert root_from_tiles(size, reads) == mth(0, size)
        assert sorted(reads.seen) == [(level, number) for level, number, _ in edge]


def test_tiles_only_ever_extend(tiles: Tiles) -> None:
    """One leaf at a time: the tiles given back are those that changed, longer by whole hashes."""
    stored: Tiles = {}
    for size, leaf in enumerate(LEAVES):
        before = dict(stored)
        extension = extend(size, stored, [leaf])
        assert (0, size // merkle.TILE_WIDTH) in extension.tiles
        for key, data in extension.tiles.items():
            old = before.get(key, b"")
            assert data.startswith(old)
            assert len(data) == len(old) + 32
        stored.update(extension.tiles)
        assert extension.head == head(size + 1)
    assert stored == tiles


def test_appending_nothing_changes_nothing() -> None:
    for size in range(SIZES + 1):
        extension = extend(size, expected_tiles(size), [])
        assert extension.tiles == {}
        assert extension.head == head(size)


@given(st.lists(st.integers(0, 300), max_size=12), st.sampled_from([8, 2]))
def test_any_split_into_batches_gives_the_same_tiles(batches: list[int], height: int) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(merkle, "TILE_HEIGHT", height)
        monkeypatch.setattr(merkle, "TILE_WIDTH", 1 << height)
        assert build(LEAVES, batches) == (extend(0, {}, LEAVES).tiles, head(SIZES))


def many_leaves(count: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(8, "big")) for number in range(count)]


@pytest.fixture(scope="module")
def large() -> tuple[list[bytes], Tiles, TreeHead]:
    """The log of 70,000 entries that tlog-tiles takes as its example."""
    leaves = many_leaves(70_000)
    tiles, large_head = build(leaves, [1, 255, 256, 1_000, 10_000, 54_023, 1, 3_000])
    return leaves, tiles, large_head


def test_70_000_entries_have_the_tiles_that_the_format_names(
    large: tuple[list[bytes], Tiles, TreeHead],
) -> None:
    leaves, tiles, large_head = large
    assert edge_tiles(70_000) == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    widths = {key: len(data) // 32 for key, data in tiles.items()}
    full = {(0, number): 256 for number in range(273)} | {(1, 0): 256}
    assert widths == full | {(0, 273): 112, (1, 1): 17, (2, 0): 1}
    assert extend(0, {}, leaves).tiles == tiles
    assert extend(0, {}, leaves).head == large_head


def test_256_entries_are_one_full_tile_and_one_hash_above_it() -> None:
    assert edge_tiles(256) == [(1, 0, 1)]
    tiles = extend(0, {}, LEAVES[:256]).tiles
    assert {key: len(data) for key, data in tiles.items()} == {(0, 0): 8192, (1, 0): 32}


@pytest.mark.parametrize("size", [256, 257, 65_535, 65_536, 65_537, 69_999, 70_000])
def test_proofs_hold_where_levels_begin(
    large: tuple[list[bytes], Tiles, TreeHead], size: int
) -> None:
    leaves, tiles, _ = large
    new = TreeHead(size, root_from_tiles(size, Reads(tiles, size)))
    assert new == extend(0, {}, leaves[:size]).head
    others = [0, 1, 254, 255, 256, 32_767, 32_768, 65_279, 65_280, 65_535, 65_536, 69_888, size - 1]
    for index in {other for other in others if other < size}:
        reads = Reads(tiles, size)
        verify_inclusion(leaves[index], index, new, inclusion_proof(index, size, reads))
        assert reads.most_in_a_level <= 2
        old = TreeHead(index + 1, root_from_tiles(index + 1, reader(tiles)))
        proof = consistency_proof(old.size, size, reads := Reads(tiles, size))
        assert reads.most_in_a_level <= 2
        verify_consistency(old, new, proof)


# Proofs.


def test_every_inclusion_proof_is_that_of_the_standard_and_holds(tiles: Tiles) -> None:
    for size in range(1, 65):
        for index in range(size):
            reads = Reads(tiles, size)
            proof = inclusion_proof(index, size, reads)
            assert proof == path(index, 0, size)
            assert len(proof) <= (size - 1).bit_length()
            assert reads.most_in_a_level <= 2
            verify_inclusion(LEAVES[index], index, head(size), proof)


def test_every_consistency_proof_is_that_of_the_standard_and_holds(tiles: Tiles) -> None:
    for new in range(1, 65):
        for old in range(1, new + 1):
            reads = Reads(tiles, new)
            proof = consistency_proof(old, new, reads)
            assert proof == subproof(old, 0, new, True)
            assert len(proof) <= (new - 1).bit_length() + 1
            assert reads.most_in_a_level <= 2
            verify_consistency(head(old), head(new), proof)


def test_proofs_hold_at_every_size(tiles: Tiles) -> None:
    """The largest log against every position in it and every log before it."""
    for index in range(SIZES):
        proof = inclusion_proof(index, SIZES, reader(tiles))
        assert proof == path(index, 0, SIZES)
        verify_inclusion(LEAVES[index], index, head(SIZES), proof)
        proof = consistency_proof(index + 1, SIZES, reader(tiles))
        assert proof == subproof(index + 1, 0, SIZES, True)
        verify_consistency(head(index + 1), head(SIZES), proof)


def test_there_is_no_proof_of_what_is_not_there(tiles: Tiles) -> None:
    for index in (-1, 5, 6):
        with pytest.raises(NotFoundError, match="no entry"):
            inclusion_proof(index, 5, reader(tiles))
    with pytest.raises(UsageError, match="cannot extend"):
        consistency_proof(6, 5, reader(tiles))


@pytest.mark.parametrize("new", [0, 1, 5])
def test_a_consistency_proof_from_nothing_is_neither_made_nor_accepted(new: int) -> None:
    with pytest.raises(UsageError, match="proves nothing"):
        consistency_proof(0, new, reader({}))
    with pytest.raises(IntegrityError, match="no proof"):
        verify_consistency(head(0), head(new), [])


# Forgeries.


def flipped(value: bytes) -> bytes:
    """With one bit changed, a different one for each hash."""
    return (int.from_bytes(value, "big") ^ 1 << value[0]).to_bytes(32, "big")


def forgeries(proof: list[bytes]) -> Iterator[list[bytes]]:
    for at, value in enumerate(proof):
        yield [*proof[:at], flipped(value), *proof[at + 1 :]]
        yield [*proof[:at], *proof[at + 1 :]]
        yield [*proof[:at], value[:-1], *proof[at + 1 :]]
        yield [*proof[:at], value + b"\0", *proof[at + 1 :]]
        yield [*proof[:at], value, *proof[at:]]
    yield [*proof, b""]
    yield [*proof, EMPTY_ROOT]
    for at, (one, other) in enumerate(pairwise(proof)):
        yield [*proof[:at], other, one, *proof[at + 2 :]]
        yield [*proof[:at], one + other, *proof[at + 2 :]]


def fails(verify: Callable[..., None], *arguments: object) -> bool:
    try:
        verify(*arguments)
    except IntegrityError:
        return True
    return False


def test_a_forged_inclusion_proof_fails() -> None:
    tree = reader(expected_tiles(SIZES))
    for size in range(1, 24):
        for index in range(size):
            leaf, proof = LEAVES[index], inclusion_proof(index, size, tree)
            true = head(size)
            for forged in forgeries(proof):
                assert fails(verify_inclusion, leaf, index, true, forged)
            for other in (LEAVES[index + 1], flipped(leaf), leaf[:-1], leaf + b"\0", b""):
                assert fails(verify_inclusion, other, index, true, proof)
            for root in (flipped(true.root), true.root[:-1], b"", EMPTY_ROOT):
                assert fails(verify_inclusion, leaf, index, TreeHead(size, root), proof)
            for other_index in {*range(-2, 2 * size)} - {index}:
                assert fails(verify_inclusion, leaf, other_index, true, proof)
            for other_size in {*range(2 * size)} - {size}:
                assert fails(verify_inclusion, leaf, index, head(other_size), proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 0), (-1, 1), (1, 1), (5, 5), (6, 5)])
def test_a_position_outside_the_log_is_refused_whatever_the_proof(index: int, size: int) -> None:
    with pytest.raises(IntegrityError, match="there is no such entry"):
        verify_inclusion(LEAVES[0], index, head(size), [])


def test_a_forged_consistency_proof_fails() -> None:
    tree = reader(expected_tiles(SIZES))
    for new in range(1, 24):
        for old in range(1, new + 1):
            proof = consistency_proof(old, new, tree)
            before, after = head(old), head(new)
            for forged in forgeries(proof):
                assert fails(verify_consistency, before, after, forged)
            for root in (flipped(before.root), before.root[:-1], b"", EMPTY_ROOT):
                assert fails(verify_consistency, TreeHead(old, root), after, proof)
            for root in (flipped(after.root), after.root[:-1], b"", EMPTY_ROOT):
                assert fails(verify_consistency, before, TreeHead(new, root), proof)
            for other in {*range(-1, 2 * new)} - {old, new}:
                assert fails(verify_consistency, head(max(other, 0)), after, proof)
                assert fails(verify_consistency, before, head(max(other, 0)), proof)
            assert old == new or fails(verify_consistency, after, before, proof)


def test_a_size_that_was_lied_about_fails_where_it_changes_the_path() -> None:
    """Size and root are signed as one; a wrong size beside the right root is found by shape."""
    tree = reader(expected_tiles(SIZES))
    proof = inclusion_proof(4, 5, tree)
    for size in (1, 4, 6, 7, 8, 9, 1 << 70):
        assert fails(verify_inclusion, LEAVES[4], 4, TreeHead(size, mth(0, 5)), proof)


@given(st.integers(1, SIZES), st.integers(1, SIZES), st.lists(st.binary(min_size=32, max_size=32)))
def test_random_proofs_fail_and_nothing_worse(one: int, other: int, proof: list[bytes]) -> None:
    old, new = sorted((one, other))
    assert fails(verify_inclusion, LEAVES[0], old - 1, head(new), [*proof, EMPTY_ROOT])
    assert fails(verify_consistency, head(old), head(new), [*proof, EMPTY_ROOT])


def test_a_failed_proof_says_what_failed() -> None:
    with pytest.raises(IntegrityError) as error:
        verify_inclusion(LEAVES[1], 0, head(1), [])
    assert error.value.message == (
        f"Inclusion proof of entry 0 in the log of 1 entries: it leads to root {LEAVES[1].hex()}, "
        f"not to {LEAVES[0].hex()}."
    )
    with pytest.raises(IntegrityError, match=r"from 3 to 7 .* it has 0 hashes where 4 are needed"):
        verify_consistency(head(3), head(7), [])
    with pytest.raises(IntegrityError, match=r"from 2 to 3 .* new log: it leads to root"):
        verify_consistency(head(2), TreeHead(3, EMPTY_ROOT), [LEAVES[2]])
    with pytest.raises(IntegrityError, match="31 bytes instead of 32"):
        verify_inclusion(LEAVES[0], 0, head(2), [LEAVES[1][1:]])


# Damaged storage.


def test_a_tile_that_is_too_short_is_refused_whoever_reads_it() -> None:
    for cut in (1, 31, 32, 64):
        damaged = {key: data[:-cut] for key, data in expected_tiles(300).items()}
        for read in (
            lambda tree: extend(300, tree, LEAVES[:1]),
            lambda tree: root_from_tiles(300, tree),
            lambda tree: inclusion_proof(299, 300, tree),
            lambda tree: consistency_proof(299, 300, tree),
        ):
            with pytest.raises(IntegrityError, match=r"tile/.* of the log of 300 entries has"):
                read(reader(damaged))


def test_a_tile_that_is_no_whole_number_of_hashes_is_refused() -> None:
    damaged = {key: data + b"\0" for key, data in expected_tiles(300).items()}
    with pytest.raises(IntegrityError, match="bytes instead of"):
        root_from_tiles(300, reader(damaged))


def test_a_log_that_has_grown_is_not_forked() -> None:
    with pytest.raises(IntegrityError, match="has 96 bytes instead of 64"):
        extend(2, expected_tiles(3), LEAVES[2:3])


def test_a_lost_edge_is_refused() -> None:
    with pytest.raises(IntegrityError, match=r"tile/0/000\.p/2 .* has 0 bytes instead of 64"):
        extend(2, {}, LEAVES[2:3])


@pytest.mark.parametrize("leaf", [b"", LEAVES[0][:-1], LEAVES[0] + b"\0"])
def test_a_leaf_that_is_no_hash_is_refused(leaf: bytes) -> None:
    with pytest.raises(IntegrityError, match="instead of 32"):
        extend(0, {}, [*LEAVES[:2], leaf])
    rebuilder = Rebuilder()
    with pytest.raises(IntegrityError, match="Leaf 0"):
        rebuilder.add(leaf)
    assert rebuilder.head() == head(0)


# Rebuilding.


def test_a_rebuild_gives_each_head_and_each_tile(tiles: Tiles) -> None:
    full: Tiles = {}

    def keep(level: int, number: int, data: bytes) -> None:
        assert (level, number) not in full
        assert level == 0 or (level - 1, (number + 1) * merkle.TILE_WIDTH - 1) in full
        full[level, number] = data

    rebuilder = Rebuilder(keep)
    assert rebuilder.head() == head(0)
    for size, leaf in enumerate(LEAVES, 1):
        rebuilder.add(leaf)
        assert rebuilder.size == size
        assert rebuilder.head() == head(size)
        edge = rebuilder.edge()
        assert sorted(edge) == [(level, number) for level, number, _ in edge_tiles(size)]
        assert full | edge == expected_tiles(size)
    assert full | rebuilder.edge() == tiles


def test_a_rebuild_without_a_listener_gives_the_same_head(
    large: tuple[list[bytes], Tiles, TreeHead],
) -> None:
    leaves, _, large_head = large
    rebuilder = Rebuilder()
    for leaf in leaves:
        rebuilder.add(leaf)
    assert rebuilder.head() == large_head


def test_a_rebuild_stops_at_the_tile_that_differs() -> None:
    def compare(level: int, number: int, data: bytes) -> None:
        raise IntegrityError(f"{tile_path(level, number)} differs, {len(data)} bytes")

    rebuilder = Rebuilder(compare)
    for leaf in LEAVES[:255]:
        rebuilder.add(leaf)
    with pytest.raises(IntegrityError, match="tile/0/000 differs, 8192 bytes"):
        rebuilder.add(LEAVES[255])


# Paths.


@pytest.mark.parametrize(
    ("tile", "expected"),
    [
        ((0, 0, 256), "tile/0/000"),
        ((0, 273, 112), "tile/0/273.p/112"),
        ((1, 999, 1), "tile/1/999.p/1"),
        ((63, 1000, 255), "tile/63/x001/000.p/255"),
        ((2, 1_234_067, 256), "tile/2/x001/x234/067"),
        ((ENTRIES, 1_234_067, 8), "tile/entries/x001/x234/067.p/8"),
    ],
)
def test_a_tile_has_one_path(tile: tuple[int, int, int], expected: str) -> None:
    assert tile_path(*tile) == expected
    assert parse_tile_path(expected) == tile


@given(st.integers(-1, 63), st.integers(0, 10**21 - 1), st.integers(1, 256))
def test_a_path_leads_back_to_its_tile(level: int, number: int, width: int) -> None:
    assert parse_tile_path(tile_path(level, number, width)) == (level, number, width)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "tile/0",
        "tile/0/0",
        "tile/0/0000",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/000\n",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/0/x000/001",
        "tile/0/x000/x001/001",
        "tile/0/001/x001",
        "tile/0/001/001",
        "tile/0/X001/001",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/1000",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/٠٠١",
        "tile/0/../000",
        "tile/0/" + "x999/" * 5000 + "999",
    ],
)
def test_no_other_spelling_of_a_path_is_accepted(bad: str) -> None:
    with pytest.raises(UsageError, match="no tile's path"):
        parse_tile_path(bad)


@pytest.mark.parametrize("tile", [(0, 0, 0), (0, 0, 257), (0, -1, 1), (-2, 0, 1), (64, 0, 1)])
def test_a_tile_that_cannot_be_has_no_path(tile: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no tile has"):
        tile_path(*tile)


# Public vectors.


def load(file: Path) -> Any:
    return json.loads(file.read_bytes())


def read_checkpoint(file: Path) -> TreeHead:
    _, size, root, *_ = file.read_text().splitlines()
    return TreeHead(int(size), b64decode(root))


def read_bundle(data: bytes) -> list[bytes]:
    """The entries of an entry bundle: each behind its length in two bytes."""
    entries = []
    while data:
        (length,) = struct.unpack_from(">H", data)
        entries.append(data[2 : 2 + length])
        data = data[2 + length :]
    return entries


def decoded(proof: list[str] | None) -> list[bytes]:
    return [b64decode(value) for value in proof or ()]


def test_the_public_inclusion_vectors_agree(corpus: Path) -> None:
    folder = corpus / "fixtures/merkle/transparency-dev-merkle/testdata/inclusion"
    files = sorted(folder.rglob("*.json"))
    assert len(files) == 98
    for file in files:
        case = load(file)
        claimed = TreeHead(case["treeSize"], b64decode(case["root"]))
        leaf, proof = b64decode(case["leafHash"]), decoded(case["proof"])
        failed = fails(verify_inclusion, leaf, case["leafIdx"], claimed, proof)
        assert failed == case["wantErr"], file


# Its roots have 12 bytes. A verifier that takes those takes anything.
NOT_A_HASH = "sizes-are-equal-one-and-proof-is-empty.json"


def test_the_public_consistency_vectors_agree(corpus: Path) -> None:
    folder = corpus / "fixtures/merkle/transparency-dev-merkle/testdata/consistency"
    files = sorted(folder.rglob("*.json"))
    assert len(files) == 98
    for file in files:
        case = load(file)
        old = TreeHead(case["size1"], b64decode(case["root1"]))
        new = TreeHead(case["size2"], b64decode(case["root2"]))
        failed = fails(verify_consistency, old, new, decoded(case["proof"]))
        assert failed == (case["wantErr"] or file.name == NOT_A_HASH), file


def test_the_transcribed_vectors_agree(corpus: Path) -> None:
    vectors = load(corpus / "fixtures/merkle/notes/vectors.json")
    assert vectors["rfc6962_reference_leaves_hex"] == REFERENCE_LEAVES
    assert vectors["rfc6962_reference_roots_hex"] == REFERENCE_ROOTS
    for case in vectors["tile_path"]:
        assert tile_path(0, case["n"]) == f"tile/0/{case['path']}"
    assert vectors["partial_tiles_for_size_70000"] == {
        "level0_full": 273,
        "level0_partial": 112,
        "level1_full": 1,
        "level1_partial": 17,
        "level2_partial": 1,
    }


def test_the_sigsum_heads_are_consistent(corpus: Path) -> None:
    vectors = load(corpus / "fixtures/merkle/notes/vectors.json")["vectors"]
    (case,) = (vector for vector in vectors if vector["name"] == "sigsum-size-1-and-3")
    old, new = (
        TreeHead(int(lines[1]), b64decode(lines[2]))
        for lines in (case["note"].splitlines(), case["note2"].splitlines())
    )
    verify_consistency(old, new, decoded(case["consistency_1_to_3"]))


def test_a_log_written_by_tessera_is_reproduced(corpus: Path) -> None:
    log = corpus / "fixtures/merkle/tessera-log/testdata/log"
    entries = read_bundle((log / "tile/entries/000.p/15").read_bytes())
    leaves = [leaf_hash(entry) for entry in entries]
    tiles: Tiles = {}
    assert extend(0, tiles, []).head == read_checkpoint(log / "checkpoint.0")
    for size in range(1, 16):
        extension = extend(size - 1, tiles, [leaves[size - 1]])
        tiles.update(extension.tiles)
        assert extension.head == read_checkpoint(log / f"checkpoint.{size}")
        assert tiles == {(0, 0): (log / tile_path(0, 0, size)).read_bytes()}


def test_our_sample_log_is_reproduced(corpus: Path) -> None:
    log = corpus / "fixtures/merkle/own-sample-log"
    signed = read_checkpoint(log / "checkpoint")
    leaves = [
        leaf_hash(entry)
        for number, width in ((0, 256), (1, 256), (2, 88))
        for entry in read_bundle((log / tile_path(ENTRIES, number, width)).read_bytes())
    ]
    tiles, rebuilt = build(leaves, [300])
    assert rebuilt == signed
    assert tiles == {
        (level, number): (log / tile_path(level, number, width)).read_bytes()
        for level, number, width in ((0, 0, 256), (0, 1, 256), (0, 2, 88), (1, 0, 2))
    }
    sizes, old_root, *proof = (log / "consistency.txt").read_text().splitlines()
    old, new = map(int, sizes.split())
    assert root_from_tiles(old, reader(tiles)) == b64decode(old_root)
    assert consistency_proof(old, new, reader(tiles)) == decoded(proof)
    _, index, *lines = (log / "entry.json.tlog-proof").read_text().split("\n")
    assert index == "index 200"
    made = inclusion_proof(200, 600, reader(tiles))
    assert made == decoded(lines[: lines.index("")])
    verify_inclusion(leaf_hash((log / "entry.json").read_bytes()), 200, signed, made)
