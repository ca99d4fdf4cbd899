"""What is true of the story's pull requests, pushes, rules and people: by hand, never from an answer."""

from __future__ import annotations

from typing import Final

from ledger.demo import truths
from ledger.demo.people import JONAS, MAYA, MAYA_AT_HOME, PRIYA, SAM, TOM, Person
from ledger.demo.shapes import Landing, Pull, Review
from ledger.demo.truths import APPROVED, UNAPPROVED


def _good(number: int, approver: Person, merged_by: Person) -> Pull:
    reason = f"approved by {approver.login} at the head that merged"
    return Pull(number, APPROVED, reason, (Review(approver, "approved"),), merged_by)


PULLS: Final = (
    _good(1, PRIYA, MAYA),
    _good(2, TOM, PRIYA),
    _good(3, MAYA, TOM),
    _good(4, TOM, MAYA),
    _good(5, MAYA, JONAS),
    _good(6, PRIYA, SAM),
    Pull(7, UNAPPROVED, "its forge tells of no approval", (), TOM),
    _good(8, PRIYA, PRIYA),
    _good(9, MAYA, MAYA),
    _good(10, TOM, PRIYA),
    Pull(11, UNAPPROVED, "its forge tells of no merge"),
    Pull(
        12,
        UNAPPROVED,
        "no approval counts: maya-l (stale: given at 17ee5e2286b3, but 1fcd542c66f0 merged; "
        "merging what was approved into the base gives another tree)",
        (Review(MAYA, "approved", "stale"),),
        JONAS,
    ),
    _good(13, MAYA, TOM),
    _good(14, PRIYA, TOM),
    Pull(
        15,
        UNAPPROVED,
        "changes that priya-r requested stood at the merge",
        (Review(PRIYA, "changes_requested", "changes_requested"), Review(MAYA, "approved")),
        JONAS,
    ),
    Pull(
        16,
        UNAPPROVED,
        "no approval counts: jonas-w (self: the author's own)",
        (Review(JONAS, "approved", "self"),),
        JONAS,
    ),
    _good(17, MAYA, PRIYA),
    _good(18, PRIYA, TOM),
    Pull(
        19,
        UNAPPROVED,
        "no approval counts: priya-r (dismissed: 2025-09-24T09:58:00Z)",
        (Review(PRIYA, "approved", "dismissed"),),
        SAM,
    ),
    Pull(
        20,
        UNAPPROVED,
        "no approval counts: maya-l (after_merge: given after the merge)",
        (Review(MAYA, "approved", "after_merge"),),
        SAM,
    ),
    _good(21, TOM, SAM),
    _good(22, PRIYA, MAYA),
    Pull(
        23,
        UNAPPROVED,
        "approved by jonas-w, but the rules demand an approval by a code owner of "
        "terraform/network/main.tf (@acme/platform), and there is none",
        (Review(JONAS, "approved", "not_code_owner"),),
        TOM,
    ),
    Pull(
        24,
        UNAPPROVED,
        "no approval counts: priya-r (co_author: its commits name who gave it as a co-author, "
        "and nobody else approved)",
        (Review(PRIYA, "approved", "co_author"),),
        TOM,
    ),
    # Brought up to date with main after the approval: recomputed, it is the same.
    Pull(
        25,
        APPROVED,
        "approved by maya-l at a head that, merged into the base, gives the very tree that merged",
        (Review(MAYA, "approved"),),
        JONAS,
    ),
    Pull(
        26,
        UNAPPROVED,
        "no approval counts: maya-home (self: the author's own, who is maya-l too)",
        (Review(MAYA_AT_HOME, "approved", "self"),),
        MAYA,
    ),
    _good(27, TOM, PRIYA),
)

# -- what the rules demanded -----------------------------------------------------------------------

PROTECTED_AT: Final = "2025-09-29T09:30:00Z"
# (branch, ruleset, since, approvals, of code owners): in force at the end.
RULES: Final = (("main", "branch protection", PROTECTED_AT, 1, 1),)
RULED_PULLS: Final = (23, 24, 25, 26, 27)
DEMANDED: Final = "1 approval; code owners"
NOT_SEEN: Final = f"not known: the rules for main were first seen at {PROTECTED_AT}"
# (pull request, the check of the head that merged, how it ended).
CHECKS: Final = (
    (23, "terraform plan", "success"),
    (25, "terraform plan", "success"),
    (26, "terraform plan", "failure"),
)

# -- who pushed, and what was taken back --------------------------------------------------------------

# What no pull request landed, who pushed it as the forge says (None: it was before the forge told
# of pushes), and how that stands to the rules.
DIRECT: Final[tuple[tuple[Landing, Person | None, str], ...]] = (
    (truths.START, None, "unknown"),
    (truths.FIVE, SAM, "person"),
    (truths.OPENED, SAM, "person"),
    (truths.DEBUG, JONAS, "person"),
    (truths.PHONE, TOM, "bypass"),
)
# (what takes back, what is taken back): Git shows that every file is as it was.
REVERTS: Final = ((truths.REVERTED, truths.SUBNET),)

# -- who is one person ---------------------------------------------------------------------------

# By ledger.toml; nothing joins other logins to addresses but the forge's own of Priya.
MAYAS: Final = (("email", MAYA.email), ("login", MAYA_AT_HOME.login), ("login", MAYA.login))
