"""Parsed documents and their differences: each distinct one is worked out once while remembered.

Answers do not depend on what is remembered. What another process worked out ahead is taken from
here; the rest is read from the store, parsed and compared on the spot. Memory is bounded.
"""

from __future__ import annotations

import marshal
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

import msgspec

from ledger.comparing import FieldText, Place, Shape, compare, opaque_resource, shape
from ledger.parsers import Parser, choose
from ledger.resources import Resource

MAX_PARSED = 5_000_000
MAX_COMPACT = 8_000_000
MAX_SHAPES = 28_000_000
MAX_COMPARED = 36_000_000
ENTRY = 150  # bytes that an entry takes beside its key and its value
DOCUMENT = 400  # bytes by which a small document weighs more than its text

Compared = list[FieldText] | None
_encode = msgspec.msgpack.Encoder().encode
_decode_shapes = msgspec.msgpack.Decoder(list[Shape]).decode
_decode_compared: Callable[[bytes], Compared] = msgspec.msgpack.Decoder(Compared).decode


def pair_key(parser: str, old: bytes, old_item: int, new: bytes, new_item: int) -> bytes:
    """The key of a difference: digest and item before and after, a digest empty where nothing was."""
    return b"%b %d %d %d %b%b" % (parser.encode(), len(old), old_item, new_item, old, new)


def piece_key(parser: str, piece: bytes) -> bytes:
    """The key of a piece as one parser reads it."""
    return piece + parser.encode()


def pack_shapes(shapes: Sequence[Shape]) -> bytes:
    """Shapes as `Documents.warm` takes them."""
    return _encode(shapes)


def pack_compared(compared: Compared) -> bytes:
    """A difference as `Documents.warm_difference` takes it."""
    return _encode(compared)


class Ahead:
    """What was worked out ahead, as bytes by key: what was not asked for longest is forgotten.

    As objects it would take several times the memory, and reading bytes takes a microsecond or two.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[bytes, bytes] = {}
        self._bytes = 0

    def put(self, key: bytes, value: bytes) -> None:
        """Remembers a value; makes room before, half of it, where there is too much."""
        if self._bytes > self._most:
            for old in list(self._known):
                if self._bytes <= self._most // 2:
                    break
                self._bytes -= len(old) + len(self._known.pop(old)) + ENTRY
        if key not in self._known:
            self._bytes += len(key) + len(value) + ENTRY
            self._known[key] = value

    def get(self, key: bytes) -> bytes | None:
        """What is remembered; from now on it is what was asked for last."""
        value = self._known.pop(key, None)
        if value is not None:
            self._known[key] = value
        return value


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
        self._hold(key, len(compact) + DOCUMENT, resources)
        return resources

    def put(self, parser: str, piece: bytes, size: int, resources: list[Resource]) -> None:
        """Remembers the resources of a piece of `size` bytes."""
        key = (parser, piece)
        if key not in self._known and key not in self._compact:
            self._hold(key, size + DOCUMENT, resources)

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
        self._shapes = Ahead(MAX_SHAPES)
        self._compared = Ahead(MAX_COMPARED)
        self._parser = lru_cache(maxsize=65_536)(self._choose)

    def _choose(self, base: str) -> Parser:
        return choose(self._parsers(), base)

    def parser_of(self, path: str) -> Parser:
        """The parser for a path."""
        return self._parser(path.rsplit("/", 1)[-1])

    def warm(self, key: bytes, shapes: bytes) -> None:
        """Remembers the shapes of a piece that was parsed elsewhere, see `piece_key` and `pack_shapes`."""
        self._shapes.put(key, shapes)

    def warm_difference(self, key: bytes, compared: bytes) -> None:
        """Remembers a difference worked out elsewhere, see `pair_key` and `pack_compared`."""
        self._compared.put(key, compared)

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
        known = self._shapes.get(piece_key(self.parser_of(path).name, piece))
        if known is None:
            return [shape(one) for one in self.parse(path, piece)]
        return _decode_shapes(known)

    def difference(self, before: Place | None, after: Place | None) -> Compared:
        """The rows that turn one document into another; see `comparing.compare`."""
        parser = self._parser_of_both(before, after)
        if parser is not None:
            if before and after and before[1:] == after[1:]:
                return []
            old = (before.digest, before.item) if before else (b"", 0)
            new = (after.digest, after.item) if after else (b"", 0)
            if old[0] is not None and new[0] is not None:
                known = self._compared.get(pair_key(parser.name, old[0], old[1], new[0], new[1]))
                if known is not None:
                    return _decode_compared(known)
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
