"""The cheap first look: may this text hold a secret at all, and where could a sensitive key stand?

A substring search costs about half a nanosecond a byte, and there are some thirty things to look for.
So the text is lowered once and its rarer letters (k, w, x, z, g) become one mark byte: nearly every
signature holds one of them, and one expression that begins with a literal mark hops from mark to mark
and finds them all. Marks keep the length, so positions in the lowered text are positions in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SECRET, KEY, SHAPE, LOGIN = 1, 2, 4, 8


def _table() -> bytes:
    table = bytearray(bytes(range(256)).lower())
    for code in b"kKwWxXzZgG":
        table[code] = 0
    for code in b"@\\!J":
        table[code] = 1
    return bytes(table)


_TABLE = _table()

# What follows a key: a separator, or the key `value` (in `name: PASSWORD`, `value: x`).
_TAIL = rb"""(?=[\x01"']{0,8}\]?[ \t]*+(?:[:=>]|,?\s{0,99}["'\x01]{0,8}value))"""
_WORD = rb"(?:api|ess|ret|ate|unt|ion|in\0|ter)"
_TOKEN = rb"n(?<=to\0en)" + _TAIL
_PASSWORD = rb"rd(?<=pass\0ord)" + _TAIL
_PASSWD = rb"d(?:(?<=ass\0d)|(?<=p\0d))" + _TAIL
_SOME_KEY = rb"y(?:(?<=" + _WORD + rb"\0ey)|(?<=" + _WORD + rb"[_. -]\0ey))" + _TAIL
# Besides keys: headers of private keys, age keys, Slack tokens and hooks, Google, GitHub, GitLab,
# Stripe, `signature=`, `sig=`. Alternatives begin with different letters, so that most marks fail fast.
_SHAPES = rb"s\.slac\0|a(?<=ai\0a)|h[pousr]_|ithub_pat_|lpat-|_live_|nature=|=(?<=si\0=)"
_SIGN = re.compile(
    rb"\0(?:e(?:" + _TOKEN + rb"|y(?:-----| ----| bloc|-1)|" + _SOME_KEY + rb")"
    rb"|o(?:" + _PASSWORD + rb"|\0[baprs]-)|" + _PASSWD + rb"|" + _SHAPES + rb")"
).search
_SHAPE_SIGN = re.compile(rb"\0(?:ey(?:-----| ----| bloc|-1)|o\0[baprs]-|" + _SHAPES + rb")").search
_MORE_SIGNS = re.compile(rb"_(?:pass|(?<=npm_))").search
_KEY = re.compile(
    rb"\0(?:e(?:" + _TOKEN + rb"|" + _SOME_KEY + rb")|o" + _PASSWORD + rb"|" + _PASSWD + rb")"
)
# JWTs, keys in base64, binary tags, and escapes in strings, all around one of the letters `@\\!J`.
_RARE_SIGN = re.compile(
    rb"\x01(?:(?<=ey\x01)|(?<=ls0tls1crud\x01)|binary|<ta\0:|\0[4-7]|u(?:0000)?00[4-7]|[ \t]*+[\r\n])"
).search
_JWT_OR_BASE64 = re.compile(rb"J(?:(?<=eyJ)|(?<=LS0tLS1CRUdJ))").search
_BINARY_TAG = re.compile(rb"!(?:binary|<tag:)")
_OWNER = rb"(?:ent|mer|red|\0ie|oo\0|app|ion|in\0|uth|[j\x01]\0t)"
_SECRET_KEY = re.compile(
    rb"secret(?:(?<=" + _OWNER + rb"secret)|(?<=" + _OWNER + rb"[_. -]secret))" + _TAIL
)
_PASS_KEY = re.compile(rb"_pass" + _TAIL)

# Escapes that can spell an ASCII letter, and an escaped line end, inside a double-quoted scalar.
_ESCAPE = re.compile(
    rb"\\(?:x([4-7][0-9a-fA-F])|u00([4-7][0-9a-fA-F])|U000000([4-7][0-9a-fA-F])"
    rb"|[ \t]*+(?:\r\n?|\n)[ \t]*+)"
)


def look(blob: bytes) -> int:
    """What may be in the text: a sum of SECRET, KEY, SHAPE and LOGIN, and 0 if no rule can apply.

    About 3 ns a byte for plain manifests: one translation, two expressions, and substring searches.
    """
    low = blob.translate(_TABLE)
    found = 0
    if _SIGN(low):
        found = KEY | SHAPE if _SHAPE_SIGN(low) else KEY
    if b"secret" in low:
        found |= SECRET
    if _MORE_SIGNS(low):
        found |= KEY | SHAPE
    if b"\1" in low:
        if b"@" in blob and (b"://" in blob or b":\\/\\/" in blob):
            found |= LOGIN
        if _RARE_SIGN(low) and _is_rare(blob):
            found |= SECRET | SHAPE
    return found


def _is_rare(blob: bytes) -> bool:
    if _JWT_OR_BASE64(blob) or may_be_binary(blob):
        return True
    return b"Secret" in unescape(blob)


def may_be_binary(blob: bytes) -> bool:
    """Whether a scalar may be in base64 by its YAML tag, so that `kind` could be written in it."""
    return b"!" in blob and _BINARY_TAG.search(blob) is not None


def key_ends(blob: bytes, found: int = KEY | SECRET) -> Iterator[int]:
    """Positions right behind a word that may end a sensitive key, in no order; the caller looks closer."""
    low = blob.translate(_TABLE)
    for sign, pattern in ((KEY, _KEY), (KEY, _PASS_KEY), (SECRET, _SECRET_KEY)):
        if found & sign:
            for match in pattern.finditer(low):
                yield match.end()


def unescape(blob: bytes) -> bytes:
    """The text with escaped letters spelt out, so that `"\\u0053ecret"` is found as what it means."""
    if b"\\" not in blob or not _ESCAPE.search(blob):
        return blob
    return _ESCAPE.sub(_spell, blob)


def _spell(match: re.Match[bytes]) -> bytes:
    code = match[1] or match[2] or match[3]
    return bytes([int(code, 16)]) if code else b""
