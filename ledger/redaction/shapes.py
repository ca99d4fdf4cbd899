"""Secrets that are known by their looks: private keys, well-known tokens, credentials in URLs.

Every expression reads a byte a bounded number of times: classes stop where the next start may be.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from ledger.redaction.names import hides
from ledger.redaction.spans import Edit, is_token

_BEGIN = re.compile(rb"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_END = re.compile(rb"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}")
_GOES_ON = re.compile(rb"[ \t]*(?!hmac-sha256:)(?:[\\\r\n]|[A-Za-z0-9+/]|\Z)")
_LAYOUT = re.compile(rb"\s+|\\[nrt]")
_BREAK = rb"(?:\s|\\[nr])++"
_BASE64_KEY = re.compile(
    rb"LS0tLS1CRUdJTi[A-Za-z0-9+/]{16,}+={0,2}(?:" + _BREAK + rb"[A-Za-z0-9+/]{60,}+)*+"
    rb"(?:" + _BREAK + rb"[A-Za-z0-9+/]++={0,2}(?=[\s\"'\\]|\Z))?"
)


def _token(needle: bytes, rest: bytes, inside: bytes = b"A-Za-z0-9_") -> re.Pattern[bytes]:
    """A token that begins with `needle`, not inside a word, so that a hostile run is read once."""
    return re.compile(rb"(" + needle + rb"(?<![" + inside + rb"]" + needle + rb")" + rest + rb")")


_TOKENS = (
    (b"gh", _token(rb"gh[pousr]_", rb"[A-Za-z0-9]{36,}+")),
    (b"github_pat_", _token(rb"github_pat_", rb"[A-Za-z0-9_]{22,}+")),
    (b"glpat-", _token(rb"glpat-", rb"[A-Za-z0-9_-]{20,}+(?:\.[0-9a-z]{2}\.[0-9a-z]{9})?")),
    (b"xox", _token(rb"xox[baprs]-", rb"[A-Za-z0-9-]{10,}+")),
    (b"AIza", _token(rb"AIza", rb"[A-Za-z0-9_-]{35}")),
    (b"k_live_", _token(rb"[rs]k_live_", rb"[A-Za-z0-9]{16,}+")),
    (b"npm_", _token(rb"npm_", rb"[A-Za-z0-9]{36}")),
    (b"AGE-SECRET-KEY-1", _token(rb"AGE-SECRET-KEY-1", rb"[A-Z0-9]{20,}+")),
    (
        b"eyJ",
        _token(
            rb"eyJ",
            rb"[A-Za-z0-9_-]{8,}+\.eyJ[A-Za-z0-9_-]{4,}+\.[A-Za-z0-9_-]{10,}+",
            rb"A-Za-z0-9_-",
        ),
    ),
    (b"Key=", re.compile(rb"(?:Account|SharedAccess)Key=([A-Za-z0-9+/]{20,}+={0,2})")),
    (b"hooks.slack.com/", re.compile(rb"hooks\.slack\.com/[a-z]{1,20}/([A-Za-z0-9/_-]{16,}+)")),
)

_USER = rb":(?:\\?/){2}(?P<user>[^\s/?#\"'<>:@\\]*+)"
_LOGIN = re.compile(_USER + rb"(?::(?P<password>[^\s/?#\"'<>]*))?@(?P<host>[\w.-]*)")
# A password with unescaped `/`, `?` or `#`; not a port and a path with an `@` in it.
_ODD_LOGIN = re.compile(_USER + rb":(?!\d{1,5}[/?#])(?P<password>(?:(?!://)[^\s@\"'<>]){1,256})@")
_SECRET_NAME = (
    rb"(?i:(?:[a-z]{1,12}[_-])?token|sig|(?:x-[a-z]{1,12}-)?signature|api[_-]?key|password"
    rb"|client_secret|secret)=([^\s&#\"'<>\\;]+)"
)
_QUERY = tuple((mark, re.compile(re.escape(mark) + _SECRET_NAME)) for mark in (b"?", b"&"))
_FORGES = re.compile(rb"(?i)github|gitlab|gitea|codeberg")
_NO_PASSWORD = (None, b"", b"x-oauth-basic")
_LOGIN_NAMES = (b"git", b"oauth2", b"x-access-token", b"x-token-auth", b"gitlab-ci-token")


def private_keys(blob: bytes) -> Iterator[Edit]:
    """PEM, OpenSSH, SSH2 and PGP private keys, also inside strings, and PEM keys in base64."""
    if b"PRIVATE KEY" in blob:
        yield from _key_blocks(blob)
    if b"LS0tLS1CRUdJTi" in blob:
        for match in _BASE64_KEY.finditer(blob):
            start = match[0][:80].split()[0].split(b"\\")[0]
            if b"PRIVATE KEY" in binascii.a2b_base64(start[: len(start) // 4 * 4]):
                yield Edit(*match.span(), _LAYOUT.sub(b"", match[0]), "private key")


def _key_blocks(blob: bytes) -> Iterator[Edit]:
    """From header to end. A key that never ends goes to the closing quote of its string, else to the end
    of the text. A header that is only spoken of (no end, and no key material behind it) stays.
    """
    position, ends = 0, True
    while begin := _BEGIN.search(blob, position):
        end = _END.search(blob, begin.end()) if ends else None
        ends = end is not None
        if end:
            position = end.end()
        elif _GOES_ON.match(blob, begin.end()):
            position = _end_of_string(blob, begin)
        else:
            position = begin.end()
            continue
        value = blob[begin.start() : position].rstrip()
        stop = begin.start() + len(value)
        yield Edit(begin.start(), stop, _LAYOUT.sub(b"", value), "private key")


def _end_of_string(blob: bytes, begin: re.Match[bytes]) -> int:
    quote = blob[begin.start() - 1 : begin.start()] if begin.start() else b""
    close = blob.find(quote, begin.end()) if quote in (b'"', b"'", b"`") else -1
    if close < 0:
        return len(blob)
    return begin.end() + len(blob[begin.end() : close].rstrip(b"\\"))


def known_tokens(blob: bytes) -> Iterator[Edit]:
    """Tokens that their issuers made recognisable."""
    for needle, pattern in _TOKENS:
        if needle in blob:
            for match in pattern.finditer(blob):
                yield Edit(*match.span(1), match[1], "known token")


def url_credentials(blob: bytes) -> Iterator[Edit]:
    """Passwords and tokens before the host of a URL and in its query."""
    if b"@" in blob:
        for match in _LOGIN.finditer(blob):
            password = match["password"]
            if is_token(match["user"] + b":" + (password or b"")):
                continue
            if password not in _NO_PASSWORD:
                if hides(password, strong=True):
                    yield Edit(*match.span("password"), password, "url credential")
            elif _is_token_login(match["user"], match["host"], password):
                yield Edit(*match.span("user"), match["user"], "url credential")
        for match in _ODD_LOGIN.finditer(blob):
            password = match["password"]
            if hides(password, strong=True) and not is_token(match["user"] + b":" + password):
                yield Edit(*match.span("password"), password, "url credential")
    for mark, pattern in _QUERY:
        for match in pattern.finditer(blob) if mark in blob else ():
            if hides(match[1], strong=True):
                yield Edit(*match.span(1), match[1], "url credential")


def _is_token_login(user: bytes, host: bytes, password: bytes | None) -> bool:
    if user in _LOGIN_NAMES or not hides(user, strong=False):
        return False
    if password is not None or _FORGES.search(host):
        return True
    return len(user) >= 20 and any(byte in b"0123456789" for byte in user)
