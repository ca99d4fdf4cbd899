"""What answers are made of: plain frozen data, which is also the shape of `--output json`.

Times are UTC text. Members may be added; docs/reference/json-output.md names them all.
"""

from __future__ import annotations

import msgspec

from ledger.queries.names import ResourceName
from ledger.resources import Value


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody, as a commit claims."""

    name: str
    email: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """The pull request of a revision; `number` is null where none is linked.

    `merged_by` and `merged_at` are what its forge says, empty where it says nothing of this merge.
    """

    number: int | None
    grade: str
    reason: str
    merged_by: str
    merged_at: str


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a revision was approved: approved, unapproved or unknown, judged at the merge.

    `approvers` are logins as the forge tells them; `approved_at` is empty unless it is approved.
    """

    verdict: str
    reason: str
    approvers: list[str]
    approved_at: str


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """A mainline revision with every clock. Times are UTC text."""

    repository: str
    branch: str
    number: int
    commit_sha: str
    subject: str
    author: Person
    committer: Person
    authored_at: str
    committed_at: str
    landed_at: str
    landed_grade: str
    recorded_at: str
    signature_status: str
    superseded: bool
    pull_request: Link
    approval: Approval


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field that changed; `old` and `new` are null where there was nothing."""

    field: str
    action: str
    old: Value
    new: Value


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One resource changed by one revision."""

    resource: str
    action: str
    path: str
    old_path: str
    api_group: str
    kind: str
    namespace: str
    name: str
    fields: list[Field]
    copied_from: str
    unparsed: str
    warnings: str
    revision: Revision


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What "at that time" was taken to mean: the tip of the branch and which clock told it."""

    at: str
    commit_sha: str
    number: int
    clock: str


class Blamed(msgspec.Struct, frozen=True, kw_only=True):
    """A field as it is, and the revision that set it."""

    field: str
    value: Value
    revision: Revision


class Blame(msgspec.Struct, frozen=True, kw_only=True):
    """Every field of a resource with the revision that set it."""

    resource: ResourceName
    moment: Moment
    fields: list[Blamed]


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A resource as it was: its document's text as kept, its fields, and its last change."""

    resource: ResourceName
    moment: Moment
    path: str
    text: str
    body: Value
    changed: Revision


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a resource that differ between two moments."""

    resource: ResourceName
    before: Moment
    after: Moment
    fields: list[Field]
