"""Whether a pull request was approved, judged at its merge from what its forge tells.

Theory. What counts is the last review of each login that says yes or no; a comment says neither. It
must be given at the very head that merged, or at one of which Git recomputed that merging it into the
base gives the very tree of that head; by the time of the merge (the same second counts as before); and
not be dismissed by then. Nobody approves for themselves: whoever wrote the pull request or pushed to it
needs the approval of another person, so a lone approval must come from somebody else, while two people
who both pushed may approve for each other. The author's own never counts. Where it is not known who
wrote or pushed, any one approval may be their own. Bots approve nothing. Changes that anybody
requested, bot or person, and that still stand at the merge make it unapproved. Of whom the forge tells
something that shows no write access, they neither approve nor block, unless they merged it themselves;
where it does not tell, they do. Who pushed is known from told pushes and listed commits: where these
are too few, a lone approval stands, and the reason names the doubt.

What the rules in force then demanded on top comes as quotas, each of so many people out of some. A
quota that is not filled makes it unapproved; one of which it is not known who may fill it makes the
verdict *unknown*, as does a pull request of which its forge told nothing. Doubt never makes an approval.

Logins that are one person are one where that takes an approval away, never where it would give one.
The second judgement, at a later time, hears what was taken back by then and no new approval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ledger.approval.facts import (
    APPROVED,
    CHANGES_REQUESTED,
    DISMISSED,
    NOT_CODE_OWNER,
    TOO_FEW,
    UNAPPROVED,
    UNKNOWN,
    Approver,
    Comparison,
    Judgement,
    Proposal,
    Quota,
    Review,
    Rules,
    Ruling,
    person,
    same_commit,
)

__all__ = [
    "APPROVED",
    "CHANGES_REQUESTED",
    "DISMISSED",
    "NOT_CODE_OWNER",
    "TOO_FEW",
    "UNAPPROVED",
    "UNKNOWN",
    "Approver",
    "Comparison",
    "Judgement",
    "Proposal",
    "Quota",
    "Review",
    "Rules",
    "Ruling",
    "judge",
    "person",
    "same_commit",
]

# What a review can say besides a comment. Of two in one second the stricter is taken for the later.
_STRICTNESS = {APPROVED: 0, DISMISSED: 1, CHANGES_REQUESTED: 2}
_LATER = "a later review of the same person takes its place"
_STANDS = f"{CHANGES_REQUESTED}: it stands"
_GIVEN = "given at the head that counts"
# The associations with which GitHub lets a review count (`author_association`).
_WRITERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_MAX_ASSOCIATION = 32
_SHOWN = 3
_Approvers = dict[str, set[str]]  # who → their logins


def judge(
    proposal: Proposal | None,
    reviews: Iterable[Review],
    rules: Rules | None = None,
    people: Mapping[str, str] | None = None,
) -> Judgement:
    """Judges a pull request, None where nothing was told of it; in time linear in reviews times quotas.

    `people` gives for a login, as it stands in the arguments, who that is: equal texts are one person.
    A login that it lacks is somebody else than every other.
    """
    ordered = sorted(
        reviews, key=lambda one: (one.submitted_at, _STRICTNESS.get(one.state, -1), one.review)
    )
    if proposal is None:
        why = "unknown_head: its forge tells nothing of the pull request itself"
        rulings = tuple(Ruling(one, False, why) for one in ordered)
        alone = "its forge told reviews of it and nothing else"
        nothing = "nothing was told of it by its forge"
        return Judgement(UNKNOWN, alone if ordered else nothing, "not_told", (), "", rulings)
    return _Case(proposal, ordered, rules or Rules(), people or {}).judged()


class _Case:
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
        self._people = people
        self._until = max(proposal.merged_at, proposal.judged_at) if proposal.merged_at else ""
        self._ordered = ordered
        self._first_heads = _first_heads(ordered)
        # Per login and not per person: an approval of one account lifts no request of another.
        self._last = {
            person(one.reviewer): one for one in self._heard(ordered) if self._is_opinion(one)
        }
        self._author = self._person(proposal.author)
        self._hands = {
            self._author,
            *(self._person(one) for one in proposal.contributors | proposal.co_authors),
        }

    def _person(self, login: str) -> str:
        return self._people.get(login) or person(login)

    def judged(self) -> Judgement:
        refusals = [self._refusal(one) for one in self._ordered]
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
            Ruling(one, not refusal, refusal or self._given(one))
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

    # -- each review

    def _heard(self, ordered: Sequence[Review]) -> Iterable[Review]:
        """Without those after the merge that take nothing back: no approval, no request lifted since."""
        lifted: set[str] = set()
        heard: list[Review] = []
        for one in reversed(ordered):
            late = self._after_merge(one.submitted_at) and not self._too_late(one.submitted_at)
            if late and one.state == APPROVED:
                lifted.add(person(one.reviewer))
            elif not late or (person(one.reviewer) not in lifted and not self._dismissed(one)):
                heard.append(one)
        return reversed(heard)

    def _is_opinion(self, one: Review) -> bool:
        """Whether it can take the place of an earlier review of the same login."""
        told = person(one.reviewer) and one.submitted_at and one.state in _STRICTNESS
        return bool(told) and self._may_write(one) and not self._too_late(one.submitted_at)

    def _may_write(self, one: Review) -> bool:
        """Whether its reviewer can write to the repository, as far as told."""
        who = person(one.reviewer)
        if who and who == person(self._proposal.merged_by):
            return True
        return not one.association or one.association.upper() in _WRITERS

    def _after_merge(self, at: str) -> bool:
        return bool(self._proposal.merged_at) and at > self._proposal.merged_at

    def _too_late(self, at: str) -> bool:
        return bool(self._until) and at > self._until

    def _dismissed(self, one: Review) -> bool:
        return one.dismissed and not self._too_late(one.dismissed_at)

    def _refusal(self, one: Review) -> str:
        """Why a review is no approval of anybody's work, as `word: sentence`; empty where it is one."""
        if one.state not in _STRICTNESS:
            return "comment: it says neither yes nor no"
        asks = one.state == CHANGES_REQUESTED
        if self._too_late(one.submitted_at) or (not asks and self._after_merge(one.submitted_at)):
            return "after_merge: given after the merge"
        if self._dismissed(one):
            return f"dismissed: {one.dismissed_at or 'the forge does not tell when'}"
        superseded = self._is_opinion(one) and self._last.get(person(one.reviewer)) != one
        if asks:
            return (
                f"{CHANGES_REQUESTED}: {_LATER}" if superseded else self._no_access(one) or _STANDS
            )
        if superseded:
            return f"superseded: {_LATER}"
        if one.state == DISMISSED:
            return "dismissed: what it said before is not told"
        return self._wrong_person(one) or self._wrong_head(one) or self._no_access(one)

    def _wrong_person(self, one: Review) -> str:
        who = person(one.reviewer)
        if not who:
            return "unknown_reviewer: the forge does not tell who gave it"
        if one.is_bot or who.endswith("[bot]"):
            return "bot: bots do not approve"
        if who == person(self._proposal.author):
            return "self: the author's own"
        if self._person(one.reviewer) == self._author:
            return f"self: the author's own, who is {self._proposal.author} too"
        return ""

    def _no_access(self, one: Review) -> str:
        told = one.association[:_MAX_ASSOCIATION]
        if self._may_write(one):
            return ""
        return f"no_write_access: nothing shows that they can write; the forge calls them {told}"

    def _wrong_head(self, one: Review) -> str:
        head = self._proposal.head
        if not one.submitted_at:
            return "undated: the forge does not tell when it was given"
        if not one.commit:
            return "unknown_head: the forge does not tell at which head it was given"
        if not head:
            return "unknown_head: the forge does not tell which head counts"
        compared = self._compared(one)
        if compared is not None and compared.equal:
            return ""
        if one.carried:
            why = f"; {compared.reason}" if compared is not None else ""
            return f"carried: given at an earlier head; a rule of the forge carried it over{why}"
        if not same_commit(one.commit, head):
            counts = "merged" if self._proposal.merged_at else "is its head now"
            why = f"; {compared.reason}" if compared is not None else ""
            if one.deduced:
                why += "; where it was given is deduced from its time"
            return f"stale: given at {one.commit[:12]}, but {head[:12]} {counts}{why}"
        return ""

    def _compared(self, one: Review) -> Comparison | None:
        """How the head at which it was first given compares to the one that counts, where told."""
        commit = self._first_heads.get(one.review, "") if one.carried else one.commit
        if not commit or same_commit(commit, self._proposal.head):
            return Comparison(True, "") if commit and one.carried else None
        return self._proposal.equals.get(commit)

    def _given(self, one: Review) -> str:
        compared = self._compared(one)
        given = compared.reason if compared is not None and compared.reason else _GIVEN
        return (
            f"{given}; which head it was given at is deduced from its time"
            if one.deduced
            else given
        )

    # -- all of them together

    def _approvers(self, able: Iterable[Review]) -> _Approvers:
        found: _Approvers = {}
        for one in able:
            self._note(found, one)
        return found

    def _note(self, approvers: _Approvers, one: Review) -> None:
        approvers.setdefault(self._person(one.reviewer), set()).add(person(one.reviewer))

    def _cover(self, approvers: _Approvers) -> bool:
        """Whether everybody who had a hand in it has another person's approval."""
        return len(approvers) > 1 or bool("" not in self._hands and approvers.keys() - self._hands)

    def _own_work(self, one: Review) -> str:
        who, pull = self._person(one.reviewer), self._proposal
        if who in {self._person(login) for login in pull.contributors}:
            return "contributor: given by somebody who pushed to it, and nobody else approved"
        if who in {self._person(login) for login in pull.co_authors}:
            return "co_author: given by somebody who wrote part of it, and nobody else approved"
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
        standing = [one.review for one in rulings if one.reason == _STANDS]
        if standing:
            when = self._proposal.judged_at or "the merge"
            reason = f"changes that {_who(standing[-1])} requested stood at {when}"
            return UNAPPROVED, CHANGES_REQUESTED, reason
        if lacking is not None:
            return self._lacks(able, lacking)
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
        return UNAPPROVED, "no_review", "nobody approved it"

    def _lacks(self, able: Sequence[Review], lacking: Quota) -> tuple[str, str, str]:
        names = _together([one.reviewer for one in able])
        but = f"approved by {names}, but " if able else ""
        if lacking.unknown:
            word = "unknown_push" if lacking.word == "unknown_push" else "unknown_approver"
            reason = f"{but}it must be by {lacking.what}, and {lacking.unknown}"
            return UNKNOWN, word, reason
        count = _count(lacking, self._approvers(able))
        reason = f"{but}the rules demand {lacking.count} by {lacking.what}, and {count} counts"
        return UNAPPROVED, lacking.word, reason

    def _heads(self, able: Sequence[Review]) -> str:
        if all(self._compared(one) is None for one in able):
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


def _first_heads(ordered: Sequence[Review]) -> dict[str, str]:
    """Carried review → the head at which that login last approved before."""
    given: dict[str, str] = {}
    found: dict[str, str] = {}
    for one in ordered:
        if one.carried:
            found[one.review] = given.get(person(one.reviewer), "")
        elif one.state == APPROVED:
            given[person(one.reviewer)] = one.commit
    return found


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
