"""What kustomize knows of the kinds of Kubernetes, as tables.

From kustomize's own `api/internal/konfig/builtinpluginconsts` and the OpenAPI schema that it carries
(Kubernetes 1.21 and later): where labels and annotations go, which lists merge by which key, which
kinds have no namespace.
"""

from __future__ import annotations

from typing import NamedTuple

CLUSTER_SCOPED = frozenset(
    {
        "APIService", "CSIDriver", "CSINode", "CertificateSigningRequest", "ClusterRole",
        "ClusterRoleBinding", "ClusterTrustBundle", "ComponentStatus", "CustomResourceDefinition",
        "FlowSchema", "IPAddress", "IngressClass", "MutatingWebhookConfiguration", "Namespace", "Node",
        "PersistentVolume", "PodSecurityPolicy", "PriorityClass", "PriorityLevelConfiguration",
        "RuntimeClass", "SelfSubjectAccessReview", "SelfSubjectReview", "SelfSubjectRulesReview",
        "ServiceCIDR", "StorageClass", "StorageVersion", "SubjectAccessReview", "TokenReview",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration", "VolumeAttachment", "VolumeAttributesClass",
    }
)  # fmt: skip
_BUILT_IN = frozenset({"", "apps", "autoscaling", "batch", "extensions", "policy"})
_BUILT_IN_DOMAINS = frozenset(
    {
        "admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization",
        "certificates", "coordination", "discovery", "events", "flowcontrol.apiserver",
        "internal.apiserver", "networking", "node", "rbac.authorization", "resource", "scheduling",
        "storage", "storagemigration",
    }
)  # fmt: skip
UNPREFIXED = frozenset({"APIService", "CustomResourceDefinition", "Namespace"})
REPLICATED = frozenset({"Deployment", "ReplicaSet", "ReplicationController", "StatefulSet"})
TEMPLATED = frozenset({*REPLICATED, "DaemonSet", "Job"})
"""Kinds with a pod template at `spec.template`."""

PRIMITIVE_LISTS = frozenset({"finalizers"})
MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "hostIPs": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "podIPs": ("ip",),
    "resourceClaims": ("name",),
    "schedulingGates": ("name",),
    "secrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
    "webhooks": ("name",),
}


class Place(NamedTuple):
    """Where something goes: `path` with `*` for every item of a list.

    `kinds` are all if empty; `create` tells that what is missing on the way is made.
    """

    path: tuple[str, ...]
    kinds: frozenset[str] = frozenset()
    group: str | None = None
    create: bool = True


def is_built_in(group: str) -> bool:
    """Whether a group is Kubernetes' own, so that its schema is known."""
    return group in _BUILT_IN or (
        group.endswith(".k8s.io") and group.removesuffix(".k8s.io") in _BUILT_IN_DOMAINS
    )


def is_cluster_scoped(group: str, kind: str) -> bool:
    """Whether kustomize knows that objects of a kind have no namespace."""
    return kind in CLUSTER_SCOPED and is_built_in(group)


def merge_keys_of(kind: str, name: str, parent: str) -> tuple[str, ...]:
    """The merge key of the list `name` in `parent`, in an object of a built-in kind; empty if atomic."""
    if kind == "ServiceAccount" and name == "imagePullSecrets":
        return ()
    if name == "ports":
        return {"containers": ("containerPort", "protocol"), "spec": ("port", "protocol")}.get(
            "containers" if parent.lower().endswith("containers") else parent, ()
        )
    return MERGE_KEYS.get(name, ())


def _places(
    *paths: str, kinds: str = "", group: str | None = None, create: bool = True
) -> list[Place]:
    return [
        Place(tuple(path.split("/")), frozenset(kinds.split()), group, create) for path in paths
    ]


_METADATA = _places("metadata/labels")
_JOB_TEMPLATE = "spec/jobTemplate/spec/template"
_TEMPLATES = [
    *_places("spec/template/metadata/labels", kinds=" ".join(sorted(TEMPLATED))),
    *_places(
        "spec/jobTemplate/metadata/labels", f"{_JOB_TEMPLATE}/metadata/labels", kinds="CronJob"
    ),
    *_places("spec/volumeClaimTemplates/*/metadata/labels", kinds="StatefulSet", group="apps"),
]
_POD = "spec/template/spec"
_AFFINITIES = [
    f"{_POD}/affinity/{sort}/{rule}/labelSelector/matchLabels"
    for sort in ("podAffinity", "podAntiAffinity")
    for rule in (
        "preferredDuringSchedulingIgnoredDuringExecution/*/podAffinityTerm",
        "requiredDuringSchedulingIgnoredDuringExecution/*",
    )
]
_SELECTORS = [
    *_places("spec/selector", kinds="Service ReplicationController"),
    *_places("spec/selector/matchLabels", kinds="Deployment ReplicaSet DaemonSet StatefulSet"),
    *_places(
        *_AFFINITIES,
        f"{_POD}/topologySpreadConstraints/*/labelSelector/matchLabels",
        kinds="Deployment StatefulSet",
        group="apps",
        create=False,
    ),
    *_places("spec/selector/matchLabels", kinds="Job", group="batch", create=False),
    *_places(
        "spec/jobTemplate/spec/selector/matchLabels", kinds="CronJob", group="batch", create=False
    ),
    *_places(
        "spec/selector/matchLabels", kinds="PodDisruptionBudget", group="policy", create=False
    ),
    *_places(
        "spec/podSelector/matchLabels",
        "spec/ingress/*/from/*/podSelector/matchLabels",
        "spec/egress/*/to/*/podSelector/matchLabels",
        kinds="NetworkPolicy",
        group="networking.k8s.io",
        create=False,
    ),
]
LABELS = tuple(_METADATA)
TEMPLATE_LABELS = (*_METADATA, *_TEMPLATES)
COMMON_LABELS = (*_METADATA, *_TEMPLATES, *_SELECTORS)
ANNOTATIONS = (
    *_places("metadata/annotations"),
    *_places("spec/template/metadata/annotations", kinds=" ".join(sorted(TEMPLATED))),
    *_places(
        "spec/jobTemplate/metadata/annotations",
        f"{_JOB_TEMPLATE}/metadata/annotations",
        kinds="CronJob",
    ),
)
