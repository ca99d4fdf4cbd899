"""What stands in a document: its leaves, and the value at a path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from ledger.errors import AmbiguousError
from ledger.fields.lists import answers, merge_keys, segments
from ledger.fields.paths import Segment, alike, ends_with, extend, parse_path
from ledger.resources import FIELDS, LINES, Value

Path: TypeAlias = tuple[Segment, ...]


def leaves(body: Value, *, syntax: str = FIELDS) -> Iterator[tuple[str, Value]]:
    """Every leaf (scalars, empty lists and objects) with its path, in document order."""
    return ((path, value) for _, path, value, is_leaf in nodes(body, syntax) if is_leaf)


def at(body: Value, field: str, *, syntax: str = FIELDS) -> Value:
    """The value at a path, as `diff` and `leaves` write it or as a person types it (see `matches`).

    A path that does not lead anywhere from the root is looked for as the end of a longer one.
    KeyError if there is none, AmbiguousError if there are several.
    """
    wanted = parse_path(field)
    if syntax == LINES and isinstance(body, list) and wanted:
        return _line(body, wanted, field)
    value, name = body, ""
    try:
        for segment in wanted:
            value, name = step(value, segment, name), segment if isinstance(segment, str) else ""
        return value
    except KeyError:
        found = [node for node in nodes(body, syntax) if ends_with(node[0], wanted)]
    if not found:
        raise KeyError(field)
    if len(found) > 1:
        paths = ", ".join([path for _, path, _, _ in found[:5]])
        raise AmbiguousError(f"{field} names {len(found)} fields", hint=f"Say which: {paths}")
    return found[0][2]


def step(value: Value, segment: Segment, name: str = "") -> Value:
    """One step down from the field `name`; KeyError unless it leads to exactly one value.

    An index beyond a list with a merge key is taken for the name of an item, as in `ports[443]`.
    """
    if isinstance(value, dict) and isinstance(segment, str):
        return value[segment]
    if not isinstance(value, list) or isinstance(segment, str):
        raise KeyError(segment)
    if isinstance(segment, int) and segment < len(value):
        return value[segment]
    if isinstance(segment, tuple) and all(key for key, _ in segment):
        items = [item for item in value if answers(item, segment)]
    else:
        named = zip(segments(value, merge_keys(value, name)), value, strict=True)
        items = [item for called, item in named if alike(called, segment)]
    if len(items) != 1:
        raise KeyError(segment)
    return items[0]


def _line(lines: list[Value], wanted: Path, field: str) -> Value:
    number = wanted[1] if len(wanted) == 2 and wanted[0] == "line" else None
    if not isinstance(number, int) or not 0 < number <= len(lines):
        raise KeyError(field)
    return lines[number - 1]


def nodes(body: Value, syntax: str) -> Iterator[tuple[Path, str, Value, bool]]:
    """Everything in a document, in its order: segments, path, value, whether it is a leaf."""
    stack: list[tuple[Path, str, Value]] = [((), "", body)]
    if syntax == LINES and isinstance(body, list) and body:
        stack = [(("line", n), f"line[{n}]", body[n - 1]) for n in range(len(body), 0, -1)]
    while stack:
        steps, path, value = stack.pop()
        members = _members(value, steps)
        yield steps, path, value, not members
        for segment, member in reversed(members):
            stack.append(((*steps, segment), extend(path, segment), member))


def _members(value: Value, steps: Path) -> list[tuple[Segment, Value]]:
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list):
        return list(zip(segments(value, merge_keys(value, _name(steps))), value, strict=True))
    return []


def _name(steps: Path) -> str:
    return steps[-1] if steps and isinstance(steps[-1], str) else ""
