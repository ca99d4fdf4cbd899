"""What every way of reading a cluster has in common: which cluster it is, its files, and gaps."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from ledger.dumps import MAX_FILE
from ledger.errors import SourceError, UsageError
from ledger.events import ClusterSurveyed, CollectorGap, NewEvent
from ledger.instants import FORMAT
from ledger.jsontext import clean
from ledger.sources import Configured, Tools
from ledger.sources.looks import digest, part
from ledger.sources.surveys import survey_event


def reached_by(configured: Configured) -> tuple[str, Path | None, str]:
    """The cluster's name, kubeconfig and context of a `[[source]]`. UsageError where it names no cluster."""
    settings = configured.settings
    cluster = settings.get("cluster", "")
    if not cluster:
        raise UsageError(
            f"source {configured.name} names no cluster",
            hint='Add `cluster = "NAME"` to its `[[source]]`: the name that you give the cluster.',
        )
    kubeconfig = settings.get("kubeconfig", "")
    path = configured.folder / Path(kubeconfig).expanduser() if kubeconfig else None
    return cluster, path, settings.get("context", "")


def check_identity(
    cluster: str, identity: str, at: str, source: str, tools: Tools
) -> list[NewEvent]:
    """The event that says which cluster a name stands for, where that is not yet known.

    Raises SourceError where the name was given to another cluster.
    """
    if not identity:
        return []
    prefix = f"cluster/{part(cluster)}/identity/"
    known = [
        event.data.identity
        for event in tools.told(prefix)
        if isinstance(event.data, ClusterSurveyed)
    ]
    if known and identity not in known:
        raise SourceError(
            f"the name {cluster} stands for another cluster: its namespace kube-system had the uid "
            f"{known[0]}, and this one has {identity}",
            hint="Give every cluster a name of its own. If the cluster was made anew, give it a new name.",
        )
    if known:
        return []
    data = ClusterSurveyed(cluster=cluster, identity=identity, observed_at=at, scopes=[])
    return [survey_event(prefix + part(identity), source, data)]


def in_order_of_time(files: Iterable[Path]) -> list[tuple[str, Path]]:
    """The files with their own times, oldest first; what cannot be asked comes first, without a time."""
    return sorted(((_modified(path), path) for path in files), key=lambda one: one[0])


def _modified(path: Path) -> str:
    try:
        seconds = path.stat().st_mtime
        return datetime.fromtimestamp(seconds, UTC).strftime(FORMAT).rjust(20, "0")
    except (OSError, OverflowError, ValueError):
        return ""


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises SourceError where it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise SourceError(error.strerror or "it cannot be opened") from error
    if len(data) > MAX_FILE:
        raise SourceError(f"it is larger than {MAX_FILE >> 20} MB; split it")
    return data


def gap(source: str, cluster: str, kind: str, detail: str, since: str = "") -> NewEvent:
    """A gap in what is known of a cluster. The same gap since the same time is one event."""
    return NewEvent(
        stream=f"cluster/{cluster}",
        key=f"gap/{part(source)}/{part(cluster)}/{digest([kind, detail, since])[:32]}",
        source=source,
        data=CollectorGap(repository="", kind=kind, detail=detail, since=since),
    )


def file_gap(feed: str, cluster: str, path: Path, reason: str, tools: Tools) -> NewEvent:
    """A gap because a file, or a part of it, cannot be read."""
    detail = tools.redact(clean(f"{path.name}: {reason}"))
    return gap(feed, cluster, "unreadable", detail)
