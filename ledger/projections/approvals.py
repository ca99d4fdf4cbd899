"""Which pull requests were approved, and what became of each review.

All that bears on it may come last: a push, a rule, a team, the commit that it merged as, who is one
person. So events only mark what has to be judged, and it is judged when the tables have caught up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ledger import approval
from ledger.approval import Comparison, Judgement, Proposal, Review
from ledger.events import (
    HeadCompared,
    Identity,
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
from ledger.projections import Context, Dropped, Projection, Row, Table, column
from ledger.projections.demanded import Demanded, demanded
from ledger.projections.hands import Hands, People, commits_between
from ledger.projections.links import ClaimRow
from ledger.projections.people import PeopleVersionRow
from ledger.projections.reviews import (
    MERGED,
    ContributorRow,
    ReportedPullRequestRow,
    ReviewListRow,
    ReviewRow,
    commit_of,
    login_of,
)
from ledger.projections.rules import host_of, team_key
from ledger.tellings import Tellings

_PULLS = (PullRequestOpened, PullRequestPushed, PullRequestMerged, PullRequestClosed)
_HEADS = ("refs/pull/", "refs/merge-requests/", "refs/pull-requests/")
_PEOPLE, _ANEW = "people", "~"
_PASSING = timedelta(seconds=60)


class ApprovalRow(NamedTuple):
    """The judgement of a pull request; `approvers` are logins, parted by a comma and a space.

    `refusal` is the word for why not. `rules` is what the rules in force at the merge demanded.
    """

    repository: str
    number: int
    verdict: str
    reason: str
    refusal: str
    approvers: str
    approved_at: str
    approvals: int
    rules: str
    evidence_position: int
    recorded_at: str


class RulingRow(NamedTuple):
    """What became of a review."""

    repository: str
    number: int
    review: str
    counts: int
    reason: str


class LaterRow(NamedTuple):
    """The judgement from a time after the merge on, when something was taken back."""

    repository: str
    number: int
    judged_at: str
    verdict: str
    reason: str


class ComparedRow(NamedTuple):
    """How a head compares with the one that merged, as Git recomputed it."""

    repository: str
    number: int
    reviewed: str
    head: str
    base: str
    tree: str
    head_tree: str
    missing: str
    evidence_position: int
    recorded_at: str


class JudgedRow(NamedTuple):
    """A pull request that was judged, or is `due` to be; `asked` is who was said to be who."""

    repository: str
    number: int
    due: int
    asked: str


class JudgedTeamRow(NamedTuple):
    """A pull request whose judgement asked for the members of a team."""

    host: str
    team: str
    repository: str
    number: int


class RuledRow(NamedTuple):
    """A repository whose rules were looked at: what was merged there is `due` to be judged again."""

    repository: str
    due: int


class SeenRow(NamedTuple):
    """As of which state of `what` everything was judged."""

    what: str
    digest: str


APPROVALS = Table("model_approval", ApprovalRow, key=("repository", "number"))
RULINGS = Table(
    "model_ruling",
    RulingRow,
    key=("repository", "number", "review"),
    lookups=(("repository", "number"),),
)
LATER = Table(
    "model_later_approval",
    LaterRow,
    key=("repository", "number", "judged_at"),
    lookups=(("repository", "number"),),
)
COMPARED = Table(
    "model_compared_head",
    ComparedRow,
    key=("repository", "number", "reviewed", "head", "base", "tree"),
    lookups=(("repository", "number"),),
)
JUDGED = Table("model_judged", JudgedRow, key=("repository", "number"), lookups=(("due",),))
JUDGED_TEAMS = Table(
    "model_judged_team",
    JudgedTeamRow,
    key=("host", "team", "repository", "number"),
    lookups=(("host", "team"),),
)
RULED = Table("model_ruled", RuledRow, key=("repository",), lookups=(("due",),))
SEEN = Table("model_judged_as_of", SeenRow, key=("what",))


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
        yield SeenRow(_PEOPLE, _ANEW)
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


# -- judging -----------------------------------------------------------------------------------------


def settle(context: Context) -> Iterable[Row]:
    due = list(context.find(JudgedRow, due=1))
    people = context.get(PeopleVersionRow, _PEOPLE)
    seen = context.get(SeenRow, _PEOPLE)
    if people is not None and people.digest != (seen.digest if seen else ""):
        anew = seen is not None and seen.digest == _ANEW
        due += [
            row
            for row in context.find(JudgedRow, due=0)
            if anew or not People.would_say(context, row.asked)
        ]
        yield SeenRow(_PEOPLE, people.digest)
    ruled = {row.repository: row for row in context.find(RuledRow, due=1)}
    if ruled:
        due += [row for row in context.find(JudgedRow, due=0) if row.repository in ruled]
        yield from (row._replace(due=0) for row in ruled.values())
    for row in dict.fromkeys(due):
        judge = _Judge(context, row.repository, row.number)
        yield from judge.rows()
        judged = row._replace(due=0, asked=judge.asked)
        if judged != row:
            yield judged


class _Judge:
    """One pull request, judged from the tables as they stand."""

    def __init__(self, context: Context, repository: str, number: int) -> None:
        self._context = context
        self._of: dict[str, Any] = {"repository": repository, "number": number}
        self._pull = context.get(ReportedPullRequestRow, repository, number)
        self._reviews = self._current_reviews()
        self._evidence: list[tuple[int, str]] = []
        forge, at = (self._pull.forge, self._pull.merged_at) if self._pull else ("", "")
        self._who = People(context, forge, at)
        self._people: dict[str, str] = {}

    @property
    def asked(self) -> str:
        """Who was said to be who."""
        return self._who.text

    def rows(self) -> Iterable[Row]:
        context, pull = self._context, self._pull
        reviews = [self._as_told(row) for row in self._reviews]
        asked = Demanded()
        proposal = None
        if pull is not None:
            asked = demanded(context, pull)
            proposal = self._proposal(pull, reviews)
            self._evidence += [(pull.evidence_position, pull.recorded_at), *asked.evidence]
        self._evidence += [(row.evidence_position, row.recorded_at) for row in self._reviews]
        judged = approval.judge(proposal, reviews, asked.rules, self._people)
        yield from self._changed(RulingRow, self._rulings(judged))
        later = self._later(proposal, reviews, asked, judged) if proposal else []
        yield from self._changed(LaterRow, later)
        row = self._approval(judged, asked)
        if row != context.get(ApprovalRow, row.repository, row.number):
            yield row
        for team in asked.teams:
            if context.get(JudgedTeamRow, *team, *self._of.values()) is None:
                yield JudgedTeamRow(*team, **self._of)

    def _changed(self, kind: type[Any], rows: Sequence[Any]) -> Iterable[Row]:
        """The rows that are not yet so, and those that are no longer."""
        known = {row[2]: row for row in self._context.find(kind, **self._of)}
        for row in rows:
            if known.pop(row[2], None) != row:
                yield row
        for row in known.values():
            yield Dropped(kind, tuple(row[:3]))

    def _current_reviews(self) -> list[ReviewRow]:
        """Without those told in passing that were told since under ids of their own."""
        rows = self._context.find(ReviewRow, **self._of)
        listed = self._context.get(ReviewListRow, *self._of.values())
        until = listed.listed_at if listed else ""
        named = [row for row in rows if not row.provisional]
        return named + [
            row
            for row in rows
            if row.provisional
            and row.submitted_at > until
            and not any(_are_one(row, one) for one in named)
        ]

    def _rulings(self, judged: Judgement) -> list[RulingRow]:
        return [
            RulingRow(
                **self._of,
                review=one.review.review,
                counts=int(one.counts),
                reason=column(one.reason),
            )
            for one in judged.rulings
        ]

    def _later(
        self, proposal: Proposal, reviews: Sequence[Review], asked: Demanded, judged: Judgement
    ) -> list[LaterRow]:
        """The judgement at each time after the merge at which a review was taken back or refused it."""
        if not proposal.merged_at or judged.verdict == approval.UNAPPROVED:
            return []
        times = {one.dismissed_at for one in reviews if one.dismissed}
        times |= {one.submitted_at for one in reviews}
        found: list[LaterRow] = []
        last = (judged.verdict, "")
        for at in sorted(time for time in times if time > proposal.merged_at):
            again = replace(proposal, judged_at=at)
            now = approval.judge(again, reviews, asked.rules, self._people)
            reason = column(now.reason) if now.verdict != judged.verdict else ""
            if (now.verdict, reason) != last:
                last = (now.verdict, reason)
                found.append(
                    LaterRow(
                        **self._of,
                        judged_at=column(at),
                        verdict=now.verdict,
                        reason=reason or column(judged.reason),
                    )
                )
        return found

    def _approval(self, judged: Judgement, asked: Demanded) -> ApprovalRow:
        position, recorded_at = max(self._evidence, default=(-1, ""))
        return ApprovalRow(
            **self._of,
            verdict=judged.verdict,
            reason=column(judged.reason),
            refusal=judged.refusal,
            approvers=column(", ".join(one.login for one in judged.approvers)),
            approved_at=column(judged.approved_at),
            approvals=len(judged.approvers),
            rules=column(asked.text),
            evidence_position=position,
            recorded_at=recorded_at,
        )

    # -- what is told

    def _proposal(self, pull: ReportedPullRequestRow, reviews: Sequence[Review]) -> Proposal:
        told = Tellings(pull.told)
        head = commit_of(told, "merged_head" if pull.state == MERGED else "head")
        equals = self._equals(head)
        between = frozenset[str]()
        for one in reviews:
            if one.commit in equals and equals[one.commit].equal:
                between |= commits_between(self._context, pull.repository, one.commit, head)
        told_rows = self._context.find(ContributorRow, **self._of)
        self._evidence += [(row.evidence_position, row.recorded_at) for row in told_rows]
        rows = [row for row in told_rows if row.head_sha not in between]
        hands = Hands(self._context, pull, rows, self._who)
        self._people |= hands.people
        author = self._known(told, "author")
        pushed = {
            row.head_sha for row in told_rows if "" < row.pushed_at <= (pull.merged_at or "~")
        }
        return Proposal(
            author=author,
            contributors=hands.contributors,
            co_authors=hands.co_authors,
            strangers=hands.strangers,
            head=head,
            merged_at=pull.merged_at,
            commits=pull.commits,
            merged_by="" if pull.merged_by_bot else self._known(told, "merged_by"),
            pushes=len(pushed),
            listed=len({row.head_sha for row in told_rows if not row.pushed_at}),
            equals=equals,
        )

    def _equals(self, head: str) -> dict[str, Comparison]:
        found: dict[str, Comparison] = {}
        for row in self._context.find(ComparedRow, **self._of):
            if not head or not approval.same_commit(row.head, head):
                continue
            self._evidence.append((row.evidence_position, row.recorded_at))
            compared = _comparison(row)
            known = found.get(row.reviewed)
            if known is None or (compared.equal, compared.reason) > (known.equal, known.reason):
                found[row.reviewed] = compared
        return found

    def _as_told(self, row: ReviewRow) -> Review:
        told = Tellings(row.told)
        who = "reviewer" if login_of(told, "reviewer") else "reviewer_then"
        login = self._known(told, who)
        return Review(
            review=row.review,
            reviewer=login,
            is_bot=bool(row.reviewer_is_bot) or self._who.is_bot(_identity(told, who)),
            state=row.state,
            commit=row.commit_sha,
            submitted_at=row.submitted_at,
            dismissed=bool(row.dismissed),
            dismissed_at=row.dismissed_at,
            association=row.association,
            carried=bool(row.carried),
            deduced=bool(row.deduced),
        )

    def _known(self, told: Tellings, field: str) -> str:
        """The login of somebody; notes who that is."""
        login = login_of(told, field)
        if approval.person(login) and self._pull is not None:
            self._people[login] = self._who.person(_identity(told, field))
        return login


def _are_one(passing: ReviewRow, named: ReviewRow) -> bool:
    """Whether a review told in passing is one that has an id: by whom, what and when, to a minute."""
    if (passing.reviewer, passing.state) != (named.reviewer, named.state):
        return False
    try:
        times = [datetime.fromisoformat(one.submitted_at) for one in (passing, named)]
        return abs(times[0] - times[1]) <= _PASSING
    except (ValueError, TypeError, OverflowError):
        return passing.submitted_at == named.submitted_at


def _identity(told: Tellings, field: str) -> Identity:
    login, name, email, _ = told.get(field) or ("", "", "", 0)
    return Identity(login=login, name=name, email=email)


def _comparison(row: ComparedRow) -> Comparison:
    given = f"given at {row.reviewed[:12]}"
    if row.missing:
        return Comparison(False, f"{row.missing[:12]} is not to be had to compare them")
    if row.tree and row.tree == row.head_tree:
        return Comparison(
            True, f"{given}; merging it into the base gives the very tree that merged"
        )
    how = "gives another tree" if row.tree else "conflicts"
    return Comparison(False, f"merging what was approved into the base {how}")


PROJECTION = Projection(
    name="approvals",
    version=1,
    tables=(APPROVALS, RULINGS, LATER, COMPARED, JUDGED, JUDGED_TEAMS, RULED, SEEN),
    handles=(
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
    ),
    project=project,
    after=("reviews", "pull_requests", "people", "rules", "code_owners", "revisions", "commits"),
    settle=settle,
)
