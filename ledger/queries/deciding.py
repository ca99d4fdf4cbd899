"""Questions about resources as a cluster gets them: which change of which input decided a field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from ledger import fields
from ledger.errors import AmbiguousError
from ledger.queries.answers import Blame, Blamed, Change, Revision
from ledger.queries.asking import Asker
from ledger.queries.names import ResourceName, Scope
from ledger.queries.spelling import is_meant, spellings
from ledger.resources import Value

if TYPE_CHECKING:
    from ledger.queries.effective import Decided, Place, Setter
    from ledger.queries.outcomes import Outcomes

MAX_CANDIDATES = 5
MANY = 20
_ABSENT: Value = {"": "absent"}


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What decides a field besides the document itself, and the change that set it last.

    `decided` is empty where the document alone decides. `each_for_itself` are directories that decide
    the field differently, where nothing was said about which is meant; then nothing is decided here.

    Of a whole resource, `place` is the directory whose result is meant, null where it is the document's
    own; `decided` then are the fields that the change made others, and `unread` is the newest revision
    that was not looked at, 0 where the change is found or there is none.
    """

    decided: list[Decided] = []
    change: Change | None = None
    setter: Setter | None = None
    each_for_itself: list[str] = []
    place: Place | None = None
    unread: int = 0

    def inputs(self) -> list[Setter]:
        """The inputs in documents, each once."""
        found = {(one.path, one.field): one for each in self.decided for one in each.setters}
        return [one for one in found.values() if one.resource is not None]


class Decider:
    """Asks an open ledger; everything that it says is inferred.

    `unread` is, once a history is read to its end, the newest revision whose inputs it leaves out.
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self.unread = 0

    def decide(
        self, resources: Sequence[ResourceName], field: str, scope: Scope, until: str = ""
    ) -> Decision:
        """What decides a field, and the newest change that made its value another.

        Costs a reading of every directory that is built with the document, and two for each change
        that may be the one. Raises AmbiguousError where a namespace or path is given and several
        directories decide the field differently all the same.
        """
        if len(resources) != 1 or not field:
            return Decision()
        one = resources[0]
        moment = self._asker.moment(one.repository, one.branch, until)
        ways: dict[tuple[str, ...], list[Decided]] = {}
        directories: set[str] = set()
        for place in self._places(one, scope, moment.commit_sha):
            decided = self._asker.places.decided(place, field)
            ways.setdefault(_way(decided), decided)
            directories.add(place.directory)
            if len(ways) > 1 and not _is_narrow(scope):
                everywhere = self._asker.places.directories(one, scope, moment.commit_sha)
                return Decision(each_for_itself=everywhere)
        if len(ways) > 1:
            raise _several(one, sorted(directories))
        chosen = next(iter(ways.values()), [])
        if not chosen:
            return Decision()
        change, setter = self._newest(one, chosen, field, until)
        return Decision(decided=chosen, change=change, setter=setter)

    def last(
        self, resources: Sequence[ResourceName], scope: Scope, until: str = "", *, find: bool = True
    ) -> Decision:
        """The newest change that made the resource as a cluster gets it another one, by whatever input.

        Nothing where no directory is built with the document, or several are that differ: these are
        `each_for_itself` then. Costs two readings of the directory for each revision that may be the one;
        without `find` only the directory is told, and no change.
        """
        if len(resources) != 1:
            return Decision()
        one = resources[0]
        commit = self._asker.moment(one.repository, one.branch, until).commit_sha
        first: Place | None = None
        for place in self._places(one, scope, commit):
            first = first or place
            if place.one.decided != first.one.decided:
                everywhere = self._asker.places.directories(one, scope, commit)
                return Decision(each_for_itself=everywhere)
        if first is None or not find:
            return Decision(place=first)
        outcomes = self._outcomes(first)
        newest = next((each for each in outcomes.newest_first() if each.changes), None)
        if newest is None:
            return Decision(place=first, unread=outcomes.unread)
        decided = self._asker.places.decided_of(first, newest.changed)
        return Decision(decided=decided, change=newest.changes[0], place=first)

    def _outcomes(self, place: Place) -> Outcomes:
        from ledger.queries.outcomes import Outcomes  # noqa: PLC0415 (reads kustomizations: heavy)

        return Outcomes(self._asker, place)

    def _places(self, one: ResourceName, scope: Scope, commit: str) -> Iterator[Place]:
        for place in self._asker.places.of(one, scope, commit):
            if scope.namespace in (None, place.one.namespace):
                yield place

    def _newest(
        self, one: ResourceName, decided: Sequence[Decided], field: str, until: str
    ) -> tuple[Change | None, Setter | None]:
        """The newest change after which the field has another value than before."""
        found: list[tuple[Change, Setter]] = []
        for setter in _inputs(decided):
            changes = self._asker.history(
                [setter.resource], field=setter.field, until=until, limit=MAX_CANDIDATES
            ) if setter.resource is not None else ()  # fmt: skip
            found += [(change, setter) for change in changes]
        found.sort(key=lambda pair: -pair[0].revision.number)
        directory = decided[0].directory
        for change, setter in found:
            after = self._values(one, directory, change.revision.commit_sha, field)
            if after != self._values(one, directory, self._before(change.revision), field):
                return change, setter
        return found[0] if found else (None, None)

    def _before(self, revision: Revision) -> str:
        return self._asker.first_parent(revision)

    def _values(
        self, one: ResourceName, directory: str, commit: str, field: str
    ) -> dict[str, Value]:
        """The fields that are meant, as a directory had them at a commit; none where it lacked them."""
        if not commit:
            return {}
        for place in self._asker.places.at(one, directory, commit):
            leaves = fields.leaves(place.one.body)
            wanted = spellings(one.api_group, one.kind, field)
            return {leaf: value for leaf, value in leaves if is_meant(leaf, wanted)}
        return {}

    def history(
        self,
        resources: Sequence[ResourceName],
        decision: Decision,
        *,
        field: str,
        until: str = "",
        limit: int = 0,
    ) -> Iterator[Change]:
        """The changes of a field in the document and in every input that decides it, newest first.

        Of a whole resource: its document's changes, and those of its inputs that made it another one.
        """
        if not field and decision.place is not None:
            whole = self._of_all(resources, decision.place, until, limit)
            yield from islice(whole, limit) if limit else whole
            return
        found = list(self._asker.history(resources, field=field, until=until, limit=limit))
        own = {one.resource for one in resources}
        for setter in decision.inputs():
            if setter.resource is not None and setter.resource.resource not in own:
                found += self._asker.history(
                    [setter.resource], field=setter.field, until=until, limit=limit
                )
        found.sort(key=lambda one: -one.revision.number)
        yield from found[:limit] if limit else found

    def _of_all(
        self, resources: Sequence[ResourceName], place: Place, until: str, limit: int
    ) -> Iterator[Change]:
        own = self._asker.history(resources, until=until, limit=limit)
        next_own = next(own, None)
        known = {one.resource for one in resources}
        outcomes = self._outcomes(place)
        for outcome in outcomes.newest_first():
            while next_own is not None and next_own.revision.number >= outcome.number:
                yield next_own
                next_own = next(own, None)
            yield from (one for one in outcome.changes if one.resource not in known)
        self.unread = outcomes.unread
        if next_own is not None:
            yield next_own
        yield from own

    # -- blame -----------------------------------------------------------------------------------

    def blame(self, one: ResourceName, scope: Scope, at: str = "") -> tuple[Blame, list[str]]:
        """The revision that set each field of the effective resource, with the input where one decides.

        Gives the document's own where no directory is built with it, or several are that differ and
        none was named: those are the second part. Raises AmbiguousError where one was.
        """
        plain = self._asker.blame(one, at=at)
        commit = plain.moment.commit_sha
        places: list[Place] = []
        for place in self._places(one, scope, commit):
            places.append(place)
            if place.one.decided != places[0].one.decided:
                if _is_narrow(scope):
                    raise _several(one, sorted({each.directory for each in places}))
                return plain, self._asker.places.directories(one, scope, commit)
        if not places:
            return plain, []
        return self._effective(plain, places[0], at), []

    def _effective(self, plain: Blame, place: Place, at: str) -> Blame:
        own = {each.field: each for each in plain.fields}
        told: dict[tuple[str, str], Revision | None] = {}
        found: list[Blamed] = []
        for leaf, value in fields.leaves(place.one.body):
            inputs = place.one.decided.get(leaf, ())
            setters = [self._asker.places.setter(place, each) for each in inputs]
            setter = next((each for each in setters if each.resource is not None), None)
            if setter is None:
                ours = own.get(place.one.inputs(leaf)[0].field) if not inputs else None
                if ours is not None:
                    found.append(msgspec.structs.replace(ours, field=leaf))
                continue
            key = (setter.path, setter.field)
            if key not in told:
                told[key] = self._last(setter, at)
            revision = told[key]
            if revision is not None:
                found.append(
                    Blamed(
                        field=leaf,
                        value=value,
                        revision=revision,
                        path=setter.path,
                        input_field=setter.field,
                    )
                )
        return msgspec.structs.replace(plain, fields=found)

    def _last(self, setter: Setter, at: str) -> Revision | None:
        assert setter.resource is not None
        changes = self._asker.history([setter.resource], field=setter.field, until=at, limit=1)
        change = next(iter(changes), None)
        return change.revision if change is not None else None


def _inputs(decided: Sequence[Decided]) -> list[Setter]:
    """What decides fields, and what takes the document in, each once."""
    found = {
        (one.path, one.field): one for each in decided for one in [*each.setters, *each.included]
    }
    return list(found.values())


def _way(decided: Sequence[Decided]) -> tuple[str, ...]:
    """By what a directory decides: the same for directories that agree."""
    return tuple(
        f"{one.field} {setter.path} {setter.field}" for one in decided for setter in one.setters
    )


def _is_narrow(scope: Scope) -> bool:
    """Whether something was said about which directory is meant."""
    return scope.namespace is not None or bool(scope.path)


def _several(one: ResourceName, directories: Sequence[str]) -> AmbiguousError:
    listed = "\n".join(f"  --path {each or '.'}" for each in directories[:MANY])
    return AmbiguousError(
        f"{one.title()} is built from {len(directories)} directories that decide this each for itself",
        hint=f"Choose one:\n{listed}",
    )
