"""Sources tell the ledger what happened. One file each; found by scan or entry point.

A source yields batches; each is appended with its cursor in one transaction. The cursor is opaque
to everybody else. A batch whose `cursor` is None leaves the old one: after a crash the source is
read again from there, and what is already recorded is recognised by its natural key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ledger.contents import Content
from ledger.events import NewEvent


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What the shell lends to a source while it is read.

    `prepare(mirror, [(path, blob id)], keep, pairs)` redacts and packs blobs, perhaps in another
    process; call its promise for the answer. `pairs` are (path, blob before, blob after) whose
    difference will be asked for later. `fingerprint` is the keyed digest that stands for secrets.
    """

    now: str
    prepare: Callable[
        [Path, Sequence[tuple[str, str]], bool, Sequence[tuple[str, str, str]]], Promise
    ]
    redact: Callable[[str], str]
    fingerprint: Callable[[bytes], str]
    survey: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Events to append together; `total` and `done` count commits, for a person who waits."""

    events: list[NewEvent]
    contents: list[Content] = field(default_factory=list)
    cursor: bytes | None = None
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """One `[[source]]` of the configuration: paths are absolute, `settings` is the whole table."""

    name: str
    url: str
    mirror: Path
    folder: Path
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The whole contract of a source: its kind, how its options are read, and how it is pulled."""

    kind: str
    options: Callable[[Configured], Any]
    pull: Callable[[Any, bytes, Tools], Iterator[Batch]]
