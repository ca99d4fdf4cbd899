"""The objects in files that kubectl and API servers wrote: YAML or JSON, lists opened, one at a time.

A file is one object, several (`---`, one after another, an array), or a list of them: kubectl's `List`, a
typed list such as `DeploymentList`, or the items of an API that leaves out what kind they are. A
document that cannot be read costs only itself. YAML means what it means to Kubernetes.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from ledger import jsontext
from ledger.goyaml import YamlError, load_all, split_documents
from ledger.jsontext import MAX_DEPTH, Fault, Value

MAX_FILE: Final = 256 * 2**20
MAX_DOCUMENT: Final = 32 * 2**20
_LIST: Final = "List"
# `kubectl get -o yaml`: keys in order, items in the first column, and nothing else there but their dashes.
_KUBECTL_LIST = re.compile(rb"\A(?:---\s*\n)?apiVersion: \S+\nitems:\n(?=- )")
_PAGE = re.compile(rb"^metadata:\n(?:  [^\n]*\n)*?  continue: [^\s\"']", re.MULTILINE)
_MARKED = re.compile(rb"---\s")
_ITEM = re.compile(rb"^- ", re.MULTILINE)
_END = re.compile(rb"^[A-Za-z]+:", re.MULTILINE)

Json = dict[str, Any]


class Object(NamedTuple):
    """One object as it is written, and where."""

    place: str
    value: Json


class _Listing(msgspec.Struct, rename="camel"):
    items: list[msgspec.Raw]
    api_version: str = ""
    kind: str = ""


class _ListMetadata(msgspec.Struct):
    continue_: str = msgspec.field(default="", name="continue")


class _Paged(msgspec.Struct):
    items: list[msgspec.Raw]
    metadata: _ListMetadata


def is_page(data: bytes) -> bool:
    """Whether a file is a list of which the server says that it goes on, so that more was there."""
    if data.lstrip()[:1] != b"{":
        return _PAGE.search(data) is not None
    try:
        return bool(msgspec.json.decode(data, type=_Paged).metadata.continue_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def objects(data: bytes) -> Iterator[Object | Fault]:
    """Every object of a file, in order; what is no mapping and what cannot be read is a fault.

    Costs memory for the file and one document, of a list that kubectl or an API wrote for one item.
    """
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):  # as PowerShell redirects
        data = data.decode("utf-16", "replace").encode()
    pieces = split_documents(data.removeprefix(b"\xef\xbb\xbf"))
    for number, piece in enumerate(pieces, 1):
        place = f"document {number}" if len(pieces) > 1 else ""
        text = piece[3:] if _MARKED.match(piece) else piece
        is_json = text[:64].lstrip()[:1] in (b"{", b"[")
        for one in _from_json(text) if is_json else _from_yaml(piece):
            yield one._replace(place=_within(place, one.place) or "the document")


def _within(place: str, inner: str) -> str:
    return ", ".join(one for one in (place, inner) if one)


# -- JSON ----------------------------------------------------------------------------------------


def _from_json(data: bytes) -> Iterator[Object | Fault]:
    try:
        listing = msgspec.json.decode(data, type=_Listing)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        listing = None
    if listing is None or (listing.kind and not listing.kind.endswith(_LIST)):
        for one in jsontext.values(data):
            if isinstance(one, Fault):
                yield one
            elif "\\u" in one.text and not _has_encoding(one.value):
                yield Fault(one.place, "half of a surrogate pair")
            else:
                yield from _opened(one.place, one.value)
        return
    for number, raw in enumerate(listing.items, 1):
        place = f"item {number}"
        try:
            value = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            yield Fault(place, str(error))
        except RecursionError:
            yield Fault(place, "it is nested too deeply")
        else:
            yield from _item(place, value, listing.api_version, listing.kind)


# -- YAML ----------------------------------------------------------------------------------------


def _from_yaml(piece: bytes) -> Iterator[Object | Fault]:
    items = _cut(piece)
    if items is None:
        yield from _documents("", piece)
        return
    for at, item in enumerate(items, 1):
        yield from _documents(f"item {at}", item, within=True)


def _cut(piece: bytes) -> list[bytes] | None:
    """The items of a list as kubectl writes it; None where it is not known to be one."""
    head = _KUBECTL_LIST.match(piece)
    tail = head and _END.search(piece, head.end())
    if head is None or tail is None or b"\nkind: List" not in piece[tail.start() - 1 :]:
        return None
    starts = [match.start() for match in _ITEM.finditer(piece, head.end(), tail.start())]
    ends = [*starts[1:], tail.start()]
    return [piece[start:end] for start, end in zip(starts, ends, strict=True)]


def _documents(place: str, piece: bytes, *, within: bool = False) -> Iterator[Object | Fault]:
    if len(piece) > MAX_DOCUMENT:
        yield Fault(place, f"it is larger than {MAX_DOCUMENT >> 20} MB; split it")
        return
    try:
        found = [one.value for one in load_all(piece)]
    except YamlError as error:
        yield Fault(place, error.reason)
        return
    for value in found:
        if within and isinstance(value, list):
            for item in value:
                yield from _opened(place, item)
        elif value is not None:
            yield from _opened(place, value)


# -- lists ---------------------------------------------------------------------------------------


def _opened(place: str, value: Any, depth: int = 0) -> Iterator[Object | Fault]:
    if not isinstance(value, dict):
        yield Fault(place, "it is no object")
        return
    kind, items = value.get("kind", ""), value.get("items")
    listed = isinstance(kind, str) and (not kind or kind.endswith(_LIST))
    if not listed or not isinstance(items, list):
        yield _checked(place, value)
        return
    version = value.get("apiVersion", "")
    is_cut = bool(version) and not kind and bool(items)
    for number, item in enumerate(items, 1):
        if is_cut and number == len(items):
            reason = (
                "the list ends before it says its kind: the file is cut off, and perhaps this item"
            )
            yield Fault(_within(place, f"item {number}"), reason)
            return
        at = _within(place, f"item {number}")
        yield from _item(at, item, version if isinstance(version, str) else "", kind, depth)


def _item(
    place: str, item: Any, version: str, kind: str, depth: int = 0
) -> Iterator[Object | Fault]:
    """An item of a list; a typed list leaves out in its items what it says itself."""
    if depth > 3:
        yield Fault(place, "lists in lists in lists")
        return
    if isinstance(item, dict) and "kind" not in item and kind not in ("", _LIST):
        item = {"apiVersion": version, "kind": kind.removesuffix(_LIST), **item}
    yield from _opened(place, item, depth + 1)


def _has_encoding(value: Any) -> bool:
    try:
        canonical(value).encode()
    except UnicodeEncodeError:
        return False
    except RecursionError:  # which is told as such where depth is checked
        return True
    return True


def _checked(place: str, value: Json) -> Object | Fault:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            below
            for one in level
            if isinstance(one, dict | list)
            for below in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return Object(place, value)
    return Fault(place, f"it is nested deeper than {MAX_DEPTH} levels")


def canonical(value: Any) -> str:
    """JSON text that is the same however the object was written: sorted keys, no blanks."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def redacted(value: Any, redact: Callable[[str], str]) -> bytes:
    """The canonical text of a value in which every string is redacted by itself, as UTF-8."""
    text = canonical(value)
    hidden = jsontext.without_secrets(Value("", text, value), redact)
    return text.encode() if hidden == text.encode() else canonical(json.loads(hidden)).encode()


def without_nulls(value: Any) -> Any:
    """The value without members that are null, which to Kubernetes are not there."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_nulls(one) for one in value]
    return value
