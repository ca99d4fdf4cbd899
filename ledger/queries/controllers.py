"""What GitOps controllers tell: syncs, and applications that were made, told otherwise, or went."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ledger.queries.answers import Entry
from ledger.store.drivers import Connection

SYNCED, SYNC_FAILED = "synced", "sync_failed"
SUSPENDED, RESUMED, APPLICATION = "suspended", "resumed", "application"

_SYNCED = (
    "at", "environment", "cluster", "application", "repository", "revision", "previous_revision",
    "outcome", "kind", "initiated_by", "automated", "message", "evidence_position", "recorded_at",
)  # fmt: skip
_HOW = {
    "initial": "for the first time",
    "unknown_since": "the first sync that is known",
    "source_changed": "from another source than before",
    "change": "",
    "repeat": "the same revision again",
    "rollback": "back to an older revision",
    "self_heal": "putting back what was changed by hand",
    "partial": "chosen resources only",
    "local": "from a person's own files, not from Git",
    "failed": "",
}


def syncs(connection: Connection, since: str, until: str) -> Iterator[Entry]:
    """The syncs that ended in a span, also those that failed."""
    rows = connection.rows(
        "select case when finished_at = '' then started_at else finished_at end as at, "  # noqa: S608
        f"{', '.join(_SYNCED[1:])} from deployments "
        "where case when finished_at = '' then started_at else finished_at end >= ? "
        "and case when finished_at = '' then started_at else finished_at end < ?",
        [since, until],
    )
    for values in rows:
        row = dict(zip(_SYNCED, values, strict=True))
        failed = row["outcome"] == "failed"
        yield Entry(
            at=row["at"],
            clock="the controller says so",
            kind=SYNC_FAILED if failed else SYNCED,
            environments=[row["environment"]] if row["environment"] else [],
            cluster=row["cluster"],
            application=row["application"],
            repository=row["repository"],
            commit_sha=row["revision"],
            who=row["initiated_by"] or ("automated" if row["automated"] else ""),
            what=_sync_text(row, failed),
            alarming=failed or row["kind"] in ("local", "rollback", "partial"),
            grade="reported",
            reason="",
            evidence_position=row["evidence_position"],
            recorded_at=row["recorded_at"],
        )


def _sync_text(row: Mapping[str, Any], failed: bool) -> str:
    revision = str(row["revision"])
    shown = revision[:9] if len(revision) >= 40 else revision or "an unknown revision"
    if failed:
        return f"{shown} failed: {row['message'] or 'no reason is told'}"
    how = _HOW.get(row["kind"], row["kind"])
    return f"{shown}, {how}" if how else shown


_TOLD = (
    "at", "observed_at", "environment", "cluster", "application", "repository", "action", "fields",
    "old_value", "new_value", "evidence_position", "recorded_at",
)  # fmt: skip
# An application that was made before its cluster was first looked at is no news when it is first seen.
_AT = (
    "case when c.action = 'created' and c.created_at <> '' then c.created_at "
    "when c.action = 'created' and exists (select 1 from model_first_look f "
    "where f.cluster = c.controller_cluster and f.observed_at >= c.observed_at) then '' "
    "else c.observed_at end"
)


def applications(connection: Connection, since: str, until: str) -> Iterator[Entry]:
    """The applications that were made, told otherwise, or went in a span."""
    rows = connection.rows(
        f"select * from (select {_AT} as at, {', '.join(_TOLD[1:])} "  # noqa: S608
        "from application_changes c) t where at >= ? and at < ?",
        [since, until],
    )
    for values in rows:
        row = dict(zip(_TOLD, values, strict=True))
        kind, what = _application_text(
            row["action"], row["fields"], row["old_value"], row["new_value"]
        )
        looked = row["at"] == row["observed_at"]
        yield Entry(
            at=row["at"],
            clock="first seen so then; it happened since the look before"
            if looked
            else "as its cluster claims",
            kind=kind,
            environments=[row["environment"]] if row["environment"] else [],
            cluster=row["cluster"],
            application=row["application"],
            repository=row["repository"],
            what=what,
            alarming=kind == SUSPENDED or row["action"] == "deleted",
            grade="reported",
            reason="the controller does not tell who did it",
            evidence_position=row["evidence_position"],
            recorded_at=row["recorded_at"],
        )


def _application_text(action: str, told: str, old: str | None, new: str | None) -> tuple[str, str]:
    if action != "changed":
        return APPLICATION, f"the application was {action}"
    names = told.split(", ")
    also = ", ".join(name for name in names if name != "automated")
    rest = f"; also changed: {also}" if also else ""
    if "automated" in names:
        on = bool(json.loads(new or "{}").get("automated", False))
        word = "on" if on else "off"
        return RESUMED if on else SUSPENDED, f"automated sync was turned {word}{rest}"
    before, after = json.loads(old or "{}"), json.loads(new or "{}")
    steps = [f"{name}: {_short(before.get(name))} → {_short(after.get(name))}" for name in names]
    return APPLICATION, f"the application was changed: {'; '.join(steps)}"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"
