"""Documents being built, of which every value remembers the input that decided it.

A tree is a document's body in which what an input decided stands as a `Decided`. What is bare comes
from the document itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from ledger.fields.documents import nodes
from ledger.fields.lists import merge_keys, segments
from ledger.fields.paths import extend
from ledger.resources import FIELDS, Value

MAX_NODES = 3_000_000
MAX_STEPS = 1_000_000


class Input(NamedTuple):
    """A field of a file that decided something; `field` is empty for the whole document."""

    path: str
    field: str


@dataclass(frozen=True, slots=True)
class Decided:
    """A leaf that inputs decided, the most telling first.

    `open`: a suffix that is not known follows the value.
    """

    value: Value
    inputs: tuple[Input, ...]
    open: bool = False


Tree: TypeAlias = "None | bool | int | float | str | Decided | list[Tree] | dict[str, Tree]"
Steps: TypeAlias = "tuple[str | int, ...]"
Origin: TypeAlias = Callable[[str], "tuple[Input, ...]"]


class TooMuchError(Exception):
    """A rendering would take more time or memory than it may."""


@dataclass(slots=True)
class Budget:
    """What a rendering may still cost: nodes copied, and steps of search."""

    nodes: int = MAX_NODES
    steps: int = MAX_STEPS

    def take(self, nodes: int = 0, steps: int = 1) -> None:
        """Charges for work; raises TooMuchError when nothing is left."""
        self.nodes -= nodes
        self.steps -= steps
        if self.nodes < 0 or self.steps < 0:
            raise TooMuchError


# Items of lists that are objects: the copy, and the original whose place in the document is known.
Items: TypeAlias = "list[tuple[Tree, Value]]"


def copied(value: Value, budget: Budget, items: Items) -> Tree:
    """A tree of one's own: documents are shared and never changed. Notes the objects in lists."""
    if isinstance(value, dict):
        budget.take(len(value), 0)
        return {key: copied(inner, budget, items) for key, inner in value.items()}
    if isinstance(value, list):
        budget.take(len(value), 0)
        made = [copied(inner, budget, items) for inner in value]
        items += [pair for pair in zip(made, value, strict=True) if isinstance(pair[1], dict)]
        return made
    return value


def adopted(value: Value, origin: Origin, budget: Budget, field: str = "", name: str = "") -> Tree:
    """A tree all of whose leaves `origin` decided, told by their field in `value`."""
    if isinstance(value, dict) and value:
        budget.take(len(value), 0)
        return {
            key: adopted(inner, origin, budget, extend(field, key), key)
            for key, inner in value.items()
        }
    if isinstance(value, list) and value:
        budget.take(len(value), 0)
        named = zip(segments(value, merge_keys(value, name)), value, strict=True)
        return [adopted(inner, origin, budget, extend(field, segment)) for segment, inner in named]
    return Decided(value, origin(field))


def plain(tree: Tree) -> Value:
    """The value of a tree."""
    if isinstance(tree, Decided):
        value = tree.value
        # A decided value without members may have got some since: never share it.
        return type(value)() if isinstance(value, dict | list) else value
    if isinstance(tree, dict):
        return {key: plain(inner) for key, inner in tree.items()}
    if isinstance(tree, list):
        return [plain(inner) for inner in tree]
    return tree


def scalar(tree: Tree) -> Value:
    """The value of a leaf; None for what has members."""
    if isinstance(tree, Decided):
        tree = tree.value  # type: ignore[assignment]
    return None if isinstance(tree, dict | list | Decided) else tree


def mapping(tree: Tree) -> dict[str, Tree] | None:
    """The members of an object; None for anything else."""
    return tree if isinstance(tree, dict) else None


def child(parent: dict[str, Tree], key: str, *, create: bool = True) -> dict[str, Tree] | None:
    """The object under a key, made where there is nothing yet if `create`."""
    found = parent.get(key)
    if isinstance(found, dict):
        return found
    if not create or (found is not None and not _is_empty(found)):
        return None
    made: dict[str, Tree] = {}
    parent[key] = made
    return made


def _is_empty(tree: Tree) -> bool:
    return isinstance(tree, Decided) and tree.value in ({}, None)


def field_of(root: Tree, steps: Steps) -> str:
    """The path of a place in a tree, with the names that its lists have now."""
    field, name, at = "", "", root
    for step in steps:
        if isinstance(step, str) and isinstance(at, dict):
            field, name, at = extend(field, step), step, at.get(step)
        elif isinstance(step, int) and isinstance(at, list):
            items = [plain(one) for one in at]
            field = extend(field, segments(items, merge_keys(items, name))[step])
            name, at = "", at[step]
    return field


class Explained(NamedTuple):
    """A finished document: its body, the inputs of each decided leaf, and which leaves are open.

    `moved` gives the path that an item of a list had in the document, where it has another one now.
    """

    body: Value
    decided: Mapping[str, tuple[Input, ...]]
    open: frozenset[str]
    moved: Mapping[str, str]


def explained(tree: Tree, items: Items, original: Value) -> Explained:
    """What a tree comes to. `items` are those whose paths may have changed since `original`."""
    body = plain(tree)
    kept = {id(copy): value for copy, value in items}
    found: dict[str, int] = {}
    decided: dict[str, tuple[Input, ...]] = {}
    open_: set[str] = set()
    stack: list[tuple[Tree, Value, str, str]] = [(tree, body, "", "")]
    while stack:
        node, value, field, name = stack.pop()
        if isinstance(node, Decided):
            decided[field] = node.inputs
            if node.open:
                open_.add(field)
        elif isinstance(node, dict) and isinstance(value, dict):
            for key, inner in node.items():
                if isinstance(inner, Decided | dict | list):
                    stack.append((inner, value[key], extend(field, key), key))
        elif isinstance(node, list) and isinstance(value, list):
            names = segments(value, merge_keys(value, name)) if _holds_more(node) else []
            for segment, inner, below in zip(names, node, value, strict=False):
                path = extend(field, segment)
                if id(inner) in kept:
                    found[path] = id(kept[id(inner)])
                stack.append((inner, below, path, ""))
    return Explained(body, decided, frozenset(open_), _moved(found, original))


def _moved(found: Mapping[str, int], original: Value) -> dict[str, str]:
    """Path now → path in the document, of the items that have another one."""
    if not found:
        return {}
    paths = {id(value): path for _, path, value, _ in nodes(original, FIELDS)}
    return {path: paths[known] for path, known in found.items() if paths.get(known, path) != path}


def _holds_more(items: Sequence[Tree]) -> bool:
    return any(isinstance(one, Decided | dict | list) for one in items)


def inputs_of(tree: Tree, otherwise: Input) -> tuple[Input, ...]:
    """The inputs of a leaf as it is now."""
    return tree.inputs if isinstance(tree, Decided) else (otherwise,)


def joined(*inputs: Sequence[Input]) -> tuple[Input, ...]:
    """Inputs of several origins, each once."""
    return tuple(dict.fromkeys(one for several in inputs for one in several))
