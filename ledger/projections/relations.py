"""Reverts and back-ports: commits whose message names the commit that they take back or bring again.

Text names it (*inferred*); where the files that the one changed are those of the other, back again or
once more to the same content, that is *proved*. A revision has what its own message says, and what the
commits say that it merged. Of what Git's own commands write only whole ids are read (`git revert`,
`git cherry-pick -x`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ledger.events import CommitObserved, FileSide, RecordedEvent, RevisionObserved
from ledger.projections import Context, Projection, Row, Table
from ledger.projections.commits import CommitRow
from ledger.projections.revisions import is_mainline

REVERTS, BACKPORTS = "reverts", "backports"
PROVED, INFERRED = "proved", "inferred"
_MOST_NAMED = 20
_MOST_MERGED = 200
_ID = r"([0-9a-f]{40}(?:[0-9a-f]{24})?)\b"
_NAMED = re.compile(
    rf"^(?:This (reverts) commit |\(cherry (picked) from commit ){_ID}", re.MULTILINE
)


class RelationRow(NamedTuple):
    """What a commit says of another one. `revision_sha` is the revision that brought it, "" so far none."""

    repository: str
    commit_sha: str
    named_sha: str
    role: str
    revision_sha: str
    grade: str
    reason: str
    evidence_position: int
    recorded_at: str


RELATIONS = Table(
    "model_relation",
    RelationRow,
    key=("repository", "commit_sha", "named_sha", "role"),
    lookups=(
        ("repository", "commit_sha"),
        ("repository", "revision_sha"),
        ("repository", "named_sha"),
    ),
)


def named_commits(message: str) -> list[tuple[str, str]]:
    """(role, commit id) of what a message says to revert or to be picked from, at most twenty."""
    found = ((REVERTS if match[1] else BACKPORTS, match[3]) for match in _NAMED.finditer(message))
    return list(dict.fromkeys(found))[:_MOST_NAMED]


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, CommitObserved):
        for role, named in named_commits(data.message):
            known = context.get(RelationRow, data.repository, data.commit, named, role)
            if known is None and named != data.commit:
                row = RelationRow(
                    repository=data.repository,
                    commit_sha=data.commit,
                    named_sha=named,
                    role=role,
                    revision_sha="",
                    grade=INFERRED,
                    reason="",
                    evidence_position=recorded.position,
                    recorded_at=recorded.recorded_at,
                )
                yield _compared(row, context)
    elif isinstance(data, RevisionObserved):
        yield from _landed(data, context)
        for row in context.find(RelationRow, repository=data.repository, named_sha=data.commit):
            if row.grade != PROVED:  # it was picked to another branch before this one was read
                yield _compared(row, context)


def _landed(data: RevisionObserved, context: Context) -> Iterator[Row]:
    """What a revision says itself, and what the commits say that came by its merge."""
    commit = context.get(CommitRow, data.repository, data.commit)
    parents = commit.parents.split()[1:] if commit else []
    for one in [data.commit, *_side(data.repository, parents, context)]:
        for row in context.find(RelationRow, repository=data.repository, commit_sha=one):
            if not row.revision_sha:
                yield row._replace(revision_sha=data.commit)


def _side(repository: str, tips: list[str], context: Context) -> Iterator[str]:
    """The commits below the further parents of a merge that are no revisions themselves."""
    seen: set[str] = set()
    while tips and len(seen) < _MOST_MERGED:
        one = tips.pop()
        known = context.get(CommitRow, repository, one) if one not in seen else None
        if known is None or is_mainline(context, repository, one):
            continue
        seen.add(one)
        yield one
        tips += known.parents.split()


def _compared(row: RelationRow, context: Context) -> RelationRow:
    """The relation with its grade, by the files of both commits as far as they are known."""
    ours, theirs = (_files(context, row.repository, one) for one in (row.commit_sha, row.named_sha))
    says = "reverts" if row.role == REVERTS else "was picked from"
    reason = f"its message says that it {says} {row.named_sha[:12]}"
    if not theirs or not ours:
        return row._replace(reason=f"{reason}; the files do not tell")
    if row.role == REVERTS:
        theirs = {path: (after, before) for path, (before, after) in theirs.items()}
        proof = "every file goes back to what it was before that, and no other changes"
        equal = ours == theirs
    else:
        proof = "it changes the same files to the same content"
        equal = _after(ours) == _after(theirs)
    if equal:
        return row._replace(grade=PROVED, reason=f"{reason}; {proof}")
    return row._replace(grade=INFERRED, reason=f"{reason}; its files are not just that")


_Sides = tuple[tuple[str, str], tuple[str, str]]


def _files(context: Context, repository: str, commit: str) -> dict[str, _Sides]:
    """path → (before, after) of what a commit changed against its first parent; empty if not known."""
    known = context.get(CommitRow, repository, commit)
    if known is None:
        return {}
    observed = context.event(known.evidence_position).data
    assert isinstance(observed, CommitObserved)
    return {one.path: (_side_id(one.before), _side_id(one.after)) for one in observed.files}


def _side_id(side: FileSide | None) -> tuple[str, str]:
    return (side.mode, side.id or side.hmac) if side else ("", "")


def _after(files: dict[str, _Sides]) -> dict[str, tuple[str, str]]:
    return {path: after for path, (_, after) in files.items()}


PROJECTION = Projection(
    name="relations",
    version=1,
    tables=(RELATIONS,),
    handles=(CommitObserved, RevisionObserved),
    project=project,
    after=("commits", "revisions"),
)
