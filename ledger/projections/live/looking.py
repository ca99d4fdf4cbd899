"""What was seen of objects, read through a projection's context."""

from __future__ import annotations

import re

from ledger.projections import Context
from ledger.projections.live.recording import body_of
from ledger.projections.live.rows import Identity, LookRow, ObjectRow, ScopeRow, SeenRow
from ledger.resources import Value, split_api_version

SCALER = ("autoscaling", "HorizontalPodAutoscaler")
HASHED = ("ConfigMap", "Secret")
MAX_BODIES = 2_000
_HASH = re.compile(r"(?P<base>.+)-[a-z0-9]{10}")


class Looks:
    """Remembers the documents that it read, so it lives for one settling."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._bodies: dict[bytes, Value] = {}

    def at(self, identity: Identity) -> list[LookRow]:
        """The looks at an object, oldest first."""
        rows = self._context.find(LookRow, **identity._asdict())
        return sorted(rows, key=lambda one: (one.observed_at, one.mark))

    def last(self, identity: Identity) -> LookRow | None:
        """The last look at an object; its content is null where it was gone."""
        row = self._context.get(ObjectRow, *identity)
        if row is None:
            return None
        return self._context.get(LookRow, *identity, row.observed_at, row.mark)

    def all_of(self, identity: Identity) -> str:
        """A digest of all looks at an object."""
        row = self._context.get(ObjectRow, *identity)
        return row.looks if row is not None else ""

    def body(self, look: LookRow | None) -> Value:
        """The document that a look saw; None where there was none."""
        return self._read(look.content) if look is not None else None

    def managers(self, look: LookRow | None) -> Value:
        """The managed fields that a look saw."""
        return self._read(look.managers) if look is not None else None

    def _read(self, digest: bytes | None) -> Value:
        if digest is None:
            return None
        if digest not in self._bodies:
            if len(self._bodies) > MAX_BODIES:
                self._bodies.clear()
            self._bodies[digest] = body_of(digest, self._context)
        return self._bodies[digest]

    def seen(self, cluster: str, group: str, kind: str, namespace: str) -> list[Identity]:
        """The objects of a kind in a namespace that were ever seen."""
        rows = self._context.find(
            ObjectRow, cluster=cluster, api_group=group, kind=kind, namespace=namespace
        )
        return [Identity(*row[:5]) for row in rows]

    def last_time(self, identity: Identity, last: LookRow | None) -> tuple[str, str]:
        """When somebody last looked for an object, empty if nobody ever did, and on whose word.

        That is empty where we looked ourselves, or where it was there.
        """
        seen = self._context.get(SeenRow, *identity)
        times = [(last.observed_at, last.stated_by)] if last is not None else []
        times += [(seen.seen_at, "")] if seen is not None else []
        for namespace in {"", identity.namespace}:
            scope = self._context.get(ScopeRow, *identity[:3], namespace)
            times += [(scope.seen_at, scope.stated_by)] if scope is not None else []
        return max(times, key=lambda one: (one[0], not one[1], one[1]), default=("", ""))

    def listed_since(self, one: Identity, at: str) -> bool:
        """Whether all objects of a kind were listed at a time or later where an object would stand."""
        return any(
            scope.namespace in ("", one.namespace)
            and one.api_group in ("?", scope.api_group)
            and scope.seen_at >= at
            for scope in self._context.find(ScopeRow, cluster=one.cluster, kind=one.kind)
        )


def scaled(scaler: Value) -> tuple[str, str, str] | None:
    """Group, kind and name of what an autoscaler scales."""
    spec = scaler.get("spec") if isinstance(scaler, dict) else None
    target = spec.get("scaleTargetRef") if isinstance(spec, dict) else None
    if not isinstance(target, dict):
        return None
    version, kind, name = (target.get(key) for key in ("apiVersion", "kind", "name"))
    if not isinstance(kind, str) or not isinstance(name, str):
        return None
    return split_api_version(version) if isinstance(version, str) else "apps", kind, name


def hash_base(name: str) -> str:
    """What stands before kustomize's hash in a name; empty where there is none."""
    match = _HASH.fullmatch(name) if len(name) <= 253 else None
    return match["base"] if match else ""
