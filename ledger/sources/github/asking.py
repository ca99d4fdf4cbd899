"""What every reading of GitHub's API shares: where it is, how far it is, and what it may not see.

What the token may not see is a gap that is told once, and asked for again once a day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeVar

import msgspec

from ledger.contents import Content
from ledger.errors import SourceError
from ledger.events import CollectorGap, NewEvent
from ledger.httpio import Absent, Api, Denied
from ledger.instants import moment
from ledger.jsontext import Value, clean, compact
from ledger.sources import Batch, Tools, payloads
from ledger.sources.github import facts
from ledger.sources.github.access import GithubOptions
from ledger.sources.github.facts import KIND
from ledger.sources.payloads import Json, Told

PAGE: Final = 100
AGAIN: Final = timedelta(days=1)
MOST_APPS: Final = 200
T = TypeVar("T")


class Cursor(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far everything is read.

    Pull requests: until when; which of that very second; the tag of an idle answer. Pushes: the page and
    its tag for each branch. Then when we looked around last, until when rule suites and failed deliveries
    are read, what was denied when, what the repository is called and owned by, and the names of apps by
    their ids, as their checks tell them.
    """

    since: str = ""
    seen: dict[str, str] = {}
    etag: str = ""
    pages: dict[str, str] = {}
    tags: dict[str, str] = {}
    looked: str = ""
    suites: str = ""
    deliveries: str = ""
    denied: dict[str, str] = {}
    branch: str = ""
    organization: str = ""
    apps: dict[str, str] = {}


@dataclass(slots=True)
class Asking:
    """One reading: its API and cursor, and what is read and not yet given to be recorded."""

    options: GithubOptions
    api: Api
    tools: Tools
    cursor: Cursor
    _events: list[NewEvent] = field(default_factory=list)
    _contents: list[Content] = field(default_factory=list)

    @property
    def repo(self) -> str:
        """The path of the repository."""
        return f"repos/{self.options.path}"

    def items(self, path: str, name: str = "") -> list[Json]:
        """The objects of all pages of a list, which stands under a name where the answer has one."""
        found: list[Json] = []
        mark = "&" if "?" in path else "?"
        for answer in self.api.pages(f"{path}{mark}per_page={PAGE}"):
            value = answer.value()
            if name:
                value = value.get(name) if isinstance(value, dict) else None
            found += [one for one in value if isinstance(one, dict)] if type(value) is list else []
        return found

    def item(self, path: str) -> Json:
        """The object at a path. Raises SourceError where it is none."""
        value = self.api.get(path).value()
        if not isinstance(value, dict):
            raise SourceError(f"source {self.options.name}: {path} is no JSON object")
        return value

    def allowed(self, what: str, ask: Callable[[], T]) -> T | None:
        """What asking gives; None where the token may not read `what`, which is recorded once."""
        at = self.cursor.denied.get(what)
        if at is not None and moment(self.tools.now) - moment(at) < AGAIN:
            return None
        try:
            found = ask()
        except (Absent, Denied) as error:
            self.cursor.denied[what] = self.tools.now
            self.hold([self._denied(what, error)], [])
            return None
        self.cursor.denied.pop(what, None)
        return found

    def know(self, app: Json) -> None:
        """Keeps the name of an app."""
        number, slug = app.get("id"), app.get("slug")
        if (
            type(number) is int
            and isinstance(slug, str)
            and slug
            and len(self.cursor.apps) < MOST_APPS
        ):
            self.cursor.apps[str(number)] = clean(slug)[:100]

    def told(self, what: str, value: Any, tell: Callable[[Told], list[NewEvent]]) -> Batch:
        """The events of a value of the API. What cannot be told is a gap and stops nothing else."""
        try:
            read = Value("", compact(value), value)
            told = facts.told(self.options.forge, read, self.tools)
            events = tell(told)
        except (SourceError, ValueError) as error:
            return self.unread(what, SourceError(str(error)))
        return Batch(events=events, contents=told.contents if events else [])

    def unread(self, what: str, error: SourceError) -> Batch:
        """The gap for what could not be read."""
        return Batch(events=[payloads.unread(KIND, self.options.forge, what, error, self.tools)])

    def _denied(self, what: str, error: SourceError) -> NewEvent:
        forge = self.options.forge
        repository = self.tools.repository(forge) or forge
        detail = self.tools.redact(
            f"{what} of {forge} are not recorded, because they may not be read: {error.message}"
        )
        return NewEvent(
            stream=f"repository/{repository}",
            key=f"{forge}/denied/{what}",
            source=KIND,
            data=CollectorGap(repository=repository, kind="denied", detail=detail),
        )

    # -- what is to be recorded --------------------------------------------------------------

    def together(self, batches: Iterable[Batch]) -> tuple[list[NewEvent], list[Content]]:
        """The events and contents of several batches, all of them read."""
        read = list(batches)
        return (
            [event for one in read for event in one.events],
            [content for one in read for content in one.contents],
        )

    def hold(self, events: Iterable[NewEvent], contents: Iterable[Content]) -> None:
        """Keeps events until the next batch."""
        self._events += events
        self._contents += contents

    def take(self, batches: Iterable[Batch]) -> None:
        """Keeps what batches hold until the next batch."""
        self.hold(*self.together(batches))

    def batch(self, done: int = 0) -> Batch:
        """What was kept, with the cursor as it is now."""
        events, contents = self._events, self._contents
        self._events, self._contents = [], []
        return Batch(
            events=events,
            contents=contents,
            cursor=msgspec.json.encode(self.cursor),
            done=done,
            total=done,
        )
