"""Sources tell the ledger what happened. One file each; found by scan or entry point.

A source is pulled, reads files, or takes deliveries; the same fact has the same key on every way.
It yields batches; each is appended with its cursor in one transaction. The cursor is opaque
to everybody else. A batch whose `cursor` is None leaves the old one: after a crash the source is
read again from there, and what is already recorded is recognised by its natural key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ledger.commits import CommitObject
from ledger.contents import Content
from ledger.events import Event, Identity, NewEvent, RecordedEvent, Trailer


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What became of one blob: its digest as kept, why it is not kept, and whether it held a secret."""

    digest: str = ""
    content: str = ""
    secret: bool = False


class Prepared(msgspec.Struct, frozen=True):
    """The answer to a request for blobs: one `Kept` for each, and the contents to append."""

    kept: list[Kept]
    contents: list[Content]


Promise = Callable[[], Prepared]


class CommitHead(msgspec.Struct, frozen=True, array_like=True):
    """A commit object made ready to be told: its message is redacted.

    `digest` is the SHA-256 of its bytes, `trailers` are those of the redacted message, and
    `names_pull_request` says whether the message names one that it lands.
    """

    commit: CommitObject
    digest: str
    trailers: list[Trailer]
    names_pull_request: bool


Heads = Callable[[], list[CommitHead | None]]


class Stored(msgspec.Struct, frozen=True):
    """A text made ready to be kept: its digest, what to append, and whether it held a secret."""

    digest: str
    contents: list[Content]
    secret: bool = False


def _nothing_begins() -> None:
    """There is nothing to begin with."""


def _nothing_told(_: str) -> Sequence[RecordedEvent]:
    return ()


def _nothing_since(
    _: int, __: str, ___: Sequence[type[Event]]
) -> tuple[Sequence[RecordedEvent], int]:
    return (), 0


def _at_once(work: Callable[..., Iterable[Any]], *arguments: Any) -> Iterable[Any]:
    return work(*arguments)


def _never_received(_: str, __: str) -> bool:
    return False


def _nothing_kept(digest: str) -> bytes:
    raise KeyError(digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the shell lends to a source while it is read.

    `prepare(mirror, [(path, blob id)], keep, pairs)` redacts and packs blobs, perhaps in another
    process; call its promise for the answer. `pairs` are (path, blob before, blob after) whose
    difference will be asked for later. `heads(mirror, commits)` likewise reads commit objects, None for
    one that is missing; promises are called in the order of asking. `fingerprint` is the keyed digest
    that stands for secrets. `store(name, data)` redacts a text as a file of that name would be and packs
    it; append its contents with the event that holds its digest. `repository` gives the name in
    `ledger.toml` of a Git URL or of a forge's full name with its host (`github.com/acme/infra`), empty if
    there is none.
    `told(prefix)` gives the recorded events whose key begins with `prefix`, which ends in a slash, in order
    of position: for sources that record only what differs from what they told before. `since(position,
    stream, types)` gives the events of some types that were recorded of a stream from a position on, and
    the position from which to ask the next time: for sources that work on what others told. `content` gives
    back what was stored under a digest. `meanwhile(work, *arguments)` gives the items that a function
    gives, which another process may work out from that moment on. `received(kind, id)` says whether a
    delivery of a sender came to us, by the sender's own id of it. `expect()` says that something new is about
    to come, so that what takes long to start is started while the source waits for it.
    """

    now: str
    prepare: Callable[
        [Path, Sequence[tuple[str, str]], bool, Sequence[tuple[str, str, str]]], Promise
    ]
    heads: Callable[[Path, Sequence[str]], Heads]
    redact: Callable[[str], str]
    fingerprint: Callable[[bytes], str]
    store: Callable[[str, bytes], Stored]
    repository: Callable[[str], str]
    survey: bool = False
    expect: Callable[[], None] = _nothing_begins
    told: Callable[[str], Sequence[RecordedEvent]] = _nothing_told
    since: Callable[[int, str, Sequence[type[Event]]], tuple[Sequence[RecordedEvent], int]] = (
        _nothing_since
    )
    content: Callable[[str], bytes] = _nothing_kept
    meanwhile: Callable[..., Iterable[Any]] = _at_once
    received: Callable[[str, str], bool] = _never_received


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Events to append together; `total` and `done` count commits, for a person who waits.

    `ignored` counts what was read and understood and tells nothing that is recorded.
    """

    events: list[NewEvent]
    contents: list[Content] = field(default_factory=list)
    cursor: bytes | None = None
    done: int = 0
    total: int = 0
    ignored: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """One `[[source]]` of the configuration: paths are absolute, `settings` is the whole table."""

    name: str
    url: str
    mirror: Path
    folder: Path
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """Files that a person hands over, and what they say about them: the cluster that they came from.

    `stated_by` is the person where they state that the files together hold everything of what they show.
    """

    files: Sequence[Path]
    cluster: str = ""
    stated_by: Identity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """How the deliveries of one sender are checked, told apart and read. All three are pure.

    Header names are lower case. `authentic(headers, body, secret)` compares in constant time over the raw
    body. `identify(headers, body)` gives the sender's own id of the delivery, which a repeat repeats;
    empty where the request is no delivery of this sender. `events(headers, body, tools)` gives one
    batch; it raises SourceError for what it cannot read, which is then recorded as a gap. Of a request's
    headers only those in `headers` are kept, and given to `events`. `reconciles` are the types of events
    that a delivery and `pull` tell under the same key: one that `pull` alone told was not delivered;
    `review.submitted/approved` stands for reviews of that state.
    `signed_at(headers)` is the second since 1970 that the signature covers, None where it covers none.
    """

    headers: frozenset[str]
    authentic: Callable[[Mapping[str, str], bytes, bytes], bool]
    identify: Callable[[Mapping[str, str], bytes], str]
    events: Callable[[Mapping[str, str], bytes, Tools], Batch]
    reconciles: frozenset[str] = frozenset()
    signed_at: Callable[[Mapping[str, str]], int | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The whole contract of a source: its kind and the ways in which it can tell.

    `pull` reads a `[[source]]` from a cursor on, with the `options` made of its settings; `last` where it
    works on what others told, so that it is read after them. `read` takes files
    (`ledger import KIND FILE...`), one or more batches each, and never raises for one bad file: it
    yields a `collector.gap` that names it; `completes` where it understands a person's word that the files
    hold everything. `webhook` reads what is delivered to `ledger serve`.
    """

    kind: str
    options: Callable[[Configured], Any] | None = None
    pull: Callable[[Any, bytes, Tools], Iterator[Batch]] | None = None
    read: Callable[[Import, Tools], Iterator[Batch]] | None = None
    completes: bool = False
    last: bool = False
    webhook: Webhook | None = None
