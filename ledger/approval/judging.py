"""Whether the approvals together are enough: for everybody's work, and for what the rules demand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ledger.approval.facts import (
    APPROVED,
    CHANGES_REQUESTED,
    DISMISSED,
    NOT_CODE_OWNER,
    UNAPPROVED,
    UNKNOWN,
    Approver,
    Judgement,
    Proposal,
    Quota,
    Review,
    Rules,
    Ruling,
    person,
)
from ledger.approval.reviews import STANDS, Reviews

_SHOWN = 3
_Approvers = dict[str, set[str]]  # who → their logins


class Case:
    """One pull request before the judge."""

    def __init__(
        self,
        proposal: Proposal,
        ordered: Sequence[Review],
        rules: Rules,
        people: Mapping[str, str],
    ) -> None:
        self._proposal = proposal
        self._rules = rules
        self._ordered = ordered
        self._each = Reviews(proposal, ordered, people)
        self._author = self._each.who(proposal.author)
        self._hands = {
            self._author,
            *(self._each.who(one) for one in proposal.contributors | proposal.co_authors),
        }

    def judged(self) -> Judgement:
        """The verdict, and what became of each review."""
        refusals = [self._each.refusal(one) for one in self._ordered]
        able = [one for one, no in zip(self._ordered, refusals, strict=True) if not no]
        if able and not self._cover(self._approvers(able)):
            doubt = self._own_work(able[0])
            refusals = [refusal or doubt for refusal in refusals]
            able = []
        approved_at, lacking = self._fulfilled(able)
        if lacking is not None and lacking.word == NOT_CODE_OWNER and not lacking.unknown:
            for at, one in enumerate(self._ordered):
                refusals[at] = refusals[at] or self._no_owner(one, lacking)
            able = [one for one, no in zip(self._ordered, refusals, strict=True) if not no]
        rulings = tuple(
            Ruling(one, not refusal, refusal or self._each.given(one))
            for one, refusal in zip(self._ordered, refusals, strict=True)
        )
        verdict, word, reason = self._verdict(able, rulings, lacking)
        return Judgement(
            verdict,
            reason,
            word,
            tuple(Approver(one.reviewer, one.submitted_at) for one in able),
            approved_at if verdict == APPROVED else "",
            rulings,
        )

    def _approvers(self, able: Iterable[Review]) -> _Approvers:
        found: _Approvers = {}
        for one in able:
            self._note(found, one)
        return found

    def _note(self, approvers: _Approvers, one: Review) -> None:
        approvers.setdefault(self._each.who(one.reviewer), set()).add(person(one.reviewer))

    def _cover(self, approvers: _Approvers) -> bool:
        """Whether everybody who had a hand in it has another person's approval."""
        return len(approvers) > 1 or bool("" not in self._hands and approvers.keys() - self._hands)

    def _own_work(self, one: Review) -> str:
        who, pull = self._each.who(one.reviewer), self._proposal
        if who in {self._each.who(login) for login in pull.contributors}:
            return "contributor: given by somebody who pushed to it, and nobody else approved"
        if who in {self._each.who(login) for login in pull.co_authors}:
            return (
                "co_author: its commits name who gave it as a co-author, and nobody else approved"
            )
        what = "pushed to it" if self._author else "wrote it"
        return f"contributor: it is not known who {what}, so it may be their own"

    def _fulfilled(self, able: Sequence[Review]) -> tuple[str, Quota | None]:
        """When all that is needed was there, or what is lacking in the end: what is known before doubts."""
        if not able:
            return "", None
        approvers: _Approvers = {}
        lacking: list[Quota] = []
        for one in able:
            self._note(approvers, one)
            if not self._cover(approvers):
                continue
            lacking = [
                quota for quota in self._quotas(approvers) if _count(quota, approvers) < quota.count
            ]
            if not lacking:
                return one.submitted_at, None
        hopeless = [quota for quota in lacking if _hopeless(quota, approvers)]
        return "", replace(hopeless[0], unknown="") if hopeless else lacking[0]

    def _quotas(self, approvers: _Approvers) -> Iterable[Quota]:
        yield from self._rules.quotas
        if self._rules.last_push and len(approvers) < 2 and self._untold_pushes():
            yield Quota(
                word="unknown_push",
                what="whoever did not push last",
                people=frozenset(),
                unknown="who pushed last is not told",
            )

    def _no_owner(self, one: Review, lacking: Quota) -> str:
        who = person(one.reviewer)
        owned = [
            quota.people
            for quota in self._rules.quotas
            if quota.word == NOT_CODE_OWNER and quota.people is not None
        ]
        if any(who in people for people in owned):
            return ""
        return f"{NOT_CODE_OWNER}: {lacking.what} must approve"

    def _verdict(
        self, able: Sequence[Review], rulings: Sequence[Ruling], lacking: Quota | None
    ) -> tuple[str, str, str]:
        names = _together([one.reviewer for one in able])
        if not self._proposal.merged_at:
            also = f"; its head now is approved by {names}" if able else ""
            return UNAPPROVED, "not_merged", f"its forge tells of no merge{also}"
        standing = [one.review for one in rulings if one.reason == STANDS]
        if standing:
            when = self._proposal.judged_at or "the merge"
            reason = f"changes that {_who(standing[-1])} requested stood at {when}"
            return UNAPPROVED, CHANGES_REQUESTED, reason
        if lacking is not None:
            return self._lacks(able, rulings, lacking)
        if able:
            return APPROVED, "", f"approved by {names} at {self._heads(able)}{self._doubt(able)}"
        tried = [
            f"{_who(one.review)} ({one.reason})"
            for one in reversed(rulings)
            if one.review.state in (APPROVED, DISMISSED) and not one.reason.startswith("superseded")
        ]
        if tried:
            word = tried[0].partition(" (")[2].partition(":")[0]
            return UNAPPROVED, word, f"no approval counts: {', '.join(tried[:_SHOWN])}"
        return UNAPPROVED, "no_review", "its forge tells of no approval"

    def _lacks(
        self, able: Sequence[Review], rulings: Sequence[Ruling], lacking: Quota
    ) -> tuple[str, str, str]:
        others = [one.review for one in rulings if one.reason.startswith(NOT_CODE_OWNER)]
        names = _together([one.reviewer for one in [*able, *others]])
        but = f"approved by {names}, but " if names else ""
        if lacking.unknown:
            word = "unknown_push" if lacking.word == "unknown_push" else "unknown_approver"
            reason = f"{but}it must be by {lacking.what}, and {lacking.unknown}"
            return UNKNOWN, word, reason
        count = _count(lacking, self._approvers(able))
        needed = "an approval" if lacking.count == 1 else f"{lacking.count} approvals"
        counted = f"{count} counts" if count else "there is none"
        reason = f"{but}the rules demand {needed} by {lacking.what}, and {counted}"
        return UNAPPROVED, lacking.word, reason

    def _heads(self, able: Sequence[Review]) -> str:
        if all(self._each.compared(one) is None for one in able):
            return "the head that merged"
        return "a head that, merged into the base, gives the very tree that merged"

    def _untold_pushes(self) -> bool:
        """The opening and every push bring at least a commit each."""
        pull = self._proposal
        return pull.commits > max(1 + pull.pushes, pull.listed)

    def _doubt(self, able: Sequence[Review]) -> str:
        """What stays open; of pushes nothing where two approve, as each covers the other."""
        doubts = []
        if len(self._approvers(able)) < 2:
            if self._untold_pushes():
                doubts.append(f"who pushed its {self._proposal.commits} commits is not all told")
            if self._proposal.strangers:
                hands = _together(self._proposal.strangers)
                doubts.append(f"no login is known of {hands}, who had a hand in it")
        if any(one.deduced for one in able):
            doubts.append("which head was approved is deduced from the time")
        return "".join(f"; {one}" for one in doubts)


def _count(quota: Quota, approvers: _Approvers) -> int:
    """How many of the approvers count for a quota. It is by login: who somebody else is gives nothing."""
    if quota.people is None:
        return len(approvers)
    return sum(1 for logins in approvers.values() if logins & quota.people)


def _hopeless(quota: Quota, approvers: _Approvers) -> bool:
    """Whether a quota is not filled whoever the people are that it does not know."""
    return not quota.unknown or len(approvers) < quota.count


def _who(review: Review) -> str:
    return review.reviewer if person(review.reviewer) else "somebody unknown"


def _together(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and 2 others`."""
    if len(names) > _SHOWN:
        return f"{', '.join(names[:2])} and {len(names) - 2} others"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
