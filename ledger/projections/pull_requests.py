"""Which pull request each mainline revision landed: every link with its grade and reason.

Git alone can prove that the content is a pull request's (heads, trees, blobs, recomputed merges)
and can infer from subjects and patch ids. A subject that the recomputation contradicts is shown as
a contradiction and is no link. A link never says that the forge's gate was passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledger.commits import named_pull_request
from ledger.events import (
    CommitObserved,
    PullRequestMatched,
    PullRequestMismatched,
    RecordedEvent,
    RefMoved,
    RevisionObserved,
)
from ledger.projections import Context, Projection, Row, Table
from ledger.projections.commits import CommitRow, PatchRow

PROVED, REPORTED, INFERRED, UNLINKED = "proved", "reported", "inferred", "unlinked"
MERGED, HEAD, CONTRADICTED = "merged", "head", "contradicted"
# A commit can be the head of a pull request that was opened from it later; so what the message
# names and the content proves goes first.
_METHODS = {
    "head_is_parent": (0, "a parent of the merge is the head of #{number}"),
    "equal_tree": (1, "the tree is that of the head of #{number}"),
    "equal_blobs": (2, "every changed file has the blob that the head of #{number} gave it"),
    "merge_tree": (3, "merging the head of #{number} again gives this very tree"),
    "head_is_commit": (4, "the commit is the head of #{number} itself"),
}
_BY_GRAPH, _HEAD = 0, 4
_SUBJECT, _DIFFERS, _PATCH, _NO_LINK = 10, 11, 20, 90
_PULLS = ("refs/pull/", "refs/merge-requests/", "refs/pull-requests/")


class PullRequestRow(NamedTuple):
    repository: str
    number: int
    head_sha: str
    ref: str
    moves: int
    evidence_position: int
    recorded_at: str


class LinkRow(NamedTuple):
    repository: str
    commit_sha: str
    number: int
    role: str
    grade: str
    method: str
    rank: int
    reason: str
    best: int
    evidence_position: int
    recorded_at: str


class UnnamedRow(NamedTuple):
    """A revision whose message names no pull request, to be found by its patch id."""

    repository: str
    patch_id: str
    commit_sha: str


class _Claim(NamedTuple):
    """A link that one event speaks for."""

    repository: str
    commit: str
    number: int
    grade: str
    method: str
    rank: int
    reason: str


PULL_REQUESTS = Table(
    "model_pull_request",
    PullRequestRow,
    key=("repository", "number"),
    lookups=(("repository", "head_sha"),),
)
LINKS = Table(
    "model_link",
    LinkRow,
    key=("repository", "commit_sha", "number"),
    lookups=(("repository", "commit_sha"),),
    indexes=(("repository", "number"),),
)
UNNAMED = Table(
    "model_unnamed_revision",
    UnnamedRow,
    key=("repository", "patch_id", "commit_sha"),
    lookups=(("repository", "patch_id"),),
)


def project(recorded: RecordedEvent, context: Context) -> Iterable[Row]:
    data = recorded.data
    if isinstance(data, RevisionObserved):
        yield from _named(recorded, data, context)
    elif isinstance(data, PullRequestMatched):
        rank, reason = _METHODS[data.method]
        text = reason.format(number=data.number)
        claim = _Claim(data.repository, data.commit, data.number, PROVED, data.method, rank, text)
        yield from _link(recorded, claim, context)
    elif isinstance(data, PullRequestMismatched):
        yield from _mismatched(recorded, data, context)
    elif isinstance(data, RefMoved) and data.ref.startswith(_PULLS):
        yield from _head_moved(recorded, data, context)


def _named(recorded: RecordedEvent, data: RevisionObserved, context: Context) -> Iterable[Row]:
    commit = context.get(CommitRow, data.repository, data.commit)
    if commit is None:
        return
    observed = context.event(commit.evidence_position).data
    assert isinstance(observed, CommitObserved)
    named = named_pull_request(observed.message)
    if named is not None:
        number, how = named
        reason = f"{how}; nothing in Git confirms it"
        claim = _Claim(data.repository, data.commit, number, INFERRED, "subject", _SUBJECT, reason)
        yield from _link(recorded, claim, context)
    elif commit.patch_id:
        yield UnnamedRow(data.repository, commit.patch_id, data.commit)
        for other in context.find(PatchRow, repository=data.repository, patch_id=commit.patch_id):
            if other.commit_sha != data.commit:
                heads = context.find(
                    PullRequestRow, repository=data.repository, head_sha=other.commit_sha
                )
                for head in heads:
                    yield from _by_patch(
                        recorded, data.repository, data.commit, head.number, context
                    )


def _head_moved(recorded: RecordedEvent, data: RefMoved, context: Context) -> Iterable[Row]:
    number = int(data.ref.split("/")[2])
    yield PullRequestRow(
        repository=data.repository,
        number=number,
        head_sha=data.new,
        ref=data.ref,
        moves=data.sequence,
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )
    commit = context.get(CommitRow, data.repository, data.new) if data.new else None
    if commit is not None and commit.patch_id:
        for row in context.find(UnnamedRow, repository=data.repository, patch_id=commit.patch_id):
            if row.commit_sha != data.new:
                yield from _by_patch(recorded, data.repository, row.commit_sha, number, context)


def _by_patch(
    recorded: RecordedEvent, repository: str, commit: str, number: int, context: Context
) -> Iterable[Row]:
    reason = (
        f"the head of #{number} has the same patch id, which says nothing of white space "
        "and may be shared"
    )
    claim = _Claim(repository, commit, number, INFERRED, "patch_id", _PATCH, reason)
    yield from _link(recorded, claim, context)


def _mismatched(
    recorded: RecordedEvent, data: PullRequestMismatched, context: Context
) -> Iterable[Row]:
    message = f"the message names #{data.number}"
    if data.shared_paths == 0 and data.paths:
        reason = f"{message}, but its head changes none of the {data.paths} files: a contradiction, no link"
        grade, rank = UNLINKED, _NO_LINK
    else:
        reason = (
            f"{message}; its head changes {data.shared_paths} of the {data.paths} files, "
            f"{data.equal_paths} of them to the same content, so the content is not proved"
        )
        grade, rank = INFERRED, _DIFFERS
    claim = _Claim(data.repository, data.commit, data.number, grade, "mismatch", rank, reason)
    yield from _link(recorded, claim, context)


def _link(recorded: RecordedEvent, claim: _Claim, context: Context) -> Iterable[Row]:
    """Puts a link unless a stronger one with that number stands, and chooses the best again."""
    repository, commit, number, grade, method, rank, reason = claim
    links = {
        row.number: row for row in context.find(LinkRow, repository=repository, commit_sha=commit)
    }
    known = links.get(number)
    replaces_subject = method == "mismatch" and known is not None and known.method == "subject"
    if known is not None and known.rank <= rank and not replaces_subject:
        return
    links[number] = LinkRow(
        repository=repository,
        commit_sha=commit,
        number=number,
        role=CONTRADICTED if grade == UNLINKED else MERGED,
        grade=grade,
        method=method,
        rank=rank,
        reason=reason,
        best=0,
        evidence_position=recorded.position,
        recorded_at=recorded.recorded_at,
    )
    for row in choose_best(_contradicted(list(links.values()))):
        if row != known and row != context.get(LinkRow, repository, commit, row.number):
            yield row


def _contradicted(links: list[LinkRow]) -> list[LinkRow]:
    """Where the graph proves another pull request, a number that only the message names is refuted."""
    proved = sorted(row.number for row in links if row.rank == _BY_GRAPH)
    if not proved:
        return links
    return [
        row._replace(
            role=CONTRADICTED,
            grade=UNLINKED,
            rank=_NO_LINK,
            reason=f"the message names #{row.number}, but the graph shows the head of #{proved[0]}: "
            "a contradiction, no link",
        )
        if row.method in ("subject", "mismatch") and row.number not in proved
        else row
        for row in links
    ]


def choose_best(links: list[LinkRow]) -> list[LinkRow]:
    """The links with the best one marked: lowest rank, then number; a patch id only if it is alone.

    A head that is the commit is a merge only where nothing better is known; else it is just a head.
    """
    real = sorted(
        (row for row in links if row.rank < _NO_LINK), key=lambda row: (row.rank, row.number)
    )
    ambiguous = len(real) > 1 and real[0].rank == _PATCH
    best = real[0].number if real and not ambiguous else None
    return [
        row._replace(
            best=int(row.number == best),
            role=(MERGED if row.number == best else HEAD) if row.rank == _HEAD else row.role,
        )
        for row in links
    ]


PROJECTION = Projection(
    name="pull_requests",
    version=1,
    tables=(PULL_REQUESTS, LINKS, UNNAMED),
    handles=(RevisionObserved, PullRequestMatched, PullRequestMismatched, RefMoved),
    project=project,
    after=("revisions", "commits"),
)
