"""Signed notes and checkpoints: the text in which C2SP writes a tree head and who signed it.

A note (https://c2sp.org/signed-note) is text that ends in a line feed, an empty line, and signature
lines: `— NAME BASE64`, where the base64 holds a key id of four bytes and the signature. A checkpoint
(https://c2sp.org/tlog-checkpoint) is a note whose text is three lines: the log's name (its origin),
its size, its root in base64. A public key is written `NAME+ID+BASE64`.

One thing has one spelling here: other base64, leading zeros and further lines are refused. A
checkpoint without signatures is its three lines. Nothing here signs or checks a signature.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.errors import UsageError
from ledger.merkle import HASH_SIZE, TreeHead

ED25519: Final = 1  # what C2SP calls this kind of signature
MAX_NOTE: Final = 1_000_000
MAX_SIGNATURES: Final = 100
PROOF: Final = "c2sp.org/tlog-proof@v1"
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: whose it claims to be, the key's id (4 bytes), and the signature."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"— {self.name} {b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text, which ends in a line feed, and its signatures."""

    text: str
    signatures: tuple[Signature, ...] = ()

    def __str__(self) -> str:
        signed = "".join(map(str, self.signatures))
        return f"{self.text}\n{signed}" if signed else self.text


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 key, 32 bytes, and the name that it signs under."""

    name: str
    key: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that signature lines name the key by."""
        return sha256(f"{self.name}\n".encode() + bytes([ED25519]) + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64encode(bytes([ED25519]) + self.key).decode()}"

    def signatures(self, note: Note) -> list[Signature]:
        """Those of a note that claim to be by this key."""
        wanted = (self.name, self.key_id)
        return [one for one in note.signatures if (one.name, one.key_id) == wanted]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree head of the log with a name."""

    origin: str
    head: TreeHead

    def __str__(self) -> str:
        return f"{self.origin}\n{self.head.size}\n{b64encode(self.head.root).decode()}\n"


def check_key_name(name: str) -> None:
    """Raises UsageError unless a key may have the name, and a log with it."""
    if not 0 < len(name) <= 255 or re.search(r"[\s+]", name) or not name.isprintable():
        raise UsageError(
            f"{name!r} cannot be the name of a key",
            hint="Take an address without its scheme, such as ledger.example.com/infra.",
        )


def parse_note(data: bytes) -> Note:
    """Reads a note; one without an empty line has no signatures. Raises UsageError for other bytes."""
    try:
        text = data.decode() if len(data) <= MAX_NOTE else ""
    except UnicodeDecodeError:
        text = ""
    if not text.endswith("\n") or any(one < " " and one != "\n" for one in text):
        raise UsageError("it is no note: no short UTF-8 text of whole lines")
    body, separator, signed = text.rpartition("\n\n")
    if not separator:
        return Note(text)
    lines = signed.split("\n")[:-1]
    if not 0 < len(lines) <= MAX_SIGNATURES:
        raise UsageError("it is no signed note: no signatures stand behind its empty line")
    return Note(body + "\n", tuple(map(_signature, lines)))


def _signature(line: str) -> Signature:
    dash, name, value, *rest = [*line.split(" "), "", ""]
    raw = decoded(value)
    if dash != "—" or any(rest) or not name or "+" in name or len(raw) < 5:
        raise UsageError(f"it is no signed note: no signature is {line[:100]!r}")
    return Signature(name, raw[:4], raw[4:])


def parse_checkpoint(text: str) -> Checkpoint:
    """Reads the text of a note as a checkpoint. Raises UsageError for any other."""
    lines = text.split("\n")
    if len(lines) == 4 and lines[0] and _SIZE.fullmatch(lines[1]) and not lines[3]:
        root = decoded(lines[2])
        if len(root) == HASH_SIZE:
            return Checkpoint(lines[0], TreeHead(int(lines[1]), root))
    raise UsageError("it is no checkpoint: not three lines of name, size and root")


def parse_public_key(text: str) -> PublicKey:
    """Reads `NAME+ID+BASE64`. Raises UsageError for what is no Ed25519 key."""
    name, _, rest = text.strip().partition("+")
    _, _, encoded = rest.partition("+")
    raw = decoded(encoded)
    check_key_name(name)
    if len(raw) == 1 + HASH_SIZE and raw[0] == ED25519:
        key = PublicKey(name, raw[1:])
        if str(key) == text.strip():
            return key
    raise UsageError(
        f"{text.strip()[:200]!r} is no public key that signs tree heads",
        hint="`ledger key show` prints one.",
    )


def inclusion_note(position: int, entry: bytes, proof: Iterable[bytes], checkpoint: Note) -> str:
    """A proof that an entry stands in a log, with the entry: C2SP's tlog-proof@v1."""
    lines = [PROOF, f"extra {b64encode(entry).decode()}", f"index {position}", *_lines(proof)]
    return "\n".join(lines) + f"\n\n{checkpoint}"


def consistency_note(old: int, proof: Iterable[bytes], checkpoint: Note) -> str:
    """A proof that a log goes on from the one of size `old`: what C2SP sends to a witness."""
    return "\n".join([f"old {old}", *_lines(proof)]) + f"\n\n{checkpoint}"


def _lines(proof: Iterable[bytes]) -> list[str]:
    return [b64encode(one).decode() for one in proof]


def decoded(text: str) -> bytes:
    """The bytes of base64 in its one spelling; none for anything else."""
    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        return b""
    return raw if b64encode(raw).decode() == text else b""
