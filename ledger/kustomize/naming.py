"""References between objects follow a name that a prefix, suffix, namespace or hash has changed.

After kustomize's `nameReference` configuration, for the fields that are in use: configuration and
secrets in pods, service accounts, role bindings, services, claims, classes and scale targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ledger.kustomize.items import Item
from ledger.kustomize.kinds import REPLICATED, TEMPLATED
from ledger.kustomize.trees import Budget, Decided, Tree, child, inputs_of, joined, scalar

# Within a pod's specification: the object that holds the name, its key, the kind that it names.
_POD = {
    "configMap": ("name", "ConfigMap"),
    "configMapRef": ("name", "ConfigMap"),
    "configMapKeyRef": ("name", "ConfigMap"),
    "secretRef": ("name", "Secret"),
    "secretKeyRef": ("name", "Secret"),
    "persistentVolumeClaim": ("claimName", "PersistentVolumeClaim"),
}
_POD_FIELDS = {
    "serviceAccountName": "ServiceAccount",
    "priorityClassName": "PriorityClass",
}
_PODS = {"Pod": ("spec",), "CronJob": ("spec", "jobTemplate", "spec", "template", "spec")}
_INGRESS = {
    "serviceName": "Service",
    "secretName": "Secret",
    "ingressClassName": "IngressClass",
}
_WEBHOOKS = ("APIService", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_Reference = tuple[dict[str, Tree], str, str]  # the object, its key, the kind that it names


def fix_references(items: Sequence[Item], budget: Budget) -> None:
    """Gives every reference to a renamed object its new name. Costs a walk where names have changed."""
    renamed: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        for one in item.names():
            if item.was or item.hashed:
                budget.take()
                known = renamed.setdefault((item.kind, one.name), [])
                if item not in known[-1:]:
                    known.append(item)
    if not renamed:
        return
    for item in items:
        for parent, key, kind in _references(item, budget):
            name = scalar(parent.get(key))
            found = renamed.get((kind, name), []) if isinstance(name, str) else []
            target = _chosen(item, _eligible(item, parent, found))
            if target is not None:
                _point(item, parent, key, target)


def _eligible(item: Item, parent: dict[str, Tree], found: Sequence[Item]) -> list[Item]:
    """Those that a reference with a namespace of its own may mean."""
    namespace = scalar(parent.get("namespace")) if _has_namespace(item, parent) else None
    return [
        one
        for one in found
        if one is not item
        and (
            not isinstance(namespace, str)
            or any((known.namespace or "default") == namespace for known in one.names())
        )
    ]


def _chosen(item: Item, found: Sequence[Item]) -> Item | None:
    """Of several objects that had a name, the one that went the way of the referrer."""
    if len(found) > 1:
        same = [one for one in found if one.affixed == item.affixed]
        found = same or found
    if len(found) > 1:
        found = [one for one in found if one.namespace == item.namespace] or found
    return found[0] if len(found) == 1 else None


def _point(item: Item, parent: dict[str, Tree], key: str, target: Item) -> None:
    name = target.metadata().get("name")
    before = parent.get(key)
    if target.name != scalar(before) or target.hashed:
        inputs = joined(
            inputs_of(name, target.own("metadata", "name")), inputs_of(before, item.own())
        )
        parent[key] = Decided(target.name, inputs, target.hashed)
        item.shifted = True
    if _has_namespace(item, parent):
        namespace = target.metadata().get("namespace")
        if isinstance(namespace, Decided) and scalar(parent.get("namespace")) != namespace.value:
            parent["namespace"] = namespace


def _has_namespace(item: Item, parent: dict[str, Tree]) -> bool:
    """Whether a reference names a namespace besides: a binding's service account, a webhook's service."""
    if item.kind in ("RoleBinding", "ClusterRoleBinding"):
        return scalar(parent.get("kind")) == "ServiceAccount"
    return item.kind in _WEBHOOKS


def _references(item: Item, budget: Budget) -> Iterator[_Reference]:
    kind, tree = item.kind, item.tree
    steps = ("spec", "template", "spec") if kind in TEMPLATED else _PODS.get(kind)
    if steps is not None:
        at: Tree = tree
        for step in steps:
            at = at.get(step) if isinstance(at, dict) else None
        yield from _pod(at, budget)
    if kind in ("RoleBinding", "ClusterRoleBinding"):
        yield from _binding(tree)
    elif kind in _WEBHOOKS:
        yield from _named(tree, "service", "name", "Service", budget)
    elif kind == "Ingress":
        yield from _ingress(tree.get("spec"), budget)
    elif kind == "ServiceAccount":
        for name in ("imagePullSecrets", "secrets"):
            yield from _listed(tree.get(name), "Secret")
    else:
        yield from _spec(kind, child(tree, "spec", create=False) or {})


def _spec(kind: str, spec: dict[str, Tree]) -> Iterator[_Reference]:
    if kind == "StatefulSet":
        yield spec, "serviceName", "Service"
    elif kind == "HorizontalPodAutoscaler":
        target = spec.get("scaleTargetRef")
        if isinstance(target, dict) and scalar(target.get("kind")) in REPLICATED:
            yield target, "name", str(scalar(target.get("kind")))
    elif kind == "ValidatingAdmissionPolicyBinding":
        yield spec, "policyName", "ValidatingAdmissionPolicy"
    elif kind == "PersistentVolumeClaim":
        yield spec, "volumeName", "PersistentVolume"
        yield spec, "storageClassName", "StorageClass"


def _pod(tree: Tree, budget: Budget) -> Iterator[_Reference]:
    budget.take()
    if isinstance(tree, list):
        for one in tree:
            yield from _pod(one, budget)
    if not isinstance(tree, dict):
        return
    for key, value in tree.items():
        if key in _POD_FIELDS:
            yield tree, key, _POD_FIELDS[key]
        elif key == "imagePullSecrets":
            yield from _listed(value, "Secret")
        elif key == "secret" and isinstance(value, dict):
            yield value, "secretName" if "secretName" in value else "name", "Secret"
        elif key in _POD and isinstance(value, dict):
            yield value, *_POD[key]
        elif isinstance(value, dict | list):
            yield from _pod(value, budget)


def _binding(tree: dict[str, Tree]) -> Iterator[_Reference]:
    role = tree.get("roleRef")
    if isinstance(role, dict):
        yield role, "name", str(scalar(role.get("kind")))
    subjects = tree.get("subjects")
    for subject in subjects if isinstance(subjects, list) else []:
        if isinstance(subject, dict) and scalar(subject.get("kind")) == "ServiceAccount":
            yield subject, "name", "ServiceAccount"


def _listed(tree: Tree, kind: str) -> Iterator[_Reference]:
    for one in tree if isinstance(tree, list) else []:
        if isinstance(one, dict):
            yield one, "name", kind


def _named(tree: Tree, holder: str, key: str, kind: str, budget: Budget) -> Iterator[_Reference]:
    """Every object called `holder`, however deep."""
    budget.take()
    if isinstance(tree, list):
        for one in tree:
            yield from _named(one, holder, key, kind, budget)
    elif isinstance(tree, dict):
        for name, value in tree.items():
            if name == holder and isinstance(value, dict):
                yield value, key, kind
            elif isinstance(value, dict | list):
                yield from _named(value, holder, key, kind, budget)


def _ingress(tree: Tree, budget: Budget) -> Iterator[_Reference]:
    yield from _named(tree, "service", "name", "Service", budget)
    stack = [tree]
    while stack:
        budget.take()
        one = stack.pop()
        if isinstance(one, dict):
            for key, kind in _INGRESS.items():
                if key in one:
                    yield one, key, kind
            stack.extend(value for value in one.values() if isinstance(value, dict | list))
        elif isinstance(one, list):
            stack.extend(value for value in one if isinstance(value, dict | list))
