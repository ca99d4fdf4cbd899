"""Event ⇄ canonical bytes. The stored bytes are the evidence: they are hashed as they are.

The bytes are RFC 8785 (JCS) JSON within a strict profile: ASCII keys, no floats, integers within
±(2⁵³-1), valid UTF-8. Within it, sorted compact JSON is byte-identical to JCS, which the tests
check against a reference encoder.

A leaf is at most 65,535 bytes (C2SP tlog-tiles). An event longer than 8 KiB is made smaller first:
every text above 8 KiB and every list above 100 items, then the largest remaining part until it
fits, becomes a content-addressed attachment, and the event holds
`{"attachment": "sha256:…", "bytes": n}` in its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from ledger.errors import IntegrityError, LedgerError
from ledger.events import EVENT_TYPES, Event, Identity, NewEvent, RecordedEvent
from ledger.upcasters import UPCASTERS

MAX_LEAF = 65_535
WHOLE_UP_TO = 8_192
MAX_ITEMS = 100
MAX_INTEGER = 2**53 - 1

ReadContent = Callable[[str], bytes]


class Envelope(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The leaf: everything but the position, which is the leaf's place in the tree."""

    actor: Identity | None = None
    data: Event | Any
    key: str
    occurred_at: str = ""
    recorded_at: str
    source: str
    stream: str
    type: str
    version: int


class RawEnvelope(msgspec.Struct, kw_only=True):
    """An envelope whose data is not yet read."""

    data: msgspec.Raw
    key: str
    recorded_at: str
    source: str
    stream: str
    type: str
    version: int
    actor: Identity | None = None
    occurred_at: str = ""


class Encoded(msgspec.Struct, frozen=True):
    """One event ready for the log: the leaf and the attachments it speaks of, by digest."""

    leaf: bytes
    attachments: dict[str, bytes]


_encode = msgspec.json.Encoder(order="sorted").encode
_decode_envelope = msgspec.json.Decoder(RawEnvelope).decode
_BY_TYPE: dict[str, type[Event]] = {kind.TYPE: kind for kind in EVENT_TYPES}


@cache  # made where a type is met: those of all types take a question's time
def _decoder(kind: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(kind)


@cache
def _integers(kind: type[Event]) -> list[str]:
    return [one.name for one in msgspec.structs.fields(kind) if one.type is int]


def digest_of(data: bytes) -> str:
    """The content address of bytes: `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encode(event: NewEvent, *, recorded_at: str) -> Encoded:
    """The canonical bytes of an event. Raises LedgerError for what has none: see the profile above."""
    for name in _integers(type(event.data)):
        if abs(getattr(event.data, name)) > MAX_INTEGER:
            raise LedgerError(
                f"event {event.key!r} holds a number beyond 2^53 - 1 in {name}",
                hint="This is a fault of the source that made the event; please report it.",
            )
    envelope = Envelope(
        actor=event.actor,
        data=event.data,
        key=event.key,
        occurred_at=event.occurred_at,
        recorded_at=recorded_at,
        source=event.source,
        stream=event.stream,
        type=event.data.TYPE,
        version=event.data.VERSION,
    )
    try:
        leaf = _encode(envelope)
    except UnicodeEncodeError as error:
        raise LedgerError(
            f"event {event.key!r} holds text that is not valid Unicode",
            hint="This is a fault of the source that made the event; please report it.",
        ) from error
    if len(leaf) <= WHOLE_UP_TO:
        return Encoded(leaf, {})
    return _with_attachments(envelope)


def _with_attachments(envelope: Envelope) -> Encoded:
    attachments: dict[str, bytes] = {}
    # Long lists go first and as they are: taken apart, each item would take ten times its bytes.
    event: Event = envelope.data
    lists = {name: getattr(event, name) for name in event.__struct_fields__}
    lists = {name: one for name, one in lists.items() if isinstance(one, list) and _is_long(one)}
    short = msgspec.structs.replace(event, **{name: [] for name in lists})
    data = _detach(msgspec.to_builtins(short), attachments)
    data |= {name: _attach(one, attachments) for name, one in lists.items()}
    envelope.data = data
    leaf = _encode(envelope)
    while len(leaf) > MAX_LEAF:
        if not isinstance(data, dict) or not (largest := _largest_part(data)):
            raise LedgerError(f"event {envelope.key!r} cannot be made to fit into a leaf")
        data[largest] = _attach(data[largest], attachments)
        leaf = _encode(envelope)
    return Encoded(leaf, attachments)


def _detach(value: Any, attachments: dict[str, bytes]) -> Any:
    if isinstance(value, str):
        large = len(value) > WHOLE_UP_TO // 4 and len(value.encode()) > WHOLE_UP_TO
        return _attach(value, attachments) if large else value
    if isinstance(value, list):
        if _is_long(value):
            return _attach(value, attachments)
        return [_detach(item, attachments) for item in value]
    if isinstance(value, dict):
        return {key: _detach(item, attachments) for key, item in value.items()}
    return value


def _is_long(value: list[Any]) -> bool:
    return len(value) > MAX_ITEMS


def _attach(value: Any, attachments: dict[str, bytes]) -> dict[str, Any]:
    content = _encode(value)
    digest = digest_of(content)
    attachments[digest] = content
    return {"attachment": digest, "bytes": len(content)}


def _largest_part(data: dict[str, Any]) -> str:
    sizes = {
        key: len(_encode(value))
        for key, value in data.items()
        if not (isinstance(value, dict) and "attachment" in value)
    }
    name = max(sizes, key=lambda key: (sizes[key], key), default="")
    return name if name and sizes[name] > MAX_ITEMS else ""


def decode(position: int, leaf: bytes, read_content: ReadContent) -> RecordedEvent:
    """The event of a leaf, in its newest shape, its attachments read back.

    Raises IntegrityError when the bytes are no event of ours.
    """
    try:
        envelope = _decode_envelope(leaf)
        data = _decode_data(envelope, read_content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise IntegrityError(
            f"position {position} does not hold a readable event: {error}",
            hint="Run `ledger verify` to see whether the log was tampered with.",
        ) from error
    return RecordedEvent(
        position=position,
        stream=envelope.stream,
        key=envelope.key,
        source=envelope.source,
        occurred_at=envelope.occurred_at,
        recorded_at=envelope.recorded_at,
        actor=envelope.actor,
        data=data,
    )


def _decode_data(envelope: RawEnvelope, read_content: ReadContent) -> Event:
    kind = _BY_TYPE.get(envelope.type)
    if kind is None:
        raise msgspec.ValidationError(f"unknown event type {envelope.type!r}")
    raw = bytes(envelope.data)
    newest = kind.VERSION
    if envelope.version == newest and b'"attachment":"sha256:' not in raw:
        return _decoder(kind).decode(raw)
    data = _reattach(msgspec.json.decode(raw), read_content)
    if envelope.version > newest:
        raise msgspec.ValidationError(f"version {envelope.version} is of a newer program")
    for version in range(envelope.version, newest):
        upcaster = UPCASTERS.get((envelope.type, version))
        if upcaster is None:
            raise msgspec.ValidationError(f"unknown version {version} of {envelope.type}")
        data = upcaster(data)
    return msgspec.convert(data, kind)


def _reattach(value: Any, read_content: ReadContent) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"attachment", "bytes"} and isinstance(value["attachment"], str):
            return msgspec.json.decode(read_content(value["attachment"]))
        return {key: _reattach(item, read_content) for key, item in value.items()}
    if isinstance(value, list):
        return [_reattach(item, read_content) for item in value]
    return value


def same_fact(stored: bytes, event: NewEvent) -> bool:
    """Whether a stored leaf tells exactly what `event` tells, apart from when it was recorded."""
    recorded_at = _decode_envelope(stored).recorded_at
    return encode(event, recorded_at=recorded_at).leaf == stored


def variant_key(event: NewEvent) -> str:
    """The key under which another telling of the same fact is kept: `key#digest`."""
    return f"{event.key}#{digest_of(encode(event, recorded_at='').leaf)[7:23]}"
