"""What becomes of each review by itself: whether it is heard, and why it is no approval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ledger.approval.facts import (
    APPROVED,
    CHANGES_REQUESTED,
    DISMISSED,
    Comparison,
    Proposal,
    Review,
    person,
    same_commit,
)

# What a review can say besides a comment. Of two in one second the stricter is taken for the later.
STRICTNESS = {APPROVED: 0, DISMISSED: 1, CHANGES_REQUESTED: 2}
_LATER = "a later review of the same person takes its place"
STANDS = f"{CHANGES_REQUESTED}: it stands"
_GIVEN = "given at the head that counts"
# The associations with which GitHub lets a review count (`author_association`).
_WRITERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_MAX_ASSOCIATION = 32


class Reviews:
    """The reviews of one pull request, in order of time."""

    def __init__(
        self, proposal: Proposal, ordered: Sequence[Review], people: Mapping[str, str]
    ) -> None:
        self._proposal = proposal
        self._people = people
        self._until = max(proposal.merged_at, proposal.judged_at) if proposal.merged_at else ""
        self._first_heads = _first_heads(ordered)
        # Per login and not per person: an approval of one account lifts no request of another.
        self._last = {
            person(one.reviewer): one for one in self._heard(ordered) if self._is_opinion(one)
        }
        # What stood at the merge stood then, whatever came later.
        self._last_by_merge = {
            person(one.reviewer): one
            for one in ordered
            if self._is_opinion(one) and not self._after_merge(one.submitted_at)
        }
        self._author = self.who(proposal.author)

    def who(self, login: str) -> str:
        """The person of a login."""
        folded = person(login)
        return self._people.get(login) or self._people.get(folded) or folded

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
        told = person(one.reviewer) and one.submitted_at and one.state in STRICTNESS
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
        """What was asked for by the merge stood then, even if that was dismissed since."""
        asked = one.state == CHANGES_REQUESTED and not self._after_merge(one.submitted_at)
        late = self._after_merge if asked else self._too_late
        return one.dismissed and not late(one.dismissed_at)

    def refusal(self, one: Review) -> str:
        """Why a review is no approval of anybody's work, as `word: sentence`; empty where it is one."""
        if one.state not in STRICTNESS:
            return "comment: it says neither yes nor no"
        asks = one.state == CHANGES_REQUESTED
        if self._too_late(one.submitted_at) or (not asks and self._after_merge(one.submitted_at)):
            return "after_merge: given after the merge"
        if self._dismissed(one):
            return f"dismissed: {one.dismissed_at or 'the forge does not tell when'}"
        by_merge = asks and not self._after_merge(one.submitted_at)
        last = self._last_by_merge if by_merge else self._last
        superseded = self._is_opinion(one) and last.get(person(one.reviewer)) != one
        if asks:
            return (
                f"{CHANGES_REQUESTED}: {_LATER}" if superseded else self._no_access(one) or STANDS
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
        if self.who(one.reviewer) == self._author:
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
        compared = self.compared(one)
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

    def compared(self, one: Review) -> Comparison | None:
        """How the head at which it was first given compares to the one that counts, where told."""
        commit = self._first_heads.get(one.review, "") if one.carried else one.commit
        if not commit or same_commit(commit, self._proposal.head):
            return Comparison(True, "") if commit and one.carried else None
        return self._proposal.equals.get(commit)

    def given(self, one: Review) -> str:
        """At which head a review that counts was given, in words."""
        compared = self.compared(one)
        given = compared.reason if compared is not None and compared.reason else _GIVEN
        return (
            f"{given}; which head it was given at is deduced from its time"
            if one.deduced
            else given
        )


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
