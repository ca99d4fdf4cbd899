"""What controllers make in a cluster by themselves: such objects are derived, and nobody declares them."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.projections.live.rows import Identity
from ledger.resources import Value

_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
_BUNDLES = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt"})
_ROLES = frozenset({"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"})
_TOKENS = frozenset({"kubernetes.io/service-account-token", "kubernetes.io/dockercfg"})
_SHORT_LIVED = frozenset({"Event", "Lease", "EndpointSlice", "ControllerRevision"})


def maker(identity: Identity, live: Value, owner: str, sets: Sequence[str]) -> str:
    """What made an object, for a person; empty where no controller is known to.

    `owner` is its controlling owner, `sets` are the StatefulSets of its namespace.
    """
    if owner:
        return f"{owner} owns it"
    if identity.kind in _SHORT_LIVED:
        return f"controllers make objects of kind {identity.kind}"
    group, name = identity.api_group, identity.name
    if group == "":
        made = _core(identity, live, sets)
        if made:
            return made
    labels = _labels(live)
    if identity.kind in _ROLES and labels.get("kubernetes.io/bootstrapping") == "rbac-defaults":
        return "the API server brings its own roles"
    if group == "scheduling.k8s.io" and name.startswith("system-"):
        return "the API server brings its own priority classes"
    if group == "flowcontrol.apiserver.k8s.io":
        return "the API server brings its own flow control"
    return ""


def _core(identity: Identity, live: Value, sets: Sequence[str]) -> str:
    kind, namespace, name = identity.kind, identity.namespace, identity.name
    if kind == "Namespace" and name in _NAMESPACES:
        return "the API server makes this namespace"
    if (kind, namespace, name) == ("Service", "default", "kubernetes"):
        return "the API server makes its own service"
    if kind == "ServiceAccount" and name == "default":
        return "every namespace gets a default service account"
    if kind == "ConfigMap" and name in _BUNDLES:
        return "every namespace gets the certificates of the cluster"
    if kind == "Secret" and isinstance(live, dict) and live.get("type") in _TOKENS:
        return "the token controller makes secrets for service accounts"
    if kind == "Endpoints":
        return "the endpoints controller makes them for a service"
    if kind == "PersistentVolumeClaim":
        for one in sets:
            head, dash, number = name.rpartition("-")
            if dash and number.isdecimal() and head.endswith(f"-{one}"):
                return f"the StatefulSet {one} claims it"
    return ""


def _labels(live: Value) -> dict[str, Value]:
    metadata = live.get("metadata") if isinstance(live, dict) else None
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    return labels if isinstance(labels, dict) else {}
