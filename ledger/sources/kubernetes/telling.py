"""What one object of a cluster tells: what it is like, without what the server counts or writes itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ledger import dumps
from ledger.contents import Content
from ledger.dumps import Json
from ledger.errors import SourceError
from ledger.events import Identity, LiveObserved, LiveRemoved, NewEvent, RecordedEvent
from ledger.instants import utc_text
from ledger.resources import split_api_version
from ledger.sources import Tools, looks
from ledger.sources.looks import Later, Look, Name, Scope, part

KIND: Final = "kubernetes"
MAX_NAME: Final = 253
# What the server or a controller writes by itself; none of it is ever declared.
COUNTED: Final = (
    "managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink",
    "ownerReferences",
)  # fmt: skip
NOTED: Final = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One object as a look saw it. `state` tells it apart from what it was like before."""

    name: Name
    contents: list[Content]
    data: LiveObserved

    @property
    def state(self) -> str:
        return _state(self.data)


def observe(value: Json, cluster: str, at: str, tools: Tools) -> Seen:
    """An object of a cluster. Raises SourceError where it has no identity or is too large."""
    value = dumps.without_nulls(value)
    version, metadata = value.get("apiVersion"), value.get("metadata")
    if not isinstance(version, str) or not version or not isinstance(metadata, dict):
        raise SourceError("it has no apiVersion or no metadata, so it is no object of a cluster")
    kind = _name(value, "kind")
    name = Name(split_api_version(version), kind, _text(metadata, "namespace"), _name(metadata))
    uid = _text(metadata, "uid")
    stored = looks.keep("object.json", _content(value, metadata), tools)
    changed_at, manager = _last_change(metadata.get("managedFields"))
    managers = _managers(metadata.get("managedFields"))
    owner, owner_group, owner_uid = _owner(metadata.get("ownerReferences"))
    held = looks.keep("managers.json", managers, tools) if managers else None
    data = LiveObserved(
        cluster=cluster,
        api_group=name.group,
        api_version=version,
        kind=kind,
        namespace=name.namespace,
        name=name.name,
        uid=uid,
        content=stored.digest,
        observed_at=at,
        changed_at=changed_at,
        manager=manager,
        managers=held.digest if held else "",
        owner=owner,
        owner_group=owner_group,
        owner_uid=owner_uid,
    )
    contents = [*stored.contents, *(held.contents if held else ())]
    return Seen(name, contents, data)


def _text(members: Json, key: str) -> str:
    told = members.get(key, "")
    if not isinstance(told, str) or len(told) > MAX_NAME:
        raise SourceError(f"its {key} is no text of at most {MAX_NAME} characters")
    return told


def _name(members: Json, key: str = "name") -> str:
    told = _text(members, key)
    if not told:
        raise SourceError(f"it has no {key}, so it is no object of a cluster")
    return told


def _content(value: Json, metadata: Json) -> Json:
    """The object without `status` and without what is counted and noted."""
    kept = {key: one for key, one in metadata.items() if key not in COUNTED}
    annotations = kept.get("annotations")
    if isinstance(annotations, dict):
        kept["annotations"] = {key: one for key, one in annotations.items() if key not in NOTED}
        if not kept["annotations"]:
            del kept["annotations"]
    return {key: one for key, one in value.items() if key != "status"} | {"metadata": kept}


def _last_change(fields: Any) -> tuple[str, str]:
    """When a field manager last changed something other than the status, and which one."""
    found = [
        (at, manager if isinstance(manager := one.get("manager"), str) else "")
        for one in (fields if isinstance(fields, list) else [])
        if isinstance(one, dict)
        and one.get("subresource") != "status"
        and (at := utc_text(one.get("time")))
    ]
    return max(found, default=("", ""))


def _managers(fields: Any) -> list[Json]:
    """Who manages which field, but for the status."""
    kept = ("manager", "operation", "time", "fieldsV1")
    return [
        {key: one[key] for key in kept if key in one}
        for one in (fields if isinstance(fields, list) else [])
        if isinstance(one, dict) and one.get("subresource") != "status"
    ]


def _owner(references: Any) -> tuple[str, str, str]:
    """The owner that controls it: `kind/name`, its API group, and its uid as far as they are texts."""
    for one in references if isinstance(references, list) else []:
        if isinstance(one, dict) and one.get("controller") is True:
            version, uid = one.get("apiVersion"), one.get("uid")
            group = split_api_version(version) if isinstance(version, str) else ""
            owner = f"{one.get('kind', '')}/{one.get('name', '')}"
            return owner, group, uid if isinstance(uid, str) else ""
    return "", "", ""


# -- events --------------------------------------------------------------------------------------


def prefix(cluster: str, name: Name) -> str:
    """What the keys of all events about an object begin with."""
    return f"{KIND}/{part(cluster)}/{name.path}/"


def _state(data: LiveObserved) -> str:
    """What tells two states of an object apart: also who owns it and who set its fields, and when.

    Its content does not say so; and a content that came back is told from one that never changed.
    """
    state = f"{data.uid} {data.content}"
    if not data.owner and not data.managers:
        return state
    told = [data.owner, data.owner_group, data.owner_uid, data.managers]
    return f"{state} {looks.digest(told)[:16]}"


def read_told(event: RecordedEvent) -> tuple[str, str] | None:
    """When an event saw an object, and in which state."""
    data = event.data
    if isinstance(data, LiveObserved):
        return data.observed_at, _state(data)
    return (data.observed_at, looks.GONE) if isinstance(data, LiveRemoved) else None


def observed_event(data: LiveObserved, source: str) -> NewEvent:
    """The event that an object was like this."""
    name = Name(data.api_group, data.kind, data.namespace, data.name)
    return NewEvent(
        stream=f"live/{data.cluster}/{name.path}",
        key=f"{prefix(data.cluster, name)}{data.observed_at}/{data.content[7:23]}",
        source=source,
        occurred_at=data.observed_at,
        data=data,
    )


def removed_event(
    cluster: str, name: Name, uid: str, at: str, source: str, stated_by: Identity | None = None
) -> NewEvent:
    """The event that an object is no longer there, as listed by us or on a person's word."""
    data = LiveRemoved(
        cluster=cluster,
        api_group=name.group,
        kind=name.kind,
        namespace=name.namespace,
        name=name.name,
        uid=uid,
        observed_at=at,
        stated_by=stated_by,
    )
    return NewEvent(
        stream=f"live/{cluster}/{name.path}",
        key=f"{prefix(cluster, name)}{at}/removed",
        source=source,
        occurred_at=at,
        actor=stated_by,
        data=data,
    )


def news_of(one: Seen, look: Look, source: str, tools: Tools) -> list[NewEvent]:
    """The events that say what a look saw of an object, compared with all that was told of it."""

    def again(event: RecordedEvent | None, later: Later) -> NewEvent:
        if event is None:
            uid, person = one.data.uid, later.stated_by
            return removed_event(look.cluster, one.name, uid, later.at, source, person)
        return _observed_again(event, later.at, source)

    told = tools.told(prefix(look.cluster, one.name))
    return look.news(one.name, one.state, told, lambda: observed_event(one.data, source), again)


def absence_of(
    name: Name, told: list[RecordedEvent], look: Look, person: Identity
) -> list[NewEvent]:
    """The events that say that an object was gone at a look, as a person states.

    `told` is every event about it.
    """
    known = [one.data for one in told if isinstance(one.data, LiveObserved)]
    before = [one for one in known if one.observed_at <= look.at]
    if not before:
        return []
    uid = max(before, key=lambda one: (one.observed_at, one.content)).uid

    def tell() -> NewEvent:
        return removed_event(look.cluster, name, uid, look.at, KIND, person)

    def again(event: RecordedEvent | None, later: Later) -> NewEvent:
        assert event is not None  # it was there before
        return _observed_again(event, later.at, KIND)

    return look.news(name, looks.GONE, told, tell, again)


def _observed_again(event: RecordedEvent, at: str, source: str) -> NewEvent:
    assert isinstance(event.data, LiveObserved)
    return observed_event(msgspec.structs.replace(event.data, observed_at=at), source)


def known_in(cluster: str, scope: Scope, tools: Tools) -> dict[Name, list[RecordedEvent]]:
    """Every event about the objects of a scope."""
    group, kind, namespace = scope
    found: dict[Name, list[RecordedEvent]] = {}
    begins = "/".join(map(part, (KIND, cluster, group, kind, namespace)))
    for event in tools.told(f"{begins}/"):
        if isinstance(event.data, LiveObserved | LiveRemoved):
            found.setdefault(Name(*scope, event.data.name), []).append(event)
    return found


def identity_in(value: Json) -> str:
    """The cluster's identity where the object is the namespace kube-system."""
    metadata = value.get("metadata")
    if value.get("kind") != "Namespace" or not isinstance(metadata, dict):
        return ""
    uid = metadata.get("uid") if metadata.get("name") == "kube-system" else ""
    return uid if isinstance(uid, str) else ""
