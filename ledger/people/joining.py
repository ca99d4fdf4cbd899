"""Names joined into persons: a union-find over grounds, as of a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

LOGIN: Final = "login"
EMAIL: Final = "email"
PERSON: Final = "person"
MAX_CUTS = 64
_ORDER = {PERSON: 0, LOGIN: 1, EMAIL: 2}


class Key(NamedTuple):
    """A login on a forge's host, an e-mail address, or a person of the configuration."""

    kind: str
    forge: str
    value: str

    @property
    def text(self) -> str:
        """As it is shown: `github.com/mona`, `mona@example.org`."""
        return f"{self.forge}/{self.value}" if self.forge else self.value

    @property
    def place(self) -> tuple[int, str, str]:
        """The order in which names stand for a person: the configured one, a login, an address."""
        return _ORDER[self.kind], self.forge, self.value


class Joining(NamedTuple):
    """Two names that are said to be one person, and how strong that word is: a lower rank is stronger.

    It is told from `valid_from` to `valid_until`, UTC text; empty is from the beginning, and still told.
    """

    rank: int
    one: Key
    other: Key
    valid_from: str = ""
    valid_until: str = ""


def in_force(one: Joining, at: str) -> bool:
    """Whether a joining counts for what happened at a time; with no time, whether it still does.

    It counts for everything before it was taken back, also for what happened before it was told: the
    two were one person then, too.
    """
    return not one.valid_until or bool(at and at <= one.valid_until)


def cuts(joinings: Iterable[Joining]) -> list[str]:
    """The times at which joinings end, in order, at most 64: an end between two counts as the later."""
    ends = sorted({one.valid_until for one in joinings} - {""}, reverse=True)
    return ends[:: len(ends) // MAX_CUTS + 1][::-1]


class Partition:
    """Which names are one person by given joinings; their order makes no difference.

    The configuration has the last word: what it gives to two persons no other ground makes one.
    `refused` are the joinings that would. Costs little more than the number of joinings.
    """

    def __init__(self, joinings: Iterable[Joining]) -> None:
        self._above: dict[Key, Key] = {}
        self.refused: list[Joining] = []
        for one in sorted(joinings, key=lambda one: (one.rank, one.one.place, one.other.place)):
            self._join(one)

    def _join(self, one: Joining) -> None:
        tops = sorted((self._top(one.one), self._top(one.other)), key=lambda key: key.place)
        first, second = tops
        if first != second and second.kind == PERSON:
            self.refused.append(one)
            return
        self._above[second] = first
        self._above[first] = first

    def _top(self, key: Key) -> Key:
        """What stands for the person: the first of its names in their order."""
        above = self._above.get(key, key)
        while above != key:
            over = self._above.get(above, above)
            self._above[key] = over
            key, above = above, over
        return key

    def person(self, key: Key) -> Key | None:
        """The first of the names of the same person; None where no joining names the key."""
        return self._top(key) if key in self._above else None

    def keys(self) -> Iterable[Key]:
        """Every name that is joined to another."""
        return self._above.keys()
