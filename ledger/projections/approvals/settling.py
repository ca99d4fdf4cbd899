"""What has to be judged again, once the tables have caught up: the marked, and all where who is who moved."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.projections import Context, Row
from ledger.projections.approvals.judging import Judge
from ledger.projections.approvals.rows import ANEW, PEOPLE, JudgedRow, RuledRow, SeenRow
from ledger.projections.hands import People
from ledger.projections.people import PeopleVersionRow


def settle(context: Context) -> Iterable[Row]:
    due = list(context.find(JudgedRow, due=1))
    people = context.get(PeopleVersionRow, PEOPLE)
    seen = context.get(SeenRow, PEOPLE)
    if people is not None and people.digest != (seen.digest if seen else ""):
        anew = seen is not None and seen.digest == ANEW
        due += [
            row
            for row in context.find(JudgedRow, due=0)
            if anew or not People.would_say(context, row.asked)
        ]
        yield SeenRow(PEOPLE, people.digest)
    ruled = {row.repository: row for row in context.find(RuledRow, due=1)}
    if ruled:
        due += [row for row in context.find(JudgedRow, due=0) if row.repository in ruled]
        yield from (row._replace(due=0) for row in ruled.values())
    for row in dict.fromkeys(due):
        judge = Judge(context, row.repository, row.number)
        yield from judge.rows()
        judged = row._replace(due=0, asked=judge.asked)
        if judged != row:
            yield judged
