"""What clusters hold: objects as they run, from dumps of kubectl and by polling.

An object is told when its content differs from what the last look before saw of it, without what the server
counts (`telling.COUNTED`) and without `status`. Its content is kept redacted, as canonical JSON.

A file is what a person chose to hand over. It shows what was there; what it lacks may have been left out,
so no object is removed by a file, but on the word of a person who says that the files hold everything.
A poll that has listed a kind to its end knows what is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ledger import dumps
from ledger.contents import Content
from ledger.errors import SourceError, UsageError
from ledger.events import NewEvent
from ledger.jsontext import Fault
from ledger.sources import Batch, Import, Source, Tools, clusters, surveys
from ledger.sources.kubernetes.completing import Whole
from ledger.sources.kubernetes.polling import options_from, pull
from ledger.sources.kubernetes.telling import KIND, identity_in, news_of, observe, read_told

EVENTS_AT_ONCE: Final = 500
OBJECTS_AT_ONCE: Final = 2_000


def read_files(given: Import, tools: Tools) -> Iterator[Batch]:
    """What the objects in dumps tell. Raises UsageError where no cluster is named."""
    if not given.cluster:
        raise UsageError(
            "no cluster is named", hint="Say with --cluster NAME which one was dumped."
        )
    whole = Whole(given.cluster, tools)
    for modified, path in clusters.in_order_of_time(given.files):
        try:
            yield from _read_file(path, modified, whole, tools)
        except SourceError as error:
            reason = f"{error.message}. {error.hint}".strip()
            yield Batch(events=[whole.broken_by(path, reason)])
    if given.stated_by is not None:
        yield from whole.stated(given.stated_by)


def _read_file(path: Path, modified: str, whole: Whole, tools: Tools) -> Iterator[Batch]:
    cluster = whole.cluster
    data = clusters.read_file(path)
    look, key = surveys.open_file(KIND, cluster, data, modified, tools, read_told)
    identity = _identity(data)
    events: list[NewEvent] = clusters.check_identity(cluster, identity, look.at, KIND, tools)
    contents: list[Content] = []
    done = 0
    for done, one in enumerate(dumps.objects(data), 1):
        try:
            if isinstance(one, Fault):
                raise SourceError(one.reason)
            seen = observe(one.value, cluster, look.at, tools)
        except SourceError as error:
            events.append(whole.broken_by(path, f"{one.place}: {error.message}"))
            continue
        if news := news_of(seen, look, KIND, tools):
            events += news
            contents += seen.contents
        if len(events) >= EVENTS_AT_ONCE or done % OBJECTS_AT_ONCE == 0:
            yield Batch(events=events, contents=contents, done=done)
            events, contents = [], []
    if look.seen:
        survey, lists = surveys.survey_of_file(look, key, identity, tools)
        events.append(survey)
        contents += lists
    elif not events:
        events.append(whole.broken_by(path, "it holds no objects"))
    whole.add(path, key, look, is_page=dumps.is_page(data))
    yield Batch(events=events, contents=contents, done=done)


def _identity(data: bytes) -> str:
    """The cluster's identity, where a dump holds the namespace kube-system. Costs a second reading then."""
    if b"kube-system" in data and b"Namespace" in data:
        for one in dumps.objects(data):
            if not isinstance(one, Fault) and (identity := identity_in(one.value)):
                return identity
    return ""


SOURCE = Source(kind=KIND, options=options_from, pull=pull, read=read_files, completes=True)
