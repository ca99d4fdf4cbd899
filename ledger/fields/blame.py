"""Which revision set each field of a document, from the rows of its revisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import TypeAlias, TypeVar

from ledger.fields.difference import FieldChange
from ledger.fields.documents import Path, nodes, step
from ledger.fields.lists import KEY_FIELDS, Keys, merge_keys, segments
from ledger.fields.paths import Segment, parse_path
from ledger.resources import FIELDS, Value

Row: TypeAlias = tuple[Path, str]
Tree: TypeAlias = "dict[Segment, Tree | str]"
T = TypeVar("T")


def blame(
    body: Value,
    history: Iterable[tuple[T, Sequence[FieldChange] | None]],
    *,
    syntax: str = FIELDS,
    bodies: Callable[[T], tuple[Value, Value] | None] | None = None,
) -> dict[str, T]:
    """Which revision set each leaf of `body`, from the rows of its revisions, newest first.

    `history` gives what `diff` returned for each revision; None or a row at the root set everything
    not yet accounted for. Leaves that no row explains are left out. Of rows only `field` and
    `action` are read.

    `bodies` gives the document before and after a revision, None if it cannot. Rows do not tell it
    all where the merge key of a list switched (say, a second item of a name came) or may have
    switched unseen (items of a list without a merge key came, or changed a key field): only there it
    is asked for. Without it a list whose key switched counts as set by that revision, and after an
    unseen switch an item may be mistaken for its neighbour.
    Cost: linear in the document once, then in the rows and in the lists whose indexes they shift.
    """
    paths: list[str] = []
    root: Tree = {"": _tree(body, syntax, paths)}
    tags: dict[str, T] = {}
    for tag, changes in history:
        if changes is None or any(row.field == "" for row in changes):
            _mark(root, tag, tags)
        else:
            rows: list[Row] = [(("", *parse_path(row.field)), row.action) for row in changes]
            _step_back(root, rows, tag, tags, cache(partial(bodies or _unknown, tag)))
        if len(tags) == len(paths):
            break
    return {path: tags[path] for path in paths if path in tags}


def _unknown(_: object) -> None:
    return None


def _step_back(
    root: Tree,
    rows: list[Row],
    tag: T,
    tags: dict[str, T],
    load: Callable[[], tuple[Value, Value] | None],
) -> None:
    """Mark what the rows set, and turn the paths of the rest into those of the document before."""
    for path, keys in _lists(rows):
        node = _find(root, path)
        if isinstance(node, dict) and node and _keys(node) != keys:
            documents = load()
            if documents:
                _rename(node, _read(documents[1], path[1:]), keys)
            else:
                _mark(node, tag, tags)
    for path, action in rows:
        _mark({"": _taken(root, path, action)}, tag, tags)
    documents = load() if _may_switch(root, rows) else None
    _shift(root, rows)
    if documents:
        _use_merge_keys(root[""], documents[0])


def _tree(body: Value, syntax: str, paths: list[str]) -> Tree | str:
    """The leaves of a document by their segments; fills in `paths`."""
    root: Tree = {}
    for steps, path, _, is_leaf in nodes(body, syntax):
        if is_leaf:
            node = root
            for step in ("", *steps[:-1]) if steps else ():
                child = node.setdefault(step, {})
                assert isinstance(child, dict)
                node = child
            node[steps[-1] if steps else ""] = path
            paths.append(path)
    return root[""]


def _mark(tree: Tree, tag: T, tags: dict[str, T]) -> None:
    """Account the leaves of a tree to a revision and empty it."""
    stack: list[Tree | str] = list(tree.values())
    tree.clear()
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            tags[node] = tag
        else:
            stack.extend(node.values())


def _taken(root: Tree, path: Path, action: str) -> Tree | str:
    """Cut out what a row set; for a removal, the empty list or object it left behind."""
    parent = root
    for segment in path[:-1]:
        node = parent.get(segment, {})
        if isinstance(node, str):
            return parent.pop(segment)
        parent = node
    return {} if action == "removed" else parent.pop(path[-1], {})


def _find(root: Tree, path: Path) -> Tree | str | None:
    node: Tree | str | None = root
    for segment in path:
        node = node.get(segment) if isinstance(node, dict) else None
    return node


def _read(value: Value, path: Path) -> list[Value]:
    for segment in path:
        value = step(value, segment)
    return value if isinstance(value, list) else []


def _keys(node: Tree) -> Keys:
    """The merge key by which the items of a list are named here; empty for indexes."""
    first = next(iter(node))
    return tuple([key for key, _ in first]) if isinstance(first, tuple) else ()


def _lists(rows: list[Row]) -> list[tuple[Path, Keys]]:
    """The lists in the rows with the merge key used there, outer ones first."""
    lists: dict[Path, Keys] = {}
    for path, _ in rows:
        for depth, segment in enumerate(path):
            if not isinstance(segment, str):
                lists[path[:depth]] = _keys({segment: ""})
    return sorted(lists.items(), key=lambda item: len(item[0]))


def _rename(node: Tree, items: list[Value], keys: Keys) -> None:
    """Name the items of a list by another merge key."""
    renamed = zip(segments(items, _keys(node)), segments(items, keys), strict=True)
    named = {new: node[old] for old, new in renamed if old in node}
    node.clear()
    node.update(named)


def _use_merge_keys(tree: Tree | str, body: Value) -> None:
    """Name by merge key what stands by index in a tree although the document has a key for it."""
    stack: list[tuple[Tree | str, Value, str]] = [(tree, body, "")]
    while stack:
        node, value, name = stack.pop()
        if not isinstance(node, dict) or not node:
            continue
        if isinstance(value, dict):
            members = [(key, child) for key, child in node.items() if isinstance(key, str)]
            stack.extend([(child, value[key], key) for key, child in members])
        elif isinstance(value, list):
            keys = merge_keys(value, name)
            if keys and not _keys(node):
                _rename(node, value, keys)
            items = zip(segments(value, _keys(node)), value, strict=True)
            stack.extend([(node[item], inner, "") for item, inner in items if item in node])


def _may_switch(root: Tree, rows: list[Row]) -> bool:
    """Whether a list of objects that stands by index may have had a merge key before these rows.

    That takes an item added or replaced, or a change to a field of an item that can be a merge key.
    """
    lists = set()
    for path, action in rows:
        if isinstance(path[-1], int) and action != "removed":
            lists.add(path[:-1])
        if path[-1] in KEY_FIELDS and isinstance(path[-2], int):
            lists.add(path[:-2])
    return any(_has_objects_only(_find(root, path)) for path in lists)


def _has_objects_only(node: Tree | str | None) -> bool:
    if not isinstance(node, dict):
        return False
    items = [item for item in node.values() if item]
    return bool(items) and all(
        isinstance(item, dict) and isinstance(next(iter(item)), str) for item in items
    )


def _shift(root: Tree, rows: list[Row]) -> None:
    """Give items the index they had before: what stays keeps its order, so it can be counted."""
    came: dict[Path, list[int]] = {}
    went: dict[Path, list[int]] = {}
    for path, action in rows:
        if isinstance(path[-1], int) and action != "changed":
            (came if action == "added" else went).setdefault(path[:-1], []).append(path[-1])
    # Inner lists first: rows name them by the new indexes of the lists around them.
    for path in sorted({*came, *went}, key=len, reverse=True):
        node = _find(root, path)
        if isinstance(node, dict):
            shifted = _shifted(node, sorted(came.get(path, ())), sorted(went.get(path, ())))
            node.clear()
            node.update(shifted)


def _shifted(node: Tree, came: list[int], went: list[int]) -> Tree:
    shifted: Tree = {}
    before = after = 0
    for index in sorted([index for index in node if isinstance(index, int)]):
        while after < len(came) and came[after] < index:
            after += 1
        while before < len(went) and went[before] <= index - after + before:
            before += 1
        shifted[index - after + before] = node[index]
    return shifted
