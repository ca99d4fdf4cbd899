"""What came and what went in a revision: paired as moved, else added and removed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from ledger.comparing import ADDED, REMOVED
from ledger.moves import Document, pair_moves
from ledger.projections import Context, Row
from ledger.projections.changes.recording import MOVED, change_row, changed, field_rows, row_at
from ledger.projections.changes.rows import (
    ChangeRow,
    Come,
    ResourceRow,
    Revision,
    address_of,
    place_of,
    place_of_row,
)
from ledger.projections.environments import environment_of


def came_and_went(
    at: Revision, gone: list[ResourceRow], come: list[Come], context: Context
) -> Iterable[Row]:
    if not gone and not come:
        return
    pairs = _pairs(gone, come, context) if gone and come else []
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
            yield from changed(at, gone[source], one.path, one.found, MOVED, context)
    for index, row in enumerate(gone):
        if index not in stays:
            yield from _removed(at, row, context)


def _pairs(gone: list[ResourceRow], come: list[Come], context: Context) -> list[tuple[int, int]]:
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

    return pair_moves(left, right, lines)


def _crosses(at: Revision, old: str, new: str, context: Context) -> bool:
    if old == new:
        return False
    return environment_of(context, at.repository, old) != environment_of(
        context, at.repository, new
    )


def _document_of_row(row: ResourceRow) -> Document:
    digest = _content_of(row.digest, row.opaque)
    return Document(row.path, row.api_group, row.kind, row.namespace, row.name, digest, row.item)


def _document_of(one: Come) -> Document:
    group, kind, namespace, name, _ = one.found.address
    digest = _content_of(one.found.digest, one.found.opaque)
    return Document(one.path, group, kind, namespace, name, digest, one.found.item)


def _content_of(digest: bytes | None, opaque: str | None) -> bytes | None:
    """What two documents of the same content have in common, kept or not."""
    return digest if opaque is None else hashlib.sha256(opaque.encode()).digest()


def _added(at: Revision, one: Come, copied_from: str, context: Context) -> Iterable[Row]:
    rows = context.find(ResourceRow, repository=at.repository, branch=at.branch, path=one.path)
    left = [old for old in rows if not old.present and address_of(old) == one.found.address]
    row = (
        max(left, key=lambda old: (old.last_revision, old.resource))
        if left
        else _new_resource(at, one)
    )
    change = context.next_id(ChangeRow)
    yield change_row(at, row, one.path, one.found, ADDED, change, [None], copied_from)
    yield from field_rows(change, context.difference(None, place_of(one.path, one.found)) or ())
    yield row_at(row, at, one.path, one.found)


def _new_resource(at: Revision, one: Come) -> ResourceRow:
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


def _removed(at: Revision, row: ResourceRow, context: Context) -> Iterable[Row]:
    change = context.next_id(ChangeRow)
    yield change_row(at, row, row.path, None, REMOVED, change, [None])
    yield from field_rows(change, context.difference(place_of_row(row), None) or ())
    yield row._replace(present=0, last_revision=at.number)
