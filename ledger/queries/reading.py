"""Rows and documents for the trees of a repository, read through the database for questions.

A statement costs many times what a row does, so rows are read by the set: all that a directory ever
took in, the versions of all its directories, the contents of all its files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from ledger.documents import Documents
from ledger.kustomize import DIRECTORY, FILE
from ledger.projections.references import FileRow, split_path
from ledger.projections.trees import Tree
from ledger.queries.many import for_each
from ledger.resources import Resource
from ledger.store import Store

_SAME = ("repository", "branch")  # of all rows of one statement
_OWN = tuple(name for name in FileRow._fields if name not in _SAME)
_VERSION = ", ".join(f"f.{name}" for name in _OWN)


class Step(NamedTuple):
    """What places a revision on a line; `first_parent` may be empty where it is not superseded."""

    commit_sha: str
    number: int
    first_parent: str
    superseded: int


class Reference(NamedTuple):
    """What a directory's kustomization takes in from revision `since` on, until it no longer does."""

    directory: str
    kind: str
    target: str
    since: int
    until: int | None

    def holds(self, number: int) -> bool:
        """Whether it is in force at a revision."""
        return self.since <= number and (self.until is None or self.until > number)


class Reading:
    """Reads an open ledger, as everything stands when it is first asked; remembers what it read."""

    def __init__(self, store: Store, documents: Documents) -> None:
        self._store = store
        self._connection = store.connection
        self._documents = documents
        self._steps: dict[tuple[str, str, str], Step | None] = {}
        self._parents: dict[tuple[str, str, str], str] = {}
        self._straight: dict[tuple[str, str], bool] = {}
        self._versions: dict[tuple[str, str, str], list[FileRow]] = {}
        self._references: dict[tuple[str, str, str], list[Reference]] = {}
        self._pieces: dict[bytes, list[bytes]] = {}

    def step(self, repository: str, branch: str, commit: str) -> Step | None:
        """A revision."""
        key = (repository, branch, commit)
        if key not in self._steps:
            rows = self._connection.rows(
                "select commit_sha, number, first_parent, superseded from model_revision "
                "where repository = ? and branch = ? and commit_sha = ?",
                key,
            )
            self._steps[key] = Step(*rows[0]) if rows else None
        return self._steps[key]

    def versions(self, repository: str, branch: str, directory: str) -> Sequence[FileRow]:
        """Every version of every manifest that stood in a directory, the first recorded first."""
        self._read_versions(repository, branch, [directory])
        return self._versions[repository, branch, directory]

    def children(self, repository: str, branch: str, directory: str) -> Sequence[str]:
        """The directories in a directory."""
        rows = self._connection.rows(
            "select directory from model_directory where repository = ? and branch = ? "
            "and parent = ? order by directory",
            [repository, branch, directory],
        )
        return [row[0] for row in rows]

    def documents(self, path: str, digest: bytes) -> Sequence[Resource]:
        """The documents of a content."""
        pieces = self._pieces.get(digest)
        if pieces is None:
            pieces = self._pieces[digest] = self._store.pieces(digest)
            if len(pieces) > 1:
                self._store.warm(pieces)
        found: list[Resource] = []
        for piece in pieces:
            found += self._documents.parse(path, piece)
        return found

    # -- many at once ----------------------------------------------------------------------------

    def parents(
        self, repository: str, branch: str, revisions: Sequence[tuple[int, str]]
    ) -> list[str]:
        """The commit before each of some revisions (number, commit); empty where there is none."""
        asked = {one for one in revisions if (repository, branch, one[1]) not in self._parents}
        if self._is_straight(repository, branch):
            self._read_numbered(repository, branch, asked)
        else:
            commits = sorted(commit for _, commit in asked)
            rows = for_each(self._connection, commits, _PARENTS, repository, branch)
            for commit, parent, *place in rows:
                self._parents[repository, branch, commit] = parent
                if place[0] is not None:
                    self._steps[repository, branch, parent] = Step(parent, *place)
        return [self._parents.get((repository, branch, commit), "") for _, commit in revisions]

    def _read_numbered(
        self, repository: str, branch: str, revisions: Collection[tuple[int, str]]
    ) -> None:
        """The commits before revisions of a straight branch: the index by number holds them all."""
        before = sorted(number - 1 for number, _ in revisions)
        rows = for_each(self._connection, before, _NUMBERED, repository, branch)
        found: dict[int, str] = dict(rows)
        for number, commit in revisions:
            parent = self._parents[repository, branch, commit] = found.get(number - 1, "")
            if parent:
                self._steps[repository, branch, parent] = Step(parent, number - 1, "", 0)

    def taken_in(self, repository: str, branch: str, directories: Iterable[str]) -> list[Reference]:
        """What directories ever took in, and what that took in, however deep. A statement a step."""
        found: list[Reference] = []
        seen = set(directories)
        frontier = sorted(seen)
        while frontier:
            new = self.references(repository, branch, frontier)
            frontier = sorted({one.target for one in new if one.kind == DIRECTORY} - seen)
            seen.update(frontier)
            found += new
        return found

    def references(
        self, repository: str, branch: str, directories: Sequence[str]
    ) -> list[Reference]:
        """What the kustomizations of some directories ever took in of the repository's own."""
        asked = [one for one in directories if (repository, branch, one) not in self._references]
        for directory in asked:
            self._references[repository, branch, directory] = []
        rows = for_each(
            self._connection,
            asked,
            _REFERENCES,
            repository,
            branch,
        )
        for row in rows:
            self._references[repository, branch, row[0]].append(Reference(*row))
        return [
            one
            for directory in directories
            for one in self._references[repository, branch, directory]
        ]

    def warm(self, trees: Sequence[Tree], directories: Sequence[str]) -> None:
        """Reads what renderings of directories read, with a few statements for all of them."""
        digests: set[bytes] = set()
        for tree in trees:
            line = tree.line
            every = self.taken_in(line.repository, line.branch, directories)
            files = [one.target for one in every if one.kind == FILE and one.holds(line.number)]
            homes = sorted({split_path(path)[0] for path in files})
            self._read_versions(line.repository, line.branch, homes)
            rows = [tree.version(path) for path in files]
            digests.update(row.digest for row in rows if row and row.digest is not None)
        self._store.warm(digests - self._pieces.keys())

    def _read_versions(self, repository: str, branch: str, directories: Iterable[str]) -> None:
        asked = [one for one in directories if (repository, branch, one) not in self._versions]
        if not asked:
            return
        found: dict[str, list[FileRow]] = defaultdict(list)
        straight = self._is_straight(repository, branch)
        rows = for_each(
            self._connection, asked, _STRAIGHT if straight else _CROOKED, repository, branch
        )
        columns = len(_OWN)
        for row in rows:
            version, *rest = row[:columns]
            one = FileRow(version, repository, branch, *rest)
            found[one.directory].append(one)
            key = (repository, branch, one.commit_sha)
            if straight:
                self._steps.setdefault(key, Step(one.commit_sha, one.revision_number, "", 0))
            else:
                self._steps.setdefault(key, Step(one.commit_sha, *row[columns:]))
        for directory in asked:
            self._versions[repository, branch, directory] = sorted(found[directory])

    def _is_straight(self, repository: str, branch: str) -> bool:
        """Whether a branch has moved away from none of its revisions."""
        key = (repository, branch)
        if key not in self._straight:
            rows = self._connection.rows(
                "select 1 from model_revision where repository = ? and branch = ? "
                "and superseded = 1 limit 1",
                key,
            )
            self._straight[key] = not rows
        return self._straight[key]


_WHERE = "where f.repository = ? and f.branch = ? and f.directory = w.wanted"
_STRAIGHT = f"select {_VERSION} from w cross join model_manifest_file f {_WHERE}"  # noqa: S608
_CROOKED = (
    f"select {_VERSION}, r.number, r.first_parent, r.superseded "  # noqa: S608
    "from w cross join model_manifest_file f join model_revision r on r.repository = f.repository "
    f"and r.branch = f.branch and r.commit_sha = f.commit_sha {_WHERE}"
)
_REFERENCES = (
    "select r.directory, r.kind, r.target, r.since, r.until from w "
    "cross join model_reference r where r.repository = ? and r.branch = ? "
    "and r.directory = w.wanted and r.kind in ('file', 'directory')"
)
_NUMBERED = (
    "select p.number, p.commit_sha from w cross join model_revision p "
    "where p.repository = ? and p.branch = ? and p.number = w.wanted"
)
_PARENTS = (
    "select r.commit_sha, r.first_parent, p.number, p.first_parent, p.superseded "
    "from w cross join model_revision r left join model_revision p on p.repository = r.repository "
    "and p.branch = r.branch and p.commit_sha = r.first_parent "
    "where r.repository = ? and r.branch = ? and r.commit_sha = w.wanted"
)
