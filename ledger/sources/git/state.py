"""What one pull of a repository knows while it runs, and how refs are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ledger.contents import Content
from ledger.events import Event, FileSide, Identity, NewEvent
from ledger.gitio import Mirror
from ledger.sources import Batch, Kept, Tools

HEADS, TAGS = "refs/heads/", "refs/tags/"
DISPLACED = "refs/ledger/line/"
PULLS = {"refs/pull/": "/head", "refs/merge-requests/": "/head", "refs/pull-requests/": "/from"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GitOptions:
    """One `[[source]]` of kind git. `branches` empty means the branch that HEAD names."""

    name: str
    url: str
    mirror: Path
    branches: tuple[str, ...] = ()
    pull_requests: bool = True
    allowed_signers: Path | None = None


class Question(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A pull request of which heads are to be compared: `reviewed..head` → the day on which the remote was
    last asked for what is missing. An empty head is the one that merged; `merge` is what it merged as."""

    pairs: dict[str, str] = {}
    head: str = ""
    merge: str = ""
    commits: int = 0


class Merge(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a forge says of a merge that is not compared with what landed yet."""

    commit: str
    head: str
    base: str = ""
    commits: int = 0


class Cursor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far a repository is read: every ref as recorded, and each tracked branch's tip and number.

    `told` is the position up to which the log was searched for `questions` and `merges`, by the number of
    the pull request, that forges raise.
    """

    refs: dict[str, str] = {}
    moves: dict[str, int] = {}
    numbers: dict[str, int] = {}
    branches: list[str] = []
    pull_requests: bool = False
    stamp: str = ""
    surveyed: str = ""
    told: int = 0
    questions: dict[str, Question] = {}
    merges: dict[str, Merge] = {}


@dataclass(slots=True)
class Pull:
    """The state of one pull."""

    options: GitOptions
    tools: Tools
    mirror: Mirror
    before: Cursor
    after: Cursor
    branches: list[str]
    known: dict[tuple[str, str], Kept] = field(default_factory=dict)
    revisions: list[tuple[str, str]] = field(default_factory=list)  # branch, commit
    signed: list[str] = field(default_factory=list)
    done: int = 0
    total: int = 0
    sides: dict[tuple[str, str, str, bool], FileSide] = field(default_factory=dict)
    graphs: dict[tuple[str, ...], dict[str, str]] = field(default_factory=dict)
    begun: dict[tuple[str, ...], Callable[[], list[str]]] = field(default_factory=dict)

    def graph(self, tips: Sequence[str], exclude: Sequence[str] = ()) -> dict[str, str]:
        """Every commit reachable from the tips and not from the excluded, with its first parent.

        Where nothing is excluded it is listed once in a pull.
        """
        key = tuple(sorted(tips))
        if exclude:
            return _first_parents(self.mirror.graph(key, exclude))
        if key not in self.graphs:
            self.graphs = {key: _first_parents(self.mirror.graph(key))}
        return self.graphs[key]

    def reached(self, tips: Sequence[str]) -> Iterable[str]:
        """Every commit reachable from the tips; without their parents where those are not at hand."""
        key = tuple(sorted(tips))
        if key in self.begun:
            return self.begun.pop(key)()
        return self.graphs.get(key) or self.mirror.reachable(tips)

    def expect(self, tips: Sequence[str]) -> None:
        """Begins to list what `reached` will be asked for."""
        key = tuple(sorted(tips))
        if key not in self.graphs:
            self.begun[key] = self.mirror.reach(tips)

    @property
    def stream(self) -> str:
        return f"repository/{self.options.name}"

    def event(
        self, key: str, data: Event, *, occurred_at: str = "", actor: Identity | None = None
    ) -> NewEvent:
        return NewEvent(
            stream=self.stream,
            key=f"{self.options.name}/{key}",
            source=self.options.name,
            occurred_at=occurred_at,
            actor=actor,
            data=data,
        )

    def batch(self, events: list[NewEvent], contents: list[Content] | None = None) -> Batch:
        return Batch(events=events, contents=contents or [], done=self.done, total=self.total)


def _first_parents(graph: Iterable[Sequence[str]]) -> dict[str, str]:
    return {one[0]: one[1] if len(one) > 1 else "" for one in graph}


def is_wanted(ref: str, options: GitOptions, branches: Sequence[str]) -> bool:
    if ref.startswith(HEADS):
        return ref.removeprefix(HEADS) in branches
    return ref.startswith(TAGS) or (options.pull_requests and pull_number(ref) is not None)


def is_listed(ref: str, options: GitOptions, branches: Sequence[str]) -> bool:
    """Whether the remote's list would show the ref: also branches that are no longer tracked."""
    every_branch = ref.startswith(HEADS) and not options.branches
    return every_branch or is_wanted(ref, options, branches)


def pull_number(ref: str) -> int | None:
    """The number of the pull request whose head a ref is."""
    for prefix, suffix in PULLS.items():
        if ref.startswith(prefix) and ref.endswith(suffix):
            number = ref[len(prefix) : -len(suffix)]
            # Some ten thousand of them are looked at: no pattern is matched.
            plain = number.isascii() and number.isdigit() and number[0] != "0" and len(number) < 10
            return int(number) if plain else None
    return None


def text_path(path: bytes) -> tuple[str, str]:
    """A path as text and how it was written: "" for UTF-8, else "percent" (non-UTF-8 bytes as %XX)."""
    try:
        return path.decode("utf-8"), ""
    except UnicodeDecodeError:
        pieces = [
            f"%{ord(char) - 0xDC00:02X}"
            if "\udc80" <= char <= "\udcff"
            else char.replace("%", "%25")
            for char in path.decode("utf-8", "surrogateescape")
        ]
        return "".join(pieces), "percent"


def readable_ref(ref: str) -> str:
    """A ref name as text; bytes that are not UTF-8 as %XX."""
    return text_path(ref.encode("utf-8", "surrogateescape"))[0]
