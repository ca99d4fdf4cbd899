"""The tables of live state."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from ledger.projections import Table


class Identity(NamedTuple):
    """An object of a cluster."""

    cluster: str
    api_group: str
    kind: str
    namespace: str
    name: str

    @property
    def key(self) -> str:
        """The short name of the object in tables that speak of it often."""
        return hashlib.sha256("\0".join(self).encode("utf-8", "surrogatepass")).hexdigest()[:20]

    def title(self) -> str:
        """How a person would name it."""
        where = f" -n {self.namespace}" if self.namespace else ""
        return f"{self.kind.lower()}/{self.name}{where}"


class Name(NamedTuple):
    """An application."""

    cluster: str
    namespace: str
    application: str


class LookRow(NamedTuple):
    """What a look saw of an object: `content` is null where it was gone, on whose word `stated_by` tells.

    It is empty where we listed the objects of the cluster ourselves.
    """

    cluster: str
    api_group: str
    kind: str
    namespace: str
    name: str
    observed_at: str
    mark: str
    content: bytes | None
    managers: bytes | None
    manager: str
    changed_at: str
    uid: str
    owner: str
    owner_group: str
    owner_uid: str
    claim: str
    stated_by: str
    evidence_position: int
    recorded_at: str


class ObjectRow(NamedTuple):
    """An object that was ever seen, and the last look at it; `dirty` until its state is worked out again.

    `looks` is a digest of the set of all looks at it, whatever order they came in.
    """

    cluster: str
    api_group: str
    kind: str
    namespace: str
    name: str
    observed_at: str
    mark: str
    looks: str
    dirty: int


class ClaimRow(NamedTuple):
    """An object that ever said to belong to an application of this name."""

    cluster: str
    claim: str
    api_group: str
    kind: str
    namespace: str
    name: str


class SeenRow(NamedTuple):
    """When a file last showed an object, changed or not."""

    cluster: str
    api_group: str
    kind: str
    namespace: str
    name: str
    seen_at: str


class ScopeRow(NamedTuple):
    """When all objects of a kind were last listed; `namespace` is empty for all namespaces.

    `stated_by` is the person on whose word files held them all, empty where we listed them ourselves.
    """

    cluster: str
    api_group: str
    kind: str
    namespace: str
    seen_at: str
    stated_by: str


class ApplicationRow(NamedTuple):
    """An application; `destination` is where it was settled for last, `dirty` until it is settled again."""

    cluster: str
    namespace: str
    application: str
    destination: str
    dirty: int

    @property
    def key(self) -> Name:
        """Its name."""
        return Name(self.cluster, self.namespace, self.application)


class BranchRow(NamedTuple):
    """A tracked branch and the tip that live state was settled for last."""

    repository: str
    branch: str
    tip: str
    dirty: int


class ClosureRow(NamedTuple):
    """What an application is made from: files, and directories all of whose files count."""

    cluster: str
    namespace: str
    application: str
    number: int
    repository: str
    branch: str
    files: str
    directories: str


class DeclaredRow(NamedTuple):
    """An object that an application declares, at its synced revision or at the tip.

    `hashed` where an unknown hash follows the name.
    """

    cluster: str
    api_group: str
    kind: str
    namespace: str
    name: str
    app_cluster: str
    app_namespace: str
    application: str
    hashed: int


class LiveRow(NamedTuple):
    """The state of an object, live or only declared. `differences` and `excuses` are JSON text.

    `maker` is the key of the declared object that a derived one was made of, however many lie between;
    empty where the cluster brought it by itself.
    """

    cluster: str
    api_group: str
    kind: str
    namespace: str
    name: str
    object: str
    present: int
    observed_at: str
    app_cluster: str
    app_namespace: str
    application: str
    repository: str
    branch: str
    path: str
    state: str
    grade: str
    reason: str
    differences: str
    excuses: str
    synced_commit_sha: str
    synced_at: str
    changed_commit_sha: str
    manager: str
    changed_at: str
    maker: str
    inputs: str
    evidence_position: int
    recorded_at: str


class OriginRow(NamedTuple):
    """The commit that set a field of an object, and the input that did it.

    It speaks for all fields below `field`, but for those that have rows of their own; several of one
    field all had a part in it. `commit_sha` is empty where no commit did it.
    """

    object: str
    field: str
    number: int
    repository: str
    branch: str
    commit_sha: str
    path: str
    input_field: str


class VerdictRow(NamedTuple):
    """What one look at an object came to; `basis` is what it was held against.

    `drifted` is 0 or 1, and 2 where that cannot be told.
    """

    object: str
    observed_at: str
    mark: str
    basis: str
    drifted: int
    fields: str
    manager: str


class EpisodeRow(NamedTuple):
    """A time in which an object differed from what was synced; open while `closed_at` is null."""

    object: str
    first_seen: str
    cluster: str
    api_group: str
    kind: str
    namespace: str
    name: str
    app_cluster: str
    app_namespace: str
    application: str
    fields: str
    manager: str
    synced_commit_sha: str
    closed_at: str | None
    closed_by: str
    evidence_position: int
    recorded_at: str


_IDENTITY = ("cluster", "api_group", "kind", "namespace", "name")
_APPLICATION = ("app_cluster", "app_namespace", "application")

LOOKS = Table(
    "model_live_look",
    LookRow,
    key=(*_IDENTITY, "observed_at", "mark"),
    lookups=(_IDENTITY, ("cluster", "owner")),
)
OBJECTS = Table(
    "model_live_object",
    ObjectRow,
    key=_IDENTITY,
    lookups=(
        ("dirty",),
        ("cluster", "api_group", "kind", "namespace"),
        ("cluster", "kind", "name"),
    ),
)
CLAIMS = Table(
    "model_live_claim",
    ClaimRow,
    key=("cluster", "claim", "api_group", "kind", "namespace", "name"),
    lookups=(("cluster", "claim"),),
)
SEEN = Table("model_live_seen", SeenRow, key=_IDENTITY)
SCOPES = Table(
    "model_live_scope",
    ScopeRow,
    key=("cluster", "api_group", "kind", "namespace"),
    lookups=(("cluster", "kind"),),
)
APPLICATIONS = Table(
    "model_live_application",
    ApplicationRow,
    key=("cluster", "namespace", "application"),
    lookups=(("dirty",), ("destination",), ("destination", "application")),
)
BRANCHES = Table(
    "model_live_branch",
    BranchRow,
    key=("repository", "branch"),
    lookups=(("dirty",), ("repository",)),
)
CLOSURES = Table(
    "model_live_closure",
    ClosureRow,
    key=("cluster", "namespace", "application", "number"),
    lookups=(("cluster", "namespace", "application"), ("repository",)),
)
DECLARED = Table(
    "model_live_declared",
    DeclaredRow,
    key=(*_IDENTITY, *_APPLICATION),
    lookups=(_IDENTITY, _APPLICATION, ("cluster", "api_group", "kind")),
)
LIVE = Table(
    "model_live_state",
    LiveRow,
    key=_IDENTITY,
    lookups=(_APPLICATION, ("cluster", "state")),
    indexes=(("object",), ("kind", "name"), ("state",)),
)
ORIGINS = Table(
    "model_live_origin",
    OriginRow,
    key=("object", "field", "number"),
    lookups=(("object",),),
    indexes=(("repository", "commit_sha"),),
)
VERDICTS = Table(
    "model_live_verdict",
    VerdictRow,
    key=("object", "observed_at", "mark"),
    lookups=(("object",),),
)
EPISODES = Table(
    "model_drift_episode", EpisodeRow, key=("object", "first_seen"), lookups=(("object",),)
)
TABLES = (
    LOOKS, OBJECTS, CLAIMS, SEEN, SCOPES, APPLICATIONS, BRANCHES, CLOSURES, DECLARED, LIVE, ORIGINS,
    VERDICTS, EPISODES,
)  # fmt: skip
