"""What a forge did not deliver although its webhook delivered: found when its API tells it.

Theory. A webhook is a feed of its own for each repository and family of facts, because people choose
what it sends. A fact that only the API told was lost on the way if the feed was alive around it: a
delivery of the same feed came in its time for something earlier, and for something later, by the forge's own
clock, and hours have passed since. Anything less is no loss: a webhook that was set up later, or never
for reviews, or that is gone, has no delivery on one side. What is lost becomes one `collector.gap` of kind
`undelivered`, between the two deliveries. The fact itself is in the log, from the API.

What was delivered is noted beside the inbox, which is the receiver's own record: a file that a person
hands over is no delivery. The notes are operational; without them less is claimed, never more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from ledger import registry
from ledger.events import (
    CollectorGap,
    NewEvent,
    PullRequestClosed,
    PullRequestMerged,
    PullRequestOpened,
    RefPushed,
    ReviewSubmitted,
)
from ledger.instants import FORMAT, moment
from ledger.sources import Batch, Source, Tools
from ledger.store.heard import Awaited, Heard, Note
from ledger.store.inbox import Inbox

Record = Callable[[str, Callable[[Tools], Batch]], int]

KIND: Final = "undelivered"
LATE: Final = timedelta(hours=1)  # a delivery that comes later says nothing of the time around it
PATIENCE: Final = timedelta(hours=3)  # forges deliver late when they have faults of their own
KEPT: Final = timedelta(days=90)  # what the API tells first after such a time is not called lost
_PULLS: Final = (PullRequestOpened, PullRequestMerged, PullRequestClosed)


def feed_of(event: NewEvent) -> str:
    """What a webhook must be set up to send for a fact to be delivered; it sends all of a feed or none."""
    data: Any = event.data
    family = "pull requests" if isinstance(data, _PULLS) else event.data.TYPE
    place = getattr(data, "forge", "")
    if isinstance(data, RefPushed):
        return f"{place} {family} {data.ref}"  # a webhook may be for some branches
    return f"{place} {family}"


def noting(record: Record, inbox: Inbox, clock: Callable[[], str]) -> Record:
    """The function that records what deliveries tell, made to note it, too, once it is recorded.

    A process that ends between the two records its deliveries again, and notes them then.
    """
    heard = Heard(inbox)
    sources = registry.sources()

    def record_and_note(sender: str, tell: Callable[[Tools], Batch]) -> int:
        told: list[NewEvent] = []

        def telling(tools: Tools) -> Batch:
            batch = tell(tools)
            told.extend(batch.events)
            return batch

        count = record(sender, telling)
        source = sources.get(sender)
        types = source.webhook.reconciles if source and source.webhook else frozenset()
        now = clock()
        notes = [
            Note(feed_of(one), one.key, one.occurred_at, _is_live(one.occurred_at, now))
            for one in told
            if _is_compared(one, types) and one.occurred_at
        ]
        if notes:
            heard.note(sender, notes, (moment(now) - KEPT).strftime(FORMAT))
        return count

    return record_and_note


def _is_live(at: str, now: str) -> bool:
    return abs(moment(now) - moment(at)) <= LATE


@contextmanager
def reconciling(source: Source, database: str) -> Iterator[Reconciler]:
    """Lends what compares a source's API with its deliveries; it does nothing where none ever came."""
    types = source.webhook.reconciles if source.webhook is not None else frozenset()
    inbox = Inbox.find(database) if types else None
    if inbox is None:
        yield Reconciler(source.kind, types, None)
        return
    with inbox:
        yield Reconciler(source.kind, types, inbox)


class Reconciler:
    """Compares what one source's API tells with what its webhook delivered."""

    def __init__(self, kind: str, types: frozenset[str], inbox: Inbox | None) -> None:
        self._kind = kind
        self._types = types
        self._inbox = inbox
        self._heard = Heard(inbox) if inbox is not None else None
        self._begun = self._heard.begun(kind) if self._heard is not None else {}

    def expect(self, events: Sequence[NewEvent], now: str) -> None:
        """Notes which facts, that the API tells now, no delivery told, although that may be expected.

        To be called before they are recorded, so that none is forgotten when the process ends. What is
        recent is always awaited, because deliveries from before it may still be on their way.
        """
        if self._heard is None:
            return
        recent = _patient(now)
        awaited = [
            Awaited(self._kind, one.key, feed, one.occurred_at, one.stream)
            for one in events
            if _is_compared(one, self._types)
            and one.occurred_at
            and not _says_little(one)
            and min(self._begun.get(feed := feed_of(one), "~"), recent) < one.occurred_at
        ]
        if awaited:
            self._heard.expect(awaited)

    def lost(
        self, now: str, is_recorded: Callable[[str], bool]
    ) -> Iterator[tuple[Awaited, NewEvent]]:
        """What was surely not delivered, and the gap for it. Nothing while deliveries wait."""
        if self._heard is None or self._inbox is None or self._inbox.waiting():
            return
        for one in self._heard.awaited(self._kind, _patient(now)):
            before, after = self._heard.around(one)
            if not before:  # and none will be: what came now would not have come in time
                self.settle(one)
            elif after:
                event = _gap(one, before, after)
                if is_recorded(event.key):
                    self.settle(one)
                else:
                    yield one, event

    def settle(self, one: Awaited) -> None:
        """Awaits no longer what is recorded as lost."""
        if self._heard is not None:
            self._heard.settle(one)


def _patient(now: str) -> str:
    return (moment(now) - PATIENCE).strftime(FORMAT)


def _is_compared(event: NewEvent, types: frozenset[str]) -> bool:
    """Whether its type is named, or the type with the state of a review."""
    state = getattr(event.data, "state", "")
    return event.data.TYPE in types or f"{event.data.TYPE}/{state}" in types


def _says_little(event: NewEvent) -> bool:
    """A review that only comments: forges make some of them without a delivery, of answers to a remark."""
    return isinstance(event.data, ReviewSubmitted) and event.data.state == "commented"


def _gap(lost: Awaited, before: str, after: str) -> NewEvent:
    repository = lost.stream.removeprefix("repository/")
    place = lost.feed.partition(" ")[0]
    name = lost.key.removeprefix(f"{place}/")
    gap = CollectorGap(
        repository=repository,
        kind=KIND,
        detail=f"{name} of {place} at {lost.at} is known from the API alone: what happened before, at "
        f"{before}, and after, at {after}, was delivered, and no delivery told this",
        since=before,
        until=after,
    )
    return NewEvent(
        stream=lost.stream,
        key=f"{place}/undelivered/{name}",
        source=lost.sender,
        occurred_at=before,
        data=gap,
    )
