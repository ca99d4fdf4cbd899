"""The rows of one object: its state, the origins of its fields, its episodes of drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec

from ledger.comparing import value_text
from ledger.live import DIFFERENT, Difference, stored
from ledger.projections import Context, Dropped, Row, column
from ledger.projections.applications import StateRow
from ledger.projections.live.deriving import Deriving
from ledger.projections.live.desired import App, Build, Builder, Sync
from ledger.projections.live.gathering import Gatherer, Owner
from ledger.projections.live.history import (
    Point,
    basis_of,
    episodes,
    fields_of,
    is_drift,
    newest_manager,
    standing_drift,
    verdict,
)
from ledger.projections.live.judging import (
    DERIVED,
    DRIFTED,
    EXTRA,
    UNKNOWN,
    UNLINKED,
    Declared,
    Evidence,
    Judgement,
    held_against,
    judge,
)
from ledger.projections.live.looking import Looks, hash_base
from ledger.projections.live.origins import Blamer, Origins, as_stored, collapsed
from ledger.projections.live.rows import (
    EpisodeRow,
    Identity,
    LiveRow,
    LookRow,
    OriginRow,
    VerdictRow,
)
from ledger.projections.revisions import RevisionRow

MAX_SHOWN = 50


def exchanged(row: type[Row], old: Mapping[Row, Row], new: Mapping[Row, Row]) -> Iterator[Row]:
    """What turns the rows of one set into those of another, both by their keys."""
    for key in old:
        if key not in new:
            yield Dropped(row, key)
    for key, one in new.items():
        if old.get(key) != one:
            yield one


class Objects:
    """Settles objects; lives for one settling."""

    def __init__(self, context: Context, builder: Builder, looks: Looks) -> None:
        self._context = context
        self._looks = looks
        self._gatherer = Gatherer(context, builder, looks)
        self._blamer = Blamer(context)
        self.deriving = Deriving(context, looks, self._gatherer)

    def settled(self, identity: Identity) -> Iterator[Row]:
        """The rows of an object that are no longer as its inputs want them."""
        last = self._looks.last(identity)
        owner = self._gatherer.owner(identity, last)
        if owner is not None:
            yield from self._owned(identity, last, owner)
            return
        judged = self._alone(identity, last) if last is not None and last.content else None
        row = _live_row(identity, last, None, judged) if judged else None
        yield from self._result(identity, row, {}, None)
        yield from self._history(identity, [], None)

    def _result(
        self,
        identity: Identity,
        row: LiveRow | None,
        origins: Mapping[str, Origins],
        build: Build | None,
    ) -> Iterator[Row]:
        known = self._context.get(LiveRow, *identity)
        if row is not None and row != known:
            yield row
        elif row is None and known is not None:
            yield Dropped(LiveRow, identity)
        yield from self._origin_rows(identity, origins, build)

    # -- whose it is -----------------------------------------------------------------------------

    def _alone(self, identity: Identity, last: LookRow) -> Judgement:
        """An object that no application declares, and that names none that is known."""
        made = self.deriving.made(identity, last)
        if made is not None:
            return made
        if last.claim:
            told = last.claim.removeprefix("?")
            reason = (
                f"it says that it belongs to {told}; no such application is known to declare it"
            )
        else:
            reason = "no application that is known declares it"
        return Judgement(EXTRA, UNLINKED, reason)

    def _made(self, identity: Identity, last: LookRow) -> Judgement | None:
        """The judgement of an object that a controller made."""
        made = self.deriving.made(identity, last)
        return made if made is not None and made.state == DERIVED else None

    # -- an object of an application -------------------------------------------------------------

    def _owned(self, identity: Identity, last: LookRow | None, owner: Owner) -> Iterator[Row]:
        app = owner.app
        there = last if last is not None and last.content is not None else None
        evidence = self._gatherer.evidence(identity, last, owner)
        declared = any(one and one.one is not None for one in (evidence.synced, evidence.tip))
        hidden = self._is_under_hash(identity, evidence)
        made = self._made(identity, there) if there and (hidden or not declared) else None
        maker = f"{made.reason} {made.maker.key if made.maker else ''}" if made is not None else ""
        inputs = self._gatherer.inputs(app, evidence, hidden, maker)
        known = self._context.get(LiveRow, *identity)
        if known is not None and known.inputs == inputs:
            return
        judged: Judgement | None = None
        if declared and not hidden:
            judged = judge(evidence)
        elif there is not None:
            judged = made or self._orphan(app) or judge(evidence)
        points = self._points(identity, app, evidence, judged)
        judged = _with_drift(judged, [point for point, _ in points])
        yield from self._told(identity, there, app, evidence, judged, inputs)
        yield from self._history(identity, points, app)

    def _orphan(self, app: App) -> Judgement | None:
        gone = "it belongs to an application that is gone"
        return None if app.present else Judgement(EXTRA, UNLINKED, gone)

    def _is_under_hash(self, identity: Identity, evidence: Evidence) -> bool:
        """Whether what is declared by its name alone is there, with a hash behind it."""
        declared = [one.one for one in (evidence.synced, evidence.tip) if one and one.one]
        if evidence.live is not None or all("metadata.name" not in one.open for one in declared):
            return False
        for one in self._looks.seen(*identity[:4]):
            if hash_base(one.name) == identity.name:
                last = self._looks.last(one)
                if last is not None and last.content is not None:
                    return True
        return False

    def _told(
        self,
        identity: Identity,
        last: LookRow | None,
        app: App,
        evidence: Evidence,
        judged: Judgement | None,
        inputs: str,
    ) -> Iterator[Row]:
        if judged is None:
            yield from self._result(identity, None, {}, None)
            return
        basis = judged.basis
        origins: dict[str, Origins] = {}
        if basis is not None and basis.one is not None:
            told = as_stored(identity.kind, self._blamer.origins(basis.build, basis.one))
            body = basis.one.body
            origins = collapsed(
                stored(body, identity.kind) if isinstance(body, dict) else body, told
            )
        changed = self._newest(origins, basis)
        if judged.state == DRIFTED and judged.comparison is not None:
            origins |= {one.field: () for one in judged.comparison.standing()}
        row = _live_row(identity, last, app, judged)._replace(
            synced_commit_sha=evidence.synced_commit,
            synced_at=evidence.synced_at,
            changed_commit_sha=changed,
            inputs=inputs,
        )
        since = self._made_again(identity, last, app, evidence) if last is not None else ""
        if since:
            row = row._replace(observed_at=since)
            if row.changed_at < since:
                row = row._replace(changed_at="", manager="")
        if last is None:
            state = self._context.find(StateRow, **app.name._asdict())
            row = row._replace(
                evidence_position=state[-1].evidence_position, recorded_at=state[-1].recorded_at
            )
        yield from self._result(identity, row, origins, basis.build if basis else None)

    def _made_again(self, identity: Identity, last: LookRow, app: App, evidence: Evidence) -> str:
        """When a sync made it as it is again after one that had made it otherwise, unseen; else empty.

        Where managed fields are told, another look would be there, because of their times.
        """
        if self._looks.at(identity)[-1].managers is not None:
            return ""
        again, otherwise = "", False
        for sync in app.syncs:
            if not last.observed_at < sync.ended_at <= evidence.synced_at:
                continue
            if not self._gatherer.brings(sync, app, identity):
                continue
            declared = self._gatherer.synced(app, identity, sync)[0]
            held = held_against(evidence, declared) if declared is not None else None
            if held is None:
                continue
            if held.verdict == DIFFERENT:
                otherwise = True
            elif otherwise and not held.standing():
                again, otherwise = sync.ended_at, False
        return again

    def _newest(self, origins: Mapping[str, Origins], basis: Declared | None) -> str:
        """The commit that changed the object last, by the order of the branch."""
        if basis is None:
            return ""
        line = basis.build.line
        commits = {one.commit for several in origins.values() for one in several} - {""}
        steps = [
            step
            for commit in commits
            if (step := self._context.get(RevisionRow, line.repository, line.branch, commit))
        ]
        newest = max(steps, key=lambda one: (one.number, one.commit_sha), default=None)
        return newest.commit_sha if newest is not None else ""

    def _origin_rows(
        self, identity: Identity, origins: Mapping[str, Origins], build: Build | None
    ) -> Iterator[Row]:
        rows: dict[Row, Row] = {}
        line = build.line if build is not None else None
        for field, several in origins.items():
            told = [(one.commit, one.path, one.field) for one in several] or [("", "", "")]
            for number, (commit, path, input_field) in enumerate(told):
                key = (identity.key, column(field), number)
                rows[key] = OriginRow(
                    *key,
                    repository=line.repository if line else "",
                    branch=line.branch if line else "",
                    commit_sha=commit,
                    path=column(path),
                    input_field=column(input_field),
                )
        old = self._context.find(OriginRow, object=identity.key)
        yield from exchanged(OriginRow, {one[:3]: one for one in old}, rows)

    # -- history ---------------------------------------------------------------------------------

    def _points(
        self,
        identity: Identity,
        app: App,
        evidence: Evidence,
        judged: Judgement | None,
    ) -> list[tuple[Point, VerdictRow | None]]:
        """Every look held against what was synced by then, and the last against what is synced now."""
        looks = self._looks.at(identity)
        found: list[tuple[Point, VerdictRow | None]] = []
        known = {
            (row.observed_at, row.mark): row
            for row in self._context.find(VerdictRow, object=identity.key)
        }
        for look in looks:
            if look.content is None:
                gone = Point(look.observed_at, False, True, (), "", "", look)
                found.append((gone, None))
            elif look.claim.startswith("?") or not look.claim or look.claim in app.claims:
                found.append(self._point(identity, look, app, evidence, known))
        last = looks[-1] if looks else None
        if last is None or last.content is None or judged is None or judged.comparison is None:
            return found
        if judged.state == UNKNOWN:
            if evidence.synced_at > last.observed_at:
                commit = evidence.synced_commit
                found.append((Point(evidence.synced_at, None, False, (), "", commit, last), None))
            return found
        drifted = judged.state == DRIFTED
        if evidence.synced_at > last.observed_at:
            # Looked at again since that sync, and unchanged: else there would be another look.
            fields = tuple(one.field for one in judged.comparison.standing()) if drifted else ()
            commit = evidence.synced_commit
            now = Point(evidence.synced_at, drifted, False, fields, "", commit, last)
            found.append((now, None))
        elif found and found[-1][0].drifted is not False and not drifted:
            # It is as the branch has it, although no sync told so.
            found[-1] = (found[-1][0]._replace(drifted=False), found[-1][1])
        return found

    def _point(
        self,
        identity: Identity,
        look: LookRow,
        app: App,
        evidence: Evidence,
        known: Mapping[tuple[str, str], VerdictRow],
    ) -> tuple[Point, VerdictRow]:
        sync = self._gatherer.sync_at(app, identity, look.observed_at)
        running = [one for one in app.syncs if one.started_at <= look.observed_at < one.ended_at]
        syncs = [*([sync] if sync is not None else []), *running]
        lines = [self._gatherer.lines(one) for one in syncs]
        basis = basis_of(app, syncs, lines, evidence.scaled_by)
        row = known.get((look.observed_at, look.mark))
        if row is None or row.basis != basis:
            row = self._judged(identity, look, app, evidence, [sync, *running], basis)
        commit = sync.revisions[0][1] if sync is not None and sync.revisions else ""
        at, drifted = look.observed_at, is_drift(row)
        return Point(at, drifted, False, fields_of(row), row.manager, commit, look), row

    def _judged(
        self,
        identity: Identity,
        look: LookRow,
        app: App,
        evidence: Evidence,
        syncs: Sequence[Sync | None],
        basis: str,
    ) -> VerdictRow:
        """A look held against the sync that had ended by then, and against one that was under way."""
        body, managers = self._looks.body(look), self._looks.managers(look)
        then = _changed(evidence, live=body, managers=managers)
        found, known = None, True
        for one in syncs:
            declared = self._gatherer.synced(app, identity, one)[0]
            if declared is None:
                known = False
                continue
            held = held_against(then, declared)
            if held is None or not held.standing():
                return verdict(identity, look, basis, None, "")
            found = found or held
        if not known:
            return verdict(identity, look, basis, None, "", known=False)
        standing = found.standing() if found is not None else []
        manager = newest_manager(standing, managers, body, look)
        return verdict(identity, look, basis, found, manager)

    def _history(
        self,
        identity: Identity,
        points: Sequence[tuple[Point, VerdictRow | None]],
        app: App | None,
    ) -> Iterator[Row]:
        verdicts: dict[Row, Row] = {row[:3]: row for _, row in points if row is not None}
        old = self._context.find(VerdictRow, object=identity.key)
        yield from exchanged(VerdictRow, {one[:3]: one for one in old}, verdicts)
        found = episodes(identity, app, [point for point, _ in points]) if app is not None else ()
        rows: dict[Row, Row] = {one[:2]: one for one in found}
        before = self._context.find(EpisodeRow, object=identity.key)
        yield from exchanged(EpisodeRow, {one[:2]: one for one in before}, rows)


def _with_drift(judged: Judgement | None, points: Sequence[Point]) -> Judgement | None:
    """The same with what it was like before nobody could tell: an episode that is open all the same."""
    drift = standing_drift(points)
    if judged is None or judged.state != UNKNOWN or drift is None:
        return judged
    fields = ", ".join(one or "everything" for one in drift.fields[:3])
    more = f" and {len(drift.fields) - 3} more" if len(drift.fields) > 3 else ""
    told = f"; it differed from Git in {fields}{more} at {drift.at}, and since then that cannot be told"
    return judged._replace(reason=judged.reason + told)


def _changed(evidence: Evidence, **changes: object) -> Evidence:
    return replace(evidence, **changes)  # type: ignore[arg-type]


def _live_row(
    identity: Identity, last: LookRow | None, app: App | None, judged: Judgement
) -> LiveRow:
    found = judged.comparison
    standing = found.standing() if found is not None else []
    excused = found.excused() if found is not None else []
    basis = judged.basis
    return LiveRow(
        **identity._asdict(),
        object=identity.key,
        present=int(last is not None),
        observed_at=last.observed_at if last else "",
        app_cluster=app.name.cluster if app else "",
        app_namespace=app.name.namespace if app else "",
        application=app.name.application if app else "",
        repository=basis.build.line.repository if basis else "",
        branch=basis.build.line.branch if basis else "",
        path=column(basis.one.path) if basis and basis.one else "",
        state=judged.state,
        grade=judged.grade,
        reason=column(judged.reason),
        differences=_shown(standing),
        excuses=_shown(excused),
        synced_commit_sha="",
        synced_at="",
        changed_commit_sha="",
        manager=last.manager if last else "",
        changed_at=last.changed_at if last else "",
        maker=judged.maker.key if judged.maker else "",
        inputs="",
        evidence_position=last.evidence_position if last else -1,
        recorded_at=last.recorded_at if last else "",
    )


def _shown(found: Sequence[Difference]) -> str:
    """Differences as JSON text, long values cut."""
    told = []
    for one in found[:MAX_SHOWN]:
        values = {
            "desired": msgspec.Raw(value_text(one.desired).encode()),
            "live": msgspec.Raw(value_text(one.live).encode()),
        }
        row: dict[str, object] = {"field": one.field, "action": one.action, **values}
        if one.excuse or one.doubt:
            row["reason"] = one.excuse or one.doubt
        told.append(row)
    return column(msgspec.json.encode(told).decode())
