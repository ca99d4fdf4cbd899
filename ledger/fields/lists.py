"""Which items of two lists are the same item: by merge key, else by longest common subsequence."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias, TypeGuard

import msgspec

from ledger.fields.paths import Segment, Selector
from ledger.resources import Value

Keys: TypeAlias = tuple[str, ...]
Object: TypeAlias = "dict[str, Value]"

MAX_CHANGES = 1000
LONG = 400
"""With more rows than this, or more moved items in a list, a difference is one coarse row."""

# By field name: patchMergeKey and x-kubernetes-list-map-keys in k8s.io/api. What is keyed by `name`
# there (containers, env, volumes, ...) needs no entry: `name` comes first among the others.
_KNOWN: dict[str, tuple[Keys, ...]] = {
    "ports": (("containerPort", "protocol"), ("port", "protocol")),
    "volumeMounts": (("mountPath",),),
    "volumeDevices": (("devicePath",),),
    "topologySpreadConstraints": (("topologyKey", "whenUnsatisfiable"),),
    "hostAliases": (("ip",),),
    "ownerReferences": (("uid",),),
    "conditions": (("type",),),
    "taints": (("key", "effect"),),
}
# No key that is usual where order has a meaning (`path`, `host`): reordering keyed items is no change.
_GENERIC: tuple[Keys, ...] = (
    ("name",),
    ("kind", "name"),
    ("kind", "name", "namespace"),
    ("key",),
    ("id",),
    ("containerPort", "protocol"),
    ("port",),
    ("mountPath",),
    ("devicePath",),
    ("ip",),
    ("uid",),
)
_CANDIDATES = {name: (*known, *_GENERIC) for name, known in _KNOWN.items()}
_DEFAULTS: dict[str, Value] = {"protocol": "TCP", "namespace": ""}
_LONGEST_KEY = 512
KEY_FIELDS = frozenset(
    key for known in (*_KNOWN.values(), _GENERIC) for keys in known for key in keys
)
_encode = msgspec.msgpack.Encoder().encode


class TooManyError(Exception):
    """The difference is not worth telling row by row."""


def same(a: Value, b: Value) -> bool:
    """Equality that tells `true` from `1`. Where values differ, the comparison in C mostly ends it."""
    return a == b and (type(a) is str or _encoded_same(a, b) or _typed_same(a, b))


def _encoded_same(a: Value, b: Value) -> bool:
    """Equal bytes prove it at a third of the time that looking takes; other bytes prove nothing."""
    try:
        return _encode(a) == _encode(b)
    except (OverflowError, RecursionError, UnicodeEncodeError):
        return False


def _typed_same(a: Value, b: Value) -> bool:
    """Whether two values that Python calls equal have their booleans at the same places."""
    if isinstance(a, dict) and isinstance(b, dict):
        return all(type(v) is str or _typed_same(v, b[k]) for k, v in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return all(type(v) is str or _typed_same(v, w) for v, w in zip(a, b, strict=True))
    return (type(a) is bool) is (type(b) is bool)


# Merge keys


def merge_keys(items: list[Value], name: str) -> Keys:
    """The merge key of a list that is the field `name`; empty where its items have none.

    It depends on the items as a set, not on their order.
    """
    if items and _are_objects(items):
        for keys in _CANDIDATES.get(name, _GENERIC):
            if _key_values(items, keys) is not None:
                return keys
    return ()


def by_merge_key(
    before: list[Value], after: list[Value], name: str
) -> tuple[Keys, dict[Keys, Value], dict[Keys, Value]]:
    """The first merge key usable in both lists, and their items by it; an empty key if none is."""
    if _are_objects(before) and _are_objects(after):
        for keys in _CANDIDATES.get(name, _GENERIC):
            old = _key_values(before, keys)
            new = None if old is None else _key_values(after, keys)
            if old is not None and new is not None:
                return keys, dict(zip(old, before, strict=True)), dict(zip(new, after, strict=True))
    return (), {}, {}


def segments(items: list[Value], keys: Keys) -> list[Segment]:
    """How a path names each item: by a merge key usable for all of them, by index without one."""
    values = _key_values(items, keys) if keys and _are_objects(items) else None
    if values is None:
        return list(range(len(items)))
    return [tuple(zip(keys, texts, strict=True)) for texts in values]


def answers(item: Value, selector: Selector) -> bool:
    """Whether an item has the values of a selector, under whatever keys they stand."""
    return isinstance(item, dict) and all(
        _text(item.get(key, _DEFAULTS.get(key))) == text for key, text in selector
    )


def _are_objects(items: list[Value]) -> TypeGuard[list[Object]]:
    return all(isinstance(item, dict) for item in items)


def _key_values(items: Sequence[Object], keys: Keys) -> list[Keys] | None:
    """The values of the keys for each item; None unless all have them and no two have the same."""
    columns: list[list[str]] = []
    for key in keys:
        default, column = _DEFAULTS.get(key), []
        for item in items:
            text = _text(item.get(key, default))
            if text is None:
                return None
            column.append(text)
        columns.append(column)
    values: list[Keys] = list(zip(*columns, strict=True))
    return values if len(set(values)) == len(values) else None


def _text(value: Value) -> str | None:
    """A scalar as a merge key's text, equal for equal numbers; None for what is no usable key."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_KEY else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    # The limit keeps hostile integers from the slow (and beyond 4,300 digits refused) conversion.
    return str(value) if isinstance(value, int) and value.bit_length() <= 1024 else None


# Order


def common_prefix(a: list[Value], b: list[Value]) -> int:
    """How many first items are the same."""
    shorter, done, step = min(len(a), len(b)), 0, 64
    while done + step <= shorter and same(a[done : done + step], b[done : done + step]):
        done += step
    while done < shorter and same(a[done], b[done]):
        done += 1
    return done


def common_items(old: list[Value], new: list[Value]) -> list[tuple[int, int]]:
    """The index pairs of a longest common subsequence; TooManyError if it is not worth finding.

    Items found on one side only match nothing: they are set aside first, which changes no result
    and leaves to the search only what moved or repeats.
    """
    if len(old) * len(new) < 2:  # two single items were compared before
        return []
    ids: dict[object, int] = {}
    a, b = _numbered(old, ids), _numbered(new, ids)
    both = set(a).intersection(b)
    kept_a = [i for i, number in enumerate(a) if number in both]
    kept_b = [j for j, number in enumerate(b) if number in both]
    if max(len(a) - len(kept_a), len(b) - len(kept_b)) > MAX_CHANGES:
        raise TooManyError
    found = _anchored([a[i] for i in kept_a], [b[j] for j in kept_b])
    return [(kept_a[x], kept_b[y]) for x, y in found]


def _anchored(a: list[int], b: list[int]) -> list[tuple[int, int]]:
    """A longest common subsequence; of long lists one through the items that stand once in each.

    Items that are unique in both and keep their order split long lists into short ones first
    (Cohen's patience diff), because the search is quadratic in the number of edits. The result
    may then be a little shorter than the longest.
    """
    if len(a) + len(b) <= LONG:
        return common_subsequence(a, b)
    once_a, once_b = _places_of_unique(a), _places_of_unique(b)
    anchors = _rising([(i, once_b[number]) for number, i in once_a.items() if number in once_b])
    found: list[tuple[int, int]] = []
    i = j = 0
    for next_i, next_j in [*anchors, (len(a), len(b))]:
        part = common_subsequence(a[i:next_i], b[j:next_j])
        found += [(i + x, j + y) for x, y in part]
        if next_i < len(a):
            found.append((next_i, next_j))
        i, j = next_i + 1, next_j + 1
    return found


def _places_of_unique(numbers: list[int]) -> dict[int, int]:
    """number → its place, of the numbers that stand there once, in their order."""
    counts = Counter(numbers)
    return {number: place for place, number in enumerate(numbers) if counts[number] == 1}


def _rising(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """A longest part of the pairs (which rise in the first) that rises in the second, too."""
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for at, (_, second) in enumerate(pairs):
        place = bisect_left(tops, second)
        before.append(ends[place - 1] if place else -1)
        if place == len(tops):
            tops.append(second)
            ends.append(at)
        else:
            tops[place], ends[place] = second, at
    found: list[tuple[int, int]] = []
    at = ends[-1] if ends else -1
    while at >= 0:
        found.append(pairs[at])
        at = before[at]
    return found[::-1]


def _numbered(items: Iterable[Value], ids: dict[object, int]) -> list[int]:
    return [
        ids.setdefault(item if type(item) is str else _canonical(item), len(ids)) for item in items
    ]


def _canonical(value: Value) -> object:
    """A hashable stand-in, equal exactly where `same` says so."""
    if isinstance(value, dict):
        return frozenset(
            [(key, v if type(v) is str else _canonical(v)) for key, v in value.items()]
        )
    if isinstance(value, list):
        return "list", tuple([v if type(v) is str else _canonical(v) for v in value])
    return ("bool", value) if isinstance(value, bool) else value


def common_subsequence(a: list[int], b: list[int]) -> list[tuple[int, int]]:
    """Myers' greedy O(ND) search (Algorithmica 1, 1986); TooManyError beyond MAX_CHANGES edits.

    `fronts[d][i]` is how far in `a` one comes with d edits on diagonal 2i - d. Numbers are not
    negative: the padding, different in both, stands in for bounds checks.
    """
    n, m = len(a), len(b)
    if abs(n - m) > MAX_CHANGES:
        raise TooManyError
    limit = min(n + m, MAX_CHANGES)
    a, b = a + [-1] * (limit + 1), b + [-2] * (limit + 1)
    fronts: list[list[int]] = []
    starts = [0]
    for d in range(limit + 1):
        front: list[int] = []
        for diagonal, start in zip(range(-d, d + 1, 2), starts, strict=True):
            x, y = start, start - diagonal
            while a[x] == b[y]:
                x, y = x + 1, y + 1
            front.append(x)
        fronts.append(front)
        end, odd = divmod(n - m + d, 2)
        if not odd and 0 <= end <= d and front[end] >= n:
            return _backtrack(fronts, n, m)
        starts = [*map(max, [*front, -1], [-1, *[x + 1 for x in front]])]
    raise TooManyError


def _backtrack(fronts: list[list[int]], n: int, m: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    x, y = n, m
    for d in range(len(fronts) - 1, -1, -1):
        i = (x - y + d) // 2
        down = fronts[d - 1][i] if i < d else -1
        right = fronts[d - 1][i - 1] + 1 if i > 0 else -1
        start = max(down, right, 0)
        while x > start:
            x, y = x - 1, y - 1
            pairs.append((x, y))
        x, y = (x - 1, y) if right > down else (x, y - 1)
    return pairs[::-1]
