"""Looks at a cluster: what is new in one, compared with what the ledger was told before.

A fact about an object is told when it differs from what the last look before had shown, by the time of the
looks and not by the order in which files are handed over. A file that is older than others may show a
state between two looks that were the same; what the later of them saw is then told, too. For that, the
survey of each file keeps the list of what it held.

A file lacks what was left out of it. Only where a person states that the files of a look hold everything of
the scopes that they show, what they lack is gone: that is their word, and recorded as theirs.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from ledger.contents import Content
from ledger.dumps import MAX_FILE, canonical, redacted
from ledger.errors import SourceError, UsageError
from ledger.events import (
    ClusterSurveyed,
    CollectorGap,
    Identity,
    NewEvent,
    RecordedEvent,
    ScopeCounted,
)
from ledger.instants import FORMAT
from ledger.jsontext import clean
from ledger.sources import Configured, Stored, Tools

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


def in_order_of_time(files: Iterable[Path]) -> list[tuple[str, Path]]:
    """The files with their own times, oldest first; what cannot be asked comes first, without a time."""
    return sorted(((_modified(path), path) for path in files), key=lambda one: one[0])


def _modified(path: Path) -> str:
    try:
        seconds = path.stat().st_mtime
        return datetime.fromtimestamp(seconds, UTC).strftime(FORMAT).rjust(20, "0")
    except (OSError, OverflowError, ValueError):
        return ""


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises SourceError where it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise SourceError(error.strerror or "it cannot be opened") from error
    if len(data) > MAX_FILE:
        raise SourceError(f"it is larger than {MAX_FILE >> 20} MB; split it")
    return data


def open_file(
    feed: str, cluster: str, data: bytes, modified: str, tools: Tools, read: Read
) -> tuple[Look, str]:
    """The look that a file is, and the key of its survey. `modified` is the file's own time.

    A time in the future is none: then the file was seen when the same bytes were handed over first.
    """
    prefix = f"dump/{feed}/{part(cluster)}/"
    same = f"{prefix}{hashlib.sha256(data).hexdigest()[:32]}/"
    surveys = _surveys(prefix, tools)
    at = modified
    if not modified or modified > tools.now:
        at = min([one.observed_at for key, one in surveys if key.startswith(same)] or [tools.now])
    return Look(feed, cluster, at, read, _after(at, surveys, tools)), same + at


def look_again(feed: str, cluster: str, at: str, tools: Tools, read: Read) -> Look:
    """A look at a time that files had."""
    surveys = _surveys(f"dump/{feed}/{part(cluster)}/", tools)
    return Look(feed, cluster, at, read, _after(at, surveys, tools))


def _surveys(prefix: str, tools: Tools) -> list[tuple[str, ClusterSurveyed]]:
    return [
        (event.key, event.data)
        for event in tools.told(prefix)
        if isinstance(event.data, ClusterSurveyed)
    ]


def _after(at: str, surveys: Iterable[tuple[str, ClusterSurveyed]], tools: Tools) -> list[Later]:
    """The looks after a time, in order of time."""
    later = sorted(
        ((one.observed_at, one.objects, one) for _, one in surveys), key=lambda one: one[:2]
    )
    return [
        Later(when, read_objects(tools.content(objects)), scopes_of(one), one.stated_by)
        for when, objects, one in later
        if when > at and objects
    ]


def scopes_of(survey: ClusterSurveyed) -> frozenset[Scope]:
    """The scopes that a survey covered."""
    return frozenset((one.api_group, one.kind, one.namespace) for one in survey.scopes)


def lists_of(feed: str, cluster: str, tools: Tools) -> list[tuple[str, str]]:
    """The time of each file that was read, and the digest of the list of what it held."""
    surveys = _surveys(f"dump/{feed}/{part(cluster)}/", tools)
    return [(one.observed_at, one.objects) for _, one in surveys if one.objects]


class Handed(NamedTuple):
    """What files said since a look: objects that they held, and scopes that they were all of."""

    position: int
    objects: frozenset[Name]
    scopes: frozenset[Scope]

    def concern(self, name: Name) -> bool:
        """Whether they may have told something of an object."""
        return name in self.objects or name.scope in self.scopes


def files_since(feed: str, cluster: str, position: int, tools: Tools) -> Handed:
    """What the files recorded from a position on told of, and the position after the last of them."""
    held: set[Name] = set()
    scopes: set[Scope] = set()
    for event in tools.told(f"dump/{feed}/{part(cluster)}/"):
        if event.position >= position and isinstance(event.data, ClusterSurveyed):
            position = event.position + 1
            if event.data.objects:
                held |= read_objects(tools.content(event.data.objects)).keys()
            if event.data.stated_by is not None:
                scopes |= scopes_of(event.data)
    return Handed(position, frozenset(held), frozenset(scopes))


def objects_text(seen: dict[Name, str]) -> bytes:
    """The list of what a file held: JSON rows [group, kind, namespace, name, state], sorted."""
    rows = [msgspec.json.encode((*name, state)) for name, state in sorted(seen.items())]
    return b"[" + b",\n".join(rows) + b"]"


def read_objects(data: bytes) -> dict[Name, str]:
    """What `objects_text` wrote."""
    rows = msgspec.json.decode(data, type=list[tuple[str, str, str, str, str]])
    return {Name(*row[:4]): row[4] for row in rows}


def count_scopes(names: Iterable[Name]) -> list[ScopeCounted]:
    """How many objects of each kind in each namespace."""
    counts: dict[tuple[str, str, str], int] = {}
    for name in names:
        scope = (name.group, name.kind, name.namespace)
        counts[scope] = counts.get(scope, 0) + 1
    return [
        ScopeCounted(api_group=group, kind=kind, namespace=namespace, count=count)
        for (group, kind, namespace), count in sorted(counts.items())
    ]


def stated_survey(
    look: Look, held: dict[Name, str], files: Collection[str], person: Identity, tools: Tools
) -> tuple[list[NewEvent], list[Content]]:
    """The survey of files, given by digest, that together held everything, as a person states.

    Who stated it first stands for all who do.
    """
    key = f"dump/{look.feed}/{part(look.cluster)}/complete/{digest(sorted(files))[:32]}/"
    if tools.told(key):
        return [], []
    stored = tools.store("objects.json", objects_text(held))
    data = ClusterSurveyed(
        cluster=look.cluster,
        observed_at=look.at,
        scopes=count_scopes(held),
        objects=stored.digest,
        stated_by=person,
    )
    return [survey_event(key + look.at, look.feed, data)], stored.contents


def survey_of_file(
    look: Look, key: str, identity: str, tools: Tools
) -> tuple[NewEvent, list[Content]]:
    """The survey of a file that was read to its end, with the list of what it held."""
    stored = tools.store("objects.json", objects_text(look.seen))
    data = ClusterSurveyed(
        cluster=look.cluster,
        identity=identity,
        observed_at=look.at,
        scopes=count_scopes(look.seen),
        partial=True,
        objects=stored.digest,
    )
    return survey_event(key, look.feed, data), stored.contents


def survey_event(key: str, source: str, data: ClusterSurveyed) -> NewEvent:
    """The event of a survey."""
    return NewEvent(
        stream=f"cluster/{data.cluster}",
        key=key,
        source=source,
        occurred_at=data.observed_at,
        data=data,
    )


# -- polling -------------------------------------------------------------------------------------


def is_survey_due(
    scopes: Sequence[ScopeCounted], last: Sequence[ScopeCounted], surveyed: str, tools: Tools
) -> bool:
    """Whether a poll that found nothing new is worth an event: once a day, on demand, or other counts."""
    return tools.survey or surveyed[:10] != tools.now[:10] or list(scopes) != list(last)


def reached_by(configured: Configured) -> tuple[str, Path | None, str]:
    """The cluster's name, kubeconfig and context of a `[[source]]`. UsageError where it names no cluster."""
    settings = configured.settings
    cluster = settings.get("cluster", "")
    if not cluster:
        raise UsageError(
            f"source {configured.name} names no cluster",
            hint='Add `cluster = "NAME"` to its `[[source]]`: the name that you give the cluster.',
        )
    kubeconfig = settings.get("kubeconfig", "")
    path = configured.folder / Path(kubeconfig).expanduser() if kubeconfig else None
    return cluster, path, settings.get("context", "")


# -- which cluster it is -------------------------------------------------------------------------


def check_identity(
    cluster: str, identity: str, at: str, source: str, tools: Tools
) -> list[NewEvent]:
    """The event that says which cluster a name stands for, where that is not yet known.

    Raises SourceError where the name was given to another cluster.
    """
    if not identity:
        return []
    prefix = f"cluster/{part(cluster)}/identity/"
    known = [
        event.data.identity
        for event in tools.told(prefix)
        if isinstance(event.data, ClusterSurveyed)
    ]
    if known and identity not in known:
        raise SourceError(
            f"the name {cluster} stands for another cluster: its namespace kube-system had the uid "
            f"{known[0]}, and this one has {identity}",
            hint="Give every cluster a name of its own. If the cluster was made anew, give it a new name.",
        )
    if known:
        return []
    data = ClusterSurveyed(cluster=cluster, identity=identity, observed_at=at, scopes=[])
    return [survey_event(prefix + part(identity), source, data)]


# -- gaps ----------------------------------------------------------------------------------------


def gap(source: str, cluster: str, kind: str, detail: str, since: str = "") -> NewEvent:
    """A gap in what is known of a cluster. The same gap since the same time is one event."""
    return NewEvent(
        stream=f"cluster/{cluster}",
        key=f"gap/{part(source)}/{part(cluster)}/{digest([kind, detail, since])[:32]}",
        source=source,
        data=CollectorGap(repository="", kind=kind, detail=detail, since=since),
    )


def file_gap(feed: str, cluster: str, path: Path, reason: str, tools: Tools) -> NewEvent:
    """A gap because a file, or a part of it, cannot be read."""
    detail = tools.redact(clean(f"{path.name}: {reason}"))
    return gap(feed, cluster, "unreadable", detail)
