"""Kustomize, as far as a static reading goes: what a directory refers to, and what comes out of it."""

from __future__ import annotations

import msgspec

from ledger.kustomize.references import (
    DIRECTORY,
    FILE,
    NAMES,
    REMOTE,
    References,
    Target,
    references,
    resolve,
)
from ledger.resources import Resource

__all__ = [
    "DIRECTORY",
    "FILE",
    "GROUP",
    "NAMES",
    "REMOTE",
    "References",
    "Target",
    "references",
    "references_of",
    "references_text",
    "resolve",
]

GROUP = "kustomize.config.k8s.io"
KINDS = ("Kustomization", "Component")
_decode = msgspec.json.Decoder(References).decode


def references_text(resource: Resource) -> str:
    """What a kustomization or component refers to, as JSON text; empty for any other resource."""
    if resource.kind not in KINDS or resource.unparsed:
        return ""
    return msgspec.json.encode(references(resource.body)).decode()


def references_of(text: str) -> References:
    """The inverse of `references_text`."""
    return _decode(text)
