"""Changes of what comes out: the revisions after which a directory makes another thing of a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ledger import fields
from ledger.kustomize import NAMES
from ledger.queries.answers import Change
from ledger.queries.asking import Asker, Step
from ledger.queries.many import growing
from ledger.resources import Value

if TYPE_CHECKING:
    from ledger.queries.effective import Place

FIRST = 2  # revisions of which everything is read at once, at the beginning
MAX_READ = 200  # revisions of which the outcome is read, two directories each


class Outcome(NamedTuple):
    """A revision after which something else comes out, in `changed` fields.

    `changes` are those of the document and of its inputs in that revision, the most telling first.
    """

    number: int
    commit: str
    changed: list[str]
    changes: list[Change]


class Outcomes:
    """The revisions that changed what one directory makes of a document, found by reading it at each.

    Rendered at every revision that touched the document, a kustomization that takes it in, or another
    file that one of these ever named and that is no manifest of its own. What an application sets
    besides has no revisions. `unread` is the newest revision that was not read, 0 where all were.
    """

    def __init__(self, asker: Asker, place: Place) -> None:
        self._asker = asker
        self._place = place
        self._one = place.resource
        self._line = place.tree.line
        self._own: list[Step] = []
        self.unread = 0

    def newest_first(self) -> Iterator[Outcome]:
        """Each of them, as it is found. Costs two readings of the directory for each candidate."""
        one = self._one
        self._own = self._asker.steps([one], self._line.commit)
        candidates = self._candidates()
        if len(candidates) > MAX_READ:
            self.unread = candidates[MAX_READ][0]
        for some in growing(candidates[:MAX_READ], FIRST):
            parents = self._asker.places.parents(one, some)
            pairs = list(zip(parents, some, strict=True))
            commits = [each for parent, (_, commit) in pairs for each in (commit, parent)]
            self._asker.places.warm(one, self._place.directory, commits)
            for parent, (number, commit) in pairs:
                old, new = self._made(parent, number - 1), self._made(commit, number)
                if old != new:
                    changed = _differing(old, new)
                    yield Outcome(number, commit, changed, self._changes(number, commit, changed))

    def _candidates(self) -> list[tuple[int, str]]:
        """Number and commit of the revisions that touched an input, newest first."""
        tree = self._place.tree
        own = {(one.revision_number, one.commit_sha) for one in self._own}
        rows = [
            (row.revision_number, row.commit_sha)
            for directory, wanted in self._inputs().items()
            for row in self._asker.places.versions(self._line, directory)
            if row.name in wanted and tree.holds(row.commit_sha)
        ]
        return sorted(own.union(rows), reverse=True)

    def _inputs(self) -> dict[str, set[str]]:
        """The files that ever went into the directory, by directory; other manifests left out."""
        manifests = {each.path for each in self._place.rendered.resources if each.number >= 0}
        found: dict[str, set[str]] = {}
        for path in self._asker.places.ever_in(self._line, self._place.directory):
            directory, _, name = path.rpartition("/")
            if name in NAMES or path not in manifests:
                found.setdefault(directory, set()).add(name)
        return found

    def _made(self, commit: str, number: int) -> list[Value]:
        """What came out at a commit, under the path and name that the document then had."""
        if not commit:
            return []
        last = next((one for one in self._own if one.revision_number <= number), None)
        if last is None or last.action == "removed":
            return []
        then = msgspec.structs.replace(
            self._one,
            path=last.path,
            api_group=last.api_group,
            kind=last.kind,
            namespace=last.namespace,
            name=last.name,
        )
        found = self._asker.places.at(then, self._place.directory, commit)
        return [each.one.body for each in found]

    def _changes(self, number: int, commit: str, changed: Sequence[str]) -> list[Change]:
        one = self._one
        inputs = {f"{directory}/{name}".lstrip("/")
                  for directory, files in self._inputs().items() for name in files}  # fmt: skip
        own = [each for each in self._own if each.commit_sha == commit]
        found = self._asker.changes([one], own)
        for each in self._asker.places.changed_in(self._line, number, commit, inputs):
            if each.resource != one.resource:
                found += self._asker.history([each], until=commit, limit=1)
        deciding = [
            each.path for leaf in changed[:MAX_READ] for each in self._place.one.inputs(leaf)[:1]
        ]
        return sorted(found, key=lambda each: -deciding.count(each.path))


def _differing(old: Sequence[Value], new: Sequence[Value]) -> list[str]:
    before = dict(fields.leaves(old[0])) if old else {}
    after = dict(fields.leaves(new[0])) if new else {}
    return [leaf for leaf in {**before, **after} if before.get(leaf) != after.get(leaf)]
