"""What controllers and clusters tell, made up: an application `api` of the cluster prod, syncs, objects.

Everything has a plain value; give what a test is about. Times are UTC text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ledger.contents import Content, digest_text, pack
from ledger.events import (
    Application,
    ApplicationSource,
    ClusterSurveyed,
    LiveObserved,
    ScopeCounted,
    Sync,
)


def source(path: str = "apps/api/prod", **more: Any) -> ApplicationSource:
    """A directory of the repository `infra`."""
    told = {"url": "https://git.example/infra", "repository": "infra", "path": path}
    return ApplicationSource(**{**told, **more})


def application(**more: Any) -> Application:
    """The application, which deploys to the namespace `api` of its own cluster by itself."""
    told = {
        "cluster": "prod",
        "namespace": "argocd",
        "name": "api",
        "uid": "1",
        "sources": [source()],
        "destination": more.get("cluster", "prod"),
        "destination_namespace": "api",
        "automated": True,
    }
    return Application(**{**told, **more})


def sync(revision: str, at: str, **more: Any) -> Sync:
    """An automated sync of that application at a revision, begun and ended at a time."""
    told = {
        "cluster": "prod",
        "namespace": "argocd",
        "application": "api",
        "uid": "1",
        "sources": [source()],
        "revisions": [revision],
        "started_at": at,
        "finished_at": at,
        "automated": True,
    }
    return Sync(**{**told, **more})


def observed(body: Mapping[str, Any], at: str, **more: Any) -> tuple[LiveObserved, Content]:
    """An object `api` of kind Deployment in the namespace `api`, seen with a body, which is to be kept."""
    kept = pack(msgspec.json.encode(body, order="sorted"))
    told = {
        "cluster": "prod",
        "api_group": "apps",
        "api_version": "apps/v1",
        "kind": "Deployment",
        "namespace": "api",
        "name": "api",
        "observed_at": at,
        "content": digest_text(kept.digest),
    }
    return LiveObserved(**{**told, **more}), kept


def looked(at: str, kind: str, group: str = "apps", cluster: str = "prod") -> ClusterSurveyed:
    """A look at all objects of a kind, of which there is one."""
    scope = ScopeCounted(api_group=group, kind=kind, count=1)
    return ClusterSurveyed(cluster=cluster, observed_at=at, scopes=[scope])
