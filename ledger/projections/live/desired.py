"""What applications declare: the effective resources of their sources at a revision."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from ledger.kustomize.rendering import render
from ledger.kustomize.results import Effective, Overlay, Rendered, Unread
from ledger.live import Ignore, ignores
from ledger.projections import Context, revisions
from ledger.projections.applications import StateRow
from ledger.projections.declared import Source, decoded, json_value, overlay_of, sources_in
from ledger.projections.deployments import SyncRow, SyncSourceRow
from ledger.projections.live.rows import BranchRow, Identity, Name
from ledger.projections.trees import ContextReader, Line, Tree, line_at
from ledger.resources import Value

HOOKS = ("argocd.argoproj.io/hook", "helm.sh/hook")
_HEADS = "refs/heads/"
_USUAL = ("main", "master")


class Sync(NamedTuple):
    """A sync with the revision of each source."""

    sync: str
    started_at: str
    ended_at: str
    complete: int
    local: int
    revisions: tuple[tuple[Source, str], ...]


@dataclass(frozen=True, slots=True)
class App:
    """An application as it is told now; `sources` is empty where it is gone. Syncs oldest first."""

    name: Name
    present: bool
    destination: str
    namespace: str
    sources: tuple[Source, ...]
    rules: tuple[Ignore, ...]
    syncs: tuple[Sync, ...]
    mark: str

    @property
    def claims(self) -> tuple[str, ...]:
        """What objects say that belong to it."""
        name = self.name.application
        return (name, f"{self.name.namespace}_{name}", f"?{name}", f"?{name[:63]}")


@dataclass(slots=True)
class Build:
    """A source at a revision: its effective resources by (group, kind, namespace, name).

    `mark` changes with every change of what it is made from.
    """

    line: Line
    tree: Tree
    rendered: Rendered
    mark: str
    resources: dict[tuple[str, str, str, str], Effective] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether nothing that could declare further objects was left unread."""
        return not any(one.kind != "conflict" for one in self.rendered.unread)

    def not_read(self) -> str:
        """What was not read, for a person; empty where everything was."""
        texts = sorted({one.text() for one in self.rendered.unread})
        more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
        return "; ".join(texts[:3]) + more


class Builder:
    """Builds what applications declare; remembers what it built, so it lives for one settling."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.reader = ContextReader(context)
        self._apps: dict[Name, App] = {}
        self._builds: dict[tuple[object, ...], Build | None] = {}
        self._trees: dict[Line, Tree] = {}

    # -- applications ----------------------------------------------------------------------------

    def app(self, name: Name) -> App:
        """An application with its syncs."""
        if name not in self._apps:
            self._apps[name] = self._read(name)
        return self._apps[name]

    def _read(self, name: Name) -> App:
        states = self._context.find(
            StateRow, cluster=name.cluster, namespace=name.namespace, application=name.application
        )
        current = next((row for row in states if row.current), None)
        facts = decoded(current.facts) if current is not None else {}
        present = sorted(
            [row for row in states if row.present], key=lambda row: (row.observed_at, row.digest)
        )
        syncs = self._syncs(name, present)
        told = [current.digest if current else "", [list(one[:5]) for one in syncs]]
        revisions_ = [
            [(list(source), revision) for source, revision in one.revisions] for one in syncs
        ]
        mark = hashlib.sha256(msgspec.json.encode([told, revisions_])).hexdigest()
        return App(
            name=name,
            present=bool(current is not None and current.present),
            destination=present[-1].destination if present else "",
            namespace=present[-1].destination_namespace if present else "",
            sources=sources_in(facts) if current is not None and current.present else (),
            rules=ignores(json_value(facts.get("ignore_differences"))),
            syncs=syncs,
            mark=mark,
        )

    def _syncs(self, name: Name, states: Sequence[StateRow]) -> tuple[Sync, ...]:
        rows = self._context.find(
            SyncRow, cluster=name.cluster, namespace=name.namespace, application=name.application
        )
        found: list[Sync] = []
        for row in sorted(rows, key=lambda one: (one.started_at, one.sync)):
            then = [
                state
                for state in states
                if state.since <= row.started_at
                and (state.until is None or row.started_at < state.until)
            ]
            told = sources_in(decoded(then[-1].facts)) if then else ()
            ended = row.finished_at or row.started_at
            applied = tuple(self._applied(row, told))
            found.append(Sync(row.sync, row.started_at, ended, row.complete, row.local, applied))
        return tuple(found)

    def _applied(self, row: SyncRow, told: Sequence[Source]) -> list[tuple[Source, str]]:
        found: list[tuple[Source, str]] = []
        number = 0
        while (one := self._context.get(SyncSourceRow, row.sync, number)) is not None:
            known = told[number] if number < len(told) else None
            if one.url or known is None:
                source = Source(
                    one.repository, one.url, one.path, one.target_revision, one.chart, ""
                )
                if known is not None and known.path == source.path:
                    source = source._replace(options=known.options)
            else:
                source = known
            found.append((source, one.revision))
            number += 1
        return found

    # -- revisions -------------------------------------------------------------------------------

    def branches(self, repository: str) -> list[str]:
        """The tracked branches of a repository."""
        return [row.branch for row in self._context.find(BranchRow, repository=repository)]

    def line(self, source: Source, revision: str) -> Line | None:
        """The line below a revision, on the branch that the source follows where it is there."""
        if not source.repository or not revision:
            return None
        names = self.branches(source.repository)
        found = [
            line
            for name in names
            if (line := line_at(self.reader, source.repository, name, revision)) is not None
        ]
        wanted = source.target_revision.removeprefix(_HEADS)
        return min(
            found, key=lambda one: (one.branch != wanted, bool(one.displaced), one.branch),
            default=None,
        )  # fmt: skip

    def tip(self, source: Source) -> Line | None:
        """The line that a source follows; None where it follows none that is known."""
        if not source.repository:
            return None
        names = self.branches(source.repository)
        wanted = source.target_revision.removeprefix(_HEADS)
        if wanted in ("", "HEAD"):
            usual = [name for name in _USUAL if name in names]
            wanted = names[0] if len(names) == 1 else (usual or [""])[0]
        if wanted in names:
            head = self._context.get(revisions.BranchRow, source.repository, wanted)
            commit = head.tip if head is not None else ""
            return line_at(self.reader, source.repository, wanted, commit) if commit else None
        return self.line(source, wanted)

    # -- builds ----------------------------------------------------------------------------------

    def build(self, app: App, source: Source, line: Line | None) -> Build | None:
        """The effective resources of a source; None where the revision is not known."""
        if line is None:
            return None
        key = (app.name, app.namespace, source, line)
        if key not in self._builds:
            self._builds[key] = self._built(app, source, line)
        return self._builds[key]

    def _built(self, app: App, source: Source, line: Line) -> Build:
        tree = self._trees.get(line)
        if tree is None:
            tree = self._trees[line] = Tree(self.reader, line)
        options = decoded(source.options)
        told = options.get("directory")
        recurse = isinstance(told, dict) and told.get("recurse") is True
        name = f"application {app.name.namespace}/{app.name.application}"
        over = Overlay(name, overlay_of(source), app.namespace)
        rendered = render(source.path, tree, recurse=recurse, overlay=over)
        for unread in _unread(source, options, name):
            rendered.unread.append(unread)
        found = {
            (one.api_group, one.kind, one.namespace, one.name): one
            for one in rendered.resources
            if not _is_hook(one.body)
        }
        return Build(line, tree, rendered, _mark(tree, rendered, source), found)


def _mark(tree: Tree, rendered: Rendered, source: Source) -> str:
    """A digest of everything that a build is made from, by the revisions that touched it last."""
    told: list[object] = [list(source)]
    for path in sorted(rendered.read):
        version = tree.version(path)
        told.append([path, version.commit_sha if version is not None else ""])
    told += [[one, list(tree.listing(one))] for one in sorted(rendered.listed)]
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()


def _unread(source: Source, options: dict[str, Value], name: str) -> list[Unread]:
    found: list[Unread] = []
    if source.chart:
        found.append(Unread("unsupported", name, f"the Helm chart {source.chart}"))
    told = options.get("directory")
    narrowed = told if isinstance(told, dict) else {}
    words = [one for one in ("helm", "plugin") if options.get(one)]
    words += [f"directory.{one}" for one in ("include", "exclude", "jsonnet") if narrowed.get(one)]
    return [*found, *(Unread("unsupported", name, word) for word in words)]


def _is_hook(body: Value) -> bool:
    metadata = body.get("metadata") if isinstance(body, dict) else None
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return isinstance(annotations, dict) and any(name in annotations for name in HOOKS)


def is_read(app: App, source: Source) -> bool:
    """Whether a source declares objects: one of several without a path lends its files to others."""
    return bool(source.path or source.chart or len(app.sources) < 2)


def identity_of(app: App, one: Effective) -> Identity:
    """What an effective resource is called in the cluster that its application deploys to."""
    return Identity(app.destination, one.api_group, one.kind, one.namespace, one.name)
