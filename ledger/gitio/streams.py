"""What Git prints, read as a stream in constant memory."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from sys import intern
from typing import IO, NamedTuple, TypeVar

from ledger.errors import SourceError
from ledger.gitio.processes import Process

_CHUNK = 1 << 18
_PIPE = 1 << 14
OID = re.compile(r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$")
NULL_MODE = "000000"
T = TypeVar("T")


class BrokenStreamError(SourceError):
    """Git ended in the middle of what it printed."""

    def __init__(self) -> None:
        super().__init__("git ended in the middle of its answer", retryable=True)


class RawChange(NamedTuple):
    """One entry of `git diff --raw`: modes and object ids before and after, and the path's bytes."""

    mode_before: str
    mode_after: str
    id_before: str
    id_after: str
    path: bytes


class RawCommit(NamedTuple):
    """One commit of a stream: its id and its changes against its first parent."""

    commit: str
    changes: list[RawChange]


def tokens(stream: IO[bytes]) -> Iterator[bytes]:
    """NUL-terminated tokens of a stream, read in large chunks."""
    rest = b""
    while chunk := stream.read(_CHUNK):
        tokens = (rest + chunk).split(b"\0")
        rest = tokens.pop()
        yield from tokens
    if rest.strip(b"\n"):
        yield rest


def raw_commits(tokens: Iterator[bytes]) -> Iterator[RawCommit]:
    """Commits of `git log --raw -z --format=%H`. Raises BrokenStreamError where the text breaks off."""
    current: RawCommit | None = None
    for token in tokens:
        head = token.lstrip(b"\n")
        if head[:1] == b":":
            change = _change(head, tokens)
            if current is not None:
                current.changes.append(change)
        elif head:
            if current is not None:
                yield current
            current = RawCommit(_oid(head), [])
    if current is not None:
        yield current


def raw_pairs(tokens: Iterator[bytes]) -> Iterator[list[RawChange]]:
    """Each pair is headed by a line `<tree> <tree>`, which ends in a newline even under `-z`."""
    current: list[RawChange] | None = None
    for token in tokens:
        *headers, entry = token.split(b"\n")
        for _ in headers:
            if current is not None:
                yield current
            current = []
        if entry[:1] == b":" and current is not None:
            current.append(_change(entry, tokens))
    if current is not None:
        yield current


def _oid(token: bytes) -> str:
    text = token.decode("ascii", "replace")
    if not OID.match(text):
        raise BrokenStreamError
    return text


def _change(entry: bytes, tokens: Iterator[bytes]) -> RawChange:
    fields = entry[1:].decode("ascii", "replace").split(" ", 4)
    path = next(tokens, None)
    if len(fields) != 5 or path is None:
        raise BrokenStreamError
    # Modes are few, and so are ids of nothing: once in memory, not in every change of a huge commit.
    before, after = intern(fields[0]), intern(fields[1])
    old = intern(fields[2]) if before == NULL_MODE else fields[2]
    new = intern(fields[3]) if after == NULL_MODE else fields[3]
    return RawChange(before, after, old, new, path)


def all_but_unfinished(stream: Iterator[T], finish: Callable[[], None]) -> Iterator[T]:
    """The items of a stream; the last one only when `finish` has found that it is whole."""
    held: list[T] = []
    for one in stream:
        yield from held
        held = [one]
    finish()
    yield from held


def merge_results(tokens: Iterator[bytes]) -> Iterator[str]:
    """`1 NUL tree NUL …` for a clean merge, `0 NUL tree NUL conflicted files… NUL NUL` otherwise."""
    clean = None
    tree = ""
    for token in tokens:
        text = token.decode("utf-8", "replace").strip("\n")
        if clean is None and text in ("0", "1"):
            clean = text == "1"
        elif clean is not None and not tree and OID.match(text):
            tree = text
        elif not text and tree:
            yield tree if clean else ""
            clean, tree = None, ""
    if tree:
        yield tree if clean else ""


def read_objects(
    process: Process, ids: Sequence[str], most: int | None = None
) -> Iterator[bytes | None]:
    """The bytes of each object, None where it is missing; at most `most` + 1 of them, where given."""
    feed = "".join(f"{oid}\n" for oid in ids).encode("ascii")
    # What a pipe holds is written at once; more needs a thread, or both sides wait for each other.
    writer = None
    if len(feed) <= _PIPE:
        _feed(process.stdin, feed)
    else:
        writer = threading.Thread(target=_feed, args=(process.stdin, feed), daemon=True)
        writer.start()
    stdout = process.stdout
    for _ in ids:
        header = stdout.readline().split()
        if len(header) < 3:
            if header[-1:] == [b"missing"]:
                yield None
                continue
            process.finish()
            raise SourceError("git cat-file ended early", retryable=True)
        size = int(header[2])
        wanted = size if most is None else min(size, most + 1)
        data = stdout.read(wanted)
        _skip(stdout, size - wanted + 1)
        yield data
    if writer is not None:
        writer.join()


def _skip(stream: IO[bytes], count: int) -> None:
    while count > 0 and (skipped := stream.read(min(count, _CHUNK))):
        count -= len(skipped)


def _feed(stream: IO[bytes], data: bytes) -> None:
    try:
        stream.write(data)
        stream.flush()
    except (BrokenPipeError, ValueError):
        pass
