"""Polling the applications of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ledger.contents import Content
from ledger.dumps import Json
from ledger.errors import SourceError
from ledger.events import ApplicationDeleted, ClusterSurveyed, NewEvent, ScopeCounted
from ledger.sources import Batch, Configured, Tools, clusters, looks, surveys
from ledger.sources.argocd.namesakes import Namesakes, Sightings
from ledger.sources.argocd.telling import APPLICATION, GROUP, KIND, read_told, told_by
from ledger.sources.looks import Look, Name, part

if TYPE_CHECKING:
    from ledger.kubeio import Cluster, Kind

RESOURCE: Final = f"applications.{GROUP}"
Listed = tuple[str, str, str]  # namespace, name, uid


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgocdOptions:
    """One `[[source]]` of kind argocd: the cluster that holds the applications, and how it is reached."""

    name: str
    cluster: str
    kubeconfig: Path | None = None
    context: str = ""
    namespaces: tuple[str, ...] = ()


class Cursor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the last look saw, and how many recorded positions it knew of files about the same."""

    seen: list[Listed] = []
    scopes: list[ScopeCounted] = []
    surveyed: str = ""
    files: int = 0
    faults: list[str] = []


def options_from(configured: Configured) -> ArgocdOptions:
    """The options of a `[[source]]`. Raises UsageError where it names no cluster."""
    cluster, kubeconfig, context = clusters.reached_by(configured)
    return ArgocdOptions(
        name=configured.name,
        cluster=cluster,
        kubeconfig=kubeconfig,
        context=context,
        namespaces=tuple(configured.settings.get("namespaces", ())),
    )


def pull(options: ArgocdOptions, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    """What the applications of a cluster tell, as they are now.

    Raises SourceError where the cluster cannot be read, or its name stands for another one.
    """
    from ledger.kubeio import Cluster  # noqa: PLC0415 (heavy, and needed only here)

    before = msgspec.json.decode(cursor, type=Cursor) if cursor else Cursor()
    poll = _Poll(options, tools, Look(KIND, options.cluster, tools.now, read_told))
    with Cluster.open(options.cluster, options.kubeconfig, options.context) as cluster:
        identity = cluster.identity()
        known = clusters.check_identity(options.cluster, identity, tools.now, options.name, tools)
        kind = cluster.resolve(RESOURCE)
        if kind is None:
            raise SourceError(
                f"cluster {options.cluster} does not serve {RESOURCE}",
                hint="Is Argo CD installed there, and is this the cluster that it runs in?",
            )
        if known:
            yield Batch(events=known)
        yield from poll.read(cluster, kind)
    yield poll.end(before, identity)


class _Poll:
    """One look at the applications of a cluster."""

    def __init__(self, options: ArgocdOptions, tools: Tools, look: Look) -> None:
        self._options = options
        self._tools = tools
        self._look = look
        self._scopes = options.namespaces or ("",)
        self._seen: dict[str, dict[Listed, None]] = {}
        self._faults: list[str] = []

        sightings = Sightings(options.cluster, tools)
        self._namesakes = Namesakes(options.name, look, sightings, tools)

    def read(self, cluster: Cluster, kind: Kind) -> Iterator[Batch]:
        for namespace in self._scopes:
            for page in cluster.pages(kind, namespace):
                if page.first:
                    self._seen[namespace] = {}
                    self._namesakes.forget(namespace)
                events: list[NewEvent] = []
                contents: list[Content] = []
                for value in page.items:
                    told = told_by(value, self._options.name, self._look, self._tools)
                    self._seen[namespace] |= _listed(value)
                    self._faults += told.faults
                    events += told.events
                    contents += told.contents
                    self._namesakes.note(told)
                yield Batch(events=events, contents=contents)

    def end(self, before: Cursor, identity: str) -> Batch:
        """What is gone, what cannot be read any more, and the survey of a look that is complete."""
        options, at = self._options, self._look.at
        handed = surveys.files_since(KIND, options.cluster, before.files, self._tools)
        seen = sorted({one for within in self._seen.values() for one in within})
        known = {*before.seen, *(_of_file(name) for name in handed.objects)}
        for name in handed.objects:
            namespace, own, uid = _of_file(name)
            self._namesakes.doubt((namespace, own), uid)
        events: list[NewEvent] = self._namesakes.gaps()
        for one in sorted(known.difference(seen)):
            if not options.namespaces or one[0] in options.namespaces:
                events += self._deleted(one)
        for fault in self._faults:
            if fault not in before.faults:
                detail = self._tools.redact(fault)
                events.append(clusters.gap(options.name, options.cluster, "unreadable", detail, at))
        scopes = [
            ScopeCounted(api_group=GROUP, kind=APPLICATION, namespace=one, count=len(within))
            for one, within in self._seen.items()
        ]
        after = Cursor(seen=seen, scopes=scopes, files=handed.position, faults=self._faults)
        after.surveyed = before.surveyed
        if events or surveys.is_survey_due(scopes, before.scopes, before.surveyed, self._tools):
            after.surveyed = at
            data = ClusterSurveyed(
                cluster=options.cluster, identity=identity, observed_at=at, scopes=scopes
            )
            key = f"look/{part(options.name)}/{part(options.cluster)}/{at}"
            events.append(surveys.survey_event(key, options.name, data))
        return Batch(events=events, cursor=msgspec.json.encode(after))

    def _deleted(self, one: Listed) -> list[NewEvent]:
        cluster, at = self._options.cluster, self._look.at
        namespace, name, uid = one
        key = "/".join(map(part, (KIND, cluster, *one)))
        known = looks.history(self._tools.told(f"{key}/spec/"), read_told)
        if not known or known[-1].state == looks.GONE:
            return []
        data = ApplicationDeleted(
            cluster=cluster, namespace=namespace, name=name, uid=uid, observed_at=at
        )
        event = NewEvent(
            stream=f"application/{cluster}/{namespace}/{name}",
            key=f"{key}/spec/{at}/deleted",
            source=self._options.name,
            occurred_at=at,
            data=data,
        )
        return [event]


def _of_file(name: Name) -> Listed:
    own, _, uid = name.name.partition(" ")
    return name.namespace, own, uid


def _listed(value: Json) -> dict[Listed, None]:
    metadata = value.get("metadata")
    names = metadata if isinstance(metadata, dict) else {}
    namespace, name, uid = (names.get(key, "") for key in ("namespace", "name", "uid"))
    if isinstance(namespace, str) and isinstance(name, str) and isinstance(uid, str):
        return {(namespace, name, uid): None}
    return {}
