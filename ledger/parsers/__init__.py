"""Parsers turn the bytes of a file into resources. One file each; found by scan or entry point.

A file is first cut into pieces that stand alone (the documents of a YAML stream, the blocks of an
HCL file), so that a piece which many revisions and files share is stored and parsed once in its life.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ledger.resources import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Parser:
    """The whole contract of a parser.

    `patterns` match the base name of a file, case-folded; the longest matching pattern of all parsers wins.
    `split` cuts a file into pieces: `b"".join(split(blob)) == blob`, for any bytes, never raising.
    `parse` reads one piece; any bytes give resources (unparsed ones with a reason and their lines),
    never an error, in bounded time and memory. A piece of only blanks and comments may give none.
    Raise `version` when the meaning of a piece changes.
    """

    name: str
    version: int
    patterns: tuple[str, ...]
    split: Callable[[bytes], list[bytes]]
    parse: Callable[[bytes], list[Resource]]


def whole(blob: bytes) -> list[bytes]:
    """The split of formats whose files cannot be cut: one piece."""
    return [blob]


def choose(parsers: Iterable[Parser], path: str) -> Parser:
    """The parser for a path: longest matching pattern, ties by name. `*` must be among the patterns."""
    base = path.rsplit("/", 1)[-1].casefold()
    matches = [
        (len(pattern), parser.name, parser)
        for parser in parsers
        for pattern in parser.patterns
        if _matches(base, pattern)
    ]
    return max(matches, key=lambda match: match[:2])[2]


def _matches(base: str, pattern: str) -> bool:
    """As fnmatch has it; no regular expression is made for the plain ones, which nearly all are."""
    rest = pattern.removeprefix("*")
    if any(sign in rest for sign in "*?["):
        return fnmatchcase(base, pattern)
    return base.endswith(rest) if rest != pattern else base == pattern


def parse(parser: Parser, path: str, blob: bytes) -> Iterator[Resource]:
    """Every resource of a file; documents without a name are named by the path."""
    for piece in parser.split(blob):
        for resource in parser.parse(piece):
            yield resource if resource.name else replace(resource, name=path)
