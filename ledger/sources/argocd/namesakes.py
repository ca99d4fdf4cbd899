"""Applications of one name and several uids: made anew one after the other, or of two clusters of one name.

What was made anew was gone before: the older uid was not seen since the newer one was made. Two uids that
were there at the same time are of two clusters that somebody gave one name. That is told as a gap; both
are recorded all the same. Times are those of looks, not of arrival, so the order of files does not matter.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.events import ApplicationChanged, ApplicationCreated, CollectorGap, NewEvent
from ledger.instants import utc_text
from ledger.jsontext import clean
from ledger.sources import Tools, looks, surveys
from ledger.sources.argocd.telling import KIND, Telling, name_of
from ledger.sources.looks import Look, Name, part

MOST: Final = 20  # pairs told of one name in one look: a file that is made up may hold any number
Title = tuple[str, str]  # namespace, name


class Sightings:
    """When each application was first and last seen in files; read when asked for, then kept up."""

    def __init__(self, cluster: str, tools: Tools) -> None:
        self.cluster = cluster
        self._tools = tools
        self._times: dict[Name, tuple[str, str]] | None = None
        self._uids: dict[Title, set[str]] = {}

    def uids(self, title: Title) -> set[str]:
        """The uids that files showed of an application."""
        self._load()
        return self._uids.get(title, set())

    def times(self, title: Title, uid: str) -> tuple[str, ...]:
        """The first and the last time that files showed one; empty where none did."""
        return self._load().get(name_of(*title, uid), ())

    def add(self, look: Look) -> None:
        """Takes in what a file held."""
        self._load()
        for name in look.seen:
            self._note(name, look.at, look.at)

    def _load(self) -> dict[Name, tuple[str, str]]:
        if self._times is None:
            self._times = {}
            spans: dict[str, list[str]] = {}
            for at, objects in surveys.lists_of(KIND, self.cluster, self._tools):
                spans.setdefault(objects, []).append(at)
            for objects, times in spans.items():
                for name in surveys.read_objects(self._tools.content(objects)):
                    self._note(name, min(times), max(times))
        return self._times

    def _note(self, name: Name, first: str, last: str) -> None:
        assert self._times is not None
        known = self._times.get(name, (first, last))
        self._times[name] = min(known[0], first), max(known[1], last)
        own, _, uid = name.name.partition(" ")
        self._uids.setdefault((name.namespace, own), set()).add(uid)


class _Life(NamedTuple):
    """The time in which a uid is known to have been there; `created_at` is empty where it is not told."""

    begin: str
    uid: str
    created_at: str
    end: str

    def told(self) -> str:
        made = f"created at {self.created_at}" if self.created_at else "created at an unknown time"
        return f"{self.uid} ({made})"


class Namesakes:
    """What one look says of applications that have a name together."""

    def __init__(self, source: str, look: Look, sightings: Sightings, tools: Tools) -> None:
        """`source` is who tells the gaps."""
        self._source = source
        self._look = look
        self._sightings = sightings
        self._tools = tools
        self._created: dict[Title, dict[str, str]] = {}
        self._doubtful: set[Title] = set()

    def note(self, telling: Telling) -> None:
        """Takes in what an application told. One of which nothing is new is not looked up by itself."""
        metadata = telling.metadata
        if metadata is None or not metadata.uid:
            return
        title = (metadata.namespace, metadata.name)
        seen = self._created.setdefault(title, {})
        seen[metadata.uid] = utc_text(metadata.creation_timestamp)
        news = (ApplicationCreated, ApplicationChanged)
        if len(seen) > 1 or any(isinstance(one.data, news) for one in telling.events):
            self._doubtful.add(title)

    def forget(self, namespace: str) -> None:
        """Begins again with what a namespace holds, or with all if empty: a listing is read anew."""
        for title in [one for one in self._created if namespace in ("", one[0])]:
            del self._created[title]

    def doubt(self, title: Title, uid: str) -> None:
        """Has an application looked up where others told of it under a uid that this look did not see."""
        if uid not in self._created.get(title, ()):
            self._doubtful.add(title)

    def doubt_listed(self) -> None:
        """Has every application looked up that any file showed under another uid."""
        for title, seen in self._created.items():
            if self._sightings.uids(title) - seen.keys():
                self._doubtful.add(title)

    def gaps(self) -> list[NewEvent]:
        """A gap for each two uids that were there at the same time, one of them in this look."""
        found: list[NewEvent] = []
        for title, seen in sorted(self._created.items()):
            if title in self._doubtful:
                found += self._of(title, seen)
        return found

    def _of(self, title: Title, seen: dict[str, str]) -> list[NewEvent]:
        lives = self._lives(title, seen)
        pairs = [
            (one, other)
            for place, one in enumerate(lives)
            for other in lives[place + 1 :]
            if (one.uid in seen and other.uid in seen)
            or (one.end > other.begin and (one.uid in seen or other.uid in seen))
        ]
        told = (self._gap(title, *pair) for pair in pairs[:MOST])
        return [one for one in told if one is not None]

    def _lives(self, title: Title, seen: dict[str, str]) -> list[_Life]:
        """The lives of all uids that an application had, by when they began."""
        created = {uid: {at} for uid, at in seen.items()}
        times = {uid: [self._look.at] for uid in seen}
        begins = "/".join(map(part, (KIND, self._look.cluster, *title)))
        for event in self._tools.told(f"{begins}/"):
            data = event.data
            if isinstance(data, ApplicationCreated | ApplicationChanged) and data.application.uid:
                uid = data.application.uid
                times.setdefault(uid, []).append(data.observed_at)
                if isinstance(data, ApplicationCreated):
                    created.setdefault(uid, set()).add(data.created_at)
        lives = []
        for uid, several in times.items():
            known = [*several, *self._sightings.times(title, uid)]
            made = min(created.get(uid, set()) - {""}, default="")
            lives.append(_Life(made or min(known), uid, made, max(known)))
        return sorted(lives)

    def _gap(self, title: Title, one: _Life, other: _Life) -> NewEvent | None:
        """The gap of a pair; None where it is told already."""
        cluster = self._look.cluster
        pair = looks.digest([*title, *sorted((one.uid, other.uid))])[:32]
        key = f"gap/{KIND}/{part(cluster)}/uids/{pair}/"
        if self._tools.told(key):
            return None
        detail = (
            f"the name {cluster} seems to stand for two clusters: application {'/'.join(title)} was "
            f"there at the same time with uid {one.told()} and with uid {other.told()}. Both are "
            "recorded. Give the files of the other cluster another --cluster name; or where there is "
            "one cluster, keep the times of its files (cp -p)"
        )
        return NewEvent(
            stream=f"cluster/{cluster}",
            key=f"{key}first",
            source=self._source,
            data=CollectorGap(
                repository="", kind="ambiguous", detail=self._tools.redact(clean(detail))
            ),
        )
