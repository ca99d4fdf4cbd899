"""The company's Argo CD: applications, their syncs and rollbacks, and what `kubectl get applications` gives.

As Argo CD does, the history has only syncs that succeeded, ten of them, and the last operation is
overwritten by the next.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from ledger.demo import forge
from ledger.demo.cluster import Cluster, Json, rendered
from ledger.demo.people import Person
from ledger.demo.repository import Repository

HOME: Final = "prod-eu1"
_NAMESPACE: Final = "argocd"
_SERVER: Final = "https://kubernetes.default.svc"
_KEPT: Final = 10
TAKES: Final = timedelta(seconds=9)
STAMP: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(slots=True, kw_only=True)
class Application:
    """One application. `history` holds each entry with what it applied."""

    name: str
    path: str
    namespace: str
    cluster: str
    created_at: str
    automated: bool
    generation: int = 1
    history: list[tuple[Json, list[Json]]] = field(default_factory=list)
    operation: Json | None = None

    @property
    def source(self) -> Json:
        return {"repoURL": forge.CLONE, "path": self.path, "targetRevision": "main"}


@dataclass(slots=True)
class Controller:
    """Argo CD in the cluster `prod-eu1`, which deploys there and to others."""

    repository: Repository
    clusters: dict[str, Cluster]
    applications: dict[str, Application] = field(default_factory=dict)

    def create(
        self, name: str, path: str, cluster: str, namespace: str, when: str, *, automated: bool
    ) -> None:
        """Somebody makes an application."""
        self.applications[name] = Application(
            name=name,
            path=path,
            namespace=namespace,
            cluster=cluster,
            created_at=_at(when),
            automated=automated,
        )

    def set_automated(self, name: str, automated: bool) -> None:
        """Somebody turns syncing by itself on or off."""
        one = self.applications[name]
        one.automated = automated
        one.generation += 1

    def sync(self, name: str, when: str, by: Person | None = None) -> None:
        """A sync to the tip of main that succeeds."""
        one = self.applications[name]
        documents = rendered(self.repository.path, one.path, one.namespace)
        self._succeed(one, when, by, self.repository.tip, documents)

    def fail(self, name: str, when: str, kind: str, reason: str) -> None:
        """An automated sync to the tip of main that one object of a kind keeps from succeeding."""
        one = self.applications[name]
        documents = rendered(self.repository.path, one.path, one.namespace)
        results = [_result(two, "SyncFailed", reason) for two in documents if two["kind"] == kind]
        message = "one or more objects failed to apply, reason: " + reason
        self._operate(one, when, None, self.repository.tip, "Failed", message, results)

    def roll_back(self, name: str, when: str, by: Person, back: int) -> None:
        """Somebody rolls an application back by some entries of its history."""
        one = self.applications[name]
        entry, documents = one.history[-1 - back]
        self._succeed(one, when, by, entry["revision"], documents)

    def dump(self) -> str:
        """`kubectl get applications -n argocd -o json`."""
        items = [_object(one) for _, one in sorted(self.applications.items())]
        listing = {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}}
        return json.dumps({**listing, "items": items}, indent=1) + "\n"

    def _succeed(
        self, one: Application, when: str, by: Person | None, revision: str, documents: list[Json]
    ) -> None:
        entry = {
            "id": one.history[-1][0]["id"] + 1 if one.history else 0,
            "revision": revision,
            "source": one.source,
            "deployStartedAt": _at(when),
            "deployedAt": _at(when, TAKES),
            "initiatedBy": _initiator(by),
        }
        before = one.history[-1][1] if one.history else []
        changed = [two for two in documents if two not in before]
        one.history.append((entry, documents))
        message = "successfully synced (all tasks run)"
        results = [_result(two, "Synced", f"{two['kind']} configured") for two in changed]
        self._operate(one, when, by, revision, "Succeeded", message, results)
        self.clusters[one.cluster].apply(documents, one.name, _at(when, TAKES))

    def _operate(
        self,
        one: Application,
        when: str,
        by: Person | None,
        revision: str,
        phase: str,
        message: str,
        results: list[Json],
    ) -> None:
        asked = {"revision": revision, "prune": True, "syncOptions": ["ApplyOutOfSyncOnly=true"]}
        one.operation = {
            "operation": {"initiatedBy": _initiator(by), "sync": asked, "retry": {"limit": 5}},
            "phase": phase,
            "message": message,
            "startedAt": _at(when),
            "finishedAt": _at(when, TAKES),
            "syncResult": {"revision": revision, "source": one.source, "resources": results},
        }


def _object(one: Application) -> Json:
    where: Json = {"server": _SERVER} if one.cluster == HOME else {"name": one.cluster}
    policy: Json = {"syncOptions": ["ApplyOutOfSyncOnly=true"]}
    if one.automated:
        policy["automated"] = {"prune": True}
    status: Json = {"history": [entry for entry, _ in one.history[-_KEPT:]]}
    if one.operation is not None:
        status["operationState"] = one.operation
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {
            "name": one.name,
            "namespace": _NAMESPACE,
            "uid": str(uuid5(NAMESPACE_URL, f"argocd/{one.name}")),
            "creationTimestamp": one.created_at,
            "generation": one.generation,
        },
        "spec": {
            "project": "default",
            "source": one.source,
            "destination": {**where, "namespace": one.namespace},
            "syncPolicy": policy,
        },
        "status": status,
    }


def _result(document: Json, status: str, message: str) -> Json:
    group, _, version = document["apiVersion"].rpartition("/")
    metadata = document["metadata"]
    return {
        "group": group,
        "version": version,
        "kind": document["kind"],
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "status": status,
        "message": message,
        "syncPhase": "Sync",
    }


def _initiator(by: Person | None) -> dict[str, Any]:
    return {"automated": True} if by is None else {"username": by.email}


def _at(when: str, after: timedelta = timedelta(0)) -> str:
    """`2025-09-17 02:16:04` as the cluster writes it."""
    return (datetime.fromisoformat(when) + after).strftime(STAMP)
