"""Patterns of the people who run the ledger: judged when configured, then tried on every line.

A pattern sees one line at a time (at most 1,024 characters of a long one, in steps of half of that), so
its cost is linear in the text with a factor that its own ambiguity decides. That factor is computed
from its syntax tree, and a pattern that may need more is refused before it meets any text.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ledger.errors import UsageError
from ledger.redaction.spans import TOKEN, Edit

RULE = "pattern"
WINDOW = 1024
MAX_WAYS = 5_000
MAX_LENGTH = 1_000
_ALPHABET = frozenset(map(chr, range(128))) | {"é", "ß", "Ж", "中", "\u2028", "😀"}
_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
_LINE = re.compile(r"[^\n]+")
_HINT = "Bound it ({1,64}), make it possessive (++, *+) or atomic ((?>...)), or split it in two."


@dataclass(frozen=True, slots=True)
class Patterns:
    """Checked patterns, in order. Where one has a group `secret`, only that group is hidden."""

    compiled: tuple[re.Pattern[str], ...] = ()


NONE = Patterns()


def compile_patterns(texts: Iterable[str]) -> Patterns:
    """The patterns, ready to use. UsageError names the one that is no expression or costs too much."""
    return Patterns(tuple(_compile(text) for text in texts))


def pattern_edits(blob: bytes, patterns: Patterns) -> list[Edit]:
    """What the patterns find, read as UTF-8. Tokens that a match touches are taken into it whole."""
    text = blob.decode(errors="surrogateescape")
    spans = sorted({span for one in patterns.compiled for span in _find(one, text)})
    places = sorted({place for span in spans for place in span})
    byte_of: dict[int, int] = {}
    before = position = 0
    for place in places:
        position += len(text[before:place].encode(errors="surrogateescape"))
        byte_of[place], before = position, place
    tokens = [match.span() for match in TOKEN.finditer(blob)] if spans else []
    edits = []
    for first, last in spans:
        start, end = byte_of[first], byte_of[last]
        touched = [span for span in tokens if span[0] < end and start < span[1]]
        start = min([start, *(span[0] for span in touched)])
        end = max([end, *(span[1] for span in touched)])
        edits.append(Edit(start, end, blob[start:end], RULE))
    return edits


def _find(pattern: re.Pattern[str], text: str) -> Iterator[tuple[int, int]]:
    group: str | int = "secret" if "secret" in pattern.groupindex else 0
    for line in _LINE.finditer(text):
        start = line.start()
        while start < line.end():
            stop = min(start + WINDOW, line.end())
            for found in pattern.finditer(text, start, stop):
                match = found
                if match.end() == stop < line.end():  # it may go on behind the window
                    match = pattern.match(text, match.start(), line.end()) or match
                first, last = match.span(group) if match.start(group) >= 0 else match.span()
                if first < last:
                    yield first, last
                start = max(start, match.end())
            start = max(start, stop if stop == line.end() else stop - WINDOW // 2)


def _compile(text: str) -> re.Pattern[str]:
    if len(text) > MAX_LENGTH:
        raise UsageError(
            f"The redaction pattern {text[:40]!r}... is longer than {MAX_LENGTH:,} characters."
        )
    try:
        pattern = re.compile(text, re.MULTILINE)
        tree = importlib.import_module("re._parser").parse(text, re.MULTILINE)
        _Cost(ignore_case=bool(pattern.flags & re.IGNORECASE)).of(tree, frozenset())
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"The redaction pattern {text!r} is no regular expression: {error}",
            hint="Write it in the syntax of Python's re module.",
        ) from error
    except _TooCostlyError as error:
        raise UsageError(
            f"The redaction pattern {text!r} is too costly: {error}.", hint=_HINT
        ) from None
    if pattern.match(""):
        raise UsageError(
            f"The redaction pattern {text!r} matches the empty text.",
            hint="Make it match at least one character of the secret.",
        )
    return pattern


class _TooCostlyError(Exception):
    """Why a pattern may take more steps than a line is worth."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a pattern: in how many ways it can match from one place, and what it can begin with."""

    ways: int
    first: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Cost:
    """Bounds the backtracking of a syntax tree.

    A repeat can be cut short in many ways only if what follows it can begin inside it; otherwise each
    shorter try fails at once. Ways of neighbours multiply, and those of a repeat's body by each round.
    """

    ignore_case: bool

    def of(self, items: Any, follow: frozenset[str]) -> _Part:
        """The cost of a sequence of nodes that is followed by one of `follow` (empty: by nothing)."""
        part = _Part(1, follow)
        for operation, argument in reversed(list(items)):
            one = self._node(str(operation), argument, part.first)
            if one.ways * part.ways > MAX_WAYS:
                raise _TooCostlyError("it can match one text in too many ways")
            part = _Part(one.ways * part.ways, one.first)
        return part

    def _node(self, name: str, argument: Any, follow: frozenset[str]) -> _Part:
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            return self._repeat(name, argument, follow)
        if name == "SUBPATTERN":
            return self.of(argument[3], follow)
        if name == "BRANCH":
            parts = [self.of(body, follow) for body in argument[1]]
            first = frozenset().union(*(part.first for part in parts))
            apart = len(first) == sum(len(part.first) for part in parts)
            ways = max(part.ways for part in parts) if apart else sum(part.ways for part in parts)
            return _Part(ways, first)
        if name == "ATOMIC_GROUP":
            return _Part(1, self.of(argument, follow).first)
        if name in ("ASSERT", "ASSERT_NOT"):
            self.of(argument[1], frozenset())
            return _Part(1, follow)
        if name == "AT":
            return _Part(1, follow)
        return _Part(1, self._characters(name, argument))

    def _repeat(self, name: str, argument: Any, follow: frozenset[str]) -> _Part:
        low, high, body = int(argument[0]), min(int(argument[1]), WINDOW), argument[2]
        first = self.of(body, frozenset()).first
        inner = self.of(body, first | follow if high > 1 else follow)
        after = inner.first | follow if low == 0 else inner.first
        if name == "POSSESSIVE_REPEAT":
            return _Part(1, after)
        if inner.ways > 1 and inner.ways ** min(high, 16) > MAX_WAYS:
            raise _TooCostlyError(
                "a repeat holds another repeat or choice that can share the same text"
            )
        rounds = max(high - low, 0) + 1 if inner.first & follow else 1
        return _Part(inner.ways**high * rounds, after)

    def _characters(self, name: str, argument: Any) -> frozenset[str]:
        found = self._plain_characters(name, argument)
        if self.ignore_case:
            found |= {other for one in found for other in (one.lower(), one.upper())}
        return frozenset(found)

    def _plain_characters(self, name: str, argument: Any) -> frozenset[str]:
        if name == "LITERAL":
            return frozenset(chr(argument))
        if name == "NOT_LITERAL":
            return _ALPHABET - {chr(argument)}
        if name == "ANY":
            return _ALPHABET - {"\n"}
        if name == "RANGE":
            return frozenset(one for one in _ALPHABET if argument[0] <= ord(one) <= argument[1])
        if name == "CATEGORY":
            category = re.compile(_CATEGORIES[str(argument)])
            return frozenset(one for one in _ALPHABET if category.match(one))
        if name == "IN":
            negated = str(argument[0][0]) == "NEGATE"
            parts = [self._characters(str(kind), value) for kind, value in argument[negated:]]
            union = frozenset[str]().union(*parts)
            return _ALPHABET - union if negated else union
        raise _TooCostlyError("it refers back to what it has matched")
