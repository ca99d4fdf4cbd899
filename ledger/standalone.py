"""Checks exported logs and proofs with nothing but Python: it imports no part of ledger, and trusts none.

    python standalone.py log FOLDER [CHECKPOINT...]    every entry and tile; every checkpoint is of this log
    python standalone.py consistency OLD PROOF         PROOF's checkpoint goes on from the checkpoint OLD
    python standalone.py inclusion PROOF               the event in PROOF stands in the log of its checkpoint

With --key NAME+ID+KEY every checkpoint must be signed by that key. Without it a signature says nothing.
`log --hashes-only` takes a folder without entries. Ends with 0 if all is well, else with 1 and the reason.

The file can be copied, read and run by itself, with Python 3.10 or newer. It holds RFC 6962 (the tree),
RFC 8032 (Ed25519, checking only) and C2SP's tlog-tiles, tlog-checkpoint, signed-note and tlog-proof.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from pathlib import Path

WIDTH = 256
USAGE = (__doc__ or "").split("\n\n")[1]


class Wrong(Exception):  # noqa: N818 (it never leaves this file)
    """What is wrong."""


def require(fact: bool, what: str) -> None:
    if not fact:
        raise Wrong(what)


# -- the tree ------------------------------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """The rows of hashes of which tiles are cut: row 0 has the leaves', row l one of each 256**l leaves."""

    def __init__(self) -> None:
        self.rows: list[list[bytes]] = [[]]

    @property
    def size(self) -> int:
        return len(self.rows[0])

    def add(self, leaf: bytes) -> None:
        """Adds a leaf, and above it what it fills."""
        self.rows[0].append(leaf)
        level = 0
        while len(self.rows[level]) % WIDTH == 0:
            if level + 1 == len(self.rows):
                self.rows.append([])
            self.rows[level + 1].append(root_of(self.rows[level][-WIDTH:]))
            level += 1

    def root(self) -> bytes:
        """The root of all leaves so far."""
        peaks = [row[len(row) - len(row) % WIDTH :] for row in self.rows]
        right = b""
        for row in peaks:
            right = joined(row, right)
        return right or hashlib.sha256().digest()


def root_of(row: list[bytes]) -> bytes:
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def joined(row: list[bytes], right: bytes) -> bytes:
    """The root of a row, which is shorter than a tile, with what lies to the right of it."""
    while row:
        size = len(row) & -len(row)
        peak = root_of(row[-size:])
        right = node_hash(peak, right) if right else peak
        row = row[:-size]
    return right


def climb(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """RFC 9162, 2.1.3.2: the root that an inclusion proof leads to."""
    require(0 <= index < size, "the log has no such position")
    require({len(one) for one in (leaf, *proof)} == {32}, "a hash has not 32 bytes")
    last, node = size - 1, leaf
    for one in proof:
        require(last > 0, "the proof is too long")
        if index & 1 or index == last:
            node = node_hash(one, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, one)
        index, last = index >> 1, last >> 1
    require(last == 0, "the proof is too short")
    return node


def extends(old: int, old_root: bytes, new: int, proof: list[bytes]) -> bytes:
    """RFC 9162, 2.1.4.2: the root of size `new` that a proof leads to, if it begins with the old log."""
    require(
        0 < old <= new, "only a log that is as long or longer can go on from one that is not empty"
    )
    require({len(one) for one in (old_root, *proof)} == {32}, "a hash has not 32 bytes")
    if old == new:
        require(not proof, "the proof is too long")
        return old_root
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    require(bool(path), "the proof is too short")
    index, last = old - 1, new - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    before = after = path[0]
    for one in path[1:]:
        require(last > 0, "the proof is too long")
        if index & 1 or index == last:
            before, after = node_hash(one, before), node_hash(one, after)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            after = node_hash(after, one)
        index, last = index >> 1, last >> 1
    require(last == 0, "the proof is too short")
    require(before == old_root, "the proof does not begin with the old log")
    return after


# -- notes ---------------------------------------------------------------------------------------


def decoded(text: str) -> bytes:
    """Base64 in its one spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise Wrong(f"no base64: {text[:80]!r}") from None
    require(base64.b64encode(raw).decode() == text, f"no base64: {text[:80]!r}")
    return raw


def utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Wrong("it is no UTF-8 text") from None


class Checkpoint:
    """A tree head as text, checked against the key if one is given."""

    def __init__(self, text: str, key: str) -> None:
        body, signed = text, ""
        if "\n\n" in text:
            body, _, signed = text.rpartition("\n\n")
            body += "\n"
            require(signed.endswith("\n"), "the signatures do not end in a line feed")
        lines = body.split("\n")
        require(len(lines) == 4 and lines[3] == "" and lines[0] != "", "it is no checkpoint")
        require(
            re.fullmatch("0|[1-9][0-9]{0,18}", lines[1], re.ASCII) is not None, "it has no size"
        )
        self.origin, self.size, self.root = lines[0], int(lines[1]), decoded(lines[2])
        require(len(self.root) == 32, "the root has not 32 bytes")
        signatures = [signature(line) for line in signed.split("\n")[:-1]]
        require(not key or signed_by(key, body, signatures), "the key has not signed it")

    def __str__(self) -> str:
        return f"{self.origin}, size {self.size}, root {self.root.hex()}"


def signature(line: str) -> tuple[str, bytes]:
    match = re.fullmatch("— ([^ +]+) ([^ ]+)", line)
    if match is None:
        raise Wrong(f"no signature: {line[:80]!r}")
    return match[1], decoded(match[2])


def signed_by(key: str, text: str, signatures: list[tuple[str, bytes]]) -> bool:
    """Whether the key of a text such as NAME+ID+KEY signed; a false signature is an error."""
    name, identity, encoded = [*key.split("+", 2), "", ""][:3]
    raw = decoded(encoded)
    wanted = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    require(
        len(raw) == 33 and raw[0] == 1 and identity == wanted.hex(),
        "--key is no Ed25519 key NAME+ID+KEY",
    )
    mine = [value[4:] for signer, value in signatures if (signer, value[:4]) == (name, wanted)]
    for value in mine:
        require(ed25519(raw[1:], text.encode(), value), "the signature is false")
    return bool(mine)


# -- Ed25519 (RFC 8032, 5.1.7, without cofactor; nothing here is secret, so no step need be constant) -----

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int, int, int]  # x, y, z, t with x = X/Z, y = Y/Z, x*y = T/Z


def plus(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number: int, p: Point) -> Point:
    total: Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = plus(total, p)
        p, number = plus(p, p), number >> 1
    return total


def point(data: bytes) -> Point | None:
    """The point of its 32 bytes. A key may be written in a way that is not the shortest, as in OpenSSL."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, (y & (1 << 255) - 1) % P
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    if x & 1 != sign:
        x = -x % P
    return (x, y, 1, x * y % P)


def packed(p: Point) -> bytes:
    inverse = pow(p[2], P - 2, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519(key: bytes, message: bytes, value: bytes) -> bool:
    """Whether a signature is of a key (32 bytes) over a message: as OpenSSL and Go judge it."""
    public = point(key) if len(key) == 32 else None
    scalar = int.from_bytes(value[32:], "little")
    if public is None or BASE is None or len(value) != 64 or scalar >= ORDER:
        return False
    digest = hashlib.sha512(value[:32] + key + message).digest()
    factor = int.from_bytes(digest, "little") % ORDER
    minus = (-public[0] % P, public[1], public[2], -public[3] % P)
    return packed(plus(times(scalar, BASE), times(factor, minus))) == value[:32]


# -- a folder of tiles ---------------------------------------------------------------------------


def tile_path(level: str, number: int, width: int) -> str:
    path = f"{number % 1000:03}"
    while number := number // 1000:
        path = f"x{number % 1000:03}/{path}"
    return f"tile/{level}/{path}" + (f".p/{width}" if width < WIDTH else "")


def read(folder: Path, level: str, number: int, width: int) -> bytes:
    """A tile or bundle of which `width` are needed: as wide, or whole where the partial one is gone."""
    for wide in dict.fromkeys((width, WIDTH)):
        file = folder / tile_path(level, number, wide)
        if file.is_file():
            return file.read_bytes()
    raise Wrong(f"{tile_path(level, number, width)} is missing")


def entries_of(data: bytes, path: str) -> list[bytes]:
    found = []
    while data:
        length = int.from_bytes(data[:2], "big")
        require(len(data) >= 2 + length, f"{path} ends within an entry")
        found.append(data[2 : 2 + length])
        data = data[2 + length :]
    return found


def check_log(folder: Path, checkpoints: list[Checkpoint], hashes_only: bool) -> Tree:
    """Builds the tree again from what the folder holds, and compares every checkpoint with it."""
    size = max(one.size for one in checkpoints)
    tree = Tree()
    wanted = sorted(checkpoints, key=lambda one: one.size)
    for number in range(-(-size // WIDTH) or 1):
        width = min(WIDTH, size - number * WIDTH)
        if width and hashes_only:
            row = read(folder, "0", number, width)
            leaves = [row[at : at + 32] for at in range(0, 32 * width, 32)]
            require(len(leaves[-1]) == 32, f"{tile_path('0', number, width)} is too short")
        elif width:
            path = tile_path("entries", number, width)
            bundle = entries_of(read(folder, "entries", number, width), path)
            require(len(bundle) >= width, f"{path} is too short")
            leaves = [leaf_hash(entry) for entry in bundle[:width]]
        else:
            leaves = []
        for leaf in [b"", *leaves]:
            if leaf:
                tree.add(leaf)
            while wanted and wanted[0].size == tree.size:
                one = wanted.pop(0)
                require(one.root == tree.root(), f"the log is not that of the checkpoint {one}")
    return tree


def check_tiles(folder: Path, tree: Tree, hashes_only: bool) -> int:
    """Compares every tile and bundle that the log of this size has, of whatever width, with the tree."""
    count = 0
    for level, row in enumerate(tree.rows):
        for number in range(-(-len(row) // WIDTH)):
            hashes = row[number * WIDTH : (number + 1) * WIDTH]
            require(read(folder, str(level), number, len(hashes)) != b"", "a tile is empty")
            for width, data in versions(folder, str(level), number):
                path = tile_path(str(level), number, width)
                require(len(data) == 32 * width, f"{path} has {len(data)} bytes")
                shared = 32 * min(width, len(hashes))
                require(data[:shared] == b"".join(hashes)[:shared], f"{path} is not of this log")
                count += 1
            for width, data in [] if hashes_only or level else versions(folder, "entries", number):
                path = tile_path("entries", number, width)
                bundle = [leaf_hash(one) for one in entries_of(data, path)]
                shared = min(width, len(hashes))
                require(len(bundle) == width, f"{path} holds {len(bundle)} entries")
                require(bundle[:shared] == hashes[:shared], f"{path} is not of this log")
                count += 1
    return count


def versions(folder: Path, level: str, number: int) -> list[tuple[int, bytes]]:
    """(width, bytes) of a tile as it stands in the folder: whole, and partial from earlier sizes."""
    full = folder / tile_path(level, number, WIDTH)
    partial = full.parent / f"{full.name}.p"
    files = [(WIDTH, full)]
    files += [(width, partial / str(width)) for width in range(1, WIDTH)]
    return [(width, file.read_bytes()) for width, file in files if file.is_file()]


# -- what can be asked ---------------------------------------------------------------------------


def log(folder: str, *others: str, key: str, hashes_only: bool) -> str:
    names = [str(Path(folder) / "checkpoint"), *others]
    checkpoints = [Checkpoint(utf8(Path(name).read_bytes()), key) for name in names]
    require(len({one.origin for one in checkpoints}) == 1, "the checkpoints are of different logs")
    tree = check_log(Path(folder), checkpoints, hashes_only)
    count = check_tiles(Path(folder), tree, hashes_only)
    what = "hashes of entries, which were not looked at" if hashes_only else "entries"
    lines = [f"{tree.size} {what}, {count} tiles", *map(str, checkpoints)]
    return "\n".join(lines)


def consistency(old: str, proof: str, *, key: str) -> str:
    before = Checkpoint(utf8(Path(old).read_bytes()), key)
    head, _, text = utf8(Path(proof).read_bytes()).partition("\n\n")
    first, *hashes = head.split("\n")
    after = Checkpoint(text, key)
    require(first == f"old {before.size}", f"the proof is from another size than {before.size}")
    root = extends(before.size, before.root, after.size, [decoded(one) for one in hashes])
    require(root == after.root, "the proof does not lead to the newer log")
    require(before.origin == after.origin, "the two are of logs of different names")
    return f"{before}\nis the beginning of\n{after}"


def inclusion(proof: str, *, key: str) -> str:
    head, _, text = utf8(Path(proof).read_bytes()).partition("\n\n")
    first, extra, index, *hashes = [*head.split("\n"), "", ""]
    hashes = hashes[:-2]
    require(first == "c2sp.org/tlog-proof@v1", "it is no proof of inclusion")
    require(extra.startswith("extra ") and index.startswith("index "), "the proof holds no event")
    require(
        re.fullmatch("0|[1-9][0-9]{0,18}", index[6:], re.ASCII) is not None, "it has no position"
    )
    entry, position, checkpoint = decoded(extra[6:]), int(index[6:]), Checkpoint(text, key)
    proved = [decoded(one) for one in hashes]
    root = climb(leaf_hash(entry), position, checkpoint.size, proved)
    require(root == checkpoint.root, "the event does not stand in this log at this position")
    shown = entry.decode("utf-8", "backslashreplace")
    return f"{shown}\nstands at position {position} of\n{checkpoint}"


def visible(text: str) -> str:
    """Nothing from outside acts on a terminal."""
    return "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)


def main(arguments: list[str]) -> int:
    """Answers one question; gives the exit status."""
    hashes_only = "--hashes-only" in arguments
    words = [one for one in arguments if one != "--hashes-only"]
    key = ""
    if "--key" in words[:-1]:
        at = words.index("--key")
        key = words[at + 1]
        del words[at : at + 2]
    try:
        match words:
            case ["log", folder, *others]:
                told = log(folder, *others, key=key, hashes_only=hashes_only)
            case ["consistency", old, proof]:
                told = consistency(old, proof, key=key)
            case ["inclusion", proof]:
                told = inclusion(proof, key=key)
            case _:
                sys.stderr.write(f"{USAGE}\n")
                return 2
    except (Wrong, OSError) as error:
        sys.stderr.write(f"NOT PROVED: {visible(str(error))}\n")
        return 1
    unsigned = "" if key else "; no key was given, so no signature was checked"
    sys.stdout.write(f"{visible(told)}\nproved{unsigned}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
