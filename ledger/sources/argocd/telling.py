"""What one `Application` object tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from ledger import dumps
from ledger.contents import Content
from ledger.dumps import Json
from ledger.errors import SourceError
from ledger.events import (
    Application,
    ApplicationChanged,
    ApplicationCreated,
    ApplicationDeleted,
    ApplicationSource,
    Event,
    Identity,
    NewEvent,
    RecordedEvent,
    Sync,
    SyncApplied,
    SyncedResource,
    SyncFailed,
)
from ledger.instants import utc_text
from ledger.sources import Tools, looks
from ledger.sources.argocd.objects import (
    Entry,
    Metadata,
    OperationState,
    Place,
    ResourceResult,
    Spec,
    Told,
)
from ledger.sources.looks import Later, Look, Name, part

KIND: Final = "argocd"
GROUP: Final = "argoproj.io"
APPLICATION: Final = "Application"
IN_CLUSTER: Final = ("", "in-cluster", "https://kubernetes.default.svc")
FAILED: Final = ("Failed", "Error")


def name_of(namespace: str, name: str, uid: str) -> Name:
    """What an application is called in the lists of files: one made anew is another."""
    return Name(GROUP, APPLICATION, namespace, f"{name} {uid}")


@dataclass(slots=True)
class _Reading:
    """One application while it is read: what it tells, and why parts of it cannot be read."""

    cluster: str
    source: str
    tools: Tools
    metadata: Metadata
    contents: list[Content] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """`namespace/name`, as Argo CD calls applications."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def key(self) -> str:
        one = self.metadata
        return f"{KIND}/{'/'.join(map(part, (self.cluster, one.namespace, one.name, one.uid)))}"

    def event(self, key: str, data: Event, at: str = "", actor: Identity | None = None) -> NewEvent:
        return NewEvent(
            stream=f"application/{self.cluster}/{self.title}",
            key=f"{self.key}/{key}",
            source=self.source,
            occurred_at=at,
            actor=actor,
            data=data,
        )

    def text(self, told: str) -> str:
        """A text of a person, without secrets."""
        return self.tools.redact(told)

    def keep(self, value: Any) -> str:
        """The digest of the redacted text of what a fact was read from."""
        stored = looks.keep("application.json", value, self.tools)
        self.contents += stored.contents
        return stored.digest

    def sources(self, told: Told | Spec) -> list[ApplicationSource]:
        hydrator = told.source_hydrator if isinstance(told, Spec) else None
        if hydrator is not None:
            url, synced = hydrator.dry_source.repo_url, hydrator.sync_source
            return [self._place(Place(
                repo_url=url, path=synced.path, target_revision=synced.target_branch
            ))]  # fmt: skip
        places = told.sources or ([told.source] if told.source else [])
        return [self._place(one) for one in places]

    def _place(self, one: Place) -> ApplicationSource:
        told = {name: getattr(one, name) for name in ("kustomize", "directory", "helm", "plugin")}
        options = {name: value for name, value in told.items() if value}
        return ApplicationSource(
            url=self.text(one.repo_url),
            repository=self.tools.repository(one.repo_url) if one.repo_url else "",
            path=one.path,
            target_revision=one.target_revision,
            chart=one.chart,
            options=dumps.redacted(options, self.text).decode() if options else "",
        )


def _convert(reading: _Reading, value: Any, kind: type[Any], what: str) -> Any:
    """A part of the object, or None and a fault where it has other types than it should."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reading.faults.append(f"{what} cannot be read: {error}")
        return None


def _application(reading: _Reading, value: Json) -> Application | None:
    spec: Spec | None = _convert(reading, value.get("spec", {}), Spec, "spec")
    if spec is None:
        return None
    metadata, destination = reading.metadata, spec.destination
    where = destination.name or destination.server
    automated = spec.sync_policy.automated
    runs = automated is not None and automated.enabled
    rules = spec.ignore_differences
    return Application(
        cluster=reading.cluster,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        project=spec.project,
        sources=reading.sources(spec),
        destination=reading.cluster if where in IN_CLUSTER else reading.text(where),
        destination_server=reading.text(destination.server),
        destination_namespace=destination.namespace,
        automated=runs,
        self_heal=runs and automated is not None and automated.self_heal,
        prune=runs and automated is not None and automated.prune,
        ignore_differences=reading.text(dumps.canonical(rules)) if rules else "",
    )


def _from_history(reading: _Reading, value: Any) -> Iterator[NewEvent]:
    entry: Entry | None = _convert(reading, value, Entry, "an entry of status.history")
    if entry is None:
        return
    finished = utc_text(entry.deployed_at)
    started = utc_text(entry.deploy_started_at) or finished
    if not started:
        reading.faults.append(f"entry {entry.id} of status.history has no time")
        return
    who = entry.initiated_by
    sync = Sync(
        cluster=reading.cluster,
        namespace=reading.metadata.namespace,
        application=reading.metadata.name,
        uid=reading.metadata.uid,
        sources=reading.sources(entry),
        revisions=_revisions(entry),
        history_id=entry.id,
        started_at=started,
        finished_at=finished,
        initiated_by=reading.text(who.username),
        automated=who.automated,
    )
    yield _sync_event(reading, SyncApplied(sync=sync, raw=reading.keep(value)), sync)


def _from_operation(reading: _Reading, value: Any) -> Iterator[NewEvent]:
    state: OperationState | None = _convert(reading, value, OperationState, "status.operationState")
    if state is None or state.operation.sync.dry_run:
        return
    if state.phase != "Succeeded" and state.phase not in FAILED:
        return
    started = utc_text(state.started_at)
    if not started:
        reading.faults.append("status.operationState has no time at which it started")
        return
    asked, result, who = state.operation.sync, state.sync_result, state.operation.initiated_by
    sync = Sync(
        cluster=reading.cluster,
        namespace=reading.metadata.namespace,
        application=reading.metadata.name,
        uid=reading.metadata.uid,
        sources=reading.sources(result) or reading.sources(asked),
        revisions=_revisions(result) or _revisions(asked),
        started_at=started,
        finished_at=utc_text(state.finished_at),
        initiated_by=reading.text(who.username),
        automated=who.automated,
        partial=bool(asked.resources),
        self_heal=asked.auto_heal_attempts_count > 0,
        local=bool(asked.manifests),
        retries=state.retry_count,
        resources=[_resource(reading, one) for one in result.resources],
    )
    raw, message = reading.keep(value), reading.text(state.message)
    if state.phase in FAILED:
        failed = SyncFailed(sync=sync, phase=state.phase, message=message, raw=raw)
        yield _sync_event(reading, failed, sync)
    else:
        yield _sync_event(reading, SyncApplied(sync=sync, raw=raw), sync)


def _sync_event(reading: _Reading, data: SyncApplied | SyncFailed, sync: Sync) -> NewEvent:
    who = Identity(login=sync.initiated_by) if sync.initiated_by else None
    at = sync.finished_at or sync.started_at
    return reading.event(f"sync/{sync.started_at}", data, at, who)


def _revisions(told: Told) -> list[str]:
    return told.revisions or ([told.revision] if told.revision else [])


def _resource(reading: _Reading, one: ResourceResult) -> SyncedResource:
    return SyncedResource(
        api_group=one.group,
        kind=one.kind,
        namespace=one.namespace,
        name=one.name,
        status=one.status,
        message=reading.text(one.message),
        hook=one.hook_type,
    )


# -- what an application is told to do -------------------------------------------------------------


def _state(application: Application) -> str:
    """What tells two states of an application apart."""
    return looks.digest(msgspec.to_builtins(application))


def read_told(event: RecordedEvent) -> tuple[str, str] | None:
    data = event.data
    if isinstance(data, ApplicationCreated | ApplicationChanged):
        return data.observed_at, _state(data.application)
    return (data.observed_at, looks.GONE) if isinstance(data, ApplicationDeleted) else None


def _changed(reading: _Reading, data: ApplicationChanged) -> NewEvent:
    key = f"spec/{data.observed_at}/{_state(data.application)[:16]}"
    return reading.event(key, data, data.observed_at)


def _tell_application(
    reading: _Reading, look: Look, value: Json, application: Application
) -> list[NewEvent]:
    metadata = reading.metadata
    told = reading.tools.told(f"{reading.key}/spec/")

    def tell() -> NewEvent:
        kept = {"metadata": msgspec.to_builtins(metadata), "spec": value.get("spec", {})}
        kept["metadata"].pop("generation", None)
        raw = reading.keep(kept)
        if told:
            data = ApplicationChanged(
                application=application,
                generation=metadata.generation,
                observed_at=look.at,
                raw=raw,
            )
            return _changed(reading, data)
        created_at = utc_text(metadata.creation_timestamp)
        created = ApplicationCreated(
            application=application, created_at=created_at, observed_at=look.at, raw=raw
        )
        return reading.event("spec/first", created, created_at or look.at)

    def retell(event: RecordedEvent | None, later: Later) -> NewEvent:
        data = event.data if event is not None else None
        assert isinstance(data, ApplicationCreated | ApplicationChanged)
        return _changed(
            reading,
            ApplicationChanged(application=data.application, observed_at=later.at, raw=data.raw),
        )

    name = name_of(metadata.namespace, metadata.name, metadata.uid)
    return look.news(name, _state(application), told, tell, retell)


def _read_object(value: Json, source: str, look: Look, tools: Tools) -> _Reading:
    """Everything that an `Application` object tells. Raises SourceError where it has no name."""
    value = dumps.without_nulls(value)
    try:
        metadata = msgspec.convert(value.get("metadata"), Metadata)
    except msgspec.ValidationError as error:
        raise SourceError(f"metadata of an application cannot be read: {error}") from None
    reading = _Reading(look.cluster, source, tools, metadata)
    application = _application(reading, value)
    if application is not None:
        reading.events += _tell_application(reading, look, value, application)
    status = value.get("status", {})
    if not isinstance(status, dict):
        reading.faults.append("status is no object")
        return reading
    entries = status.get("history", [])
    if not isinstance(entries, list):
        reading.faults.append("status.history is no list")
        entries = []
    for entry in entries:
        reading.events += _from_history(reading, entry)
    if "operationState" in status:
        reading.events += _from_operation(reading, status["operationState"])
    return reading


def is_application(value: Json) -> bool:
    """Also an item of Argo CD's own API, which leaves out what kind it is."""
    kind, version = value.get("kind"), value.get("apiVersion")
    if kind is None and version is None:
        return isinstance(value.get("metadata"), dict) and isinstance(value.get("spec"), dict)
    return kind == APPLICATION and isinstance(version, str) and version.startswith(f"{GROUP}/")


class Telling(NamedTuple):
    """What an application tells, the contents that go with it, and what of it cannot be read."""

    metadata: Metadata | None
    events: list[NewEvent]
    contents: list[Content]
    faults: list[str]


def told_by(value: Json, source: str, look: Look, tools: Tools) -> Telling:
    """What an application tells."""
    try:
        reading = _read_object(value, source, look, tools)
    except SourceError as error:
        return Telling(None, [], [], [error.message])
    faults = [f"application {reading.title}: {fault}" for fault in reading.faults]
    return Telling(reading.metadata, reading.events, reading.contents, faults)
