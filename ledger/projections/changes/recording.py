"""The rows that record what happened to one resource."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ledger.comparing import ADDED, CHANGED, FieldText, value_text
from ledger.projections import Context, Row
from ledger.projections.changes.rows import (
    ChangeRow,
    FieldRow,
    Found,
    ResourceRow,
    Revision,
    address_of,
    place_of,
    place_of_row,
)

MOVED, FORMATTED = "moved", "formatted"


def changed(
    at: Revision, row: ResourceRow, path: str, found: Found, action: str, context: Context
) -> Iterable[Row]:
    changes = context.difference(place_of_row(row), place_of(path, found))
    if changes == [] and action == CHANGED:
        action = FORMATTED
    change = context.next_id(ChangeRow)
    yield change_row(at, row, path, found, action, change, changes)
    if changes is None:
        old, new = _address_text(row.digest), _address_text(found.digest)
        changes = [("", CHANGED, old, new)]
    yield from field_rows(change, changes)
    yield row_at(row, at, path, found)


def field_rows(change: int, changes: Iterable[FieldText]) -> Iterator[FieldRow]:
    for sequence, one in enumerate(changes):
        yield FieldRow(change, sequence, *one)


def row_at(row: ResourceRow, at: Revision, path: str, found: Found) -> ResourceRow:
    group, kind, namespace, name, ordinal = found.address
    return ResourceRow(
        resource=row.resource,
        repository=row.repository,
        branch=row.branch,
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
        first_revision=row.first_revision,
        last_revision=at.number,
    )


def change_row(
    at: Revision,
    row: ResourceRow,
    path: str,
    found: Found | None,
    action: str,
    change: int,
    changes: Sequence[object] | None,
    copied_from: str = "",
) -> ChangeRow:
    group, kind, namespace, name, ordinal = found.address if found else address_of(row)
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
