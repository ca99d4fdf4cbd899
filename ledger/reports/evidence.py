"""The files that a report carries: every population whole, the SQL that judged it, and a summary of all."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping

from ledger.auditor import write_csv, write_json
from ledger.controls import OUTCOMES, Result
from ledger.reports.facts import Attached, Facts

SUMMARY = "report.json"


def attach(facts: Facts, libraries: Mapping[str, str]) -> tuple[Attached, ...]:
    """The files, in order of name. The summary names the others with their digests."""
    files = [one for result in facts.results for one in _of_control(result)]
    files.append(_summary(facts, files, libraries))
    return tuple(sorted(files, key=lambda one: one.name))


def _of_control(result: Result) -> Iterable[Attached]:
    control = result.control
    count = f"{result.population:,} items"
    table, array = io.StringIO(newline=""), io.StringIO()
    write_csv(result.answer(), table)
    write_json(result.answer(), array)
    yield _file(
        f"{control.id}.csv",
        f"The whole population of {control.id}, {count}; for spreadsheets, formulas defused",
        "Data",
        table.getvalue(),
    )
    yield _file(
        f"{control.id}.json",
        f"The whole population of {control.id}, {count}, with the exact text",
        "Data",
        array.getvalue(),
    )
    yield _file(
        f"{control.id}.sql",
        f"{control.id} version {control.version}: {control.title}",
        "Source",
        control.text,
    )


def _summary(facts: Facts, files: Iterable[Attached], libraries: Mapping[str, str]) -> Attached:
    standing, period = facts.standing, facts.period
    value = {
        "report": facts.name,
        "title": facts.title,
        "ledger": facts.ledger,
        "period": {
            "name": period.name,
            "start": period.start,
            "end": period.end,
            "time_zone": period.time_zone,
        },
        "log": {
            "position": standing.position,
            "root": standing.root,
            "last_recorded_at": standing.last_recorded_at,
            "anchored": False,
        },
        "program": standing.program,
        "projections": dict(standing.projections),
        "libraries": dict(libraries),
        "controls": [
            {
                "id": one.control.id,
                "version": one.control.version,
                "sha256": one.control.digest,
                "as_of": "position" if one.control.judges_state else "period",
                "population": one.population,
                **{outcome: one.count(outcome) for outcome in OUTCOMES},
            }
            for one in facts.results
        ],
        "files": {one.name: one.digest for one in sorted(files, key=lambda one: one.name)},
    }
    text = json.dumps(value, indent=1, ensure_ascii=True) + "\n"
    return _file(SUMMARY, "What the report stands on, its figures, and digests", "Supplement", text)


def _file(name: str, description: str, relationship: str, text: str) -> Attached:
    data = text.encode("utf-8", "backslashreplace")
    return Attached(name, description, relationship, data, hashlib.sha256(data).hexdigest())
