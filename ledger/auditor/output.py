"""An answer as CSV, JSON or a plain table. Nothing in a cell can act on whoever opens it.

Spreadsheets run cells that begin with = + - @, and terminals obey control and bidirectional
characters; commit subjects and author names may contain any of them.
"""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import IO, Any, Final

from ledger.auditor.contract import Answer

# What spreadsheets take for the start of a formula, also after blanks they strip, also full-width.
_FORMULA: Final = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_ELLIPSIS: Final = "…"
_MIN_WIDTH: Final = 6


def write_csv(answer: Answer, stream: IO[str]) -> None:
    """RFC 4180 with a header, for a stream opened with `newline=""`.

    NULL is an empty cell, and so is an empty text. Text that a spreadsheet would take for a
    formula gets a leading apostrophe; numbers do not. A file gets every character as it is, a
    terminal what it would obey as escapes.
    """
    shown = _visible_cell if stream.isatty() else _harmless
    writer = csv.writer(stream)
    writer.writerow([shown(name) for name in answer.columns])
    writer.writerows([shown(value) for value in row] for row in answer.rows)


def _visible_cell(value: Any) -> Any:
    cell = _harmless(value)
    return visible(cell) if isinstance(cell, str) else cell


def _harmless(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def write_json(answer: Answer, stream: IO[str]) -> None:
    """An array with one object for each row, one line each; equal column names get _2, _3, …"""
    names = unique_names(answer.columns)
    stream.write("[")
    for number, row in enumerate(answer.rows):
        text = json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, allow_nan=False)
        stream.write((",\n " if number else "\n ") + visible(text, _json_escape))
    stream.write("\n]\n" if answer.rows else "]\n")


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, later ones numbered where they would repeat an earlier one."""
    unique: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in unique or (number > 1 and candidate in names):
            number += 1
            candidate = f"{name}_{number}"
        unique.append(candidate)
    return unique


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1]


def _escape(character: str) -> str:
    short = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
    code = ord(character)
    return short.get(character) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def visible(text: str, escape: Any = _escape) -> str:
    """The text with every control, format (bidirectional, zero-width) and surrogate escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(escape(c) if unicodedata.category(c) in _UNSEEN else c for c in text)


_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def render_table(answer: Answer, width: int = 100) -> str:
    """Aligned columns in at most `width` places, long cells cut with an ellipsis.

    Answers with too many columns for that are written one value a line, a block for each row.
    Numbers stand on the right. The last line counts the rows.
    """
    names = [visible(name) for name in answer.columns]
    rows = [[_cell(value) for value in row] for row in answer.rows]
    widths = _widths(names, rows, width)
    lines = _blocks(names, rows, width) if widths is None else _lines(names, answer, rows, widths)
    count = len(rows)
    footer = f"({count:,} row{'' if count == 1 else 's'}{', there are more' * answer.truncated})"
    return "\n".join([*lines, footer]) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    return visible(str(value))


def _lines(
    names: list[str], answer: Answer, rows: list[list[str]], widths: list[int]
) -> Iterable[str]:
    right = [
        any(row[i] is not None for row in answer.rows)
        and all(row[i] is None or _is_number(row[i]) for row in answer.rows)
        for i in range(len(names))
    ]
    yield _line(names, widths, right)
    yield "  ".join("-" * places for places in widths)
    for row in rows:
        yield _line(row, widths, right)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _line(cells: list[str], widths: list[int], right: list[bool]) -> str:
    parts = []
    for cell, places, flush_right in zip(cells, widths, right, strict=True):
        text = _cut(cell, places)
        blanks = " " * (places - _places(text))
        parts.append(blanks + text if flush_right else text + blanks)
    return "  ".join(parts).rstrip()


def _widths(names: list[str], rows: list[list[str]], width: int) -> list[int] | None:
    """The width of each column, the widest cut first; None if there is no room for them all."""
    widths = [
        max(_places(name), *(_places(row[i]) for row in rows), 1) if rows else _places(name)
        for i, name in enumerate(names)
    ]
    room = width - 2 * (len(widths) - 1)
    if sum(min(places, _MIN_WIDTH) for places in widths) > room:
        return None
    while sum(widths) > room:
        excess, most = sum(widths) - room, max(widths)
        widest = [i for i, places in enumerate(widths) if places == most]
        second = max((places for places in widths if places < most), default=_MIN_WIDTH)
        step = min(most - max(second, _MIN_WIDTH), -(-excess // len(widest)))
        for i in widest:
            widths[i] -= max(step, 1)
    return widths


def _blocks(names: list[str], rows: list[list[str]], width: int) -> Iterable[str]:
    most = min(max((_places(name) for name in names), default=0), max(width // 2, _MIN_WIDTH))
    for number, row in enumerate(rows, 1):
        yield f"-- row {number:,}"
        for name, cell in zip(names, row, strict=True):
            label = _cut(name, most)
            pad = " " * (most - _places(label))
            yield f"{label}{pad}  {_cut(cell, max(width - most - 2, _MIN_WIDTH))}".rstrip()


def _cut(text: str, places: int) -> str:
    if _places(text) <= places:
        return text
    taken, used = [], 0
    for character in text:
        used += _places(character)
        if used > places - 1:
            break
        taken.append(character)
    return "".join(taken) + _ELLIPSIS


def _places(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
