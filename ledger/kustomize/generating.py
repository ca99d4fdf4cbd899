"""ConfigMaps and Secrets that kustomizations generate, as far as names and literals go.

A hash of the contents follows the name unless that is switched off; it is not worked out, because
contents of secrets are never kept. Files are not read: where a generator takes some, `data` is unknown.
"""

from __future__ import annotations

from ledger.fields.paths import extend
from ledger.kustomize.items import Item
from ledger.kustomize.references import text, texts
from ledger.kustomize.transforming import each
from ledger.kustomize.trees import Decided, Input, Tree, child
from ledger.resources import Value

GENERATORS = {"configMapGenerator": "ConfigMap", "secretGenerator": "Secret"}


def generate(
    items: list[Item], body: dict[str, Value], path: str, included: tuple[Input, ...]
) -> list[Item]:
    """The objects with those that a kustomization generates, or that it changes by a generator."""
    general = body.get("generatorOptions")
    general = general if isinstance(general, dict) else {}
    made = list(items)
    for name, kind in GENERATORS.items():
        for field, one in each(body, name):
            options = one.get("options")
            options = {**general, **(options if isinstance(options, dict) else {})}
            behavior = text(one.get("behavior"))
            if behavior in ("merge", "replace"):
                _change(made, kind, one, path, field, behavior)
            else:
                made.append(_made(kind, one, options, path, field, included))
    return made


def _made(
    kind: str,
    one: dict[str, Value],
    options: dict[str, Value],
    path: str,
    field: str,
    included: tuple[Input, ...],
) -> Item:
    metadata: dict[str, Tree] = {
        "name": Decided(text(one.get("name")), (Input(path, f"{field}.name"),))
    }
    if text(one.get("namespace")):
        metadata["namespace"] = Decided(one["namespace"], (Input(path, f"{field}.namespace"),))
    for key in ("labels", "annotations"):
        pairs = options.get(key)
        if isinstance(pairs, dict) and pairs:
            origin = (Input(path, field),)
            metadata[key] = {name: Decided(value, origin) for name, value in pairs.items()}
    tree: dict[str, Tree] = {
        "apiVersion": Decided("v1", (Input(path, field),)),
        "kind": Decided(kind, (Input(path, field),)),
        "metadata": metadata,
    }
    if kind == "Secret":
        tree["type"] = Decided(text(one.get("type")) or "Opaque", (Input(path, field),))
    if options.get("immutable") is True:
        tree["immutable"] = Decided(True, (Input(path, field),))
    item = Item(tree, path, -1, included, hashed=options.get("disableNameSuffixHash") is not True)
    _take_data(item, one, path, field)
    return item


def _change(
    items: list[Item], kind: str, one: dict[str, Value], path: str, field: str, behavior: str
) -> None:
    """A generator that adds to, or replaces the contents of, what a base generates."""
    name = text(one.get("name"))
    for item in items:
        if item.kind == kind and any(known.name == name for known in item.names()):
            if behavior == "replace":
                item.tree.pop("data", None)
                item.tree.pop("binaryData", None)
                item.unknown = ()
            _take_data(item, one, path, field)
            return


def _take_data(item: Item, one: dict[str, Value], path: str, field: str) -> None:
    if texts(one.get("files")) or texts(one.get("envs")) or text(one.get("env")):
        item.unknown = ("binaryData", "data")
    for literal in texts(one.get("literals")):
        key, equals, value = literal.partition("=")
        data = child(item.tree, "data") if equals else None
        if data is not None:
            # A Secret's token stands for the decoded value, as one does in `stringData`.
            data[key] = Decided(_unquoted(value), (Input(path, extend(field, "literals")),))


def _unquoted(value: str) -> str:
    quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value
