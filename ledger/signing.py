"""The key that signs tree heads: an Ed25519 key in a file that only its owner reads, never in a database.

The file holds one line, `PRIVATE+KEY+NAME+ID+BASE64`, as Go's note package writes it. Whoever has it can
sign any tree head; that a log was not written anew shows only by heads that others hold.
"""

from __future__ import annotations

import os
import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

from ledger.errors import IntegrityError, UsageError
from ledger.notes import ED25519, Note, PublicKey, Signature, check_key_name, decoded

_WORDS = "PRIVATE+KEY+"
_SEED_SIZE = 32


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and its public part."""

    public: PublicKey
    seed: bytes = field(repr=False)

    def sign(self, text: str) -> Note:
        """The text as a note that this key signed. The same text gives the same bytes."""
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 (heavy)

        value = ed25519.Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        return Note(text, (Signature(self.public.name, self.public.key_id, value),))


def _from_seed(name: str, seed: bytes) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 (heavy)

    private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    return SigningKey(PublicKey(name, private.public_key().public_bytes_raw()), seed)


def new_key(path: Path, name: str) -> SigningKey:
    """Makes a key in a new file that only its owner can read. UsageError where one stands already."""
    check_key_name(name)
    key = _from_seed(name, secrets.token_bytes(_SEED_SIZE))
    encoded = b64encode(bytes([ED25519]) + key.seed).decode()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(
            f"{path} is there already",
            hint="What it signed is checked with it. Move it away to begin with a new one.",
        ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        os.fchmod(handle, 0o600)  # whatever the umask is
        file.write(f"{_WORDS}{name}+{key.public.key_id.hex()}+{encoded}\n")
    return key


def read_key(path: Path) -> SigningKey:
    """The key in a file. Raises UsageError where there is none, or others may read it."""
    try:
        if path.stat().st_mode & 0o077:
            raise UsageError(
                f"others may read the signing key {path}", hint=f"Run chmod 600 {path}."
            )
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(
            f"the signing key {path} cannot be read: {reason}",
            hint="`ledger key new NAME` makes one.",
        ) from error
    words, _, rest = text.partition(_WORDS)
    name, _, rest = rest.partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = decoded(encoded)
    if not words and len(raw) == 1 + _SEED_SIZE and raw[0] == ED25519:
        check_key_name(name)
        key = _from_seed(name, raw[1:])
        if key.public.key_id.hex() == key_id:
            return key
    raise UsageError(
        f"{path} holds no signing key", hint="Restore it from your backup, or move it away."
    )


def is_signed_by(note: Note, key: PublicKey) -> bool:
    """Whether a note has a signature by the key. Raises IntegrityError where it claims so falsely."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 (heavy)
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415

    claimed = key.signatures(note)
    try:
        for one in claimed:
            ed25519.Ed25519PublicKey.from_public_bytes(key.key).verify(
                one.value, note.text.encode()
            )
    except (InvalidSignature, ValueError):
        raise IntegrityError(
            f"the signature of {key.name} does not fit what it stands under",
            hint="The text or the signature was changed, or another key made it.",
        ) from None
    return bool(claimed)
