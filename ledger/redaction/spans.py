"""The one way bytes are replaced: rules say where a secret stands, this puts its fingerprint there."""

from __future__ import annotations

import hmac
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

DOMAIN = b"ledger/redaction/v1\0"
TOKEN = re.compile(rb"hmac-sha256:[0-9a-f]{64}(?![0-9a-f])")


class Edit(NamedTuple):
    """Bytes `start` to `end` hold the secret `value`; its token goes there between `before` and `after`."""

    start: int
    end: int
    value: bytes
    rule: str
    before: bytes = b""
    after: bytes = b""


def fingerprint(key: bytes, value: bytes) -> str:
    """The token of a secret: equal for equal values under one key, and useless for guessing without it.

    The domain keeps it apart from every other use of the same key.
    """
    return "hmac-sha256:" + hmac.digest(key, DOMAIN + value, "sha256").hex()


def is_token(value: bytes) -> bool:
    """Whether this is already a token: those are never hashed again."""
    return TOKEN.fullmatch(value) is not None


def apply(blob: bytes, edits: Iterable[Edit], key: bytes, counts: Counter[str]) -> bytes:
    """The blob with every edit made and counted; the same object when there was nothing to do.

    Of two edits that overlap the union is replaced: too much hidden is right, too little is a bug.
    """
    parts: list[bytes] = []
    done = 0
    for edit in _disjoint(blob, edits):
        token = fingerprint(key, edit.value).encode()
        parts += (blob[done : edit.start], edit.before, token, edit.after)
        counts[edit.rule] += 1
        done = edit.end
    if not parts:
        return blob
    parts.append(blob[done:])
    return b"".join(parts)


def _place(edit: Edit) -> tuple[int, int]:
    return edit.start, -edit.end


def _disjoint(blob: bytes, edits: Iterable[Edit]) -> list[Edit]:
    kept: list[Edit] = []
    for edit in sorted(edits, key=_place):
        if edit.end <= edit.start or not edit.value or is_token(edit.value.strip(b"\"'\\ ")):
            continue
        if kept and edit.start < kept[-1].end:
            last = kept[-1]
            if edit.end > last.end:
                union = blob[last.start : edit.end]
                kept[-1] = Edit(last.start, edit.end, union, last.rule, last.before, edit.after)
            continue
        kept.append(edit)
    return kept
