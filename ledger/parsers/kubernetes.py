"""Kubernetes manifests, and any other YAML: each document a resource, `List` kinds opened."""

from __future__ import annotations

from ledger.goyaml import YamlError, load_all, split_documents
from ledger.parsers import Parser
from ledger.resources import Resource, resources_from_manifest, unparsed


def parse(piece: bytes) -> list[Resource]:
    """The resources of a piece; a document that is no manifest is one resource without a name."""
    try:
        documents = load_all(piece)
    except YamlError as error:
        return [unparsed("YAML", piece, error.reason)]
    resources: list[Resource] = []
    for document in documents:
        if document.value is None:
            continue
        opened = resources_from_manifest(document.value, warnings=document.warnings)
        if opened is None:
            body, warnings = document.value, document.warnings
            opened = [Resource("", "YAML", "", "", body, warnings=warnings)]
        resources.extend(opened)
    return resources


PARSER = Parser(
    name="kubernetes",
    version=1,
    patterns=("*.yaml", "*.yml"),
    split=split_documents,
    parse=parse,
)
