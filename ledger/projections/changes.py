"""Who changed which field of which resource, and when: the heart of the ledger.

For each mainline revision the files it changed are compared document by document with the state of
the branch below it. A resource keeps its identity when its document moves. State is kept per
branch; when the line of a branch changes, the resources that the displaced revisions touched go
back to where the remaining line left them.

Documents whose digest did not change are neither parsed nor compared.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from ledger.comparing import ADDED, CHANGED, REMOVED, FieldText, Place, value_text
from ledger.events import (
    CommitObserved,
    FileChange,
    FileSide,
    RecordedEvent,
    RefMoved,
    RevisionObserved,
)
from ledger.moves import Document, pair_moves
from ledger.projections import Context, Projection, Row, Table, column, key_text
from ledger.projections.commits import CommitRow
from ledger.projections.environments import environment_of
from ledger.projections.revisions import HEADS, RevisionRow, lines_apart
from ledger.resources import Value

MOVED, FORMATTED = "moved", "formatted"
LINK = "120000"


class ResourceRow(NamedTuple):
    resource: str
    repository: str
    branch: str
    path: str
    api_group: str
    kind: str
    namespace: str
    name: str
    ordinal: int
    present: int
    digest: bytes | None
    item: int
    opaque: str | None
    unparsed: str
    warnings: str
    first_revision: int
    last_revision: int


class ChangeRow(NamedTuple):
    change: int
    resource: str
    repository: str
    branch: str
    commit_sha: str
    revision_number: int
    action: str
    path: str
    old_path: str
    api_group: str
    kind: str
    namespace: str
    name: str
    ordinal: int
    fields_changed: int
    coarse: int
    before_digest: bytes | None
    before_item: int
    before_opaque: str | None
    after_digest: bytes | None
    after_item: int
    after_opaque: str | None
    unparsed: str
    warnings: str
    copied_from: str
    evidence_position: int
    recorded_at: str


class FieldRow(NamedTuple):
    change: int
    sequence: int
    field: str
    action: str
    old_value: str | None
    new_value: str | None


class LineRow(NamedTuple):
    """How far a branch is projected: the revision whose state the resources show."""

    repository: str
    branch: str
    tip: str


RESOURCES = Table(
    "model_resource",
    ResourceRow,
    key=("resource",),
    lookups=(("repository", "branch", "path"),),
    indexes=(("kind", "name"), ("name",)),
)
CHANGES = Table(
    "model_resource_change",
    ChangeRow,
    key=("change",),
    lookups=(("resource",), ("repository", "branch", "revision_number")),
    log=True,
)
FIELD_CHANGES = Table("model_field_change", FieldRow, key=("change", "sequence"), log=True)
LINES = Table("model_line", LineRow, key=("repository", "branch"))

Address = tuple[str, str, str, str, int]


@dataclass(frozen=True, slots=True)
class _Found:
    """A document as it stands in a file at a revision."""

    address: Address
    digest: bytes | None
    item: int
    opaque: str | None
    unparsed: str
    warnings: str


@dataclass(frozen=True, slots=True)
class _Revision:
    repository: str
    branch: str
    commit: str
    number: int
    recorded: RecordedEvent


@dataclass(slots=True)
class _Come:
    path: str
    found: _Found


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, RevisionObserved):
        step = context.get(RevisionRow, data.repository, data.branch, data.commit)
        if step is not None and step.evidence_position != recorded.position:
            yield from _realign(data.repository, data.branch, data.commit, context)
            return
        yield from _realign(data.repository, data.branch, data.first_parent, context)
        yield from _revision(recorded, data, context)
        yield LineRow(data.repository, data.branch, data.commit)
    elif isinstance(data, RefMoved):
        branch = data.ref.removeprefix(HEADS)
        if branch != data.ref and data.new:
            yield from _realign(data.repository, branch, data.new, context)


# -- the line of the branch ----------------------------------------------------------------------


def _realign(repository: str, branch: str, tip: str, context: Context) -> Iterable[Row]:
    line = context.get(LineRow, repository, branch)
    if line is None or line.tip == tip:
        return
    leaving, returning = lines_apart(repository, branch, line.tip, tip, context)
    touched: dict[str, None] = {}
    for step in [*leaving, *returning]:
        for change in context.find(
            ChangeRow, repository=repository, branch=branch, revision_number=step.number
        ):
            if change.commit_sha == step.commit_sha:
                touched[change.resource] = None
    for resource in touched:
        yield from _restored(resource, repository, branch, context)
    yield LineRow(repository, branch, tip)


def _restored(resource: str, repository: str, branch: str, context: Context) -> Iterable[Row]:
    """The resource as the last change on the current line left it; absent if there is none."""
    row = context.get(ResourceRow, resource)
    assert row is not None
    history = sorted(
        context.find(ChangeRow, resource=resource),
        key=lambda one: (-one.revision_number, -one.change),
    )
    for change in history:
        step = context.get(RevisionRow, repository, branch, change.commit_sha)
        if step is not None and not step.superseded:
            yield row._replace(
                path=change.path,
                api_group=change.api_group,
                kind=change.kind,
                namespace=change.namespace,
                name=change.name,
                ordinal=change.ordinal,
                present=int(change.action != REMOVED),
                digest=change.after_digest,
                item=change.after_item,
                opaque=change.after_opaque,
                unparsed=change.unparsed,
                warnings=change.warnings,
                last_revision=change.revision_number,
            )
            return
    yield row._replace(present=0, digest=None, opaque=None)


# -- one revision --------------------------------------------------------------------------------


def _revision(recorded: RecordedEvent, data: RevisionObserved, context: Context) -> Iterable[Row]:
    commit = context.get(CommitRow, data.repository, data.commit)
    if commit is None:
        return
    observed = context.event(commit.evidence_position).data
    assert isinstance(observed, CommitObserved)
    at = _Revision(data.repository, data.branch, data.commit, data.number, recorded)
    gone: list[ResourceRow] = []
    come: list[_Come] = []
    for file in observed.files:
        yield from _file(at, file, gone, come, context)
    yield from _came_and_went(at, gone, come, context)


def _file(
    at: _Revision, file: FileChange, gone: list[ResourceRow], come: list[_Come], context: Context
) -> Iterable[Row]:
    path = key_text(file.path)
    rows = context.find(ResourceRow, repository=at.repository, branch=at.branch, path=path)
    present = {_address(row): row for row in rows if row.present}
    for found in _documents(path, file.after, present, context):
        held = present.pop(found.address, None)
        if held is None:
            come.append(_Come(path, found))
        elif (held.digest, held.item, held.opaque) != (found.digest, found.item, found.opaque):
            yield from _changed(at, held, path, found, CHANGED, context)
    gone.extend(present.values())


def _address(row: ResourceRow) -> Address:
    return (row.api_group, row.kind, row.namespace, row.name, row.ordinal)


def _documents(
    path: str, side: FileSide | None, present: dict[Address, ResourceRow], context: Context
) -> Iterable[_Found]:
    """The documents of a file, but for those that are known to stand unchanged, which leave `present`."""
    if side is None:
        return ()
    if side.content or side.mode == LINK:
        return (_opaque(path, side, context),)
    pieces = context.pieces(side.digest)
    if len(pieces) > 1 and present:
        changed = _changed_documents(path, pieces, present, context)
        if changed is not None:
            return changed
    return _numbered(path, pieces, context)


def _changed_documents(
    path: str, pieces: list[bytes], present: dict[Address, ResourceRow], context: Context
) -> list[_Found] | None:
    """As `_documents`, parsing only new pieces; None where equal names need to be counted."""
    kept: dict[bytes, list[Address]] = {}
    for address, row in present.items():
        if row.digest is not None:
            kept.setdefault(row.digest, []).append(address)
    still = {piece for piece in pieces if piece in kept}
    found = list(_numbered(path, [piece for piece in pieces if piece not in still], context))
    unchanged = [address for piece in still for address in kept[piece]]
    names = {one.address for one in found}
    counted = any(address[4] for address in (*present, *names))
    if counted or len(set(pieces)) < len(pieces) or names.intersection(unchanged):
        return None
    for address in unchanged:
        del present[address]
    return found


def _numbered(path: str, pieces: Iterable[bytes], context: Context) -> Iterator[_Found]:
    """The documents of pieces; those of one name in one file are told apart by their order."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for piece in pieces:
        for item, one in enumerate(context.shapes(path, piece)):
            address = (
                key_text(one.api_group),
                key_text(one.kind),
                key_text(one.namespace),
                key_text(one.name or path),
            )
            ordinal = counts[address]
            counts[address] += 1
            warnings = column(one.warnings)
            yield _Found((*address, ordinal), piece, item, None, column(one.unparsed), warnings)


_OPAQUE_KINDS = {
    "submodule": "Submodule",
    "binary": "Binary",
    "too_large": "Large",
    "missing": "Missing",
}


def _opaque(path: str, side: FileSide, context: Context) -> _Found:
    """A file whose content is not kept, or a link: it still has a history of what it was."""
    if side.mode == LINK and side.digest and not side.content:
        target = context.content(bytes.fromhex(side.digest[7:])).decode("utf-8", "replace")
        body: Value = {"target": target}
        kind = "Symlink"
    else:
        body = {"content": side.digest or side.hmac or side.id}
        kind = _OPAQUE_KINDS.get(side.content, "Unread")
    text = msgspec.json.encode(body, order="sorted").decode()
    reason = "" if kind in ("Symlink", "Submodule") else side.content
    return _Found(("", kind, "", path, 0), None, 0, text, reason, "")


# -- changes -------------------------------------------------------------------------------------


def _place(row: ResourceRow) -> Place:
    return Place(row.path, row.digest, row.item, row.opaque)


def _place_of(path: str, found: _Found) -> Place:
    return Place(path, found.digest, found.item, found.opaque)


def _changed(
    at: _Revision, row: ResourceRow, path: str, found: _Found, action: str, context: Context
) -> Iterable[Row]:
    changes = context.difference(_place(row), _place_of(path, found))
    if changes == [] and action == CHANGED:
        action = FORMATTED
    change = context.next_id(ChangeRow)
    yield _change_row(at, row, path, found, action, change, changes)
    if changes is None:
        old, new = _address_text(row.digest), _address_text(found.digest)
        changes = [("", CHANGED, old, new)]
    yield from _field_rows(change, changes)
    yield _row_at(row, at, path, found)


def _field_rows(change: int, changes: Iterable[FieldText]) -> Iterator[FieldRow]:
    for sequence, one in enumerate(changes):
        yield FieldRow(change, sequence, *one)


def _row_at(row: ResourceRow, at: _Revision, path: str, found: _Found) -> ResourceRow:
    group, kind, namespace, name, ordinal = found.address
    return row._replace(
        path=path,
        api_group=group,
        kind=kind,
        namespace=namespace,
        name=name,
        ordinal=ordinal,
        present=1,
        digest=found.digest,
        item=found.item,
        opaque=found.opaque,
        unparsed=found.unparsed,
        warnings=found.warnings,
        last_revision=at.number,
    )


def _change_row(
    at: _Revision,
    row: ResourceRow,
    path: str,
    found: _Found | None,
    action: str,
    change: int,
    changes: Sequence[object] | None,
    copied_from: str = "",
) -> ChangeRow:
    group, kind, namespace, name, ordinal = found.address if found else _address(row)
    fresh = action == ADDED
    return ChangeRow(
        change=change,
        resource=row.resource,
        repository=at.repository,
        branch=at.branch,
        commit_sha=at.commit,
        revision_number=at.number,
        action=action,
        path=path,
        old_path=row.path if action == MOVED else "",
        api_group=group,
        kind=kind,
        namespace=namespace,
        name=name,
        ordinal=ordinal,
        fields_changed=1 if changes is None else len(changes),
        coarse=int(changes is None),
        before_digest=None if fresh else row.digest,
        before_item=0 if fresh else row.item,
        before_opaque=None if fresh else row.opaque,
        after_digest=found.digest if found else None,
        after_item=found.item if found else 0,
        after_opaque=found.opaque if found else None,
        unparsed=found.unparsed if found else "",
        warnings=found.warnings if found else "",
        copied_from=copied_from,
        evidence_position=at.recorded.position,
        recorded_at=at.recorded.recorded_at,
    )


def _address_text(digest: bytes | None) -> str | None:
    return value_text({"digest": "sha256:" + digest.hex()}) if digest is not None else None


# -- what came and what went ---------------------------------------------------------------------


def _came_and_went(
    at: _Revision, gone: list[ResourceRow], come: list[_Come], context: Context
) -> Iterable[Row]:
    if not gone and not come:
        return
    left = [_document_of_row(row) for row in gone]
    right = [_document_of(one) for one in come]
    opaque = [*(row.opaque for row in gone), *(one.found.opaque for one in come)]
    cache: dict[tuple[bytes | None, int], Counter[bytes]] = {
        (_content_of(None, text), 0): Counter() for text in opaque if text is not None
    }

    def lines(document: Document) -> Counter[bytes]:
        key = (document.digest, document.item)
        if key not in cache:
            data = context.content(document.digest) if document.digest is not None else b""
            cache[key] = Counter(line for line in data.split(b"\n") if line.strip())
        return cache[key]

    pairs = pair_moves(left, right, lines) if gone and come else []
    moved_from = {come_at: gone_at for gone_at, come_at in pairs}
    stays: set[int] = set()
    for index, one in enumerate(come):
        source = moved_from.get(index)
        if source is None:
            yield from _added(at, one, "", context)
        elif _crosses(at, gone[source].path, one.path, context):
            yield from _added(at, one, gone[source].resource, context)
        else:
            stays.add(source)
            yield from _changed(at, gone[source], one.path, one.found, MOVED, context)
    for index, row in enumerate(gone):
        if index not in stays:
            yield from _removed(at, row, context)


def _crosses(at: _Revision, old: str, new: str, context: Context) -> bool:
    if old == new:
        return False
    return environment_of(context, at.repository, old) != environment_of(
        context, at.repository, new
    )


def _document_of_row(row: ResourceRow) -> Document:
    digest = _content_of(row.digest, row.opaque)
    return Document(row.path, row.api_group, row.kind, row.namespace, row.name, digest, row.item)


def _document_of(one: _Come) -> Document:
    group, kind, namespace, name, _ = one.found.address
    digest = _content_of(one.found.digest, one.found.opaque)
    return Document(one.path, group, kind, namespace, name, digest, one.found.item)


def _content_of(digest: bytes | None, opaque: str | None) -> bytes | None:
    """What two documents of the same content have in common, kept or not."""
    return digest if opaque is None else hashlib.sha256(opaque.encode()).digest()


def _added(at: _Revision, one: _Come, copied_from: str, context: Context) -> Iterable[Row]:
    rows = context.find(ResourceRow, repository=at.repository, branch=at.branch, path=one.path)
    left = [old for old in rows if not old.present and _address(old) == one.found.address]
    row = (
        max(left, key=lambda old: (old.last_revision, old.resource))
        if left
        else _new_resource(at, one)
    )
    change = context.next_id(ChangeRow)
    yield _change_row(at, row, one.path, one.found, ADDED, change, [None], copied_from)
    yield from _field_rows(change, context.difference(None, _place_of(one.path, one.found)) or ())
    yield _row_at(row, at, one.path, one.found)


def _new_resource(at: _Revision, one: _Come) -> ResourceRow:
    group, kind, namespace, name, ordinal = one.found.address
    named = "\0".join(
        (at.repository, at.branch, at.commit, one.path, group, kind, namespace, name, str(ordinal))
    )
    return ResourceRow(
        resource=hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:20],
        repository=at.repository,
        branch=at.branch,
        path=one.path,
        api_group=group,
        kind=kind,
        namespace=namespace,
        name=name,
        ordinal=ordinal,
        present=0,
        digest=None,
        item=0,
        opaque=None,
        unparsed="",
        warnings="",
        first_revision=at.number,
        last_revision=at.number,
    )


def _removed(at: _Revision, row: ResourceRow, context: Context) -> Iterable[Row]:
    change = context.next_id(ChangeRow)
    yield _change_row(at, row, row.path, None, REMOVED, change, [None])
    yield from _field_rows(change, context.difference(_place(row), None) or ())
    yield row._replace(present=0, last_revision=at.number)


PROJECTION = Projection(
    name="changes",
    version=1,
    tables=(RESOURCES, CHANGES, FIELD_CHANGES, LINES),
    handles=(RevisionObserved, RefMoved),
    project=project,
    after=("revisions", "commits", "environments"),
)
