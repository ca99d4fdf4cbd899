"""What a GitOps controller applied, and what a cluster runs.

`cluster` is the name that the operator gives a cluster. An application is named by cluster, namespace
of its own object, and name; `uid` tells one from a later one of the same name. `raw` addresses the
redacted text that a fact was read from.
"""

from __future__ import annotations

from typing import ClassVar

from ledger.events.base import Fact, Identity


class ApplicationSource(Fact, frozen=True, kw_only=True):
    """One place that an application takes manifests from.

    `repository` is the name in `ledger.toml` that `url` maps to, empty where it maps to none. `options` is
    what the controller is told of building them, as JSON text of its own words: `kustomize`, `directory`,
    `helm`, `plugin`; empty where it is told nothing.
    """

    url: str
    repository: str = ""
    path: str = ""
    target_revision: str = ""
    chart: str = ""
    options: str = ""


class Application(Fact, frozen=True, kw_only=True):
    """What an application is told to do.

    `destination` is the cluster it deploys to: `cluster` itself, what the operator calls another one,
    else the address of that one's server. `ignore_differences` is the controller's own rule list as
    JSON text. Of a hydrated application `sources` holds the branch that is synced.
    """

    cluster: str
    namespace: str
    name: str
    uid: str = ""
    project: str = ""
    sources: list[ApplicationSource] = []
    destination: str = ""
    destination_server: str = ""
    destination_namespace: str = ""
    automated: bool = False
    self_heal: bool = False
    prune: bool = False
    ignore_differences: str = ""


class ApplicationCreated(Fact, frozen=True, kw_only=True):
    """An application was first seen, at `observed_at`; `created_at` is the cluster's own word."""

    TYPE: ClassVar[str] = "application.created"
    VERSION: ClassVar[int] = 1

    application: Application
    created_at: str = ""
    observed_at: str = ""
    raw: str = ""


class ApplicationChanged(Fact, frozen=True, kw_only=True):
    """An application is told to do something else than before.

    `generation` is the server's count of writes, which also counts those that change nothing here.
    """

    TYPE: ClassVar[str] = "application.changed"
    VERSION: ClassVar[int] = 1

    application: Application
    generation: int = 0
    observed_at: str = ""
    raw: str = ""


class ApplicationDeleted(Fact, frozen=True, kw_only=True):
    """An application is no longer there."""

    TYPE: ClassVar[str] = "application.deleted"
    VERSION: ClassVar[int] = 1

    cluster: str
    namespace: str
    name: str
    uid: str = ""
    observed_at: str = ""


class SyncedResource(Fact, frozen=True, kw_only=True):
    """What a sync did with one object. `status`: Synced, SyncFailed, Pruned, PruneSkipped."""

    api_group: str = ""
    kind: str
    namespace: str = ""
    name: str
    status: str = ""
    message: str = ""
    hook: str = ""


class Sync(Fact, frozen=True, kw_only=True):
    """One operation of a controller. Times as the controller claims them.

    `revisions` stand in the order of `sources`. `history_id` is the controller's own number, -1 where
    it keeps none. `partial` where only chosen resources were synced, `local` where manifests came from
    a person's machine and not from Git. `resources` is empty where the controller no longer knows.
    """

    cluster: str
    namespace: str
    application: str
    uid: str = ""
    sources: list[ApplicationSource] = []
    revisions: list[str] = []
    history_id: int = -1
    started_at: str
    finished_at: str = ""
    initiated_by: str = ""
    automated: bool = False
    partial: bool = False
    self_heal: bool = False
    local: bool = False
    retries: int = 0
    resources: list[SyncedResource] = []


class SyncApplied(Fact, frozen=True, kw_only=True):
    """A sync that succeeded."""

    TYPE: ClassVar[str] = "sync.applied"
    VERSION: ClassVar[int] = 1

    sync: Sync
    raw: str = ""


class SyncFailed(Fact, frozen=True, kw_only=True):
    """A sync that failed; single resources of it may have been applied all the same."""

    TYPE: ClassVar[str] = "sync.failed"
    VERSION: ClassVar[int] = 1

    sync: Sync
    phase: str
    message: str = ""
    raw: str = ""


class LiveObserved(Fact, frozen=True, kw_only=True):
    """An object runs in a cluster with a content that differs from what was seen of it before.

    `content` addresses the redacted document as canonical JSON, without `managedFields`, `status` and
    what the server counts. `managers` addresses who manages which of its fields, as canonical JSON: a
    list of manager, operation, time and fieldsV1 as `managedFields` has them, but those of the status;
    empty where the source hides them. `owner` is `kind/name` of the controlling owner, `owner_group` its API
    group and `owner_uid` its uid, as the object says. `observed_at` is when we looked; `changed_at` is
    the newest time that a field manager claims, and `manager` its name.
    """

    TYPE: ClassVar[str] = "live.observed"
    VERSION: ClassVar[int] = 1

    cluster: str
    api_group: str
    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""
    content: str
    observed_at: str
    changed_at: str = ""
    manager: str = ""
    managers: str = ""
    owner: str = ""
    owner_group: str = ""
    owner_uid: str = ""


class LiveRemoved(Fact, frozen=True, kw_only=True):
    """An object that was there is no longer.

    `stated_by` is the person on whose word the files that lack it held everything; none where we listed
    the objects of the cluster ourselves.
    """

    TYPE: ClassVar[str] = "live.removed"
    VERSION: ClassVar[int] = 1

    cluster: str
    api_group: str
    kind: str
    namespace: str
    name: str
    uid: str = ""
    observed_at: str
    stated_by: Identity | None = None


class ScopeCounted(Fact, frozen=True, kw_only=True):
    """How many objects of one kind a look at a cluster saw; `namespace` empty for all namespaces."""

    api_group: str = ""
    kind: str
    namespace: str = ""
    count: int


class ClusterSurveyed(Fact, frozen=True, kw_only=True):
    """What a look at a cluster covered: without it, absent and not looked at cannot be told apart.

    `identity` is the uid of the namespace kube-system, which no two clusters share; empty if not seen.
    `partial` where a person handed over what they had chosen: then the counts do not say that there
    was no more, and `objects` addresses the list of what the file held. `stated_by` is the person who said
    that the files of one look held everything of the scopes that they show, of which `namespace` empty
    then means no namespace; `objects` is what all of them held.
    """

    TYPE: ClassVar[str] = "cluster.surveyed"
    VERSION: ClassVar[int] = 1

    cluster: str
    identity: str = ""
    observed_at: str
    scopes: list[ScopeCounted]
    observer: Identity | None = None
    partial: bool = False
    objects: str = ""
    stated_by: Identity | None = None
