"""Who else may write into an object: controllers by name, and the rules of `ignoreDifferences`.

Each gives the text that is shown beside what it excuses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple, TypeAlias

import msgspec

from ledger.resources import Value

# Keys of objects and indexes of lists, from the root.
Way: TypeAlias = "tuple[str | int, ...]"
TRACKED = "it is tracked by that"
_TRACKING = re.compile(
    r"argocd\.argoproj\.io/(?:tracking-id|installation-id)"
    r"|(?:kustomize|helm)\.toolkit\.fluxcd\.io/.*|meta\.helm\.sh/release-name(?:space)?"
)
_INSTANCE = "app.kubernetes.io/instance"
_NOTES = re.compile(
    r"kubectl\.kubernetes\.io/last-applied-configuration|deployment\.kubernetes\.io/revision"
    r"|deprecated\.daemonset\.template\.generation|pv\.kubernetes\.io/.*|volume\.(?:beta\.)?kubernetes\.io/.*"
    r"|control-plane\.alpha\.kubernetes\.io/leader|endpoints\.kubernetes\.io/.*"
    r"|autoscaling\.alpha\.kubernetes\.io/.*|batch\.kubernetes\.io/job-tracking"
    r"|openshift\.io/sa\.scc\..*|openshift\.io/internal-registry-pull-secret-ref"
)
_NAMESPACE_NAME = "kubernetes.io/metadata.name"
_CA_BUNDLES = {
    "cert-manager.io/inject-ca-from": "cert-manager",
    "cert-manager.io/inject-ca-from-secret": "cert-manager",
    "cert-manager.io/inject-apiserver-ca": "cert-manager",
    "service.beta.openshift.io/inject-cabundle": "the service CA operator of OpenShift",
    "config.openshift.io/inject-trusted-cabundle": "the network operator of OpenShift",
}
_SIDECARS = frozenset(
    {"istio-proxy", "istio-init", "istio-validation", "linkerd-proxy", "linkerd-init", "vault-agent",
     "vault-agent-init"}
)  # fmt: skip
_TOKEN_VOLUME = re.compile(r"kube-api-access-[a-z0-9]{5}|.{1,240}-token-[a-z0-9]{5}")


class Ignore(NamedTuple):
    """One rule of an application's `ignoreDifferences`."""

    group: str
    kind: str
    name: str
    namespace: str
    pointers: tuple[str, ...]
    managers: tuple[str, ...]
    expressions: tuple[str, ...]


def ignores(told: Value) -> tuple[Ignore, ...]:
    """The rules of an application; what is none is left aside."""
    return tuple(
        Ignore(
            _text(one.get("group")),
            _text(one.get("kind")),
            _text(one.get("name")),
            _text(one.get("namespace")),
            _texts(one.get("jsonPointers")),
            _texts(one.get("managedFieldsManagers")),
            _texts(one.get("jqPathExpressions")),
        )
        for one in (told if isinstance(told, list) else ())
        if isinstance(one, dict)
    )


def in_force(
    rules: Sequence[Ignore], group: str, kind: str, namespace: str, name: str
) -> tuple[Ignore, ...]:
    """The rules that speak of an object. `*` stands for any text, in groups and kinds."""
    return tuple(
        one
        for one in rules
        if fnmatchcase(group, one.group[:253])
        and fnmatchcase(kind, one.kind[:253])
        and one.name in ("", name)
        and one.namespace in ("", namespace)
    )


def ignored(rules: Sequence[Ignore], managers: Value, live: Value, ways: Sequence[Way]) -> str:
    """The rule that excuses a difference at one of `ways`; empty if none does.

    `managers` are the managed fields of the live object, by which rules on managers go.
    """
    for rule in rules:
        for pointer in rule.pointers:
            steps = tuple(
                part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]
            )
            if steps and any(_begins(way, steps) for way in ways):
                return f"ignoreDifferences: {pointer}"
        for manager in rule.managers:
            if any(_manages(managers, manager, live, way) for way in ways):
                return f"ignoreDifferences: what {manager} manages"
    return ""


def _begins(way: Way, steps: Sequence[str]) -> bool:
    return len(way) >= len(steps) and all(
        str(one) == wanted for one, wanted in zip(way, steps, strict=False)
    )


def _manages(managers: Value, name: str, live: Value, way: Way) -> bool:
    return any(
        one.get("manager") == name and _owns(one.get("fieldsV1"), live, way)
        for one in (managers if isinstance(managers, list) else ())
        if isinstance(one, dict)
    )


def managers_of(managers: Value, live: Value, way: Way) -> list[tuple[str, str]]:
    """(time, name) of the managers that say they set the field at a way, the newest first."""
    found = [
        (_text(one.get("time")), _text(one.get("manager")))
        for one in (managers if isinstance(managers, list) else ())
        if isinstance(one, dict) and _owns(one.get("fieldsV1"), live, way)
    ]
    return sorted(found, reverse=True)


def _owns(fields: Value, live: Value, way: Way) -> bool:
    """Whether a set of managed fields (`fieldsV1`) holds a way. A leaf that it holds owns all below."""
    at: Value = live
    for step in way:
        if not isinstance(fields, dict):
            return False
        if not fields:
            return True
        below: Value = None
        if isinstance(step, str):
            below = fields.get(f"f:{step}")
            at = at.get(step) if isinstance(at, dict) else None
        elif isinstance(at, list) and step < len(at):
            at = at[step]
            below = _item(fields, at, step)
        if below is None:
            return False
        fields = below
    return isinstance(fields, dict)


def _item(fields: Mapping[str, Value], item: Value, index: int) -> Value:
    """The managed fields of an item of a list, by its key, value or place."""
    for key, below in fields.items():
        sort, _, text = key.partition(":")
        try:
            told = msgspec.json.decode(text) if sort in ("k", "v") else None
        except msgspec.MsgspecError:
            continue
        if sort == "k" and isinstance(told, dict) and isinstance(item, dict):
            if all(item.get(name) == value for name, value in told.items()):
                return below
        elif (sort == "v" and told == item) or (sort == "i" and text == str(index)):
            return below
    return None


# -- controllers ---------------------------------------------------------------------------------


def controller(kind: str, live: Mapping[str, Value], way: Way, application: str) -> str:
    """The controller that sets an undeclared field or item by rule; empty if none is known to."""
    names = [one for one in way if isinstance(one, str)]
    if len(way) == 3 and way[0] == "metadata" and way[1] in ("labels", "annotations"):
        return _note(kind, live, str(way[2]), application)
    if names == ["metadata", "finalizers"]:
        return "controllers set finalizers"
    if names[-1:] == ["caBundle"] or (names[:1] == ["data"] and kind == "ConfigMap"):
        return _injected(live)
    if kind == "ServiceAccount" and names[:1] in (["secrets"], ["imagePullSecrets"]):
        return "the token controller adds secrets to service accounts"
    if kind == "ClusterRole" and names[:1] == ["rules"] and live.get("aggregationRule"):
        return "roles are aggregated by its aggregationRule"
    if kind == "Secret" and names[:1] == ["data"]:
        token = live.get("type") == "kubernetes.io/service-account-token"
        return "the token controller fills in service account tokens" if token else ""
    return _sidecar(kind, live, way)


def _note(kind: str, live: Mapping[str, Value], key: str, application: str) -> str:
    if _TRACKING.fullmatch(key):
        return TRACKED
    metadata = live.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    value = labels.get(key) if isinstance(labels, dict) else None
    if key == _INSTANCE and application and value == application[:63]:
        return TRACKED
    if key == "app.kubernetes.io/managed-by" and value == "Helm":
        return TRACKED
    if kind == "Namespace" and key == _NAMESPACE_NAME:
        return "the API server labels namespaces with their name"
    return "a controller notes its own state there" if _NOTES.fullmatch(key) else ""


def _injected(live: Mapping[str, Value]) -> str:
    metadata = live.get("metadata")
    for where in ("annotations", "labels"):
        held = metadata.get(where) if isinstance(metadata, dict) else None
        for key, who in _CA_BUNDLES.items():
            if isinstance(held, dict) and key in held:
                return f"{who} injects certificates ({key})"
    return ""


def _sidecar(kind: str, live: Mapping[str, Value], way: Way) -> str:
    """Containers and volumes that an admission webhook puts into pods, and nowhere else."""
    if kind != "Pod" or len(way) < 3 or way[0] != "spec":
        return ""
    at: Value = dict(live)
    for step in way[:3]:
        at = at.get(step) if isinstance(at, dict) and isinstance(step, str) else (
            at[step] if isinstance(at, list) and isinstance(step, int) else None
        )  # fmt: skip
    name = at.get("name") if isinstance(at, dict) else None
    if name in _SIDECARS and way[1] in ("containers", "initContainers"):
        return f"an injector puts the sidecar {name} into pods"
    if isinstance(name, str) and len(name) < 254 and _TOKEN_VOLUME.fullmatch(name):
        return "the API server mounts the service account's token"
    return ""


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Value) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
