"""What is worked out ahead of the projections: remembered within a bound, and never a different answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger import registry
from ledger.comparing import Place, compare, shape
from ledger.documents import (
    ENTRY,
    Ahead,
    Documents,
    Parsed,
    pack_compared,
    pack_shapes,
    pair_key,
    piece_key,
)
from ledger.parsers import choose
from ledger.resources import FIELDS, Resource

OLD, NEW = b"\1" * 32, b"\2" * 32
BODY = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: %d}\n"


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


@given(sizes=st.lists(st.integers(0, 400), max_size=200))
def test_what_is_worked_out_ahead_never_takes_more_than_its_bound(sizes: list[int]) -> None:
    most = 5_000
    ahead = Ahead(most)
    for number, size in enumerate(sizes):
        ahead.put(digest(number), bytes(size))
        held = [ahead.get(digest(one)) for one in range(number + 1)]
        taken = sum(32 + len(one) + ENTRY for one in held if one is not None)
        assert taken <= most + 32 + max(sizes) + ENTRY
        assert held[-1] == bytes(size)  # the newest is there


def test_what_was_asked_for_last_is_forgotten_last() -> None:
    ahead = Ahead(10 * (32 + ENTRY))
    ahead.put(digest(0), b"")
    for number in range(1, 100):
        ahead.put(digest(number), b"")
        assert ahead.get(digest(0)) == b""
    assert ahead.get(digest(1)) is None


def test_small_documents_weigh_more_than_their_text() -> None:
    parsed = Parsed(at_hand=100_000, compact=10**9)
    for number in range(10_000):
        parsed.put("p", digest(number), 10, [Resource("", "v1", "", str(number), {}, FIELDS)])
    assert len(parsed._known) < 300
    found = parsed.get("p", digest(0))  # from its compact bytes
    assert found is not None
    assert found[0].name == "0"


def test_answers_that_were_worked_out_ahead_are_those_worked_out_on_the_spot() -> None:
    parsers = registry.parsers()
    parser = choose(parsers, "a.yaml")
    contents = {OLD: BODY % 1, NEW: BODY % 2}
    [old], [new] = parser.parse(contents[OLD]), parser.parse(contents[NEW])
    here = Documents(lambda: parsers, contents.__getitem__)
    nothing: dict[bytes, bytes] = {}
    there = Documents(lambda: parsers, nothing.__getitem__)
    there.warm(piece_key(parser.name, NEW), pack_shapes([shape(new)]))
    pairs = [(OLD, NEW), (b"", NEW), (OLD, b"")]
    for before, after in pairs:
        rows = compare(old if before else None, new if after else None)
        there.warm_difference(pair_key(parser.name, before, 0, after, 0), pack_compared(rows))
    assert there.shapes("a.yaml", NEW) == here.shapes("a.yaml", NEW)
    for before, after in pairs:
        left = Place("a.yaml", before, 0, None) if before else None
        right = Place("b.yaml", after, 0, None) if after else None
        assert there.difference(left, right) == here.difference(left, right)
