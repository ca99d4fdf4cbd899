"""Events on their way into the log: each telling once, and the row that keeps it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger import codec, contents
from ledger.contents import Content
from ledger.events import NewEvent, RecordedEvent
from ledger.store.drivers import Row


def first_tellings(events: Sequence[NewEvent]) -> list[NewEvent]:
    """The events without repeats within one batch."""
    seen: dict[str, NewEvent] = {}
    fresh: list[NewEvent] = []
    for event in events:
        known = seen.get(event.key)
        if known is None:
            seen[event.key] = event
            fresh.append(event)
        elif known != event:
            other = msgspec.structs.replace(event, key=codec.variant_key(event))
            if seen.setdefault(other.key, other) is other:
                fresh.append(other)
    return fresh


def encode_all(
    events: Sequence[NewEvent], size: int, recorded_at: str
) -> tuple[list[Row], list[Content], list[RecordedEvent]]:
    """Their rows of the log from a position on, their attachments, and what is recorded."""
    rows: list[Row] = []
    attachments: list[Content] = []
    recorded: list[RecordedEvent] = []
    for position, event in enumerate(events, size):
        encoded = codec.encode(event, recorded_at=recorded_at)
        attachments += [contents.pack(data) for data in encoded.attachments.values()]
        rows.append(
            (
                position,
                event.key,
                event.data.TYPE,
                event.stream,
                event.source,
                event.occurred_at,
                recorded_at,
                encoded.leaf,
            )
        )
        recorded.append(
            RecordedEvent(
                position=position,
                stream=event.stream,
                key=event.key,
                source=event.source,
                occurred_at=event.occurred_at,
                recorded_at=recorded_at,
                actor=event.actor,
                data=event.data,
            )
        )
    return rows, attachments, recorded
