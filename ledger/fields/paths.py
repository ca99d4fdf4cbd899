"""Field paths: `spec.containers[name=api].ports[containerPort=80,protocol=TCP]`, read and written.

A key of letters, digits, `-` and `_` stands bare; any other key is quoted as in JSON:
`metadata.annotations["app.io/team"]`. An item of a list is `[key=value]` where a merge key names
it, else `[index]`. The empty path is the root. For people typing, `[api]` means "the item called
api", whichever merge key says so; written out it is `[=api]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from ledger.errors import UsageError

Selector: TypeAlias = tuple[tuple[str, str], ...]
Segment: TypeAlias = str | int | Selector
"""A key of an object, an index, or the merge keys of an item with their values as text."""

_KEY = r"[A-Za-z0-9_-]+"
_PLAIN = r"[A-Za-z0-9_./:-]+"
_QUOTED = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_PAIR = rf"(?:{_KEY}|{_QUOTED})?=(?:{_PLAIN}|{_QUOTED})"
_SEGMENT = re.compile(
    rf"(?:^|(?<=[\s\S])\.)(?P<key>{_KEY})"
    rf"|\[(?:(?P<index>[0-9]{{1,18}})|(?P<quoted>{_QUOTED})|(?P<called>{_PLAIN})"
    rf"|(?P<pairs>{_PAIR}(?:,{_PAIR})*))\]"
)
_ONE_PAIR = re.compile(rf"(?P<key>{_KEY}|{_QUOTED})?=(?P<value>{_PLAIN}|{_QUOTED})")
_is_bare = re.compile(_KEY).fullmatch
_is_plain = re.compile(_PLAIN).fullmatch


@lru_cache(maxsize=8192)
def parse_path(field: str) -> tuple[Segment, ...]:
    """The segments of a path; the inverse of `format_path`. UsageError if it is no path."""
    segments: list[Segment] = []
    position = 0
    while position < len(field):
        found = _SEGMENT.match(field, position)
        if found is None:
            raise UsageError(
                f"not a field path: {field!r}, at character {position + 1}",
                hint='Write it like spec.containers[name=api].image or data["a.b"].',
            )
        segments.append(_segment(found))
        position = found.end()
    return tuple(segments)


def _segment(found: re.Match[str]) -> Segment:
    kind, text = found.lastgroup, found[found.lastgroup or 0]
    if kind == "key":
        return text
    if kind == "index":
        return int(text)
    if kind == "quoted":
        return _unquoted(text)
    if kind == "called":
        return (("", text),)
    pairs = _ONE_PAIR.finditer(text)
    return tuple((_unquoted(pair["key"] or ""), _unquoted(pair["value"])) for pair in pairs)


def format_path(segments: Sequence[Segment]) -> str:
    """The text of a path; the inverse of `parse_path`."""
    path = ""
    for segment in segments:
        path = extend(path, segment)
    return path


def extend(path: str, segment: Segment) -> str:
    """`path` with one segment more."""
    if isinstance(segment, str):
        if _is_bare(segment):
            return f"{path}.{segment}" if path else segment
        return f"{path}[{_quoted(segment)}]"
    if isinstance(segment, int):
        return f"{path}[{segment}]"
    if not segment:
        raise ValueError("a selector needs at least one key")
    return f"{path}[{','.join([_pair(key, value) for key, value in segment])}]"


def under(field: str, prefix: str) -> bool:
    """Whether `field` is `prefix` or below it, segment-wise; both as `format_path` writes them."""
    # A path cannot end inside a quoted part, so what follows a whole path starts a new segment.
    return field.startswith(prefix) and (
        len(field) == len(prefix) or not prefix or field[len(prefix)] in ".["
    )


def matches(field: str, wanted: str) -> bool:
    """Whether a row at `field` may touch what a person means by `wanted`.

    True when `wanted`, read from the root or from any segment of `field` on, is `field` itself, is
    above it, or is below it (a row at an ancestor sets everything under it; one at the root matches
    all). `image` and `containers.image` thus match `spec.containers[name=api].image`: selectors of
    lists are passed over where `wanted` has none. `[api]` is the item called api, `[name=api]` also
    matches an item with more merge keys, `[80]` matches index 80 and an item called 80. The index in
    a row never matches a name: rows say `[0]` only where items have no usable merge key.
    """
    have, want = parse_path(field), parse_path(wanted)
    if not have or not want:
        return True
    return any(_follow(have[start:], want) is not None for start in range(len(have)))


def ends_with(segments: Sequence[Segment], wanted: Sequence[Segment]) -> bool:
    """Whether the last segments are exactly `wanted`, by the rules of `matches`."""
    for start in range(len(segments)):
        met = _follow(segments[start:], wanted)
        if met is not None and met == (len(segments) - start, len(wanted)):
            return True
    return False


def _follow(have: Sequence[Segment], want: Sequence[Segment]) -> tuple[int, int] | None:
    """How many of both were consumed when the first of them was used up; None where they part."""
    used = 0
    for position, segment in enumerate(have):
        if used == len(want):
            return position, used
        wish = want[used]
        if alike(segment, wish):
            used += 1
        elif not used or isinstance(segment, str) or not isinstance(wish, str):
            return None
    return len(have), used


def alike(segment: Segment, wish: Segment) -> bool:
    """Whether a segment is what a person means by `wish`, by the rules of `matches`."""
    if isinstance(segment, str | int) or isinstance(wish, str):
        return segment == wish
    if isinstance(wish, int):
        return any(value == str(wish) for _, value in segment)
    return all(
        any(value == text and key in ("", name) for name, value in segment) for key, text in wish
    )


def _pair(key: str, value: str) -> str:
    name = key if not key or _is_bare(key) else _quoted(key)
    return f"{name}={value if _is_plain(value) else _quoted(value)}"


def _quoted(text: str) -> str:
    # What does not print (control and bidi characters, lone surrogates) is escaped to be seen.
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError as error:
        raise UsageError(f"not a quoted text in a field path: {text}") from error
