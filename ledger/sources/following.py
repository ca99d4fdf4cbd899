"""Follows the pull requests of a forge whose API cannot list them by when they changed.

Each pull lists the open ones, and reads anew those that look different than before and those that are
open no longer. Then it lists the others from the newest on, until a page holds nothing new; the first
time until the end, which may be in many parts. So the cursor says how each open one looked, and which of
the others are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol

import msgspec

from ledger.contents import Content
from ledger.events import NewEvent
from ledger.sources import Batch

AT_ONCE = 20


class Listed(NamedTuple):
    """A pull request as a list shows it; `mark` differs whenever it looks different."""

    number: int
    open: bool
    mark: str


class Reading(NamedTuple):
    """What is told of one pull request, and whether it is open."""

    batch: Batch
    open: bool


class Forge(Protocol):
    """What a forge's polling gives: pages of lists, and one pull request with all that belongs to it."""

    def listed_open(self) -> Iterator[Sequence[Listed]]:
        """The open pull requests."""

    def listed_newest(self) -> Iterator[Sequence[Listed]]:
        """The others, perhaps with open ones among them; newer ones first, by whatever time."""

    def read(self, number: int) -> Reading:
        """One pull request. What cannot be read of it is a gap in its batch."""


class Cursor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How open pull requests looked; which others are read (ranges of numbers), and whether all were."""

    open: dict[int, str] = {}
    closed: list[tuple[int, int]] = []
    complete: bool = False


def mark(*parts: Any) -> str:
    """A short digest of how something looks."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:12]


def follow(forge: Forge, cursor: bytes) -> Iterator[Batch]:
    """What is new since the cursor, some pull requests a batch. Raises what the forge's polling raises."""
    yield from _Follow(forge, cursor).run()


class _Follow:
    def __init__(self, forge: Forge, cursor: bytes) -> None:
        self._forge = forge
        self._before = cursor
        reached = msgspec.json.decode(cursor, type=Cursor) if cursor else Cursor()
        self._open = dict(reached.open)
        self._closed = {one for low, high in reached.closed for one in range(low, high + 1)}
        self._complete = reached.complete
        self._done = 0

    def run(self) -> Iterator[Batch]:
        seen: set[int] = set()
        for page in self._forge.listed_open():
            seen.update(one.number for one in page)
            yield from self._read(one for one in page if self._open.get(one.number) != one.mark)
        left = sorted(self._open.keys() - seen)
        yield from self._read(Listed(number, False, "") for number in left)
        for page in self._forge.listed_newest():
            new = [one for one in page if not one.open and one.number not in self._closed]
            if not new and self._complete:
                break
            yield from self._read(new)
        self._complete = True
        if self._cursor() != self._before:
            yield self._batch([], [])

    def _read(self, found: Iterable[Listed]) -> Iterator[Batch]:
        waiting = iter(found)
        while some := list(islice(waiting, AT_ONCE)):
            events: list[NewEvent] = []
            contents: list[Content] = []
            for one in some:
                reading = self._forge.read(one.number)
                events += reading.batch.events
                contents += reading.batch.contents
                self._note(one, reading.open)
            self._done += len(some)
            yield self._batch(events, contents)

    def _note(self, one: Listed, is_open: bool) -> None:
        self._open.pop(one.number, None)
        self._closed.discard(one.number)
        if is_open:
            self._open[one.number] = one.mark
        else:
            self._closed.add(one.number)

    def _batch(self, events: list[NewEvent], contents: list[Content]) -> Batch:
        return Batch(
            events=events,
            contents=contents,
            cursor=self._cursor(),
            done=self._done,
            total=self._done,
        )

    def _cursor(self) -> bytes:
        marks = dict(sorted(self._open.items()))
        cursor = Cursor(open=marks, closed=_ranges(self._closed), complete=self._complete)
        return msgspec.json.encode(cursor)


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for one in sorted(numbers):
        if found and found[-1][1] == one - 1:
            found[-1] = (found[-1][0], one)
        else:
            found.append((one, one))
    return found
