"""The transformations that a kustomization's own fields ask for, one function each.

Each takes the objects so far and the fields it reads, and notes which field decided what.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from ledger.fields.lists import merge_keys, segments
from ledger.fields.paths import extend
from ledger.kustomize.items import Item
from ledger.kustomize.kinds import (
    ANNOTATIONS,
    COMMON_LABELS,
    LABELS,
    REPLICATED,
    TEMPLATE_LABELS,
    UNPREFIXED,
    Place,
    is_cluster_scoped,
)
from ledger.kustomize.references import objects, text, texts
from ledger.kustomize.trees import (
    Budget,
    Decided,
    Input,
    Tree,
    child,
    inputs_of,
    joined,
    mapping,
    scalar,
)
from ledger.resources import Value

Transform = Callable[[Sequence[Item], dict[str, Value], str, Budget], None]
_SERVICES = {
    "APIService": ("spec", "service"),
    "CustomResourceDefinition": ("spec", "conversion", "webhook", "clientConfig", "service"),
}
_IMAGE = re.compile(r"^(?P<name>[^@]*?)(?::(?P<tag>[^:/@]*))?(?:@(?P<digest>.*))?$", re.DOTALL)


def each(body: dict[str, Value], name: str) -> Iterator[tuple[str, dict[str, Value]]]:
    """The objects of a list of a kustomization with the path of each."""
    items = body.get(name)
    if not isinstance(items, list):
        return
    named = zip(segments(items, merge_keys(items, name)), items, strict=True)
    for segment, one in named:
        if isinstance(one, dict):
            yield extend(name, segment), one


# -- namespace, prefix, suffix -------------------------------------------------------------------


def set_namespace(items: Sequence[Item], body: dict[str, Value], path: str, budget: Budget) -> None:
    """`namespace`: of every object that can have one, and the name of a Namespace."""
    namespace = text(body.get("namespace"))
    if not namespace:
        return
    origin = Input(path, "namespace")
    for item in items:
        budget.take()
        if not is_cluster_scoped(item.group, item.kind):
            item.rename("namespace", namespace, origin)
        elif item.kind == "Namespace" and not item.group:
            item.rename("name", namespace, origin)
        if item.kind in ("RoleBinding", "ClusterRoleBinding"):
            _default_subjects(item, namespace, origin)
        for holder in _holders(item.tree, _SERVICES.get(item.kind, ("",)), False, budget):
            holder["namespace"] = Decided(namespace, (origin,))


def _default_subjects(item: Item, namespace: str, origin: Input) -> None:
    """The service account `default` is every namespace's own; others follow their object, by name."""
    subjects = item.tree.get("subjects")
    for subject in subjects if isinstance(subjects, list) else []:
        if isinstance(subject, dict) and scalar(subject.get("name")) == "default":
            subject["namespace"] = Decided(namespace, (origin,))


def add_affix(
    field: str, items: Sequence[Item], body: dict[str, Value], path: str, budget: Budget
) -> None:
    """`namePrefix` or `nameSuffix`: put to every name."""
    affix = text(body.get(field))
    if not affix:
        return
    for item in items:
        budget.take(len(affix))
        if item.kind not in UNPREFIXED and item.name:
            whole = affix + item.name if field == "namePrefix" else item.name + affix
            item.rename("name", whole, Input(path, field))
            item.affixed = (*item.affixed, f"{path}:{field}")


# -- labels and annotations ----------------------------------------------------------------------


def add_labels(items: Sequence[Item], body: dict[str, Value], path: str, budget: Budget) -> None:
    """`labels`, then `commonLabels`."""
    for field, one in each(body, "labels"):
        places = LABELS
        if one.get("includeSelectors") is True:
            places = COMMON_LABELS
        elif one.get("includeTemplates") is True:
            places = TEMPLATE_LABELS
        extra = [_place(spec) for spec in objects(one.get("fields"))]
        _put_pairs(items, one.get("pairs"), (*places, *extra), path, f"{field}.pairs", budget)
    _put_pairs(items, body.get("commonLabels"), COMMON_LABELS, path, "commonLabels", budget)


def add_annotations(
    items: Sequence[Item], body: dict[str, Value], path: str, budget: Budget
) -> None:
    """`commonAnnotations`."""
    pairs = body.get("commonAnnotations")
    _put_pairs(items, pairs, ANNOTATIONS, path, "commonAnnotations", budget)


def pairs_as_text(item: Item) -> None:
    """Labels and annotations are text: kustomize writes numbers and booleans so."""
    for key in ("labels", "annotations"):
        held = mapping(item.metadata().get(key)) or {}
        for name, value in held.items():
            leaf = scalar(value)
            if leaf is not None and not isinstance(leaf, str):
                inputs = inputs_of(value, item.own("metadata", key, name))
                held[name] = Decided(_yaml_text(leaf), inputs)


def _place(spec: dict[str, Value]) -> Place:
    steps = [
        part
        for step in text(spec.get("path")).split("/")
        for part in ([step[:-2], "*"] if step.endswith("[]") else [step])
    ]
    kind = text(spec.get("kind"))
    kinds = frozenset([kind] if kind else [])
    group = spec.get("group")
    return Place(
        tuple(steps),
        kinds,
        group if isinstance(group, str) else None,
        spec.get("create") is True,
    )


def _put_pairs(
    items: Sequence[Item],
    pairs: Value,
    places: Iterable[Place],
    path: str,
    field: str,
    budget: Budget,
) -> None:
    if not isinstance(pairs, dict):
        return
    leaves = {
        key: Decided(
            value if isinstance(value, str) else _yaml_text(value),
            (Input(path, extend(field, key)),),
        )
        for key, value in pairs.items()
    }
    for item in items:
        for place in places:
            if place.kinds and item.kind not in place.kinds:
                continue
            if place.group is not None and item.group != place.group:
                continue
            for holder in _holders(item.tree, place.path, place.create, budget):
                budget.take(len(leaves))
                holder.update(leaves)


def _yaml_text(value: Value) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _holders(
    tree: Tree, steps: Sequence[str], create: bool, budget: Budget
) -> Iterator[dict[str, Tree]]:
    """The objects at a path; `*` is every item of a list."""
    budget.take()
    if not steps:
        if isinstance(tree, dict):
            yield tree
        return
    if isinstance(tree, list) and steps[0] == "*":
        for one in tree:
            yield from _holders(one, steps[1:], create, budget)
    elif isinstance(tree, dict):
        listed = len(steps) > 1 and steps[1] == "*"
        below = tree.get(steps[0]) if listed else child(tree, steps[0], create=create)
        if below is not None:
            yield from _holders(below, steps[1:], create, budget)


# -- images and replicas -------------------------------------------------------------------------


def set_images(items: Sequence[Item], body: dict[str, Value], path: str, budget: Budget) -> None:
    """`images`: new names, tags and digests of the images of containers, wherever they stand."""
    for field, one in each(body, "images"):
        name = text(one.get("name"))
        if not name:
            continue
        for item in items:
            if item.kind == "CustomResourceDefinition":
                continue
            for container, steps in _containers(item.tree, budget):
                image = scalar(container.get("image"))
                match = _matched(image, name) if isinstance(image, str) else None
                if match is not None:
                    own = item.own(*steps, "image")
                    before = inputs_of(container.get("image"), own)
                    container["image"] = _new_image(match, one, path, field, before)


def _matched(image: str, name: str) -> tuple[str, str, str] | None:
    """Name, tag and digest of an image that `images` means by `name`."""
    match = _IMAGE.match(image)
    if match is None or match["name"] != name:
        return None
    return match["name"], match["tag"] or "", match["digest"] or ""


def _new_image(
    now: tuple[str, str, str],
    one: dict[str, Value],
    path: str,
    field: str,
    before: tuple[Input, ...],
) -> Decided:
    name, tag, digest = now
    new = {key: _scalar_text(one.get(key)) for key in ("newName", "newTag", "digest", "tagSuffix")}
    if new["newTag"] or new["digest"]:
        tag, digest = new["newTag"], new["digest"]
    elif new["tagSuffix"]:
        tag, digest = tag + new["tagSuffix"], ""
    name = new["newName"] or name
    whole = name + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    order = ("digest", "newTag", "tagSuffix", "newName")
    inputs = [Input(path, f"{field}.{key}") for key in order if new[key]]
    decided = new["newName"] and (new["newTag"] or new["digest"])
    return Decided(whole, joined(inputs, () if decided else before))


def _scalar_text(value: Value) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None or isinstance(value, bool | dict | list) else str(value)


def _containers(
    tree: Tree, budget: Budget, steps: tuple[str | int, ...] = ()
) -> Iterator[tuple[dict[str, Tree], tuple[str | int, ...]]]:
    """Every object in a list called containers or initContainers, with the way to it."""
    budget.take()
    if isinstance(tree, dict):
        for key, inner in tree.items():
            if key in ("containers", "initContainers") and isinstance(inner, list):
                for index, one in enumerate(inner):
                    if isinstance(one, dict):
                        yield one, (*steps, key, index)
            elif isinstance(inner, dict | list):
                yield from _containers(inner, budget, (*steps, key))
    elif isinstance(tree, list):
        for index, one in enumerate(tree):
            if isinstance(one, dict | list):
                yield from _containers(one, budget, (*steps, index))


def set_replicas(items: Sequence[Item], body: dict[str, Value], path: str, budget: Budget) -> None:
    """`replicas`: the count of the workloads of a name, whatever prefix they have got since."""
    for field, one in each(body, "replicas"):
        name, count = text(one.get("name")), one.get("count")
        for item in items:
            budget.take()
            if item.kind in REPLICATED and any(known.name == name for known in item.names()):
                spec = child(item.tree, "spec")
                if spec is not None:
                    spec["replicas"] = Decided(count, (Input(path, f"{field}.count"),))


# In kustomize's order (`configureBuiltinTransformers`); patches stand before and between them.
BEFORE: tuple[Transform, ...] = (
    set_namespace,
    partial(add_affix, "namePrefix"),
    partial(add_affix, "nameSuffix"),
    add_labels,
    add_annotations,
)
AFTER: tuple[Transform, ...] = (set_replicas, set_images)

__all__ = ["AFTER", "BEFORE", "Transform", "each", "texts"]
