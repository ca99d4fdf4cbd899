"""What an object is to be judged by: its application, what was synced of it, what the branch has."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

from ledger.kustomize.results import Effective
from ledger.projections import Context
from ledger.projections.deployments import SyncResourceRow
from ledger.projections.live.desired import App, Build, Builder, Sync, is_read
from ledger.projections.live.judging import Declared, Evidence
from ledger.projections.live.looking import HASHED, SCALER, Looks, hash_base, scaled
from ledger.projections.live.rows import ApplicationRow, DeclaredRow, Identity, LookRow, Name


class Owner(NamedTuple):
    """The application that an object belongs to; `claimed` where the object says so itself."""

    app: App
    claimed: bool


class Gatherer:
    """Gathers evidence; remembers what it found of applications, so it lives for one settling."""

    def __init__(self, context: Context, builder: Builder, looks: Looks) -> None:
        self._context = context
        self._builder = builder
        self._looks = looks
        self._lines: dict[Name, str] = {}

    def owner(self, identity: Identity, last: LookRow | None) -> Owner | None:
        """One that it names and that declares it, else one that declares it, else one that it names.

        The label that Argo CD may track by names an owner only where that one declares it, too.
        """
        declaring = self.declaring(identity)
        claim = last.claim if last is not None else ""
        claiming = self._named(identity.cluster, claim)
        chosen = [name for name in claiming if name in declaring] or declaring
        if not chosen and not claim.startswith("?"):
            chosen = claiming
        return Owner(self._builder.app(chosen[0]), chosen[0] in claiming) if chosen else None

    def declaring(self, identity: Identity) -> list[Name]:
        """The applications that declare an object."""
        rows = list(self._context.find(DeclaredRow, **identity._asdict()))
        base = hash_base(identity.name) if identity.kind in HASHED else ""
        if not rows and base:
            named = identity._replace(name=base)
            rows = [one for one in self._context.find(DeclaredRow, **named._asdict()) if one.hashed]
        return sorted(Name(*row[5:8]) for row in rows)

    def _named(self, cluster: str, claim: str) -> list[Name]:
        """The applications that deploy to a cluster and may be called what an object says."""
        told = claim.removeprefix("?")
        names = {told, *(told[at + 1 :] for at, char in enumerate(told) if char == "_")} - {""}
        found = [
            row.key
            for name in names
            for row in self._context.find(ApplicationRow, destination=cluster, application=name)
        ]
        return sorted(one for one in found if claim in self._builder.app(one).claims)

    def evidence(self, identity: Identity, last: LookRow | None, owner: Owner) -> Evidence:
        """Everything that the state of an object is judged by."""
        app = owner.app
        at, stated_by = self._looks.last_time(identity)
        sync = self.sync_at(app, identity, at) if app.present else None
        synced, commit, why = self.synced(app, identity, sync)
        tip, why_not = self._tip(app, identity)
        return Evidence(
            identity=identity,
            live=self._looks.body(last),
            looked=bool(at),
            synced=synced,
            tip=tip,
            synced_at=sync.ended_at if sync is not None else "",
            synced_commit=commit,
            rolled_back=sync is not None and self._is_back(app, sync),
            local=bool(app.syncs and app.syncs[-1].local),
            why_unknown=why or why_not,
            managers=self._looks.managers(last),
            application=app.name.application,
            scaled_by=self._scaled_by(identity, tip),
            stated_by=stated_by,
            rules=app.rules,
        )

    def sync_at(self, app: App, identity: Identity, at: str) -> Sync | None:
        """The last sync that ended by a time and brought the object, whole or by its own result."""
        for sync in reversed(app.syncs):
            if sync.ended_at <= at and self.brings(sync, app, identity):
                return sync
        return None

    def brings(self, sync: Sync, app: App, identity: Identity) -> bool:
        """Whether a sync brought an object, whole or by its own result."""
        return bool(sync.complete) or self._brought(sync, app, identity)

    def _brought(self, sync: Sync, app: App, identity: Identity) -> bool:
        if sync.local:
            return False
        kind = (identity.api_group, identity.kind)
        for namespace in {identity.namespace, app.namespace}:
            key = (sync.sync, *kind, namespace, identity.name, "")
            row = self._context.get(SyncResourceRow, *key)
            if row is not None and row.status == "Synced":
                return True
        return False

    def synced(
        self, app: App, identity: Identity, sync: Sync | None
    ) -> tuple[Declared | None, str, str]:
        """What the synced revision declares of an object, its commit, and why it is not known."""
        best: Declared | None = None
        commit, why = "", "no sync is recorded" if sync is None else ""
        for source, revision in sync.revisions if sync is not None else ():
            build = self._builder.build(app, source, self._builder.line(source, revision))
            if build is None:
                why = why or f"the synced revision {revision[:12] or 'of a source'} is not recorded"
                commit = commit or revision
                continue
            one = effective(build, identity)
            if best is None or (best.one is None and one is not None):
                best, commit = Declared(build, one), revision
        if best is not None and best.one is None and why:
            return None, commit, why
        return best, commit, why

    def _tip(self, app: App, identity: Identity) -> tuple[Declared | None, str]:
        """What an application's sources declare of an object now, and why it is not known."""
        best: Declared | None = None
        why = "" if app.present else "its application is gone"
        for source in app.sources:
            if not is_read(app, source):
                continue
            build = self._builder.build(app, source, self._builder.tip(source))
            if build is None:
                name = source.chart or source.repository or source.url
                why = (
                    why or f"what {name} has at {source.target_revision or 'HEAD'} is not recorded"
                )
                continue
            one = effective(build, identity)
            if best is None or (best.one is None and one is not None):
                best = Declared(build, one)
        if best is not None and best.one is None and why:
            return None, why
        return best, why

    def _is_back(self, app: App, sync: Sync) -> bool:
        """Whether a sync applied an older revision than the whole one before it."""
        before = [one for one in app.syncs if one.complete and one.started_at < sync.started_at]
        pairs = zip(sync.revisions, before[-1].revisions, strict=False) if before else ()
        for (source, new), (_, old) in pairs:
            line, earlier = self._builder.line(source, new), self._builder.line(source, old)
            if line is not None and earlier is not None and line.number < earlier.number:
                return True
        return False

    def _scaled_by(self, identity: Identity, tip: Declared | None) -> str:
        """The autoscaler that sets the replicas of an object, live or declared beside it."""
        wanted = (identity.api_group, identity.kind, identity.name)
        for one in self._looks.seen(identity.cluster, *SCALER, identity.namespace):
            if scaled(self._looks.body(self._looks.last(one))) == wanted:
                return f"HorizontalPodAutoscaler {one.name}"
        place = (*SCALER, identity.namespace)
        for key, declared in tip.build.resources.items() if tip is not None else ():
            if key[:3] == place and scaled(declared.body) == wanted:
                return f"HorizontalPodAutoscaler {declared.name}"
        return ""

    def inputs(self, app: App, evidence: Evidence, hidden: bool, maker: str) -> str:
        """A digest of everything that the rows of the object are made from."""
        bases = [
            [one.build.mark, one.build.line.branch, one.one is None] if one else []
            for one in (evidence.synced, evidence.tip)
        ]
        told = [
            self._looks.all_of(evidence.identity),
            [*app.name, app.mark, self._all_lines(app)],
            bases,
            [evidence.synced_at, evidence.synced_commit, evidence.rolled_back],
            [evidence.why_unknown, evidence.scaled_by, evidence.looked, hidden, maker],
            evidence.stated_by,
        ]
        return hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:32]

    def _all_lines(self, app: App) -> str:
        """A digest of which revisions of an application's syncs are recorded, and on which branch."""
        if app.name not in self._lines:
            told = [self.lines(sync) for sync in app.syncs]
            self._lines[app.name] = hashlib.sha256(msgspec.json.encode(told)).hexdigest()
        return self._lines[app.name]

    def lines(self, sync: Sync) -> list[tuple[str, int] | None]:
        """The branch and the number of each revision of a sync; None of one that is not recorded."""
        found = [self._builder.line(source, revision) for source, revision in sync.revisions]
        return [(line.branch, line.number) if line is not None else None for line in found]


def effective(build: Build, identity: Identity) -> Effective | None:
    """What a build declares of an object, whose name may end in a hash."""
    group, kind, namespace, name = identity[1:]
    found = build.resources.get((group, kind, namespace, name))
    if found is not None:
        return found
    base = hash_base(name) if kind in HASHED else ""
    if base:
        found = build.resources.get((group, kind, namespace, base))
        return found if found is not None and "metadata.name" in found.open else None
    if namespace:
        return None
    alike = [
        one for key, one in build.resources.items() if (*key[:2], key[3]) == (group, kind, name)
    ]
    return alike[0] if len(alike) == 1 else None
