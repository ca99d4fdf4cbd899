"""Writes the log as files that others check without this program: C2SP tlog-tiles, and proofs.

A folder has `checkpoint`, `tile/LEVEL/NUMBER` and `tile/entries/NUMBER`, the last of each row partial
(`.p/WIDTH`). Every file but the checkpoint is written once and holds the same for ever. The checkpoint is
replaced last, so that a reader never sees a tree head without its tiles.

Nothing of the tree is taken from the database: new entries are hashed again on top of the tiles that stand
in the folder. So the folder is a witness: a log that does not go on from its checkpoint is not exported.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ledger.anchors import CHECKPOINT, Held, read_held
from ledger.codec import MAX_LEAF
from ledger.errors import IntegrityError, StoreError, UsageError
from ledger.merkle import (
    ENTRIES,
    HASH_SIZE,
    TILE_HEIGHT,
    TILE_WIDTH,
    TileKey,
    TreeHead,
    consistency_proof,
    edge_tiles,
    extend,
    inclusion_proof,
    leaf_hash,
    root_from_tiles,
    tile_path,
)
from ledger.notes import (
    Checkpoint,
    Note,
    consistency_note,
    inclusion_note,
    parse_checkpoint,
    parse_note,
)
from ledger.signing import SigningKey, is_signed_by
from ledger.store import Store

STEP = 16  # bundles whose hashes are joined at a time


@dataclass(frozen=True, slots=True)
class Exported:
    """The checkpoint in the folder, how many files are new, and the size that stood there before."""

    note: Note
    head: TreeHead
    files: int
    before: int


def checkpoint_note(origin: str, head: TreeHead, key: SigningKey | None) -> Note:
    """A tree head as a note: signed under the key's name, or unsigned under `origin`."""
    text = str(Checkpoint(key.public.name if key else origin, head))
    return key.sign(text) if key else Note(text)


def export_tiles(store: Store, folder: Path, origin: str, key: SigningKey | None) -> Exported:
    """Brings a folder up to the log, which should be read in one snapshot. The same log gives the same bytes.

    Costs the entries since the last export and the tiles that they change. Raises IntegrityError where the
    log does not go on from what the folder holds, or a file there is not what was exported; UsageError
    where the folder belongs to a log of another name; StoreError where it cannot be written.
    """
    head = store.head()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = _standing(folder, key)
        if before.head.size > head.size:
            raise _forked(folder, before.head, f"the log has only {head.size}")
        name = key.public.name if key else origin
        if before.head.size and before.origin != name:
            raise UsageError(
                f"{folder} holds the log {before.origin}, and this one is {name}",
                hint="Export to another folder, or with the key that it was exported with.",
            )
        writer = _Writer(store, folder, before.head)
        computed = writer.write()
        if computed != head:
            raise IntegrityError(
                f"the events give the root {computed.root.hex()} at size {computed.size}, the head of the "
                f"log says {head.root.hex()} at size {head.size}",
                hint="No checkpoint was written. Run `ledger verify`.",
            )
        note = checkpoint_note(origin, head, key)
        _replace(folder / CHECKPOINT, str(note).encode())
    except OSError as error:
        raise StoreError(
            f"{error.filename or folder} cannot be written: {error.strerror}"
        ) from error
    return Exported(note, head, writer.files, before.head.size)


def inclusion(store: Store, position: int, origin: str, key: SigningKey | None) -> str:
    """The proof that an event stands in the log of now, with its bytes and a checkpoint."""
    head = store.head()
    proof = inclusion_proof(position, head.size, store.tile)
    [entry] = store.connection.rows("select leaf from log_event where position = ?", [position])
    return inclusion_note(position, bytes(entry[0]), proof, checkpoint_note(origin, head, key))


def consistency(store: Store, old: Path, new: Path) -> str:
    """The proof that the log of one checkpoint goes on from that of another, with the newer one.

    Raises IntegrityError where the log of now has another root at one of the sizes.
    """
    first, second = _of_this_log(store, old), _of_this_log(store, new)
    if second.note is None:
        raise UsageError(f"{new} holds a tree head, but no checkpoint")
    proof = consistency_proof(first.head.size, second.head.size, store.tile)
    return consistency_note(first.head.size, proof, second.note)


def _of_this_log(store: Store, path: Path) -> Held:
    held = read_held(path)
    size = held.head.size
    if size > store.head().size:
        raise _forked(path, held.head, f"the log has only {store.head().size}")
    if (root := root_from_tiles(size, store.tile)) != held.head.root:
        raise _forked(path, held.head, f"at that size the log has the root {root.hex()}")
    return held


def _standing(folder: Path, key: SigningKey | None) -> Checkpoint:
    """The checkpoint that stands in a folder; an empty one where there is none."""
    file = folder / CHECKPOINT
    if not file.exists():
        return Checkpoint("", TreeHead(0, b""))
    try:
        note = parse_note(file.read_bytes())
        found = parse_checkpoint(note.text)
    except UsageError as error:
        raise UsageError(f"{file}: {error.message}", hint="Export to another folder.") from None
    if key:
        is_signed_by(note, key.public)
    return found


def _forked(path: Path, head: TreeHead, why: str) -> IntegrityError:
    return IntegrityError(
        f"{path} holds the tree head of a log of {head.size} events with the root {head.root.hex()}; {why}",
        hint=f"The log was cut back or rewritten, or is another. Run `ledger verify --against {path}`.",
    )


class _Writer:
    """Writes what a folder lacks, from the last full bundle of its checkpoint on."""

    def __init__(self, store: Store, folder: Path, before: TreeHead) -> None:
        self._store = store
        self._folder = folder
        self._before = before
        self._size = before.size - before.size % TILE_WIDTH
        self._edge: dict[TileKey, bytes] = {
            (level, number): self._read(tile_path(level, number, width))
            for level, number, width in edge_tiles(self._size)
        }
        self.files = 0

    def write(self) -> TreeHead:
        """Writes bundles and tiles; gives the head that they lead to."""
        if self._before.size and self._size == self._before.size:
            self._check([])
        leaves: list[bytes] = []
        for bundle in self._bundles():
            hashes = [leaf_hash(entry) for entry in bundle]
            if self._size < self._before.size:  # which ends within this bundle, the first
                self._check(hashes[: self._before.size - self._size])
            self._write_bundle(self._size + len(leaves), bundle)
            leaves += hashes
            if len(leaves) >= STEP * TILE_WIDTH or self._size < self._before.size:
                self._join(leaves)
                leaves = []
        head = self._join(leaves)
        for level, number, width in edge_tiles(self._size):
            self._write(level, number, width, self._edge[level, number])
        return head

    def _check(self, leaves: list[bytes]) -> None:
        """The log up to the folder's checkpoint is the one that was exported."""
        head = extend(self._size, self._edge, leaves).head
        if head != self._before:
            raise _forked(
                self._folder, self._before, f"at that size the log has the root {head.root.hex()}"
            )

    def _bundles(self) -> Iterator[list[bytes]]:
        bundle: list[bytes] = []
        for row in self._store.leaves(self._size):
            bundle.append(bytes(row[-1]))
            if len(bundle) == TILE_WIDTH:
                yield bundle
                bundle = []
        if bundle:
            yield bundle

    def _write_bundle(self, start: int, bundle: list[bytes]) -> None:
        data = bytearray()
        for position, entry in enumerate(bundle, start):
            if len(entry) > MAX_LEAF:
                raise IntegrityError(
                    f"position {position} has {len(entry)} bytes, and no event has more than {MAX_LEAF}",
                    hint="Run `ledger verify`.",
                )
            data += len(entry).to_bytes(2, "big") + entry
        self._write(ENTRIES, start // TILE_WIDTH, len(bundle), bytes(data))

    def _join(self, leaves: list[bytes]) -> TreeHead:
        extension = extend(self._size, self._edge, leaves)
        for (level, number), data in extension.tiles.items():
            if len(data) == TILE_WIDTH * HASH_SIZE:
                self._write(level, number, TILE_WIDTH, data)
        self._size = extension.head.size
        known = self._edge | extension.tiles
        self._edge = {
            (level, number): known[level, number] for level, number, _ in edge_tiles(self._size)
        }
        return extension.head

    def _read(self, path: str) -> bytes:
        try:
            return (self._folder / path).read_bytes()
        except FileNotFoundError:
            raise IntegrityError(
                f"{self._folder / path} is missing, and the checkpoint there needs it",
                hint="Restore the folder from its copy, or export to another.",
            ) from None

    def _write(self, level: int, number: int, width: int, data: bytes) -> None:
        """Writes a file that is not there. What an export left that did not end is written anew."""
        file = self._folder / tile_path(level, number, width)
        if file.exists():
            if file.read_bytes() == data:
                return
            end = number * TILE_WIDTH + width << TILE_HEIGHT * max(level, 0)
            if end <= self._before.size:
                raise IntegrityError(
                    f"{file} is not what the log gives",
                    hint="It was damaged, or is of another log. Restore it, or export to another folder.",
                )
        file.parent.mkdir(parents=True, exist_ok=True)
        _replace(file, data)
        self.files += 1


def _replace(file: Path, data: bytes) -> None:
    """Writes a file whole or not at all, also when the power fails."""
    handle, name = tempfile.mkstemp(prefix=".new-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(handle, 0o644)
            os.fsync(handle)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
