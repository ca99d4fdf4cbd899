"""Parsed documents: each distinct piece is parsed once while it is remembered.

Answers do not depend on what is remembered: a piece that is not is read from the store and parsed
again. Memory is bounded by bytes.
"""

from __future__ import annotations

import marshal
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

from ledger.parsers import Parser, choose
from ledger.resources import Resource

MAX_PARSED = 4_000_000
MAX_WARM = 40_000_000


def freeze(resources: Sequence[Resource]) -> bytes:
    """Parsed resources as bytes that `thaw` reads back, to hand between processes."""
    return marshal.dumps(
        [
            (
                one.api_group,
                one.kind,
                one.namespace,
                one.name,
                one.body,
                one.syntax,
                one.unparsed,
                one.warnings,
            )
            for one in resources
        ]
    )


def thaw(data: bytes) -> list[Resource]:
    """The resources of `freeze`."""
    return [Resource(*one) for one in marshal.loads(data)]  # noqa: S302 (made by our own process)


class Documents:
    """Reads pieces through the parser that their path asks for."""

    def __init__(
        self, parsers: Callable[[], Sequence[Parser]], read: Callable[[bytes], bytes]
    ) -> None:
        self._parsers = cache(parsers)
        self._read = read
        self._parsed: OrderedDict[tuple[str, bytes], tuple[int, list[Resource]]] = OrderedDict()
        self._parsed_bytes = 0
        self._warm: OrderedDict[tuple[str, bytes], bytes] = OrderedDict()
        self._warm_bytes = 0
        self.parser = lru_cache(maxsize=65_536)(self._choose)

    def _choose(self, base: str) -> Parser:
        return choose(self._parsers(), base)

    def parser_of(self, path: str) -> Parser:
        """The parser for a path."""
        return self.parser(path.rsplit("/", 1)[-1])

    def warm(self, parser: str, piece: bytes, frozen: bytes) -> None:
        """Remembers a piece that was parsed elsewhere."""
        key = (parser, piece)
        if key not in self._warm:
            self._warm[key] = frozen
            self._warm_bytes += len(frozen)
            while self._warm_bytes > MAX_WARM:
                _, old = self._warm.popitem(last=False)
                self._warm_bytes -= len(old)

    def parse(self, path: str, piece: bytes) -> list[Resource]:
        """The resources of a piece of a file at `path`. Nobody may change them: they are shared."""
        parser = self.parser_of(path)
        key = (parser.name, piece)
        known = self._parsed.get(key)
        if known is not None:
            self._parsed.move_to_end(key)
            return known[1]
        frozen = self._warm.get(key)
        if frozen is not None:
            self._warm.move_to_end(key)
            size, resources = len(frozen), thaw(frozen)
        else:
            data = self._read(piece)
            size, resources = len(data), parser.parse(data)
        self._parsed[key] = (size, resources)
        self._parsed_bytes += size
        while self._parsed_bytes > MAX_PARSED and len(self._parsed) > 1:
            _, (old, _) = self._parsed.popitem(last=False)
            self._parsed_bytes -= old
        return resources
