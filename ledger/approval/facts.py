"""What is judged of a pull request, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

APPROVED, UNAPPROVED, UNKNOWN = "approved", "unapproved", "unknown"
CHANGES_REQUESTED, DISMISSED = "changes_requested", "dismissed"
NOT_CODE_OWNER, TOO_FEW = "not_code_owner", "too_few"
_MIN_PREFIX = 12  # digits of a commit's name, as some forges cut it
_MAX_LOGIN = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A pull request as it merged: whose it is, who pushed to it, its head. Times are UTC text.

    `head` is the one that merged, else the present one; `merged_at` is empty where none was told.
    `commits` counts its commits, 0 where that is not told; `pushes` the pushes told up to the merge,
    which do not include that of what it was opened with; `listed` its commits whose people are told.
    Whoever merged it (`merged_by`) can write. `co_authors` are named in its commits' messages;
    `strangers` are hands in it of whom no login is known. `equals` tells of other heads how they compare
    to `head`. `judged_at` is a time after the merge to judge at again, empty for the merge itself.
    """

    author: str = ""
    contributors: frozenset[str] = frozenset()
    co_authors: frozenset[str] = frozenset()
    strangers: tuple[str, ...] = ()
    head: str = ""
    merged_at: str = ""
    judged_at: str = ""
    commits: int = 0
    pushes: int = 0
    listed: int = 0
    merged_by: str = ""
    equals: Mapping[str, Comparison] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether a head holds what the one that counts does, apart from clean updates from the base; how."""

    equal: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """`count` approvals by `people` (None: anybody's), which a rule demanded: `what`. They are logins,
    each as `person` gives it.

    `word` is the reason where they are missing. `unknown` says of whom it is not known that they are
    among the people.
    """

    word: str
    what: str
    count: int = 1
    people: frozenset[str] | None = None
    unknown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the rules in force demanded. `last_push` is that another person approves the last push."""

    quotas: tuple[Quota, ...] = ()
    last_push: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One review. `state` is what it said: approved, changes_requested, dismissed where only that is
    told, anything else being a comment. `commit` is the head it was given at (`deduced` where that is
    only the one that stood then), `association` how its reviewer belongs to the repository, in the words
    of GitHub. Empty is not told. `carried` is one given at an earlier head, which its forge counts at
    this one."""

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
    deduced: bool = False


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

    `approved_at` is when the last approval that was needed came; empty unless approved. `refusal` is the
    one word for why it is not approved.
    """

    verdict: str
    reason: str
    refusal: str
    approvers: tuple[Approver, ...]
    approved_at: str
    rulings: tuple[Ruling, ...]


def person(login: str) -> str:
    """Whom a login names, so that equal texts are one person; empty where it names nobody.

    What holds white space or a comma, or is longer than any forge allows, is no login.
    """
    fits = 0 < len(login) <= _MAX_LOGIN and login.isprintable()
    return "" if not fits or " " in login or "," in login else login.casefold()


def same_commit(one: str, other: str) -> bool:
    """Whether two names of commits are one: where one begins the other, of at least 12 digits."""
    short, long = sorted((one, other), key=len)
    return one == other or (len(short) >= _MIN_PREFIX and long.startswith(short))
