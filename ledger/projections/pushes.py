"""Who pushed what to a tracked branch, as the forge authenticated them.

A push holds the first-parent steps that its new tip has and its old one lacks. A step that several
pushes brought (away and back again) came by the earliest. Several tellings of a push are merged field
by field by the forge's own time, so that the order of events makes no difference. Author text, which
anybody can write, says nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledger.events import RecordedEvent, RefPushed, RevisionObserved
from ledger.projections import Context, Projection, Row, Table, column, key_text
from ledger.projections.revisions import HEADS, RevisionRow, lines_apart
from ledger.tellings import Tellings, digest

PERSON, BOT, BYPASS = "person", "bot", "bypass"
MOST_LISTED = 100  # commits of a push that are looked at one by one


class PushRow(NamedTuple):
    """A push to a branch; `told` is what it is made from."""

    repository: str
    branch: str
    after_sha: str
    before_sha: str
    told: str
    evidence_position: int
    recorded_at: str


class PushedRow(NamedTuple):
    """A step that a push holds."""

    repository: str
    branch: str
    commit_sha: str
    after_sha: str
    before_sha: str


class LandingRow(NamedTuple):
    """By which push a step came first: who, when, and how they stood to the rules."""

    repository: str
    branch: str
    commit_sha: str
    pusher: str
    kind: str
    pushed_at: str
    after_sha: str
    reason: str
    evidence_position: int
    recorded_at: str


PUSHES = Table(
    "model_push",
    PushRow,
    key=("repository", "branch", "after_sha", "before_sha"),
    lookups=(("repository", "branch", "after_sha"),),
)
PUSHED = Table(
    "model_pushed_revision",
    PushedRow,
    key=("repository", "branch", "commit_sha", "after_sha", "before_sha"),
    lookups=(
        ("repository", "branch", "commit_sha"),
        ("repository", "branch", "after_sha", "before_sha"),
    ),
)
LANDINGS = Table("model_landing", LandingRow, key=("repository", "branch", "commit_sha"))


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, RefPushed):
        if data.ref.startswith(HEADS) and data.after:
            yield from _told(recorded, data, context)
    elif isinstance(data, RevisionObserved):
        found = context.find(
            PushRow, repository=data.repository, branch=key_text(data.branch), after_sha=data.commit
        )
        for push in found:
            yield from _holds(push, context)


def _told(recorded: RecordedEvent, data: RefPushed, context: Context) -> Iterable[Row]:
    branch = key_text(data.ref.removeprefix(HEADS))
    key = (data.repository, branch, column(data.after), column(data.before))
    known = context.get(PushRow, *key)
    told = Tellings(known.told if known else "")
    actor = recorded.actor
    values = {
        "forge": data.forge,
        "pusher": (actor.login or actor.name or actor.email) if actor else "",
        "bot": data.pusher_is_bot,
        "at": data.at,
        "result": data.result,
        "bypassed": data.bypassed,
    }
    # Each by itself, so that tellings which list others are joined in any order.
    values |= {f"commit {one}": True for one in data.commits[-MOST_LISTED:]}
    told.add(values, data.at, digest(data))
    push = PushRow(*key, told.text, recorded.position, recorded.recorded_at)
    yield push
    yield from _holds(push, context)


def _holds(push: PushRow, context: Context) -> Iterable[Row]:
    """The steps that a push brought, once its new tip is known as one."""
    for commit in _steps(push, context):
        yield PushedRow(push.repository, push.branch, commit, push.after_sha, push.before_sha)
    held = context.find(
        PushedRow,
        repository=push.repository,
        branch=push.branch,
        after_sha=push.after_sha,
        before_sha=push.before_sha,
    )
    for row in held:
        yield _landing(push.repository, push.branch, row.commit_sha, context)


def _steps(push: PushRow, context: Context) -> list[str]:
    where = (push.repository, push.branch)
    step = context.get(RevisionRow, *where, push.after_sha)
    if step is None:
        return []
    before = push.before_sha
    if not before or context.get(RevisionRow, *where, before) is not None:
        _, brought = lines_apart(*where, before, push.after_sha, context)
        return [row.commit_sha for row in brought]
    # A tip that the ledger never saw on the branch: only what the forge lists is known to be pushed.
    told = Tellings(push.told)
    found: list[str] = []
    while step is not None and (not found or told.get(f"commit {step.commit_sha}")):
        found.append(step.commit_sha)
        step = context.get(RevisionRow, *where, step.first_parent) if step.first_parent else None
    return found


def _landing(repository: str, branch: str, commit: str, context: Context) -> LandingRow:
    """A step as the earliest push that holds it brought it."""
    held = context.find(PushedRow, repository=repository, branch=branch, commit_sha=commit)
    pushes = [
        context.get(PushRow, repository, branch, row.after_sha, row.before_sha) for row in held
    ]
    best = min(
        (push for push in pushes if push is not None),
        key=lambda push: (Tellings(push.told).get("at") or "~", push.after_sha, push.before_sha),
    )
    told = Tellings(best.told)
    return LandingRow(
        repository=repository,
        branch=branch,
        commit_sha=commit,
        pusher=column(told.get("pusher")),
        kind=_kind(told),
        pushed_at=column(told.get("at")),
        after_sha=best.after_sha,
        reason=column(_reason(told)),
        evidence_position=best.evidence_position,
        recorded_at=best.recorded_at,
    )


def _kind(told: Tellings) -> str:
    if told.get("bypassed") or told.get("result") == BYPASS:
        return BYPASS
    if not told.get("pusher"):
        return ""
    return BOT if told.get("bot") or told.get("pusher").endswith("[bot]") else PERSON


def _reason(told: Tellings) -> str:
    who = told.get("pusher") or "somebody who is not told"
    host = told.get("forge").partition("/")[0]
    if _kind(told) != BYPASS:
        return f"{host} says that {who} pushed it"
    rules = ", ".join(told.get("bypassed", []))
    return f"{host} says that {who} pushed it past its rules" + (f": {rules}" if rules else "")


PROJECTION = Projection(
    name="pushes",
    version=1,
    tables=(PUSHES, PUSHED, LANDINGS),
    handles=(RefPushed, RevisionObserved),
    project=project,
    after=("revisions",),
)
