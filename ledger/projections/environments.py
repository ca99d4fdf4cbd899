"""Which paths belong to which environment, as configured at the time."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from ledger.events import EnvironmentMapped, RecordedEvent
from ledger.projections import Context, Projection, Row, Table


class EnvironmentRow(NamedTuple):
    environment: str
    tier: str
    repository: str
    paths: str
    withdrawn: int
    evidence_position: int
    recorded_at: str


ENVIRONMENTS = Table(
    "model_environment", EnvironmentRow, key=("environment",), lookups=(("withdrawn",),)
)


def project(recorded: RecordedEvent, _: Context) -> Iterable[Row]:
    data = recorded.data
    assert isinstance(data, EnvironmentMapped)
    yield EnvironmentRow(
        environment=data.environment,
        tier=data.tier,
        repository=data.repository,
        paths="\n".join(data.paths),
        withdrawn=int(not data.paths),
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )


def environment_of(context: Context, repository: str, path: str) -> str:
    """The name of the environment that a path is mapped to, empty where it is not mapped."""
    for row in context.find(EnvironmentRow, withdrawn=0):
        mapped = row.repository in ("", repository)
        if mapped and any(fnmatchcase(path, pattern) for pattern in row.paths.split("\n")):
            return row.environment
    return ""


PROJECTION = Projection(
    name="environments",
    version=1,
    tables=(ENVIRONMENTS,),
    handles=(EnvironmentMapped,),
    project=project,
)
