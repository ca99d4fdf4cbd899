"""One object on its way through kustomizations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ledger.kustomize.trees import (
    Budget,
    Decided,
    Input,
    Items,
    Origin,
    Tree,
    child,
    copied,
    field_of,
    inputs_of,
    mapping,
    scalar,
)
from ledger.resources import Value, split_api_version


class Identity(NamedTuple):
    """What an object is called."""

    group: str
    kind: str
    namespace: str
    name: str


@dataclass(slots=True)
class Item:
    """An object with what is known of its making.

    `path` and `number` tell the document that declares it; a generated one has -1. `included` are the
    entries that took it in, outermost last. `was` holds every identity that it had, oldest first. `affixed`
    are the prefixes and suffixes put to its name. `hashed` tells that a hash follows the name, `unknown`
    the fields that are not read, `removed` what patches took away. `items` are the objects in lists of the
    document `original`, and `shifted` tells that lists may name them otherwise since.
    """

    tree: dict[str, Tree]
    path: str
    number: int
    included: tuple[Input, ...] = ()
    was: list[Identity] = field(default_factory=list)
    affixed: tuple[str, ...] = ()
    hashed: bool = False
    unknown: tuple[str, ...] = ()
    removed: dict[str, tuple[Input, ...]] = field(default_factory=dict)
    original: Value = None
    items: Items = field(default_factory=list)
    shifted: bool = False

    @property
    def group(self) -> str:
        """The API group."""
        return split_api_version(_text(self.tree.get("apiVersion")))

    @property
    def kind(self) -> str:
        """The kind."""
        return _text(self.tree.get("kind"))

    @property
    def name(self) -> str:
        """The name as it is now."""
        return _text(self.metadata().get("name"))

    @property
    def namespace(self) -> str:
        """The namespace as it is now; empty where there is none."""
        return _text(self.metadata().get("namespace"))

    @property
    def identity(self) -> Identity:
        """What it is called now."""
        return Identity(self.group, self.kind, self.namespace, self.name)

    def metadata(self) -> dict[str, Tree]:
        """Its metadata."""
        return child(self.tree, "metadata") or {}

    def names(self) -> list[Identity]:
        """Every identity it had and has."""
        return [*self.was, self.identity]

    def own(self, *steps: str | int) -> Input:
        """The document's own field at a place in it."""
        return Input(self.path, field_of(self.tree, steps))

    def set(self, parent: dict[str, Tree], key: str, value: Decided) -> None:
        """Puts a decided leaf into an object of the tree."""
        parent[key] = value

    def rename(self, key: str, value: str, *inputs: Input) -> None:
        """Gives it another name or namespace; the earlier identity is remembered."""
        metadata = self.metadata()
        before = metadata.get(key)
        if scalar(before) == value and isinstance(before, Decided):
            return
        earlier = inputs_of(before, self.own("metadata", key)) if key == "name" else ()
        self.was.append(self.identity)
        metadata[key] = Decided(value, (*inputs, *earlier))


def taken(
    value: Value, path: str, number: int, included: tuple[Input, ...], budget: Budget
) -> Item | None:
    """An object as a document declares it; None for what is no object."""
    items: Items = []
    tree = mapping(copied(value, budget, items))
    if tree is None or not _text(tree.get("kind")) or not _text(tree.get("apiVersion")):
        return None
    return Item(tree, path, number, included, original=value, items=items)


def always(*inputs: Input) -> Origin:
    """The same inputs for every field."""
    return lambda _: inputs


def _text(tree: Tree) -> str:
    value = scalar(tree)
    if isinstance(value, str):
        return value
    return "" if value is None or isinstance(value, bool) else str(value)
