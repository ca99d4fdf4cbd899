"""Two documents compared into field rows, ready to be stored: pure, and most of a projection's work.

It depends on nothing but the two documents, so an ingest computes it ahead in its other process; a
projection that finds no answer ready computes it on the spot and gets the same.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple, TypeAlias

import msgspec

from ledger import fields, kustomize
from ledger.resources import FIELDS, Resource, Value

ADDED, CHANGED, REMOVED = "added", "changed", "removed"
MAX_VALUE = 4_096
EXCERPT = 256


# One field that differs: (field, action, old value, new value); values as JSON text, None for nothing.
FieldText: TypeAlias = tuple[str, str, str | None, str | None]


class Place(NamedTuple):
    """Where a document stands: item `item` of a piece of the file at `path`, or `opaque` JSON text."""

    path: str
    digest: bytes | None
    item: int
    opaque: str | None


class Shape(NamedTuple):
    """A resource without its body."""

    api_group: str
    kind: str
    namespace: str
    name: str
    unparsed: str
    warnings: str
    refers: str = ""  # of a kustomization: its `kustomize.References` as JSON text


def shape(resource: Resource) -> Shape:
    """What of a resource tells which one it is and what to know of it."""
    one = resource
    warnings = "; ".join(one.warnings)
    refers = kustomize.references_text(one) if one.api_group == kustomize.GROUP else ""
    return Shape(one.api_group, one.kind, one.namespace, one.name, one.unparsed, warnings, refers)


def opaque_resource(text: str) -> Resource:
    """The resource that stands for a document whose content is not kept."""
    return Resource("", "", "", "", msgspec.json.decode(text), FIELDS)


def compare(before: Resource | None, after: Resource | None) -> list[FieldText] | None:
    """The rows of a change; None where they would be too many or not comparable.

    An added or removed resource is one row at the root. Cost: see `fields.diff`.
    """
    if before is None:
        return [("", ADDED, None, value_text(after.body))] if after is not None else []
    if after is None:
        return [("", REMOVED, value_text(before.body), None)]
    if before.syntax != after.syntax:
        return None
    changes = fields.diff(before.body, after.body, syntax=after.syntax)
    if changes is None:
        return None
    return [
        (
            one.field,
            one.action,
            None if one.action == ADDED else value_text(one.old),
            None if one.action == REMOVED else value_text(one.new),
        )
        for one in changes
    ]


def value_text(value: Value) -> str:
    """A value as JSON text; above 4 KiB its digest, size and an excerpt."""
    text = msgspec.json.encode(value, order="sorted")
    if len(text) <= MAX_VALUE:
        return text.decode()
    digest = "sha256:" + hashlib.sha256(text).hexdigest()
    excerpt = text[:EXCERPT].decode("utf-8", "ignore")
    short = {"digest": digest, "bytes": len(text), "excerpt": excerpt}
    return msgspec.json.encode(short, order="sorted").decode()
