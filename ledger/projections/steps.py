"""What each source of each sync was a step of: from which revision to which one, and of what kind.

A step depends on the other syncs of the application, on what the application was told to do then, and on
where the branch runs now. So all steps of an application are made again whenever one of these changes:
events only note which application is due, and the steps are made when the tables stand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ledger.events import (
    ApplicationChanged,
    ApplicationCreated,
    ApplicationDeleted,
    ClusterSurveyed,
    RecordedEvent,
    RefMoved,
    RevisionObserved,
    SyncApplied,
    SyncFailed,
)
from ledger.projections import Context, Projection, Row, Table, key_text
from ledger.projections.applications import FirstLookRow, StateRow
from ledger.projections.deployments import FAILED, SyncRow, SyncSourceRow
from ledger.projections.revisions import HEADS, BranchRow, RevisionRow

INITIAL, UNKNOWN_SINCE, SOURCE_CHANGED = "initial", "unknown_since", "source_changed"
CHANGE, REPEAT, ROLLBACK = "change", "repeat", "rollback"
SELF_HEAL, PARTIAL, LOCAL = "self_heal", "partial", "local"
SHIPPED, ROLLED_BACK, UNTRACKED, OFF_MAINLINE = (
    "shipped",
    "rolled_back",
    "untracked",
    "off_mainline",
)


class StepRow(NamedTuple):
    """A source of a sync, and what was applied of it before.

    `low` (exclusive) and `high` (inclusive) bound the numbers of the revisions that it may have shipped,
    as `ships` says: shipped, initial, rolled_back or partial; empty where it ships no range. `stands` says
    why the revision stands for itself, without a range: empty where it does not.

    `line_number` is the revision's number on the branch's current line; of one that the branch moved
    away from, that of the last common one, and `displaced` are the commits above that, parted by spaces.
    `previous_sync` is the last one before it that applied a whole revision of the same source at the same
    destination; `previous_line_number` is of the last of these on a tracked branch. `place_…` find the
    environment.
    """

    sync: str
    source: int
    cluster: str
    namespace: str
    application: str
    repository: str
    url: str
    path: str
    chart: str
    revision: str
    branch: str | None
    number: int | None
    line_number: int | None
    superseded: int | None
    previous_sync: str | None
    previous_revision: str | None
    previous_line_number: int | None
    low: int | None
    high: int | None
    displaced: str
    ships: str
    stands: str
    kind: str
    complete: int
    started_at: str
    deployed_at: str
    destination: str
    destination_namespace: str
    place_repository: str
    place_path: str


class DueRow(NamedTuple):
    """An application whose steps from a time on are to be made again; `due` is 0 once they are."""

    cluster: str
    namespace: str
    application: str
    due: int
    since: str


STEPS = Table(
    "model_step",
    StepRow,
    key=("sync", "source"),
    lookups=(
        ("repository", "revision"),
        ("repository",),
        ("cluster", "namespace", "application"),
    ),
    indexes=(("repository", "branch", "path"),),
)
DUE = Table(
    "model_step_due",
    DueRow,
    key=("cluster", "namespace", "application"),
    lookups=(("due",), ("cluster",)),
)


# -- which are due -------------------------------------------------------------------------------


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, SyncApplied | SyncFailed):
        one = data.sync
        yield _due(context, one.cluster, one.namespace, one.application, one.started_at)
    elif isinstance(data, ApplicationCreated | ApplicationChanged):
        app = data.application
        yield _due(context, app.cluster, app.namespace, app.name)
    elif isinstance(data, ApplicationDeleted):
        yield _due(context, data.cluster, data.namespace, data.name)
    elif isinstance(data, ClusterSurveyed):
        look = context.get(FirstLookRow, key_text(data.cluster))
        if look is not None and look.observed_at == data.observed_at:
            for row in context.find(DueRow, cluster=look.cluster):
                yield row._replace(due=1, since="")
    elif isinstance(data, RevisionObserved):
        found = context.find(StepRow, repository=data.repository, revision=data.commit)
        for step in found:
            yield _due(context, *step[2:5], step.started_at)
    elif isinstance(data, RefMoved):
        branch = data.ref.removeprefix(HEADS)
        left = context.get(RevisionRow, data.repository, branch, data.old)
        if left is not None and left.superseded:
            for step in context.find(StepRow, repository=data.repository):
                yield _due(context, *step[2:5])


def _due(
    context: Context, cluster: str, namespace: str, application: str, since: str = ""
) -> DueRow:
    key = (key_text(cluster), key_text(namespace), key_text(application))
    known = context.get(DueRow, *key)
    return DueRow(*key, 1, min(known.since, since) if known is not None and known.due else since)


# -- the steps of an application -------------------------------------------------------------------


@dataclass(slots=True)
class _Chains:
    """The last whole step of each source, also of those on a branch; when the first one to a place began."""

    last: dict[tuple[str, ...], StepRow] = field(default_factory=dict)
    on_branch: dict[tuple[str, ...], StepRow] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def follow(self, row: StepRow) -> None:
        """Goes on behind a step."""
        if row.complete:
            self.last[_chain(row)] = row
            if row.branch is not None:
                self.on_branch[_chain(row)] = row
            self.first.setdefault(row.destination, row.started_at)


def _chain(row: StepRow) -> tuple[str, ...]:
    return (row.destination, row.repository or row.url, row.path, row.chart)


def settle(context: Context) -> Iterable[Row]:
    for due in context.find(DueRow, due=1):
        yield from _steps(due, context)
        yield due._replace(due=0, since="")


def _steps(due: DueRow, context: Context) -> Iterable[Row]:
    of = {"cluster": due.cluster, "namespace": due.namespace, "application": due.application}
    states = sorted(
        (row for row in context.find(StateRow, **of) if row.present),
        key=lambda row: (row.since, row.digest),
    )
    look = context.get(FirstLookRow, due.cluster)
    chains = _Chains()
    known = {(row.sync, row.source): row for row in context.find(StepRow, **of)}
    for step in sorted(known.values(), key=lambda row: (row.started_at, row.sync, row.source)):
        if step.started_at < due.since:
            chains.follow(step)
    syncs = [row for row in context.find(SyncRow, **of) if row.started_at >= due.since]
    sources: defaultdict[str, list[SyncSourceRow]] = defaultdict(list)
    for one in context.find(SyncSourceRow, **of):
        sources[one.sync].append(one)
    for sync in sorted(syncs, key=lambda row: (row.started_at, row.sync)):
        state = _in_force(states, sync.started_at)
        made_since = state.created_at if state else ""
        watched = look is not None and made_since > look.observed_at and sync.history_id <= 0
        for source in sources[sync.sync]:
            row = _step(sync, source, state, watched, chains, context)
            if row != known.get((row.sync, row.source)):
                yield row


def _in_force(states: Sequence[StateRow], at: str) -> StateRow | None:
    """What the application was told to do at a time, as far as it was looked at."""
    before = [row for row in states if row.since <= at]
    return before[-1] if before else None


def _step(
    sync: SyncRow,
    source: SyncSourceRow,
    state: StateRow | None,
    watched: bool,
    chains: _Chains,
    context: Context,
) -> StepRow:
    row = _placed(sync, source, state)
    step = _find_branch(row, source.target_revision, context)
    if step is not None:
        row = row._replace(
            branch=step.branch,
            number=step.number,
            superseded=step.superseded,
            line_number=_line_number(step, context),
        )
    last, known = chains.last.get(_chain(row)), chains.on_branch.get(_chain(row))
    if last is not None:
        row = row._replace(
            previous_sync=last.sync,
            previous_revision=last.revision,
            previous_line_number=known.line_number if known else None,
        )
    followed = chains.first.get(row.destination, sync.started_at) < sync.started_at
    branch = known.branch if known else None
    row = row._replace(kind=_kind(sync, row, branch, watched, followed))
    if step is not None and step.superseded:
        shipped = _displaced(_step_of(known, context), context)
        commits = [one for one in _displaced(step, context) if one not in shipped]
        row = row._replace(displaced=" ".join(commits))
    row = _shipping(row)
    chains.follow(row)
    return row


def _placed(sync: SyncRow, source: SyncSourceRow, state: StateRow | None) -> StepRow:
    """As far as sync and application tell it; a source that the sync leaves out is the application's."""
    own = source if source.url or state is None else state
    return StepRow(
        sync=sync.sync,
        source=source.source,
        cluster=sync.cluster,
        namespace=sync.namespace,
        application=sync.application,
        repository=own.repository,
        url=own.url,
        path=own.path,
        chart=source.chart,
        revision=source.revision,
        branch=None,
        number=None,
        line_number=None,
        superseded=None,
        previous_sync=None,
        previous_revision=None,
        previous_line_number=None,
        low=None,
        high=None,
        displaced="",
        ships="",
        stands="",
        kind="",
        complete=sync.complete,
        started_at=sync.started_at,
        deployed_at=sync.finished_at or sync.started_at,
        destination=state.destination if state else "",
        destination_namespace=state.destination_namespace if state else "",
        place_repository=state.repository if state else "",
        place_path=state.path if state else "",
    )


def _kind(sync: SyncRow, row: StepRow, branch: str | None, watched: bool, followed: bool) -> str:
    if sync.outcome == FAILED:
        return FAILED
    if sync.local or sync.self_heal or sync.partial:
        return LOCAL if sync.local else SELF_HEAL if sync.self_heal else PARTIAL
    if row.previous_sync is None:
        return SOURCE_CHANGED if followed else INITIAL if watched else UNKNOWN_SINCE
    if row.revision == row.previous_revision:
        return REPEAT
    if None not in (row.branch, branch) and row.branch != branch:
        return SOURCE_CHANGED
    number, before = row.line_number, row.previous_line_number
    return ROLLBACK if number is not None and before is not None and number < before else CHANGE


def _shipping(row: StepRow) -> StepRow:
    """The row with what it shipped: a range of the current line, the revision alone, or nothing."""
    if row.kind in (UNKNOWN_SINCE, SOURCE_CHANGED):
        return row._replace(stands=row.kind if row.revision else "", displaced="")
    whole = row.kind in (INITIAL, CHANGE, ROLLBACK)
    number, before = row.line_number, row.previous_line_number
    if whole and number is None:
        off = OFF_MAINLINE if row.repository else UNTRACKED
        return row._replace(stands=off if row.revision else "")
    if whole and before is None and row.kind != INITIAL:
        return row._replace(stands=UNKNOWN_SINCE, displaced="")
    onward = row.kind not in (LOCAL, REPEAT) and number is not None and (before or number) < number
    if number is None or not (whole or onward):
        return row._replace(displaced="")
    ships = {INITIAL: INITIAL, ROLLBACK: ROLLED_BACK}.get(row.kind, SHIPPED)
    return row._replace(
        low=min(before or 0, number),
        high=max(before or 0, number),
        ships=ships if row.complete else PARTIAL,
        displaced=row.displaced if row.complete else "",
    )


def _find_branch(row: StepRow, wanted: str, context: Context) -> RevisionRow | None:
    """The tracked branch that has a revision: the one that is followed, else the first that still has it."""
    if not row.repository or not row.revision:
        return None
    found = [
        step
        for branch in context.find(BranchRow, repository=row.repository)
        if (step := context.get(RevisionRow, row.repository, branch.branch, row.revision))
    ]
    return min(
        found, key=lambda step: (step.superseded, step.branch != wanted, step.branch), default=None
    )


def _line_number(step: RevisionRow, context: Context) -> int:
    """The number of the revision, or of the last one below it that is on the branch's current line."""
    at: RevisionRow | None = step
    while at is not None and at.superseded:
        at = context.get(RevisionRow, at.repository, at.branch, at.first_parent)
    return at.number if at is not None else 0


def _displaced(step: RevisionRow | None, context: Context) -> list[str]:
    """The revision and those below it that the branch moved away from, newest first."""
    commits: list[str] = []
    while step is not None and step.superseded:
        commits.append(step.commit_sha)
        step = context.get(RevisionRow, step.repository, step.branch, step.first_parent)
    return commits


def _step_of(row: StepRow | None, context: Context) -> RevisionRow | None:
    if row is None or row.branch is None:
        return None
    return context.get(RevisionRow, row.repository, row.branch, row.revision)


PROJECTION = Projection(
    name="steps",
    version=2,
    tables=(STEPS, DUE),
    handles=(
        SyncApplied,
        SyncFailed,
        ApplicationCreated,
        ApplicationChanged,
        ApplicationDeleted,
        ClusterSurveyed,
        RevisionObserved,
        RefMoved,
    ),
    project=project,
    after=("applications", "deployments", "revisions"),
    settle=settle,
)
