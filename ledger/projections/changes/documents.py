"""Which documents stand in a file, and which of them are known to be unchanged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from ledger.events import FileSide
from ledger.projections import Context, column, key_text
from ledger.projections.changes.rows import Address, Found, ResourceRow
from ledger.resources import Value

LINK = "120000"


def documents(
    path: str, side: FileSide | None, present: dict[Address, ResourceRow], context: Context
) -> Iterable[Found]:
    """The documents of a file, but for those that are known to stand unchanged, which leave `present`."""
    if side is None:
        return ()
    if side.content or side.mode == LINK:
        return (_opaque(path, side, context),)
    pieces = context.pieces(side.digest)
    if len(pieces) > 1 and present:
        changed = _changed_documents(path, pieces, present, context)
        if changed is not None:
            return changed
    return _numbered(path, pieces, context)


def _changed_documents(
    path: str, pieces: list[bytes], present: dict[Address, ResourceRow], context: Context
) -> list[Found] | None:
    """As `documents`, parsing only new pieces; None where equal names need to be counted."""
    kept: dict[bytes, list[Address]] = {}
    for address, row in present.items():
        if row.digest is not None:
            kept.setdefault(row.digest, []).append(address)
    still = {piece for piece in pieces if piece in kept}
    found = list(_numbered(path, [piece for piece in pieces if piece not in still], context))
    unchanged = [address for piece in still for address in kept[piece]]
    names = {one.address for one in found}
    counted = any(address[4] for address in (*present, *names))
    if counted or len(set(pieces)) < len(pieces) or names.intersection(unchanged):
        return None
    for address in unchanged:
        del present[address]
    return found


def _numbered(path: str, pieces: Iterable[bytes], context: Context) -> Iterator[Found]:
    """The documents of pieces; those of one name in one file are told apart by their order."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for piece in pieces:
        for item, one in enumerate(context.shapes(path, piece)):
            address = (
                key_text(one.api_group),
                key_text(one.kind),
                key_text(one.namespace),
                key_text(one.name or path),
            )
            ordinal = counts[address]
            counts[address] += 1
            warnings = column(one.warnings)
            yield Found((*address, ordinal), piece, item, None, column(one.unparsed), warnings)


_OPAQUE_KINDS = {
    "submodule": "Submodule",
    "binary": "Binary",
    "too_large": "Large",
    "missing": "Missing",
}


def _opaque(path: str, side: FileSide, context: Context) -> Found:
    """A file whose content is not kept, or a link: it still has a history of what it was."""
    if side.mode == LINK and side.digest and not side.content:
        target = context.content(bytes.fromhex(side.digest[7:])).decode("utf-8", "replace")
        body: Value = {"target": target}
        kind = "Symlink"
    else:
        body = {"content": side.digest or side.hmac or side.id}
        kind = _OPAQUE_KINDS.get(side.content, "Unread")
    text = msgspec.json.encode(body, order="sorted").decode()
    reason = "" if kind in ("Symlink", "Submodule") else side.content
    return Found(("", kind, "", path, 0), None, 0, text, reason, "")
