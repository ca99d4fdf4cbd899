"""Where the literal value of a key begins and ends, in any of the ways that formats write one."""

from __future__ import annotations

import binascii
import json
import re
from functools import lru_cache
from typing import NamedTuple

from ledger.redaction.spans import Edit

_CODE = re.compile(
    "tf|tofu|hcl|tfvars|py|go|[jt]sx?|mjs|java|kt|rb|rs|[ch]|cc|cpp|cs|php|ps1|rego|jsonnet|libsonnet"
    "|cue|nix|groovy|scala|swift|lua|bzl|star"
).fullmatch
_SETTINGS = re.compile("env|properties|ini|cfg|conf|toml").fullmatch
_QUOTING = re.compile("toml|tf|tofu|hcl|tfvars|json|cue").fullmatch
_PROSE = re.compile("md|markdown|txt|rst|adoc").fullmatch
_BARE_COLON = re.compile("properties|ini|cfg|conf").fullmatch


class Traits(NamedTuple):
    """What the name of a file says about how it writes values.

    `code`: an unquoted value is an expression; `settings`: it is the rest of the line; `quoting`: a value
    must be quoted; `prose`: lines may be sentences; `bare_colon`: a key may end in a colon without a
    blank.
    """

    code: bool
    settings: bool
    quoting: bool
    prose: bool
    yaml: bool
    bare_colon: bool


@lru_cache(maxsize=1024)
def traits(path: str) -> Traits:
    """The traits of a file by its extension, which is all that is known of most."""
    name = path.rsplit("/", 1)[-1].lower()
    kind = name.rpartition(".")[2]
    return Traits(
        code=_CODE(kind) is not None,
        settings=_SETTINGS(kind) is not None or name.startswith(".env"),
        quoting=_QUOTING(kind) is not None,
        prose=_PROSE(kind) is not None,
        yaml=kind in ("yaml", "yml"),
        bare_colon=_BARE_COLON(kind) is not None,
    )


_PROPERTY = re.compile(rb"(?:&|!!)[^\s,\[\]{}]+[ \t]+")
_CUSTOM_TAG = re.compile(rb"![A-Za-z]")
_QUOTED = re.compile(
    rb"(?P<triple>\"\"\"|''')(?P<long>(?:(?!(?P=triple))[\s\S])*+)(?P=triple)"
    rb'|"(?P<double>(?:[^"\\\r\n]|\\.)*+)"'
    rb"|'(?P<single>(?:[^'\r\n]|'')*+)'"
    rb'|(?P<slashes>\\{1,8})"(?P<escaped>(?:[^"\\\r\n]|\\(?!\\{0,7}"))*+)(?P=slashes)"'
)
_BLOCK = re.compile(rb"[|>][0-9+-]{0,2}[ \t]*+(?:#[^\r\n]*)?(?:\r\n?|\n)")
_HEREDOC = re.compile(rb"<<[-~]?\\?[\"']?(\w+)[\"']?[^\r\n]*(?:\r\n?|\n)")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*+={0,2}")
_LINE = re.compile(rb"([ \t]*+)([^\r\n]*+)(?:\r\n?|\n|\Z)")
_REST = re.compile(rb"[^\r\n]*")
_EXPRESSION = re.compile(rb"(?:[A-Za-z_][\w.]{0,99})?\(")
_FLOW_WORD = re.compile(rb"[^,}\]\r\n]*")
_ELEMENT = re.compile(rb"[^<\r\n]*")
_LAST_WORD = re.compile(rb"(\S{1,200})[ \t]*+(?=[\r\n]|\Z)")
_QUERY_WORD = re.compile(rb"[^\s&#\"'<>\\;]*")
_SHELL_WORD = re.compile(rb"(?:[^\s\"'`;&<>|\\]|\\[^\s\"'])*+")
_NUMBER = re.compile(rb"-?[\d.]+(?=[ \t]*[,}\]])")
_COMMENT = re.compile(rb"[ \t]#[^\r\n]*")
_NEXT_LINE = re.compile(rb"(?:\r\n?|\n)([ \t]+)([^\s#{\[&*!|>%@`?:-][^\r\n]*)")
_KEY_LINE = re.compile(rb"[\"']?[^\"'\s:]+[\"']?[ \t]*:(?:\s|$)")


class Place(NamedTuple):
    """Where the value of a key begins, and how its line looks up to there.

    `close` is the quote that closed the key and `opener` what stands before it; `own_line` tells that
    the key begins its line at `column`, `item` that the line is a list item, `spaced` that a blank
    follows the separator.
    """

    traits: Traits
    rule: str
    start: int
    separator: bytes
    close: bytes
    opener: bytes
    column: int
    own_line: bool
    item: bool
    spaced: bool


def literal(blob: bytes, place: Place) -> Edit | None:
    """The value as an edit, whatever it holds; None where none begins or it is an expression of code."""
    start = place.start
    if place.separator == b":":
        while match := _PROPERTY.match(blob, start):
            start = match.end()
        if _CUSTOM_TAG.match(blob, start):
            return None  # `!vault`, `!secret`, `!Ref`: a reference or ciphertext
    return _written(blob, start, place)


def _written(blob: bytes, start: int, place: Place) -> Edit | None:
    if quoted := _QUOTED.match(blob, start):
        return _inner(quoted, place)
    if heredoc := _HEREDOC.match(blob, start):
        return _heredoc(blob, heredoc, place)
    in_yaml = place.separator == b":" and place.own_line
    if in_yaml and (block := _BLOCK.match(blob, start)):
        first, last = deeper_lines(blob, block.end(), place.column)
        return Edit(first, last, flat(blob[first:last]), place.rule)
    first_byte = blob[start : start + 1]
    if first_byte in (b'"', b"'"):  # not closed on its line: a scalar that goes on below, or broken
        end = _line_end(blob, start)
        end = max(end, deeper_lines(blob, end, place.column)[1]) if in_yaml else end
        return Edit(
            start, end, flat(blob[start:end].strip(b"\"'")), place.rule, first_byte, first_byte
        )
    if place.traits.code or place.opener == b"$":
        return None
    return _plain(blob, start, place)


def _inner(quoted: re.Match[bytes], place: Place) -> Edit:
    kind = quoted.lastgroup or ""
    start, end = quoted.span(kind)
    return Edit(start, end, _unquoted(quoted[kind], kind), place.rule)


def _unquoted(value: bytes, kind: str) -> bytes:
    """What a quoted value means, so that it gives the same token as the same value unquoted."""
    if kind == "single":
        return value.replace(b"''", b"'")
    if kind == "double" and b"\\" in value:
        try:
            return str(json.loads(b'"' + value + b'"')).encode()
        except ValueError:  # escapes of another language, or a lone surrogate
            return value
    return value


def _heredoc(blob: bytes, opening: re.Match[bytes], place: Place) -> Edit:
    closing = re.compile(rb"(?m)^[ \t]*" + opening[1] + rb"\b").search(blob, opening.end())
    end = closing.start() if closing else len(blob)
    body = blob[opening.end() : end]
    start = opening.end() + len(body) - len(body.lstrip())
    end -= len(body) - len(body.rstrip())
    return Edit(start, end, flat(blob[start:end]), place.rule)


def _plain(blob: bytes, start: int, place: Place) -> Edit | None:
    if place.separator == b">":
        end = _end(_ELEMENT, blob, start)
        return _unquoted_edit(blob, start, end, place) if blob.startswith(b"</", end) else None
    if place.separator == b":":
        return _yaml_plain(blob, start, place)
    if _EXPRESSION.match(blob, start):
        return None
    if place.opener in (b"?", b"&"):
        return _unquoted_edit(blob, start, _end(_QUERY_WORD, blob, start), place)
    if place.own_line and (place.item or place.spaced or place.traits.settings):
        return _unquoted_edit(blob, start, _line_end(blob, start), place)
    return _unquoted_edit(blob, start, _end(_SHELL_WORD, blob, start), place)


def _yaml_plain(blob: bytes, start: int, place: Place) -> Edit | None:
    if blob[start : start + 1] in (b"{", b"[", b"(") and not blob.startswith(b"{{", start):
        return None
    if not place.own_line:
        return _inline(blob, start, place)
    if place.close and (number := _NUMBER.match(blob, start)):
        return _unquoted_edit(blob, start, number.end(), place)
    end = _line_end(blob, start)
    if _is_sentence(blob[start:end], place.traits):
        return None
    if not place.traits.yaml:
        return _unquoted_edit(blob, start, end, place)
    below = _NEXT_LINE.match(blob, end)
    if not below or len(below[1]) <= place.column or (end == start and _KEY_LINE.match(below[2])):
        return _unquoted_edit(blob, start, end, place)
    if end == start:
        return _written(blob, below.start(2), place)
    return _unquoted_edit(blob, start, deeper_lines(blob, end, place.column)[1], place)


def _inline(blob: bytes, start: int, place: Place) -> Edit | None:
    """A value in a flow mapping; in running text only one last word that is more than letters."""
    if place.close or place.opener in (b"{", b",", b"["):
        return _unquoted_edit(blob, start, _end(_FLOW_WORD, blob, start), place)
    word = _LAST_WORD.match(blob, start)
    if word is None or word[1].isalpha():
        return None
    return _unquoted_edit(blob, start, word.end(1), place)


def _is_sentence(text: bytes, traits: Traits) -> bool:
    """Whether a line speaks about a password: many words, or several and a full stop."""
    words = len(text.split(b" #", 1)[0].split())
    few, many = (2, 5) if traits.prose else (4, 10)
    ends = text.rstrip().endswith((b".", b":", b","))
    return not text.startswith(b"{{") and (words > many or (words > few and ends))


def _unquoted_edit(blob: bytes, start: int, end: int, place: Place) -> Edit:
    comment = _COMMENT.search(blob, start - 1, end)
    is_value = place.traits.settings and place.separator == b"="  # to some readers it is no comment
    if comment and not is_value and b"\n" not in blob[start:end]:
        end = max(start, comment.start())
    value = blob[start:end].rstrip()
    quote = place.close if place.close.endswith(b'\\"') else b'"'
    quoted = quote if place.close or place.traits.quoting else b""
    return Edit(start, start + len(value), flat(value), place.rule, quoted, quoted)


def deeper_lines(blob: bytes, start: int, column: int) -> tuple[int, int]:
    """First and last byte of the text in the lines from `start` that are indented deeper than `column`.

    The rest of the line at `start` is skipped if it is blank. Empty span at `start` if there are none.
    """
    first = end = start
    while start < len(blob):
        line = _LINE.match(blob, start)
        if line is None or (line[2] and len(line[1]) <= column):
            break
        if line[2]:
            first = line.start(2) if first == end else first
            end = line.end(2)
        start = line.end()
    return first, end


def flat(value: bytes) -> bytes:
    """Lines without their indentation, so that a value gives one token wherever it is indented to."""
    lines = value.splitlines()
    return b"\n".join(line.strip() for line in lines) if len(lines) > 1 else value


def decoded(value: bytes) -> bytes:
    """What base64 stands for, so that `data` and `stringData` of one secret give one token."""
    packed = b"".join(value.split())
    if len(packed) % 4 or not _BASE64.fullmatch(packed):
        return value
    return binascii.a2b_base64(packed) or value


def _line_end(blob: bytes, start: int) -> int:
    return _end(_REST, blob, start)


def _end(pattern: re.Pattern[bytes], blob: bytes, start: int) -> int:
    match = pattern.match(blob, start)
    return match.end() if match else start
