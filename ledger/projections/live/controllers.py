"""What controllers make in a cluster by themselves: such objects are derived, and nobody declares them.

A label, a type or a name that anyone can set proves nothing alone: what an object holds is read, too. Pure.
"""

from __future__ import annotations

import re

from ledger.projections.live.rows import Identity
from ledger.resources import Value

BUNDLES = {"kube-root-ca.crt": "ca.crt", "openshift-service-ca.crt": "service-ca.crt"}
RBAC = "rbac.authorization.k8s.io"
_POD, _REVISION = ("", "Pod"), ("apps", "ControllerRevision")
_CLAIM, _SLICE = ("", "PersistentVolumeClaim"), ("discovery.k8s.io", "EndpointSlice")
_MAKES = {
    ("apps", "Deployment"): {("apps", "ReplicaSet")},
    ("apps", "ReplicaSet"): {_POD},
    ("apps", "StatefulSet"): {_POD, _REVISION, _CLAIM},
    ("apps", "DaemonSet"): {_POD, _REVISION},
    ("batch", "CronJob"): {("batch", "Job")},
    ("batch", "Job"): {_POD},
    ("", "ReplicationController"): {_POD},
    ("", "Service"): {("", "Endpoints"), _SLICE},
    ("", "Endpoints"): {_SLICE},
    ("", "Pod"): {_CLAIM},
    ("", "Node"): {_POD, ("coordination.k8s.io", "Lease")},
}
_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})
_ROLES = frozenset({"ClusterRole", "Role"})
_BINDINGS = frozenset({"ClusterRoleBinding", "RoleBinding"})
_WELL_KNOWN = frozenset({"cluster-admin", "admin", "edit", "view"})
_TOKENS = frozenset({"kubernetes.io/service-account-token", "kubernetes.io/dockercfg"})
_NOTES = frozenset(
    {("", "Event"), ("events.k8s.io", "Event"), ("coordination.k8s.io", "Lease")}
)  # fmt: skip
_PRIORITIES = frozenset({"system-cluster-critical", "system-node-critical"})
_FLOWS = frozenset({
    "catch-all", "endpoint-controller", "exempt", "global-default", "kube-controller-manager",
    "kube-scheduler", "kube-system-service-accounts", "leader-election", "node-high", "probes",
    "service-accounts", "system", "system-leader-election", "system-node-high", "system-nodes",
    "workload-high", "workload-leader-election", "workload-low",
})  # fmt: skip
_CERTIFICATES = re.compile(
    r"(?:-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+"
)


def makes(owner: Identity, owned: Identity) -> bool:
    """Whether the controllers of an owner's kind may make objects of a kind.

    What the controllers of other groups than Kubernetes' own make of their kinds is not known: anything.
    """
    if owner.api_group not in ("", "apps", "batch", RBAC):
        return True
    return owned[1:3] in _MAKES.get(owner[1:3], ())


def selects(service: Value) -> bool:
    """Whether a Service has a selector: only then a controller makes its endpoints."""
    return bool(_at(service, "spec", "selector"))


def is_server(identity: Identity) -> bool:
    """Whether it is the API server's own Service."""
    return identity[1:] == ("", "Service", "default", "kubernetes")


def is_token(live: Value) -> bool:
    """Whether it is of a type of Secret that controllers make for ServiceAccounts."""
    return _at(live, "type") in _TOKENS


def account_of(secret: Value) -> str:
    """The ServiceAccount that a Secret says it is for."""
    told = _at(secret, "metadata", "annotations", "kubernetes.io/service-account.name")
    return told if isinstance(told, str) else ""


def lists(account: Value, secret: str) -> bool:
    """Whether a ServiceAccount names a Secret: the controller that makes one notes it there."""
    named = [*_items(account, "secrets"), *_items(account, "imagePullSecrets")]
    return any(_at(one, "name") == secret for one in named)


def claims(stateful: Value, name: str, claim: str) -> bool:
    """Whether a PersistentVolumeClaim has the name of one of a StatefulSet's templates."""
    head, dash, number = claim.rpartition("-")
    templates = _items(_at(stateful, "spec"), "volumeClaimTemplates")
    names = {f"{_at(one, 'metadata', 'name')}-{name}" for one in templates}
    return bool(dash) and number.isdecimal() and head in names


def bundle(identity: Identity, live: Value) -> str | None:
    """The certificates that a ConfigMap of the cluster's holds; None where it holds something else."""
    data = _at(live, "data")
    if not isinstance(data, dict) or set(data) != {BUNDLES.get(identity.name)}:
        return None
    (held,) = data.values()
    plain = isinstance(held, str) and not _at(live, "binaryData")
    return str(held) if plain and _CERTIFICATES.fullmatch(str(held).strip()) else None


def brought(identity: Identity, live: Value) -> str:
    """Why the cluster itself brings an object, for a person; empty where it is not known to.

    Speaks of what can be told from the object alone.
    """
    group, kind, name = identity.api_group, identity.kind, identity.name
    if (group, kind) in _NOTES:
        return f"controllers make objects of kind {kind}"
    if group == RBAC and _is_default(identity, live):
        return "the API server brings its own roles"
    if (group, kind) == ("scheduling.k8s.io", "PriorityClass") and name in _PRIORITIES:
        return "the API server brings its own priority classes"
    if group == "flowcontrol.apiserver.k8s.io" and name in _FLOWS:
        return "the API server brings its own flow control"
    return _core(identity, live) if not group else ""


def _core(identity: Identity, live: Value) -> str:
    kind, name = identity.kind, identity.name
    if kind == "Namespace" and name in _NAMESPACES:
        return "the API server makes this namespace"
    if is_server(identity) and _leads_nowhere_else(live):
        return "the API server makes its own service"
    if kind == "ServiceAccount" and name == "default" and not _is_annotated(live):
        return "every namespace gets a default service account"
    return ""


def _is_default(identity: Identity, live: Value) -> bool:
    label = _at(live, "metadata", "labels", "kubernetes.io/bootstrapping")
    kind, name = identity.kind, identity.name
    known = name in _WELL_KNOWN and not identity.namespace
    if label != "rbac-defaults" or not (known or name.startswith("system:")):
        return False
    if kind in _ROLES:
        everything = any(_is_everything(rule) for rule in _items(live, "rules"))
        return not everything or (kind, name) == ("ClusterRole", "cluster-admin")
    return kind in _BINDINGS and _binds_the_system(name, live)


def _is_everything(rule: Value) -> bool:
    return all("*" in _items(rule, key) for key in ("apiGroups", "resources", "verbs"))


def _binds_the_system(name: str, binding: Value) -> bool:
    subjects = _items(binding, "subjects")
    if _at(binding, "roleRef", "name") == "cluster-admin":
        masters = all(
            (_at(one, "kind"), _at(one, "name")) == ("Group", "system:masters") for one in subjects
        )
        return name == "cluster-admin" and masters
    return all(
        str(_at(one, "name")).startswith("system:") or _at(one, "namespace") == "kube-system"
        for one in subjects
    )


def _leads_nowhere_else(service: Value) -> bool:
    spec = _at(service, "spec")
    elsewhere = [_at(spec, key) for key in ("selector", "externalIPs", "externalName")]
    return not any(elsewhere) and _at(spec, "type") in (None, "ClusterIP")


def _is_annotated(account: Value) -> bool:
    """Whether somebody noted something there: clouds grant their own rights by such notes."""
    notes = _at(account, "metadata", "annotations")
    return isinstance(notes, dict) and any(not one.startswith("openshift.io/") for one in notes)


def _at(value: Value, *path: str) -> Value:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _items(value: Value, key: str) -> list[Value]:
    held = _at(value, key)
    return held if isinstance(held, list) else []
