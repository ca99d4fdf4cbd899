"""The checks of commits: every run that a forge told of, merged from its tellings by their own time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledger.events import CheckCompleted, RecordedEvent
from ledger.projections import Context, Projection, Row, Table, column, key_text
from ledger.tellings import Tellings, digest

_PLAIN = ("conclusion", "started_at", "completed_at", "url", "forge")
_MAX_OBJECT = 64


class CheckRow(NamedTuple):
    """A run; without an id of the forge's own, its completion tells it from others. `told` makes it."""

    repository: str
    commit_sha: str
    name: str
    app: str
    run: str
    conclusion: str
    started_at: str
    completed_at: str
    url: str
    forge: str
    told: str
    evidence_position: int
    recorded_at: str


CHECKS = Table("model_check", CheckRow, key=("repository", "commit_sha", "name", "app", "run"))


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    assert isinstance(data, CheckCompleted)
    key = (
        data.repository,
        column(data.commit[:_MAX_OBJECT]),
        key_text(data.name)[:200],
        key_text(data.app)[:200],
        key_text(data.check or data.completed_at)[:200],
    )
    known = context.get(CheckRow, *key)
    told = Tellings(known.told if known else "")
    told.add({name: getattr(data, name) for name in _PLAIN}, data.completed_at, digest(data))
    yield CheckRow(
        *key,
        **{name: column(told.get(name)) for name in _PLAIN},
        told=told.text,
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )


PROJECTION = Projection(
    name="checks",
    version=1,
    tables=(CHECKS,),
    handles=(CheckCompleted,),
    project=project,
)
