"""Java properties and environment files: keys and values, one mapping a file.

A piece knows no path, so its lines say which it is. If all of them are `NAME=value` (or
`export NAME=value`) with a name that a shell takes, it is an environment file: the value is as
written, quotes and backslashes included. Anything else follows `java.util.Properties`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ledger.parsers import Parser, whole
from ledger.resources import Resource, Value, lines_of, unparsed

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.)|$)", re.DOTALL)
_LETTERS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_BLANKS = " \t\f"
_KEY = re.compile(r"(?:[^\\=: \t\f]|\\.)*+", re.DOTALL)
_MAX_WARNINGS = 100


def parse(piece: bytes) -> list[Resource]:
    """The keys of a file; none if it holds only comments."""
    lines, warnings = lines_of(piece)
    texts = [str(line).removesuffix("\r") for line in lines]
    if texts:
        texts[0] = texts[0].removeprefix("\ufeff")
    try:
        pairs = _assignments(texts)
        if pairs is None:
            pairs = [_pair(line) for line in _logical_lines(texts)]
    except ValueError as error:
        return [unparsed("Properties", piece, str(error))]
    body: dict[str, Value] = {}
    repeated: dict[str, None] = {}
    for key, value in pairs:
        if key in body and len(repeated) < _MAX_WARNINGS:
            repeated[f'duplicate key "{key[:80]}": the last value counts'] = None
        body[key] = value
    if not body:
        return []
    return [Resource("", "Properties", "", "", body, warnings=(*warnings, *repeated))]


def _assignments(lines: list[str]) -> list[tuple[str, str]] | None:
    """The pairs of an environment file; None if a line is neither assignment, comment nor blank."""
    pairs: list[tuple[str, str]] = []
    for line in lines:
        if match := _ASSIGNMENT.fullmatch(line):
            pairs.append((match[1], match[2].strip()))
        elif line.strip() and not line.lstrip().startswith("#"):
            return None
    return pairs


def _logical_lines(lines: list[str]) -> Iterator[str]:
    """Java's lines: comments and blanks gone, lines joined that end in an odd run of backslashes."""
    parts: list[str] = []
    for line in lines:
        text = line.lstrip(_BLANKS)
        if not parts and (not text or text[0] in "#!"):
            continue
        if (len(text) - len(text.rstrip("\\"))) % 2:
            parts.append(text[:-1])
            continue
        yield "".join([*parts, text])
        parts = []
    if parts:
        yield "".join(parts)


def _pair(line: str) -> tuple[str, str]:
    """Key and value: apart at the first bare `=`, `:` or blank."""
    match = _KEY.match(line)
    key = match[0] if match else ""
    rest = line[len(key) :].lstrip(_BLANKS)
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(_BLANKS)
    return _unescaped(key), _unescaped(rest)


def _unescaped(text: str) -> str:
    """Raises ValueError where `\\u` lacks its four digits, as Java does."""
    if "\\" not in text:
        return text
    text = _ESCAPE.sub(_escaped, text)
    # Two escapes may be one character beyond U+FFFF; half of such a pair is nothing.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _escaped(match: re.Match[str]) -> str:
    digits, letter = match.groups()
    if digits is not None:
        return chr(int(digits, 16))
    if letter == "u":
        raise ValueError("malformed \\uXXXX escape")
    return _LETTERS.get(letter, letter) if letter else ""


PARSER = Parser(
    name="properties",
    version=1,
    patterns=("*.properties", "*.env", ".env", ".env.*"),
    split=whole,
    parse=parse,
)
