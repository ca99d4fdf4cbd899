"""Applications as they stand and as they stood: where they take manifests from and deploy them to.

Every telling is a state with the time at which it was seen, and everything else is worked out from the
states of an application in that order, so the order in which they arrive does not matter. A state lasts
until the next one was seen; the first one holds for what was before it, too.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from ledger.events import (
    Application,
    ApplicationChanged,
    ApplicationCreated,
    ApplicationDeleted,
    ApplicationSource,
    ClusterSurveyed,
    EnvironmentMapped,
    RecordedEvent,
)
from ledger.projections import Context, Projection, Row, Table, column, key_text
from ledger.projections.environments import EnvironmentRow, environment_of_place

CREATED, CHANGED, DELETED, SAME = "created", "changed", "deleted", ""


class StateRow(NamedTuple):
    """What an application was told to do when it was looked at.

    `facts` is all of it as JSON text. `action` is how it differs from the state before, empty where
    it does not; `fields` names what. In force from `since` (inclusive) until `until` (exclusive, null where
    it is the last): times of looks at which it was there. Repository and path are of the first source.
    """

    cluster: str
    namespace: str
    application: str
    observed_at: str
    present: int
    digest: str
    uid: str
    project: str
    repository: str
    url: str
    path: str
    target_revision: str
    destination: str
    destination_namespace: str
    automated: int
    self_heal: int
    prune: int
    created_at: str
    facts: str
    action: str
    fields: str
    old_facts: str | None
    since: str
    until: str | None
    current: int
    evidence_position: int
    recorded_at: str


class PlaceRow(NamedTuple):
    """Where applications deploy to, and the environment that this belongs to."""

    cluster: str
    namespace: str
    application: str
    repository: str
    path: str
    environment: str
    tier: str


class FirstLookRow(NamedTuple):
    """When the applications of a cluster were first looked at."""

    cluster: str
    observed_at: str


STATES = Table(
    "model_application_state",
    StateRow,
    key=("cluster", "namespace", "application", "observed_at", "present", "digest"),
    lookups=(("cluster", "namespace", "application"),),
)
PLACES = Table(
    "model_place",
    PlaceRow,
    key=("cluster", "namespace", "application", "repository", "path"),
    lookups=(("environment",),),
)
FIRST_LOOKS = Table("model_first_look", FirstLookRow, key=("cluster",))


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, EnvironmentMapped):
        yield from _mapped_again(context)
    elif isinstance(data, ClusterSurveyed):
        if any((one.api_group, one.kind) == ("argoproj.io", "Application") for one in data.scopes):
            cluster = key_text(data.cluster)
            known = context.get(FirstLookRow, cluster)
            if known is None or data.observed_at < known.observed_at:
                yield FirstLookRow(cluster, data.observed_at)
    elif isinstance(data, ApplicationDeleted):
        gone = Application(
            cluster=data.cluster, namespace=data.namespace, name=data.name, uid=data.uid
        )
        yield from _retold(_state(gone, data.observed_at, 0, "", recorded), context)
    elif isinstance(data, ApplicationCreated):
        row = _state(data.application, data.observed_at, 1, data.created_at, recorded)
        yield from _retold(row, context)
    elif isinstance(data, ApplicationChanged):
        yield from _retold(_state(data.application, data.observed_at, 1, "", recorded), context)


# -- states --------------------------------------------------------------------------------------


def _state(
    one: Application, observed_at: str, present: int, created_at: str, recorded: RecordedEvent
) -> StateRow:
    facts = msgspec.to_builtins(one)
    for known in ("cluster", "namespace", "name", "uid"):
        facts.pop(known, None)
    text = msgspec.json.encode(facts, order="sorted").decode() if present else "{}"
    return StateRow(
        cluster=key_text(one.cluster),
        namespace=key_text(one.namespace),
        application=key_text(one.name),
        observed_at=observed_at,
        present=present,
        digest=hashlib.sha256(f"{one.uid} {text}".encode()).hexdigest()[:32],
        uid=column(one.uid),
        project=column(one.project),
        repository="",
        url="",
        path="",
        target_revision="",
        destination=key_text(one.destination),
        destination_namespace=key_text(one.destination_namespace),
        automated=int(one.automated),
        self_heal=int(one.self_heal),
        prune=int(one.prune),
        created_at=created_at,
        facts=column(text),
        action=SAME,
        fields="",
        old_facts=None,
        since="",
        until=None,
        current=0,
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )


def first_of(sources: Sequence[ApplicationSource]) -> ApplicationSource:
    """The source that stands for all: the first in a repository that we read, else the first."""
    ours = [one for one in sources if one.repository]
    return (ours or [*sources, ApplicationSource(url="")])[0]


def directory(path: str) -> str:
    """A path in a repository as its files begin with it: no dots, no slash at either end."""
    plain = posixpath.normpath("/" + path).strip("/") if path else ""
    return key_text(plain)


class _Facts(msgspec.Struct):
    sources: list[ApplicationSource] = []


def _sources(row: StateRow) -> list[ApplicationSource]:
    return msgspec.json.decode(row.facts, type=_Facts).sources


def _retold(new: StateRow, context: Context) -> Iterable[Row]:
    """Every state of an application worked out again with one more."""
    states = {
        (row.observed_at, row.present, row.digest): row
        for row in context.find(
            StateRow, cluster=new.cluster, namespace=new.namespace, application=new.application
        )
    }
    key = (new.observed_at, new.present, new.digest)
    told = states.get(key)
    if told is not None and (told.created_at or not new.created_at):
        return  # told again
    states[key] = told._replace(created_at=new.created_at) if told else new
    for row in _worked_out(list(states.values())):
        if row != context.get(StateRow, *row[:6]):
            yield row
        if row.present:
            yield from _place(row, context)


def _worked_out(states: list[StateRow]) -> Iterable[StateRow]:
    # Where our configuration names a repository by now, it is that one in older states, too.
    named = {
        one.url: one.repository
        for row in sorted(states, key=lambda row: (row.observed_at, row.digest))
        for one in _sources(row)
        if one.repository
    }
    states = sorted(states, key=lambda row: (row.observed_at, row.present, row.digest))
    created = {row.uid: row.created_at for row in states if row.created_at}
    there = [index for index, row in enumerate(states) if row.present]
    before: StateRow | None = None
    for index, row in enumerate(states):
        action, fields = _difference(before, row)
        rank = there.index(index) if row.present else -1
        following = there[rank + 1] if row.present and rank + 1 < len(there) else None
        first = first_of([
            msgspec.structs.replace(one, repository=named.get(one.url, ""))
            for one in _sources(row)
        ])  # fmt: skip
        yield row._replace(
            repository=first.repository,
            url=column(first.url),
            path=directory(first.path),
            target_revision=column(first.target_revision),
            action=action,
            fields=fields,
            old_facts=before.facts if before is not None and action == CHANGED else None,
            created_at=created.get(row.uid, ""),
            since=row.observed_at if rank > 0 else "",
            until=None if following is None else states[following].observed_at,
            current=int(index == len(states) - 1),
        )
        before = row


def _difference(before: StateRow | None, row: StateRow) -> tuple[str, str]:
    if not row.present:
        return (DELETED, "") if before is not None and before.present else (SAME, "")
    if before is None or not before.present or before.uid != row.uid:
        return CREATED, ""
    old, new = (_told_to_do(one.facts) for one in (before, row))
    fields = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return (CHANGED, ", ".join(fields)) if fields else (SAME, "")


def _told_to_do(facts: str) -> dict[str, object]:
    """The facts without how our configuration names the repositories in them."""
    found: dict[str, object] = msgspec.json.decode(facts)
    sources = found.get("sources")
    if isinstance(sources, list):
        found["sources"] = [{**one, "repository": ""} for one in sources]
    return found


# -- places --------------------------------------------------------------------------------------


def _place(row: StateRow, context: Context) -> Iterable[Row]:
    place = PlaceRow(
        row.destination, row.destination_namespace, row.application, row.repository, row.path,
        "", "",
    )  # fmt: skip
    mapped = _mapped(place, context)
    if mapped != context.get(PlaceRow, *place[:5]):
        yield mapped


def _mapped(place: PlaceRow, context: Context) -> PlaceRow:
    name = environment_of_place(context, *place[:5])
    row = context.get(EnvironmentRow, name) if name else None
    return place._replace(environment=name, tier=row.tier if row else "")


def _mapped_again(context: Context) -> Iterable[Row]:
    names = [
        row.environment
        for withdrawn in (0, 1)
        for row in context.find(EnvironmentRow, withdrawn=withdrawn)
    ]
    for name in ["", *names]:
        for place in context.find(PlaceRow, environment=name):
            mapped = _mapped(place, context)
            if mapped != place:
                yield mapped


PROJECTION = Projection(
    name="applications",
    version=1,
    tables=(STATES, PLACES, FIRST_LOOKS),
    handles=(
        ApplicationCreated,
        ApplicationChanged,
        ApplicationDeleted,
        ClusterSurveyed,
        EnvironmentMapped,
    ),
    project=project,
    after=("environments",),
)
