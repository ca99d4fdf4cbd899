"""Helm's own files: values, the chart's description and its lock. Templates are YAML or text."""

from __future__ import annotations

from ledger.goyaml import Document, YamlError, load_all, split_documents
from ledger.parsers import Parser
from ledger.resources import Resource, Value, resources_from_manifest, unparsed


def parse(piece: bytes) -> list[Resource]:
    """What a piece declares; a Kubernetes object in a file that is only named like values is itself."""
    try:
        documents = load_all(piece)
    except YamlError as error:
        return [unparsed("HelmValues", piece, error.reason)]
    return [one for document in documents for one in _resources(document)]


def _resources(document: Document) -> list[Resource]:
    body, warnings = document.value, document.warnings
    if body is None:
        return []
    manifests = resources_from_manifest(body, warnings=warnings)
    if manifests is not None and all(manifest.name for manifest in manifests):
        return manifests
    return [Resource("", _kind(body), "", "", body, warnings=warnings)]


def _kind(body: Value) -> str:
    """Which of Helm's files a document is, by what Helm requires of it: pieces know no path."""
    if not isinstance(body, dict):
        return "HelmValues"
    if {"dependencies", "digest", "generated"} <= body.keys():
        return "HelmLock"
    if body.get("apiVersion") in ("v1", "v2") and {"name", "version"} <= body.keys():
        return "HelmChart"
    return "HelmValues"


PARSER = Parser(
    name="helm",
    version=1,
    patterns=(
        *("values.yaml", "values.yml", "values-*.yaml", "values-*.yml", "values.*.yaml"),
        *("values.*.yml", "*-values.yaml", "*-values.yml", "*.values.yaml", "*.values.yml"),
        *("chart.yaml", "chart.lock"),
    ),
    split=split_documents,
    parse=parse,
)
