"""The manifests of a repository as of one revision, from what the projections keep of it.

A projection reads through its context, a question through the database: both bring a `Reader`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ledger.contents import digest_text
from ledger.kustomize import GROUP, KINDS
from ledger.projections import Context
from ledger.projections.references import DirectoryRow, FileRow, split_path
from ledger.projections.revisions import RevisionRow
from ledger.resources import Resource

MAX_DIRECTORIES = 2_000


class Step(Protocol):
    """What of a revision places it on a line."""

    @property
    def commit_sha(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def first_parent(self) -> str: ...
    @property
    def superseded(self) -> int: ...


class Line(NamedTuple):
    """The first-parent line below a commit of a branch.

    What is on it: commits of the current line up to the number `fork`, and those `displaced` from it.
    """

    repository: str
    branch: str
    commit: str
    number: int
    fork: int
    displaced: frozenset[str]

    def has(self, step: Step) -> bool:
        """Whether a revision of the branch stands on the line."""
        if step.superseded:
            return step.commit_sha in self.displaced
        return step.number <= self.fork


class Reader(Protocol):
    """Where rows and documents come from."""

    def step(self, repository: str, branch: str, commit: str) -> Step | None:
        """A revision."""

    def versions(self, repository: str, branch: str, directory: str) -> Sequence[FileRow]:
        """Every version of every manifest that stood in a directory."""

    def children(self, repository: str, branch: str, directory: str) -> Sequence[str]:
        """The directories in a directory."""

    def documents(self, path: str, digest: bytes) -> Sequence[Resource]:
        """The documents of a content."""


class ContextReader:
    """Reads what a projection may; remembers what it read, so it lives for one settling only."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._versions: dict[tuple[str, str, str], Sequence[FileRow]] = {}

    def step(self, repository: str, branch: str, commit: str) -> RevisionRow | None:
        """A revision."""
        return self._context.get(RevisionRow, repository, branch, commit)

    def versions(self, repository: str, branch: str, directory: str) -> Sequence[FileRow]:
        """Every version of every manifest that stood in a directory."""
        key = (repository, branch, directory)
        if key not in self._versions:
            self._versions[key] = self._context.find(
                FileRow, repository=repository, branch=branch, directory=directory
            )
        return self._versions[key]

    def children(self, repository: str, branch: str, directory: str) -> Sequence[str]:
        """The directories in a directory."""
        rows = self._context.find(
            DirectoryRow, repository=repository, branch=branch, parent=directory
        )
        return [row.directory for row in rows]

    def documents(self, path: str, digest: bytes) -> Sequence[Resource]:
        """The documents of a content."""
        found: list[Resource] = []
        for piece in self._context.pieces(digest_text(digest)):
            found += self._context.resources(path, piece)
        return found


def line_at(reader: Reader, repository: str, branch: str, commit: str) -> Line | None:
    """The line below a commit; None where it is no revision of the branch. Walks what was displaced."""
    step = reader.step(repository, branch, commit)
    if step is None:
        return None
    number, displaced = step.number, set[str]()
    while step is not None and step.superseded:
        displaced.add(step.commit_sha)
        step = reader.step(repository, branch, step.first_parent) if step.first_parent else None
    fork = step.number if step is not None else 0
    return Line(repository, branch, commit, number, fork, frozenset(displaced))


class Tree:
    """The manifests as of one revision: what `kustomize.render` reads."""

    def __init__(self, reader: Reader, line: Line) -> None:
        self.line = line
        self._reader = reader
        self._here: dict[str, dict[str, FileRow]] = {}
        self._documents: dict[str, Sequence[Resource] | None] = {}

    def _directory(self, directory: str) -> dict[str, FileRow]:
        """The version of each manifest of a directory, removed ones left out."""
        known = self._here.get(directory)
        if known is None:
            known = {name: rows[-1] for name, rows in self._histories(directory).items()}
            known = {name: row for name, row in sorted(known.items()) if row.present}
            self._here[directory] = known
        return known

    def _histories(self, directory: str) -> dict[str, list[FileRow]]:
        line = self.line
        found: dict[str, list[FileRow]] = {}
        rows = self._reader.versions(line.repository, line.branch, directory)
        for row in sorted(rows, key=lambda one: (one.revision_number, one.version)):
            if self.holds(row.commit_sha):
                found.setdefault(row.name, []).append(row)
        return found

    def holds(self, commit: str) -> bool:
        """Whether a commit is a revision on the line."""
        step = self._reader.step(self.line.repository, self.line.branch, commit)
        return step is not None and self.line.has(step)

    def version(self, path: str) -> FileRow | None:
        """The version of a file that stands there."""
        directory, name = split_path(path)
        return self._directory(directory).get(name)

    def history(self, path: str) -> list[FileRow]:
        """The versions of a file on the line, oldest first."""
        directory, name = split_path(path)
        return self._histories(directory).get(name, [])

    def documents(self, path: str) -> Sequence[Resource] | None:
        """The documents of a file; None where there is none or its content is not kept."""
        if path not in self._documents:
            row = self.version(path)
            self._documents[path] = (
                None
                if row is None or row.digest is None
                else self._reader.documents(path, row.digest)
            )
        return self._documents[path]

    def listing(self, directory: str) -> Sequence[str]:
        """The paths of the manifests that stand in a directory itself."""
        start = f"{directory}/" if directory else ""
        return [start + name for name in self._directory(directory)]

    def below(self, directory: str) -> Sequence[str]:
        """The directories in a directory that hold manifests, however deep, at most MAX_DIRECTORIES."""
        found: list[str] = []
        waiting = [directory]
        while waiting and len(found) < MAX_DIRECTORIES:
            children = self._reader.children(self.line.repository, self.line.branch, waiting.pop())
            found += children
            waiting += children
        return sorted(found)

    def is_kustomization(self, path: str) -> bool:
        """Whether a file holds a kustomization or a component."""
        return any(
            one.api_group == GROUP and one.kind in KINDS for one in self.documents(path) or ()
        )
