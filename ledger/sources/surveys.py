"""What looks at a cluster held, as events: how many objects of each scope, and of files the list of them.

The list of a file is what an older file, handed over later, is compared with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec

from ledger.contents import Content
from ledger.events import ClusterSurveyed, Identity, NewEvent, ScopeCounted
from ledger.sources import Tools
from ledger.sources.looks import Later, Look, Name, Read, Scope, digest, part


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


def scopes_of(survey: ClusterSurveyed) -> frozenset[Scope]:
    """The scopes that a survey covered."""
    return frozenset((one.api_group, one.kind, one.namespace) for one in survey.scopes)


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


def objects_text(seen: dict[Name, str]) -> bytes:
    """The list of what a file held: JSON rows [group, kind, namespace, name, state], sorted."""
    rows = [msgspec.json.encode((*name, state)) for name, state in sorted(seen.items())]
    return b"[" + b",\n".join(rows) + b"]"


def read_objects(data: bytes) -> dict[Name, str]:
    """What `objects_text` wrote."""
    rows = msgspec.json.decode(data, type=list[tuple[str, str, str, str, str]])
    return {Name(*row[:4]): row[4] for row in rows}


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


def survey_event(key: str, source: str, data: ClusterSurveyed) -> NewEvent:
    """The event of a survey."""
    return NewEvent(
        stream=f"cluster/{data.cluster}",
        key=key,
        source=source,
        occurred_at=data.observed_at,
        data=data,
    )


def is_survey_due(
    scopes: Sequence[ScopeCounted], last: Sequence[ScopeCounted], surveyed: str, tools: Tools
) -> bool:
    """Whether a poll that found nothing new is worth an event: once a day, on demand, or other counts."""
    return tools.survey or surveyed[:10] != tools.now[:10] or list(scopes) != list(last)
