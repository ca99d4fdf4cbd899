"""What was seen of objects, read through a projection's context."""

from __future__ import annotations

import re
from itertools import takewhile

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
        self._at: dict[Identity, list[LookRow]] = {}

    def at(self, identity: Identity) -> list[LookRow]:
        """The looks that saw an object otherwise than the look before them, oldest first.

        A look that saw the same again is recorded or not by the order in which files came.
        """
        if identity not in self._at:
            if len(self._at) > MAX_BODIES:
                self._at.clear()
            rows = self._context.find(LookRow, **identity._asdict())
            found: list[LookRow] = []
            for row in sorted(rows, key=lambda one: (one.observed_at, one.mark)):
                if not found or _state(found[-1]) != _state(row):
                    found.append(row)
            self._at[identity] = found
        return self._at[identity]

    def last(self, identity: Identity) -> LookRow | None:
        """The first look that saw an object as it is now; its content is null where it is gone.

        Of the looks that saw the same content up to now, it is the first since the content was set for the
        last time, as far as managed fields tell; it comes with what the best of them tells of those.
        """
        looks = self.at(identity)
        if not looks or looks[-1].content is None:
            return looks[-1] if looks else None
        end = _content(looks[-1])
        run = list(takewhile(lambda one: _content(one) == end, reversed(looks)))[::-1]
        newest = max(run, key=lambda one: (one.changed_at, one.observed_at))
        first = next((one for one in run if one.observed_at >= newest.changed_at), newest)
        told = [one.managers for one in run if one.managers is not None]
        return first._replace(
            managers=told[-1] if told else None,
            manager=newest.manager,
            changed_at=newest.changed_at,
        )

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

    def last_time(self, identity: Identity) -> tuple[str, str]:
        """When somebody last looked for an object, empty if nobody ever did, and on whose word.

        That is empty where we looked ourselves, or where it was there.
        """
        seen = self._context.get(SeenRow, *identity)
        times = [(one.observed_at, one.stated_by) for one in self.at(identity)[-1:]]
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


def _content(look: LookRow) -> tuple[str, ...]:
    return look.mark, look.uid, look.owner, look.owner_group, look.owner_uid


def _state(look: LookRow) -> tuple[object, ...]:
    """All that tells two looks apart: also who set which field, and when."""
    return (*_content(look), look.managers, look.changed_at) if look.content else ()


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
