"""Polling the objects of a cluster."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ledger.contents import Content
from ledger.dumps import Json
from ledger.errors import SourceError
from ledger.events import ClusterSurveyed, NewEvent, ScopeCounted
from ledger.sources import Batch, Configured, Tools, clusters, looks, surveys
from ledger.sources.kubernetes.telling import (
    KIND,
    news_of,
    observe,
    observed_event,
    prefix,
    read_told,
    removed_event,
)
from ledger.sources.looks import Look, Name, Scope, part

if TYPE_CHECKING:
    from ledger.kubeio import Cluster, Kind

# What people declare; what controllers derive from it, such as pods and replica sets, is left out.
DEFAULT_KINDS: Final = (
    "namespaces", "services", "configmaps", "secrets", "serviceaccounts", "persistentvolumeclaims",
    "resourcequotas", "limitranges",
    "deployments.apps", "statefulsets.apps", "daemonsets.apps", "cronjobs.batch",
    "horizontalpodautoscalers.autoscaling", "poddisruptionbudgets.policy",
    "networkpolicies.networking.k8s.io", "ingresses.networking.k8s.io",
    "roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
)  # fmt: skip
EVENTS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesOptions:
    """One `[[source]]` of kind kubernetes. `kinds` as kubectl names them (`deployments.apps`)."""

    name: str
    cluster: str
    kubeconfig: Path | None = None
    context: str = ""
    namespaces: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


class Cursor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the last look saw: rows [group, kind, namespace, name, state]."""

    seen: list[tuple[str, str, str, str, str]] = []
    scopes: list[ScopeCounted] = []
    surveyed: str = ""
    files: int = 0
    gaps: list[str] = []


def options_from(configured: Configured) -> KubernetesOptions:
    """The options of a `[[source]]`. Raises UsageError where it names no cluster."""
    cluster, kubeconfig, context = clusters.reached_by(configured)
    settings = configured.settings
    return KubernetesOptions(
        name=configured.name,
        cluster=cluster,
        kubeconfig=kubeconfig,
        context=context,
        namespaces=tuple(settings.get("namespaces", ())),
        kinds=tuple(settings.get("kinds", ())),
    )


def pull(options: KubernetesOptions, cursor: bytes, tools: Tools) -> Iterator[Batch]:
    """What differs from the last look at the cluster, kind by kind, and at last the survey.

    A kind that may not be read is a gap, and nothing is concluded about it. Raises SourceError
    where the cluster cannot be read at all, or its name stands for another one.
    """
    from ledger.kubeio import Cluster  # noqa: PLC0415 (heavy, and needed only here)

    before = _decode(cursor)
    with Cluster.open(options.cluster, options.kubeconfig, options.context) as cluster:
        identity = cluster.identity()
        known = clusters.check_identity(options.cluster, identity, tools.now, options.name, tools)
        if known:
            yield Batch(events=known)
        poll = _Poll(options, tools, before)
        yield from poll.read(cluster)
    yield poll.end(identity)


def _decode(cursor: bytes) -> Cursor:
    return msgspec.json.decode(zlib.decompress(cursor), type=Cursor) if cursor else Cursor()


class _Poll:
    """One look at a cluster. `_known` is what is remembered, and goes along with each batch."""

    def __init__(self, options: KubernetesOptions, tools: Tools, before: Cursor) -> None:
        self._options = options
        self._tools = tools
        self._before = before
        self._look = Look(KIND, options.cluster, tools.now, read_told)
        self._known = {Name(*row[:4]): row[4] for row in before.seen}
        # What files told since is not remembered: it is compared with the log.
        self._handed = surveys.files_since(KIND, options.cluster, before.files, tools)
        self._counts: dict[Scope, int] = {}  # a namespace that is empty is all of them
        self._gaps: list[str] = []
        self._anything = False

    def read(self, cluster: Cluster) -> Iterator[Batch]:
        """Every scope, one after another."""
        from ledger.kubeio import Refused  # noqa: PLC0415 (heavy, and needed only here)

        for wanted in self._options.kinds or DEFAULT_KINDS:
            try:
                kind = cluster.resolve(wanted)
            except Refused as error:
                self._gaps.append(f"{error.message}. {error.hint}")
                continue
            if kind is None:
                if self._options.kinds:
                    self._gaps.append(f"cluster {self._options.cluster} serves no {wanted}")
                continue
            for namespace in self._namespaces(kind):
                yield from self._scope(cluster, kind, namespace)

    def _namespaces(self, kind: Kind) -> tuple[str, ...]:
        """Where to look: who limits a source to namespaces need not see what is in none of them."""
        if not self._options.namespaces:
            return ("",)
        if kind.namespaced:
            return self._options.namespaces
        return ("",) if self._options.kinds else ()

    def _scope(self, cluster: Cluster, kind: Kind, namespace: str) -> Iterator[Batch]:
        from ledger.kubeio import Absent, Refused  # noqa: PLC0415 (heavy, and needed only here)

        seen: set[Name] = set()
        events: list[NewEvent] = []
        contents: list[Content] = []
        try:
            for page in cluster.pages(kind, namespace):
                if page.first:
                    seen.clear()
                for value in page.items:
                    self._object(value, seen, events, contents)
                if len(events) >= EVENTS_AT_ONCE:
                    yield self._batch(events, contents)
                    events, contents = [], []
        except (Refused, Absent) as error:
            self._gaps.append(f"{error.message}. {error.hint}")
        else:
            self._counts[kind.group, kind.kind, namespace] = len(seen)
            for name in sorted((self._known.keys() | self._handed.objects) - seen):
                within = namespace in ("", name.namespace)
                if within and (name.group, name.kind) == (kind.group, kind.kind):
                    events += self._removed(name)
        if events:
            yield self._batch(events, contents)

    def _object(
        self, value: Json, seen: set[Name], events: list[NewEvent], contents: list[Content]
    ) -> None:
        source, at = self._options.name, self._look.at
        try:
            one = observe(value, self._options.cluster, at, self._tools)
        except SourceError as error:
            self._gaps.append(self._tools.redact(error.message))
            return
        seen.add(one.name)
        if self._handed.concern(one.name) or not self._before.surveyed:
            news = news_of(one, self._look, source, self._tools)
        elif self._known.get(one.name) != one.state:
            news = [observed_event(one.data, source)]
        else:
            news = []
        if news:
            events += news
            contents += one.contents
        self._known[one.name] = one.state

    def _removed(self, name: Name) -> list[NewEvent]:
        uid = self._known.pop(name, "").split(" ")[0]
        if self._handed.concern(name):
            told = looks.history(
                self._tools.told(prefix(self._options.cluster, name)), self._look.read
            )
            if not told or told[-1].state == looks.GONE:
                return []
            uid = told[-1].state.split(" ")[0]
        return [removed_event(
            self._options.cluster, name, uid, self._look.at, self._options.name
        )]  # fmt: skip

    def _batch(self, events: list[NewEvent], contents: list[Content]) -> Batch:
        self._anything = True
        return Batch(events=events, contents=contents, cursor=self._cursor(self._before.scopes))

    def end(self, identity: str) -> Batch:
        """The gaps that are new, and the survey."""
        options, at = self._options, self._look.at
        events = [
            clusters.gap(options.name, options.cluster, "unreadable", one, at)
            for one in self._gaps
            if one not in self._before.gaps
        ]
        scopes = [
            ScopeCounted(api_group=group, kind=kind, namespace=namespace, count=count)
            for (group, kind, namespace), count in sorted(self._counts.items())
        ]
        surveyed = self._before.surveyed
        due = surveys.is_survey_due(scopes, self._before.scopes, surveyed, self._tools)
        if due or self._anything or events:
            surveyed = at
            data = ClusterSurveyed(
                cluster=options.cluster, identity=identity, observed_at=at, scopes=scopes
            )
            key = f"look/{part(options.name)}/{part(options.cluster)}/{at}"
            events.append(surveys.survey_event(key, options.name, data))
        cursor = self._cursor(scopes, surveyed, self._gaps, self._handed.position)
        return Batch(events=events, cursor=cursor)

    def _cursor(
        self,
        scopes: list[ScopeCounted],
        surveyed: str = "",
        gaps: list[str] | None = None,
        files: int = -1,
    ) -> bytes:
        """What is known by now. In the middle of a look all but the objects stays as it was before."""
        before = self._before
        cursor = Cursor(
            seen=[(*name, state) for name, state in self._known.items()],
            scopes=scopes,
            surveyed=surveyed or before.surveyed,
            gaps=before.gaps if gaps is None else gaps,
            files=before.files if files < 0 else files,
        )
        return zlib.compress(msgspec.json.encode(cursor), 1)
