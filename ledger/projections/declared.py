"""Where applications take manifests from, as their state has it, and what they set on top."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ledger.kustomize.applications import overlay
from ledger.projections.applications import directory
from ledger.resources import Value


class Source(NamedTuple):
    """A place that an application takes manifests from. `options` is JSON text."""

    repository: str
    url: str
    path: str
    target_revision: str
    chart: str
    options: str


def sources_of(facts: str) -> tuple[Source, ...]:
    """The sources of an application as its state has them."""
    return sources_in(decoded(facts))


def sources_in(facts: dict[str, Value]) -> tuple[Source, ...]:
    """The sources of an application; one of several without a path only lends its files to others."""
    told = facts.get("sources")
    found: list[Source] = []
    for one in told if isinstance(told, list) else ():
        if isinstance(one, dict):
            texts = {name: str(one.get(name, "")) for name in Source._fields}
            found.append(Source(**{**texts, "path": directory(texts["path"])}))
    return tuple(found)


def overlay_of(source: Source) -> dict[str, Value]:
    """What an application sets on top of a source, as fields of a kustomization."""
    return overlay(decoded(source.options).get("kustomize"))


def decoded(text: str) -> dict[str, Value]:
    """An object of JSON text; empty where it is none."""
    told = json_value(text)
    return told if isinstance(told, dict) else {}


def json_value(text: Value) -> Value:
    """What JSON text says; None where it is none."""
    if not isinstance(text, str) or not text:
        return None
    try:
        told: Value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None
    return told
