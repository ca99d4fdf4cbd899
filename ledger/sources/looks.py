"""Looks at a cluster: what is new in one, compared with what the ledger was told before.

A fact about an object is told when it differs from what the last look before had shown, by the time of the
looks and not by the order in which files are handed over. A file that is older than others may show a
state between two looks that were the same; what the later of them saw is then told, too.

A file lacks what was left out of it. Only where a person states that the files of a look hold everything of
the scopes that they show, what they lack is gone: that is their word, and recorded as theirs.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ledger.dumps import canonical, redacted
from ledger.errors import SourceError
from ledger.events import (
    Identity,
    NewEvent,
    RecordedEvent,
)
from ledger.sources import Stored, Tools

GONE: Final = ""
MAX_TEXT: Final = 16 * 2**20


Scope = tuple[str, str, str]  # group, kind, namespace


class Name(NamedTuple):
    """What an object is called in its cluster."""

    group: str
    kind: str
    namespace: str
    name: str

    @property
    def path(self) -> str:
        """The name as a part of keys."""
        return "/".join(map(part, self))

    @property
    def scope(self) -> Scope:
        """What is listed together with it."""
        return self[:3]


def part(text: str) -> str:
    """A text as one segment of a key."""
    return text.replace("%", "%25").replace("/", "%2F").replace("#", "%23")


class Known(NamedTuple):
    """What a recorded event told of an object: `state` is empty where it was gone."""

    at: str
    state: str
    position: int
    event: RecordedEvent


# (when it was seen, its state) of an event; None for an event of another concern
Read = Callable[[RecordedEvent], tuple[str, str] | None]


def digest(value: Any) -> str:
    """The digest of a value's canonical text, as hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def keep(name: str, value: Any, tools: Tools) -> Stored:
    """The redacted canonical text of a value, made ready to be kept as a file of that name.

    Raises SourceError where it is larger than a server would hold.
    """
    text = redacted(value, tools.redact)
    if len(text) > MAX_TEXT:
        raise SourceError(f"it is larger than {MAX_TEXT >> 20} MB")
    return tools.store(name, text)


def history(events: Iterable[RecordedEvent], read: Read) -> list[Known]:
    """What was told of one object, in the order in which it was seen."""
    found = [(told, event) for event in events if (told := read(event)) is not None]
    return sorted(Known(at, state, event.position, event) for (at, state), event in found)


class Later(NamedTuple):
    """A recorded look at a later time: what it held, and the scopes of which `stated_by` says that is all."""

    at: str
    objects: dict[Name, str]
    scopes: frozenset[Scope] = frozenset()
    stated_by: Identity | None = None

    def state(self, name: Name) -> str | None:
        """The state in which it showed an object; None where it tells nothing of it."""
        if self.stated_by is None:
            return self.objects.get(name)
        return GONE if name.scope in self.scopes and name not in self.objects else None


Again = Callable[[RecordedEvent | None, Later], NewEvent]


@dataclass(slots=True)
class Look:
    """One look at a cluster: `feed` tells apart what is looked at, `later` are the looks after it."""

    feed: str
    cluster: str
    at: str
    read: Read
    later: list[Later] = field(default_factory=list)
    seen: dict[Name, str] = field(default_factory=dict)

    def news(
        self,
        name: Name,
        state: str,
        told: Sequence[RecordedEvent],
        tell: Callable[[], NewEvent],
        again: Again,
    ) -> list[NewEvent]:
        """The events that say what this look saw of an object, none where nothing is new.

        `told` is every event about it. `again` says that what an event told was so at a later look, too,
        or that the object was gone then, where there is no such event.
        """
        if state != GONE:
            self.seen[name] = state
        known = history(told, self.read)
        place = bisect_right([one.at for one in known], self.at)
        before = known[place - 1] if place else None
        was = before.state if before is not None else GONE
        if was == state or any((one.at, one.state) == (self.at, state) for one in known):
            return []  # else two files of one time show two states: both are told already
        events = [tell()]
        until = known[place].at if place < len(known) else None
        for later in self.later:
            if until is not None and later.at >= until:
                break
            if later.state(name) == was:
                told_before = before.event if before is not None and was != GONE else None
                events.append(again(told_before, later))
                break
        return events
