"""Works out the state of every object again whose inputs have changed.

Everything here is a function of the tables: which events came first makes no difference. What was
touched since the last settling is marked dirty; of the objects that this may concern, those whose
inputs have the same digest as before are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ledger.events import CommitObserved
from ledger.projections import Context, Row, key_text, revisions
from ledger.projections.commits import CommitRow
from ledger.projections.declared import Source
from ledger.projections.live.deriving import Deriving
from ledger.projections.live.desired import App, Build, Builder, identity_of, is_read
from ledger.projections.live.looking import HASHED, SCALER, Looks, hash_base, scaled
from ledger.projections.live.objects import Objects, exchanged
from ledger.projections.live.rows import (
    ApplicationRow,
    BranchRow,
    ClaimRow,
    ClosureRow,
    DeclaredRow,
    Identity,
    LiveRow,
    Name,
    ObjectRow,
)
from ledger.projections.revisions import lines_apart

MAX_STEPS = 2_000
MAX_NAME = 253
_texts = msgspec.json.Decoder(list[str]).decode


def settle(context: Context) -> Iterable[Row]:
    """The rows that are no longer as their inputs want them."""
    work = _Settling(context)
    yield from work.branches()
    yield from work.objects()
    yield from work.applications()
    objects = Objects(context, work.builder, work.looks)
    work.follow(objects.deriving)
    for identity in work.affected:
        yield from objects.settled(identity)


class _Settling:
    """What is dirty, and what it concerns."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._dirty: dict[Name, None] = {}
        self.builder = Builder(context)
        self.looks = Looks(context)
        self.affected: dict[Identity, None] = {}

    # -- branches --------------------------------------------------------------------------------

    def branches(self) -> Iterator[Row]:
        """Marks the applications that are made from what has changed on branches."""
        for row in self._context.find(BranchRow, dirty=1):
            head = self._context.get(revisions.BranchRow, row.repository, row.branch)
            tip = head.tip if head is not None else ""
            if tip != row.tip:
                self._mark_touched(row, tip)
            yield row._replace(tip=tip, dirty=0)

    def _mark_touched(self, row: BranchRow, tip: str) -> None:
        closures = self._context.find(ClosureRow, repository=row.repository)
        if not closures:
            return
        paths = self._touched(row, tip)
        for one in closures:
            elsewhere = one.branch not in ("", row.branch) and row.tip
            if not elsewhere and (not one.branch or paths is None or _concerns(one, paths)):
                self._dirty[Name(one.cluster, one.namespace, one.application)] = None

    def _touched(self, row: BranchRow, tip: str) -> set[str] | None:
        """The paths that differ between two tips of a branch; None where they are too many to tell."""
        if not row.tip or not tip:
            return None
        leaving, returning = lines_apart(row.repository, row.branch, row.tip, tip, self._context)
        if len(leaving) + len(returning) > MAX_STEPS:
            return None
        paths: set[str] = set()
        for step in [*leaving, *returning]:
            commit = self._context.get(CommitRow, row.repository, step.commit_sha)
            if commit is not None:
                observed = self._context.event(commit.evidence_position).data
                assert isinstance(observed, CommitObserved)
                paths.update(key_text(file.path) for file in observed.files)
        return paths

    # -- objects ---------------------------------------------------------------------------------

    def objects(self) -> Iterator[Row]:
        """Marks the objects that were seen, and those whose state depends on them."""
        for row in self._context.find(ObjectRow, dirty=1):
            identity = Identity(*row[:5])
            self.affected[identity] = None
            for other in self._dependents(identity):
                self.affected[other] = None
            yield row._replace(dirty=0)

    def _dependents(self, one: Identity) -> Iterator[Identity]:
        if (one.api_group, one.kind) == SCALER:
            for look in self.looks.at(one):
                target = scaled(self.looks.body(look))
                if target is not None:
                    yield Identity(one.cluster, target[0], target[1], one.namespace, target[2])
        elif one.kind in HASHED and (base := hash_base(one.name)):
            yield one._replace(name=base)
        if one.namespace:
            return
        # Objects of this kind have no namespace, whatever a kustomization says.
        for row in self._context.find(
            DeclaredRow, cluster=one.cluster, api_group=one.api_group, kind=one.kind
        ):
            if row.namespace:
                self._dirty[Name(*row[5:8])] = None

    def follow(self, deriving: Deriving) -> None:
        """Marks what may have been made of the objects that are marked, step by step."""
        pending = list(self.affected)
        while pending:
            for other in deriving.dependents(pending.pop()):
                if other not in self.affected:
                    self.affected[other] = None
                    pending.append(other)

    # -- applications ----------------------------------------------------------------------------

    def applications(self) -> Iterator[Row]:
        """What each touched application declares now."""
        for row in self._context.find(ApplicationRow, dirty=1):
            self._dirty[row.key] = None
        for name in sorted(self._dirty):
            row_now = self._context.get(ApplicationRow, *name)
            if row_now is not None:
                yield from self._application(row_now, self.builder.app(name))

    def _application(self, row: ApplicationRow, app: App) -> Iterator[Row]:
        name = app.name
        for cluster in {row.destination, app.destination}:
            for claim in app.claims:
                for one in self._context.find(ClaimRow, cluster=cluster, claim=claim):
                    self.affected[Identity(cluster, *one[2:])] = None
        for live in self._context.find(
            LiveRow,
            app_cluster=name.cluster,
            app_namespace=name.namespace,
            application=name.application,
        ):
            self.affected[Identity(*live[:5])] = None
        builds = self._builds(app)
        yield from self._closures(app, builds)
        yield from self._declared(app, builds)
        yield row._replace(destination=app.destination, dirty=0)

    def _builds(self, app: App) -> list[tuple[Source, Build | None]]:
        """Every source at the tip, and as the last whole sync applied it."""
        if not app.present:
            return []
        builder = self.builder
        told = [(source, builder.tip(source)) for source in app.sources if is_read(app, source)]
        for sync in [one for one in app.syncs if one.complete][-1:]:
            told += [
                (source, builder.line(source, revision)) for source, revision in sync.revisions
            ]
        return [(source, builder.build(app, source, line)) for source, line in told]

    def _closures(self, app: App, builds: Sequence[tuple[Source, Build | None]]) -> Iterator[Row]:
        rows: dict[Row, Row] = {}
        for number, (source, build) in enumerate(builds):
            files = sorted(build.rendered.read) if build else []
            directories = sorted(build.rendered.listed) if build else []
            rows[(*app.name, number)] = ClosureRow(
                *app.name,
                number,
                repository=source.repository,
                branch=build.line.branch if build else "",
                files=msgspec.json.encode(files).decode(),
                directories=msgspec.json.encode(directories).decode(),
            )
        old = self._context.find(ClosureRow, **app.name._asdict())
        yield from exchanged(ClosureRow, {one[:4]: one for one in old}, rows)

    def _declared(self, app: App, builds: Sequence[tuple[Source, Build | None]]) -> Iterator[Row]:
        rows: dict[Row, Row] = {}
        for _, build in builds:
            for one in build.resources.values() if build else ():
                identity = self._placed(identity_of(app, one))
                if len(identity.name) <= MAX_NAME:
                    hashed = int("metadata.name" in one.open)
                    rows[(*identity, *app.name)] = DeclaredRow(*identity, *app.name, hashed)
        old = self._context.find(
            DeclaredRow,
            app_cluster=app.name.cluster,
            app_namespace=app.name.namespace,
            application=app.name.application,
        )
        for row in [*old, *rows.values()]:
            for identity in self._meant(DeclaredRow(*row)):
                self.affected[identity] = None
        yield from exchanged(DeclaredRow, {one[:8]: one for one in old}, rows)

    def _placed(self, identity: Identity) -> Identity:
        """Without a namespace where the cluster has objects of the kind that stand in none."""
        group, kind = identity.api_group, identity.kind
        if identity.namespace and self.looks.seen(identity.cluster, group, kind, ""):
            return identity._replace(namespace="")
        return identity

    def _meant(self, row: DeclaredRow) -> Iterator[Identity]:
        """The objects that a declaration may mean: those with a hash behind the name as well."""
        identity = Identity(*row[:5])
        yield identity
        if row.hashed:
            for one in self.looks.seen(*identity[:4]):
                if hash_base(one.name) == identity.name:
                    yield one


def _concerns(closure: ClosureRow, paths: set[str]) -> bool:
    """Whether one of the paths is a file of a closure or stands below a directory of it."""
    if not paths.isdisjoint(_texts(closure.files)):
        return True
    starts = tuple(f"{one}/" if one else "" for one in _texts(closure.directories))
    return bool(starts) and any(path.startswith(starts) for path in paths)
