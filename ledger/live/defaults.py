"""What the API server fills in by itself, for the kinds that Kubernetes brings.

A pattern is the keys down to a field, with `*` for every item of a list. From the defaulting functions
of kubernetes/kubernetes (pkg/apis/*/v1/defaults.go) and the allocations of its registries. An undeclared
field of a kind that is not in `KNOWN` is neither a default nor a change: nothing is known of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from ledger.resources import Value

Object: TypeAlias = "dict[str, Value]"
# (value, the objects that it stands in, outermost first)
Rule: TypeAlias = Callable[[Value, Sequence[Object]], bool]


def _any(_: Value, _objects: Sequence[Object]) -> bool:
    """The server allots it."""
    return True


def _is(*values: Value) -> Rule:
    return lambda value, _: any(value == one and type(value) is type(one) for one in values)


def _by_version(old: Value, new: Value) -> Rule:
    """Another default in `v1beta1` than since."""
    return lambda value, objects: (
        value == (old if str(objects[0].get("apiVersion")).endswith("/v1beta1") else new)
    )


def _same_as(name: str) -> Rule:
    return lambda value, objects: objects[-1].get(name) == value


def _pull_policy(value: Value, objects: Sequence[Object]) -> bool:
    """Always for `latest` and for no tag, else IfNotPresent."""
    image = objects[-1].get("image")
    if not isinstance(image, str) or "@" in image:
        return value == "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2]
    return value == ("Always" if tag in ("", "latest") else "IfNotPresent")


def _as_limit(value: Value, objects: Sequence[Object]) -> bool:
    """A request that is not declared is as the limit."""
    limits = objects[-2].get("limits")
    return isinstance(limits, dict) and value in limits.values()


def _cluster_ip(_: Value, objects: Sequence[Object]) -> bool:
    return objects[-1].get("type") != "ExternalName"


def _policy_types(value: Value, objects: Sequence[Object]) -> bool:
    return value == (["Ingress", "Egress"] if objects[-1].get("egress") else ["Ingress"])


_PROBE = {
    "timeoutSeconds": _is(1), "periodSeconds": _is(10), "successThreshold": _is(1),
    "failureThreshold": _is(3), "httpGet.scheme": _is("HTTP"), "httpGet.path": _is("/"),
    "grpc.service": _is(""),
}  # fmt: skip
_CONTAINER: dict[str, Rule] = {
    "terminationMessagePath": _is("/dev/termination-log"),
    "terminationMessagePolicy": _is("File"),
    "imagePullPolicy": _pull_policy,
    "resources": _is({}),
    "resources.requests.*": _as_limit,
    "securityContext": _is({}),
    "ports.*.protocol": _is("TCP"),
    "env.*.valueFrom.fieldRef.apiVersion": _is("v1"),
    "env.*.valueFrom.resourceFieldRef.divisor": _is("0", 0),
    "env.*.value": _is(""),
    **{
        f"{probe}.{name}": rule
        for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        for name, rule in _PROBE.items()
    },
    "lifecycle.preStop.httpGet.scheme": _is("HTTP"),
    "lifecycle.postStart.httpGet.scheme": _is("HTTP"),
}
_POD: dict[str, Rule] = {
    "restartPolicy": _is("Always"),
    "dnsPolicy": _is("ClusterFirst"),
    "schedulerName": _is("default-scheduler"),
    "securityContext": _is({}),
    "terminationGracePeriodSeconds": _is(30),
    "serviceAccount": _same_as("serviceAccountName"),
    **{
        f"{several}.*.{name}": rule
        for several in ("containers", "initContainers", "ephemeralContainers")
        for name, rule in _CONTAINER.items()
    },
    "volumes.*.configMap.defaultMode": _is(420),
    "volumes.*.secret.defaultMode": _is(420),
    "volumes.*.projected.defaultMode": _is(420),
    "volumes.*.downwardAPI.defaultMode": _is(420),
    "volumes.*.downwardAPI.items.*.fieldRef.apiVersion": _is("v1"),
    "volumes.*.projected.sources.*.downwardAPI.items.*.fieldRef.apiVersion": _is("v1"),
    "volumes.*.projected.sources.*.serviceAccountToken.expirationSeconds": _is(3607, 3600),
    "volumes.*.hostPath.type": _is(""),
    "volumes.*.emptyDir": _is({}),
    "volumes.*.iscsi.iscsiInterface": _is("default"),
    "volumes.*.ephemeral.volumeClaimTemplate.spec.volumeMode": _is("Filesystem"),
    "volumes.*.ephemeral.volumeClaimTemplate.metadata.creationTimestamp": _any,
    "topologySpreadConstraints.*.nodeAffinityPolicy": _is("Honor"),
    "topologySpreadConstraints.*.nodeTaintsPolicy": _is("Ignore"),
}
_TEMPLATE: dict[str, Rule] = {
    "metadata": _is({}),
    "metadata.creationTimestamp": _any,
    **{f"spec.{name}": rule for name, rule in _POD.items()},
}
_CLAIM: dict[str, Rule] = {
    "volumeName": _any,
    "storageClassName": _any,
    "volumeMode": _is("Filesystem"),
    "dataSource": _same_as("dataSourceRef"),
    "dataSourceRef": _any,
}
_WEBHOOK: dict[str, Rule] = {
    "matchPolicy": _by_version("Exact", "Equivalent"),
    "timeoutSeconds": _by_version(30, 10),
    "failurePolicy": _by_version("Ignore", "Fail"),
    "reinvocationPolicy": _is("Never"),
    "namespaceSelector": _is({}),
    "objectSelector": _is({}),
    "sideEffects": _by_version("Unknown", None),
    "rules.*.scope": _is("*"),
    "clientConfig.service.port": _is(443),
    "clientConfig.caBundle": _is(""),
    "admissionReviewVersions": _by_version(["v1beta1"], None),
}


def _under(prefix: str, rules: Mapping[str, Rule]) -> dict[str, Rule]:
    return {f"{prefix}.{name}": rule for name, rule in rules.items()}


_JOB: dict[str, Rule] = {
    "backoffLimit": _is(6),
    "completions": _is(1),
    "parallelism": _is(1),
    "completionMode": _is("NonIndexed"),
    "suspend": _is(False),
    "manualSelector": _is(False),
    "podReplacementPolicy": _is("TerminatingOrFailed", "Failed"),
    "selector": _any,
    "template.metadata.labels.controller-uid": _any,
    "template.metadata.labels.job-name": _any,
    "template.metadata.labels.batch.kubernetes.io/controller-uid": _any,
    "template.metadata.labels.batch.kubernetes.io/job-name": _any,
    **_under("template", _TEMPLATE),
}
_ROLLING = {"maxSurge": _is("25%", 1), "maxUnavailable": _is("25%", 1)}
_WORKLOADS: dict[tuple[str, str], dict[str, Rule]] = {
    ("apps", "Deployment"): {
        "spec.replicas": _is(1),
        "spec.progressDeadlineSeconds": _is(600),
        "spec.revisionHistoryLimit": _is(10),
        "spec.strategy.type": _is("RollingUpdate"),
        **_under("spec.strategy.rollingUpdate", _ROLLING),
        **_under("spec.template", _TEMPLATE),
    },
    ("apps", "ReplicaSet"): {"spec.replicas": _is(1), **_under("spec.template", _TEMPLATE)},
    ("", "ReplicationController"): {
        "spec.replicas": _is(1),
        "spec.selector": _any,
        **_under("spec.template", _TEMPLATE),
    },
    ("apps", "StatefulSet"): {
        "spec.replicas": _is(1),
        "spec.podManagementPolicy": _is("OrderedReady"),
        "spec.revisionHistoryLimit": _is(10),
        "spec.updateStrategy.type": _is("RollingUpdate"),
        "spec.updateStrategy.rollingUpdate.partition": _is(0),
        "spec.persistentVolumeClaimRetentionPolicy.whenDeleted": _is("Retain"),
        "spec.persistentVolumeClaimRetentionPolicy.whenScaled": _is("Retain"),
        "spec.minReadySeconds": _is(0),
        "spec.volumeClaimTemplates.*.apiVersion": _is("v1"),
        "spec.volumeClaimTemplates.*.kind": _is("PersistentVolumeClaim"),
        "spec.volumeClaimTemplates.*.metadata.creationTimestamp": _any,
        "spec.volumeClaimTemplates.*.status.phase": _any,
        **_under("spec.volumeClaimTemplates.*.spec", {"volumeMode": _is("Filesystem")}),
        **_under("spec.template", _TEMPLATE),
    },
    ("apps", "DaemonSet"): {
        "spec.revisionHistoryLimit": _is(10),
        "spec.updateStrategy.type": _is("RollingUpdate"),
        "spec.updateStrategy.rollingUpdate.maxSurge": _is(0),
        "spec.updateStrategy.rollingUpdate.maxUnavailable": _is(1),
        "metadata.annotations.deprecated.daemonset.template.generation": _any,
        **_under("spec.template", _TEMPLATE),
    },
    ("batch", "Job"): _under("spec", _JOB),
    ("batch", "CronJob"): {
        "spec.concurrencyPolicy": _is("Allow"),
        "spec.suspend": _is(False),
        "spec.successfulJobsHistoryLimit": _is(3),
        "spec.failedJobsHistoryLimit": _is(1),
        "spec.jobTemplate.metadata": _is({}),
        "spec.jobTemplate.metadata.creationTimestamp": _any,
        **_under("spec.jobTemplate.spec.template", _TEMPLATE),
    },
    ("", "Pod"): {
        **_under("spec", _POD),
        "spec.nodeName": _any,
        "spec.serviceAccountName": _is("default"),
        "spec.enableServiceLinks": _is(True),
        "spec.preemptionPolicy": _is("PreemptLowerPriority"),
        "spec.priority": _is(0),
    },
}
_OTHERS: dict[tuple[str, str], dict[str, Rule]] = {
    ("", "Service"): {
        "spec.type": _is("ClusterIP"),
        "spec.sessionAffinity": _is("None"),
        "spec.internalTrafficPolicy": _is("Cluster"),
        "spec.externalTrafficPolicy": _is("Cluster"),
        "spec.clusterIP": _cluster_ip,
        "spec.clusterIPs": _cluster_ip,
        "spec.ipFamilies": _cluster_ip,
        "spec.ipFamilyPolicy": _is("SingleStack"),
        "spec.allocateLoadBalancerNodePorts": _is(True),
        "spec.healthCheckNodePort": _any,
        "spec.sessionAffinityConfig.clientIP.timeoutSeconds": _is(10800),
        "spec.ports.*.protocol": _is("TCP"),
        "spec.ports.*.targetPort": _same_as("port"),
        "spec.ports.*.nodePort": _any,
    },
    ("", "ServiceAccount"): {},
    ("", "ConfigMap"): {},
    ("", "Secret"): {"type": _is("Opaque")},
    ("", "Namespace"): {"spec.finalizers": _is(["kubernetes"])},
    ("", "LimitRange"): {
        "spec.limits.*.defaultRequest.*": _any,
        "spec.limits.*.default.*": _any,
    },
    ("", "ResourceQuota"): {},
    ("", "Endpoints"): {"subsets.*.ports.*.protocol": _is("TCP")},
    ("", "PersistentVolumeClaim"): _under("spec", _CLAIM),
    ("", "PersistentVolume"): {
        "spec.persistentVolumeReclaimPolicy": _is("Retain"),
        "spec.volumeMode": _is("Filesystem"),
        "spec.claimRef": _any,
        "spec.hostPath.type": _is(""),
    },
    ("networking.k8s.io", "NetworkPolicy"): {
        "spec.policyTypes": _policy_types,
        "spec.ingress.*.ports.*.protocol": _is("TCP"),
        "spec.egress.*.ports.*.protocol": _is("TCP"),
        "spec.podSelector": _is({}),
    },
    ("networking.k8s.io", "Ingress"): {},
    ("networking.k8s.io", "IngressClass"): {"spec.parameters.scope": _is("Cluster")},
    ("rbac.authorization.k8s.io", "Role"): {},
    ("rbac.authorization.k8s.io", "ClusterRole"): {},
    ("rbac.authorization.k8s.io", "RoleBinding"): {
        "roleRef.apiGroup": _is("rbac.authorization.k8s.io"),
        "subjects.*.apiGroup": _is("rbac.authorization.k8s.io", ""),
    },
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): {
        "roleRef.apiGroup": _is("rbac.authorization.k8s.io"),
        "subjects.*.apiGroup": _is("rbac.authorization.k8s.io", ""),
    },
    ("autoscaling", "HorizontalPodAutoscaler"): {
        "spec.minReplicas": _is(1),
        "spec.metrics": _is(
            [
                {
                    "resource": {
                        "name": "cpu",
                        "target": {"averageUtilization": 80, "type": "Utilization"},
                    },
                    "type": "Resource",
                }
            ]
        ),
        "spec.behavior.scaleUp.selectPolicy": _is("Max"),
        "spec.behavior.scaleDown.selectPolicy": _is("Max"),
        "spec.behavior.scaleUp.stabilizationWindowSeconds": _is(0),
        "spec.behavior.scaleUp.policies": _is(
            [
                {"periodSeconds": 15, "type": "Pods", "value": 4},
                {"periodSeconds": 15, "type": "Percent", "value": 100},
            ]
        ),
        "spec.behavior.scaleDown.policies": _is(
            [{"periodSeconds": 15, "type": "Percent", "value": 100}]
        ),
    },
    ("policy", "PodDisruptionBudget"): {},
    ("storage.k8s.io", "StorageClass"): {
        "reclaimPolicy": _is("Delete"),
        "volumeBindingMode": _is("Immediate"),
    },
    ("storage.k8s.io", "CSIDriver"): {
        "spec.attachRequired": _is(True),
        "spec.podInfoOnMount": _is(False),
        "spec.storageCapacity": _is(False),
        "spec.fsGroupPolicy": _is("ReadWriteOnceWithFSType"),
        "spec.volumeLifecycleModes": _is(["Persistent"]),
        "spec.requiresRepublish": _is(False),
        "spec.seLinuxMount": _is(False),
    },
    ("scheduling.k8s.io", "PriorityClass"): {
        "preemptionPolicy": _is("PreemptLowerPriority"),
        "globalDefault": _is(False),
    },
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): _under(
        "webhooks.*", _WEBHOOK
    ),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): _under(
        "webhooks.*", _WEBHOOK
    ),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): {
        "spec.failurePolicy": _is("Fail"),
        "spec.matchConstraints.matchPolicy": _is("Equivalent"),
        "spec.matchConstraints.namespaceSelector": _is({}),
        "spec.matchConstraints.objectSelector": _is({}),
        "spec.matchConstraints.resourceRules.*.scope": _is("*"),
    },
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): {
        "spec.matchResources.matchPolicy": _is("Equivalent"),
        "spec.matchResources.namespaceSelector": _is({}),
        "spec.matchResources.objectSelector": _is({}),
    },
    ("apiregistration.k8s.io", "APIService"): {
        "spec.service.port": _is(443),
    },
    ("apiextensions.k8s.io", "CustomResourceDefinition"): {
        "spec.conversion": _is({"strategy": "None"}),
        "spec.conversion.strategy": _is("None"),
        "spec.conversion.webhook.clientConfig.service.port": _is(443),
        "spec.names.listKind": _any,
        "spec.names.singular": _any,
        "spec.preserveUnknownFields": _is(False),
    },
}
KNOWN: Final = {**_WORKLOADS, **_OTHERS}


def default_rule(group: str, kind: str, steps: Sequence[str]) -> Rule | None:
    """The rule for an undeclared field of a kind; `steps` are its keys, `*` for items of lists."""
    rules = KNOWN.get((group, kind), {})
    return rules.get(".".join(steps)) or rules.get(".".join([*steps[:-1], "*"]))


def is_known(group: str, kind: str) -> bool:
    """Whether all defaults of a kind are known here."""
    return (group, kind) in KNOWN
