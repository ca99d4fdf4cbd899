"""Commits as they claim to be, with what is known of their signature."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledger.commits import subject
from ledger.events import CommitObserved, RecordedEvent, SignatureVerified
from ledger.projections import Context, Projection, Row, Table, column


class CommitRow(NamedTuple):
    repository: str
    commit_sha: str
    tree_sha: str
    parents: str
    author_name: str
    author_email: str
    authored_at: str
    committer_name: str
    committer_email: str
    committed_at: str
    subject: str
    patch_id: str
    signature_kind: str
    signature_status: str
    signer: str
    files_changed: int
    claims: str
    evidence_position: int
    recorded_at: str


class PatchRow(NamedTuple):
    """A commit by its patch id, where that was computed."""

    repository: str
    patch_id: str
    commit_sha: str


COMMITS = Table(
    "model_commit",
    CommitRow,
    key=("repository", "commit_sha"),
)
PATCHES = Table(
    "model_patch",
    PatchRow,
    key=("repository", "patch_id", "commit_sha"),
    lookups=(("repository", "patch_id"),),
)


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, CommitObserved):
        yield from _observed(recorded, data, context)
    elif isinstance(data, SignatureVerified):
        row = context.get(CommitRow, data.repository, data.commit)
        if row is not None:
            yield row._replace(signature_status=data.status, signer=data.signer)


def _observed(recorded: RecordedEvent, data: CommitObserved, context: Context) -> Iterable[Row]:
    known = context.get(CommitRow, data.repository, data.commit)
    if known is not None and not _tells_more(data, known, context):
        return
    if data.patch_id:
        yield PatchRow(data.repository, data.patch_id, data.commit)
    signed = data.signature is not None
    yield CommitRow(
        repository=data.repository,
        commit_sha=data.commit,
        tree_sha=data.tree,
        parents=" ".join(data.parents),
        author_name=column(data.author.name),
        author_email=column(data.author.email),
        authored_at=data.authored_at,
        committer_name=column(data.committer.name),
        committer_email=column(data.committer.email),
        committed_at=data.committed_at,
        subject=column(subject(data.message)),
        patch_id=data.patch_id,
        signature_kind=data.signature.kind if data.signature else "",
        signature_status=known.signature_status if known else "unverified" if signed else "none",
        signer=known.signer if known else "",
        files_changed=len(data.files),
        claims=", ".join(data.claims),
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )


def _tells_more(data: CommitObserved, known: CommitRow, context: Context) -> bool:
    """Whether this telling has contents where the known one has none.

    A commit that is first seen as a pull request's head is told again when it becomes a revision.
    """
    earlier = context.event(known.evidence_position).data
    assert isinstance(earlier, CommitObserved)
    return has_contents(data) and not has_contents(earlier)


def has_contents(data: CommitObserved) -> bool:
    """Whether the contents of the changed files are kept."""
    sides = [side for file in data.files for side in (file.before, file.after) if side]
    return any(side.content != "not_kept" for side in sides) or not sides


PROJECTION = Projection(
    name="commits",
    version=1,
    tables=(COMMITS, PATCHES),
    handles=(CommitObserved, SignatureVerified),
    project=project,
)
