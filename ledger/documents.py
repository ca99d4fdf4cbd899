"""Parsed documents and their differences: each distinct one is worked out once while remembered.

Answers do not depend on what is remembered. What another process worked out ahead is taken from
here; the rest is read from the store, parsed and compared on the spot. Memory is bounded.
"""

from __future__ import annotations

import marshal
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import TypeVar

from ledger.comparing import FieldText, Place, Shape, compare, opaque_resource, shape
from ledger.parsers import Parser, choose
from ledger.resources import Resource

MAX_PARSED = 4_000_000
MAX_COMPACT = 8_000_000
MAX_SHAPES = 50_000
MAX_COMPARED = 60_000

# (parser, digest and item before, digest and item after); the digest is empty where nothing was.
Pair = tuple[str, bytes, int, bytes, int]
Compared = list[FieldText] | None
K = TypeVar("K")
V = TypeVar("V")


class Parsed:
    """The resources of pieces by (parser, digest): a few at hand, more of them as compact bytes.

    A history compares a document with what it was long ago; reading compact bytes is ten times
    faster than parsing again, and they take a tenth of the memory. The least used are forgotten.
    """

    def __init__(self, at_hand: int = MAX_PARSED, compact: int = MAX_COMPACT) -> None:
        self._at_hand = at_hand
        self._most_compact = compact
        self._known: OrderedDict[tuple[str, bytes], tuple[int, list[Resource]]] = OrderedDict()
        self._bytes = 0
        self._compact: OrderedDict[tuple[str, bytes], bytes] = OrderedDict()
        self._compact_bytes = 0

    def get(self, parser: str, piece: bytes) -> list[Resource] | None:
        """What is remembered of a piece."""
        key = (parser, piece)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known[1]
        compact = self._compact.pop(key, None)
        if compact is None:
            return None
        self._compact_bytes -= len(compact)
        resources = [Resource(*one) for one in marshal.loads(compact)]  # noqa: S302 (our own bytes)
        self._hold(key, len(compact), resources)
        return resources

    def put(self, parser: str, piece: bytes, size: int, resources: list[Resource]) -> None:
        """Remembers the resources of a piece of `size` bytes."""
        key = (parser, piece)
        if key not in self._known and key not in self._compact:
            self._hold(key, size, resources)

    def _hold(self, key: tuple[str, bytes], size: int, resources: list[Resource]) -> None:
        self._known[key] = (size, resources)
        self._bytes += size
        while self._bytes > self._at_hand and len(self._known) > 1:
            old, (old_size, left) = self._known.popitem(last=False)
            self._bytes -= old_size
            self._press(old, left)

    def _press(self, key: tuple[str, bytes], resources: list[Resource]) -> None:
        compact = marshal.dumps([_parts(one) for one in resources])
        self._compact[key] = compact
        self._compact_bytes += len(compact)
        while self._compact_bytes > self._most_compact:
            _, forgotten = self._compact.popitem(last=False)
            self._compact_bytes -= len(forgotten)


def _parts(one: Resource) -> tuple[object, ...]:
    return (
        one.api_group, one.kind, one.namespace, one.name, one.body, one.syntax, one.unparsed,
        one.warnings,
    )  # fmt: skip


class Documents:
    """Reads pieces through the parser that their path asks for."""

    def __init__(
        self, parsers: Callable[[], Sequence[Parser]], read: Callable[[bytes], bytes]
    ) -> None:
        self._parsers = cache(parsers)
        self._read = read
        self._parsed = Parsed()
        self._shapes: dict[tuple[str, bytes], Sequence[Shape]] = {}
        self._compared: dict[Pair, Compared] = {}
        self._parser = lru_cache(maxsize=65_536)(self._choose)

    def _choose(self, base: str) -> Parser:
        return choose(self._parsers(), base)

    def parser_of(self, path: str) -> Parser:
        """The parser for a path."""
        return self._parser(path.rsplit("/", 1)[-1])

    def warm(self, parser: str, piece: bytes, shapes: Sequence[Shape]) -> None:
        """Remembers the shapes of a piece that was parsed elsewhere."""
        _make_room(self._shapes, MAX_SHAPES)
        self._shapes[parser, piece] = shapes

    def warm_difference(self, pair: Pair, compared: Compared) -> None:
        """Remembers a difference that was worked out elsewhere."""
        _make_room(self._compared, MAX_COMPARED)
        self._compared[pair] = compared

    def parse(self, path: str, piece: bytes) -> list[Resource]:
        """The resources of a piece of a file at `path`. Nobody may change them: they are shared."""
        parser = self.parser_of(path)
        known = self._parsed.get(parser.name, piece)
        if known is None:
            data = self._read(piece)
            known = parser.parse(data)
            self._parsed.put(parser.name, piece, len(data), known)
        return known

    def shapes(self, path: str, piece: bytes) -> Sequence[Shape]:
        """The resources of a piece without their bodies, in order."""
        known = self._shapes.get((self.parser_of(path).name, piece))
        return [shape(one) for one in self.parse(path, piece)] if known is None else known

    def difference(self, before: Place | None, after: Place | None) -> Compared:
        """The rows that turn one document into another; see `comparing.compare`."""
        parser = self._parser_of_both(before, after)
        if parser is not None:
            if before and after and before[1:] == after[1:]:
                return []
            old = (before.digest, before.item) if before else (b"", 0)
            new = (after.digest, after.item) if after else (b"", 0)
            if old[0] is not None and new[0] is not None:
                pair = (parser.name, old[0], old[1], new[0], new[1])
                if pair in self._compared:
                    return self._compared[pair]
        return compare(self._resource(before), self._resource(after))

    def _parser_of_both(self, one: Place | None, other: Place | None) -> Parser | None:
        """The parser of the paths that there are; None where each has another."""
        if one is None or other is None:
            there = one or other
            return self.parser_of(there.path) if there is not None else None
        parser = self.parser_of(one.path)
        same = one.path == other.path or self.parser_of(other.path) is parser
        return parser if same else None

    def _resource(self, place: Place | None) -> Resource | None:
        if place is None:
            return None
        if place.opaque is not None:
            return opaque_resource(place.opaque)
        assert place.digest is not None
        return self.parse(place.path, place.digest)[place.item]


def _make_room(known: dict[K, V], most: int) -> None:
    """Forgets the older half of what is too much."""
    if len(known) > most:
        for key in list(known)[: most // 2]:
            del known[key]
