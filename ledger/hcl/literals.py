"""The smallest parts of HCL: names, numbers and quoted texts; and the error for what is none."""

from __future__ import annotations

import re
from decimal import Decimal

from ledger.resources import Value

# What other patterns are made of; TEXT stands in quotes. Possessive quantifiers never go back.
NAME = r"[^\W\d][\w-]*+"
SPACES = r"(?:[ \t\r\n]++|\#[^\n]*+|//[^\n]*+|/\*(?s:.*?)\*/)"
NO_TEMPLATE = r"\$\$\{|%%\{|[$%](?!\{)"
TEXT = rf'[^"\\$%\n]++|\\(?:["\\nrt]|u[0-9a-fA-F]{{4}}|U[0-9a-fA-F]{{8}})|{NO_TEMPLATE}'

_EXACT = 2**53  # whole numbers from here on are not exact in JSON (RFC 8785)


class HclError(Exception):
    """A text that is no HCL, or more than we read of it; the message is the reason to record."""


def failure(text: str, pos: int, what: str) -> HclError:
    """The error that says on which line a text is no HCL."""
    line = text.count("\n", 0, pos) + 1
    return HclError(f"line {line}: {what}")


def word_value(word: str) -> Value:
    """The value of a name or a reference: JSON's words are themselves, others an expression."""
    return _WORDS.get(word, f"${{{word}}}")


_WORDS: dict[str, Value] = {"true": True, "false": False, "null": None}


def number(text: str) -> Value:
    """A JSON number if that is the same number, else the text as an expression."""
    if text.isdecimal() and len(text) < 16:
        return int(text)
    found = float(text)
    if abs(found) >= _EXACT or Decimal(repr(found)) != Decimal(text):
        return f"${{{text}}}"
    return int(found) if found.is_integer() else found


def decoded(literal: str) -> str:
    """A literal part of a quoted template with its escapes decoded."""
    return _ESCAPE.sub(_character, literal) if "\\" in literal else literal


_ESCAPE = re.compile(r'\\(?:(["\\nrt])|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))')
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def _character(escape: re.Match[str]) -> str:
    if escape[1]:
        return _ESCAPED[escape[1]]
    code = int(escape[2] or escape[3], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:  # has no place in UTF-8
        return escape[0]
    # A `${` made by escapes is text, which a template spells `$${`.
    character, before = chr(code), escape.string[escape.start() - 1 : escape.start()]
    if character in "$%" and escape.string.startswith(("{", r"\u007b", r"\u007B"), escape.end()):
        return character * 2
    return before + character if character == "{" and before in ("$", "%") else character
