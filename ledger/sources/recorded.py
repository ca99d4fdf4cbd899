"""What people keep of a forge's traffic: pages of lists, deliveries with headers, answers with addresses.

Such wrappers are taken off, so that what stands in them is told as if it came by itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from ledger import jsontext
from ledger.errors import SourceError
from ledger.jsontext import Value, clean
from ledger.sources import Tools, payloads
from ledger.sources.payloads import Json, Told, part

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
