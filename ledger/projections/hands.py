"""Who had a hand in a pull request, beside its author: who pushed, who wrote, who is named as co-author."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ledger.events import CommitObserved, Identity
from ledger.people import co_authors, is_own
from ledger.projections import Context, column
from ledger.projections.commits import CommitRow
from ledger.projections.links import MERGED, ClaimedRow, LinkRow
from ledger.projections.people import is_bot, person_of
from ledger.projections.reviews import ContributorRow, ReportedPullRequestRow
from ledger.projections.revisions import is_mainline

MOST = 250  # commits that are looked at


class People:
    """Who is who as of a merge. Keeps what it answered, so that it is known when an answer changes."""

    def __init__(self, context: Context, forge: str, at: str) -> None:
        self._context = context
        self._forge = forge
        self._at = at
        self._answers: dict[tuple[str, str], tuple[str, bool]] = {}

    def person(self, who: Identity) -> str:
        """Somebody, as `person_of` tells them."""
        return self._answer(who.login, who.email)[0]

    def is_bot(self, who: Identity) -> bool:
        """Whether somebody is known to be a program."""
        return self._answer(who.login, who.email)[1]

    def _answer(self, login: str, email: str) -> tuple[str, bool]:
        known = self._answers.get((login, email))
        if known is None:
            who = Identity(login=login, email=email)
            person = person_of(self._context, self._forge, who, self._at)
            known = person, is_bot(self._context, self._forge, who)
            self._answers[login, email] = known
        return known

    @property
    def text(self) -> str:
        """What was asked and answered, for a column."""
        kept = [[*asked, *answer] for asked, answer in sorted(self._answers.items())]
        return column(msgspec.json.encode([self._forge, self._at, kept]).decode())

    @staticmethod
    def would_say(context: Context, text: str) -> bool:
        """Whether the same questions have the same answers now."""
        forge, at, kept = msgspec.json.decode(text)
        people = People(context, forge, at)
        return all(
            people._answer(login, email) == (person, bot) for login, email, person, bot in kept
        )


class Hands:
    """The hands in a pull request, as texts of which `people` says who they are.

    Whoever is known by an address alone, of whom no login is known, is a stranger: perhaps anybody. What
    Git alone claims of authors can only add a hand, as anybody can write it.
    """

    def __init__(
        self,
        context: Context,
        pull: ReportedPullRequestRow,
        told: Sequence[ContributorRow],
        people: People,
    ) -> None:
        self._people = people
        self.people: dict[str, str] = {}
        contributors: set[str] = set()
        named: set[str] = set()
        strangers: set[str] = set()
        for row in told:
            one = Identity(login=row.login, email=row.email)
            text = self._known(one)
            if text or not row.email:
                contributors.add(text)
            elif not people.is_bot(one):
                strangers.add(row.email)
        for commit in _brought(context, pull):
            contributors.update(filter(None, [self._known(commit.author)]))
            for one in co_authors(commit.trailers):
                text = self._known(one)
                if text:
                    named.add(text)
                elif is_own(one.email) and not people.is_bot(one):
                    strangers.add(one.email.casefold())
        self.contributors = frozenset(contributors)
        self.co_authors = frozenset(named)
        self.strangers = tuple(sorted(strangers))

    def _known(self, who: Identity) -> str:
        """The text for somebody of whom a login is known; empty for others."""
        found = self._people.person(who)
        if not found or (not who.login and found.startswith("<")):
            return ""
        text = who.login or f"<{who.email.casefold()}>"
        self.people[text] = found
        return text


def landed(context: Context, pull: ReportedPullRequestRow) -> list[LinkRow]:
    """The links of the mainline commits that a pull request was merged as."""
    claimed = context.find(ClaimedRow, repository=pull.repository, number=pull.number)
    links = (context.get(LinkRow, one.repository, one.commit_sha, one.number) for one in claimed)
    return [link for link in links if link is not None and link.role == MERGED]


def commits_between(context: Context, repository: str, old: str, new: str) -> frozenset[str]:
    """The commits that a head has on top of an older one and the mainline.

    None where the older is not below it, or too much of what is between is not known.
    """
    seen: set[str] = set()
    found = False
    for commit, known in _walk(context, repository, [new], stop=old):
        if commit == old:
            found = True
        elif known is None:
            return frozenset()
        else:
            seen.add(commit)
    return frozenset(seen) if found and len(seen) < MOST else frozenset()


def _brought(context: Context, pull: ReportedPullRequestRow) -> Iterator[CommitObserved]:
    """The commits that it brought, as far as they are known, without merges."""
    starts = [pull.head_sha] if pull.head_sha else []
    merges = [link.commit_sha for link in landed(context, pull)]
    for commit in merges:
        row = context.get(CommitRow, pull.repository, commit)
        parents = row.parents.split() if row is not None else []
        if row is not None and len(parents) < 2:
            yield from _observed(context, row)
        starts += parents[1:]
    for commit, row in _walk(context, pull.repository, starts):
        if row is not None and commit not in merges and len(row.parents.split()) < 2:
            yield from _observed(context, row)


def _observed(context: Context, row: CommitRow) -> Iterable[CommitObserved]:
    data = context.event(row.evidence_position).data
    if isinstance(data, CommitObserved):
        yield data


def _walk(
    context: Context, repository: str, starts: Sequence[str], stop: str = ""
) -> Iterator[tuple[str, CommitRow | None]]:
    """Commits from some on downwards to the mainline, at most MOST, each with what is known of it."""
    waiting, seen = list(starts), set[str]()
    while waiting and len(seen) < MOST:
        commit = waiting.pop()
        if commit in seen or is_mainline(context, repository, commit):
            continue
        seen.add(commit)
        row = context.get(CommitRow, repository, commit)
        yield commit, row
        if row is not None and commit != stop:
            waiting += row.parents.split()
