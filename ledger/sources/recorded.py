"""What people keep of a forge's traffic: pages of lists, deliveries with headers, answers with addresses.

A file is read value by value. Such wrappers are taken off, so that what stands in them is told as if it
came by itself.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from ledger import jsontext
from ledger.contents import Content
from ledger.errors import SourceError
from ledger.events import CollectorGap, NewEvent
from ledger.jsontext import Fault, Value, clean
from ledger.sources import Batch, Import, Tools, payloads
from ledger.sources.payloads import Json, Told, part

MAX_FILE: Final = 128 * 2**20
EVENTS_AT_ONCE: Final = 200
NOWHERE: Final = Value("", "", None)  # what an API answered stands in no file


class Answer(NamedTuple):
    """The answer of an API to a request, and the address that was asked."""

    address: str
    read: Value


def signed(told: str, body: bytes, secret: bytes) -> bool:
    """Whether `sha256=…` is the HMAC-SHA256 of the raw body under the secret. In constant time."""
    right = b"sha256=" + hmac.digest(secret, body, "sha256").hex().encode() if secret else b""
    return bool(secret) and hmac.compare_digest(told.encode("utf-8", "replace"), right)


def body_of(body: bytes) -> Value:
    """The JSON object that a delivery holds. Raises SourceError where it holds none."""
    try:
        read = jsontext.only_value(body)
    except ValueError as error:
        raise SourceError(f"the body cannot be read: {error}") from None
    return _object(read)


def _object(read: Value) -> Value:
    if not isinstance(read.value, dict):
        raise SourceError("the body is no JSON object")
    return read


def delivery(read: Value) -> tuple[Mapping[str, str], Value] | None:
    """The headers and body where a value is `{"headers": …, "body": …}`; names in lower case."""
    value: Json = read.value
    if not (isinstance(value.get("headers"), dict) and "body" in value):
        return None
    told = part(value, "headers")
    headers = {name.lower(): one for name, one in told.items() if isinstance(one, str)}
    return headers, _object(within(read, value["body"]))


def answer(read: Value) -> Answer | None:
    """The address and the answer where a value is `{"url": …, "body": …}`."""
    value: Json = read.value
    if isinstance(value.get("url"), str) and value.keys() == {"url", "body"}:
        return Answer(value["url"], within(read, value["body"]))
    return None


def items(
    read: Value, name: str, told_whole: Callable[[str], object] = lambda _: False
) -> Iterator[Value]:
    """The items of a page that lists them under a name; else the value itself.

    The page may stand in an answer, unless the address that was asked is `told_whole`.
    """
    if not isinstance(read.value, dict):
        yield read
        return
    answered = answer(read)
    page = answered.read if answered and not told_whole(answered.address) else read
    found = page.value.get(name) if isinstance(page.value, dict) else None
    if not isinstance(found, list):
        yield read
        return
    for index, one in enumerate(found, 1):
        yield within(page, one, f"{read.place}, item {index}")


def within(read: Value, value: Any, place: str = "") -> Value:
    """A value that stands in another one; text in it may be JSON itself. Raises SourceError."""
    try:
        if isinstance(value, str):
            value = jsontext.only_value(clean(value).encode()).value
        return Value(place or read.place, jsontext.compact(value), value)
    except ValueError as error:
        raise SourceError(str(error)) from None


def told_of(kind: str, forge: str, value: Any, tools: Tools) -> Told:
    """Makes a value that an API gave ready to be kept, for the facts of one repository."""
    return payloads.told(kind, forge, within(NOWHERE, value), tools)


def refusal(value: Json, forge: str) -> SourceError:
    """Why a value is nothing that is known, with the error that the forge answered where it is one."""
    told = value.get("message") or part(value, "error").get("message")
    errors = value.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        told = told or errors[0].get("message")
    if isinstance(told, str):
        return SourceError(f"it is an error that the forge answered: {clean(told)[:200]}")
    return SourceError(f"it is no webhook and no pull request of {forge}")


# -- files ---------------------------------------------------------------------------------------


def _itself(read: Value) -> Iterator[Value]:
    yield read


def read_files(
    kind: str,
    given: Import,
    tools: Tools,
    tell: Callable[[Value, Tools], Batch],
    items: Callable[[Value], Iterator[Value]] = _itself,
) -> Iterator[Batch]:
    """What files of JSON values tell, one or many values in each. What cannot be read is a gap.

    `tell` gives the events of one value, and raises SourceError where it is nothing that it knows. `items`
    gives the values that stand in one that is a page of a list.
    """
    for path in given.files:
        yield from _read_file(kind, path, tools, tell, items)


def _read_file(
    kind: str,
    path: Path,
    tools: Tools,
    tell: Callable[[Value, Tools], Batch],
    items: Callable[[Value], Iterator[Value]],
) -> Iterator[Batch]:
    name = clean(path.name)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        fault = Fault("", error.strerror or "it cannot be opened")
        yield Batch(events=[_gap(kind, name, "", fault, tools)])
        return
    digest = hashlib.sha256(data).hexdigest()[:16]
    found: Iterator[Value | Fault] = jsontext.values(data)
    if len(data) > MAX_FILE:
        found = iter([Fault("", f"it is larger than {MAX_FILE >> 20} MB; split it")])
    events: list[NewEvent] = []
    contents: list[Content] = []
    ignored = 0
    for one in _each(found, items):
        try:
            if isinstance(one, Fault):
                raise SourceError(one.reason)
            batch = tell(one, tools)
        except SourceError as error:
            fault = Fault(one.place, error.message)
            batch = Batch(events=[_gap(kind, name, digest, fault, tools)])
        events += batch.events
        contents += batch.contents
        ignored += batch.ignored
        if len(events) >= EVENTS_AT_ONCE:
            yield Batch(events=events, contents=contents, ignored=ignored)
            events, contents, ignored = [], [], 0
    yield Batch(events=events, contents=contents, ignored=ignored)


def _each(
    found: Iterator[Value | Fault], items: Callable[[Value], Iterator[Value]]
) -> Iterator[Value | Fault]:
    for one in found:
        if isinstance(one, Fault):
            yield one
            continue
        try:
            yield from items(one)
        except SourceError as error:
            yield Fault(one.place, error.message)


def _gap(kind: str, name: str, digest: str, fault: Fault, tools: Tools) -> NewEvent:
    """`digest` tells files of one name apart."""
    where = f"{name}, {fault.place}" if fault.place else name
    detail = tools.redact(f"{where}: {clean(fault.reason)}")
    return NewEvent(
        stream=f"import/{kind}",
        key=f"{kind}/import/{digest}/{where}",
        source=kind,
        data=CollectorGap(repository="", kind="unreadable", detail=detail),
    )
