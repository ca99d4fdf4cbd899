"""Tree heads that somebody keeps where the database's owner cannot reach: read from files.

A file may hold a checkpoint (`ledger export`), the line `tree head …` that `ledger verify` prints,
or the `report.json` that a report carries. A folder of exported tiles holds a checkpoint, and the hash
of every event besides, which tells exactly where a log differs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from ledger.errors import UsageError
from ledger.merkle import HASH_SIZE, TILE_WIDTH, TreeHead, tile_path
from ledger.notes import MAX_NOTE, Note, parse_checkpoint, parse_note

CHECKPOINT = "checkpoint"
_LINE = re.compile(r"^tree head +([0-9]{1,18}) ([0-9a-f]{64})$", re.MULTILINE)
_MEANT = "`ledger export --tiles FOLDER` writes FOLDER/checkpoint, which is one."


@dataclass(frozen=True, slots=True)
class Held:
    """A tree head held outside: where it stands, the signed note if it is one, and tiles beside it."""

    name: str
    head: TreeHead
    note: Note | None = None
    tiles: Path | None = None

    def hashes(self, number: int) -> bytes:
        """The hashes of events in one tile that was exported with the head; none where it is not there."""
        if self.tiles is None:
            return b""
        width = min(TILE_WIDTH, self.head.size - number * TILE_WIDTH)
        for wide in dict.fromkeys((width, TILE_WIDTH)):
            try:
                return (self.tiles / tile_path(0, number, wide)).read_bytes()[: width * HASH_SIZE]
            except OSError:
                continue
        return b""


class _Log(msgspec.Struct):
    position: int
    root: str


class _Report(msgspec.Struct):
    log: _Log


def read_held(path: Path) -> Held:
    """The tree head in a file, or in a folder of tiles. Raises UsageError where there is none."""
    file = path / CHECKPOINT if path.is_dir() else path
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_NOTE + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", hint=_MEANT) from error
    held = _read(str(path), data)
    if not held.head.size:
        raise UsageError(
            f"{file} holds the tree head of an empty log, which every log goes on from"
        )
    return replace(held, tiles=path) if path.is_dir() else held


def _read(name: str, data: bytes) -> Held:
    if data.lstrip().startswith(b"{"):
        return Held(name, _of_report(name, data))
    lines = _LINE.findall(data.decode("utf-8", "replace").replace("\r\n", "\n"))
    if len(lines) == 1:
        return Held(name, TreeHead(int(lines[0][0]), bytes.fromhex(lines[0][1])))
    try:
        note = parse_note(data)
        return Held(name, parse_checkpoint(note.text).head, note)
    except UsageError as error:
        raise UsageError(f"{name} holds no tree head: {error.message}", hint=_MEANT) from None


def _of_report(name: str, data: bytes) -> TreeHead:
    try:
        log = msgspec.json.decode(data, type=_Report).log
        root = bytes.fromhex(log.root)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        root, log = b"", _Log(-1, "")
    if len(root) != HASH_SIZE or log.position < 0:
        raise UsageError(f"{name} holds no tree head: it is JSON, but not a report's report.json")
    return TreeHead(log.position, root)
