"""Whether a pull request was approved, judged at its merge from what its forge tells.

Theory. What counts is the last review of each person that says yes or no; a comment says neither. It
must be given at the very head that merged, by the time of the merge (the same second counts as
before), and not be dismissed by then. Nobody approves for themselves: whoever wrote the pull
request or pushed to it needs the approval of another person, so a lone approval must come from
somebody else, while two people who both pushed may approve for each other. The author's own never
counts. Where it is not known who wrote or pushed, any one approval may be their own. Bots approve
nothing. Changes that anybody requested, bot or person, and that still stand at the merge make it
unapproved. Of whom the forge tells something that shows no write access, they neither approve nor
block, unless they merged it themselves; where it does not tell, they do. Who pushed is known from
told pushes and listed commits: where these are too few, a lone approval stands, and the reason
names the doubt.

Doubt never makes an approval. Only where its forge told nothing of the pull request is the verdict
*unknown*. People are compared by login, in any case. Not judged here: how many approvals the forge
asked for, code owners, heads of an equal tree, and clean merges of the base into the head.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

APPROVED, UNAPPROVED, UNKNOWN = "approved", "unapproved", "unknown"
CHANGES_REQUESTED, DISMISSED = "changes_requested", "dismissed"
# What a review can say besides a comment. Of two in one second the stricter is taken for the later.
_STRICTNESS = {APPROVED: 0, DISMISSED: 1, CHANGES_REQUESTED: 2}
_LATER = "a later review of the same person takes its place"
_STANDS = f"{CHANGES_REQUESTED}: it stands"
# The associations with which GitHub lets a review count (`author_association`).
_WRITERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_MAX_LOGIN = 255
_MAX_ASSOCIATION = 32
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A pull request as it merged: whose it is, who pushed to it, its head. Times are UTC text.

    `head` is the one that merged, else the present one; `merged_at` is empty where none was told.
    `commits` counts its commits, 0 where that is not told; `pushes` the pushes told up to the merge,
    which do not include that of what it was opened with; `listed` its commits whose people are told.
    Whoever merged it (`merged_by`) can write.
    """

    author: str = ""
    contributors: frozenset[str] = frozenset()
    head: str = ""
    merged_at: str = ""
    commits: int = 0
    pushes: int = 0
    listed: int = 0
    merged_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One review. `state` is what it said: approved, changes_requested, dismissed where only that is
    told, anything else being a comment. `commit` is the head it was given at, `association` how its
    reviewer belongs to the repository, in the words of GitHub. Empty is not told. `carried` is one
    given at an earlier head, which its forge counts at this one."""

    review: str
    reviewer: str = ""
    is_bot: bool = False
    state: str
    commit: str = ""
    submitted_at: str = ""
    dismissed: bool = False
    dismissed_at: str = ""
    association: str = ""
    carried: bool = False


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether a review counts. `reason` is `word: sentence`, the word naming the one reason against it."""

    review: Review
    counts: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Approver:
    """Somebody whose approval counts."""

    login: str
    approved_at: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, why, and what became of each review, in the order of their times.

    `approved_at` is when the last approval that was needed came; empty unless approved.
    """

    verdict: str
    reason: str
    approvers: tuple[Approver, ...]
    approved_at: str
    rulings: tuple[Ruling, ...]


def judge(proposal: Proposal | None, reviews: Iterable[Review]) -> Judgement:
    """Judges a pull request, None where nothing was told of it; in time linear in the reviews."""
    ordered = sorted(
        reviews, key=lambda one: (one.submitted_at, _STRICTNESS.get(one.state, -1), one.review)
    )
    if proposal is None:
        why = "unknown_head: its forge tells nothing of the pull request itself"
        rulings = tuple(Ruling(one, False, why) for one in ordered)
        alone = "its forge told reviews of it and nothing else"
        nothing = "nothing was told of it by its forge"
        return Judgement(UNKNOWN, alone if ordered else nothing, (), "", rulings)
    last = {_person(one): one for one in ordered if _is_opinion(one, proposal)}
    refusals = [_refusal(one, proposal, last) for one in ordered]
    able = [one for one, refusal in zip(ordered, refusals, strict=True) if not refusal]
    approved_at = _covered_at(able, proposal)
    if able and not approved_at:
        doubt = _own_work(proposal, able[0])
        refusals = [refusal or doubt for refusal in refusals]
        able = []
    rulings = tuple(
        Ruling(one, not refusal, refusal or "given at the head that counts")
        for one, refusal in zip(ordered, refusals, strict=True)
    )
    verdict, reason = _verdict(proposal, able, rulings)
    return Judgement(
        verdict,
        reason,
        tuple(Approver(one.reviewer, one.submitted_at) for one in able),
        approved_at if verdict == APPROVED else "",
        rulings,
    )


def person(login: str) -> str:
    """Whom a login names, so that equal texts are one person; empty where it names nobody.

    What holds white space or a comma, or is longer than any forge allows, is no login.
    """
    fits = 0 < len(login) <= _MAX_LOGIN and login.isprintable()
    return "" if not fits or " " in login or "," in login else login.casefold()


def _person(review: Review) -> str:
    return person(review.reviewer)


def _is_opinion(one: Review, proposal: Proposal) -> bool:
    """Whether it can take the place of an earlier review of the same person."""
    told = _person(one) and one.submitted_at and one.state in _STRICTNESS
    return bool(told) and _may_write(one, proposal) and not _after_merge(one.submitted_at, proposal)


def _may_write(one: Review, proposal: Proposal) -> bool:
    """Whether its reviewer can write to the repository, as far as told."""
    who = _person(one)
    if who and who == person(proposal.merged_by):
        return True
    return not one.association or one.association.upper() in _WRITERS


def _after_merge(at: str, proposal: Proposal) -> bool:
    return bool(proposal.merged_at) and at > proposal.merged_at


def _refusal(one: Review, proposal: Proposal, last: dict[str, Review]) -> str:
    """Why a review is no approval of anybody's work, as `word: sentence`; empty where it is one."""
    if one.state not in _STRICTNESS:
        return "comment: it says neither yes nor no"
    if _after_merge(one.submitted_at, proposal):
        return "after_merge: given after the merge"
    if one.dismissed and not _after_merge(one.dismissed_at, proposal):
        return f"dismissed: {one.dismissed_at or 'the forge does not tell when'}"
    superseded = _is_opinion(one, proposal) and last[_person(one)] != one
    if one.state == CHANGES_REQUESTED:
        return (
            f"{CHANGES_REQUESTED}: {_LATER}" if superseded else _no_access(one, proposal) or _STANDS
        )
    if superseded:
        return f"superseded: {_LATER}"
    if one.state == DISMISSED:
        return "dismissed: what it said before is not told"
    return _wrong_person(one, proposal) or _wrong_head(one, proposal) or _no_access(one, proposal)


def _wrong_person(one: Review, proposal: Proposal) -> str:
    who = _person(one)
    if not who:
        return "unknown_reviewer: the forge does not tell who gave it"
    if one.is_bot or who.endswith("[bot]"):
        return "bot: bots do not approve"
    if who == person(proposal.author):
        return "self: the author's own"
    return ""


def _no_access(one: Review, proposal: Proposal) -> str:
    told = one.association[:_MAX_ASSOCIATION]
    if _may_write(one, proposal):
        return ""
    return f"no_write_access: nothing shows that they can write; the forge calls them {told}"


def _wrong_head(one: Review, proposal: Proposal) -> str:
    if not one.submitted_at:
        return "undated: the forge does not tell when it was given"
    if not one.commit:
        return "unknown_head: the forge does not tell at which head it was given"
    if not proposal.head:
        return "unknown_head: the forge does not tell which head counts"
    if one.carried:
        return "carried: given at an earlier head; a rule of the forge carried it over"
    if one.commit != proposal.head:
        counts = "merged" if proposal.merged_at else "is its head now"
        return f"stale: given at {one.commit[:12]}, but {proposal.head[:12]} {counts}"
    return ""


def _covered_at(able: Sequence[Review], proposal: Proposal) -> str:
    """When everybody who had a hand in it had another person's approval; empty if never."""
    own = {person(login) for login in (proposal.author, *proposal.contributors)}
    approvers: set[str] = set()
    for one in able:
        approvers.add(_person(one))
        outsiders = set() if "" in own else approvers - own
        if outsiders or len(approvers) > 1:
            return one.submitted_at
    return ""


def _own_work(proposal: Proposal, one: Review) -> str:
    if _person(one) in {person(login) for login in proposal.contributors}:
        return "contributor: given by somebody who pushed to it, and nobody else approved"
    what = "pushed to it" if person(proposal.author) else "wrote it"
    return f"contributor: it is not known who {what}, so it may be their own"


def _verdict(
    proposal: Proposal, able: Sequence[Review], rulings: Sequence[Ruling]
) -> tuple[str, str]:
    names = _together([one.reviewer for one in able])
    if not proposal.merged_at:
        also = f"; its head now is approved by {names}" if able else ""
        return UNAPPROVED, f"its forge tells of no merge{also}"
    standing = [one.review for one in rulings if one.reason == _STANDS]
    if standing:
        return UNAPPROVED, f"changes that {_who(standing[-1])} requested stood at the merge"
    if able:
        return APPROVED, f"approved by {names} at the head that merged{_doubt(proposal, able)}"
    tried = [
        f"{_who(one.review)} ({one.reason})"
        for one in reversed(rulings)
        if one.review.state in (APPROVED, DISMISSED) and not one.reason.startswith("superseded")
    ]
    if tried:
        return UNAPPROVED, f"no approval counts: {', '.join(tried[:_SHOWN])}"
    return UNAPPROVED, "nobody approved it"


def _doubt(proposal: Proposal, able: Sequence[Review]) -> str:
    """What the told pushes leave open; nothing where two approve, as each covers the other.

    The opening and every push bring at least a commit each.
    """
    told = max(1 + proposal.pushes, proposal.listed)
    if len({_person(one) for one in able}) > 1 or proposal.commits <= told:
        return ""
    return f"; who pushed its {proposal.commits} commits is not all told"


def _who(review: Review) -> str:
    return review.reviewer if _person(review) else "somebody unknown"


def _together(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and 2 others`."""
    if len(names) > _SHOWN:
        return f"{', '.join(names[:2])} and {len(names) - 2} others"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
