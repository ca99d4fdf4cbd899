"""The walk through a declared and a live object, side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ledger.fields.lists import merge_keys, segments
from ledger.fields.paths import Segment, extend
from ledger.kustomize.kinds import merge_keys_of
from ledger.live.defaults import Object, default_rule, is_known
from ledger.live.owning import TRACKED, Ignore, Way, controller, ignored, managers_of
from ledger.live.quantities import equal
from ledger.resources import Value

CHANGED, MISSING, UNDECLARED = "changed", "missing", "undeclared"
SAME, EXCUSED, DOUBTFUL, DIFFERENT = "same", "excused", "doubtful", "different"
DEFAULT = "a default of the API"
TRIVIAL = frozenset({DEFAULT, TRACKED})
"""Excuses that every object needs; the others are worth telling."""
MAX_DIFFERENCES = 500
_HASH = "-[a-z0-9]{10}"  # kustomize's hash of a generated object's content
_TOKEN = re.compile(r"hmac-sha256:[0-9a-f]{64}")
# Members that an empty map says nothing in; an empty object elsewhere may mean "all", as in NetworkPolicies.
_MAPS = frozenset(
    {
        "annotations", "binaryData", "data", "labels", "limits", "matchLabels", "nodeSelector",
        "parameters", "requests", "selector", "stringData",
    }
)  # fmt: skip
# Atomic lists whose order means nothing, so that another order is no difference.
_UNORDERED = frozenset({"rules", "subjects", "subsets", "addresses", "policyTypes", "accessModes"})
_GITOPS = frozenset(
    {
        "argocd-controller",
        "argocd-application-controller",
        "kustomize-controller",
        "helm-controller",
    }
)
_BY_HAND = re.compile(r"kubectl.*|Mozilla|k9s|lens.*|OpenLens|node-fetch|curl.*|python-requests")
_NOT_COMPARED = frozenset({"status"})
_METADATA = frozenset(
    {"creationTimestamp", "generation", "managedFields", "namespace", "ownerReferences",
     "resourceVersion", "selfLink", "uid", "generateName"}
)  # fmt: skip


class Difference(NamedTuple):
    """A place where live and declared differ. `action`: changed, missing (not live), undeclared.

    `excuse` says what it is to be put down to, empty where nothing does; `doubt` why it may be no
    difference at all. `way` leads to it in the live object, as far as it is there.
    """

    field: str
    action: str
    desired: Value
    live: Value
    excuse: str
    doubt: str
    way: Way


class Comparison(NamedTuple):
    """What a comparison comes to, the differences in the order of the declared document.

    `unread` names rules that would excuse differences and are not evaluated.
    """

    differences: list[Difference]
    unread: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """same, excused (every difference is), doubtful (the others may be none) or different."""
        if not self.differences:
            return SAME
        left = [one for one in self.differences if not one.excuse]
        if not left:
            return EXCUSED
        return DOUBTFUL if all(one.doubt for one in left) else DIFFERENT

    def excused(self) -> list[Difference]:
        """The differences that something worth telling excuses."""
        return [one for one in self.differences if one.excuse and one.excuse not in TRIVIAL]

    def standing(self) -> list[Difference]:
        """The differences that nothing excuses; those beyond doubt where there are any."""
        left = [one for one in self.differences if not one.excuse]
        return [one for one in left if not one.doubt] or left


class _At(NamedTuple):
    """A place: its path, its keys with `*` for items of lists, and the way to it on both sides."""

    field: str
    steps: tuple[str, ...]
    live: Way
    desired: Way

    def member(self, key: str) -> _At:
        return _At(
            extend(self.field, key), (*self.steps, key), (*self.live, key), (*self.desired, key)
        )

    def item(self, segment: Segment, live: int, desired: int) -> _At:
        """`live` and `desired` are the places on both sides, -1 where it is not there."""
        return _At(
            extend(self.field, segment),
            (*self.steps, "*"),
            (*self.live, live),
            (*self.desired, desired),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What must be known besides the two documents.

    `open_fields` and `unknown` are of the effective resource. `rules` are those in force for the object,
    `managers` its managed fields, `application` what Argo CD calls its owner, `scaled_by` the autoscaler
    that sets its replicas.
    """

    open_fields: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    rules: tuple[Ignore, ...] = ()
    managers: Value = None
    application: str = ""
    scaled_by: str = ""


def compare(
    desired: Value, live: Value, group: str, kind: str, given: Circumstances | None = None
) -> Comparison:
    """How a live object differs from what is declared of it.

    Linear in both documents, but for the square of items that moved in a list.
    """
    given = given or Circumstances()
    expressions = [text for rule in given.rules for text in rule.expressions]
    unread = tuple(f"jqPathExpressions {text}" for text in dict.fromkeys(expressions))
    if not isinstance(desired, dict) or not isinstance(live, dict):
        return Comparison([Difference("", CHANGED, desired, live, "", "", ())], unread)
    work = _Work(group, kind, live, given)
    if desired.get("apiVersion") != live.get("apiVersion"):
        work.doubt = f"declared as {desired.get('apiVersion')}, live as {live.get('apiVersion')}"
    work.root(stored(desired, kind), live)
    return Comparison(work.found, unread)


def stored(desired: Object, kind: str) -> Object:
    """What the API server makes of a document before it keeps it: `stringData` goes into `data`."""
    if kind != "Secret" or not isinstance(desired.get("stringData"), dict):
        return desired
    data = desired.get("data")
    held = data if isinstance(data, dict) else {}
    rest = {key: value for key, value in desired.items() if key != "stringData"}
    return {**rest, "data": {**held, **desired["stringData"]}}  # type: ignore[dict-item]


@dataclass(slots=True)
class _Work:
    group: str
    kind: str
    whole: Object
    given: Circumstances
    doubt: str = ""
    found: list[Difference] = field(default_factory=list)

    # -- objects ---------------------------------------------------------------------------------

    def root(self, desired: Object, live: Object) -> None:
        """Compares everything but what is no part of the declaration."""
        skipped = {*_NOT_COMPARED, *self.given.unknown, "apiVersion", "kind", "metadata"}
        at = _At("", (), (), ())
        metadata, held = desired.get("metadata"), live.get("metadata")
        self.objects(
            _without(metadata, _METADATA), _without(held, _METADATA), at.member("metadata"), (live,)
        )
        self.objects(_without(desired, skipped), _without(live, skipped), at, (live,))
        for name in sorted(self.given.unknown & live.keys()):
            excuse = "the contents of generators are not read"
            self.add(at.member(name), UNDECLARED, None, None, excuse)

    def objects(self, desired: Object, live: Object, at: _At, above: tuple[Object, ...]) -> None:
        inside = (*above, live)
        for key, want in desired.items():
            below = at.member(key)
            if live.get(key) is not None:
                self.values(want, live[key], below, inside)
            elif not _says_nothing(want, key):
                self.add(below, MISSING, want, None)
        for key, have in live.items():
            if desired.get(key) is None and have is not None:
                self.undeclared(have, at.member(key), inside)

    def values(self, want: Value, have: Value, at: _At, above: tuple[Object, ...]) -> None:
        if want is None:
            return
        if isinstance(want, dict) and isinstance(have, dict):
            self.objects(want, have, at, above)
        elif isinstance(want, list) and isinstance(have, list):
            self.lists(want, have, at, above)
        elif at.field in self.given.open_fields:
            if not (isinstance(have, str) and re.fullmatch(re.escape(str(want)) + _HASH, have)):
                self.add(at, CHANGED, want, have)
        elif not equal(want, have, at.steps):
            self.add(at, CHANGED, want, have)

    def undeclared(self, have: Value, at: _At, above: tuple[Object, ...]) -> None:
        """What stands in the live object and nobody declared."""
        if have in ({}, [], None):
            return
        rule = default_rule(self.group, self.kind, at.steps)
        if rule is not None and rule(have, above):
            self.add(at, UNDECLARED, None, have, DEFAULT)
        elif isinstance(have, dict) and not self.excuse(at):
            for key, value in have.items():
                self.undeclared(value, at.member(key), (*above, have))
        else:
            self.add(at, UNDECLARED, None, have)

    # -- lists -----------------------------------------------------------------------------------

    def lists(
        self, want: list[Value], have: list[Value], at: _At, above: tuple[Object, ...]
    ) -> None:
        name = at.steps[-1] if at.steps else ""
        parents = [step for step in at.steps[:-1] if step != "*"]
        parent = parents[-1] if parents else ""
        keys = merge_keys_of(self.kind, name, parent) if is_known(self.group, self.kind) else ()
        left, right = _keyed(want, keys), _keyed(have, keys)
        if keys and left is not None and right is not None:
            self.by_key(want, have, left, right, at, above)
        elif name == "finalizers":
            self.sets(want, have, at)
        elif name in _UNORDERED and self.unordered(want, have, at, above):
            return
        else:
            self.atomic(want, have, at, above)

    def by_key(
        self,
        want: list[Value],
        have: list[Value],
        left: Mapping[tuple[str, ...], int],
        right: Mapping[tuple[str, ...], int],
        at: _At,
        above: tuple[Object, ...],
    ) -> None:
        name = at.steps[-1]
        for key, place in left.items():
            one, there = want[place], right.get(key, -1)
            below = at.item(_segment(one, name, place), there, place)
            if there >= 0:
                self.values(one, have[there], below, above)
            else:
                self.add(below, MISSING, one, None)
        for key, place in right.items():
            if key not in left:
                below = at.item(_segment(have[place], name, place), place, -1)
                self.add(below, UNDECLARED, None, have[place])

    def sets(self, want: list[Value], have: list[Value], at: _At) -> None:
        for place, one in enumerate(want):
            if one not in have:
                self.add(at.item(place, -1, place), MISSING, one, None)
        for place, one in enumerate(have):
            if one not in want:
                self.add(at.item(place, place, -1), UNDECLARED, None, one)

    def unordered(
        self, want: list[Value], have: list[Value], at: _At, above: tuple[Object, ...]
    ) -> bool:
        """Whether two lists hold the same items in any order; their excused differences are kept."""
        if len(want) != len(have) or len(want) > MAX_DIFFERENCES:
            return False
        left = list(range(len(have)))
        kept: list[Difference] = []
        for place, one in enumerate(want):
            for there in left:
                below = at.item(place, there, place)
                found = self.tried(one, have[there], below, above)
                if found is not None:
                    kept += found
                    left.remove(there)
                    break
            else:
                return False
        self.found += kept
        return True

    def tried(
        self, want: Value, have: Value, at: _At, above: tuple[Object, ...]
    ) -> list[Difference] | None:
        """The excused differences of two items; None where they have others."""
        trial = replace(self, found=[])
        trial.values(want, have, at, above)
        return None if any(not one.excuse for one in trial.found) else trial.found

    def atomic(
        self, want: list[Value], have: list[Value], at: _At, above: tuple[Object, ...]
    ) -> None:
        """Items in order: equal ones at both ends are left out, what is between pairs up in order."""
        head = self.run(want, have, at, above, lambda number: (number, number))
        rest = min(len(want), len(have)) - head
        tail = self.run(
            want[len(want) - rest :] if rest else [],
            have[len(have) - rest :] if rest else [],
            at,
            above,
            lambda number: (len(want) - 1 - number, len(have) - 1 - number),
            backwards=True,
        )
        middle = (range(head, len(want) - tail), range(head, len(have) - tail))
        paired = min(map(len, middle))
        for mine, theirs in zip(*middle, strict=False):
            self.values(want[mine], have[theirs], at.item(theirs, theirs, mine), above)
        for mine in middle[0][paired:]:
            self.add(at.item(mine, -1, mine), MISSING, want[mine], None)
        for theirs in middle[1][paired:]:
            self.add(at.item(theirs, theirs, -1), UNDECLARED, None, have[theirs])

    def run(
        self,
        want: list[Value],
        have: list[Value],
        at: _At,
        above: tuple[Object, ...],
        places: Callable[[int], tuple[int, int]],
        *,
        backwards: bool = False,
    ) -> int:
        """How many items are equal from one end on; their excused differences are kept."""
        pairs: Iterable[tuple[Value, Value]] = zip(
            reversed(want) if backwards else want,
            reversed(have) if backwards else have,
            strict=False,
        )
        number = 0
        for number, (one, other) in enumerate(pairs):
            mine, theirs = places(number)
            found = self.tried(one, other, at.item(theirs, theirs, mine), above)
            if found is None:
                return number
            self.found += found
        return min(len(want), len(have))

    # -- what is found ---------------------------------------------------------------------------

    def add(self, at: _At, action: str, desired: Value, live: Value, excuse: str = "") -> None:
        if len(self.found) >= MAX_DIFFERENCES:
            return
        excuse = excuse or self.excuse(at)
        doubt = "" if excuse else self.doubt or self.doubts(at, action, desired, live)
        if doubt.startswith("="):
            excuse, doubt = doubt[1:], ""
        self.found.append(Difference(at.field, action, desired, live, excuse, doubt, at.live))

    def excuse(self, at: _At) -> str:
        """What a difference is to be put down to."""
        by_rule = ignored(self.given.rules, self.given.managers, self.whole, (at.live, at.desired))
        if by_rule:
            return by_rule
        if at.steps == ("spec", "replicas") and self.given.scaled_by:
            return f"{self.given.scaled_by} sets the replicas"
        return controller(self.kind, self.whole, at.live, self.given.application)

    def doubts(self, at: _At, action: str, desired: Value, live: Value) -> str:
        """Why what looks like a difference may be none; an excuse where it begins with `=`."""
        if isinstance(desired, str) and isinstance(live, str):
            hidden = [_TOKEN.search(one) is not None for one in (desired, live)]
            return "a secret is hidden on one side only" if hidden[0] != hidden[1] else ""
        if action != UNDECLARED or is_known(self.group, self.kind) or at.steps[0] == "metadata":
            return ""
        if "*" in at.steps[-1:]:
            return ""
        names = [name for _, name in managers_of(self.given.managers, self.whole, at.live)]
        if any(_BY_HAND.fullmatch(name[:200]) for name in names):
            return ""
        if names and all(name in _GITOPS for name in names):
            return f"=taken for a default: {names[0]} set it, which nobody declared"
        return f"the defaults of {self.kind} are not known"


def _without(value: Value, names: frozenset[str] | set[str]) -> Object:
    if not isinstance(value, dict):
        return {}
    return {key: one for key, one in value.items() if key not in names}


def _says_nothing(want: Value, key: str) -> bool:
    """Whether the API server leaves out a declared value, for it is what nothing means."""
    if want is None or want is False or want in ("", []):
        return True
    return want == {} and key in _MAPS


def _keyed(items: list[Value], keys: Sequence[str]) -> dict[tuple[str, ...], int] | None:
    """Items by their merge key; None where one has none or two are alike."""
    found: dict[tuple[str, ...], int] = {}
    for place, one in enumerate(items):
        if not isinstance(one, dict):
            return None
        values = [one.get(key, "TCP" if key == "protocol" else None) for key in keys]
        if any(value is None or isinstance(value, dict | list) for value in values):
            return None
        key = tuple(str(value) for value in values)
        if key in found:
            return None
        found[key] = place
    return found


def _segment(item: Value, name: str, place: int) -> Segment:
    """How a path names an item of a list."""
    segment = segments([item], merge_keys([item], name))[0]
    return place if isinstance(segment, int) else segment
