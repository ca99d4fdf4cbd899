"""Values of sensitive keys, found by their line whatever the format: `password: x`, `API_KEY="x"`.

Also the `value` behind `name: DB_PASSWORD`, and defaults inside `${DB_PASSWORD:-x}` and
`{{ .password | default "x" }}`. Which names and values count is in `names.py`, how a value is written
in `values.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ledger.redaction.names import NAME_BYTES, STRONG, hides, strength
from ledger.redaction.scan import key_ends
from ledger.redaction.spans import Edit
from ledger.redaction.values import Place, Traits, literal, traits

RULE = "sensitive key"
_REACH = 256  # how far back the start of a key's line is looked for: beyond it is a long line

_LINE_HEAD = re.compile(
    rb"[ \t]*(?:(?:#+|//+|;+|\*)[ \t]*)?(?P<item>(?:-[ \t]+)*)(?:(?:export|set)[ \t]+)?(?P<quote>[\"']?)"
)
_NAME_OF_PAIR = re.compile(rb"(?:^|[\s{,\"'\\-])name\\{0,8}[\"']?[ \t]*[:=][ \t]*\\{0,8}[\"']?$")
_PAIR = re.compile(
    rb"\\{0,8}[\"']?,?\s{0,99}\\{0,8}[\"']?value(?P<close>\\{0,8}[\"']?)[ \t]*+(?P<separator>[:=])[ \t]*+"
)
_SEPARATOR = re.compile(
    rb"(?P<close>\\{0,8}[\"']?)\]?[ \t]*+(?P<separator>:=|=>|=(?![=~>])|:(?![:=])|>)[ \t]*+"
)
_SHELL_DEFAULT = re.compile(rb":?[-=][\"']?([^}\"'\r\n]*)")
_TEMPLATE_DEFAULT = re.compile(rb"\bdefault[ \t]+\\{0,8}[\"'`]([^\"'`\\\r\n]+)")


def key_edits(path: str, blob: bytes, signs: int) -> list[Edit]:
    """The literal values of sensitive keys.

    Keys inside a value found are not looked at again. Values looked at and left alone may hold each
    other: when they add up to more than eight times the text, all are hidden, which keeps this linear.
    """
    found: list[Edit] = []
    done = 0
    style = traits(path)
    patience = 8 * len(blob)
    for end in sorted(key_ends(blob, signs)):
        if end <= done:
            continue
        low = max(0, end - 80)
        word = blob[low:end]
        name = word[len(word.rstrip(NAME_BYTES)) :].lstrip(b"-.")
        grade = strength(name)
        edit = _value(style, blob, end - len(name), end) if grade else None
        if edit is None or (name == b"secretKey" and edit.value.isalpha()):
            continue  # the `secretKey` of an ExternalSecret names a key
        patience -= edit.end - edit.start
        if patience < 0 or hides(edit.value, grade == STRONG):
            found.append(edit)
        elif grade == STRONG:
            found += _defaults(blob, edit)
        done = max(done, found[-1].end) if found else done
    return found


def _value(style: Traits, blob: bytes, start: int, end: int) -> Edit | None:
    low = max(0, start - _REACH)
    line = max(blob.rfind(b"\n", low, start), blob.rfind(b"\r", low, start)) + 1
    prefix = blob[line or low : start]
    if prefix.endswith(b"${"):
        default = _SHELL_DEFAULT.match(blob, end)
        return Edit(*default.span(1), default[1], RULE) if default else None
    place = _place(style, blob, end, prefix, at_line=bool(line) or not low)
    return literal(blob, place) if place else None


def _defaults(blob: bytes, edit: Edit) -> Iterator[Edit]:
    """Literal defaults in a template that is the value of a strong key."""
    for match in _TEMPLATE_DEFAULT.finditer(blob, edit.start, edit.end):
        if hides(match[1], strong=True):
            yield Edit(*match.span(1), match[1], RULE)


def _place(style: Traits, blob: bytes, end: int, prefix: bytes, *, at_line: bool) -> Place | None:
    match = _SEPARATOR.match(blob, end)
    if match is None and _NAME_OF_PAIR.search(prefix):
        match = _PAIR.match(blob, end)
        at_line = match is not None and b"\n" in match[0]
        prefix = match[0].rpartition(b"\n")[2].partition(b"value")[0] if match else b""
    if match is None:
        return None
    separator, close = match["separator"], match["close"]
    head = _LINE_HEAD.fullmatch(prefix) if at_line else None
    opener = prefix.rstrip(b" \t\"'\\")[-1:]
    if separator == b">" and (close or opener != b"<"):
        return None
    behind = match.end("separator")
    spaced = blob[behind : behind + 1].isspace()
    if separator == b":" and not (close or spaced or _colon_ends_key(style, blob, match.end())):
        return None
    return Place(
        traits=style,
        rule=RULE,
        start=match.end(),
        separator=separator,
        close=close,
        opener=opener,
        column=len(prefix.rstrip(b"\"'")),
        own_line=head is not None and bool(head["quote"]) == bool(close),
        item=head is not None and bool(head["item"]),
        spaced=spaced,
    )


def _colon_ends_key(style: Traits, blob: bytes, start: int) -> bool:
    return blob[start : start + 1] in (b"", b'"', b"'") or style.bare_colon
