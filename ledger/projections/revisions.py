"""The mainline: first-parent steps of tracked branches, what was displaced, and who landed what.

A revision's number is its place on its own first-parent line, so it never changes. When the branch
moves so that its old tip is off the new first-parent line, the displaced steps are superseded: they
stay and keep their numbers. A later move may bring them back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledger.events import RecordedEvent, RefMoved, RevisionObserved, SourceSurveyed
from ledger.projections import Context, Projection, Row, Table, key_text
from ledger.projections.commits import CommitRow

HEADS = "refs/heads/"


class RevisionRow(NamedTuple):
    repository: str
    branch: str
    commit_sha: str
    number: int
    first_parent: str
    move: str
    committed_at: str
    landed_floor: str
    superseded: int
    superseded_at: int
    evidence_position: int
    recorded_at: str


class BranchRow(NamedTuple):
    repository: str
    branch: str
    tip: str
    number: int


class RefMoveRow(NamedTuple):
    key: str
    repository: str
    ref: str
    kind: str
    sequence: int
    old_sha: str
    new_sha: str
    abandoned: int
    evidence_position: int
    recorded_at: str


class RepositoryRow(NamedTuple):
    repository: str
    url: str
    branch: str
    evidence_position: int
    recorded_at: str


REVISIONS = Table(
    "model_revision",
    RevisionRow,
    key=("repository", "branch", "commit_sha"),
    indexes=(("repository", "branch", "number"), ("repository", "branch", "superseded")),
)
BRANCHES = Table(
    "model_branch", BranchRow, key=("repository", "branch"), lookups=(("repository",),)
)
REF_MOVES = Table(
    "model_ref_move", RefMoveRow, key=("key",), indexes=(("repository", "ref", "sequence"),)
)
REPOSITORIES = Table("model_repository", RepositoryRow, key=("repository", "branch"))


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, RevisionObserved):
        yield from _observed(recorded, data, context)
    elif isinstance(data, RefMoved):
        yield from _moved(recorded, data, context)
    elif isinstance(data, SourceSurveyed):
        for branch in data.branches:
            yield RepositoryRow(
                data.repository, data.url, branch, recorded.position, recorded.recorded_at
            )


def _observed(recorded: RecordedEvent, data: RevisionObserved, context: Context) -> Iterable[Row]:
    if context.get(RevisionRow, data.repository, data.branch, data.commit) is not None:
        # Told again, by a later move: it keeps how it came first.
        yield from _advance(data.repository, data.branch, data.commit, recorded.position, context)
        return
    commit = context.get(CommitRow, data.repository, data.commit)
    parent = context.get(RevisionRow, data.repository, data.branch, data.first_parent)
    committed_at = commit.committed_at if commit else ""
    floor = max(committed_at, parent.landed_floor if parent else "")
    yield from _advance(data.repository, data.branch, data.first_parent, recorded.position, context)
    yield RevisionRow(
        repository=data.repository,
        branch=data.branch,
        commit_sha=data.commit,
        number=data.number,
        first_parent=data.first_parent,
        move=data.move,
        committed_at=committed_at,
        landed_floor=floor,
        superseded=0,
        superseded_at=-1,
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )
    yield BranchRow(data.repository, data.branch, data.commit, data.number)


def is_mainline(context: Context, repository: str, commit: str) -> bool:
    """Whether a commit is, or was, a revision of any tracked branch."""
    return any(
        context.get(RevisionRow, repository, row.branch, commit) is not None
        for row in context.find(BranchRow, repository=repository)
    )


def _moved(recorded: RecordedEvent, data: RefMoved, context: Context) -> Iterable[Row]:
    yield RefMoveRow(
        key=recorded.key,
        repository=data.repository,
        ref=key_text(data.ref),
        kind=data.kind,
        sequence=data.sequence,
        old_sha=data.old,
        new_sha=data.new,
        abandoned=len(data.abandoned),
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )
    branch = data.ref.removeprefix(HEADS)
    if branch == data.ref or context.get(BranchRow, data.repository, branch) is None:
        return
    if data.new:
        yield from _advance(data.repository, branch, data.new, recorded.position, context)


def _advance(
    repository: str, branch: str, tip: str, position: int, context: Context
) -> Iterable[Row]:
    """Makes `tip` the end of the current line: what is off it is superseded, what is on it is not."""
    head = context.get(BranchRow, repository, branch)
    if head is None or head.tip == tip:
        return
    leaving, returning = lines_apart(repository, branch, head.tip, tip, context)
    for row in leaving:
        yield row._replace(superseded=1, superseded_at=position)
    for row in returning:
        yield row._replace(superseded=0, superseded_at=-1)
    target = context.get(RevisionRow, repository, branch, tip) if tip else None
    yield BranchRow(repository, branch, tip, target.number if target else 0)


def lines_apart(
    repository: str, branch: str, old: str, new: str, context: Context
) -> tuple[list[RevisionRow], list[RevisionRow]]:
    """The steps of the old line that the new one lacks, and the reverse, newest first.

    Walks down both lines by number until they meet; costs the length of the displaced parts.
    """

    def step(commit: str) -> RevisionRow | None:
        return context.get(RevisionRow, repository, branch, commit) if commit else None

    leaving: list[RevisionRow] = []
    returning: list[RevisionRow] = []
    left, right = step(old), step(new)
    while (left and left.commit_sha) != (right and right.commit_sha):
        if left is not None and (right is None or left.number >= right.number):
            leaving.append(left)
            left = step(left.first_parent)
        elif right is not None:
            returning.append(right)
            right = step(right.first_parent)
    return leaving, returning


PROJECTION = Projection(
    name="revisions",
    version=1,
    tables=(REVISIONS, BRANCHES, REF_MOVES, REPOSITORIES),
    handles=(RevisionObserved, RefMoved, SourceSurveyed),
    project=project,
    after=("commits",),
)
