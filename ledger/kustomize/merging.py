"""Strategic merge patches and JSON patches (RFC 6902) on trees.

As kustomize (kyaml's `merge2`) does it: lists of Kubernetes' own kinds merge by their keys, new items
first; all other lists are replaced; null removes a field; `$patch: delete` and `replace` do as they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.fields.lists import merge_keys, segments
from ledger.fields.paths import extend, format_path
from ledger.kustomize.items import Item
from ledger.kustomize.kinds import PRIMITIVE_LISTS, is_built_in, merge_keys_of
from ledger.kustomize.trees import (
    Budget,
    Decided,
    Input,
    Origin,
    Steps,
    Tree,
    adopted,
    child,
    field_of,
    plain,
)
from ledger.resources import Value

DIRECTIVE = "$patch"
_KEEP = ("apiVersion", "kind")


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch on its way: `origin` tells the inputs of a field of it."""

    item: Item
    origin: Origin
    budget: Budget
    typed: bool


def merge_strategic(item: Item, patch: dict[str, Value], origin: Origin, budget: Budget) -> bool:
    """Merges a patch into an object. False where the patch removes the whole object."""
    if patch.get(DIRECTIVE) == "delete":
        return False
    work = Patch(item, origin, budget, is_built_in(item.group))
    item.shifted = True
    name, namespace = item.metadata().get("name"), item.metadata().get("namespace")
    rest = {key: value for key, value in patch.items() if key not in _KEEP}
    _merge_object(work, item.tree, rest, (), "")
    # A patch never gives another name: it may have been meant for many objects.
    metadata = item.metadata()
    for key, value in (("name", name), ("namespace", namespace)):
        metadata.pop(key, None)
        if value is not None:
            metadata[key] = value
    return True


def _merge_object(
    work: Patch, into: dict[str, Tree], patch: dict[str, Value], steps: Steps, field: str
) -> None:
    work.budget.take(len(patch))
    if patch.get(DIRECTIVE) == "replace":
        _note_removed(work, into, steps, field)
        into.clear()
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        _merge_member(work, into, key, value, (*steps, key), extend(field, key))
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/") and isinstance(value, list):
            _delete_primitives(into, key.partition("/")[2], value)


def _merge_member(
    work: Patch, into: dict[str, Tree], key: str, value: Value, steps: Steps, field: str
) -> None:
    held = into.get(key)
    if value is None or (isinstance(value, dict) and value.get(DIRECTIVE) == "delete"):
        if key in into:
            _note_removed(work, held, steps, field)
            del into[key]
    elif isinstance(value, dict):
        if not isinstance(held, dict):
            into[key] = held = {}
            if not value:
                into[key] = Decided({}, work.origin(field))
        _merge_object(work, held, value, steps, field)
    elif isinstance(value, list) and value:
        _merge_list(work, into, key, value, steps, field)
    else:
        into[key] = Decided(value, work.origin(field))


def _merge_list(
    work: Patch, into: dict[str, Tree], key: str, value: list[Value], steps: Steps, field: str
) -> None:
    held = into.get(key)
    replace = any(isinstance(one, dict) and one.get(DIRECTIVE) == "replace" for one in value)
    parent = next((step for step in reversed(steps[:-1]) if isinstance(step, str)), "")
    keys = merge_keys_of(work.item.kind, key, parent) if work.typed else ()
    if isinstance(held, list) and keys and not replace:
        _merge_items(work, held, value, keys, steps, field)
    elif isinstance(held, list) and work.typed and key in PRIMITIVE_LISTS and not replace:
        known = [plain(one) for one in held]
        fresh = [one for one in value if one not in known]
        held.extend(Decided(one, work.origin(field)) for one in fresh)
    else:
        if isinstance(held, list):
            _note_removed(work, held, steps, field)
        # A list that is new takes no directives; one that is replaced leaves them out.
        kept = [one for one in value if not (isinstance(one, dict) and DIRECTIVE in one)]
        names = merge_keys(kept, key)
        named = zip(segments(kept, names), kept, strict=True)
        made = [_taken(work, one, extend(field, segment)) for segment, one in named]
        into[key] = made or Decided([], work.origin(field))


def _taken(work: Patch, value: Value, field: str) -> Tree:
    """A value of a patch that finds nothing to merge with: what it removes is not there."""
    if isinstance(value, dict):
        made: dict[str, Tree] = {}
        _merge_object(work, made, value, (), field)
        return made if made or not value else Decided({}, work.origin(field))
    return adopted(value, lambda below: work.origin(field + below), work.budget)


def _merge_items(
    work: Patch,
    held: list[Tree],
    patch: list[Value],
    keys: Sequence[str],
    steps: Steps,
    field: str,
) -> None:
    """Items by merge key: those known are merged or deleted, the others come first."""
    names = segments(patch, merge_keys(patch, str(steps[-1])))
    places: dict[tuple[Value, ...], int] = {}
    for place, one in enumerate(held):
        places.setdefault(_key(one, keys), place)
    work.budget.take(len(held) + len(patch))
    fresh: list[Tree] = []
    gone: list[int] = []
    for segment, value in zip(names, patch, strict=True):
        if not isinstance(value, dict):
            continue
        below = extend(field, segment)
        at = places.get(_key(value, keys))
        one = held[at] if at is not None else None
        if value.get(DIRECTIVE) == "delete":
            if at is not None:
                _note_removed(work, one, (*steps, at), below)
                gone.append(at)
        elif isinstance(one, dict) and at is not None:
            _merge_object(work, one, value, (*steps, at), below)
        else:
            fresh.append(_taken(work, value, below))
    kept = [one for place, one in enumerate(held) if place not in set(gone)]
    held[:] = [*fresh, *kept]


def _key(one: Tree | Value, keys: Sequence[str]) -> tuple[Value, ...]:
    if not isinstance(one, dict):
        return ()
    found = [_leaf(one.get(key)) for key in keys]
    return tuple(
        ("TCP" if key == "protocol" and value is None else value)
        for key, value in zip(keys, found, strict=True)
    )


def _leaf(one: Tree | Value) -> Value:
    if isinstance(one, Decided):
        return one.value
    return None if isinstance(one, dict | list) else one


def _delete_primitives(into: dict[str, Tree], key: str, values: list[Value]) -> None:
    held = into.get(key)
    if isinstance(held, list):
        held[:] = [one for one in held if plain(one) not in values]


def _note_removed(work: Patch, held: Tree, steps: Steps, field: str) -> None:
    if held is not None:
        work.item.removed[field_of(work.item.tree, steps)] = work.origin(field)


# -- JSON patches --------------------------------------------------------------------------------


class PatchError(Exception):
    """A JSON patch does not fit the object; the text says why."""


def apply_operations(item: Item, operations: list[Value], origin: Origin, budget: Budget) -> None:
    """Applies RFC 6902 operations in order. Raises PatchError, with the operations before it applied."""
    # kustomize notes things of its own among the annotations, so that they are always there.
    annotations = child(item.metadata(), "annotations")
    item.shifted = True
    try:
        _apply_all(item, operations, origin, budget)
    finally:
        if annotations == {}:
            item.metadata().pop("annotations", None)


def _apply_all(item: Item, operations: list[Value], origin: Origin, budget: Budget) -> None:
    for number, one in enumerate(operations):
        if not isinstance(one, dict) or not isinstance(one.get("path"), str):
            raise PatchError(f"operation {number} is none")
        budget.take()
        _apply(item, one, origin, number, budget)


def _apply(item: Item, one: dict[str, Value], origin: Origin, number: int, budget: Budget) -> None:
    name, pointer = one.get("op"), str(one["path"])
    value_field = f"{format_path([number])}.value"

    def fresh(below: str) -> tuple[Input, ...]:
        return origin(value_field + ("." if below and below[0] != "[" else "") + below)

    if name == "add":
        _put(item, pointer, adopted(one.get("value"), fresh, budget), insert=True)
    elif name == "replace":
        _put(item, pointer, adopted(one.get("value"), fresh, budget), insert=False)
    elif name == "remove":
        steps = _steps(item, pointer)
        field = field_of(item.tree, steps)
        _take(item, pointer)
        item.removed[field] = origin(format_path([number]))
    elif name in ("move", "copy") and isinstance(one.get("from"), str):
        source = str(one["from"])
        budget.take(_size(_take(item, source, keep=True)))
        value = plain(_take(item, source, keep=name == "copy"))
        _put(
            item,
            pointer,
            adopted(value, lambda _: origin(format_path([number])), budget),
            insert=True,
        )
    elif name == "test":
        if plain(_take(item, pointer, keep=True)) != one.get("value"):
            raise PatchError(f"the test of {pointer} fails")
    else:
        raise PatchError(f"operation {number} is none")


def _size(tree: Tree) -> int:
    if isinstance(tree, dict):
        return 1 + sum(_size(one) for one in tree.values())
    return 1 + sum(_size(one) for one in tree) if isinstance(tree, list) else 1


def _steps(item: Item, pointer: str) -> Steps:
    """The way of a JSON pointer (RFC 6901) through a tree."""
    if pointer and not pointer.startswith("/"):
        raise PatchError(f"{pointer} is no JSON pointer")
    at: Tree = item.tree
    steps: list[str | int] = []
    for raw in pointer.split("/")[1:]:
        part = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(at, list):
            step = _index(part, len(at))
            steps.append(step)
            at = at[step] if step < len(at) else None
        else:
            steps.append(part)
            at = at.get(part) if isinstance(at, dict) else None
    return tuple(steps)


def _index(part: str, length: int) -> int:
    if part == "-":
        return length
    if not part.isascii() or not part.isdigit() or len(part) > 9 or int(part) > length:
        raise PatchError(f"the list has no item {part[:80]}")
    return int(part)


def _parent(item: Item, steps: Steps) -> Tree:
    at: Tree = item.tree
    for step in steps[:-1]:
        if isinstance(at, dict) and isinstance(step, str):
            at = at.get(step)
        elif isinstance(at, list) and isinstance(step, int) and step < len(at):
            at = at[step]
        else:
            at = None
    return at


def _take(item: Item, pointer: str, *, keep: bool = False) -> Tree:
    steps = _steps(item, pointer)
    parent = _parent(item, steps)
    last = steps[-1] if steps else ""
    if isinstance(parent, dict) and isinstance(last, str) and last in parent and steps:
        return parent[last] if keep else parent.pop(last)
    if isinstance(parent, list) and isinstance(last, int) and last < len(parent):
        return parent[last] if keep else parent.pop(last)
    raise PatchError(f"nothing stands at {pointer[:200]}")


def _put(item: Item, pointer: str, value: Tree, *, insert: bool) -> None:
    steps = _steps(item, pointer)
    parent = _parent(item, steps)
    last = steps[-1] if steps else ""
    if isinstance(parent, dict) and isinstance(last, str) and steps:
        parent[last] = value
    elif isinstance(parent, list) and isinstance(last, int):
        if insert:
            parent.insert(last, value)
        elif last < len(parent):
            parent[last] = value
        else:
            raise PatchError(f"nothing stands at {pointer[:200]}")
    else:
        raise PatchError(f"nothing stands above {pointer[:200]}")
