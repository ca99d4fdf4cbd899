"""The tables of resources and of what happened to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ledger.comparing import Place
from ledger.events import RecordedEvent
from ledger.projections import Table


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


class Found(NamedTuple):
    """A document as it stands in a file at a revision."""

    address: Address
    digest: bytes | None
    item: int
    opaque: str | None
    unparsed: str
    warnings: str


@dataclass(frozen=True, slots=True)
class Revision:
    repository: str
    branch: str
    commit: str
    number: int
    recorded: RecordedEvent


@dataclass(slots=True)
class Come:
    path: str
    found: Found


def address_of(row: ResourceRow) -> Address:
    return (row.api_group, row.kind, row.namespace, row.name, row.ordinal)


def place_of_row(row: ResourceRow) -> Place:
    return Place(row.path, row.digest, row.item, row.opaque)


def place_of(path: str, found: Found) -> Place:
    return Place(path, found.digest, found.item, found.opaque)
