"""The tables of judgements, and of what has to be judged anew."""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.projections import Table

PEOPLE: Final = "people"  # in `SeenRow.what`: who is one person
ANEW: Final = "~"  # in `SeenRow.digest`: nothing of it is known any more


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
TABLES = (APPROVALS, RULINGS, LATER, COMPARED, JUDGED, JUDGED_TEAMS, RULED, SEEN)
