"""Which directory's kustomization refers to what, and since which revision.

`model_reference` holds for each branch what every kustomization takes in, from revision `since` on
(inclusive) until revision `until` (exclusive; null while in force), with paths of the repository. The
kustomization's own file is among its references. An interval that the branch has moved away from is
empty: `until` equals `since`.

`model_manifest_file` keeps which content stood at a path since which revision, for manifests only,
and `model_directory` which directories there are: enough to read a directory as of any revision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import msgspec

from ledger import kustomize
from ledger.contents import digest_bytes, digest_text
from ledger.events import CommitObserved, FileChange, RecordedEvent, RefMoved, RevisionObserved
from ledger.kustomize import FILE, NAMES, REMOTE, References
from ledger.projections import Context, Projection, Row, Table, column, key_text
from ledger.projections.commits import CommitRow
from ledger.projections.revisions import HEADS, RevisionRow, lines_apart

LINK = "120000"
MANIFESTS = (".yaml", ".yml", ".json")


class ReferenceRow(NamedTuple):
    """`kind` is file, directory or remote; of a remote one `target` is what is written."""

    repository: str
    branch: str
    directory: str
    kind: str
    target: str
    since: int
    until: int | None


class KustomizationRow(NamedTuple):
    """The kustomization of a directory as it is now; `present` is 0 where it is gone.

    `unread` names the fields in use that a static reading does not follow. `refers` is a digest of what
    it says, `held` are its rows in force as JSON text, [kind, target, since] each. `names` are those of
    all files that ever stood there as one, parted by spaces.
    """

    repository: str
    branch: str
    directory: str
    path: str
    kind: str
    present: int
    namespace: str
    name_prefix: str
    name_suffix: str
    unread: str
    refers: str
    held: str
    names: str


class FileRow(NamedTuple):
    """What a revision made of a file: `present` is 0 where it removed it, `digest` null if not kept."""

    version: int
    repository: str
    branch: str
    directory: str
    name: str
    revision_number: int
    commit_sha: str
    present: int
    digest: bytes | None


class DirectoryRow(NamedTuple):
    """A directory that ever held a manifest, or a directory with one."""

    repository: str
    branch: str
    directory: str
    parent: str


class ReadLineRow(NamedTuple):
    """How far a branch is read here."""

    repository: str
    branch: str
    tip: str


REFERENCES = Table(
    "model_reference",
    ReferenceRow,
    key=("repository", "branch", "directory", "kind", "target", "since"),
    lookups=(("repository", "branch", "directory"),),
    indexes=(("repository", "branch", "target"),),
)
KUSTOMIZATIONS = Table(
    "model_kustomization",
    KustomizationRow,
    key=("repository", "branch", "directory"),
    indexes=(("namespace",),),
)
FILES = Table(
    "model_manifest_file",
    FileRow,
    key=("version",),
    lookups=(("repository", "branch", "directory"),),
    log=True,
)
DIRECTORIES = Table(
    "model_directory",
    DirectoryRow,
    key=("repository", "branch", "directory"),
    lookups=(("repository", "branch", "parent"),),
)
LINES = Table("model_reference_line", ReadLineRow, key=("repository", "branch"))

# (kind, target) → the revision since which it is in force
Held = dict[tuple[str, str], int]
_decode = msgspec.json.Decoder(list[tuple[str, str, int]]).decode
_encode = msgspec.json.Encoder().encode


class _Place(NamedTuple):
    repository: str
    branch: str


class _Read(NamedTuple):
    path: str
    present: int
    kind: str
    refers: str
    mark: str


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, RevisionObserved):
        place = _Place(data.repository, data.branch)
        step = context.get(RevisionRow, data.repository, data.branch, data.commit)
        if step is not None and step.evidence_position != recorded.position:
            yield from _realign(place, data.commit, context)
            return
        yield from _realign(place, data.first_parent, context)
        yield from _revision(place, data, context)
        yield ReadLineRow(*place, data.commit)
    elif isinstance(data, RefMoved):
        branch = data.ref.removeprefix(HEADS)
        if branch != data.ref and data.new:
            yield from _realign(_Place(data.repository, branch), data.new, context)


# -- one revision --------------------------------------------------------------------------------


def _revision(place: _Place, data: RevisionObserved, context: Context) -> Iterable[Row]:
    touched: dict[str, dict[str, FileRow]] = {}
    for file in _files(place.repository, data.commit, context):
        directory, name = split_path(key_text(file.path))
        if not _is_manifest(name):
            continue
        if file.before is None:
            yield from _directories(place, directory, context)
        row = _file_row(place, data, file, directory, name, context)
        yield row
        if name in NAMES:
            touched.setdefault(directory, {})[name] = row
    for directory, rows in touched.items():
        yield from _changed(place, directory, rows, data.number, context)


def _files(repository: str, commit: str, context: Context) -> Sequence[FileChange]:
    row = context.get(CommitRow, repository, commit)
    if row is None:
        return ()
    observed = context.event(row.evidence_position).data
    assert isinstance(observed, CommitObserved)
    return observed.files


def _is_manifest(name: str) -> bool:
    return name.lower().endswith(MANIFESTS) or name in NAMES


def split_path(path: str) -> tuple[str, str]:
    """The directory (empty for the root) and the name of a path."""
    directory, _, name = path.rpartition("/")
    return directory, name


def _file_row(
    place: _Place,
    data: RevisionObserved,
    file: FileChange,
    directory: str,
    name: str,
    context: Context,
) -> FileRow:
    after = file.after
    readable = after is not None and not after.content and after.mode != LINK
    digest = digest_bytes(after.digest) if after is not None and readable else None
    return FileRow(
        version=context.next_id(FileRow),
        repository=place.repository,
        branch=place.branch,
        directory=directory,
        name=name,
        revision_number=data.number,
        commit_sha=data.commit,
        present=int(after is not None),
        digest=digest,
    )


def _directories(place: _Place, directory: str, context: Context) -> Iterable[Row]:
    while directory and context.get(DirectoryRow, *place, directory) is None:
        parent, _ = split_path(directory)
        yield DirectoryRow(*place, directory, parent)
        directory = parent


# -- what a kustomization refers to --------------------------------------------------------------


def _changed(
    place: _Place, directory: str, rows: dict[str, FileRow], number: int, context: Context
) -> Iterable[Row]:
    """The rows of a directory whose kustomization was changed by revision `number`."""
    held = context.get(KustomizationRow, *place, directory)
    names = _join(rows, held)
    row = next(iter(rows.values()))
    if names != row.name:  # another of the possible names stands or stood beside it
        row = _in_force(_line_of(place, directory, context), row)
    found = _read(directory, row, context)
    if held is not None and held.refers == found.mark:
        if held.names != names:
            yield held._replace(names=names)
        return
    before = _held(held)
    current = _kustomization(place, directory, names, found, before, number)
    after = _held(current)
    for (kind, target), since in before.items():
        if (kind, target) not in after:
            yield ReferenceRow(*place, directory, kind, target, since, number)
    for (kind, target), since in after.items():
        if (kind, target) not in before:
            yield ReferenceRow(*place, directory, kind, target, since, None)
    yield current


def _in_force(versions: Iterable[FileRow], otherwise: FileRow) -> FileRow:
    """Of the files that may be a directory's kustomization, the one that counts."""
    latest = {row.name: row for row in versions}
    present = [latest[name] for name in NAMES if name in latest and latest[name].present]
    return present[0] if present else otherwise._replace(present=0)


def _join(names: Iterable[str], held: KustomizationRow | None) -> str:
    """The names that a directory's kustomization ever had, those of now among them."""
    return " ".join(sorted({*names, *(held.names.split() if held else ())}, key=NAMES.index))


def _held(row: KustomizationRow | None) -> Held:
    if row is None or not row.held:
        return {}
    return {(kind, target): since for kind, target, since in _decode(row.held)}


def _read(directory: str, row: FileRow, context: Context) -> _Read:
    """What a version of a kustomization's file refers to."""
    path = f"{directory}/{row.name}" if directory else row.name
    if not row.present:
        return _Read(path, 0, "", "", "")
    kind, refers = "", ""
    for piece in context.pieces(digest_text(row.digest)) if row.digest is not None else ():
        for shape in context.shapes(path, piece):
            if shape.refers and not refers:
                kind, refers = shape.kind, shape.refers
    mark = hashlib.sha256(f"{path}\0{kind}\0{refers}".encode()).hexdigest()[:32]
    return _Read(path, 1, kind, refers, mark)


def _kustomization(
    place: _Place, directory: str, names: str, found: _Read, before: Held, number: int
) -> KustomizationRow:
    """A directory's kustomization as it was found; what it did not refer to before is since `number`."""
    targets = [(FILE, found.path)] if found.present else []
    refers = References([], unread=["the kustomization itself"] if found.present else [])
    if found.refers:
        refers = kustomize.references_of(found.refers)
        targets += [_resolved(directory, one.kind, one.target) for one in refers.targets]
    held = [(*target, before.get(target, number)) for target in sorted(set(targets))]
    return KustomizationRow(
        repository=place.repository,
        branch=place.branch,
        directory=directory,
        path=found.path,
        kind=found.kind,
        present=found.present,
        namespace=key_text(refers.namespace),
        name_prefix=column(refers.prefix),
        name_suffix=column(refers.suffix),
        unread=", ".join(refers.unread),
        refers=found.mark,
        held=_encode(held).decode(),
        names=names,
    )


@lru_cache(maxsize=16_384)
def _resolved(directory: str, kind: str, target: str) -> tuple[str, str]:
    path = None if kind == REMOTE else kustomize.resolve(directory, target)
    return (REMOTE, key_text(target)) if path is None else (kind, key_text(path))


# -- when the line of a branch changes -----------------------------------------------------------


def _realign(place: _Place, tip: str, context: Context) -> Iterable[Row]:
    line = context.get(ReadLineRow, *place)
    if line is None or line.tip == tip:
        return
    leaving, returning = lines_apart(*place, line.tip, tip, context)
    touched: dict[str, None] = {}
    for step in [*leaving, *returning]:
        for file in _files(place.repository, step.commit_sha, context):
            directory, name = split_path(key_text(file.path))
            if name in NAMES:
                touched[directory] = None
    for directory in touched:
        yield from _retold(place, directory, context)
    yield ReadLineRow(*place, tip)


def _retold(place: _Place, directory: str, context: Context) -> Iterable[Row]:
    """Every interval of a directory made again from the versions on the current line."""
    rows: dict[tuple[str, str, int], ReferenceRow] = {}
    held: Held = {}
    latest: list[FileRow] = []
    current = context.get(KustomizationRow, *place, directory)
    assert current is not None
    nothing = _Read(current.path, 0, "", "", "")
    names = current.names
    current = _kustomization(place, directory, names, nothing, {}, 0)
    line = _line_of(place, directory, context)
    for number, versions in groupby(line, key=lambda row: row.revision_number):
        latest += versions
        found = _read(directory, _in_force(latest, latest[-1]), context)
        current = _kustomization(place, directory, names, found, held, number)
        after = _held(current)
        for (kind, target), since in {**held, **after}.items():
            until = None if (kind, target) in after else number
            one = ReferenceRow(*place, directory, kind, target, since, until)
            rows[kind, target, since] = one
        held = after
    for old in context.find(
        ReferenceRow, repository=place.repository, branch=place.branch, directory=directory
    ):
        if (old.kind, old.target, old.since) not in rows:
            yield old._replace(until=old.since)
    yield from rows.values()
    yield current


def _line_of(place: _Place, directory: str, context: Context) -> Iterator[FileRow]:
    """The versions of a directory's kustomization on the current line, oldest first."""
    found = context.find(
        FileRow, repository=place.repository, branch=place.branch, directory=directory
    )
    for row in sorted(found, key=lambda one: (one.revision_number, one.version)):
        if row.name in NAMES:
            step = context.get(RevisionRow, *place, row.commit_sha)
            if step is not None and not step.superseded:
                yield row


PROJECTION = Projection(
    name="references",
    version=2,
    tables=(REFERENCES, KUSTOMIZATIONS, FILES, DIRECTORIES, LINES),
    handles=(RevisionObserved, RefMoved),
    project=project,
    after=("revisions", "commits"),
)
