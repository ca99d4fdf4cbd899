"""Reviews of forges that keep one present vote of each person, and give it no id of its own.

A vote is named by its pull request, person, word and time, so that every telling of it has one key. One
that is taken back is told as a later one of that person that is dismissed. Where no commit is told with
it, it is the head that stood at the time, as far as the times of the heads tell, and marked as deduced.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from ledger.events import Identity, NewEvent, ReviewDismissed, ReviewSubmitted
from ledger.sources.payloads import Told

APPROVED: Final = "approved"
CHANGES_REQUESTED: Final = "changes_requested"
DISMISSED: Final = "dismissed"


class Vote(NamedTuple):
    """What somebody says of a pull request; `at` is empty where the forge does not tell when.

    `state` is approved, changes_requested, or dismissed, which takes back what was said before.
    """

    number: int
    who: Identity | None
    state: str
    at: str
    commit: str = ""
    deduced: bool = False
    bot: bool = False
    url: str = ""


class Head(NamedTuple):
    """A head of a pull request, and since when it is."""

    since: str
    commit: str


def voted(told: Told, vote: Vote) -> NewEvent:
    """A vote as a review."""
    review = name(vote)
    fact = ReviewSubmitted(
        repository=told.repository,
        forge=told.forge,
        number=vote.number,
        review=review,
        reviewer=vote.who,
        reviewer_is_bot=vote.bot,
        state=vote.state,
        commit=vote.commit,
        commit_deduced=vote.deduced and bool(vote.commit),
        submitted_at=vote.at,
        url=vote.url,
        raw=told.raw,
    )
    return told.event(f"review/{review}/submitted", vote.at, vote.who, fact)


def vanished(told: Told, gone: ReviewSubmitted) -> NewEvent:
    """A vote that was told once and that the forge no longer lists; when it was taken back is not told."""
    fact = ReviewDismissed(
        repository=told.repository,
        forge=told.forge,
        number=gone.number,
        review=gone.review,
        reviewer=gone.reviewer,
        commit=gone.commit,
    )
    return told.event(f"review/{gone.review}/dismissed", "", None, fact)


def name(vote: Vote) -> str:
    """What stands for the id of a vote."""
    who = vote.who.login if vote.who else ""
    return f"{vote.number}/{who}/{vote.state}/{vote.at or 'undated'}"


def head_at(heads: Iterable[Head], at: str) -> str:
    """The commit that was the head at a time; empty where none is told, or it moved in that very second."""
    before = sorted(one for one in heads if one.since and one.since <= at)
    if not before or (before[-1].since == at and len(before) > 1):
        return ""
    return before[-1].commit
