"""Rows lead from one document to the next, and blame by rows is blame by whole documents."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import AmbiguousError, UsageError
from ledger.fields import (
    MAX_CHANGES,
    FieldChange,
    Segment,
    at,
    blame,
    diff,
    format_path,
    leaves,
    matches,
    parse_path,
    under,
)
from ledger.fields.lists import TooManyError, common_subsequence
from ledger.resources import FIELDS, LINES, Value

Rows = list[tuple[tuple[Segment, ...], FieldChange]]


def changes(before: Value, after: Value, syntax: str = FIELDS) -> list[FieldChange]:
    found = diff(before, after, syntax=syntax)
    assert found is not None
    return found


def rows(before: Value, after: Value, syntax: str = FIELDS) -> list[tuple[str, str]]:
    return [(row.action, row.field) for row in changes(before, after, syntax)]


# Documents for the properties: few keys and values, so that they meet often


SCALARS = st.sampled_from([None, True, False, 0, 1, 1.0, 2, "", "a", "b", "1", "true"])
NAMES = st.sampled_from(["name", "id", "port", "protocol", "kind", "ports", "x", "a.b"])
ITEMS: st.SearchStrategy[Any] = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("abc")},
        optional={"id": st.integers(0, 2), "kind": st.sampled_from("ab"), "x": SCALARS},
    ),
    max_size=4,
)
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    SCALARS | ITEMS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES, inner, max_size=4)
        | st.lists(st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_size=3)
    ),
    max_leaves=12,
)
LINE_LISTS: st.SearchStrategy[Any] = st.lists(st.sampled_from("abcd"), max_size=12)


def containers(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict | list) else []
    return own + [found for member in inner for found in containers(member)]


@st.composite
def histories(draw: st.DrawFn, length: int = 6) -> list[Any]:
    """Documents that follow each other by some edits, now and then by a new start."""
    documents = [draw(DOCUMENTS)]
    for _ in range(draw(st.integers(1, length))):
        document = deepcopy(documents[-1]) if draw(st.integers(0, 9)) else draw(DOCUMENTS)
        for _ in range(draw(st.integers(0, 3))):
            if found := containers(document):
                edit(draw, found[draw(st.integers(0, len(found) - 1))])
        documents.append(document)
    return documents


def edit(draw: st.DrawFn, value: Any) -> None:
    if isinstance(value, dict):
        key = draw(NAMES)
        if draw(st.booleans()):
            value[key] = draw(SCALARS | DOCUMENTS)
        else:
            value.pop(key, None)
        return
    place = draw(st.integers(0, len(value)))
    match draw(st.sampled_from(["insert", "copy", "remove", "set", "shuffle"])):
        case "insert":
            value.insert(place, draw(SCALARS | DOCUMENTS))
        case "copy" if value:
            value.insert(place, deepcopy(value[place - 1]))
        case "remove":
            del value[place : place + 1]
        case "set":
            value[place : place + 1] = [draw(SCALARS | DOCUMENTS)]
        case _:
            value[:] = draw(st.permutations(value))


@st.composite
def switching_histories(draw: st.DrawFn) -> list[Any]:
    """Lists of objects that keep gaining and losing their merge key, in one another."""
    documents: list[Any] = [{"ports": draw(ITEMS), "x": draw(st.lists(ITEMS, max_size=2))}]
    for number in range(draw(st.integers(2, 8))):
        document = deepcopy(documents[-1])
        lists = [found for found in containers(document) if isinstance(found, list) and found]
        if lists:
            items = lists[draw(st.integers(0, len(lists) - 1))]
            item = draw(st.sampled_from(items))
            match draw(st.sampled_from(["reverse", "copy", "remove", "key", "inside", "nest"])):
                case "reverse":
                    items.reverse()
                case "copy":
                    items.append(deepcopy(item))
                case "remove":
                    items.remove(item)
                case "key" if isinstance(item, dict):
                    item[draw(st.sampled_from(["name", "id"]))] = draw(st.sampled_from(["a", "d", []]))
                case "inside" if isinstance(item, dict):
                    item["x"] = number
                case "nest" if isinstance(item, dict):
                    item["ports"] = draw(ITEMS)
        documents.append(document)
    return documents


# The oracle: the whole document with a tag at each leaf, carried forward by applying the rows


@dataclass
class Node:
    value: Any
    tag: int  # of a leaf


def tagged(value: Any, tag: int) -> Node:
    if isinstance(value, dict):
        return Node({key: tagged(member, tag) for key, member in value.items()}, tag)
    if isinstance(value, list):
        return Node([tagged(item, tag) for item in value], tag)
    return Node(value, tag)


def plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: plain(member) for key, member in node.value.items()}
    return [plain(item) for item in node.value] if isinstance(node.value, list) else node.value


def apply(node: Node, rows: Rows, tag: int) -> Node:
    if not rows:
        return node
    for path, row in rows:
        if not path:
            return tagged(row.new, tag)
    removed = [path[0] for path, row in rows if len(path) == 1 and row.action == "removed"]
    added = [(path[0], row.new) for path, row in rows if len(path) == 1 and row.action == "added"]
    inner: dict[Any, Rows] = {}
    for path, row in rows:
        if len(path) > 1 or row.action == "changed":
            inner.setdefault(path[0], []).append((path[1:], row))
    value = deepcopy(node.value)
    gone = {place(value, segment) for segment in removed}
    if isinstance(value, dict):
        value = {key: member for key, member in value.items() if key not in gone}
        value.update({key: tagged(new, tag) for key, new in added})
    else:
        value = [item for index, item in enumerate(value) if index not in gone]
        for segment, new in added:
            index = segment if isinstance(segment, int) else len(value)
            value.insert(index, tagged(new, tag))
    for segment, group in inner.items():
        spot = place(value, segment)
        value[spot] = apply(value[spot], group, tag)
    return Node(value, node.tag if value else tag)


def place(value: Any, segment: Segment) -> Any:
    """Where a segment stands in an object or list of nodes."""
    if isinstance(segment, str | int):
        return segment
    [index] = [
        index
        for index, item in enumerate(value)
        if all(key_text(plain(item), key) == text for key, text in segment)
    ]
    return index


def key_text(item: dict[str, Any], key: str) -> str:
    value = item.get(key, {"protocol": "TCP", "namespace": ""}.get(key))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def reordered(node: Node, like: Any) -> Node:
    """The same with keys and the items of lists of objects in the order of the document."""
    if isinstance(like, dict):
        assert node.value.keys() == like.keys()
        value = {key: reordered(node.value[key], member) for key, member in like.items()}
        return Node(value, node.tag)
    if not isinstance(like, list):
        return node
    pool, items = list(node.value), []
    for item in like:
        found = next(index for index, other in enumerate(pool) if loose(plain(other)) == loose(item))
        assert not found or has_a_key(like)
        items.append(reordered(pool.pop(found), item))
    assert not pool
    return Node(items, node.tag)


def loose(value: Any) -> Any:
    """Equal for what differs in order only."""
    if isinstance(value, dict):
        return "object", sorted((key, repr(loose(member))) for key, member in value.items())
    if isinstance(value, list):
        items = [repr(loose(item)) for item in value]
        return "list", sorted(items) if has_a_key(value) else items
    return type(value).__name__.replace("int", "float"), str(value).removesuffix(".0")


def has_a_key(items: list[Any]) -> bool:
    def distinct(*keys: str) -> bool:
        found = {repr([key_text(item, key) for key in keys]) for item in items}
        return len(found) == len(items)

    return all(isinstance(item, dict) for item in items) and any(
        distinct(*keys)
        for keys in (["name"], ["kind", "name"], ["id"], ["port"], ["port", "protocol"])
    )


def stepped(node: Node, changed: Sequence[FieldChange], after: Any, tag: int, syntax: str) -> Node:
    parsed = [(parse_path(row.field), row) for row in changed]
    if syntax == LINES:
        parsed = [((index - 1,), row) for (_, index), row in parsed if isinstance(index, int)]
    return reordered(apply(node, parsed, tag), after)


def tags(node: Node) -> list[int]:
    members = node.value.values() if isinstance(node.value, dict) else node.value
    if not isinstance(node.value, dict | list) or not members:
        return [node.tag]
    return [tag for member in members for tag in tags(member)]


# Properties of the difference


@given(histories(length=1))
@settings(max_examples=600)
def test_the_rows_make_the_new_document_of_the_old(documents: list[Any]) -> None:
    before, after = documents[0], documents[-1]
    changed = changes(before, after)
    made = plain(stepped(tagged(before, 0), changed, after, 1, FIELDS))
    assert repr(loose(made)) == repr(loose(after))
    assert changed == changes(deepcopy(before), deepcopy(after))
    assert len({(row.field, row.action) for row in changed}) == len(changed)


@given(LINE_LISTS, LINE_LISTS)
def test_the_rows_make_the_new_file_of_the_old(before: Any, after: Any) -> None:
    changed = changes(before, after, LINES)
    assert plain(stepped(tagged(before, 0), changed, after, 1, LINES)) == after


@given(DOCUMENTS)
def test_a_document_does_not_differ_from_itself(document: Any) -> None:
    assert diff(document, deepcopy(document)) == []


@given(histories(length=1))
def test_rows_carry_the_values_that_stand_at_their_paths(documents: list[Any]) -> None:
    before, after = documents[0], documents[-1]
    for row in changes(before, after):
        if row.action != "removed":
            assert at(after, row.field) is row.new
        elif not any(isinstance(segment, int) for segment in parse_path(row.field)[:-1]):
            assert at(before, row.field) is row.old


@given(st.lists(st.integers(0, 3), max_size=14), st.lists(st.integers(0, 3), max_size=14))
def test_the_common_subsequence_is_a_longest_one(a: list[int], b: list[int]) -> None:
    found = common_subsequence(a, b)
    assert all(a[i] == b[j] for i, j in found)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(found))
    longest = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            best = max(longest[i][j + 1], longest[i + 1][j])
            longest[i + 1][j + 1] = longest[i][j] + 1 if x == y else best
    assert len(found) == longest[-1][-1]


# Properties of blame


@given(histories() | switching_histories(), st.booleans())
@settings(max_examples=1500)
def test_blame_by_rows_is_blame_by_documents(documents: list[Any], coarse: bool) -> None:
    check_blame(documents, FIELDS, [FieldChange("", "added", None, None)] if coarse else None)


@given(st.lists(LINE_LISTS, min_size=1, max_size=6))
def test_blame_of_lines_is_blame_by_documents(documents: list[Any]) -> None:
    check_blame(documents, LINES, None)


def check_blame(documents: list[Any], syntax: str, first: list[FieldChange] | None) -> None:
    node = tagged(documents[0], 0)
    history: list[tuple[int, list[FieldChange] | None]] = [(0, first)]
    asked: list[int] = []
    for tag, (before, after) in enumerate(pairwise(documents), start=1):
        changed = changes(before, after, syntax)
        node = stepped(node, changed, after, tag, syntax)
        if changed:  # a mere reorder is no revision of the document
            history.append((tag, changed))

    def bodies(tag: int) -> tuple[Value, Value]:
        asked.append(tag)
        return documents[tag - 1], documents[tag]

    body = documents[-1]
    found = blame(body, reversed(history), syntax=syntax, bodies=bodies)
    paths = [path for path, _ in leaves(body, syntax=syntax)]
    assert found == dict(zip(paths, tags(node), strict=True))
    assert len(set(asked)) == len(asked)
    alone = blame(body, reversed(history), syntax=syntax)
    assert alone.keys() == found.keys()
    if not asked:
        assert alone == found
