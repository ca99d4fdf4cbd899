"""The cheap first look: may this text hold a secret at all, and where could a sensitive key stand?

A substring search costs about half a nanosecond a byte, and there are some thirty things to look for.
So the text is lowered once and its rarer letters (k, w, x, z, g) become one mark byte: nearly every
signature holds one of them, and one expression that begins with a literal mark hops from mark to mark
and finds them all. Marks keep the length, so positions in the lowered text are positions in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator


def _table() -> bytes:
    table = bytearray(bytes(range(256)).lower())
    for code in b"kKwWxXzZgG":
        table[code] = 0
    for code in b"@\\!J":
        table[code] = 1
    return bytes(table)


_TABLE = _table()

# What follows a key: a separator, or the key `value` (in `name: PASSWORD`, `value: x`).
_TAIL = rb"""(?=[\x01"']{0,8}[ \t]*+(?:[:=>]|,?\s{0,99}["'\x01]{0,8}value))"""
_WORD = rb"(?:api|ess|ret|ate|unt|ion|in\0|ter)"
_TOKEN = rb"n(?<=to\0en)" + _TAIL
_PASSWORD = rb"rd(?<=pass\0ord)" + _TAIL
_PASSWD = rb"d(?:(?<=ass\0d)|(?<=p\0d))" + _TAIL
_SOME_KEY = rb"y(?:(?<=" + _WORD + rb"\0ey)|(?<=" + _WORD + rb"[_. -]\0ey))" + _TAIL
# Besides keys: headers of private keys, age keys, Slack tokens and hooks, Google, GitHub, GitLab,
# Stripe, `signature=`, `sig=`. Alternatives begin with different letters, so that most marks fail fast.
_SIGN = re.compile(
    rb"\0(?:e(?:" + _TOKEN + rb"|y(?:-----| ----| bloc|-1)|" + _SOME_KEY + rb")"
    rb"|o(?:" + _PASSWORD + rb"|\0[baprs]-)|" + _PASSWD + rb"|s\.slac\0|a(?<=ai\0a)"
    rb"|h[pousr]_|ithub_pat_|lpat-|_live_|nature=|=(?<=si\0=))"
).search
_MORE_SIGNS = re.compile(rb"_(?:pass|(?<=npm_))").search
_KEY = re.compile(
    rb"\0(?:e(?:" + _TOKEN + rb"|" + _SOME_KEY + rb")|o" + _PASSWORD + rb"|" + _PASSWD + rb")"
)
# JWTs, keys in base64, binary tags, and escapes in strings, all around one of the letters `@\\!J`.
_RARE_SIGN = re.compile(
    rb"\x01(?:(?<=ey\x01)|(?<=ls0tls1crud\x01)|binary|<ta\0:|\0[4-7]|u(?:0000)?00[4-7]|[ \t]*+[\r\n])"
).search
_JWT_OR_BASE64 = re.compile(rb"J(?:(?<=eyJ)|(?<=LS0tLS1CRUdJ))").search
_BINARY_TAG = re.compile(rb"!(?:binary|<tag:)").search
_OTHER_KEYS = tuple(re.compile(stem + _TAIL) for stem in (rb"secret", rb"_pass"))

# Escapes that can spell an ASCII letter, and an escaped line end, inside a double-quoted scalar.
_ESCAPE = re.compile(
    rb"\\(?:x([4-7][0-9a-fA-F])|u00([4-7][0-9a-fA-F])|U000000([4-7][0-9a-fA-F])"
    rb"|[ \t]*+(?:\r\n?|\n)[ \t]*+)"
)


def look(blob: bytes) -> bool:
    """Whether any rule may apply; the caller asks the rules only then.

    About 3 ns a byte for plain manifests: one translation, two expressions, and substring searches.
    """
    low = blob.translate(_TABLE)
    if _SIGN(low) or b"secret" in low or _MORE_SIGNS(low):
        return True
    if b"\1" not in low:
        return False
    if b"@" in blob and (b"://" in blob or b":\\/\\/" in blob):
        return True
    return _RARE_SIGN(low) is not None and _is_rare(blob)


def _is_rare(blob: bytes) -> bool:
    if _JWT_OR_BASE64(blob) or _BINARY_TAG(blob):
        return True
    return b"\\" in blob and b"Secret" in unescape(blob)


def key_ends(blob: bytes) -> Iterator[int]:
    """Positions right after a word that may end a sensitive key, in no order; the caller looks closer."""
    low = blob.translate(_TABLE)
    for stem in (_KEY, *_OTHER_KEYS):
        for match in stem.finditer(low):
            yield match.end()


def unescape(blob: bytes) -> bytes:
    """The text with escaped letters spelt out, so that `"\\u0053ecret"` is found as what it means."""
    return _ESCAPE.sub(_spell, blob)


def _spell(match: re.Match[bytes]) -> bytes:
    code = match[1] or match[2] or match[3]
    return bytes([int(code, 16)]) if code else b""
