"""Which directories and files each mainline revision touched, and the change ticket that it names.

A revision touches every file that it changed and all directories above it, so that what touched an
application's directory is found by one look-up, however many files there are below it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from ledger.events import CommitObserved, RecordedEvent, RevisionObserved
from ledger.projections import Context, Projection, Row, Table, column, key_text
from ledger.projections.commits import CommitRow
from ledger.projections.revisions import RevisionRow

TICKETS: Final = ("change-ticket", "ticket", "refs")
MAX_TICKET: Final = 200


class TouchRow(NamedTuple):
    """`path` is a directory (empty for the root) or a file."""

    repository: str
    branch: str
    path: str
    number: int
    commit_sha: str


class TicketRow(NamedTuple):
    repository: str
    commit_sha: str
    ticket: str


TOUCHES = Table(
    "model_touch",
    TouchRow,
    key=("repository", "branch", "path", "number", "commit_sha"),
    log=True,
)
CHANGE_TICKETS = Table("model_change_ticket", TicketRow, key=("repository", "commit_sha"))


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    assert isinstance(data, RevisionObserved)
    step = context.get(RevisionRow, data.repository, data.branch, data.commit)
    commit = context.get(CommitRow, data.repository, data.commit)
    if commit is None or step is None or step.evidence_position != recorded.position:
        return  # told again, by a later move
    observed = context.event(commit.evidence_position).data
    assert isinstance(observed, CommitObserved)
    for path in sorted(_touched(one.path for one in observed.files)):
        yield TouchRow(data.repository, data.branch, path, data.number, data.commit)
    ticket = _ticket(observed)
    if ticket:
        yield TicketRow(data.repository, data.commit, ticket)


def _touched(paths: Iterable[str]) -> set[str]:
    touched: set[str] = set()
    for path in paths:
        above = path
        while above not in touched:
            touched.add(above)
            above = above.rpartition("/")[0]
    return {key_text(path) for path in touched}


def _ticket(commit: CommitObserved) -> str:
    """What the trailers `Change-Ticket`, `Ticket` or `Refs` say, the first of these that there is."""
    said = {one.key.lower(): one.value for one in reversed(commit.trailers)}
    found = [said[name] for name in TICKETS if said.get(name)]
    return column(found[0][:MAX_TICKET]) if found else ""


PROJECTION = Projection(
    name="touches",
    version=1,
    tables=(TOUCHES, CHANGE_TICKETS),
    handles=(RevisionObserved,),
    project=project,
    after=("revisions", "commits"),
)
