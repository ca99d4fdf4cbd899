"""Resources as a cluster gets them: what kustomizations and applications make of a document.

Everything here is inferred: kustomizations are read, not run, and what a reading does not follow is named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from ledger import fields
from ledger.documents import Documents
from ledger.errors import UsageError
from ledger.kustomize import DIRECTORY, FILE
from ledger.kustomize.rendering import render
from ledger.kustomize.results import Effective, Overlay, Rendered
from ledger.kustomize.trees import Input
from ledger.projections.declared import Source, overlay_of, sources_of
from ledger.projections.references import FileRow
from ledger.projections.trees import Line, Tree, line_at
from ledger.queries import names
from ledger.queries.inputs import directories_made_from, is_any_application
from ledger.queries.many import growing
from ledger.queries.names import ResourceName, Scope
from ledger.queries.reading import Reading
from ledger.queries.spelling import is_meant, spellings
from ledger.resources import Value
from ledger.store import Store

MAX_ROOTS = 500
MAX_BUILDS = 1_000
FIRST = 2  # directories that are read at once, at the beginning
_MANIFESTS = (".yaml", ".yml", ".json")
APPLICATION = "application "


class Setter(msgspec.Struct, frozen=True, kw_only=True):
    """An input that decides a field: a field of a file, or of an application where no file does.

    `resource` is the document that holds it, null where it is none that is recorded.
    """

    path: str
    field: str
    resource: ResourceName | None = None


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A field of an effective resource and the inputs that decide it, the most telling first.

    `directory` is where it is built from, `included` are the entries that take the document in; `unread`
    names what of all that was not read.
    """

    field: str
    value: Value
    directory: str
    namespace: str
    name: str
    grade: str
    setters: list[Setter]
    included: list[Setter]
    unread: str


class Deploying(NamedTuple):
    """One source of an application, and the namespace that it deploys to."""

    called: str
    namespace: str
    source: Source


class Place(NamedTuple):
    """A document in one of the directories that take it in."""

    resource: ResourceName
    directory: str
    one: Effective
    rendered: Rendered
    tree: Tree

    def setters(self, namespace: bool) -> list[str]:
        """The files or applications that set the namespace, or that change the name."""
        field = "metadata.namespace" if namespace else "metadata.name"
        found = self.one.decided.get(field, ())
        return [one.path for one in found if one.path != self.resource.path]


class Places:
    """Finds what becomes of documents; remembers what it built."""

    def __init__(self, store: Store, documents: Documents) -> None:
        self._connection = store.connection
        self._reader = Reading(store, documents)
        self._builds: dict[tuple[object, ...], tuple[Rendered, Tree]] = {}
        self._trees: dict[Line, Tree] = {}
        self._arounds: dict[tuple[Line, str], set[str]] = {}
        self._lines: dict[tuple[str, str, str], Line | None] = {}
        self._declared: dict[tuple[str, str, str], list[ResourceName]] = {}
        self._known: list[Deploying] | None = None

    # -- names -----------------------------------------------------------------------------------

    def made(self, name: str, scope: Scope) -> list[ResourceName]:
        """What is called so, in that namespace, only by what a kustomization or application makes of it.

        What is found by that says so in `set_by`.
        """
        wider = msgspec.structs.replace(scope, namespace=None, path="")
        kind, slash, rest = name.partition("/")
        asked = [name] if scope.namespace is not None else []
        asked += [f"{kind}/{one}" for one in self._bare(rest)] if slash else self._bare(name)
        setting = self._setting(scope.namespace) if scope.namespace is not None else None
        found: list[ResourceName] = []
        for each in asked:
            for one in names.candidates(self._connection, each, wider):
                if one.present and one.namespace != scope.namespace:
                    found += self._as_made(one, rest if slash else name, scope, setting)
        return found

    def _bare(self, name: str) -> list[str]:
        """A name without each prefix and suffix that a kustomization gives."""
        rows = self._connection.rows(
            "select distinct name_prefix, name_suffix from model_kustomization where present = 1 "
            "and (name_prefix <> '' or name_suffix <> '') limit 1000"
        )
        found = {
            name[len(prefix) : len(name) - len(suffix)]
            for prefix, suffix in rows
            if name.startswith(prefix) and name.endswith(suffix)
            if len(name) > len(prefix) + len(suffix)
        }
        return sorted(found)

    def _setting(self, namespace: str) -> set[str]:
        """The directories in which a namespace is set, and those that an application deploys to it."""
        rows = self._connection.rows(
            "select directory from model_kustomization where present = 1 and namespace = ?",
            [namespace],
        )
        into = [one.source.path for one in self._applications("") if one.namespace == namespace]
        return {row[0] for row in rows}.union(into)

    def _as_made(
        self, one: ResourceName, called: str, scope: Scope, setting: set[str] | None
    ) -> Iterator[ResourceName]:
        if setting is not None:
            line = self._line(one, "")
            if line is None or setting.isdisjoint(self._around(one, line)):
                return
        inputs: dict[str, None] = {}
        matched = False
        for place in self.of(one, scope):
            there = scope.namespace in (None, place.one.namespace)
            if there and place.one.name == called:
                matched = True
                inputs.update(dict.fromkeys(place.setters(scope.namespace is not None)))
        if matched:
            told = list(inputs)
            more = f" and {len(told) - 1} more" if len(told) > 1 else ""
            yield msgspec.structs.replace(
                one,
                effective_namespace=scope.namespace or "",
                set_by=f"{told[0]}{more}" if told else "",
            )

    # -- places ----------------------------------------------------------------------------------

    def of(self, resource: ResourceName, scope: Scope, commit: str = "") -> Iterator[Place]:
        """The effective resources that a document becomes, one for each directory that is built with it.

        Only directories whose path, or whose document's path, holds the scope's path. Costs a reading of
        each; raises UsageError where they are too many.
        """
        line = self._line(resource, commit)
        if line is None:
            return
        for some in growing(self._roots(resource, line, scope), FIRST):
            self._reader.warm([self._tree(line)], [directory for directory, _ in some])
            for directory, application in some:
                yield from self._at(resource, line, directory, application)

    def directories(self, resource: ResourceName, scope: Scope, commit: str = "") -> list[str]:
        """The directories that are built with a document."""
        line = self._line(resource, commit)
        roots = self._roots(resource, line, scope) if line is not None else []
        return sorted({directory for directory, _ in roots})

    def _roots(
        self, resource: ResourceName, line: Line, scope: Scope
    ) -> list[tuple[str, Deploying | None]]:
        if not resource.path.lower().endswith(_MANIFESTS):
            return []
        around = self._around(resource, line)
        applications = [
            one
            for one in self._applications(resource.repository)
            if one.source.path in around and _follows(one.source, resource.branch)
        ]
        roots: list[tuple[str, Deploying | None]] = [(one.source.path, one) for one in applications]
        built = {directory for directory, _ in roots}
        roots += [(one, None) for one in self._tops(line, around) if one not in built]
        roots = [one for one in roots if scope.path in one[0] or scope.path in resource.path]
        if len(roots) > MAX_ROOTS or len(self._builds) > MAX_BUILDS:
            raise UsageError(
                f"{resource.path} and what is called alike are built in too many directories to read",
                hint="Narrow it with --path DIRECTORY.",
            )
        return roots

    def at(self, resource: ResourceName, directory: str, commit: str) -> list[Place]:
        """What a document became in one directory at a commit; nothing where it was not taken in."""
        line = self._line(resource, commit)
        if line is None:
            return []
        application = next(
            (one for one in self._applications(resource.repository)
             if one.source.path == directory and _follows(one.source, resource.branch)),
            None,
        )  # fmt: skip
        return list(self._at(resource, line, directory, application))

    def _applications(self, repository: str) -> list[Deploying]:
        if self._known is None:
            rows = self._connection.rows(
                "select application_namespace, application, destination_namespace, facts "
                "from applications where present = 1 order by 1, 2, controller_cluster"
            ) if is_any_application(self._connection) else []  # fmt: skip
            self._known = [
                Deploying(f"{APPLICATION}{where}/{name}", namespace, source)
                for where, name, namespace, facts in rows
                for source in sources_of(facts)
            ]
        return [one for one in self._known if repository in ("", one.source.repository)]

    def _around(self, resource: ResourceName, line: Line) -> set[str]:
        """The directories that a document is part of."""
        key = (line, resource.path)
        if key not in self._arounds:
            self._arounds[key] = directories_made_from(
                self._connection, line.repository, line.branch, line.number, [resource.path]
            )
        return self._arounds[key]

    def _line(self, resource: ResourceName, commit: str) -> Line | None:
        key = (resource.repository, resource.branch, commit)
        if key not in self._lines:
            self._lines[key] = self._read_line(resource, commit)
        return self._lines[key]

    def _read_line(self, resource: ResourceName, commit: str) -> Line | None:
        if not commit:
            rows = self._connection.rows(
                "select tip from model_branch where repository = ? and branch = ?",
                [resource.repository, resource.branch],
            )
            commit = rows[0][0] if rows else ""
        return (
            line_at(self._reader, resource.repository, resource.branch, commit) if commit else None
        )

    def _tops(self, line: Line, around: set[str]) -> list[str]:
        """The directories with a kustomization that no other one of them takes in."""
        known = self._reader.references(line.repository, line.branch, sorted(around))
        now = [one for one in known if one.holds(line.number)]
        taken_in = {one.target for one in now if one.kind == DIRECTORY}
        return sorted({one.directory for one in now} - taken_in)

    def _at(
        self,
        resource: ResourceName,
        line: Line,
        directory: str,
        application: Deploying | None,
    ) -> Iterator[Place]:
        rendered, tree = self._built(line, directory, application)
        documents = tree.documents(resource.path) or ()
        own = [
            number
            for number, one in enumerate(documents)
            if (one.api_group, one.kind, one.namespace, one.name or resource.path)
            == (resource.api_group, resource.kind, resource.namespace, resource.name)
        ]
        for one in rendered.resources:
            if one.path == resource.path and one.number in own:
                yield Place(resource, directory, one, rendered, tree)

    def _built(
        self, line: Line, directory: str, application: Deploying | None
    ) -> tuple[Rendered, Tree]:
        key = (line, directory, application)
        if key not in self._builds:
            tree = self._tree(line)
            self._reader.warm([tree], [directory])
            overlay = None
            if application is not None:
                body = overlay_of(application.source)
                overlay = Overlay(application.called, body, application.namespace)
            self._builds[key] = (render(directory, tree, overlay=overlay), tree)
        return self._builds[key]

    def _tree(self, line: Line) -> Tree:
        return self._trees.setdefault(line, Tree(self._reader, line))

    def warm(self, resource: ResourceName, directory: str, commits: Iterable[str]) -> None:
        """Reads what will be read of a directory at some commits, all at once."""
        lines = [self._line(resource, commit) for commit in commits if commit]
        self._reader.warm([self._tree(line) for line in lines if line is not None], [directory])

    # -- inputs over time ------------------------------------------------------------------------

    def ever_in(self, line: Line, directory: str) -> set[str]:
        """The files that ever were part of a directory, by any kustomization that it ever took in."""
        known = self._reader.taken_in(line.repository, line.branch, [directory])
        return {one.target for one in known if one.kind == FILE}

    def parents(self, resource: ResourceName, revisions: Sequence[tuple[int, str]]) -> list[str]:
        """The commit before each of some revisions on its line; empty where it is the first."""
        return self._reader.parents(resource.repository, resource.branch, revisions)

    def versions(self, line: Line, directory: str) -> Sequence[FileRow]:
        """Every version of every manifest that ever stood in a directory, on whatever line."""
        return self._reader.versions(line.repository, line.branch, directory)

    def changed_in(
        self, line: Line, number: int, commit: str, paths: Collection[str]
    ) -> list[ResourceName]:
        """The resources in some files that a revision changed."""
        rows = self._connection.rows(
            "select resource, path, old_path from model_resource_change where repository = ? "
            "and branch = ? and revision_number = ? and commit_sha = ? order by change",
            [line.repository, line.branch, number, commit],
        )
        touched = {resource: None for resource, path, old in rows if path in paths or old in paths}
        scope = Scope(repository=line.repository, branch=line.branch)
        found = (names.candidates(self._connection, one, scope) for one in touched)
        return [one for each in found for one in each]

    # -- fields ----------------------------------------------------------------------------------

    def decided_of(self, place: Place, changed: Collection[str]) -> list[Decided]:
        """Those of some leaves of an effective resource that something else than its document decides."""
        leaves = dict(fields.leaves(place.one.body))
        return [
            self._decided(place, leaf, leaves[leaf], inputs)
            for leaf, inputs in place.one.decided.items()
            if leaf in leaves and leaf in changed
        ]

    def decided(self, place: Place, field: str) -> list[Decided]:
        """The fields of an effective resource that something else than its document decides."""
        leaves = dict(fields.leaves(place.one.body))
        wanted = spellings(place.resource.api_group, place.resource.kind, field)
        return [
            self._decided(place, leaf, leaves[leaf], inputs)
            for leaf, inputs in place.one.decided.items()
            if leaf in leaves and is_meant(leaf, wanted)
        ]

    def _decided(self, place: Place, leaf: str, value: Value, inputs: Sequence[Input]) -> Decided:
        unread = sorted({one.text() for one in place.rendered.unread})
        return Decided(
            field=leaf,
            value=value,
            directory=place.directory,
            namespace=place.one.namespace,
            name=place.one.name,
            grade="inferred",
            setters=[self.setter(place, one) for one in inputs],
            included=[self.setter(place, one) for one in place.one.included],
            unread="; ".join(unread[:3]),
        )

    def setter(self, place: Place, one: Input) -> Setter:
        """An input with the document that holds it."""
        if one.path.startswith(APPLICATION):
            return Setter(path=one.path, field=one.field)
        scope = Scope(repository=place.resource.repository, branch=place.resource.branch)
        key = (scope.repository, scope.branch, one.path)
        if key not in self._declared:
            self._declared[key] = names.at_path(self._connection, one.path, scope)
        documents = self._declared[key]
        if one.path == place.resource.path:
            documents = [each for each in documents if each.resource == place.resource.resource]
        return Setter(path=one.path, field=one.field, resource=documents[0] if documents else None)


def _follows(source: Source, branch: str) -> bool:
    """Whether a source may take what lands on a branch. HEAD may be any: Git alone knows which."""
    wanted = source.target_revision.removeprefix("refs/heads/").removeprefix("origin/")
    return wanted in ("", "HEAD", branch)
