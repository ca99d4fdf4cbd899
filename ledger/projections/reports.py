"""The reports that were issued, and what each stands on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledger.events import RecordedEvent, ReportIssued
from ledger.projections import Context, Projection, Row, Table, column


class ReportRow(NamedTuple):
    report: str
    period_start: str
    period_end: str
    position: int
    digest: str
    period: str
    time_zone: str
    root: str
    program: str
    format: str
    issued_by: str
    population: int
    exceptions: int
    unknown: int
    evidence_position: int
    recorded_at: str


REPORTS = Table(
    "model_report",
    ReportRow,
    key=("report", "period_start", "period_end", "position", "digest"),
    indexes=(("digest",),),
)


def project(recorded: RecordedEvent, _: Context) -> Iterable[Row]:
    data = recorded.data
    assert isinstance(data, ReportIssued)
    actor = recorded.actor
    yield ReportRow(
        report=data.report,
        period_start=data.period_start,
        period_end=data.period_end,
        position=data.position,
        digest=data.digest,
        period=data.period,
        time_zone=data.time_zone,
        root=data.root,
        program=data.program,
        format=data.format,
        issued_by=column(actor.login or actor.name) if actor else "",
        population=sum(one.population for one in data.controls),
        exceptions=sum(one.exceptions for one in data.controls),
        unknown=sum(one.unknown for one in data.controls),
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )


PROJECTION = Projection(
    name="reports",
    version=1,
    tables=(REPORTS,),
    handles=(ReportIssued,),
    project=project,
)
