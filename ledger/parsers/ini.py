"""INI files, .editorconfig and .gitconfig: sections of keys, by the rules of Python's configparser.

The rules, not the module: on hostile files its time is quadratic in two places, and it raises AttributeError.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ledger.parsers import Parser, whole
from ledger.resources import Resource, Value, lines_of, unparsed

_SECTION = re.compile(r"\[(.+)\]")
_OPTION = re.compile(r"([^=:]+)(?:[=:](.*))?", re.DOTALL)
_MAX_WARNINGS = 100


class _Key(NamedTuple):
    """A key, and the lines of its value; None without `=` or `:`."""

    section: str
    name: str
    value: list[str] | None


def parse(piece: bytes) -> list[Resource]:
    """The sections of a file, `""` for what comes before them; none if it holds only comments."""
    lines, warnings = lines_of(piece)
    repeated: dict[str, None] = {}
    try:
        body = _sections([str(line) for line in lines], repeated)
    except ValueError as error:
        return [unparsed("INI", piece, str(error))]
    warnings += tuple(repeated)
    return [Resource("", "INI", "", "", body, warnings=warnings)] if body else []


def _sections(lines: list[str], repeated: dict[str, None]) -> dict[str, Value]:
    """Keys by section. What stands twice is one: the last value counts, with a warning."""
    keys: dict[tuple[str, str], _Key] = {}
    sections: dict[str, Value] = {}
    section, last, indent = "", None, 0
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("\ufeff")
        if not text or text[0] in "#;":
            if not text and last and last.value is not None:
                last.value.append("")
            continue
        column = len(line) - len(line.lstrip())
        if last and column > indent:
            if last.value is None:
                raise ValueError(f"line {number} continues a key that has no value")
            last.value.append(text)
            continue
        indent = column
        if header := _SECTION.match(text):
            section, last = header[1], None
            sections.setdefault(section, {})
            continue
        last = _key(section, text, number)
        if (section, last.name) in keys and len(repeated) < _MAX_WARNINGS:
            repeated[
                f'duplicate key "{last.name[:80]}" on line {number}: the last value counts'
            ] = None
        keys[section, last.name] = last
    for key in keys.values():
        values = sections.setdefault(key.section, {})
        if isinstance(values, dict):
            values[key.name] = None if key.value is None else "\n".join(key.value).rstrip()
    return sections


def _key(section: str, text: str, number: int) -> _Key:
    match = _OPTION.fullmatch(text)
    if match is None:
        raise ValueError(f"line {number}: neither a section nor a key")
    return _Key(section, match[1].rstrip(), None if match[2] is None else [match[2].strip()])


PARSER = Parser(
    name="ini",
    version=1,
    patterns=("*.ini", "*.cfg", ".editorconfig", ".gitconfig"),
    split=whole,
    parse=parse,
)
