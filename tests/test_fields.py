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
                    item[draw(st.sampled_from(["name", "id"]))] = draw(
                        st.sampled_from(["a", "d", []])
                    )
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
        found = next(
            index for index, other in enumerate(pool) if loose(plain(other)) == loose(item)
        )
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
@settings(max_examples=300)
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


@given(histories(), st.booleans())
@settings(max_examples=200)
def test_blame_by_rows_is_blame_by_documents(documents: list[Any], coarse: bool) -> None:
    check_blame(documents, FIELDS, [FieldChange("", "added", None, None)] if coarse else None)


@given(switching_histories())
@settings(max_examples=400)
def test_blame_survives_a_switch_of_merge_keys(documents: list[Any]) -> None:
    check_blame(documents, FIELDS, None)


A: Any = {"name": "a", "x": 1}
B: Any = {"name": "b", "x": 1}


@pytest.mark.parametrize(
    "documents",
    [
        # Reordered under its key, which is no row, before the list loses that key.
        [[A], [A, B], [B, A], [B, A, A]],
        [[A], [A, B], [B, A], [B, {"name": "b", "x": 1}]],
        [[A], [A, B], [B, A], [B, {"name": [], "x": 1}]],
        [[A], [A, B], [B, A], [B, A, A], [B, A, A, 1], [A, B, A, 1]],
        # A list that shifts inside a list that shifts.
        [[1, ["a"], 2], [1, ["a", "b"], 2], [0, 1, ["x", "a", "b"], 2]],
        [[1, ["a", "b"], 2], [0, 1, ["b"], 2], [1, ["b", "c"], 2], [[], 1, ["b"], 2]],
    ],
)
def test_blame_of_histories_that_mislead(documents: list[Any]) -> None:
    check_blame([{"l": document} for document in documents], FIELDS, None)


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


def test_blame_without_documents_takes_the_revision_that_switched_the_key() -> None:
    before: list[Value] = [{"name": "a", "x": 1}]
    after: list[Value] = [{"name": "a", "x": 1}, {"name": "b", "x": 1}]
    twice: list[Value] = [*after, {"name": "a"}]
    history = [("copied", changes(after, twice)), ("grown", changes(before, after)), ("new", None)]
    documents = {"copied": (after, twice), "grown": (before, after)}
    expected = {"[0].name": "new", "[0].x": "new", "[1].name": "grown", "[1].x": "grown"}
    assert blame(twice, history, bodies=documents.get) == expected | {"[2].name": "copied"}
    coarse = dict.fromkeys(expected, "grown") | {"[2].name": "copied"}
    assert blame(twice, history) == coarse
    assert blame(twice, history, bodies=lambda _: None) == coarse
    assert blame(twice, history[:1]) == {"[2].name": "copied"}
    assert blame(twice, []) == {}


# What people see


DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "annotations": {"app.io/team": "red"}},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "api",
                        "image": "api:1",
                        "args": ["serve", "--fast"],
                        "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}],
                        "env": [{"name": "A", "value": "1"}],
                    },
                    {"name": "log", "image": "log:1", "volumeMounts": [{"mountPath": "/var/log"}]},
                ],
            }
        },
    },
}
CONTAINERS = "spec.template.spec.containers"


def deployment(edit: Callable[[dict[str, Any], dict[str, Any]], object]) -> dict[str, Any]:
    document = deepcopy(DEPLOYMENT)
    edit(document, document["spec"]["template"]["spec"]["containers"][0])
    return document


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda d, _: d["spec"].update(replicas=3), [("changed", "spec.replicas")]),
        (lambda d, _: d["spec"].update(replicas=2.0), []),
        (lambda _, c: c.update(image="api:2"), [("changed", f"{CONTAINERS}[name=api].image")]),
        (
            lambda d, _: d["spec"]["template"]["spec"]["containers"].insert(0, {"name": "new"}),
            [("added", f"{CONTAINERS}[name=new]")],
        ),
        (lambda d, _: d["spec"]["template"]["spec"]["containers"].reverse(), []),
        (
            lambda _, c: c["ports"][0].update(name="http", protocol="TCP"),
            [
                ("added", f"{CONTAINERS}[name=api].ports[containerPort=80,protocol=TCP].name"),
                ("added", f"{CONTAINERS}[name=api].ports[containerPort=80,protocol=TCP].protocol"),
            ],
        ),
        (lambda _, c: c["args"].insert(1, "-v"), [("added", f"{CONTAINERS}[name=api].args[1]")]),
        (lambda _, c: c["args"].pop(0), [("removed", f"{CONTAINERS}[name=api].args[0]")]),
        (
            lambda _, c: c["args"].__setitem__(1, "--slow"),
            [("changed", f"{CONTAINERS}[name=api].args[1]")],
        ),
        (
            lambda _, c: c["args"].reverse(),
            [
                ("removed", f"{CONTAINERS}[name=api].args[0]"),
                ("added", f"{CONTAINERS}[name=api].args[1]"),
            ],
        ),
        (
            lambda d, _: d["metadata"]["annotations"].update({"app.io/team": True}),
            [("changed", 'metadata.annotations["app.io/team"]')],
        ),
        (lambda d, _: d.pop("metadata"), [("removed", "metadata")]),
        (lambda d, _: d.update(spec=[]), [("changed", "spec")]),
    ],
)
def test_rows_of_a_deployment(edit: Any, expected: list[tuple[str, str]]) -> None:
    assert rows(DEPLOYMENT, deployment(edit)) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (1, True, [("changed", "")]),
        ([1, {"a": [0]}], [True, {"a": [False]}], [("changed", "[0]"), ("changed", "[1].a[0]")]),
        ({"a": {}}, {"a": []}, [("changed", "a")]),
        # What went stands where it stood.
        (
            {"a": 1, "b": 1, "c": 1, "d": 1},
            {"d": 2, "b": 2, "e": 2},
            [
                ("removed", "a"),
                ("changed", "d"),
                ("changed", "b"),
                ("removed", "c"),
                ("added", "e"),
            ],
        ),
        # Without a usable key: in order, and pairs in a gap show the fields that changed in them.
        (
            {"rules": [{"to": 1}, {"to": 2, "x": 0}]},
            {"rules": [{"to": 0}, {"to": 1}, {"to": 2, "x": 1}]},
            [("added", "rules[0]"), ("changed", "rules[2].x")],
        ),
        # A key as text: `80` and `"80"` are one item, and two of them make the key useless.
        ([{"port": 80}], [{"port": "80"}], [("changed", "[port=80].port")]),
        ([{"id": 1.0, "x": 1}], [{"id": 1, "x": 2}], [("changed", "[id=1].x")]),
        ([{"key": 1}], [{"key": 1}, {"key": "1"}], [("added", "[1]")]),
        # The next key where the first is ambiguous: service accounts of one name.
        (
            [{"kind": "User", "name": "a"}],
            [{"kind": "User", "name": "a"}, {"kind": "Group", "name": "a"}],
            [("added", "[kind=Group,name=a]")],
        ),
        ([{"name": "a b"}], [], [("removed", '[name="a b"]')]),
        ({"conditions": []}, {"conditions": [{"type": "Up"}]}, [("added", "conditions[type=Up]")]),
        ([{"name": "x" * 9999}], [], [("removed", "[0]")]),
        ([{"name": 1 << 99999}], [], [("removed", "[0]")]),
        ([{"name": None}, {"name": []}], [{"name": None}], [("removed", "[1]")]),
    ],
)
def test_rows(before: Value, after: Value, expected: list[tuple[str, str]]) -> None:
    assert rows(before, after) == expected


def test_rows_of_lines() -> None:
    before: Value = ["a", "b", "c", "d"]
    after: Value = ["new", "a", "B", "c"]
    assert changes(before, after, LINES) == [
        FieldChange("line[1]", "added", None, "new"),
        FieldChange("line[3]", "changed", "b", "B"),
        FieldChange("line[4]", "removed", "d", None),
    ]
    assert list(leaves(["a", ""], syntax=LINES)) == [("line[1]", "a"), ("line[2]", "")]
    assert list(leaves([], syntax=LINES)) == [("", [])]


# Bounds


def test_a_difference_is_none_only_beyond_the_limit() -> None:
    before: Value = {str(number): number for number in range(MAX_CHANGES + 1)}
    assert diff({}, before) is None
    assert len(changes({"0": 0}, before)) == MAX_CHANGES
    numbers: list[Value] = list(range(2 * MAX_CHANGES))
    edited: list[Value] = [-1 - n if n % 2 else n for n in range(2 * MAX_CHANGES)]
    assert len(changes(numbers, edited)) == MAX_CHANGES
    assert diff([*numbers, 1], [*edited, 2]) is None


RANDOM = random.Random(1)  # noqa: S311
MANY: list[Any] = [f"line {number}" for number in range(20_000)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (MANY, [f"other {number}" for number in range(20_000)]),
        ([{"x": line} for line in MANY], [{"x": line, "y": 1} for line in MANY]),
        (MANY, MANY[::-1]),
        (MANY, RANDOM.sample(MANY, len(MANY))),
        (RANDOM.choices("ab", k=20_000), RANDOM.choices("ab", k=20_000)),
        (["a", "b"] * 10_000, ["a", "b", "b"] * 7_000),
    ],
)
def test_hopeless_lists_are_given_up_soon(before: Any, after: Any) -> None:
    start = time.process_time()
    assert diff(before, after) is None
    assert time.process_time() - start < 3  # measured: 0.2 s


def test_nesting_beyond_the_stack_is_no_crash() -> None:
    before: Any = 1
    after: Any = 2
    for _ in range(5_000):
        before, after = {"a": before}, {"a": after}
    assert diff(before, after) is None
    [(path, value)] = leaves(before)
    assert (len(parse_path(path)), value) == (5_000, 1)


def test_the_limit_of_moved_items_raises() -> None:
    numbers = list(range(MAX_CHANGES))
    with pytest.raises(TooManyError):
        common_subsequence(numbers, numbers[::-1])


# Paths


SEGMENTS: st.SearchStrategy[Any] = st.one_of(
    st.text(),
    st.sampled_from(["spec", "a-b_1", "", "0", "a.b", 'q"q', "[", "a=b", "\n", "\u202e"]),
    st.integers(0, 10**9),
    st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=3).map(tuple),
)


@given(st.lists(SEGMENTS, max_size=6).map(tuple))
def test_paths_round_trip(segments: tuple[Segment, ...]) -> None:
    assert parse_path(format_path(segments)) == segments


@given(st.lists(SEGMENTS, max_size=4), st.lists(SEGMENTS, max_size=4))
def test_under_is_segment_wise(segments: list[Segment], prefix: list[Segment]) -> None:
    assert under(format_path(segments), format_path(segments[:2]))
    expected = segments[: len(prefix)] == prefix
    assert under(format_path(segments), format_path(prefix)) == expected
    assert matches(format_path(segments), format_path(segments[:2]))
    assert matches(format_path(segments[:2]), format_path(segments))


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", ()),
        ("spec.a-b_c", ("spec", "a-b_c")),
        ('metadata.annotations["app.io/team"]', ("metadata", "annotations", "app.io/team")),
        ("[0][1].x", (0, 1, "x")),
        ('a[name="x y"]', ("a", (("name", "x y"),))),
        ("p[containerPort=80,protocol=TCP]", ("p", (("containerPort", "80"), ("protocol", "TCP")))),
        ("containers[api]", ("containers", (("", "api"),))),
    ],
)
def test_paths_read(text: str, segments: tuple[Segment, ...]) -> None:
    assert parse_path(text) == segments


@pytest.mark.parametrize("text", [".", "a.", ".a", "a..b", "a[", "a[]", "a b", "a[0", 'a["x]', "ä"])
def test_what_is_no_path_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="not a"):
        parse_path(text)
    with pytest.raises(UsageError):
        parse_path(r'["\x"]')


@pytest.mark.parametrize(
    ("field", "wanted", "expected"),
    [
        (f"{CONTAINERS}[name=api].image", f"{CONTAINERS}[name=api].image", True),
        (f"{CONTAINERS}[name=api].image", CONTAINERS, True),
        (f"{CONTAINERS}[name=api]", f"{CONTAINERS}[name=api].image", True),
        (f"{CONTAINERS}[name=api]", f"{CONTAINERS}[name=log].image", False),
        ("", "anything", True),
        ("spec", "", True),
        (f"{CONTAINERS}[name=api].image", "containers[api].image", True),
        (f"{CONTAINERS}[name=api]", "containers[api].image", True),
        (f"{CONTAINERS}[name=api].image", "containers[log].image", False),
        (f"{CONTAINERS}[name=api].image", "containers.image", True),
        (f"{CONTAINERS}[name=api].image", "image", True),
        (f"{CONTAINERS}[name=api].imagePullPolicy", "image", False),
        ("spec.image.tag", "image", True),
        ("roleRef.name", "roleRef.name", True),
        ("roleRef.name", "name", True),
        ("spec.replicas", "metadata", False),
        ("c[name=a].ports[containerPort=80,protocol=TCP].name", "c[a].ports.name", True),
        ("c[name=a].ports[containerPort=80,protocol=TCP].name", "ports[80]", True),
        ("c[name=a].ports[containerPort=80,protocol=TCP].name", "ports[protocol=TCP].name", True),
        ("c[name=a].ports[containerPort=80,protocol=TCP].name", "ports[containerPort=81]", False),
        ("rules[2].to", "rules[2]", True),
        ("rules[2].to", "rules[1]", False),
        ("rules[2].to", "rules[api]", False),
        ("line[12]", "line[12]", True),
        ("line[12]", "line[1]", False),
    ],
)
def test_what_a_person_means(field: str, wanted: str, expected: bool) -> None:
    assert matches(field, wanted) == expected


@given(DOCUMENTS)
def test_every_leaf_is_found_at_its_path(document: Any) -> None:
    found = list(leaves(document))
    assert len({path for path, _ in found}) == len(found)
    for path, value in found:
        assert at(document, path) is value
        assert format_path(parse_path(path)) == path


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("", DEPLOYMENT),
        ("spec.replicas", 2),
        ("replicas", 2),
        (f"{CONTAINERS}[1].image", "log:1"),
        ("containers[api].image", "api:1"),
        ("containers[api].args[1]", "--fast"),
        (
            f"{CONTAINERS}[api].ports[containerPort=80,protocol=UDP]",
            {"containerPort": 80, "protocol": "UDP"},
        ),
        ("containers.ports[TCP]", {"containerPort": 80}),
        ("env[A].value", "1"),
        ('["app.io/team"]', "red"),
    ],
)
def test_at_what_a_person_types(wanted: str, expected: Value) -> None:
    assert at(DEPLOYMENT, wanted) == expected


def test_at_says_what_is_missing_or_ambiguous() -> None:
    for wanted in [
        "nothing",
        "spec.replicas.x",
        "containers[web]",
        f"{CONTAINERS}[7]",
        "replicas[0]",
    ]:
        with pytest.raises(KeyError):
            at(DEPLOYMENT, wanted)
    with pytest.raises(AmbiguousError, match=r"containers\[name=log\]\.image"):
        at(DEPLOYMENT, "image")
    assert at({"ports": [{"port": 443, "x": 1}]}, "ports[443].x") == 1


def test_at_a_line() -> None:
    lines: Value = ["a", "b"]
    assert at(lines, "line[2]", syntax=LINES) == "b"
    assert at(lines, "", syntax=LINES) == lines
    for wanted in ["line[0]", "line[3]", "line", "[1]", "line[1].x"]:
        with pytest.raises(KeyError):
            at(lines, wanted, syntax=LINES)
