"""Whether a controller made an object of one that an application declares, read through the tables.

Answers from looks and declarations alone, never from states: so the order of settling makes no difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ledger.projections import Context, key_text
from ledger.projections.live.controllers import (
    BUNDLES,
    account_of,
    brought,
    bundle,
    claims,
    is_server,
    is_token,
    lists,
    makes,
    selects,
)
from ledger.projections.live.gathering import Gatherer
from ledger.projections.live.judging import DERIVED, EXTRA, INFERRED, UNLINKED, Judgement
from ledger.projections.live.looking import Looks
from ledger.projections.live.rows import Identity, LookRow, ObjectRow
from ledger.resources import Value

MAX_CHAIN = 8
_SERVICE, _SLICE = "kubernetes.io/service-name", ("discovery.k8s.io", "EndpointSlice")


class Deriving:
    """Follows objects to what they were made of; lives for one settling."""

    def __init__(self, context: Context, looks: Looks, gatherer: Gatherer) -> None:
        self._context = context
        self._looks = looks
        self._gatherer = gatherer
        self._usual: dict[tuple[str, str], str | None] = {}

    def made(self, identity: Identity, last: LookRow, depth: int = 0) -> Judgement | None:
        """Derived, or extra where what it says of its maker does not hold; None where it says nothing."""
        live = self._looks.body(last)
        if last.owner:
            return self._by_owner(identity, last.owner, depth)
        found = brought(identity, live)
        if found:
            return _derived(found)
        group, kind, name = identity.api_group, identity.kind, identity.name
        if (group, kind) in (("", "Endpoints"), _SLICE):
            return self._of_service(identity, live, depth)
        if (group, kind) == ("", "ConfigMap") and name in BUNDLES:
            return self._bundle(identity, live)
        if (group, kind) == ("", "Secret") and is_token(live):
            return self._token(identity, live, depth)
        if (group, kind) == ("", "PersistentVolumeClaim"):
            return self._claim(identity, depth)
        return None

    def dependents(self, one: Identity) -> Iterator[Identity]:
        """The objects whose answer may change with what is known of one."""
        owner = key_text(f"{one.kind}/{one.name}")
        for look in self._context.find(LookRow, cluster=one.cluster, owner=owner):
            if one.namespace in ("", look.namespace):
                yield Identity(*look[:5])
        group, kind, place = one.api_group, one.kind, one.namespace
        if (group, kind) == ("", "Service"):
            yield one._replace(kind="Endpoints")
            yield from self._looks.seen(one.cluster, *_SLICE, place)
        elif (group, kind) == ("apps", "StatefulSet"):
            yield from self._looks.seen(one.cluster, "", "PersistentVolumeClaim", place)
        elif (group, kind) == ("", "ServiceAccount"):
            yield from self._looks.seen(one.cluster, "", "Secret", place)
        elif (group, kind) == ("", "ConfigMap") and one.name in BUNDLES:
            yield from self._named(one.cluster, kind, one.name)

    # -- who made it -----------------------------------------------------------------------------

    def _by_owner(self, identity: Identity, owner: str, depth: int) -> Judgement:
        kind, _, name = owner.partition("/")
        refused = f"{owner}, which is said to own it, was not seen"
        for one in self._named(identity.cluster, kind, name):
            if one.namespace not in ("", identity.namespace):
                continue
            why = self._refused(one, depth)
            if not why and not makes(one, identity):
                why = f"owns it by its own word, but no controller makes a {identity.kind} of it"
            if not why and one[1:3] == ("", "Service") and not self._has_endpoints(one):
                why = "selects no pods, so no controller makes its endpoints"
            if not why:
                return _derived(f"{owner} owns it")
            refused = f"its owner {owner} {why}"
        return _extra(refused)

    def _refused(self, one: Identity, depth: int) -> str:
        """Why nothing can be derived from an object; empty where something can."""
        last = self._looks.last(one)
        if last is None or last.content is None:
            return "is not there" if last is not None else "was not seen"
        if self._gatherer.declaring(one):
            return ""
        if depth >= MAX_CHAIN:
            return "is behind too long a chain of owners"
        made = self.made(one, last, depth + 1)
        return "" if made is not None and made.state == DERIVED else "is itself not declared"

    def _has_endpoints(self, service: Identity) -> bool:
        return is_server(service) or selects(self._body(service))

    def _of_service(self, identity: Identity, live: Value, depth: int) -> Judgement:
        name = identity.name
        if identity.kind != "Endpoints":
            metadata = live.get("metadata") if isinstance(live, dict) else None
            labels = metadata.get("labels") if isinstance(metadata, dict) else None
            told = labels.get(_SERVICE) if isinstance(labels, dict) else None
            name = told if isinstance(told, str) else ""
        service = identity._replace(api_group="", kind="Service", name=name)
        why = self._refused(service, depth)
        if not why and not self._has_endpoints(service):
            why = "selects no pods, so no controller makes its endpoints"
        if why:
            return _extra(f"Service/{name}, which it would be made for, {why}")
        return _derived(f"the endpoints controller makes it for Service/{name}")

    def _bundle(self, identity: Identity, live: Value) -> Judgement:
        held = bundle(identity, live)
        if held is None:
            return _extra("it has the name of the cluster's certificates and holds something else")
        if held != self._usual_bundle(identity):
            return _extra(
                "it holds other certificates than this ConfigMap does in other namespaces"
            )
        return _derived("every namespace gets the certificates of the cluster")

    def _usual_bundle(self, identity: Identity) -> str | None:
        """What the ConfigMap holds in kube-system, else in most namespaces; None where none leads."""
        key = (identity.cluster, identity.name)
        if key not in self._usual:
            several = self._named(identity.cluster, "ConfigMap", identity.name)
            held = {one: self._body(one) for one in several if not one.api_group}
            told = {one.namespace: bundle(one, body) for one, body in held.items() if body}
            ranked = Counter(one for one in told.values() if one is not None).most_common(2)
            tied = len(ranked) == 2 and ranked[0][1] == ranked[1][1]
            most = ranked[0][0] if ranked and not tied else None
            self._usual[key] = told.get("kube-system", most)
        return self._usual[key]

    def _token(self, identity: Identity, live: Value, depth: int) -> Judgement:
        name = account_of(live)
        account = identity._replace(kind="ServiceAccount", name=name)
        why = self._refused(account, depth)
        if not why and not lists(self._body(account), identity.name):
            why = "does not list it, so no controller made it"
        if why:
            return _extra(f"ServiceAccount/{name}, which it would be made for, {why}")
        return _derived(f"the token controller makes it for ServiceAccount/{name}")

    def _claim(self, identity: Identity, depth: int) -> Judgement | None:
        for one in self._looks.seen(identity.cluster, "apps", "StatefulSet", identity.namespace):
            if claims(self._body(one), one.name, identity.name):
                why = self._refused(one, depth)
                if why:
                    return _extra(f"StatefulSet/{one.name}, which would claim it, {why}")
                return _derived(f"the StatefulSet {one.name} claims it")
        return None

    def _named(self, cluster: str, kind: str, name: str) -> list[Identity]:
        """The objects of a kind and name that were ever seen, of any group and namespace."""
        told = {"cluster": cluster, "kind": key_text(kind), "name": key_text(name)}
        return sorted(Identity(*row[:5]) for row in self._context.find(ObjectRow, **told))

    def _body(self, one: Identity) -> Value:
        return self._looks.body(self._looks.last(one))


def _derived(reason: str) -> Judgement:
    return Judgement(DERIVED, INFERRED, reason)


def _extra(reason: str) -> Judgement:
    return Judgement(EXTRA, UNLINKED, reason)
