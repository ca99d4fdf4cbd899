"""What belongs to which environment, as configured at the time: paths, clusters, applications."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from ledger.events import EnvironmentMapped, RecordedEvent
from ledger.projections import Context, Projection, Row, Table


class EnvironmentRow(NamedTuple):
    """The lists as text, one item a line."""

    environment: str
    tier: str
    repository: str
    paths: str
    clusters: str
    namespaces: str
    applications: str
    withdrawn: int
    evidence_position: int
    recorded_at: str


ENVIRONMENTS = Table(
    "model_environment", EnvironmentRow, key=("environment",), lookups=(("withdrawn",),)
)


def project(recorded: RecordedEvent, _: Context) -> Iterable[Row]:
    data = recorded.data
    assert isinstance(data, EnvironmentMapped)
    mapped = data.paths or data.clusters or data.namespaces or data.applications
    yield EnvironmentRow(
        environment=data.environment,
        tier=data.tier,
        repository=data.repository,
        paths="\n".join(data.paths),
        clusters="\n".join(data.clusters),
        namespaces="\n".join(data.namespaces),
        applications="\n".join(data.applications),
        withdrawn=int(not mapped),
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )


def environment_of(context: Context, repository: str, path: str) -> str:
    """The name of the environment that a path is mapped to, empty where it is not mapped."""
    for row in context.find(EnvironmentRow, withdrawn=0):
        if row.repository in ("", repository) and row.paths and _matches(row.paths, path):
            return row.environment
    return ""


def environment_of_place(
    context: Context, cluster: str, namespace: str, application: str, repository: str, path: str
) -> str:
    """The environment that an application is mapped to where it is deployed; empty where to none.

    By its cluster, namespace and name, of several the first by name; else by the directory that it is
    made from, as `environment_of` maps the files in it.
    """
    for row in context.find(EnvironmentRow, withdrawn=0):
        narrowed = row.clusters or row.namespaces or row.applications
        if (
            narrowed
            and (not row.clusters or cluster in row.clusters.split("\n"))
            and (not row.namespaces or _matches(row.namespaces, namespace))
            and (not row.applications or _matches(row.applications, application))
        ):
            return row.environment
    if not repository:
        return ""
    inside = f"{path}/" if path else ""
    return environment_of(context, repository, f"{inside}kustomization.yaml") or environment_of(
        context, repository, inside
    )


def _matches(patterns: str, text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns.split("\n"))


PROJECTION = Projection(
    name="environments",
    version=2,
    tables=(ENVIRONMENTS,),
    handles=(EnvironmentMapped,),
    project=project,
)
