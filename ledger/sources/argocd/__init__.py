"""Argo CD: what applications are told to do, and each sync, from `Application` objects.

Read from files (YAML or JSON: single, several, lists, the answer of Argo CD's API) and by polling a cluster.
An application holds two tellings of a sync, and each lacks what the other has: `status.history` lacks
failures, partial syncs, self-heals and results of resources; `status.operationState` has these, lacks
the number in the history, and is overwritten by the next operation. Both have the operation's start,
so both are recorded under one key, as two tellings of one fact; projections put them together.

A running operation is no fact yet, and a dry run is none. `revision` in `status.sync` is a comparison and
no deployment. Field names: argo-cd, pkg/apis/application/v1alpha1/types.go.
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
from ledger.sources.argocd.namesakes import Namesakes, Sightings
from ledger.sources.argocd.polling import options_from, pull
from ledger.sources.argocd.telling import KIND, is_application, read_told, told_by

EVENTS_AT_ONCE: Final = 200


def read_files(given: Import, tools: Tools) -> Iterator[Batch]:
    """What the applications in files tell. Raises UsageError where no cluster is named."""
    if not given.cluster:
        raise UsageError(
            "no cluster is named", hint="Say with --cluster NAME where the applications live."
        )
    sightings = Sightings(given.cluster, tools)
    for modified, path in clusters.in_order_of_time(given.files):
        yield from _read_file(path, modified, sightings, tools)


def _read_file(path: Path, modified: str, sightings: Sightings, tools: Tools) -> Iterator[Batch]:
    cluster = sightings.cluster

    def gap(reason: str) -> NewEvent:
        return clusters.file_gap(KIND, cluster, path, reason, tools)

    try:
        data = clusters.read_file(path)
    except SourceError as error:
        yield Batch(events=[gap(error.message)])
        return
    look, key = surveys.open_file(KIND, cluster, data, modified, tools, read_told)
    events: list[NewEvent] = []
    contents: list[Content] = []
    ignored = 0
    namesakes = Namesakes(KIND, look, sightings, tools)
    for one in dumps.objects(data):
        if isinstance(one, Fault):
            events.append(gap(f"{one.place}: {one.reason}"))
        elif is_application(one.value):
            told = told_by(one.value, KIND, look, tools)
            events += [*told.events, *(gap(f"{one.place}: {fault}") for fault in told.faults)]
            contents += told.contents
            namesakes.note(told)
        else:
            ignored += 1
        if len(events) >= EVENTS_AT_ONCE:
            yield Batch(events=events, contents=contents)
            events, contents = [], []
    if look.seen:
        survey, lists = surveys.survey_of_file(look, key, "", tools)
        events.append(survey)
        contents += lists
        namesakes.doubt_listed()
        events += namesakes.gaps()
        sightings.add(look)
    elif not events:
        events.append(gap("it holds no Application of argoproj.io"))
    yield Batch(events=events, contents=contents, ignored=ignored)


SOURCE = Source(kind=KIND, options=options_from, pull=pull, read=read_files)
