"""The log itself: checking it, appending to it, and how large it is beside the packed repository."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from benchmarks._figures import Bar, FailedError, Figure, not_measured, value
from benchmarks._places import MAIN_ONLY, Place, files_size, git, ledger, set_up
from ledger import registry
from ledger.events import NewEvent
from ledger.store import Store, schema
from ledger.verify import Verifier

BATCHES = (1_000, 4_000)
APPENDED = 40_000
FILES = ("ledger.db", "ledger.db-wal")
Empty = Callable[[], str]


def measure(place: Place) -> list[Figure]:
    """Eight rows."""
    url = f"sqlite:///{place.whole / 'ledger.db'}"
    figures = _verified(url, place.rounds)
    events = _events(url)
    figures += _appended("SQLite", events, lambda: f"sqlite:///{place.new('append')}", place.rounds)
    try:
        figures += _appended("PostgreSQL", events, place.new_postgres, place.rounds)
    except (FailedError, OSError) as error:
        figures.append(not_measured("append, PostgreSQL", error))
    return figures + _sizes(place)


def _verified(url: str, rounds: int) -> list[Figure]:
    events: list[float] = []
    contents: list[float] = []
    verifier: Verifier
    for _ in range(rounds):
        with Store.open(url, read_only=True) as store, store.connection.snapshot():
            verifier = Verifier(store)
            start = time.perf_counter()
            findings = list(verifier.log())
            middle = time.perf_counter()
            findings += list(verifier.kept())
            end = time.perf_counter()
        if findings:
            raise FailedError(f"the ledger is not as recorded: {findings[0]}")
        events.append(verifier.events / (middle - start))
        contents.append(verifier.content_bytes / 1e6 / (end - middle))
    checked = verifier.checked()
    what = f"`verify`, the log of {checked.events:,} events"
    kept = f"`verify`, {checked.contents:,} contents of {checked.content_bytes / 1e6:,.0f} MB"
    return [
        value(what, events, " events/s", Bar(least=150_000, unit=" events/s")),
        value(f"{kept}, and that none is missing", contents, " MB/s", Bar(least=100, unit=" MB/s")),
    ]


def _events(url: str) -> list[NewEvent]:
    """Real events, as a source would tell them."""
    with Store.open(url, read_only=True) as store:
        return [
            NewEvent(
                stream=one.stream,
                key=one.key,
                source=one.source,
                occurred_at=one.occurred_at,
                actor=one.actor,
                data=one.data,
            )
            for one in store.read(0, APPENDED)
        ]


def _appended(kind: str, events: list[NewEvent], empty: Empty, rounds: int) -> list[Figure]:
    figures: list[Figure] = []
    for size in BATCHES:
        rates: list[float] = []
        for _ in range(rounds):
            url = empty()
            schema.initialise(url, registry.projections())
            with Store.open(url) as store:
                start = time.perf_counter()
                for batch in _batches(events, size):
                    store.append(batch, source="infra", recorded_at="2025-01-01T00:00:00Z")
                rates.append(len(events) / (time.perf_counter() - start))
        what = f"append, {kind}, in batches of {size:,}"
        figures.append(value(what, rates, " events/s", Bar(least=20_000, unit=" events/s")))
    return figures


def _batches(events: list[NewEvent], size: int) -> Iterator[list[NewEvent]]:
    left = iter(events)
    while batch := list(islice(left, size)):
        yield batch


def _sizes(place: Place) -> list[Figure]:
    """The database beside the pack of what it was read from."""
    main = place.new("size")
    set_up(main, place.bundle, MAIN_ONLY)
    ledger(main, "ingest")
    packed = place.folder / "main-only.git"
    git(place.folder, "init", "--quiet", "--bare", packed.name)
    git(packed, "fetch", "--quiet", "--no-tags", str(place.clone), "main:main")
    git(packed, "repack", "-adq")
    return [
        _size("main without pull requests", main, packed),
        _size("everything", place.whole, place.clone),
    ]


def _size(what: str, folder: Path, repository: Path) -> Figure:
    ours = files_size(folder, *FILES)
    theirs = sum(one.stat().st_size for one in (repository / "objects" / "pack").iterdir())
    return Figure(
        f"size of the database, {what}",
        f"{ours / 1e6:,.0f} MB",
        f"the packed repository: {theirs / 1e6:,.0f} MB",
        f"{ours / theirs:.2f} times",
        str(Bar()),
    )
