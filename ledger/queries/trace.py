"""From a live object back to who approved what it is: live, desired, revision, pull request, approvers, sync.

Every hop says how well it is known, why, and which events show it; the chain is known no better than
its weakest hop. Two verdicts stand apart: whether the object is as Git has it, and whether what made
it so was approved, judged by the worst of the changes that set its fields.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import msgspec

from ledger import fields
from ledger.errors import NotFoundError
from ledger.queries.answers import Differing, Finding, Hop, Revision, Setting, Trace
from ledger.queries.asking import Asker
from ledger.queries.clusters import Places
from ledger.queries.deployed import LIVE, PARTLY, ROLLED_BACK, where_live
from ledger.queries.objects import Object, find_object, object_of
from ledger.queries.revisions import landed_clock
from ledger.resources import Value
from ledger.store import Store
from ledger.store.drivers import Connection

GRADES = ("proved", "reported", "inferred", "unlinked")
VERDICTS = ("approved", "waived", "unknown", "unapproved", "unexplained")
_BROKEN = ("drifted", "extra", "unknown", "not_observed", "absent")


class Tracer:
    """Traces objects of one open ledger."""

    def __init__(self, store: Store, asker: Asker) -> None:
        self._store = store
        self._connection: Connection = store.connection
        self._asker = asker

    def trace(
        self, name: str, *, namespace: str | None = None, cluster: str = "", field: str = ""
    ) -> Trace:
        """The trace of an object, or of one field of it.

        A few indexed reads, and one look at all syncs. Raises NotFoundError with near names, and
        AmbiguousError with the objects that answer, such as one in each of several clusters.
        """
        one = find_object(self._connection, name, namespace=namespace, cluster=cluster)
        differences = [*_differing(one.differences), *_differing(one.excuses, excused=True)]
        settings, about = self._settings(one), dict[str, list[str]]()
        if field:
            differences, settings, about = self._narrowed(one, field, differences, settings)
        settings.sort(key=lambda each: _badness(each, one, bool(field)), reverse=True)
        chosen = next((each for each in settings if each.revision is not None), None)
        hops = [
            self._live(one),
            self._desired(one, differences, bool(field)),
            *self._behind(one, chosen, about),
        ]
        weakest = max(hops, key=lambda hop: GRADES.index(hop.grade))
        environment, tier = self._environment(one)
        return Trace(
            cluster=one.cluster,
            api_group=one.api_group,
            kind=one.kind,
            namespace=one.namespace,
            name=one.name,
            environment=environment,
            tier=tier,
            application=one.application,
            observed_at=one.observed_at,
            seen_at=self._seen_at(one),
            state=Finding(verdict=one.state, reason=one.reason),
            approval=self._approval(one, settings, differences if field else None),
            grade=weakest.grade,
            weakest=weakest.hop,
            decides=chosen.revision.commit_sha if chosen and chosen.revision else "",
            hops=hops,
            differences=differences,
            settings=settings,
        )

    def _approval(
        self, one: Object, settings: Sequence[Setting], narrowed: Sequence[Differing] | None
    ) -> Finding:
        """What a controller made of a declared object is approved as that is.

        `narrowed` is what differs in the fields that are meant, None where all are.
        """
        owner = object_of(self._connection, one.maker) if one.maker else None
        if owner is None:
            return _judged(settings, one, narrowed)
        behind = self._settings(owner)
        behind.sort(key=lambda each: _badness(each, owner, False), reverse=True)
        found = _judged(behind, owner, None)
        return Finding(
            verdict=found.verdict, reason=f"of its owner {owner.title()}: {found.reason}"
        )

    # -- what set it -----------------------------------------------------------------------------

    def _settings(self, one: Object) -> list[Setting]:
        rows = self._connection.rows(
            "select field, repository, branch, commit_sha, path, input_field from model_live_origin "
            "where object = ? order by field, number",
            [one.object],
        )
        differing = {each.field for each in _differing(one.differences)}
        found: list[Setting] = []
        for field, repository, branch, commit, path, input_field in rows:
            revision = self._asker.revision(repository, branch, commit) if commit else None
            if revision is not None:
                verdict, reason = revision.approval.verdict, revision.approval.reason
            elif field in differing:
                verdict, reason = "unexplained", "it is not as Git has it, and no commit did that"
            else:
                verdict, reason = "unexplained", "no commit that the ledger knows set it"
            found.append(
                Setting(
                    field=field,
                    path=path,
                    input_field=input_field,
                    approval=verdict,
                    reason=reason,
                    revision=revision,
                )
            )
        return found

    def _narrowed(
        self,
        one: Object,
        field: str,
        differences: Sequence[Differing],
        settings: Sequence[Setting],
    ) -> tuple[list[Differing], list[Setting], dict[str, list[str]]]:
        """What concerns the fields that are meant, and which of them each place speaks for.

        Raises NotFoundError where there is none.
        """
        asked, field = field, _as_stored(one, field)
        leaves = self._leaves(one)
        known = {*leaves, *(each.field for each in differences)}
        meant = [each for each in sorted(known) if each and fields.matches(each, field)]
        if not meant and not leaves:
            meant = [field]  # nobody saw which fields it has
        if not meant:
            near = difflib.get_close_matches(field, sorted(known), 5, 0.3)
            hint = "\n".join(["Fields like it:", *(f"  {each}" for each in near)]) if near else ""
            raise NotFoundError(f"{one.title()} has no field {asked!r}", hint=hint)
        places = {each.field for each in settings}
        deciding: dict[str, list[str]] = {}
        for each in meant:
            above = [place for place in places if fields.under(each, place)]
            deciding.setdefault(max(above, key=len, default=""), []).append(each)
        return (
            [each for each in differences if fields.matches(each.field, field)],
            [each for each in settings if each.field in deciding],
            deciding,
        )

    def _leaves(self, one: Object) -> list[str]:
        """The fields of the object as the last look saw it."""
        rows = self._connection.rows(
            "select content from model_live_look where cluster = ? and api_group = ? and kind = ? "
            "and namespace = ? and name = ? and content is not null "
            "order by observed_at desc, mark desc limit 1",
            [one.cluster, one.api_group, one.kind, one.namespace, one.name],
        )
        if not rows:
            return []
        try:
            body: Value = msgspec.json.decode(self._store.content(bytes(rows[0][0])))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return []
        return [path for path, _ in fields.leaves(body)]

    # -- hops ------------------------------------------------------------------------------------

    def _live(self, one: Object) -> Hop:
        evidence = [one.evidence_position] if one.evidence_position >= 0 else []
        if not one.present:
            looked = one.state != "not_observed"
            return Hop(
                hop="live",
                grade="reported" if looked else "unlinked",
                what=f"not there in cluster {one.cluster}" if looked else "not looked at",
                reason="a look at the cluster did not find it" if looked else one.reason,
                evidence=evidence,
            )
        changed = f", changed at {one.changed_at}" if one.changed_at else ""
        by = f" by {one.manager}" if one.manager else ""
        return Hop(
            hop="live",
            grade="reported",
            what=f"as it is since {self._since(one)}, last looked at {self._seen_at(one)}",
            reason=f"the cluster showed it{changed}{by if changed else ''}",
            evidence=evidence,
        )

    def _since(self, one: Object) -> str:
        """Since when it is as it is, as far as that is known without what the cluster claims."""
        identity = [one.cluster, one.api_group, one.kind, one.namespace, one.name]
        looks = self._connection.rows(
            "select observed_at, mark from model_live_look where cluster = ? and api_group = ? "
            "and kind = ? and namespace = ? and name = ? order by observed_at, mark",
            identity,
        )
        if looks and one.observed_at not in {at for at, _ in looks}:
            return f"{one.observed_at}, when a sync made it so again"
        before = [at for at, mark in looks if at < one.observed_at and mark != looks[-1][1]]
        if not one.changed_at and before:
            return f"a time between {before[-1]} and {one.observed_at}"
        return f"{one.observed_at} or earlier"

    def _seen_at(self, one: Object) -> str:
        """When somebody last looked for it; empty if nobody ever did."""
        identity = [one.cluster, one.api_group, one.kind]
        [[seen]] = self._connection.rows(
            "select max(seen_at) from (select seen_at from model_live_seen where cluster = ? "
            "and api_group = ? and kind = ? and namespace = ? and name = ? union all "
            "select seen_at from model_live_scope where cluster = ? and api_group = ? and kind = ? "
            "and namespace in ('', ?)) s",
            [*identity, one.namespace, one.name, *identity, one.namespace],
        )
        return max(one.observed_at, seen or "")

    def _desired(self, one: Object, differences: Sequence[Differing], narrowed: bool) -> Hop:
        standing = any(not each.excuse for each in differences)
        broken = standing if narrowed and one.state == "drifted" else one.state in _BROKEN
        if not one.path:
            return Hop(
                hop="desired", grade="unlinked", what="nothing", reason=one.reason, evidence=[]
            )
        by = f", by application {one.application}" if one.application else ""
        what = f"{one.repository}:{one.path}{by}"
        intact = f"what differs is elsewhere: {one.reason}"
        reason = intact if one.state == "drifted" and not broken else one.reason
        return Hop(
            hop="desired",
            grade="unlinked" if broken else one.grade,
            what=what,
            reason=reason,
            evidence=self._positions("model_revision", one, one.synced_commit_sha),
        )

    def _behind(
        self, one: Object, chosen: Setting | None, about: Mapping[str, list[str]]
    ) -> list[Hop]:
        """The hops from the change that decides on; `about` tells for which fields its place speaks."""
        if chosen is None or chosen.revision is None:
            why = "no commit that the ledger knows made it so"
            return [_unlinked(hop, why) for hop in ("revision", "pull_request", "approval", "sync")]
        revision = chosen.revision
        own = chosen.path == one.path
        told = f"{revision.commit_sha[:12]} {revision.subject}"
        return [
            Hop(
                hop="revision",
                grade="proved" if own else "inferred",
                what=f"{told}, by {revision.author.name}, landed {revision.landed_at} {_clock(revision)}",
                reason="the recorded changes of the file set it"
                if own
                else f"{chosen.path} decides it, as its kustomizations are read",
                evidence=self._positions("model_revision", one, revision.commit_sha),
            ),
            self._pull_request(one, revision),
            self._approved(one, revision),
            self._sync(one, chosen, revision, about.get(chosen.field, [chosen.field])),
        ]

    def _pull_request(self, one: Object, revision: Revision) -> Hop:
        link = revision.pull_request
        by = link.merged_by or "somebody unknown"
        merged = f", merged by {by} at {link.merged_at}" if link.merged_at else ""
        push = revision.push
        pushed = f", pushed by {push.by} at {push.at or 'a time that is not told'}"
        none = f"none{pushed if push.by else ''}"
        direct = f"; {push.reason}" if push.direct and push.by else ""
        evidence = [
            row[0]
            for row in self._connection.rows(
                "select evidence_position from model_link where repository = ? and commit_sha = ? "
                "and best = 1",
                [one.repository, revision.commit_sha],
            )
        ]
        return Hop(
            hop="pull_request",
            grade=link.grade,
            what=f"#{link.number}{merged}" if link.number is not None else none,
            reason=f"{link.reason}{direct}",
            evidence=evidence,
        )

    def _approved(self, one: Object, revision: Revision) -> Hop:
        approval, number = revision.approval, revision.pull_request.number
        evidence = [
            row[0]
            for row in self._connection.rows(
                "select evidence_position from model_approval where repository = ? and number = ? "
                "union select evidence_position from reviews where repository = ? and number = ? "
                "and counts = 1 order by 1",
                [one.repository, number, one.repository, number],
            )
        ]
        who = ", ".join(approval.approvers) or "nobody"
        at = f" at {approval.approved_at}" if approval.approved_at else ""
        return Hop(
            hop="approval",
            grade=approval.grade,
            what=f"{approval.verdict}: {who}{at}" if approval.approvers else approval.verdict,
            reason=approval.reason,
            evidence=evidence,
        )

    def _sync(self, one: Object, chosen: Setting, revision: Revision, about: Sequence[str]) -> Hop:
        found = where_live(
            self._connection,
            revision.repository,
            revision.branch,
            number=revision.number,
            commit=revision.commit_sha,
            paths=[chosen.path],
            fields=[chosen.input_field] if chosen.input_field else about,
            only=(one.app_cluster, one.app_namespace, one.application),
        )
        if not found:
            return _unlinked("sync", f"no sync of {one.application or 'it'} is linked to it")
        [deployed] = found
        words = {LIVE: "live", PARTLY: "partly live", ROLLED_BACK: "rolled back"}
        if deployed.state not in words:
            return _unlinked("sync", deployed.reason)
        return Hop(
            hop="sync",
            grade=deployed.grade,
            what=f"{words[deployed.state]} {deployed.standing()}",
            reason=deployed.reason,
            evidence=[] if deployed.evidence_position is None else [deployed.evidence_position],
        )

    def _positions(self, table: str, one: Object, commit: str) -> list[int]:
        rows = self._connection.rows(
            f"select evidence_position from {table} where repository = ? and branch = ? "  # noqa: S608
            "and commit_sha = ?",
            [one.repository, one.branch, commit],
        )
        return [row[0] for row in rows]

    def _environment(self, one: Object) -> tuple[str, str]:
        """That of its application; of an object without one, all that its place may belong to."""
        rows = self._connection.rows(
            "select environment, tier from applications where controller_cluster = ? "
            "and application_namespace = ? and application = ?",
            [one.app_cluster, one.app_namespace, one.application],
        )
        if rows:
            return str(rows[0][0]), str(rows[0][1])
        own = (one.app_cluster, one.app_namespace, one.application)
        names = Places(self._connection).of(own, one.cluster, one.namespace)
        tiers: dict[str, str] = dict(
            self._connection.rows("select environment, tier from environments")
        )
        told = {tiers.get(name, "") for name in names}
        return ", ".join(names), told.pop() if len(told) == 1 else ""


def _badness(one: Setting, of: Object, narrowed: bool) -> tuple[int, bool, str, int]:
    """Worst approval first, then what landed last; of a field what holds it before what takes it in."""
    revision = one.revision
    landed = (revision.landed_at, revision.number) if revision is not None else ("", 0)
    holds = not narrowed or bool(one.field) or one.path == of.path
    return (VERDICTS.index(one.approval), holds, *landed)


def _clock(revision: Revision) -> str:
    told = landed_clock(
        revision.landed_at,
        revision.landed_grade,
        revision.pull_request.merged_at,
        revision.push.at,
    )
    return f"({told})"


def _as_stored(one: Object, field: str) -> str:
    """The name that a field has in the cluster: `stringData` of a Secret is in `data` there."""
    if (one.api_group, one.kind) == ("", "Secret") and fields.under(field, "stringData"):
        return f"data{field.removeprefix('stringData')}"
    return field


def _unlinked(hop: str, reason: str) -> Hop:
    return Hop(hop=hop, grade="unlinked", what="none", reason=reason, evidence=[])


def _differing(text: str, *, excused: bool = False) -> list[Differing]:
    told = msgspec.json.decode(text) if text else []
    return [
        Differing(
            field=one["field"],
            action=one["action"],
            desired=one.get("desired"),
            live=one.get("live"),
            excuse=one.get("reason", "") if excused else "",
        )
        for one in told
    ]


def _judged(
    settings: Sequence[Setting], one: Object, narrowed: Sequence[Differing] | None
) -> Finding:
    """The worst over what set the fields, as `live_resources` judges it; `settings` stand worst first.

    An approval says nothing of what is live where that is not known to be what was approved.
    """
    if one.state in ("derived", "not_observed"):
        return Finding(verdict="", reason=f"there is nothing to approve: {one.reason}")
    if one.state in ("absent", "extra") or (one.state == "drifted" and narrowed is None):
        return Finding(verdict="unexplained", reason=f"it is not as Git has it: {one.reason}")
    if not settings:
        return Finding(verdict="unknown", reason="nothing is known of what set it")
    worst = settings[0]
    differs = narrowed is None or any(not each.excuse for each in narrowed)
    if one.state == "unknown" and differs and worst.approval in ("approved", "waived"):
        reason = f"what is live is not known to be what was {worst.approval}: {one.reason}"
        return Finding(verdict="unknown", reason=reason)
    by = f" by {worst.revision.commit_sha[:12]}" if worst.revision is not None else ""
    return Finding(
        verdict=worst.approval, reason=f"{worst.field or 'the whole'}, set{by}: {worst.reason}"
    )
