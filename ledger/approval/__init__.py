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

from collections.abc import Iterable, Mapping

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
from ledger.approval.judging import Case
from ledger.approval.reviews import STRICTNESS

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
        reviews, key=lambda one: (one.submitted_at, STRICTNESS.get(one.state, -1), one.review)
    )
    if proposal is None:
        why = "unknown_head: its forge tells nothing of the pull request itself"
        rulings = tuple(Ruling(one, False, why) for one in ordered)
        alone = "its forge told reviews of it and nothing else"
        nothing = "nothing was told of it by its forge"
        return Judgement(UNKNOWN, alone if ordered else nothing, "not_told", (), "", rulings)
    return Case(proposal, ordered, rules or Rules(), people or {}).judged()
