"""The events that every forge gives, under natural keys: each way of telling a fact has the same one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ledger.errors import SourceError
from ledger.events import (
    Identity,
    NewEvent,
    ProposedCommit,
    PullRequest,
    PullRequestClosed,
    PullRequestListed,
    PullRequestMerged,
    PullRequestOpened,
    PullRequestPushed,
    RefPushed,
    RulesObserved,
    TeamObserved,
)
from ledger.sources import Tools
from ledger.sources.payloads import Told


def opened(
    told: Told, data: PullRequest, at: str, actor: Identity | None, *, again: bool = False
) -> NewEvent:
    """A pull request was opened, or `again`; also how an open one stands now."""
    key = f"pull/{data.number}/reopened/{at}" if again else f"pull/{data.number}/opened"
    fact = PullRequestOpened(
        repository=told.repository,
        forge=told.forge,
        pull_request=data,
        at=at,
        reopened=again,
        raw=told.raw,
    )
    return told.event(key, at, actor, fact)


def pushed(
    told: Told, data: PullRequest, before: str, after: str, at: str, actor: Identity | None
) -> NewEvent:
    """The head of a pull request moved. The time is no part of the key: webhook and API differ in it."""
    fact = PullRequestPushed(
        repository=told.repository,
        forge=told.forge,
        pull_request=data,
        before=before,
        after=after,
        at=at,
        raw=told.raw,
    )
    return told.event(f"pull/{data.number}/pushed/{before}..{after}", at, actor, fact)


class Merge(NamedTuple):
    """How a pull request was merged: what landed, when, who did it, and what else is told of it."""

    commit: str
    at: str
    by: Identity | None = None
    by_bot: bool = False
    method: str = ""
    commits: int = 0


def merged(
    told: Told,
    data: PullRequest,
    merge: Merge,
    actor: Identity | None = None,
    *,
    dated: bool = True,
) -> NewEvent:
    """A pull request was merged. Raises SourceError where nothing says when, unless it need not be `dated`.

    `actor` is who acted where who merged is not told.
    """
    if dated and not merge.at:
        raise SourceError(f"pull request {data.number} is merged and has no time of it")
    fact = PullRequestMerged(
        repository=told.repository,
        forge=told.forge,
        pull_request=data,
        merge_commit=merge.commit,
        merged_at=merge.at,
        merged_by=merge.by,
        merged_by_bot=merge.by_bot,
        method=merge.method,
        commits=merge.commits,
        raw=told.raw,
    )
    return told.event(f"pull/{data.number}/merged", merge.at, merge.by or actor, fact)


def closed(told: Told, data: PullRequest, at: str, actor: Identity | None) -> NewEvent:
    """A pull request was closed and not merged."""
    fact = PullRequestClosed(
        repository=told.repository,
        forge=told.forge,
        pull_request=data,
        closed_at=at,
        raw=told.raw,
    )
    return told.event(f"pull/{data.number}/closed/{at}", at, actor, fact)


def listed(told: Told, of: int, head: str, commits: Sequence[ProposedCommit]) -> NewEvent:
    """The commits of a pull request at a head, oldest first. No time belongs to it."""
    fact = PullRequestListed(
        repository=told.repository,
        forge=told.forge,
        number=of,
        head=head,
        commits=list(commits),
        raw=told.raw,
    )
    return told.event(f"pull/{of}/commits/{head}", "", None, fact)


def ref_pushed(told: Told, fact: RefPushed, who: Identity | None) -> NewEvent:
    """A branch or tag moved. Webhook and API tell it at different times, so none is part of the key."""
    return told.event(f"ref/{fact.ref}/pushed/{fact.before}..{fact.after}", fact.at, who, fact)


def rules(told: Told, fact: RulesObserved, who: Identity | None = None) -> NewEvent:
    """The rules that were in force for a branch at a time; `who` changed them, where that is told."""
    return told.event(f"rules/{fact.branch}/{fact.ruleset}/{fact.at}", fact.at, who, fact)


def team(kind: str, fact: TeamObserved) -> NewEvent:
    """Who was in a team at a time, as a source of a kind was told. It belongs to no repository."""
    return NewEvent(
        stream=f"team/{fact.forge}/{fact.team}",
        key=f"{fact.forge}/team/{fact.team}/{fact.at}",
        source=kind,
        occurred_at=fact.at,
        data=fact,
    )


# -- what was observed before ----------------------------------------------------------------------


def is_news(fact: RulesObserved | TeamObserved, prefix: str, tools: Tools) -> bool:
    """Whether it differs from what was told last, up to then, under the keys with a prefix."""
    known = [
        (one.data.at, one.key, one.data)
        for one in tools.told(prefix)
        if isinstance(one.data, RulesObserved | TeamObserved) and one.data.at <= fact.at
    ]
    return not known or timeless(max(known, key=lambda one: one[:2])[2]) != timeless(fact)


def timeless(fact: RulesObserved | TeamObserved) -> RulesObserved | TeamObserved:
    """What was observed, apart from when and from which text."""
    return msgspec.structs.replace(fact, at="", raw="")
