"""Secrets in text that does not parse as YAML: templates, drafts, examples in prose and in comments.

Everything in the region of a `data` or `stringData` key is hidden by its indentation, block scalars and
continued lines included; keys stay. Where a line leaves a doubt it is hidden whole: too much hidden is
right here, too little is a bug.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ledger.redaction.names import keeps
from ledger.redaction.spans import TOKEN, Edit
from ledger.redaction.values import decoded, flat

RULE = "kubernetes secret"

_BREAK = rb"\xc2\x85|\xe2\x80[\xa8\xa9]"
_LINE = re.compile(rb"((?:(?!" + _BREAK + rb")[^\r\n])*+)(?:\r\n?|\n|" + _BREAK + rb"|\Z)")
_HEAD = re.compile(
    rb"(?P<blank>[ \t]*+)(?P<mark>(?:(?:#+|//+|\*|>)[ \t]*+)?)(?P<dash>(?:-[ \t]+)*+)"
)
_DIFF = re.compile(rb"(?m)^@@ -\d")
_OPENER = re.compile(rb"(?:[dD]ata|literals|last-applied-configuration)[\"']?[ \t]*:")
_REGION_KEY = re.compile(rb"[\"']?(?P<name>data|stringData|literals)[\"']?[ \t]*:(?:[ \t]+|\Z)")
_APPLIED_KEY = re.compile(
    rb"[\"']?kubectl\.kubernetes\.io/last-applied-configuration[\"']?[ \t]*:[ \t]*"
)
_KEY = re.compile(rb"[\"']?[\w./-]+[\"']?[ \t]*:(?:[ \t]+|\Z)")
_LITERAL = re.compile(rb"-[ \t]+(?P<quote>[\"']?)[\w.-]+=(?P<value>.*)", re.DOTALL)
_PROPERTIES = rb"(?:[&!]\S*(?:[ \t]+|\Z))*+"
_BLOCK = re.compile(_PROPERTIES + rb"[|>][0-9+-]{0,2}[ \t]*(?:#(?P<comment>.*))?\Z", re.DOTALL)
_HIDDEN_IN_JSON = re.compile(rb"\"" + TOKEN.pattern + rb"\"[ \t]*[,}]")
_OPENS_QUOTE = re.compile(_PROPERTIES + rb"([\"'])")
_NOTHING_INLINE = re.compile(_PROPERTIES + rb"(?:#.*)?\Z")

_FLOW = re.compile(
    rb"(?<![\w.-])(?P<quote>\\{0,8}[\"']?)(?P<name>data|stringData|literals)(?P=quote)"
    rb"\s*:\s*(?:\{(?!\{)|\[)"
)
_JSON = re.compile(
    rb"\s*+(?:(?P<text>\"(?:[^\"\\]|\\.)*+\")|(?P<mark>[{}\[\],:])|(?P<word>-?\d[\d.eE+-]*+|true|false|null))"
)
_BRACES = re.compile(rb"[{}\[\]]")
_BRACES_AND_STRINGS = re.compile(rb"\"(?:[^\"\\]|\\.)*+\"|'[^'\r\n]*+'|[{}\[\]]")
_BRACES_AND_ESCAPED = re.compile(rb"\\{1,8}\"(?:[^\"\\]|\\(?!\\{0,7}\"))*+\\{1,8}\"|[{}\[\]]")
_STEP = {b"{": 1, b"[": 1, b"}": -1, b"]": -1}


@dataclass(slots=True)
class _Region:
    """The lines below the key `name` at `column` that hold secrets; `mark` if they are comments."""

    name: bytes
    column: int
    mark: bytes


@dataclass(slots=True)
class _Value:
    """A value that may go on in the next lines: those deeper than `column`, or up to its `quote`."""

    start: int
    end: int
    column: int
    quote: bytes
    encoded: bool


def line_edits(blob: bytes, start: int, end: int) -> list[Edit]:
    """Edits for every value of a Secret between two positions. Linear in their distance."""
    reader = _Reader(blob, start, end)
    position = start
    while position < end:
        if reader.is_idle:
            opener = _OPENER.search(blob, position, end)
            if opener is None:
                break
            position = _line_start(blob, position, opener.start())
        line = _LINE.match(blob, position, end)
        if line is None or line.end() == position:
            break
        if not line[1].isspace() and line[1]:
            reader.read(*line.span(1))
        position = line.end()
    reader.close()
    return reader.edits + list(_flow_edits(blob, start, end))


def _line_start(blob: bytes, low: int, position: int) -> int:
    for line_end in (b"\n", b"\r", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9"):
        found = blob.rfind(line_end, low, position)
        low = found + len(line_end) if found >= 0 else low
    return low


class _Reader:
    """Reads lines in order; knows the region and the value that the last line left open.

    `run` spans the lines just read that were hidden whole: they become one edit.
    """

    def __init__(self, blob: bytes, start: int, end: int) -> None:
        self.blob = blob
        self.edits: list[Edit] = []
        self.region: _Region | None = None
        self.value: _Value | None = None
        self.run: tuple[int, int] | None = None
        # In a patch the first column says what happened to the line.
        self.first_column = 1 if _DIFF.search(blob, start, end) else 0

    @property
    def is_idle(self) -> bool:
        """Whether only a line with one of the known keys matters."""
        return self.region is None and self.value is None

    def read(self, start: int, end: int) -> None:
        """Take in one line that is not blank."""
        start = min(start + self.first_column, end)
        head = _HEAD.match(self.blob, start, end)
        if head is None:
            return
        mark = head["mark"].strip()
        commented = self.region is not None and self.region.mark == mark != b""
        at = head.end("mark" if commented else "blank")
        stop = at + len(self.blob[at:end].rstrip())
        if self.value and self._goes_on(self.value, at, at - start, stop):
            return
        if self.region and self._is_in(self.region, mark, at, at - start, stop):
            return
        self.close()
        self.region = None
        self._open(mark, head.end(), head.end() - start, stop)

    def close(self) -> None:
        """Hide the value and the run of lines that no further line belongs to."""
        if self.value and self.value.start >= 0:
            self._hide(self.value.start, self.value.end, encoded=self.value.encoded)
        if self.run:
            self._hide(*self.run)
        self.value = self.run = None

    def _goes_on(self, value: _Value, at: int, column: int, stop: int) -> bool:
        if not value.quote and column <= value.column:
            return False
        value.start = at if value.start < 0 else value.start
        value.end = stop
        if value.quote and _closes(self.blob[at:stop], value.quote):
            value.quote = b""
        return True

    def _is_in(self, region: _Region, mark: bytes, at: int, column: int, stop: int) -> bool:
        """Hide what a line of the region holds; False if the line is not of the region."""
        text = self.blob[at:stop]
        if (column == 0 and text.startswith((b"---", b"..."))) or (
            region.mark and region.mark != mark
        ):
            return False
        if not region.mark and text.startswith((b"#", b"{{")):  # at any indentation
            self.close()
            self._hide(at + (text[:1] == b"#"), stop)
            return True
        items = region.name == b"literals"
        if column <= region.column and not (items and column == region.column and text[:1] == b"-"):
            return False
        key = None if items else _KEY.match(self.blob, at, stop)
        literal = _LITERAL.match(text) if items else None
        if key or literal or self.value:
            self.close()
        if key:
            self._begin(key.end(), stop, column, encoded=region.name == b"data")
        elif literal:
            closed = literal["quote"] and text.endswith(literal["quote"])
            self._hide(at + literal.start("value"), stop - bool(closed))
        else:
            self.run = (self.run[0] if self.run else at, stop)
        return True

    def _open(self, mark: bytes, at: int, column: int, stop: int) -> None:
        applied = _APPLIED_KEY.search(self.blob, at, stop)
        if applied:
            self._begin(applied.end(), stop, column, encoded=False)
            return
        key = _REGION_KEY.match(self.blob, at, stop)
        if key is None:
            return
        rest = self.blob[key.end() : stop]
        if _NOTHING_INLINE.match(rest) or rest.startswith(b"{{"):
            self.region = _Region(key["name"], column, mark)
            self._hide(key.end() + max(0, rest.find(b"#") + 1), stop)
        elif not rest.startswith((b"{", b"[")):  # those are found as flow mappings
            self._begin(key.end(), stop, column, encoded=key["name"] == b"data")

    def _begin(self, start: int, stop: int, column: int, *, encoded: bool) -> None:
        text = self.blob[start:stop]
        if _HIDDEN_IN_JSON.match(text):
            return
        block = _BLOCK.match(text)
        if block:
            if block["comment"]:
                self._hide(start + block.start("comment"), stop)
            self.value = _Value(-1, -1, column, b"", encoded)
            return
        opening = _OPENS_QUOTE.match(text)
        is_open = opening is not None and not _closes(text[opening.end() :], opening[1])
        quote = opening[1] if opening and is_open else b""
        self.value = _Value(start, stop, column, quote, encoded)

    def _hide(self, start: int, stop: int, *, encoded: bool = False) -> None:
        text = self.blob[start:stop]
        start += len(text) - len(text.lstrip())
        text = text.strip()
        if not keeps(text):
            value = flat(_unquoted(text))
            self.edits.append(Edit(start, stop, decoded(value) if encoded else value, RULE))


def _closes(text: bytes, quote: bytes) -> bool:
    return re.search(quote + rb"[ \t]*(?:#.*)?\Z", text) is not None


def _unquoted(text: bytes) -> bytes:
    quoted = len(text) > 1 and text[:1] == text[-1:] and text[:1] in (b'"', b"'")
    return text[1:-1] if quoted else text


def _flow_edits(blob: bytes, start: int, end: int) -> Iterator[Edit]:
    """Values of `data: {...}`: one by one where it is JSON, else all of it at once."""
    done = start
    for key in _FLOW.finditer(blob, start, end):
        if key.start() < done:
            continue
        brace = key.end() - 1
        escaped = key["quote"].startswith(b"\\")
        edits = [] if escaped else _json_edits(blob, brace, end, key["name"])
        if edits:
            yield from edits[:-1]
            done = edits[-1].end
            continue
        with_strings = _BRACES_AND_ESCAPED if escaped else _BRACES_AND_STRINGS
        ends = [_closing(pattern, blob, brace, end) for pattern in (_BRACES, with_strings)]
        done = max(ends)
        text = blob[brace:done]
        if not keeps(text.strip(b"{} ")):
            yield Edit(brace, done, flat(text), RULE, key["quote"], key["quote"])


def _json_edits(blob: bytes, start: int, end: int, name: bytes) -> list[Edit]:
    """Edits for the values of a JSON object, and last an empty one at its end; none if it is no JSON."""
    edits: list[Edit] = []
    depth, position = 0, start
    while token := _JSON.match(blob, position, end):
        position = token.end()
        if token["mark"]:
            depth += _STEP.get(token["mark"], 0)
            if depth == 0:
                return [*edits, Edit(position, position, b"", RULE)]
            continue
        text = token["text"][1:-1] if token["text"] else token["word"]
        is_key = blob[position : position + 99].lstrip().startswith(b":")
        if not is_key and not keeps(text):
            value = decoded(text) if name == b"data" else text
            edits.append(
                Edit(token.end() - len(token[0].lstrip()), position, value, RULE, b'"', b'"')
            )
    return []


def _closing(pattern: re.Pattern[bytes], blob: bytes, start: int, end: int) -> int:
    """Behind the brace that closes the one at `start`; `end` if none does."""
    depth = 0
    for match in pattern.finditer(blob, start, end):
        depth += _STEP.get(match[0], 0)
        if depth == 0:
            return match.end()
    return end
