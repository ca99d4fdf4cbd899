"""Contents by the SHA-256 of their bytes, compressed, each distinct document once.

A file that was cut into several pieces is kept as the list of its pieces' digests; its bytes are
the pieces one after another. So a manifest of fifty documents of which one changed costs one
document and a list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache

import msgspec
import zstandard

from ledger.errors import IntegrityError

PIECE, PIECES = 0, 1
DIGEST_SIZE = 32
MAX_CONTENT = 1 << 30

ReadRow = Callable[[bytes], "tuple[int, bytes] | None"]


class Content(msgspec.Struct, frozen=True, array_like=True):
    """One row of the content table: the digest of the clear bytes, and how they are kept."""

    digest: bytes
    kind: int
    data: bytes


@cache
def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=1, write_checksum=False, write_content_size=True)


@cache
def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor()


def digest_bytes(text: str) -> bytes:
    """The 32 bytes of `sha256:<hex>`."""
    return bytes.fromhex(text.removeprefix("sha256:"))


def digest_text(digest: bytes) -> str:
    """`sha256:<hex>` of 32 bytes."""
    return "sha256:" + digest.hex()


def pack_piece(digest: bytes, data: bytes) -> Content:
    """The row of one piece."""
    return Content(digest, PIECE, _compressor().compress(data))


def pack(data: bytes) -> Content:
    """The row of bytes that are kept whole."""
    return pack_piece(hashlib.sha256(data).digest(), data)


def pack_list(digest: bytes, pieces: Sequence[bytes]) -> Content:
    """The row of a file whose pieces have these digests."""
    return Content(digest, PIECES, b"".join(pieces))


def pieces_of(digest: bytes, read: ReadRow) -> list[bytes]:
    """The digests of the pieces of a content; its own where it was not cut."""
    kind, data = _row(digest, read)
    if kind == PIECE:
        return [digest]
    return [data[start : start + DIGEST_SIZE] for start in range(0, len(data), DIGEST_SIZE)]


def unpack(digest: bytes, read: ReadRow) -> bytes:
    """The bytes of a content. Raises IntegrityError when it or a piece of it is not there."""
    kind, data = _row(digest, read)
    if kind == PIECE:
        return inflate(digest, data)
    return b"".join(_piece(piece, read) for piece in pieces_of(digest, lambda _: (kind, data)))


def _piece(digest: bytes, read: ReadRow) -> bytes:
    kind, data = _row(digest, read)
    if kind != PIECE:
        raise IntegrityError(f"content {digest_text(digest)} should be a piece and is a list")
    return inflate(digest, data)


def inflate(digest: bytes, data: bytes) -> bytes:
    """The clear bytes of a piece's row. Raises IntegrityError when they cannot be read."""
    try:
        return _decompressor().decompress(data, max_output_size=MAX_CONTENT)
    except zstandard.ZstdError as error:
        raise IntegrityError(f"content {digest_text(digest)} cannot be read: {error}") from error


def _row(digest: bytes, read: ReadRow) -> tuple[int, bytes]:
    row = read(digest)
    if row is None:
        raise IntegrityError(
            f"content {digest_text(digest)} is not in the ledger",
            hint="Run `ledger verify` to see whether the database was tampered with.",
        )
    return row
