"""Which commit set each field of an effective resource: blame of its document and of every input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from ledger import fields
from ledger.errors import LedgerError
from ledger.fields import FieldChange, Segment
from ledger.fields.documents import nodes
from ledger.kustomize.results import Effective
from ledger.kustomize.trees import Input
from ledger.projections import Context
from ledger.projections.changes import ChangeRow, FieldRow
from ledger.projections.live.desired import Build
from ledger.projections.trees import Tree
from ledger.resources import FIELDS, Resource, Value

MAX_VERSIONS = 5_000
DESTINATION = "spec.destination.namespace"


class Origin(NamedTuple):
    """The input that had a part in a field, and the commit that set it; empty where none is known.

    `field` is empty where it is the very same field of the document at `path`.
    """

    commit: str
    path: str
    field: str


# What decided one field, the most telling first.
Origins: TypeAlias = "tuple[Origin, ...]"
Address: TypeAlias = "tuple[str, str, str, str, int]"
_Node: TypeAlias = "dict[Segment, _Node | Origins]"


class Blamer:
    """Asks the recorded changes; remembers what it was told, so it lives for one settling."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._told: dict[tuple[object, ...], dict[str, str]] = {}
        self._at_revision: dict[tuple[str, str, int], Sequence[ChangeRow]] = {}

    def origins(self, build: Build, one: Effective) -> dict[str, Origins]:
        """The origins of every leaf of an effective resource, and at "" those that take it in."""
        found: dict[str, Origins] = {}
        taken_in = tuple(self._input(build.tree, entry) for entry in one.included)
        if taken_in:
            found[""] = taken_in
        leaves = [path for path, _ in fields.leaves(one.body)]
        for path in [*leaves, *one.removed]:
            inputs = one.removed.get(path) or one.inputs(path)
            known = [
                self._own(build.tree, one, entry)
                if entry.path == one.path and one.number >= 0
                else self._input(build.tree, entry)
                for entry in inputs
                if entry.field != DESTINATION
            ]
            same = [
                origin._replace(field="") if origin.field == path else origin for origin in known
            ]
            if same:
                found[path] = tuple(same)
        return found

    def _own(self, tree: Tree, one: Effective, entry: Input) -> Origin:
        told = self._document(tree, one.path, one.number)
        return Origin(_nearest(told, entry.field), entry.path, entry.field)

    def _input(self, tree: Tree, entry: Input) -> Origin:
        """The commit that set a field of another file: a kustomization, a patch."""
        documents = tree.documents(entry.path)
        if documents is None:
            return Origin("", entry.path, entry.field)
        best = ""
        for number, document in enumerate(documents):
            if entry.field and not _has(document, entry.field):
                continue
            told = self._document(tree, entry.path, number)
            best = _nearest(told, entry.field)
            if best:
                break
        return Origin(best, entry.path, entry.field)

    # -- the history of one document -------------------------------------------------------------

    def _document(self, tree: Tree, path: str, number: int) -> dict[str, str]:
        """Leaf → the commit that set it, and "" → the commit that changed the document last."""
        key = (tree.line, path, number)
        if key not in self._told:
            self._told[key] = self._blame(tree, path, number)
        return self._told[key]

    def _blame(self, tree: Tree, path: str, number: int) -> dict[str, str]:
        documents = tree.documents(path) or ()
        if number >= len(documents):
            return {}
        document = documents[number]
        history = self._history(tree, path, _address(documents, number, path))
        if not history:
            return {}
        told = fields.blame(document.body, self._rows(history), syntax=document.syntax)
        return {**told, "": history[-1].commit_sha}

    def _rows(
        self, history: Sequence[ChangeRow]
    ) -> Iterator[tuple[str, Sequence[FieldChange] | None]]:
        for change in reversed(history):
            if change.coarse or change.action == "added":
                yield change.commit_sha, None
            else:
                rows = self._context.find(FieldRow, change=change.change)
                yield (
                    change.commit_sha,
                    [FieldChange(row.field, row.action, None, None) for row in rows],
                )

    def _history(self, tree: Tree, path: str, address: Address) -> list[ChangeRow]:
        """The changes of a document up to the line's commit, oldest first."""
        line = tree.line
        resource = self._resource(tree, path, address)
        if resource is None:
            return []
        found: list[ChangeRow] = []
        for change in self._context.find(ChangeRow, resource=resource):
            place = (change.repository, change.branch)
            if place == (line.repository, line.branch) and tree.holds(change.commit_sha):
                found.append(change)
        return sorted(found, key=lambda one: (one.revision_number, one.change))

    def _resource(self, tree: Tree, path: str, address: Address) -> str | None:
        """The identity of a document: that of the last change at its path under its name."""
        line = tree.line
        for version in reversed(tree.history(path)[-MAX_VERSIONS:]):
            key = (line.repository, line.branch, version.revision_number)
            if key not in self._at_revision:
                self._at_revision[key] = self._context.find(
                    ChangeRow,
                    repository=line.repository,
                    branch=line.branch,
                    revision_number=version.revision_number,
                )
            for change in self._at_revision[key]:
                named = (
                    change.api_group, change.kind, change.namespace, change.name, change.ordinal,
                )  # fmt: skip
                here = change.commit_sha == version.commit_sha and change.path == path
                if here and named == address and change.action != "removed":
                    return change.resource
        return None


def _address(documents: Sequence[Resource], number: int, path: str) -> Address:
    """How the projection of changes tells a document of a file from the others."""
    names = [(one.api_group, one.kind, one.namespace, one.name or path) for one in documents]
    return (*names[number], names[:number].count(names[number]))


def _has(document: Resource, field: str) -> bool:
    try:
        fields.at(document.body, field, syntax=document.syntax)
    except (KeyError, LedgerError):
        return False
    return True


def _nearest(told: Mapping[str, str], field: str) -> str:
    """The commit of a leaf; of a field above leaves, or one that lists have shifted, the document's last."""
    if field in told:
        return told[field]
    below = {commit for path, commit in told.items() if path and fields.under(path, field)}
    return below.pop() if len(below) == 1 else told.get("", "")


# -- the fewest rows that tell it all --------------------------------------------------------------


def as_stored(kind: str, origins: Mapping[str, Origins]) -> dict[str, Origins]:
    """The same under the names that fields have in the cluster: `stringData` of a Secret is in `data`.

    It wins over `data` of the same key, as in the API server.
    """
    found = dict(origins)
    written = [path for path in origins if kind == "Secret" and fields.under(path, "stringData")]
    for path in written:
        told = tuple(one._replace(field=one.field or path) for one in found.pop(path))
        found[f"data{path.removeprefix('stringData')}"] = told
    return found


def collapsed(body: Value, origins: Mapping[str, Origins]) -> dict[str, Origins]:
    """The same with one entry for whole subtrees: each speaks for what is below and has no other entry.

    Every path that `origins` names stays told: of a leaf, the longest entry above it is its own.
    """
    names = {path: steps for steps, path, _, is_leaf in nodes(body, FIELDS) if is_leaf}
    told: dict[str, Origins] = {}
    root: _Node = {}
    for path, found in origins.items():
        steps = names.get(path)
        if steps is None or not steps:
            told[path] = found
            continue
        node = root
        for step in steps[:-1]:
            below = node.setdefault(step, {})
            assert isinstance(below, dict)
            node = below
        node[steps[-1]] = found
    included = told.pop("", ())
    _collapse(root, "", None, told)
    usual = told.get("", ())
    told[""] = tuple(dict.fromkeys([*usual, *included]))
    return {path: found for path, found in told.items() if found}


def _collapse(
    node: _Node | Origins, path: str, above: Origins | None, told: dict[str, Origins]
) -> None:
    if isinstance(node, tuple):
        if node != above:
            told[path] = node
        return
    counts: Counter[Origins] = Counter()
    _count(node, counts)
    most = max(counts.items(), key=lambda one: (one[1], one[0]), default=None)
    if most is not None and above not in counts:
        told[path] = most[0]
        above = most[0]
    for step, below in node.items():
        _collapse(
            below, fields.format_path([step]) if not path else _joined(path, step), above, told
        )


def _joined(path: str, step: Segment) -> str:
    tail = fields.format_path([step])
    return path + tail if tail.startswith("[") else f"{path}.{tail}"


def _count(node: _Node | Origins, counts: Counter[Origins]) -> None:
    stack: list[_Node | Origins] = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, tuple):
            counts[one] += 1
        else:
            stack.extend(one.values())
