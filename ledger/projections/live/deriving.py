"""Whether a controller made an object of one that an application declares, read through the tables.

Answers from looks and declarations alone, never from states: so the order of settling makes no difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

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
from ledger.projections.live.judging import (
    DERIVED,
    EXTRA,
    INFERRED,
    UNKNOWN,
    UNLINKED,
    Judgement,
)
from ledger.projections.live.looking import Looks
from ledger.projections.live.rows import Identity, LookRow, ObjectRow
from ledger.resources import Value

MAX_CHAIN = 8
_MIRROR = "kubernetes.io/config.mirror"
_NO_PODS = "selects no pods, so no controller makes its endpoints"
_SERVICE, _SLICE = "kubernetes.io/service-name", ("discovery.k8s.io", "EndpointSlice")


class _Standing(NamedTuple):
    """Why nothing can be derived from an object, empty where something can; the declared one behind it."""

    why: str = ""
    root: Identity | None = None
    is_known: bool = True

    def judged(self, reason: str) -> Judgement:
        """What that makes of an object that would be derived from it."""
        return _extra(reason) if self.is_known else _unknown(reason)


class Deriving:
    """Follows objects to what they were made of; lives for one settling."""

    def __init__(self, context: Context, looks: Looks, gatherer: Gatherer) -> None:
        self._context = context
        self._looks = looks
        self._gatherer = gatherer
        self._usual: dict[tuple[str, str], str | None] = {}

    def made(self, identity: Identity, last: LookRow, depth: int = 0) -> Judgement | None:
        """Derived; extra where what it says of its maker does not hold, unknown where that cannot be told.

        None where it says nothing of a maker.
        """
        live = self._looks.body(last)
        if last.owner:
            return self._by_owner(identity, last, depth)
        found = brought(identity, live)
        if found:
            return _derived(found)
        group, kind, name = identity.api_group, identity.kind, identity.name
        if (group, kind) in (("", "Endpoints"), _SLICE):
            return self._of_service(identity, last, depth)
        if (group, kind) == ("", "ConfigMap") and name in BUNDLES:
            return self._bundle(identity, live)
        if (group, kind) == ("", "Secret") and is_token(live):
            return self._token(identity, last, depth)
        if (group, kind) == ("", "PersistentVolumeClaim"):
            return self._claim(identity, last, depth)
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

    def _by_owner(self, identity: Identity, last: LookRow, depth: int) -> Judgement:
        owner = last.owner
        kind, _, name = owner.partition("/")
        if (kind, *identity[1:3]) == ("Node", "", "Pod"):
            return _static(name, self._looks.body(last))
        refused: Judgement | None = None
        for one in self._named(identity.cluster, kind, name):
            if one.namespace not in ("", identity.namespace):
                continue
            if last.owner_uid and one.api_group != last.owner_group:
                continue
            found = self._of_owner(identity, last, one, depth)
            if found.state == DERIVED:
                return found
            refused = found
        return refused or self._of_unseen(identity, last)

    def _of_owner(self, identity: Identity, last: LookRow, one: Identity, depth: int) -> Judgement:
        """What becomes of an object if one that was seen owns it, as it says."""
        owner, kind = last.owner, identity.kind
        now = self._looks.last(one)
        uid = now.uid if now is not None and now.content is not None else ""
        if uid and last.owner_uid and uid != last.owner_uid:
            return _extra(f"its owner {owner} has another uid now than the one that it names")
        maker = self._standing(one, last.observed_at, depth)
        if maker.why:
            return maker.judged(f"its owner {owner} {maker.why}")
        if not makes(one, identity):
            return _extra(
                f"its owner {owner} owns it by its own word, but no controller makes a {kind} of it"
            )
        if one[1:3] == ("", "Service") and not self._has_endpoints(one):
            return _extra(f"its owner {owner} {_NO_PODS}")
        reason = f"{owner} owns it"
        if maker.root not in (None, one):
            reason += f", and was made of {_title(maker.root)}"
        if not (uid and last.owner_uid):
            reason += "; that is by name only, for no uid is known"
        return _derived(reason, maker.root)

    def _of_unseen(self, identity: Identity, last: LookRow) -> Judgement:
        """An object whose owner nobody ever saw."""
        owner = last.owner
        kind, _, name = owner.partition("/")
        group = last.owner_group if last.owner_uid else "?"
        one = identity._replace(api_group=group, kind=kind, name=name)
        if group != "?" and not makes(one, identity):
            why = f"but no controller makes a {identity.kind} of it"
            return _extra(f"{owner} is said to own it, {why}")
        if self._looks.listed_since(one, last.observed_at):
            return _extra(f"{owner}, which is said to own it, is not there")
        return _unknown(f"{owner}, which is said to own it, was not looked at")

    def _standing(self, one: Identity, since: str, depth: int) -> _Standing:
        """Whether something can be derived from an object; `since` is when what it made was seen."""
        last = self._looks.last(one)
        if last is None:
            if self._looks.listed_since(one, since):
                return _Standing("is not there")
            return _Standing("was not looked at", is_known=False)
        if last.content is None:
            return _Standing("is not there")
        if self._gatherer.declaring(one):
            return _Standing(root=one)
        if depth >= MAX_CHAIN:
            return _Standing("is behind too long a chain of owners")
        made = self.made(one, last, depth + 1)
        if made is not None and made.state == DERIVED:
            return _Standing(root=made.maker)
        if made is not None and made.state == UNKNOWN:
            return _Standing(f"is itself not known: {made.reason}", is_known=False)
        return _Standing("is itself not declared")

    def _has_endpoints(self, service: Identity) -> bool:
        return is_server(service) or selects(self._body(service))

    def _of_service(self, identity: Identity, last: LookRow, depth: int) -> Judgement:
        name, live = identity.name, self._looks.body(last)
        if identity.kind != "Endpoints":
            metadata = live.get("metadata") if isinstance(live, dict) else None
            labels = metadata.get("labels") if isinstance(metadata, dict) else None
            told = labels.get(_SERVICE) if isinstance(labels, dict) else None
            name = told if isinstance(told, str) else ""
        service = identity._replace(api_group="", kind="Service", name=name)
        maker = self._standing(service, last.observed_at, depth)
        if not maker.why and not self._has_endpoints(service):
            maker = _Standing(_NO_PODS)
        if maker.why:
            return maker.judged(f"Service/{name}, which it would be made for, {maker.why}")
        return _derived(f"the endpoints controller makes it for Service/{name}", maker.root)

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

    def _token(self, identity: Identity, last: LookRow, depth: int) -> Judgement:
        name = account_of(self._looks.body(last))
        account = identity._replace(kind="ServiceAccount", name=name)
        maker = self._standing(account, last.observed_at, depth)
        if not maker.why and not lists(self._body(account), identity.name):
            maker = _Standing("does not list it, so no controller made it")
        if maker.why:
            return maker.judged(f"ServiceAccount/{name}, which it would be made for, {maker.why}")
        reason = f"the token controller makes it for ServiceAccount/{name}"
        return _derived(reason, maker.root)

    def _claim(self, identity: Identity, last: LookRow, depth: int) -> Judgement | None:
        for one in self._looks.seen(identity.cluster, "apps", "StatefulSet", identity.namespace):
            if claims(self._body(one), one.name, identity.name):
                maker = self._standing(one, last.observed_at, depth)
                if maker.why:
                    return maker.judged(
                        f"StatefulSet/{one.name}, which would claim it, {maker.why}"
                    )
                return _derived(f"the StatefulSet {one.name} claims it", maker.root)
        return None

    def _named(self, cluster: str, kind: str, name: str) -> list[Identity]:
        """The objects of a kind and name that were ever seen, of any group and namespace."""
        told = {"cluster": cluster, "kind": key_text(kind), "name": key_text(name)}
        return sorted(Identity(*row[:5]) for row in self._context.find(ObjectRow, **told))

    def _body(self, one: Identity) -> Value:
        return self._looks.body(self._looks.last(one))


def _static(node: str, live: Value) -> Judgement:
    """A pod that says that a node owns it: only the kubelet makes such, of files on its own disk."""
    metadata = live.get("metadata") if isinstance(live, dict) else None
    notes = metadata.get("annotations") if isinstance(metadata, dict) else None
    if not isinstance(notes, dict) or _MIRROR not in notes:
        return _extra(f"Node/{node} is said to own it, and it has no mark of a static pod")
    return _extra(
        f"it mirrors a static pod, as it says: the node {node} runs that from a file of its own, which "
        "no application declares"
    )


def _title(one: Identity | None) -> str:
    return f"{one.kind}/{one.name}" if one is not None else ""


def _derived(reason: str, maker: Identity | None = None) -> Judgement:
    return Judgement(DERIVED, INFERRED, reason, maker=maker)


def _extra(reason: str) -> Judgement:
    return Judgement(EXTRA, UNLINKED, reason)


def _unknown(reason: str) -> Judgement:
    return Judgement(UNKNOWN, UNLINKED, reason)
