"""Which pull request each mainline revision landed: every link with its grade and reason.

Git alone can prove that the content is a pull request's (heads, trees, blobs, recomputed merges)
and can infer from subjects and patch ids. Its forge can say which commit a pull request was merged
as; then no other commit is that merge, whatever it names or holds. What is claimed is kept by itself
and the links of a commit are made from all claims, so that they are the same in any order of events.
What contradicts itself is shown as a contradiction and is no link. A link never says that the forge's
gate was passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ledger.approval import same_commit
from ledger.commits import named_pull_request
from ledger.events import (
    CommitObserved,
    PullRequestClosed,
    PullRequestMatched,
    PullRequestMerged,
    PullRequestMismatched,
    PullRequestOpened,
    PullRequestPushed,
    RecordedEvent,
    RefMoved,
    RefPushed,
    RevisionObserved,
)
from ledger.projections import Context, Projection, Row, Table, column, key_text
from ledger.projections.commits import CommitRow, PatchRow
from ledger.projections.links import (
    BROUGHT,
    BY_GRAPH,
    CLAIMED,
    CLAIMS,
    DIFFERS,
    FORGE,
    HEAD_ITSELF,
    INFERRED,
    LINKS,
    MERGED,
    NO_LINK,
    PATCH,
    PROVED,
    REBASED,
    REPORTED,
    SAID,
    SAME_COMMIT,
    SUBJECT,
    UNLINKED,
    ClaimedRow,
    ClaimRow,
    linked,
)
from ledger.projections.pushes import PushedRow
from ledger.projections.rebases import landed_commits
from ledger.projections.reviews import ReportedPullRequestRow
from ledger.projections.revisions import HEADS
from ledger.projections.shortened import (
    PREFIXES,
    SHORT_MERGES,
    PrefixRow,
    merge_of,
    revisions_like,
    short_merge,
    short_merges_of,
)
from ledger.tellings import SHORT, is_short

# A commit can be the head of a pull request that was opened from it later; so what the message
# names and the content proves goes first.
_METHODS = {
    "head_is_parent": (BY_GRAPH, "a parent of the merge is the head of #{number}"),
    "equal_tree": (1, "the tree is that of the head of #{number}"),
    "equal_blobs": (2, "every changed file has the blob that the head of #{number} gave it"),
    "merge_tree": (3, "merging the head of #{number} again gives this very tree"),
    "brought": (
        BY_GRAPH,
        "the forge says that #{number} was merged as {head}, which came with this merge",
    ),
    "head_is_commit": (HEAD_ITSELF, "the commit is the head of #{number} itself"),
}
_LIKE = "has the same patch id, which says nothing of white space, as"
_PULLS = ("refs/pull/", "refs/merge-requests/", "refs/pull-requests/")
Told = PullRequestOpened | PullRequestPushed | PullRequestMerged | PullRequestClosed


class PullRequestRow(NamedTuple):
    repository: str
    number: int
    head_sha: str
    ref: str
    moves: int
    evidence_position: int
    recorded_at: str


class UnnamedRow(NamedTuple):
    """A revision whose message names no pull request, to be found by its patch id."""

    repository: str
    patch_id: str
    commit_sha: str


PULL_REQUESTS = Table(
    "model_pull_request",
    PullRequestRow,
    key=("repository", "number"),
    lookups=(("repository", "head_sha"),),
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
        yield from _shortened(recorded, data, context)
        for claim in context.find(ClaimRow, repository=data.repository, commit_sha=data.commit):
            if claim.method == "forge":
                yield from _landed(recorded, data.repository, claim.number, context)
        yield from linked(data.repository, data.commit, context)
    elif isinstance(data, PullRequestMatched):
        rank, reason = _METHODS[data.method]
        text = reason.format(number=data.number, head=data.head[:SHORT])
        method = f"{BROUGHT} {data.head}" if data.method == BROUGHT else data.method
        grounds = (method, PROVED, rank, text, data.head)
        yield from _claim(recorded, data.repository, data.commit, data.number, grounds, context)
        yield from linked(data.repository, data.commit, context)
        for row in context.find(ClaimedRow, repository=data.repository, number=data.number):
            if context.get(ClaimRow, data.repository, row.commit_sha, data.number, "patch_id"):
                yield from linked(data.repository, row.commit_sha, context)
    elif isinstance(data, PullRequestMismatched):
        yield from _mismatched(recorded, data, context)
    elif isinstance(data, RefMoved) and data.ref.startswith(_PULLS):
        yield from _head_moved(recorded, data, context)
    elif isinstance(data, RefPushed):
        yield from _pushed(data, context)
    elif isinstance(data, Told):
        yield from _told(recorded, data, context)


# -- claims ------------------------------------------------------------------------------------------

Grounds = tuple[str, str, int, str, str]  # method, grade, rank, reason, head


def _claim(
    recorded: RecordedEvent,
    repository: str,
    commit: str,
    number: int,
    grounds: Grounds,
    context: Context,
) -> Iterable[Row]:
    """Keeps a claim, unless the same one stands at least as strong."""
    method, grade, rank, reason, head = grounds
    known = context.get(ClaimRow, repository, commit, number, method)
    if known is None or _is_better(rank, head, known, context):
        yield ClaimedRow(repository, number, commit)
        yield ClaimRow(
            repository=repository,
            commit_sha=commit,
            number=number,
            method=method,
            grade=grade,
            rank=rank,
            reason=reason,
            head_sha=head,
            evidence_position=recorded.position,
            recorded_at=recorded.recorded_at,
        )


def _is_better(rank: int, head: str, known: ClaimRow, context: Context) -> bool:
    """Whether a claim outranks one on the same ground: of the head that the forge names, or stronger."""
    pull = context.get(ReportedPullRequestRow, known.repository, known.number)
    named = pull.head_sha if pull is not None else ""
    ours, theirs = same_commit(head, named), same_commit(known.head_sha, named)
    return rank < known.rank if ours == theirs else ours


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
        grounds = ("subject", INFERRED, SUBJECT, reason, "")
        yield from _claim(recorded, data.repository, data.commit, number, grounds, context)
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
                yield from linked(data.repository, row.commit_sha, context)
    yield from _landed(recorded, data.repository, number, context)


def _by_patch(
    recorded: RecordedEvent, repository: str, commit: str, number: int, context: Context
) -> Iterable[Row]:
    reason = (
        f"the head of #{number} has the same patch id, which says nothing of white space "
        "and may be shared"
    )
    grounds = ("patch_id", INFERRED, PATCH, reason, "")
    yield from _claim(recorded, repository, commit, number, grounds, context)
    head = context.get(PullRequestRow, repository, number)
    for one in landed_commits(context, repository, commit, head.head_sha, 0)[1:] if head else ():
        reason = (
            f"it {_LIKE} {one.proposed_sha[:12]}, a commit of #{number}, and the head has that of "
            f"{commit[:12]}"
        )
        grounds = ("patch_id", INFERRED, PATCH, reason, "")
        yield from _claim(recorded, repository, one.commit_sha, number, grounds, context)
        yield from linked(repository, one.commit_sha, context)


def _mismatched(
    recorded: RecordedEvent, data: PullRequestMismatched, context: Context
) -> Iterable[Row]:
    if data.shared_paths == 0 and data.paths:
        reason = f"its head changes none of the {data.paths} files"
        grade, rank = UNLINKED, NO_LINK
    else:
        reason = (
            f"its head changes {data.shared_paths} of the {data.paths} files, "
            f"{data.equal_paths} of them to the same content, so the content is not proved"
        )
        grade, rank = INFERRED, DIFFERS
    grounds = ("mismatch", grade, rank, reason, data.head)
    yield from _claim(recorded, data.repository, data.commit, data.number, grounds, context)
    yield from linked(data.repository, data.commit, context)


def _told(recorded: RecordedEvent, data: Told, context: Context) -> Iterable[Row]:
    """What a forge says of a merge decides anew about every commit that may be linked to it."""
    repository, number = data.repository, data.pull_request.number
    if isinstance(data, PullRequestMerged) and data.merge_commit:
        named = key_text(data.merge_commit)
        commits = [named]
        if is_short(named):
            yield short_merge(context, repository, number, named)
            commits = revisions_like(context, repository, named)
        for commit in commits:
            yield from _said(recorded, repository, commit, number, context)
    yield from _landed(recorded, repository, number, context)
    for row in context.find(ClaimedRow, repository=repository, number=number):
        yield from linked(repository, row.commit_sha, context)


def _said(
    recorded: RecordedEvent, repository: str, commit: str, number: int, context: Context
) -> Iterable[Row]:
    """The claim of a forge that a commit is the merge, or may be."""
    grounds = ("forge", REPORTED, FORGE, SAID.format(number=number), "")
    yield from _claim(recorded, repository, commit, number, grounds, context)


def _shortened(recorded: RecordedEvent, data: RevisionObserved, context: Context) -> Iterable[Row]:
    """A revision may be the merge that a forge named by its first digits; or one too many."""
    repository, commit = data.repository, data.commit
    yield PrefixRow(repository, commit[:SHORT], commit)
    for row in short_merges_of(context, repository, commit):
        yield short_merge(context, repository, row.number, row.merge_commit)
        yield from _said(recorded, repository, commit, row.number, context)
        for one in context.find(ClaimedRow, repository=repository, number=row.number):
            yield from linked(repository, one.commit_sha, context)


def _landed(
    recorded: RecordedEvent, repository: str, number: int, context: Context
) -> Iterable[Row]:
    """Every revision that a merge landed one by one, once the forge, the line and the head are known."""
    pull = context.get(ReportedPullRequestRow, repository, number)
    if pull is None or pull.state != MERGED or not pull.merge_commit_sha or not pull.head_sha:
        return
    merge, _ = merge_of(context, pull)
    head = merge if is_short(pull.head_sha) and merge.startswith(pull.head_sha) else pull.head_sha
    for one in landed_commits(context, repository, merge, head, pull.commits):
        same = "changes the same files to the same content as" if one.proved else _LIKE
        if one.commit_sha == one.proposed_sha:
            same = "is"
        named = (
            ""
            if one.commit_sha == merge
            else f"; the forge says that it was merged as {merge[:12]}"
        )
        reason = f"it {same} {one.proposed_sha[:12]}, a commit of #{number}{named}"
        grade, rank = (PROVED, SAME_COMMIT) if one.proved else (INFERRED, PATCH)
        grounds = (f"{REBASED} {merge}", grade, rank, reason, "")
        yield from _claim(recorded, repository, one.commit_sha, number, grounds, context)
        yield from linked(repository, one.commit_sha, context)


def _pushed(data: RefPushed, context: Context) -> Iterable[Row]:
    """A push may show that what looks like part of a merge came apart from it, or past the rules."""
    held = context.find(
        PushedRow,
        repository=data.repository,
        branch=key_text(data.ref.removeprefix(HEADS)),
        after_sha=column(data.after),
        before_sha=column(data.before),
    )
    for row in held:
        claims = context.find(ClaimRow, repository=row.repository, commit_sha=row.commit_sha)
        for claim in claims:
            if claim.method.startswith(REBASED):
                for one in context.find(ClaimedRow, repository=row.repository, number=claim.number):
                    yield from linked(row.repository, one.commit_sha, context)
        if claims:
            yield from linked(row.repository, row.commit_sha, context)


PROJECTION = Projection(
    name="pull_requests",
    version=6,
    tables=(PULL_REQUESTS, LINKS, CLAIMS, CLAIMED, UNNAMED, PREFIXES, SHORT_MERGES),
    handles=(
        RevisionObserved,
        PullRequestMatched,
        PullRequestMismatched,
        RefMoved,
        RefPushed,
        PullRequestOpened,
        PullRequestPushed,
        PullRequestMerged,
        PullRequestClosed,
    ),
    project=project,
    after=("revisions", "commits", "reviews", "pushes"),
)
