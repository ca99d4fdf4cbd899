"""The difference of two documents, as rows of field changes.

Lists of objects are matched by their merge key, as Kubernetes' strategic merge does it; other lists
and the lines of a file in order, by a longest common subsequence. Reordered keys, reordered items
under a merge key and `1` against `1.0` are no change; `true` against `1` is one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ledger.fields.lists import (
    MAX_CHANGES,
    TooManyError,
    by_merge_key,
    common_items,
    common_prefix,
    same,
)
from ledger.fields.paths import Segment, extend
from ledger.resources import FIELDS, LINES, Value

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """What happened at one path. A subtree that came or went is one row with its whole value."""

    field: str
    action: str  # added, changed, removed
    old: Value  # meaningful unless added
    new: Value  # meaningful unless removed


def diff(before: Value, after: Value, *, syntax: str = FIELDS) -> list[FieldChange] | None:
    """The rows that lead from one document to the other, in the order of the new document.

    A removed field stands where it stood. Indexes and line numbers are the new ones, except for the
    removed item or line itself. None where there would be more than MAX_CHANGES rows, where more
    than MAX_CHANGES items of one list moved about, or where nesting exhausts the stack.
    Cost: linear in the documents, plus the square of what moved in a list.
    """
    rows: list[FieldChange] = []
    try:
        if syntax == LINES and isinstance(before, list) and isinstance(after, list):
            _diff_ordered(before, after, "line", 1, rows)
        else:
            _diff(before, after, "", "", rows)
    except (TooManyError, RecursionError):
        return None
    return rows


def _diff(before: Value, after: Value, path: str, name: str, rows: list[FieldChange]) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        _diff_members(before, after, path, lambda key: key, rows)
    elif isinstance(before, list) and isinstance(after, list):
        keys, old, new = by_merge_key(before, after, name)
        if keys:
            _diff_members(old, new, path, lambda text: tuple(zip(keys, text, strict=True)), rows)
        else:
            _diff_ordered(before, after, path, 0, rows)
    elif not same(before, after):
        _emit(rows, path, "changed", before, after)


def _diff_members(
    before: Mapping[K, Value],
    after: Mapping[K, Value],
    path: str,
    segment: Callable[[K], Segment],
    rows: list[FieldChange],
) -> None:
    """Compare objects by key, and lists by merge key."""
    lost = {} if before.keys() <= after.keys() else _lost(before, after)
    for gone in lost.get(None, ()):
        _emit(rows, extend(path, segment(gone)), "removed", before[gone], None)
    for key, new in after.items():
        if key not in before:
            _emit(rows, extend(path, segment(key)), "added", None, new)
        elif not same(before[key], new):
            name = key if isinstance(key, str) else ""
            _diff(before[key], new, extend(path, segment(key)), name, rows)
        for gone in lost.get(key, ()):
            _emit(rows, extend(path, segment(gone)), "removed", before[gone], None)


def _lost(before: Mapping[K, Value], after: Mapping[K, Value]) -> dict[K | None, list[K]]:
    """The keys that went, each under the last key before it that stayed."""
    lost: dict[K | None, list[K]] = {}
    anchor: K | None = None
    for key in before:
        if key in after:
            anchor = key
        else:
            lost.setdefault(anchor, []).append(key)
    return lost


def _diff_ordered(
    before: list[Value], after: list[Value], path: str, base: int, rows: list[FieldChange]
) -> None:
    """Compare lists in order: between two equal items, removed and added ones pair up in order."""
    head = common_prefix(before, after)
    old, new = before[head:], after[head:]
    tail = common_prefix(old[::-1], new[::-1])
    old, new = old[: len(old) - tail], new[: len(new) - tail]
    base += head
    i = j = 0
    for x, y in [*common_items(old, new), (len(old), len(new))]:
        while i < x and j < y:
            _diff(old[i], new[j], f"{path}[{base + j}]", "", rows)
            i, j = i + 1, j + 1
        for gone in range(i, x):
            _emit(rows, f"{path}[{base + gone}]", "removed", old[gone], None)
        for come in range(j, y):
            _emit(rows, f"{path}[{base + come}]", "added", None, new[come])
        i, j = x + 1, y + 1


def _emit(rows: list[FieldChange], field: str, action: str, old: Value, new: Value) -> None:
    if len(rows) >= MAX_CHANGES:
        raise TooManyError
    rows.append(FieldChange(field, action, old, new))
