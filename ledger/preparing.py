"""Makes blobs ready to be kept: cut, redacted, hashed, compressed and parsed ahead.

This is most of the work of an ingest and depends on nothing but the bytes, so it runs in one other
process when there is much of it. The answers are the same either way.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import msgspec

from ledger import contents
from ledger.contents import Content
from ledger.documents import Documents, freeze
from ledger.errors import LedgerError
from ledger.gitio import Mirror
from ledger.parsers import Parser, choose
from ledger.redaction import Patterns, compile_patterns, redact
from ledger.sources import Kept, Prepared, Promise

MAX_TEXT = 10_000_000
MANY = 300
REMEMBERED = 100_000
NOT_KEPT = Kept(content="not_kept")
SECRET = Kept(content="not_kept", secret=True)


class Frozen(msgspec.Struct, frozen=True, array_like=True):
    """One piece parsed ahead."""

    parser: str
    piece: bytes
    data: bytes


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What became of a request."""

    kept: list[Kept]
    contents: list[Content]
    parsed: list[Frozen]
    failure: str = ""


class Request(msgspec.Struct, frozen=True, array_like=True):
    """Blobs to make ready; `keep` is false where only secrets are looked for."""

    mirror: str
    blobs: list[tuple[str, str]]
    keep: bool


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
        self._readers = ExitStack()
        self._open: dict[str, Callable[[Sequence[str]], object]] = {}

    def close(self) -> None:
        """Ends the processes that read objects."""
        self._readers.close()

    def answer(self, request: Request) -> Answer:
        """Makes every blob of a request ready, in order."""
        kept: list[Kept] = []
        out: list[Content] = []
        parsed: list[Frozen] = []
        ids = [oid for _, oid in request.blobs]
        for (path, _), data in zip(request.blobs, self._read(request.mirror, ids), strict=True):
            kept.append(self._blob(path, data, request.keep, out, parsed))
        return Answer(kept, out, parsed)

    def _read(self, mirror: str, ids: list[str]) -> Sequence[bytes | None]:
        reader = self._open.get(mirror)
        if reader is None:
            reader = self._readers.enter_context(Mirror(Path(mirror)).objects())
            self._open[mirror] = reader
        return reader(ids)  # type: ignore[return-value]

    def _blob(
        self, path: str, data: bytes | None, keep: bool, out: list[Content], parsed: list[Frozen]
    ) -> Kept:
        if data is None:
            return Kept(content="missing")
        if len(data) > MAX_TEXT:
            return Kept(content="too_large")
        if b"\0" in data:
            return Kept(content="binary", digest="sha256:" + hashlib.sha256(data).hexdigest())
        parser = self._parser(path)
        pieces = parser.split(data)
        if not keep:
            return (
                SECRET
                if any(self._piece(path, parser, one, None, None)[1] for one in pieces)
                else NOT_KEPT
            )
        done = [self._piece(path, parser, one, out, parsed) for one in pieces]
        secret = any(found for _, found in done)
        digests = [digest for digest, _ in done]
        if len(digests) == 1:
            return Kept(digest=contents.digest_text(digests[0]), secret=secret)
        whole = (
            data
            if not secret
            else b"".join(
                redact(path, one, self._key, patterns=self._patterns).data for one in pieces
            )
        )
        digest = hashlib.sha256(whole).digest()
        out.append(contents.pack_list(digest, digests))
        return Kept(digest=contents.digest_text(digest), secret=secret)

    def _parser(self, path: str) -> Parser:
        base = path.rsplit("/", 1)[-1]
        parser = self._choices.get(base)
        if parser is None:
            parser = self._choices[base] = choose(self._parsers, base)
        return parser

    def _piece(
        self,
        path: str,
        parser: Parser,
        piece: bytes,
        out: list[Content] | None,
        parsed: list[Frozen] | None,
    ) -> tuple[bytes, bool]:
        """(digest of the piece as kept, whether it held a secret), each distinct piece once."""
        base = path.rsplit("/", 1)[-1]
        key = (base if out is not None else "?" + base, hashlib.sha256(piece).digest())
        known = self._done.get(key)
        if known is not None:
            return known
        redacted = redact(path, piece, self._key, patterns=self._patterns)
        secret = bool(redacted.findings)
        digest = hashlib.sha256(redacted.data).digest() if secret else key[1]
        if out is not None:
            out.append(contents.pack_piece(digest, redacted.data))
            if parsed is not None and self._parse:
                parsed.append(Frozen(parser.name, digest, freeze(parser.parse(redacted.data))))
        self._done[key] = (digest, secret)
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        return digest, secret


class Preparer:
    """Takes requests and gives promises; starts the other process once there is much to do."""

    def __init__(
        self, orders: Orders, parsers: Sequence[Parser], documents: Documents, *, processes: int
    ) -> None:
        self._orders = orders
        self._documents = documents
        self._workshop = Workshop(orders, parsers)
        self._processes = processes
        self._worker: _Worker | None = None
        self._asked = 0

    def prepare(self, mirror: Path, blobs: Sequence[tuple[str, str]], keep: bool) -> Promise:
        """Asks for blobs; call what it gives for the answer, in the order of asking."""
        request = Request(str(mirror), list(blobs), keep)
        self._asked += len(request.blobs)
        if self._worker is None and self._processes > 1 and self._asked > MANY:
            self._worker = _Worker(self._orders)
        if self._worker is None:
            return lambda: self._deliver(self._workshop.answer(request))
        worker = self._worker
        number = worker.ask(request)
        return lambda: self._deliver(worker.answer(number))

    def _deliver(self, answer: Answer) -> Prepared:
        if answer.failure:
            raise LedgerError(f"preparing contents failed: {answer.failure}")
        for one in answer.parsed:
            self._documents.warm(one.parser, one.piece, one.data)
        return Prepared(answer.kept, answer.contents)

    def close(self) -> None:
        """Ends the other process and every reader."""
        self._workshop.close()
        if self._worker is not None:
            self._worker.close()


class _Worker:
    """The other process: requests go in by a pipe, answers come back in order."""

    def __init__(self, orders: Orders) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, msgspec.msgpack.encode(orders)), daemon=True
        )
        self._process.start()
        theirs.close()
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._asked = self._answered = 0
        # A thread takes answers in at once, so that neither side waits for the other to read.
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        try:
            while True:
                self._answers.put(self._pipe.recv_bytes())
        except (EOFError, OSError):
            self._answers.put(None)

    def ask(self, request: Request) -> int:
        """Sends a request; gives its number."""
        self._pipe.send_bytes(msgspec.msgpack.encode(request))
        self._asked += 1
        return self._asked

    def answer(self, number: int) -> Answer:
        """The answer to a request. Earlier ones that nobody took, of a source that broke off, are dropped."""
        data: bytes | None = b""
        while data is not None and self._answered < number:
            data = self._answers.get()
            self._answered += 1
        if data is None:
            return Answer([], [], [], "the other process ended")
        return msgspec.msgpack.decode(data, type=Answer)

    def close(self) -> None:
        self._process.terminate()
        self._process.join(timeout=5)
        self._pipe.close()


def serve(pipe: Pipe, orders: bytes) -> None:
    """The main loop of the other process; ends when its parent is gone."""
    import gc  # noqa: PLC0415
    import signal  # noqa: PLC0415

    from ledger import registry  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(100_000, 50, 100)
    workshop = Workshop(msgspec.msgpack.decode(orders, type=Orders), registry.parsers())
    try:
        while True:
            request = msgspec.msgpack.decode(pipe.recv_bytes(), type=Request)
            try:
                answer = workshop.answer(request)
            except Exception as error:  # noqa: BLE001 (told to the parent, which raises it)
                answer = Answer([], [], [], f"{type(error).__name__}: {error}")
            pipe.send_bytes(msgspec.msgpack.encode(answer))
    except (EOFError, OSError):
        pass
    finally:
        workshop.close()
