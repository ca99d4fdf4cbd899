"""The state of one object, from what was seen of it and what Git declares of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ledger.kustomize.results import Effective
from ledger.live import (
    DIFFERENT,
    DOUBTFUL,
    EXCUSED,
    SAME,
    Circumstances,
    Comparison,
    Ignore,
    compare,
    in_force,
)
from ledger.projections.live.desired import Build
from ledger.projections.live.rows import Identity
from ledger.resources import Value

IN_SYNC, PENDING, ROLLED_BACK, DRIFTED = "in_sync", "pending", "rolled_back", "drifted"
ABSENT, EXTRA, DERIVED, NOT_OBSERVED = "absent", "extra", "derived", "not_observed"
UNKNOWN = "unknown"
REPORTED, INFERRED, UNLINKED = "reported", "inferred", "unlinked"
_EQUAL = (SAME, EXCUSED)


class Declared(NamedTuple):
    """What a source declares of an object at a revision; `one` is None where it declares none."""

    build: Build
    one: Effective | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a state is judged by.

    `live` is None where the object is gone or was never seen; `looked` tells that somebody looked.
    `synced` and `tip` are None where that revision, or what it declares, cannot be known; `why_unknown`
    says why. `synced_at` is empty where no sync is recorded. `stated_by` is the person on whose word
    alone it is gone.
    """

    identity: Identity
    live: Value
    looked: bool
    synced: Declared | None
    tip: Declared | None
    synced_at: str = ""
    synced_commit: str = ""
    rolled_back: bool = False
    local: bool = False
    claimed: bool = False
    why_unknown: str = ""
    managers: Value = None
    application: str = ""
    scaled_by: str = ""
    stated_by: str = ""
    rules: tuple[Ignore, ...] = ()


class Judgement(NamedTuple):
    """The verdict; `basis` is what the object was held against, `comparison` how they differ.

    `maker` is the declared object that a derived one was made of.
    """

    state: str
    grade: str
    reason: str
    basis: Declared | None = None
    comparison: Comparison | None = None
    maker: Identity | None = None


def held_against(evidence: Evidence, declared: Declared) -> Comparison | None:
    """The live object compared with a declared one; None where nothing is declared."""
    one, identity = declared.one, evidence.identity
    if one is None or evidence.live is None:
        return None
    rules = in_force(
        evidence.rules, identity.api_group, identity.kind, identity.namespace, identity.name
    )
    given = Circumstances(
        open_fields=one.open,
        unknown=frozenset(one.unknown),
        rules=rules,
        managers=evidence.managers,
        application=evidence.application,
        scaled_by=evidence.scaled_by,
    )
    return compare(one.body, evidence.live, identity.api_group, identity.kind, given)


def judge(evidence: Evidence) -> Judgement:
    """The state of an object that an application declares or that says it belongs to one."""
    if evidence.live is None:
        judged = _not_there(evidence)
        if not evidence.stated_by or judged.state == NOT_OBSERVED:
            return judged
        word = f"; that it is not there is the word of {evidence.stated_by}, who handed over a dump"
        return judged._replace(grade=INFERRED, reason=judged.reason + word)
    synced = evidence.synced
    if synced is not None and synced.one is not None:
        return _against_synced(evidence, synced)
    if evidence.tip is not None and evidence.tip.one is not None:
        return _against_tip(evidence, evidence.tip)
    return _undeclared(evidence)


def _not_there(evidence: Evidence) -> Judgement:
    synced, tip = evidence.synced, evidence.tip
    basis = synced if synced is not None and synced.one is not None else tip
    grade = _grade(basis)
    if not evidence.looked:
        return Judgement(
            NOT_OBSERVED, UNLINKED, "no look at the cluster covered objects of this kind", basis
        )
    if synced is not None and synced.one is None:
        return Judgement(PENDING, grade, "declared since the last sync, and not applied yet", basis)
    if synced is None and not evidence.synced_at:
        return Judgement(ABSENT, grade, "it is declared and not there; no sync is recorded", basis)
    if synced is None:
        reason = f"it is declared at the tip and not there; {evidence.why_unknown}"
        return Judgement(ABSENT, INFERRED, reason, basis)
    if tip is not None and tip.one is None:
        return Judgement(
            PENDING, grade, "it is gone, as the branch has it since; no sync told so", basis
        )
    return Judgement(ABSENT, grade, "the synced revision declares it, and it is not there", basis)


def _against_synced(evidence: Evidence, synced: Declared) -> Judgement:
    found = held_against(evidence, synced)
    assert found is not None
    if found.verdict in _EQUAL:
        return _as_synced(evidence, synced, found)
    tip = evidence.tip
    ahead = held_against(evidence, tip) if tip is not None else None
    if tip is not None and ahead is not None and ahead.verdict in _EQUAL:
        reason = "it is as the branch has it; the last sync that is known applied an older revision"
        return Judgement(IN_SYNC, _grade(tip), reason + _excused(ahead), tip, ahead)
    if found.verdict == DOUBTFUL:
        doubts = sorted({one.doubt for one in found.standing()})
        reason = f"it cannot be told whether it differs: {'; '.join(doubts[:3])}"
        return Judgement(UNKNOWN, UNLINKED, reason, synced, found)
    assert found.verdict == DIFFERENT
    return Judgement(DRIFTED, _grade(synced), _drift(evidence, synced, found), synced, found)


def _as_synced(evidence: Evidence, synced: Declared, found: Comparison) -> Judgement:
    tip, grade, excused = evidence.tip, _grade(synced), _excused(found)
    if tip is None:
        reason = (
            "it is as the synced revision declares it; what the application follows is not known"
        )
        return Judgement(IN_SYNC, grade, reason + excused, synced, found)
    if tip.one is None and tip.build.is_whole:
        return Judgement(
            PENDING,
            grade,
            "the branch no longer declares it, and no sync has removed it",
            synced,
            found,
        )
    ahead = held_against(evidence, tip)
    if ahead is None or ahead.verdict in _EQUAL:
        reason = "it is as the synced revision declares it"
        return Judgement(IN_SYNC, grade, reason + excused + _unread(synced), synced, found)
    fields = _names(ahead)
    if evidence.rolled_back:
        reason = (
            f"it is as a sync back to an older revision made it; the branch differs in {fields}"
        )
        return Judgement(ROLLED_BACK, grade, reason, synced, found)
    reason = f"it is as the synced revision declares it; Git is ahead in {fields}"
    return Judgement(PENDING, grade, reason, synced, found)


def _against_tip(evidence: Evidence, tip: Declared) -> Judgement:
    """No synced revision that declares it is known: what the branch has now is all there is to hold it to."""
    found = held_against(evidence, tip)
    assert found is not None
    if evidence.synced is not None:
        before = "the synced revision does not declare it"
    else:
        before = evidence.why_unknown or "no sync is recorded"
    if found.verdict in _EQUAL:
        reason = f"it is as the branch has it; {before}"
        return Judgement(IN_SYNC, _grade(tip), reason + _excused(found), tip, found)
    if evidence.synced is not None and found.verdict == DIFFERENT:
        reason = f"{before}, and it differs from the branch in {_names(found)}"
        return Judgement(DRIFTED, _grade(tip), reason + _unread(tip), tip, found)
    reason = f"it differs from the branch in {_names(found)}; {before}, so Git may be ahead"
    return Judgement(UNKNOWN, UNLINKED, reason, tip, found)


def _undeclared(evidence: Evidence) -> Judgement:
    builds = [one.build for one in (evidence.synced, evidence.tip) if one is not None]
    if not builds:
        reason = evidence.why_unknown or "what its application declares is not known"
        return Judgement(UNKNOWN, UNLINKED, reason)
    unread = [build for build in builds if not build.is_whole]
    if unread:
        reason = f"nothing that was read declares it; not read: {unread[0].not_read()}"
        return Judgement(UNKNOWN, UNLINKED, reason)
    return Judgement(
        EXTRA, INFERRED, "it says that it belongs to its application, which does not declare it"
    )


def _grade(declared: Declared | None) -> str:
    """What is declared in full is reported, as the cluster is; what a kustomization made is inferred."""
    if declared is None or declared.one is None:
        return INFERRED
    one = declared.one
    plain = not one.decided and not one.removed and not one.included
    return REPORTED if plain and not declared.build.rendered.unread else INFERRED


def _drift(evidence: Evidence, synced: Declared, found: Comparison) -> str:
    reason = f"it differs from the synced revision in {_names(found)}"
    if evidence.local:
        reason += "; the last sync applied a person's own manifests"
    if found.unread:
        reason += f"; not evaluated: {', '.join(found.unread[:3])}"
    return reason + _unread(synced)


def _names(found: Comparison) -> str:
    names = [one.field or "everything" for one in found.standing()]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _excused(found: Comparison) -> str:
    told = sorted({one.excuse for one in found.excused()})
    return f", but for what is excused: {'; '.join(told[:3])}" if told else ""


def _unread(declared: Declared) -> str:
    text = declared.build.not_read()
    return f"; not read: {text}" if text else ""
