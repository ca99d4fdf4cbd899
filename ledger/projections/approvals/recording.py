"""Which events bear on a judgement: they mark the pull requests that are to be judged again."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.events import (
    HeadCompared,
    PersonMapped,
    PullRequestClosed,
    PullRequestListed,
    PullRequestMatched,
    PullRequestMerged,
    PullRequestMismatched,
    PullRequestOpened,
    PullRequestPushed,
    RecordedEvent,
    RefMoved,
    ReviewDismissed,
    ReviewsListed,
    ReviewSubmitted,
    RevisionObserved,
    RulesObserved,
    TeamObserved,
)
from ledger.projections import Context, Row
from ledger.projections.approvals.rows import (
    ANEW,
    PEOPLE,
    ComparedRow,
    JudgedRow,
    JudgedTeamRow,
    RuledRow,
    SeenRow,
)
from ledger.projections.links import ClaimRow
from ledger.projections.reviews import ReportedPullRequestRow
from ledger.projections.rules import host_of, team_key

_PULLS = (PullRequestOpened, PullRequestPushed, PullRequestMerged, PullRequestClosed)
_HEADS = ("refs/pull/", "refs/merge-requests/", "refs/pull-requests/")
HANDLES = (
    *_PULLS,
    PullRequestListed,
    ReviewSubmitted,
    ReviewDismissed,
    ReviewsListed,
    HeadCompared,
    RevisionObserved,
    PullRequestMatched,
    PullRequestMismatched,
    RefMoved,
    PersonMapped,
    RulesObserved,
    TeamObserved,
)


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, _PULLS):
        yield from _due(context, data.repository, data.pull_request.number)
    elif isinstance(data, PullRequestListed | ReviewSubmitted | ReviewDismissed | ReviewsListed):
        yield from _due(context, data.repository, data.number)
    elif isinstance(data, HeadCompared):
        yield from _compared(recorded, data, context)
        yield from _due_if_told(context, data.repository, data.number)
    elif isinstance(data, RevisionObserved | PullRequestMatched | PullRequestMismatched):
        for claim in context.find(ClaimRow, repository=data.repository, commit_sha=data.commit):
            yield from _due_if_told(context, data.repository, claim.number)
    elif isinstance(data, RefMoved) and data.ref.startswith(_HEADS):
        yield from _due_if_told(context, data.repository, int(data.ref.split("/")[2]))
    elif isinstance(data, RulesObserved):
        ruled = context.get(RuledRow, data.repository)
        if ruled is None or not ruled.due:
            yield RuledRow(data.repository, 1)
    elif isinstance(data, PersonMapped):
        yield SeenRow(PEOPLE, ANEW)
    elif isinstance(data, TeamObserved):
        asked = {"host": host_of(data.forge), "team": team_key(data.team)}
        for team in context.find(JudgedTeamRow, **asked):
            yield from _due(context, team.repository, team.number)


def _due(context: Context, repository: str, number: int) -> Iterable[Row]:
    known = context.get(JudgedRow, repository, number)
    if known is None or not known.due:
        yield JudgedRow(repository, number, 1, "")


def _due_if_told(context: Context, repository: str, number: int) -> Iterable[Row]:
    if context.get(ReportedPullRequestRow, repository, number) is not None:
        yield from _due(context, repository, number)


def _compared(recorded: RecordedEvent, data: HeadCompared, context: Context) -> Iterable[Row]:
    row = ComparedRow(
        repository=data.repository,
        number=data.number,
        reviewed=data.reviewed,
        head=data.head,
        base=data.base,
        tree=data.tree,
        head_tree=data.head_tree,
        missing=data.missing,
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )
    known = context.get(ComparedRow, *row[:6])
    if known is None or _tells_more(row) > _tells_more(known):
        yield row


def _tells_more(row: ComparedRow) -> tuple[bool, str, str]:
    """More where nothing was missing; between others the order of arrival must not decide."""
    return not row.missing, row.missing, row.head_tree
