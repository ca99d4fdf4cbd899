"""A report's facts as the bytes of its file, PDF or HTML; a function of the facts and nothing else."""

from __future__ import annotations

import base64
import hashlib

from markupsafe import Markup

from ledger.reports import templates
from ledger.reports.charts import over_time
from ledger.reports.evidence import attach
from ledger.reports.facts import Attached, Facts
from ledger.reports.shown import Draws, any_character
from ledger.store import schema

PDF, HTML = "pdf", "html"
PRINTED = 500  # rows of one table on paper; the attached files have them all
TYPES = {"csv": "text/csv", "json": "application/json", "sql": "text/plain"}


def render(facts: Facts, kind: str) -> bytes:
    """The file. Raises LedgerError where a PDF cannot be made on this machine."""
    if kind == HTML:
        return _html(facts, attach(facts, {}), kind, any_character).encode("utf-8", "strict")
    from ledger.reports import pdf  # noqa: PLC0415 (a process, fonts: only where it is wanted)

    attached = attach(facts, pdf.libraries())
    return pdf.typeset(
        _html(facts, attached, kind, pdf.draws),
        attached,
        time=facts.standing.last_recorded_at,
        identifier=_identifier(facts),
    )


def _html(facts: Facts, attached: tuple[Attached, ...], kind: str, draws: Draws) -> str:
    values = {
        "report": facts,
        "attached": attached,
        "links": {one.name: _link(one) for one in attached} if kind == HTML else {},
        "kind": kind,
        "printed": PRINTED,
        # Our own file, and the only text that no template may escape.
        "style": Markup((schema.shipped("reports") / "report.css").read_text("utf-8")),  # noqa: S704
        "charts": over_time(facts.results),
    }
    return templates.fill(f"{facts.name}.html.j2", values, facts.period.time_zone, draws)


def _link(one: Attached) -> str:
    """The file itself as an address, for a page that stands alone."""
    kind = TYPES[one.name.rpartition(".")[2]]
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(one.data).decode('ascii')}"


def _identifier(facts: Facts) -> bytes:
    """The same for all that is bound to the same log position, program and projections."""
    standing, period = facts.standing, facts.period
    parts = (
        facts.name, period.start, period.end, period.time_zone, str(standing.position),
        standing.root, standing.program, *(f"{a} {b}" for a, b in standing.projections),
    )  # fmt: skip
    return hashlib.sha256("\n".join(parts).encode()).digest()[:16]
