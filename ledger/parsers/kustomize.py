"""Kustomizations and components, which need neither `apiVersion` nor `kind`.

They have no identity of their own, only a place: `metadata.name` is left aside and the path names them.
"""

from __future__ import annotations

from dataclasses import replace

from ledger.goyaml import Document, YamlError, load_all, split_documents
from ledger.parsers import Parser
from ledger.resources import Resource, resources_from_manifest, split_api_version, unparsed

GROUP = "kustomize.config.k8s.io"
KIND = "Kustomization"


def parse(piece: bytes) -> list[Resource]:
    """The kustomization of a piece. Another API's object in such a file is that API's manifest."""
    try:
        documents = load_all(piece)
    except YamlError as error:
        return [replace(unparsed(KIND, piece, error.reason), api_group=GROUP)]
    return [one for document in documents for one in _resources(document)]


def _resources(document: Document) -> list[Resource]:
    body, warnings = document.value, document.warnings
    if body is None:
        return []
    kind = KIND
    if isinstance(body, dict):
        api_version = body.get("apiVersion")
        if isinstance(api_version, str) and split_api_version(api_version) != GROUP:
            # Flux calls its own objects Kustomization too, and people its files kustomization.yaml.
            manifests = resources_from_manifest(body, warnings=warnings)
            if manifests is not None:
                return manifests
        if body.get("kind") == "Component":
            kind = "Component"
    return [Resource(GROUP, kind, "", "", body, warnings=warnings)]


PARSER = Parser(
    name="kustomize",
    version=1,
    patterns=("kustomization.yaml", "kustomization.yml", "kustomization"),
    split=split_documents,
    parse=parse,
)
