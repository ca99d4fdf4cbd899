"""`Application` objects, as far as they are read.

Field names: argo-cd, pkg/apis/application/v1alpha1/types.go. Unknown members are left aside. A value of a
wrong type makes only the part unreadable in which it stands: `spec`, an entry of the history, the operation.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Number = Annotated[int, msgspec.Meta(ge=0, le=2**31)]


class Part(msgspec.Struct, kw_only=True, rename="camel"):
    """What is read of an object; unknown members are left aside."""


class Metadata(Part):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
    namespace: Annotated[str, msgspec.Meta(max_length=253)] = ""
    uid: Annotated[str, msgspec.Meta(max_length=253)] = ""
    creation_timestamp: str = ""
    generation: Number = 0


class Place(Part):
    repo_url: str = msgspec.field(default="", name="repoURL")
    path: str = ""
    target_revision: str = ""
    chart: str = ""
    kustomize: Any = None
    directory: Any = None
    helm: Any = None
    plugin: Any = None


class SyncSource(Part):
    target_branch: str = ""
    path: str = ""


class Hydrator(Part):
    dry_source: Place = msgspec.field(default_factory=Place)
    sync_source: SyncSource = msgspec.field(default_factory=SyncSource)


class Destination(Part):
    server: str = ""
    name: str = ""
    namespace: str = ""


class Automated(Part):
    enabled: bool = True
    prune: bool = False
    self_heal: bool = False


class Policy(Part):
    automated: Automated | None = None


class Spec(Part):
    project: str = ""
    source: Place | None = None
    sources: list[Place] = []
    source_hydrator: Hydrator | None = None
    destination: Destination = msgspec.field(default_factory=Destination)
    sync_policy: Policy = msgspec.field(default_factory=Policy)
    ignore_differences: list[Any] = []


class InitiatedBy(Part):
    username: str = ""
    automated: bool = False


class Told(Part):
    """Sources and revisions as they stand in several places: one of them, or one for each source."""

    revision: str = ""
    revisions: list[str] = []
    source: Place | None = None
    sources: list[Place] = []


class Entry(Told):
    id: Number = 0
    deploy_started_at: str = ""
    deployed_at: str = ""
    initiated_by: InitiatedBy = msgspec.field(default_factory=InitiatedBy)


class SyncOperation(Told):
    dry_run: bool = False
    resources: list[Any] = []
    manifests: list[Any] = []
    auto_heal_attempts_count: Number = 0


class Operation(Part):
    sync: SyncOperation = msgspec.field(default_factory=SyncOperation)
    initiated_by: InitiatedBy = msgspec.field(default_factory=InitiatedBy)


class ResourceResult(Part):
    group: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    status: str = ""
    message: str = ""
    hook_type: str = ""


class SyncResult(Told):
    resources: list[ResourceResult] = []


class OperationState(Part):
    operation: Operation = msgspec.field(default_factory=Operation)
    phase: str = ""
    message: str = ""
    started_at: str = ""
    finished_at: str = ""
    retry_count: Number = 0
    sync_result: SyncResult = msgspec.field(default_factory=SyncResult)
