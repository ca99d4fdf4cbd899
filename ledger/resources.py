"""What a document declares: resources with a stable identity and a JSON-like body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = "None | bool | int | float | str | list[Value] | dict[str, Value]"

FIELDS = "fields"
LINES = "lines"


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing declared by one document.

    `name` is empty where the document has no name of its own: the caller then names it by its path.
    `body` is the document as JSON values (`syntax` FIELDS), or the list of its lines (`syntax` LINES).
    `unparsed` gives the reason where the document should have had fields but could not be read.
    `warnings` are facts a reader should know, such as a duplicate key.
    """

    api_group: str
    kind: str
    namespace: str
    name: str
    body: Value
    syntax: str = FIELDS
    unparsed: str = ""
    warnings: tuple[str, ...] = ()


def split_api_version(api_version: str) -> str:
    """The API group of `group/version`; empty for the core group (`v1`)."""
    group, slash, _ = api_version.rpartition("/")
    return group if slash else ""


def resources_from_manifest(
    document: Value, *, warnings: tuple[str, ...] = ()
) -> list[Resource] | None:
    """The Kubernetes resources of one parsed document, `List` kinds opened; None if it is no manifest.

    A manifest is a mapping with text `apiVersion` and `kind`. A document without `metadata.name`
    keeps an empty name. Items of a list that are no manifests stay inside the list's own resource.
    """
    if not isinstance(document, dict):
        return None
    api_version, kind = document.get("apiVersion"), document.get("kind")
    if not isinstance(api_version, str) or not isinstance(kind, str) or not kind:
        return None
    items = document.get("items")
    if kind.endswith("List") and isinstance(items, list) and items:
        opened = [resources_from_manifest(item, warnings=warnings) for item in items]
        if all(one is not None for one in opened):
            return [resource for one in opened if one is not None for resource in one]
    metadata = document.get("metadata")
    name = namespace = ""
    if isinstance(metadata, dict):
        name = _text(metadata.get("name")) or _generated(metadata.get("generateName"))
        namespace = _text(metadata.get("namespace"))
    group = split_api_version(api_version)
    return [Resource(group, kind, namespace, name, document, warnings=warnings)]


def lines_of(blob: bytes) -> tuple[list[Value], tuple[str, ...]]:
    """The lines of a file without their ends, and a warning if it is not UTF-8 (then read as Latin-1).

    Only a line feed ends a line: a carriage return stays, and so does a very long line.
    """
    warnings: tuple[str, ...] = ()
    try:
        text = blob.decode()
    except UnicodeDecodeError:
        text, warnings = blob.decode("latin-1"), ("not UTF-8: read as Latin-1",)
    lines: list[Value] = [*text.split("\n")]
    if lines[-1] == "":
        lines.pop()
    return lines, warnings


def unparsed(kind: str, blob: bytes, reason: str) -> Resource:
    """What stands for a document that cannot be read: its lines, and why."""
    lines, warnings = lines_of(blob)
    return Resource("", kind, "", "", lines, syntax=LINES, unparsed=reason, warnings=warnings)


def _text(value: Value) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None or isinstance(value, bool | list | dict) else str(value)


def _generated(value: Value) -> str:
    return f"{value}*" if isinstance(value, str) and value else ""
