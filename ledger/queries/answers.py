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

    `grade` is no better than that of the link to the pull request: reported or inferred, and unlinked
    where nothing is known. `approvers` are logins as the forge tells them; `approved_at` is empty unless
    it is approved.
    """

    verdict: str
    grade: str
    reason: str
    approvers: list[str]
    approved_at: str


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """Who pushed a revision to its branch, as the forge says; empty where it says nothing of it.

    `direct` tells of what no pull request was merged as whether a person or a bot pushed it, or somebody past
    the rules (bypass), or that it is unknown; empty for the rest. `reason` says why.
    """

    by: str
    at: str
    direct: str
    reason: str


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that a revision reverts or brings again (`role`: reverts, backports), as a message says.

    `number` is the pull request that this commit was merged as, null where none is known.
    """

    role: str
    commit_sha: str
    number: int | None
    grade: str
    reason: str


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
    push: Push
    names: list[Named]
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
    """A field as it is, and the revision that set it.

    Where another file decides it, `path` and `input_field` tell which one and where.
    """

    field: str
    value: Value
    revision: Revision
    path: str = ""
    input_field: str = ""


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


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """One link of a chain. `evidence` are positions in the log."""

    hop: str
    grade: str
    what: str
    reason: str
    evidence: list[int]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict and why."""

    verdict: str
    reason: str


class Differing(msgspec.Struct, frozen=True, kw_only=True):
    """A field in which live and desired differ; `excuse` says what explains it, empty if nothing does."""

    field: str
    action: str
    desired: Value
    live: Value
    excuse: str


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What set a field, and all below it that has no setting of its own.

    `path` and `input_field` tell the input that decided it; `revision` is null where no commit did.
    """

    field: str
    path: str
    input_field: str
    approval: str
    reason: str
    revision: Revision | None


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One object, its two verdicts, the chain behind it, what differs, and what set its fields.

    `settings` stand worst first. `observed_at` is when a look first saw it as it is, `seen_at` the last
    look. The chain follows `decides`, the worst approved change and of equal ones the newest; empty where
    no commit did it. The verdict on the approval is empty where there is nothing to approve.
    """

    cluster: str
    api_group: str
    kind: str
    namespace: str
    name: str
    environment: str
    tier: str
    application: str
    observed_at: str
    seen_at: str
    state: Finding
    approval: Finding
    grade: str
    weakest: str
    decides: str
    hops: list[Hop]
    differences: list[Differing]
    settings: list[Setting]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. Texts are empty and numbers null where they do not apply.

    `environments` is empty where nothing that it touches is mapped to one. `clock` says who told `at`.
    """

    at: str
    clock: str
    kind: str
    environments: list[str]
    cluster: str = ""
    application: str = ""
    resource: str = ""
    repository: str = ""
    branch: str = ""
    commit_sha: str = ""
    pull_request: int | None = None
    approval: str = ""
    who: str = ""
    what: str
    alarming: bool = False
    grade: str
    reason: str
    evidence_position: int
    recorded_at: str


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """How far a feed is read: `read_at` is empty if never, `stale` where it may not have told it all.

    `gaps` counts what of it is known to be missing, as recorded since the beginning of the span.
    """

    feed: str
    kind: str
    read_at: str
    failure: str
    stale: bool
    gaps: int


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """What happened from `since` (inclusive) to `until` (exclusive), the oldest first.

    `unmapped` counts what is left out of the timeline of one environment because nothing says to which
    environment it belongs; 0 where all are asked for.
    """

    environment: str
    since: str
    until: str
    entries: list[Entry]
    unmapped: int
    feeds: list[Freshness]
