"""Cuts an HCL file into its top-level pieces without reading what is in them."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

# Possessive quantifiers (`*+`, `++`) everywhere: these patterns read any bytes once, without going back.
_NAME = rb"[A-Za-z_\x80-\xff][\w\x80-\xff-]*+"
_PLAIN = rb'"(?:[^"\\$%\n]++|\\[^\n]|\$\$\{|%%\{|[$%](?!\{))*+"'
_SPAN = rb'[$%]\{(?:[^{}"#/<\n]++|' + _PLAIN + rb")*+\}"
_STRING = rb'"(?:[^"\\$%\n]++|\\[^\n]|\$\$\{|%%\{|[$%](?!\{)|' + _SPAN + rb')*+"'
_COMMENT = rb"\#[^\n]*+|//[^\n]*+|/\*(?s:.*?)\*/"
_REST = rb"|" + _STRING + rb"|" + _COMMENT + rb"|/(?![/*])|<(?!<)"
_FLAT = rb'\{(?:[^{}"#/<]++' + _REST + rb")*+\}"

_CODE = re.compile(rb'(?:[^{}"#/<]++' + _REST + rb"|" + _FLAT + rb")*+")
_STATEMENT = re.compile(rb'(?:[^{}"#/<\n]++' + _REST + rb"|" + _FLAT + rb")*+")
_QUOTED = re.compile(rb'(?:[^"\\$%\n]++|\\[^\n]|\$\$\{|%%\{|[$%](?!\{)|' + _SPAN + rb")*+")
_GAP = rb"(?:[ \t]++|/\*(?s:.*?)\*/)*+"
_HEAD = re.compile(
    rb"(?:[ \t\r\n]++|" + _COMMENT + rb")*+"
    rb"(?P<block>"
    + _NAME
    + rb"(?:"
    + _GAP
    + rb"(?:"
    + _NAME
    + rb"|"
    + _PLAIN
    + rb"))*+"
    + _GAP
    + rb"\{)?"
)
_LINE_END = re.compile(rb"[ \t]*+(?:(?:\#|//)[^\n]*+)?\r?\n?")
_HEREDOC = re.compile(rb"<<-?(" + _NAME + rb")[ \t]*+\r?(?=\n)")

# What is open, innermost last: a body or expression, a statement at the top, a quoted template, or a heredoc.
_BRACES, _TOP, _QUOTES = b"{", b"\n", b'"'
_CODES = frozenset({_BRACES, _TOP})


def pieces(blob: bytes) -> list[bytes]:
    """Cut a file into its top-level blocks, each with the comments before it, and runs of attributes.

    Any bytes: the pieces joined are the blob. A file whose braces or quotes do not match stays whole.
    JSON syntax stays whole too. Linear in the size, about 70 MB/s.
    """
    cuts, pos, run = [0], 0, False
    if is_json(blob):
        return [blob]
    while True:
        head = _HEAD.match(blob, pos)
        assert head is not None  # both of its parts may be empty
        block = head["block"] is not None
        if (block or head.end() == len(blob)) and run:
            cuts.append(pos)
            run = False
        if head.end() == len(blob) and not block:
            break
        run = run or not block
        pos = _skip(blob, head.end(), _BRACES if block else _TOP)
        if pos < 0:
            return [blob]
        if block:
            end = _LINE_END.match(blob, pos)
            pos = end.end() if end else pos
            cuts.append(pos)
    cuts.append(len(blob))
    return [blob[a:b] for a, b in pairwise(cuts) if a < b] or [blob]


def is_json(blob: bytes) -> bool:
    """Does a file speak the JSON syntax? No HCL starts with a brace."""
    return blob[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def _skip(blob: bytes, pos: int, opened: bytes) -> int:
    """The place after the end of what is `opened` before `pos`; -1 where it does not end."""
    stack = [opened]
    while stack:
        top = stack[-1]
        inside = _inside(top).match(blob, pos)
        assert inside is not None  # it may be empty
        pos = inside.end()
        if pos >= len(blob):
            return pos if stack == [_TOP] else -1
        found = blob[pos : pos + 1]
        pos = (
            _in_code(blob, pos, found, stack)
            if top in _CODES
            else _in_text(blob, pos, found, stack)
        )
        if pos < 0:
            break
    return pos


def _in_code(blob: bytes, pos: int, found: bytes, stack: list[bytes]) -> int:
    """What `found` opens or closes in a body or an expression; the place after it, or -1."""
    if found == b"<":
        heredoc = _HEREDOC.match(blob, pos)
        if heredoc is None:
            return pos + 2  # no HCL, but nothing is opened
        stack.append(heredoc[1])
        return heredoc.end()
    if found in (_BRACES, _QUOTES):
        stack.append(found)
    elif found == b"\n" or (found == b"}" and stack[-1] == _BRACES):
        stack.pop()
    else:
        return -1  # a `}` too many, or a comment without an end
    return pos + 1


def _in_text(blob: bytes, pos: int, found: bytes, stack: list[bytes]) -> int:
    """What `found` opens or closes in a quoted template or a heredoc; the place after it, or -1."""
    if found in b"$%":
        stack.append(_BRACES)
        return pos + 2
    marker = stack.pop()
    if marker == _QUOTES:
        return pos + 1 if found == _QUOTES else -1  # a line end or a lone backslash
    end = _heredoc_end(marker).match(blob, pos)
    return end.end() if end else -1


def _inside(opened: bytes) -> re.Pattern[bytes]:
    if opened == _BRACES:
        return _CODE
    if opened == _TOP:
        return _STATEMENT
    return _QUOTED if opened == _QUOTES else _heredoc_text(opened)


@lru_cache(maxsize=64)
def _heredoc_end(marker: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"\n[ \t]*+" + re.escape(marker) + rb"(?=[ \t]*+\r?(?:\n|\Z))")


@lru_cache(maxsize=64)
def _heredoc_text(marker: bytes) -> re.Pattern[bytes]:
    end = _heredoc_end(marker).pattern
    return re.compile(
        rb"(?:[^\n$%]++|\$\$\{|%%\{|[$%](?!\{)|" + _SPAN + rb"|(?!" + end + rb")\n)*+"
    )
