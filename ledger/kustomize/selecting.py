"""Which objects a patch is for.

The texts of a target are regular expressions of Go (RE2), which a kustomization's author chooses. Python's
may take exponential time, so only those are used whose time is bounded by the square of the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ledger.kustomize.items import Identity, Item
from ledger.kustomize.references import text
from ledger.kustomize.trees import Tree, mapping, scalar
from ledger.resources import Value, split_api_version

MAX_PATTERN = 400
MAX_TEXT = 1_000
_PLAIN = re.compile(r"[A-Za-z0-9_/:.-]*")
_UNBOUNDED = re.compile(r"(?<!\\)[*+{]")
_HARD = re.compile(r"\)[*+{]|\\[^.\\/-]|\(\?")
_REQUIREMENT = re.compile(r"^\s*(!?)\s*([^\s=!,()]+)\s*(?:(==|=|!=)\s*([^\s=!,()]*)\s*)?$")
_SET = re.compile(r"^\s*([^\s=!,()]+)\s+(in|notin)\s+\(([^()]*)\)\s*$")


class UnreadSelectorError(Exception):
    """A selector is of a form that is not evaluated; the text names it."""


def select(items: Sequence[Item], target: dict[str, Value]) -> list[Item]:
    """The objects that a target means. Raises UnreadSelectorError."""
    names = {
        field: _pattern(text(target.get(field)))
        for field in ("group", "version", "kind", "name", "namespace")
    }
    labels = _requirements(text(target.get("labelSelector")))
    annotations = _requirements(text(target.get("annotationSelector")))
    return [
        item
        for item in items
        if any(_matches(one, names) for one in item.names())
        and _version_matches(item, names["version"])
        and _holds(item, "labels", labels)
        and _holds(item, "annotations", annotations)
    ]


def find(items: Sequence[Item], body: dict[str, Value]) -> list[Item]:
    """The objects that a patch without a target names by its own kind, name and namespace."""
    metadata = body.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    wanted = Identity(
        split_api_version(text(body.get("apiVersion"))),
        text(body.get("kind")),
        text(metadata.get("namespace")),
        text(metadata.get("name")),
    )
    return [item for item in items if wanted in _loose(item, wanted)]


def _loose(item: Item, wanted: Identity) -> list[Identity]:
    """What an object is called; `default` and no namespace are one."""
    names = item.names()
    if wanted.namespace in ("", "default"):
        return [
            one._replace(namespace=wanted.namespace) if one.namespace in ("", "default") else one
            for one in names
        ]
    return names


def _pattern(wanted: str) -> re.Pattern[str] | str:
    """A text that is compared, or an expression that is safe to match; "" for any."""
    if _PLAIN.fullmatch(wanted) and "." not in wanted:
        return wanted
    if len(wanted) > MAX_PATTERN or _HARD.search(wanted) or len(_UNBOUNDED.findall(wanted)) > 2:
        raise UnreadSelectorError(wanted[:80])
    try:
        return re.compile(f"^(?:{wanted.removeprefix('^').removesuffix('$')})$")
    except (re.error, RecursionError, OverflowError) as error:
        raise UnreadSelectorError(wanted[:80]) from error


def _fits(pattern: re.Pattern[str] | str, value: str) -> bool:
    if isinstance(pattern, str):
        return not pattern or pattern == value
    return len(value) <= MAX_TEXT and pattern.match(value) is not None


def _matches(one: Identity, names: dict[str, re.Pattern[str] | str]) -> bool:
    return (
        _fits(names["group"], one.group)
        and _fits(names["kind"], one.kind)
        and _fits(names["name"], one.name)
        and _fits(names["namespace"], one.namespace or "default")
    )


def _version_matches(item: Item, pattern: re.Pattern[str] | str) -> bool:
    return _fits(pattern, text(scalar(item.tree.get("apiVersion"))).rpartition("/")[2])


def _requirements(selector: str) -> list[tuple[str, str, list[str]]]:
    """(key, operator, values) of a label selector; Kubernetes' own grammar."""
    if len(selector) > MAX_TEXT:
        raise UnreadSelectorError(selector[:80])
    found: list[tuple[str, str, list[str]]] = []
    for part in re.split(r",(?![^(]*\))", selector) if selector.strip() else []:
        several = _SET.match(part)
        single = _REQUIREMENT.match(part)
        if several is not None:
            key, operator, values = several.groups()
            found.append((key, operator, [one.strip() for one in values.split(",")]))
        elif single is not None:
            absent, key, operator, value = single.groups()
            if operator is None:
                found.append((key, "absent" if absent else "exists", []))
            else:
                found.append((key, "notin" if operator == "!=" else "in", [value or ""]))
        else:
            raise UnreadSelectorError(selector[:80])
    return found


def _holds(item: Item, where: str, requirements: Sequence[tuple[str, str, list[str]]]) -> bool:
    if not requirements:
        return True
    held: dict[str, Tree] = mapping(item.metadata().get(where)) or {}
    for key, operator, values in requirements:
        value = scalar(held.get(key))
        fits = {
            "exists": key in held,
            "absent": key not in held,
            "in": key in held and value in values,
            "notin": key not in held or value not in values,
        }
        if not fits[operator]:
            return False
    return True
