"""The rules for changing branches and who is in teams, each as it was when somebody looked.

Nothing is known of the time before the first look. Every look is kept; what held at a time is that of
the last look by then, so the order in which looks are told makes no difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from ledger.codeowners import GITEA, GITLAB, fits
from ledger.events import Identity, RecordedEvent, RulesObserved, TeamObserved
from ledger.projections import Context, Projection, Row, Table, column, key_text
from ledger.tellings import digest

MAX_TIME = 32
# How the sets of rules begin that a pull request may have of its own.
APPROVAL_RULE = "approval rule "
_MOST = 2**31 - 1


class RuleRow(NamedTuple):
    """A look at one set of rules. -1 is not told; lists are parted by new lines; `facts` is a digest
    of all that it says, by which looks that saw the same are known."""

    repository: str
    branch: str
    ruleset: str
    observed_at: str
    digest: str
    forge: str
    found: int
    enforced: int
    pull_request_required: int
    approvals_required: int
    code_owners_required: int
    dismisses_stale: int
    last_push_approval: int
    admins_included: int
    rejections_block: int
    signatures_required: int
    stale_ignored: int
    author_counts: int
    priority: int
    number: int
    checks_required: str
    merge_methods: str
    bypassers: str
    approvers: str
    mergers: str
    facts: str
    evidence_position: int
    recorded_at: str


class TeamRow(NamedTuple):
    """A look at a team of a forge's host; `members` are identities as JSON text, in order."""

    host: str
    team: str
    observed_at: str
    digest: str
    members: str
    evidence_position: int
    recorded_at: str


RULES = Table(
    "model_rule",
    RuleRow,
    key=("repository", "branch", "ruleset", "observed_at", "digest"),
    lookups=(("repository",),),
)
TEAMS = Table(
    "model_team",
    TeamRow,
    key=("host", "team", "observed_at", "digest"),
    lookups=(("host", "team"),),
)


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, RulesObserved):
        rules = _rules(recorded, data)
        if context.get(RuleRow, *rules[:5]) is None:
            yield rules
    elif isinstance(data, TeamObserved):
        team = _team(recorded, data)
        if context.get(TeamRow, *team[:4]) is None:
            yield team


def _rules(recorded: RecordedEvent, data: RulesObserved) -> RuleRow:
    facts = msgspec.structs.replace(data, at="", raw="")
    return RuleRow(
        repository=data.repository,
        branch=key_text(data.branch),
        ruleset=key_text(data.ruleset),
        observed_at=column(data.at[:MAX_TIME]),
        digest=digest(data),
        forge=column(data.forge),
        found=int(data.found),
        enforced=_told(data.enforced),
        pull_request_required=_told(data.pull_request_required),
        approvals_required=_told(data.approvals_required),
        code_owners_required=_told(data.code_owners_required),
        dismisses_stale=_told(data.dismisses_stale),
        last_push_approval=_told(data.last_push_approval),
        admins_included=_told(data.admins_included),
        rejections_block=_told(data.rejections_block),
        signatures_required=_told(data.signatures_required),
        stale_ignored=_told(data.stale_ignored),
        author_counts=_told(data.author_counts),
        priority=max(0, min(data.priority, _MOST)),
        number=max(0, min(data.number, _MOST)),
        checks_required=_list(data.checks_required),
        merge_methods=_list(data.merge_methods),
        bypassers=_list(data.bypassers),
        approvers=_list(data.approvers),
        mergers=_list(data.mergers),
        facts=digest(facts),
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )


def _team(recorded: RecordedEvent, data: TeamObserved) -> TeamRow:
    told = [(one.login, one.name, one.email) for one in data.members]
    members = msgspec.json.encode(sorted(set(told))).decode()
    return TeamRow(
        host=host_of(data.forge),
        team=team_key(data.team),
        observed_at=column(data.at[:MAX_TIME]),
        digest=hashlib.sha256(members.encode()).hexdigest()[:32],
        members=column(members),
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )


def _told(value: bool | int | None) -> int:
    return -1 if value is None else max(0, min(int(value), _MOST))


def _list(values: Sequence[str]) -> str:
    return column("\n".join(sorted({one.replace("\n", " ") for one in values})))


def host_of(forge: str) -> str:
    """The host of a forge's repository, or of the forge itself."""
    return key_text(forge.partition("/")[0].casefold())


def team_key(team: str) -> str:
    """A team's name as it is looked up: forges know it in any case."""
    return key_text(team.removeprefix("@").casefold())


# -- what held at a time -----------------------------------------------------------------------------


def in_force(
    context: Context, repository: str, branch: str, at: str, dialect: str, number: int = 0
) -> list[RuleRow] | None:
    """The sets of rules that held for a branch at a time, by the last looks by then; None if never seen.

    A set that names the branch hides those of its name with a pattern. On Gitea one set holds alone. The
    approval rules of a pull request itself take the place of those of every one.
    """
    seen = [
        row
        for row in context.find(RuleRow, repository=repository)
        if row.number in (0, number)
        and (row.number or row.observed_at <= at)
        and holds_for(row.branch, branch, dialect)
    ]
    if not seen:
        return None
    last: dict[tuple[str, str, int], RuleRow] = {}
    for row in sorted(seen, key=lambda one: (one.observed_at, one.digest)):
        last[row.branch, row.ruleset, row.number] = row
    rows = [row for row in last.values() if row.found]
    if any(row.number for row in rows):
        rows = [row for row in rows if row.number or not row.ruleset.startswith(APPROVAL_RULE)]
    exact = {row.ruleset for row in rows if row.branch == branch}
    if dialect == GITEA:
        return _first(rows, branch)
    return [row for row in rows if row.branch == branch or row.ruleset not in exact]


def first_seen(context: Context, repository: str, branch: str, dialect: str) -> str:
    """When rules for a branch were first seen, empty if never."""
    times = [
        row.observed_at
        for row in context.find(RuleRow, repository=repository)
        if not row.number and holds_for(row.branch, branch, dialect)
    ]
    return min(times, default="")


def _first(rows: Sequence[RuleRow], branch: str) -> list[RuleRow]:
    ordered = sorted(
        rows,
        key=lambda row: (
            row.branch != branch,
            row.priority or _MOST,
            row.observed_at,
            row.branch,
        ),
    )
    return ordered[:1]


def holds_for(pattern: str, branch: str, dialect: str) -> bool:
    """Whether a rule's branch, perhaps a pattern of its forge, is this branch."""
    return pattern == branch or fits(pattern, branch, crossing=dialect == GITLAB)


def members(context: Context, host: str, team: str, at: str) -> list[Identity] | None:
    """Who was in a team by the last look at or before a time; None where nobody had looked."""
    looks = [
        row
        for row in context.find(TeamRow, host=host_of(host), team=team_key(team))
        if row.observed_at <= at
    ]
    if not looks:
        return None
    last = max(looks, key=lambda row: (row.observed_at, row.digest))
    return [
        Identity(login=login, name=name, email=email)
        for login, name, email in msgspec.json.decode(last.members)
    ]


PROJECTION = Projection(
    name="rules",
    version=2,
    tables=(RULES, TEAMS),
    handles=(RulesObserved, TeamObserved),
    project=project,
)
