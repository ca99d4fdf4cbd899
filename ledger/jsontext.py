"""JSON that other programs wrote: one value after another, and a fault costs only the value it stands in.

Files come as one value, as several, as one on each line, or as an array whose items are the values.
Every value comes with the text it was read from. Lone surrogates pass, because forges send what people
type; text that is no UTF-8 (or UTF-16 with its mark, as PowerShell writes), numbers that are none, and
nesting beyond `MAX_DEPTH` do not. Nothing here raises anything but `ValueError` with a reason.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

MAX_DEPTH = 200
MAX_FAULTS = 100
_BLANK = re.compile(r"[ \t\r\n]*")
_NEXT = re.compile(r"\n(?=[{\[])")


class Value(NamedTuple):
    """One value: where it begins, its text, and what it means."""

    place: str
    text: str
    value: Any


class Fault(NamedTuple):
    """A place that could not be read, and why."""

    place: str
    reason: str


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def decoded(data: bytes) -> str:
    """The text of bytes; what is no UTF-8 stays as lone surrogates, which no value may hold."""
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "surrogateescape")


def only_value(data: bytes) -> Value:
    """The one value that `data` holds. Raises ValueError that says why it does not."""
    text = decoded(data)
    start = _skip(text, 0)
    if start == len(text):
        raise ValueError("it is empty")
    value, end = _read(text, start)
    if _skip(text, end) != len(text):
        raise ValueError(f"more follows behind the value, at character {end}")
    if not _has_encoding(text[start:end]):
        raise ValueError("it is not UTF-8")
    return Value("line 1", text[start:end], value)


def values(data: bytes) -> Iterator[Value | Fault]:
    """Every value of a file; the items of arrays, and of arrays in them (joined pages), one by one.

    After a fault it goes on at the next line that begins with a brace or a bracket, and gives up
    after `MAX_FAULTS` of them, which bounds the work to that many times the file.
    """
    text = decoded(data)
    lines = _Lines(text)
    position = _skip(text, 0)
    if position == len(text):
        yield Fault("line 1", "it is empty")
    faults = 0
    while position < len(text):
        place = lines.place(position)
        try:
            if text[position] == "[":
                position = yield from _items(text, position, lines)
            else:
                value, end = _read(text, position)
                yield _checked(place, text[position:end], value)
                position = end
        except _BrokenError as error:
            faults += 1
            yield Fault(place, str(error))
            after = _NEXT.search(text, error.position)
            position = len(text) if after is None else after.end()
            if faults == MAX_FAULTS and position < len(text):
                yield Fault(lines.place(position), "too many faults: the rest is not read")
                return
        position = _skip(text, position)


def _items(
    text: str, start: int, lines: _Lines, inside: bool = False
) -> Generator[Value | Fault, None, int]:
    """The items of an array; gives where it ends."""
    position = _skip(text, start + 1)
    number = 0
    if text[position : position + 1] == "]":
        return position + 1
    while True:
        number += 1
        if not inside and text[position : position + 1] == "[":
            end = yield from _items(text, position, lines, inside=True)
        else:
            try:
                value, end = _read(text, position)
            except _BrokenError as error:
                raise _BrokenError(f"item {number}: {error}", position) from None
            yield _checked(f"{lines.place(position)}, item {number}", text[position:end], value)
        position = _skip(text, end)
        follows = text[position : position + 1]
        if follows == "]":
            return position + 1
        if follows != ",":
            raise _BrokenError(f"the array is cut off or broken behind item {number}", position)
        position = _skip(text, position + 1)


class _BrokenError(ValueError):
    """Text that is no JSON; what was read before `position` stands."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.position = position


def _read(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at `start`, and where it ends."""
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        cut = _skip(text, error.pos) == len(text) or error.msg.startswith("Unterminated")
        reason = "it is cut off" if cut else f"{error.msg}, {error.pos - start} characters on"
        raise _BrokenError(f"no JSON: {reason}", start) from None
    except RecursionError:
        raise _BrokenError("it is nested too deeply", start) from None
    except ValueError as error:  # a number of thousands of digits, or one that is none
        reason = "a number has too many digits" if "digits" in str(error) else str(error)
        raise _BrokenError(f"no JSON: {reason}", start) from None


def _checked(place: str, text: str, value: Any) -> Value | Fault:
    return Value(place, text, value) if _has_encoding(text) else Fault(place, "it is not UTF-8")


def _has_encoding(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def clean(text: str) -> str:
    """The text with lone surrogates written out as escapes, so that it has an encoding."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def compact(value: Any) -> str:
    """The value as text without blanks, which has an encoding. ValueError where it is nested too deeply."""
    try:
        return clean(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def without_secrets(read: Value, redact: Callable[[str], str]) -> bytes:
    """The text of a value with every string in it redacted by itself, as UTF-8.

    Secrets in a string within JSON stand between escapes, where rules for lines do not find them. The
    text is the given one where nothing was hidden. Raises ValueError beyond `MAX_DEPTH`.
    """
    value = _redacted(read.value, redact, 0)
    if value is read.value:
        return read.text.encode()
    return compact(value).encode()


def _redacted(value: Any, redact: Callable[[str], str], depth: int) -> Any:
    """The same object where nothing changes."""
    if isinstance(value, str):
        hidden = redact(value)
        return value if hidden == value else hidden
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        items = {key: _redacted(one, redact, depth + 1) for key, one in value.items()}
        return items if any(items[key] is not one for key, one in value.items()) else value
    if isinstance(value, list):
        parts = [_redacted(one, redact, depth + 1) for one in value]
        return parts if any(a is not b for a, b in zip(parts, value, strict=True)) else value
    return value


class _Lines:
    """Numbers of lines, asked for in order."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1

    def place(self, position: int) -> str:
        if position >= self._at:
            self._line += self._text.count("\n", self._at, position)
            self._at = position
            return f"line {self._line}"
        return f"line {self._text.count(chr(10), 0, position) + 1}"


def _skip(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position
