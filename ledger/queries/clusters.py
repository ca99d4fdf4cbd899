"""What clusters show: drift from what was synced, and changes that nobody told of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from ledger import fields
from ledger.queries.answers import Entry
from ledger.queries.inputs import deployables
from ledger.queries.objects import title
from ledger.store import Store
from ledger.store.drivers import Connection

DRIFTED, DRIFT_ENDED, EDITED = "drifted", "drift_ended", "edited"
_ENDED = {
    "sync": "a sync made it as Git has it",
    "git": "Git has it so since",
    "reverted": "no sync that is known explains it",
    "removed": "the object is gone",
}


class Places:
    """Which environments an object belongs to."""

    def __init__(self, connection: Connection) -> None:
        told = deployables(connection)
        self._applications = {one[:3]: {one.environment} - {""} for one in told}
        self._clusters: dict[str, set[str]] = {}
        for one in told:
            self._clusters.setdefault(one.cluster, set()).update({one.environment} - {""})
        self._mapped = [
            (name, clusters.split("\n"), namespaces.split("\n"))
            for name, clusters, namespaces in connection.rows(
                "select environment, clusters, namespaces from environments "
                "where clusters <> '' or namespaces <> ''"
            )
        ]

    def of(self, application: tuple[Any, ...], cluster: str, namespace: str) -> list[str]:
        """Those of its application; of an object without one, all that its place may belong to.

        What stands in no namespace is part of each environment that its cluster is named for, whatever
        namespaces that is narrowed to, or that an application deploys to there: it reaches all of them.
        """
        known = self._applications.get(application)
        if known is not None:
            return sorted(known)
        deployed = self._clusters.get(cluster, set())
        found = {
            name
            for name, clusters, namespaces in self._mapped
            if (cluster in clusters or (clusters == [""] and (namespace or name in deployed)))
            and (
                not namespace
                or namespaces == [""]
                or any(fnmatchcase(namespace, one) for one in namespaces)
            )
        }
        return sorted(found or (deployed if not self._mapped else set()))


# -- drift -----------------------------------------------------------------------------------------

_EPISODE = (
    "first_seen", "closed_at", "closed_by", "cluster", "api_group", "kind", "namespace", "name",
    "application", "controller_cluster", "application_namespace", "fields", "manager",
    "evidence_position", "recorded_at",
)  # fmt: skip


def drift(connection: Connection, since: str, until: str) -> Iterator[Entry]:
    """The episodes of drift that began or ended in a span."""
    rows = connection.rows(
        f"select {', '.join(_EPISODE)} from drift_episodes "  # noqa: S608
        "where (first_seen >= ? and first_seen < ?) or (closed_at >= ? and closed_at < ?)",
        [since, until, since, until],
    )
    places = Places(connection) if rows else None
    for values in rows:
        row = dict(zip(_EPISODE, values, strict=True))
        assert places is not None
        own = (row["controller_cluster"], row["application_namespace"], row["application"])
        mapped = places.of(own, row["cluster"], row["namespace"])
        told = _some(json.loads(row["fields"]))
        if since <= row["first_seen"] < until:
            what = f"differs from Git in {told}{_changed_at(connection, row)}"
            why = "a look, held against the last sync"
            yield _drift(row, mapped, row["first_seen"], DRIFTED, what, why)
        if row["closed_at"] is not None and since <= row["closed_at"] < until:
            how = _ENDED.get(row["closed_by"], row["closed_by"])
            what = f"no longer differs in {told}: {how}"
            why = f"it differed since {row['first_seen']}"
            yield _drift(row, mapped, row["closed_at"], DRIFT_ENDED, what, why)


def _drift(
    row: Mapping[str, Any], environments: list[str], at: str, kind: str, what: str, why: str
) -> Entry:
    begins = kind == DRIFTED
    return Entry(
        at=at,
        clock="first seen so then; it happened since the look before",
        kind=kind,
        environments=environments,
        cluster=row["cluster"],
        application=row["application"],
        resource=title(row["kind"], row["namespace"], row["name"]),
        who=row["manager"] if begins else "",
        what=what,
        alarming=begins,
        grade="reported",
        reason=why,
        evidence_position=row["evidence_position"],
        recorded_at=row["recorded_at"],
    )


def _changed_at(connection: Connection, row: Mapping[str, Any]) -> str:
    """When a field manager claims to have made the difference, as words; empty where none does."""
    names = ("cluster", "api_group", "kind", "namespace", "name", "first_seen")
    found = connection.rows(
        "select max(changed_at) from model_live_look where cluster = ? and api_group = ? and kind = ? "
        "and namespace = ? and name = ? and observed_at = ?",
        [row[name] for name in names],
    )
    at = str(found[0][0] or "")
    return f", changed at {at}" if at else ""


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(name or "everything" for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown or "something"


# -- edits -----------------------------------------------------------------------------------------

# Managers of fields that belong to Kubernetes itself: what they do is no edit by hand.
_BUILT_IN = (
    "kube-controller-manager", "kube-scheduler", "kubelet", "cloud-controller-manager",
    "cluster-autoscaler",
)  # fmt: skip
_LOOK = (
    "cluster", "api_group", "kind", "namespace", "name", "observed_at", "content", "manager",
    "changed_at", "owner", "owner_group", "evidence_position", "recorded_at",
)  # fmt: skip


def edits(store: Store, since: str, until: str) -> Iterator[Entry]:
    """Objects that were first seen changed in a span although no sync of their application was about.

    Left out are what drift tells already, what a controller made, and what Kubernetes' own controllers
    set. An owner that an object names itself is no proof: the state of the object decides, or whether
    that owner's controller makes such objects at all. One look at all looks, and two documents for each
    edit.
    """
    connection = store.connection
    rows = connection.rows(
        f"select {', '.join('l.' + name for name in _LOOK)}, s.object, s.app_cluster, "  # noqa: S608
        "s.app_namespace, s.application, s.state from model_live_look l "
        "left join model_live_state s on s.cluster = l.cluster and s.api_group = l.api_group "
        "and s.kind = l.kind and s.namespace = l.namespace and s.name = l.name "
        "where l.observed_at >= ? and l.observed_at < ? "
        "and coalesce(s.state, '') <> 'derived'",
        [since, until],
    )
    places = Places(connection) if rows else None
    earlier: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for values in rows:
        look = dict(zip(_LOOK, values, strict=False))
        key, *application, state = values[len(_LOOK) :]
        if state is None and _is_made(look):
            continue
        when = (look["cluster"], look["observed_at"])
        if when not in earlier:
            earlier[when] = _looks_before(connection, *when)
        declared = state not in (None, "extra", "unknown")
        what = _edit(store, look, key, application, declared, earlier[when])
        if what:
            assert places is not None
            yield Entry(
                at=look["observed_at"],
                clock="first seen so then; it happened since the look before",
                kind=EDITED,
                environments=places.of(tuple(application), look["cluster"], look["namespace"]),
                cluster=look["cluster"],
                application=application[2] or "",
                resource=title(look["kind"], look["namespace"], look["name"]),
                who=look["manager"],
                what=what,
                alarming=True,
                grade="reported",
                reason="no sync that is known did it",
                evidence_position=look["evidence_position"],
                recorded_at=look["recorded_at"],
            )


def _is_made(look: Mapping[str, Any]) -> bool:
    """Whether the controller of the owner that an object names may have made it."""
    kind, _, name = look["owner"].partition("/")
    if not name:
        return False
    from ledger.projections.live.controllers import makes  # noqa: PLC0415 (heavy, and rarely needed)
    from ledger.projections.live.rows import Identity  # noqa: PLC0415

    owner = Identity(look["cluster"], look["owner_group"], kind, look["namespace"], name)
    return makes(owner, Identity(*(look[one] for one in Identity._fields)))


def _edit(
    store: Store,
    look: Mapping[str, Any],
    key: str | None,
    application: Sequence[str | None],
    declared: bool,
    earlier: Mapping[tuple[str, str], str],
) -> str:
    """What a look saw that nobody told of; empty where it is told elsewhere or is no edit."""
    connection, now = store.connection, look["observed_at"]
    if look["manager"] in _BUILT_IN:
        return ""
    before = connection.rows(
        "select observed_at, content from model_live_look where cluster = ? and api_group = ? "
        "and kind = ? and namespace = ? and name = ? and observed_at < ? "
        "order by observed_at desc, mark desc limit 1",
        [*(look[name] for name in _LOOK[:6])],
    )
    since = before[0][0] if before else _missed_at(look, earlier)
    first = "appeared"
    if not since and not look["changed_at"] and not declared:
        # Nothing dates it: it may be as old as the cluster, or have been made a minute ago.
        since = max(earlier.values(), default="")
        first = "was seen first: nothing tells since when it is there"
    if not since:
        return ""
    told = connection.rows(
        "select 1 from model_drift_episode where object = ? and (first_seen = ? or closed_at = ?) "
        "union all select 1 from model_sync where cluster = ? and namespace = ? and application = ? "
        "and started_at <= ? and case when finished_at = '' then started_at else finished_at end > ?",
        [key, now, now, *application, now, since],
    )
    old, new = before[0][1] if before else None, look["content"]
    if told or old == new:  # seen again, or set anew as it was
        return ""
    claimed = f", changed at {look['changed_at']}" if look["changed_at"] else ""
    if new is None:
        return "is gone"
    if old is None:
        return f"{first}{claimed}"
    return f"changed in {_some(_changed(store, bytes(old), bytes(new)))}{claimed}"


def _looks_before(connection: Connection, cluster: str, at: str) -> dict[tuple[str, str], str]:
    """(group, kind) → the last look at a cluster before a time that saw one of them."""
    rows = connection.rows(
        "select api_group, kind, max(observed_at) from model_live_look "
        "where cluster = ? and observed_at < ? group by api_group, kind",
        [cluster, at],
    )
    return {(group, kind): str(seen) for group, kind, seen in rows}


def _missed_at(look: Mapping[str, Any], earlier: Mapping[tuple[str, str], str]) -> str:
    """A look at which an object that is new would have been missing; empty if there was none.

    That is one at others of its kind, or at anything in the cluster where the object claims to be
    younger than that.
    """
    anything = max(earlier.values(), default="")
    younger = anything if anything and look["changed_at"] > anything else ""
    return earlier.get((look["api_group"], look["kind"]), younger)


def _changed(store: Store, old: bytes, new: bytes) -> list[str]:
    """The fields in which two documents differ."""
    try:
        before, after = (msgspec.json.decode(store.content(one)) for one in (old, new))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    return [one.field for one in fields.diff(before, after) or []]
