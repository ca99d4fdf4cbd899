"""What a rendering takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ledger.kustomize.trees import Input
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
    `open` are known up to a suffix, those in `unknown` not at all.
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
    open: frozenset[str]
    unknown: tuple[str, ...]

    def inputs(self, leaf: str) -> tuple[Input, ...]:
        """What decided a leaf: the kustomizations' fields, else the document's own."""
        return self.decided.get(leaf) or (Input(self.path, leaf),)


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
