"""The company's clusters: what an API server makes of manifests, and dumps of it as kubectl writes them.

Objects get what a server adds by itself: identities, defaults, the notes of those who applied them, a status.
None of it comes from the parts of the ledger that will compare it.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from ledger.goyaml import load_all

Json = dict[str, Any]
Name = tuple[str, str, str]  # kind, namespace, name

CONTROLLER: Final = "argocd-controller"
_SET: Final = ("data", "spec", "stringData")  # what managers are said to have set of an object


# -- manifests -----------------------------------------------------------------------------------


def rendered(repository: Path, path: str, namespace: str) -> list[Json]:
    """What a controller makes of a directory: its kustomization built, or its manifests as they are."""
    folder = repository / path
    found = _built(folder)
    for one in found:
        one["metadata"].setdefault("namespace", namespace)
    return found


def _built(folder: Path) -> list[Json]:
    plan = folder / "kustomization.yaml"
    if not plan.exists():
        return [_read(one) for one in sorted(folder.glob("*.yaml"))]
    told = _read(plan)
    found: list[Json] = []
    for one in told["resources"]:
        target = (folder / one).resolve()
        found += _built(target) if target.is_dir() else [_read(target)]
    for one in found:
        if "namespace" in told:
            one["metadata"]["namespace"] = told["namespace"]
        if one["kind"] == "Deployment":
            _customized(one["spec"], one["metadata"]["name"], told)
    return found


def _customized(spec: Json, name: str, told: Json) -> None:
    for image in told.get("images", []):
        for container in spec["template"]["spec"]["containers"]:
            if container["image"] == image["name"]:
                container["image"] = f"{image['name']}:{image['newTag']}"
    for replicas in told.get("replicas", []):
        if replicas["name"] == name:
            spec["replicas"] = replicas["count"]


def _read(path: Path) -> Json:
    value = load_all(path.read_bytes())[0].value
    assert isinstance(value, dict)
    return value


# -- the API server --------------------------------------------------------------------------------


@dataclass(slots=True)
class _Held:
    """An object, and the document that was applied last and that nobody has changed by hand since."""

    object: Json
    declared: Json | None = None


@dataclass(slots=True)
class Cluster:
    """The objects of one cluster, as they are now."""

    name: str
    objects: dict[Name, _Held] = field(default_factory=dict)
    version: int = 1_000

    def apply(self, documents: Iterable[Json], application: str, when: str) -> None:
        """What a sync does: every document becomes the object of its name."""
        for document in documents:
            one = copy.deepcopy(document)
            group = one["apiVersion"].rpartition("/")[0]
            kind, namespace, name = key = _name(one)
            tracking = f"{application}:{group}/{kind}:{namespace}/{name}"
            one["metadata"]["annotations"] = {
                **one["metadata"].get("annotations", {}),
                "argocd.argoproj.io/tracking-id": tracking,
                "kubectl.kubernetes.io/last-applied-configuration": json.dumps(document),
            }
            if key in self.objects and self.objects[key].declared == document:
                continue
            self._put(one, when, CONTROLLER)
            self.objects[key].declared = document

    def edit(
        self, kind: str, namespace: str, name: str, when: str, part: str, fields: Json
    ) -> None:
        """What a person does with kubectl edit: fields of one part of an object are set."""
        held = self.objects[kind, namespace, name]
        held.object[part] |= copy.deepcopy(fields)
        self._put(held.object, when, "kubectl-edit", {part: fields})
        held.declared = None

    def scale(self, namespace: str, name: str, replicas: int, when: str) -> None:
        """What an autoscaler does."""
        held = self.objects["Deployment", namespace, name]
        held.object["spec"]["replicas"] = replicas
        count = {"replicas": replicas}
        self._put(held.object, when, "kube-controller-manager", {"spec": count})

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """What a person does with kubectl delete."""
        del self.objects[kind, namespace, name]

    def create(self, document: Json, when: str, manager: str, owner: Json | None = None) -> None:
        """An object that nobody declares: made by hand, or by the controller of its owner."""
        one = copy.deepcopy(document)
        if owner is not None:
            reference = {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
            one["metadata"]["ownerReferences"] = [reference]
        self._put(one, when, manager)

    def run_pods(self, namespace: str, name: str, when: str) -> None:
        """The ReplicaSet and the pods of a Deployment."""
        deployment = self.objects["Deployment", namespace, name].object
        digest = uuid5(NAMESPACE_URL, json.dumps(deployment["spec"]["template"])).hex[:9]
        template = copy.deepcopy(deployment["spec"]["template"])
        template["metadata"]["labels"]["pod-template-hash"] = digest
        replicas = deployment["spec"]["replicas"]
        labels = template["metadata"]["labels"]
        metadata = {"name": f"{name}-{digest}", "namespace": namespace, "labels": labels}
        selector = {"matchLabels": labels}
        spec = {"replicas": replicas, "selector": selector, "template": template}
        manager = "kube-controller-manager"
        replica_set = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": metadata,
            "spec": spec,
        }
        self.create(replica_set, when, manager, deployment)
        made = self.objects["ReplicaSet", namespace, f"{name}-{digest}"].object
        for number in range(replicas):
            suffix = uuid5(NAMESPACE_URL, f"{digest} {number}").hex[:5]
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {**metadata, "name": f"{name}-{digest}-{suffix}"},
                "spec": {**template["spec"], "nodeName": f"node-{number % 3}"},
            }
            self.create(pod, when, manager, made)

    def dump(self) -> str:
        """`kubectl get … -o json --show-managed-fields`: a list of every object."""
        items = [self.objects[name].object for name in sorted(self.objects)]
        listing = {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}}
        return json.dumps({**listing, "items": items}, indent=1) + "\n"

    def _put(self, one: Json, when: str, manager: str, fields: Json | None = None) -> None:
        """`fields` are what the manager set, all of it if left out."""
        fields = {key: one[key] for key in _SET if key in one} if fields is None else fields
        key = _name(one)
        held = self.objects.setdefault(key, _Held(one))
        before = held.object["metadata"]
        self.version += 1
        one["metadata"] |= {
            "uid": str(uuid5(NAMESPACE_URL, f"{self.name}/{'/'.join(key)}")),
            "creationTimestamp": before.get("creationTimestamp", when),
            "resourceVersion": str(self.version),
            "generation": before.get("generation", 0) + 1,
        }
        managers = [one for one in before.get("managedFields", []) if one["manager"] != manager]
        one["metadata"]["managedFields"] = [
            *managers,
            {
                "manager": manager,
                "operation": "Update",
                "apiVersion": one["apiVersion"],
                "time": when,
                "fieldsType": "FieldsV1",
                "fieldsV1": _owned(fields),
            },
        ]
        _defaulted(one)
        held.object = one


def _owned(value: Any) -> Json:
    """A set of managed fields, as far as keys go; a list is owned as one."""
    return (
        {f"f:{key}": _owned(one) for key, one in value.items()} if isinstance(value, dict) else {}
    )


def _name(one: Json) -> Name:
    return one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]


def _fill(value: Json, **defaults: Any) -> None:
    for key, one in defaults.items():
        value.setdefault(key, one)


def _defaulted(one: Json) -> None:
    """Puts in what an API server of Kubernetes 1.31 puts in."""
    kind, spec = one["kind"], one.get("spec", {})
    if kind == "Deployment":
        rolling = {"maxSurge": "25%", "maxUnavailable": "25%"}
        strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
        _fill(spec, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy=strategy)
        one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = str(
            one["metadata"]["generation"]
        )
        one["status"] = {"replicas": spec["replicas"], "readyReplicas": spec["replicas"]}
    if kind in ("Deployment", "ReplicaSet"):
        spec["template"]["metadata"].setdefault("creationTimestamp", None)
        _defaulted_pod(spec["template"]["spec"])
    elif kind == "Pod":
        _defaulted_pod(spec)
        _fill(spec, enableServiceLinks=True, preemptionPolicy="PreemptLowerPriority", priority=0)
        one["status"] = {"phase": "Running"}
    elif kind == "Service":
        _defaulted_service(one)
    elif kind == "NetworkPolicy":
        for rule in spec.get("ingress", []):
            for port in rule.get("ports", []):
                _fill(port, protocol="TCP")
    elif kind == "HorizontalPodAutoscaler":
        one["status"] = {"currentReplicas": 3, "desiredReplicas": 3}
    elif kind == "Secret":
        _fill(one, type="Opaque")
        for key, clear in one.pop("stringData", {}).items():
            one.setdefault("data", {})[key] = base64.b64encode(clear.encode()).decode()


def _defaulted_pod(spec: Json) -> None:
    _fill(
        spec,
        restartPolicy="Always",
        dnsPolicy="ClusterFirst",
        schedulerName="default-scheduler",
        securityContext={},
        terminationGracePeriodSeconds=30,
    )
    for container in spec["containers"]:
        _fill(
            container,
            imagePullPolicy="IfNotPresent",
            resources={},
            terminationMessagePath="/dev/termination-log",
            terminationMessagePolicy="File",
        )
        for port in container.get("ports", []):
            _fill(port, protocol="TCP")


def _defaulted_service(one: Json) -> None:
    spec = one["spec"]
    address = f"10.96.{len(one['metadata']['name'])}.{len(one['metadata']['namespace'])}"
    _fill(
        spec,
        clusterIP=address,
        clusterIPs=[address],
        type="ClusterIP",
        sessionAffinity="None",
        ipFamilies=["IPv4"],
        ipFamilyPolicy="SingleStack",
        internalTrafficPolicy="Cluster",
    )
    for port in spec["ports"]:
        _fill(port, protocol="TCP")
    one["status"] = {"loadBalancer": {}}
