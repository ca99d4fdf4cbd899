"""What a rendering takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ledger.fields.paths import under
from ledger.kustomize.trees import Input, joined
from ledger.resources import Resource, Value


class Files(Protocol):
    """What stands in a repository at one revision. Paths are those of the repository, "" its root."""

    def documents(self, path: str) -> Sequence[Resource] | None:
        """The documents of a file; None where there is none or its content is not kept."""

    def listing(self, directory: str) -> Sequence[str]:
        """The paths of the manifests that stand in a directory itself."""

    def below(self, directory: str) -> Sequence[str]:
        """The directories in a directory that hold manifests, however deep."""


class Effective(NamedTuple):
    """A resource as a cluster would get it.

    `path` and `number` tell the document that declares it (`number` is -1 for a generated one, `path` then
    is the kustomization), `included` the entries that take that in. `decided` gives the inputs of every
    field that a kustomization set, the most telling first; `removed` those that it took away. Fields in
    `open` are known up to a suffix, those in `unknown` not at all. `moved` gives the path that an item of a
    list has in the document, where it is another one.
    """

    api_group: str
    kind: str
    namespace: str
    name: str
    body: Value
    path: str
    number: int
    included: tuple[Input, ...]
    decided: Mapping[str, tuple[Input, ...]]
    removed: Mapping[str, tuple[Input, ...]]
    moved: Mapping[str, str]
    open: frozenset[str]
    unknown: tuple[str, ...]

    def inputs(self, leaf: str) -> tuple[Input, ...]:
        """What decided a leaf: the kustomizations' fields, else the document's own."""
        found = self.decided.get(leaf)
        if not found and leaf not in self.decided:
            # A list or object that patches have emptied stands as a leaf.
            emptied = [inputs for path, inputs in self.removed.items() if under(path, leaf)]
            found = joined(*emptied)
        return found or (Input(self.path, self._own(leaf)),)

    def _own(self, leaf: str) -> str:
        """The path of a leaf in the document."""
        above = [path for path in self.moved if under(leaf, path)]
        nearest = max(above, key=len, default="")
        return self.moved[nearest] + leaf[len(nearest) :] if nearest else leaf


class Unread(NamedTuple):
    """Something that decides what is built and was not followed.

    `kind`: remote (a base elsewhere), missing, unreadable, unsupported (a field of `path` that is not
    followed), conflict (what kustomize itself would refuse), limit (there was too much of it).
    """

    kind: str
    path: str
    what: str

    def text(self) -> str:
        """For a person."""
        return f"{self.what} ({self.kind}, in {self.path})" if self.path else self.what


class Rendered(NamedTuple):
    """The effective resources of a directory, every path that was looked at, and what was not read.

    `listed` are directories all of whose files count.
    """

    resources: list[Effective]
    read: frozenset[str]
    listed: frozenset[str]
    unread: list[Unread]


class Overlay(NamedTuple):
    """What an application sets on top of its directory.

    `name` stands for it in inputs, `body` are fields of a kustomization. Objects without a namespace go
    to `namespace`.
    """

    name: str
    body: Value = None
    namespace: str = ""
