"""Makes blobs ready to be kept: cut, redacted, hashed, compressed and parsed ahead.

This is most of the work of an ingest and depends on nothing but the bytes, so it runs in other
processes when there is much of it. The answers are the same either way.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from sys import intern
from typing import TypeVar
from zlib import crc32

import msgspec

from ledger import contents
from ledger.background import deaf_to_interrupts, ended_early, start_apart
from ledger.commits import named_pull_request, read_commit, trailers
from ledger.comparing import compare, shape
from ledger.contents import Content
from ledger.documents import (
    Documents,
    Parsed,
    pack_compared,
    pack_shapes,
    pair_key,
    piece_key,
)
from ledger.errors import LedgerError
from ledger.gitio import Mirror
from ledger.parsers import Parser, choose
from ledger.redaction import Patterns, compile_patterns, redact, redact_text
from ledger.resources import Resource
from ledger.sources import CommitHead, Heads, Kept, Prepared, Promise

MAX_TEXT = 10_000_000
MANY = 300
REMEMBERED = 50_000
K = TypeVar("K")
V = TypeVar("V")
NOT_KEPT = Kept(content="not_kept")
SECRET = Kept(content="not_kept", secret=True)


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What became of a request: with it, the shapes of new pieces and differences worked out ahead."""

    kept: list[Kept]
    contents: list[Content]
    shapes: list[tuple[bytes, bytes]]
    compared: list[tuple[bytes, bytes]]
    heads: list[CommitHead | None] = []
    failure: str = ""


class Request(msgspec.Struct, frozen=True, array_like=True):
    """Blobs to make ready; `keep` is false where only secrets are looked for.

    `pairs` are (path, blob before, blob after), empty where there was none, whose difference will
    be asked for. `commits` are objects to read, whatever else is asked.
    """

    mirror: str
    blobs: list[tuple[str, str]]
    keep: bool
    pairs: list[tuple[str, str, str]]
    commits: list[str] = []


class Orders(msgspec.Struct, frozen=True, array_like=True):
    """What a workshop needs to know from the start."""

    key: bytes
    patterns: tuple[str, ...]
    parse: bool


class Workshop:
    """Does the work, in whichever process it stands."""

    def __init__(self, orders: Orders, parsers: Sequence[Parser]) -> None:
        self._key = orders.key
        self._patterns: Patterns = compile_patterns(orders.patterns)
        self._parse = orders.parse
        self._parsers = parsers
        self._choices: dict[str, Parser] = {}
        self._done: OrderedDict[tuple[str, bytes], tuple[bytes, bool]] = OrderedDict()
        self._cut: OrderedDict[tuple[str, str], list[bytes]] = OrderedDict()
        self._parsed = Parsed(at_hand=10_000_000, compact=20_000_000)
        self._differed: OrderedDict[bytes, None] = OrderedDict()
        self._readers = ExitStack()
        self._open: dict[
            tuple[str, int | None], Callable[[Sequence[str]], Iterator[bytes | None]]
        ] = {}

    def close(self) -> None:
        """Ends the processes that read objects."""
        self._readers.close()

    def answer(self, request: Request) -> Answer:
        """Makes every blob of a request ready, in order, and compares its pairs."""
        answer = Answer([], [], [], [])
        ids = [oid for _, oid in request.blobs]
        read = self._reader(request.mirror)
        for (path, oid), data in zip(request.blobs, read(ids), strict=True):
            answer.kept.append(self._blob(path, oid, data, request.keep, answer))
        if self._parse:
            for path, before, after in request.pairs:
                self._compare(read, path, before, after, answer)
        if request.commits:
            raws = self._reader(request.mirror, most=None)(request.commits)
            answer.heads.extend(None if raw is None else self._head(raw) for raw in raws)
        return answer

    def _reader(
        self, mirror: str, most: int | None = MAX_TEXT
    ) -> Callable[[Sequence[str]], Iterator[bytes | None]]:
        reader = self._open.get((mirror, most))
        if reader is None:
            reader = self._readers.enter_context(Mirror(Path(mirror)).objects(most))
            self._open[mirror, most] = reader
        return reader

    def _head(self, raw: bytes) -> CommitHead:
        commit = read_commit(raw)
        names = named_pull_request(commit.message) is not None
        commit.message = redact_text(commit.message, self._key, patterns=self._patterns)
        digest = "sha256:" + hashlib.sha256(raw).hexdigest()
        return CommitHead(commit, digest, trailers(commit.message), names)

    def _blob(self, path: str, oid: str, data: bytes | None, keep: bool, answer: Answer) -> Kept:
        if data is None:
            return Kept(content="missing")
        if len(data) > MAX_TEXT:
            return Kept(content="too_large")
        if b"\0" in data:
            # Text in UTF-16 without its NULs reads as ASCII: a secret in it is no more to be named.
            text = data.replace(b"\0", b"")
            if redact(path, text, self._key, patterns=self._patterns).findings:
                return Kept(content="binary", secret=True)
            return Kept(content="binary", digest="sha256:" + hashlib.sha256(data).hexdigest())
        parser = self._parser(path)
        pieces = parser.split(data)
        if not keep:
            found = any(self._piece(path, parser, one, None)[1] for one in pieces)
            return SECRET if found else NOT_KEPT
        done = [self._piece(path, parser, one, answer) for one in pieces]
        secret = any(found for _, found in done)
        digests = [digest for digest, _ in done]
        _remember(self._cut, (_base(path), oid), digests)
        if len(digests) == 1:
            return Kept(digest=contents.digest_text(digests[0]), secret=secret)
        whole = b"".join(self._redacted(path, one) for one in pieces) if secret else data
        digest = hashlib.sha256(whole).digest()
        answer.contents.append(contents.pack_list(digest, digests))
        return Kept(digest=contents.digest_text(digest), secret=secret)

    def _redacted(self, path: str, piece: bytes) -> bytes:
        return redact(path, piece, self._key, patterns=self._patterns).data

    def _parser(self, path: str) -> Parser:
        base = _base(path)
        parser = self._choices.get(base)
        if parser is None:
            parser = self._choices[base] = choose(self._parsers, base)
        return parser

    def _piece(
        self, path: str, parser: Parser, piece: bytes, answer: Answer | None
    ) -> tuple[bytes, bool]:
        """(digest of the piece as kept, whether it held a secret), each distinct piece once."""
        base = _base(path)
        key = (base if answer is not None else "?" + base, hashlib.sha256(piece).digest())
        known = self._done.get(key)
        if known is not None:
            return known
        redacted = redact(path, piece, self._key, patterns=self._patterns)
        secret = bool(redacted.findings)
        digest = hashlib.sha256(redacted.data).digest() if secret else key[1]
        if answer is not None:
            answer.contents.append(contents.pack_piece(digest, redacted.data))
            if self._parse:
                resources = parser.parse(redacted.data)
                self._parsed.put(parser.name, digest, len(redacted.data), resources)
                shapes = pack_shapes([shape(one) for one in resources])
                answer.shapes.append((piece_key(parser.name, digest), shapes))
        _remember(self._done, key, (digest, secret))
        return digest, secret

    def _compare(
        self,
        read: Callable[[Sequence[str]], Iterator[bytes | None]],
        path: str,
        before: str,
        after: str,
        answer: Answer,
    ) -> None:
        """Works out ahead what the projections will most likely ask: a guess never changes an answer."""
        parser = self._parser(path)
        old = self._pieces(read, path, parser, before)
        new = self._pieces(read, path, parser, after)
        if (before and not old) or (after and not new):
            return
        held, holds = set(old), set(new)
        gone = [one for one in old if one not in holds]
        come = [one for one in new if one not in held]
        left = self._addressed(read, path, parser, before, gone)
        right = self._addressed(read, path, parser, after, come)
        for address in {**left, **right}:
            was, is_ = left.get(address), right.get(address)
            old_at, new_at = was[:2] if was else (b"", 0), is_[:2] if is_ else (b"", 0)
            pair = pair_key(parser.name, *old_at, *new_at)
            if pair not in self._differed:
                _remember(self._differed, pair, None)
                rows = compare(was[2] if was else None, is_[2] if is_ else None)
                answer.compared.append((pair, pack_compared(rows)))

    def _pieces(
        self,
        read: Callable[[Sequence[str]], Iterator[bytes | None]],
        path: str,
        parser: Parser,
        oid: str,
    ) -> list[bytes]:
        """The pieces of a blob, none where it is not kept or there is none."""
        key = (_base(path), oid)
        known = self._cut.get(key)
        if known is None and oid:  # another process was asked for it, for another path
            known = self._parse_again(read, path, parser, oid)
            _remember(self._cut, key, known)
        return known or []

    def _addressed(
        self,
        read: Callable[[Sequence[str]], Iterator[bytes | None]],
        path: str,
        parser: Parser,
        oid: str,
        pieces: Sequence[bytes],
    ) -> dict[tuple[str, str, str, str], tuple[bytes, int, Resource]]:
        found: dict[tuple[str, str, str, str], tuple[bytes, int, Resource]] = {}
        for piece in pieces:
            resources = self._parsed.get(parser.name, piece)
            if resources is None:
                self._parse_again(read, path, parser, oid)
                resources = self._parsed.get(parser.name, piece) or []
            for item, one in enumerate(resources):
                address = (one.api_group, one.kind, one.namespace, one.name)
                found.setdefault(address, (piece, item, one))
        return found

    def _parse_again(
        self,
        read: Callable[[Sequence[str]], Iterator[bytes | None]],
        path: str,
        parser: Parser,
        oid: str,
    ) -> list[bytes]:
        """Parses the pieces of a blob that were forgotten; gives their digests, none if it is not kept."""
        data = next(iter(list(read([oid]))))
        if data is None or len(data) > MAX_TEXT or b"\0" in data:
            return []
        digests: list[bytes] = []
        for piece in parser.split(data):
            kept = self._redacted(path, piece)
            digests.append(hashlib.sha256(kept).digest())
            if self._parsed.get(parser.name, digests[-1]) is None:
                self._parsed.put(parser.name, digests[-1], len(kept), parser.parse(kept))
        return digests


def _base(path: str) -> str:
    return intern(path.rsplit("/", 1)[-1])  # few, in the keys of many


def _remember(known: OrderedDict[K, V], key: K, value: V) -> None:
    known[key] = value
    if len(known) > REMEMBERED:
        known.popitem(last=False)


class Preparer:
    """Takes requests and gives promises; starts other processes once there is much to do.

    A blob goes to the process that knows the one it follows, else by its path; a difference to the
    process that knows its blobs. Else they were read, redacted and parsed in both.
    """

    def __init__(
        self, orders: Orders, parsers: Sequence[Parser], documents: Documents, *, processes: int
    ) -> None:
        self._orders = orders
        self._documents = documents
        self._workshop = Workshop(orders, parsers)
        self._processes = processes
        self._workers: list[_Worker] = []
        self._hands: dict[tuple[str, str], int] = {}
        self._asked = 0

    def prepare(
        self,
        mirror: Path,
        blobs: Sequence[tuple[str, str]],
        keep: bool,
        pairs: Sequence[tuple[str, str, str]],
    ) -> Promise:
        """Asks for blobs; call what it gives for the answer, in the order of asking."""
        self._asked += len(blobs)
        if not self._workers and self._asked > MANY:
            self.expect_much()
        if not self._workers:
            request = Request(str(mirror), list(blobs), keep, list(pairs))
            return lambda: self._deliver(self._workshop.answer(request))
        return self._deal(mirror, blobs, keep, pairs)

    def heads(self, mirror: Path, commits: Sequence[str]) -> Heads:
        """Asks for commit objects; call what it gives for them, in the order of asking."""
        if not self._workers:
            request = Request(str(mirror), [], True, [], list(commits))
            return lambda: self._workshop.answer(request).heads
        share = -(-len(commits) // len(self._workers))
        numbers = [
            worker.ask(
                Request(str(mirror), [], True, [], list(commits[at * share : (at + 1) * share]))
            )
            for at, worker in enumerate(self._workers)
        ]

        def gather() -> list[CommitHead | None]:
            workers = zip(self._workers, numbers, strict=True)
            answers = [_checked(worker.answer(number)) for worker, number in workers]
            return [head for answer in answers for head in answer.heads]

        return gather

    def expect_much(self) -> None:
        """Starts the other processes, where there may be any."""
        if not self._workers:
            self._workers = [_Worker(self._orders) for _ in range(self._processes - 1)]

    def _deal(
        self,
        mirror: Path,
        blobs: Sequence[tuple[str, str]],
        keep: bool,
        pairs: Sequence[tuple[str, str, str]],
    ) -> Promise:
        count = len(self._workers)
        hands = [Request(str(mirror), [], keep, []) for _ in range(count)]
        dealt: list[int] = []
        follows = {(_base(path), after): before for path, before, after in pairs if before}
        if len(self._hands) > REMEMBERED:
            for key in list(self._hands)[: REMEMBERED // 2]:
                del self._hands[key]
        for path, oid in blobs:
            hand = self._hand(path, (follows.get((_base(path), oid), ""),))
            self._hands[_base(path), oid] = hand
            hands[hand].blobs.append((path, oid))
            dealt.append(hand)
        for pair in pairs:
            hands[self._hand(pair[0], (pair[2], pair[1]))].pairs.append(pair)
        numbers = [
            worker.ask(request) for worker, request in zip(self._workers, hands, strict=True)
        ]
        return lambda: self._gather(dealt, numbers)

    def _hand(self, path: str, blobs: Sequence[str]) -> int:
        """Which process knows the first of these blobs that one knows, as of a file at `path`."""
        for oid in blobs:
            hand = self._hands.get((_base(path), oid))
            if hand is not None:
                return hand
        return crc32(path.encode("utf-8", "surrogatepass")) % len(self._workers)

    def _gather(self, dealt: Sequence[int], numbers: Sequence[int]) -> Prepared:
        workers = zip(self._workers, numbers, strict=True)
        answers = [self._deliver(_checked(worker.answer(number))) for worker, number in workers]
        kept = [iter(answer.kept) for answer in answers]
        return Prepared(
            [next(kept[hand]) for hand in dealt],
            [content for answer in answers for content in answer.contents],
        )

    def _deliver(self, answer: Answer) -> Prepared:
        for piece, shapes in answer.shapes:
            self._documents.warm(piece, shapes)
        for pair, compared in answer.compared:
            self._documents.warm_difference(pair, compared)
        return Prepared(answer.kept, answer.contents)

    def end(self) -> None:
        """Tells the other processes to end; `close` waits until they have."""
        for worker in self._workers:
            worker.end()

    def close(self) -> None:
        """Ends the other processes and every reader."""
        self.end()
        self._workshop.close()
        for worker in self._workers:
            worker.close()


def _checked(answer: Answer) -> Answer:
    if answer.failure:
        raise LedgerError(f"preparing contents failed: {answer.failure}")
    return answer


class _Worker:
    """The other process: requests go in by a pipe, answers come back in order."""

    def __init__(self, orders: Orders) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, msgspec.msgpack.encode(orders)), daemon=True
        )
        start_apart(self._process)
        theirs.close()
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._asked = self._answered = 0
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # Threads send and take in at once, so that neither side waits for the other to read.
        threading.Thread(target=self._receive, daemon=True).start()
        threading.Thread(target=self._send, daemon=True).start()

    def _receive(self) -> None:
        try:
            while True:
                self._answers.put(self._pipe.recv_bytes())
        except (EOFError, OSError):
            self._answers.put(None)

    def _send(self) -> None:
        try:
            while (request := self._requests.get()) is not None:
                self._pipe.send_bytes(request)
        except OSError:
            self._answers.put(None)

    def ask(self, request: Request) -> int:
        """Sends a request; gives its number."""
        self._requests.put(msgspec.msgpack.encode(request))
        self._asked += 1
        return self._asked

    def answer(self, number: int) -> Answer:
        """The answer to a request. Earlier ones that nobody took, of a source that broke off, are dropped."""
        data = b""
        while self._answered < number:
            given = self._answers.get()
            if given is None:
                self._answers.put(None)  # for whoever asks again
                raise ended_early(self._process, "preparing contents")
            data = given
            self._answered += 1
        return msgspec.msgpack.decode(data, type=Answer)

    def end(self) -> None:
        self._requests.put(None)
        self._process.terminate()

    def close(self) -> None:
        self._process.join(timeout=5)
        self._pipe.close()


def serve(pipe: Pipe, orders: bytes) -> None:
    """The main loop of the other process; ends when its parent is gone."""
    import gc  # noqa: PLC0415
    import os  # noqa: PLC0415

    from ledger import registry  # noqa: PLC0415

    deaf_to_interrupts()
    os.nice(5)  # where cores are few, the process that appends goes first: the others wait for it
    gc.set_threshold(1_000_000, 50, 100)
    workshop = Workshop(msgspec.msgpack.decode(orders, type=Orders), registry.parsers())
    try:
        while True:
            request = msgspec.msgpack.decode(pipe.recv_bytes(), type=Request)
            try:
                answer = workshop.answer(request)
            except Exception as error:  # noqa: BLE001 (told to the parent, which raises it)
                answer = Answer([], [], [], [], failure=f"{type(error).__name__}: {error}")
            pipe.send_bytes(msgspec.msgpack.encode(answer))
    except (EOFError, OSError):
        pass
    finally:
        workshop.close()
