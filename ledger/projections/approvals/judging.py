"""One pull request, judged from the tables as they stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ledger import approval
from ledger.approval import Comparison, Judgement, Proposal, Review
from ledger.events import Identity
from ledger.projections import Context, Dropped, Row, column
from ledger.projections.approvals.rows import (
    ApprovalRow,
    ComparedRow,
    JudgedTeamRow,
    LaterRow,
    RulingRow,
)
from ledger.projections.demanded import Demanded, demanded
from ledger.projections.hands import Hands, People, commits_between
from ledger.projections.reviews import (
    MERGED,
    ContributorRow,
    ReportedPullRequestRow,
    ReviewListRow,
    ReviewRow,
    login_of,
)
from ledger.tellings import Tellings

_PASSING = timedelta(seconds=60)
_NO_BASE = "base"  # in `missing` of a comparison


class Judge:
    """One pull request before the judge; `rows` gives what became of it and differs from the tables."""

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
        head = told.commit("merged_head" if pull.state == MERGED else "head")
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
    if row.missing == _NO_BASE:
        return Comparison(False, "it is not known where its head left the branch, to compare them")
    if row.missing:
        return Comparison(False, f"{row.missing[:12]} is not to be had to compare them")
    if row.tree and row.tree == row.head_tree:
        return Comparison(
            True, f"{given}; merging it into the base gives the very tree that merged"
        )
    if not row.base:
        return Comparison(
            False, "its head left the branch in several places: they are not compared"
        )
    how = "gives another tree" if row.tree else "conflicts"
    return Comparison(False, f"merging what was approved into the base {how}")
