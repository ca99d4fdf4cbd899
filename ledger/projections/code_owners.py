"""Which CODEOWNERS files each mainline revision left behind, and where their contents are kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledger import codeowners
from ledger.events import CommitObserved, FileSide, RecordedEvent, RevisionObserved
from ledger.projections import Context, Projection, Row, Table
from ledger.projections.commits import CommitRow

LINK = "120000"


class OwnersFileRow(NamedTuple):
    """What a revision made of a file: `present` is 0 where it removed it; `lacking` is why no content
    is kept, else `digest` addresses it."""

    repository: str
    branch: str
    path: str
    commit_sha: str
    number: int
    present: int
    digest: str
    lacking: str
    evidence_position: int
    recorded_at: str


FILES = Table(
    "model_owners_file",
    OwnersFileRow,
    key=("repository", "branch", "path", "commit_sha"),
    lookups=(("repository", "branch"),),
)


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    assert isinstance(data, RevisionObserved)
    commit = context.get(CommitRow, data.repository, data.commit)
    if commit is None:
        return
    observed = context.event(commit.evidence_position).data
    assert isinstance(observed, CommitObserved)
    for file in observed.files:
        if file.path in codeowners.PATHS:
            yield OwnersFileRow(
                repository=data.repository,
                branch=data.branch,
                path=file.path,
                commit_sha=data.commit,
                number=data.number,
                present=int(file.after is not None),
                digest=file.after.digest if file.after else "",
                lacking=_lacking(file.after),
                evidence_position=recorded.position,
                recorded_at=recorded.recorded_at,
            )


def _lacking(side: FileSide | None) -> str:
    if side is None:
        return ""
    return "a link" if side.mode == LINK else side.content or ("" if side.digest else "not_kept")


PROJECTION = Projection(
    name="code_owners",
    version=1,
    tables=(FILES,),
    handles=(RevisionObserved,),
    project=project,
    after=("commits", "revisions"),
)
