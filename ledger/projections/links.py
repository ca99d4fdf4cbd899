"""The links of a commit to pull requests, made from every claim about it and what forges say.

A claim is one ground on which a commit may be linked. All are kept, and the links are a function of
those that there are, so that the order in which they came makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from ledger.projections import Context, Row, Table
from ledger.projections.commits import CommitRow
from ledger.projections.reviews import ReportedPullRequestRow
from ledger.projections.revisions import is_mainline

PROVED, REPORTED, INFERRED, UNLINKED = "proved", "reported", "inferred", "unlinked"
MERGED, CONTENT, HEAD, CONTRADICTED = "merged", "content", "head", "contradicted"
# The ranks of claims; a lower one is better. What a forge says stands between what the content proves
# and a head that merely is the commit.
BY_GRAPH, FORGE, HEAD_ITSELF = 0, 4, 5
SUBJECT, DIFFERS, PATCH, AGAIN, NO_LINK = 10, 11, 20, 30, 90
SAID = "the forge says that this commit is the merge of #{number}"
_MAX_WALK = 1_000


class ClaimRow(NamedTuple):
    """One ground on which a commit may be linked. `head_sha` is the head that was merged again."""

    repository: str
    commit_sha: str
    number: int
    method: str
    grade: str
    rank: int
    reason: str
    head_sha: str
    evidence_position: int
    recorded_at: str


class ClaimedRow(NamedTuple):
    """A commit about which something is claimed of a pull request, to be found by its number."""

    repository: str
    number: int
    commit_sha: str


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


LINKS = Table(
    "model_link",
    LinkRow,
    key=("repository", "commit_sha", "number"),
    lookups=(("repository", "commit_sha"),),
    # With all that a search by number reads: without statistics SQLite takes no smaller index.
    indexes=(("repository", "number", "best", "rank"),),
)
CLAIMS = Table(
    "model_link_claim",
    ClaimRow,
    key=("repository", "commit_sha", "number", "method"),
    lookups=(("repository", "commit_sha"),),
)
CLAIMED = Table(
    "model_claimed_commit",
    ClaimedRow,
    key=("repository", "number", "commit_sha"),
    lookups=(("repository", "number"),),
)


def linked(repository: str, commit: str, context: Context) -> Iterable[Row]:
    """The links of a mainline commit that are not yet as its claims want them."""
    if not is_mainline(context, repository, commit):
        return
    claims = context.find(ClaimRow, repository=repository, commit_sha=commit)
    links: list[LinkRow] = []
    pulls: dict[int, ReportedPullRequestRow] = {}
    for number, found in groupby(claims, key=lambda row: row.number):
        pull = context.get(ReportedPullRequestRow, repository, number)
        if pull is not None:
            pulls[number] = pull
        links.append(_link({row.method: row for row in found}, pull))
    graph = sorted(row.number for row in claims if row.rank == BY_GRAPH)
    links = [_against_graph(row, graph, pulls, context) for row in links]
    for row in choose_best(links):
        if row != context.get(LinkRow, repository, commit, row.number):
            yield row


def _link(claims: Mapping[str, ClaimRow], pull: ReportedPullRequestRow | None) -> LinkRow:
    """One link out of all claims about a commit and a number, and what the forge says of the number."""
    told = claims.get("forge")
    known = [row for row in claims.values() if row.method != "forge"]
    if "mismatch" in claims:
        known = [row for row in known if row.method != "subject"]
    best = min(known, key=lambda row: row.rank, default=None)
    commit = next(iter(claims.values())).commit_sha
    merged_as = pull.merge_commit_sha if pull else ""
    if told is not None and merged_as == commit:
        return _confirmed(told, best, pull)
    claim = best or told
    assert claim is not None
    if merged_as and merged_as != commit:
        return _elsewhere(claim, merged_as)
    return _row(claim, CONTRADICTED if claim.grade == UNLINKED else MERGED)


def _row(claim: ClaimRow, role: str, **changes: object) -> LinkRow:
    made = LinkRow(
        repository=claim.repository,
        commit_sha=claim.commit_sha,
        number=claim.number,
        role=role,
        grade=claim.grade,
        method=claim.method,
        rank=claim.rank,
        reason=claim.reason,
        best=0,
        evidence_position=claim.evidence_position,
        recorded_at=claim.recorded_at,
    )
    return made._replace(**changes)  # type: ignore[arg-type]


def _confirmed(
    told: ClaimRow, best: ClaimRow | None, pull: ReportedPullRequestRow | None
) -> LinkRow:
    """A link of which the forge says that it is the merge, beside what Git alone shows."""
    if best is not None and best.grade == PROVED:
        reason = f"{best.reason}; the forge says that it is its merge"
        return _row(best, MERGED, rank=min(best.rank, FORGE), reason=reason)
    # A head that moved since says nothing of the one that merged.
    same_head = best is not None and pull is not None and best.head_sha == pull.head_sha
    if best is None or best.method != "mismatch" or not same_head:
        return _row(told, MERGED)
    reason = f"{told.reason}, and {best.reason}"
    if best.grade == UNLINKED:
        return _row(told, CONTRADICTED, grade=UNLINKED, rank=NO_LINK, reason=reason)
    return _row(told, MERGED, reason=reason)


def _elsewhere(claim: ClaimRow, merged_as: str) -> LinkRow:
    """A link to a pull request of which the forge says that another commit is its merge."""
    merge = f"the forge says that #{claim.number} was merged as {merged_as[:12]}"
    if claim.method == "forge":
        reason = (
            f"the forge once said that this commit is the merge of #{claim.number}; now {merge}"
        )
    elif claim.method == "head_is_commit":
        return _row(claim, HEAD, rank=NO_LINK, reason=f"{claim.reason}; {merge}")
    elif claim.method == "patch_id" or claim.grade == PROVED:
        rank = AGAIN if claim.grade == PROVED else NO_LINK
        return _row(claim, CONTENT, rank=rank, reason=f"{claim.reason}; {merge}")
    else:
        reason = f"the message names #{claim.number}, but {merge}: a contradiction, no link"
    return _row(claim, CONTRADICTED, grade=UNLINKED, rank=NO_LINK, reason=reason)


def _against_graph(
    row: LinkRow,
    graph: Sequence[int],
    pulls: Mapping[int, ReportedPullRequestRow],
    context: Context,
) -> LinkRow:
    """Where the graph proves another pull request, what a message or a forge names may be refuted."""
    if not graph or row.number in graph:
        return row
    if row.method in ("subject", "mismatch"):
        says = f"the message names #{row.number}"
    elif row.method == "forge" and row.role == MERGED:
        if _brought(row, pulls[row.number].head_sha, context):
            return row
        says = SAID.format(number=row.number)
    else:
        return row
    reason = f"{says}, but the graph shows the head of #{graph[0]}: a contradiction, no link"
    return row._replace(role=CONTRADICTED, grade=UNLINKED, rank=NO_LINK, reason=reason)


def _brought(row: LinkRow, head: str, context: Context) -> bool:
    """Whether a merge commit may have brought a head: false only where the graph is known and lacks it.

    A pull request can be merged by the merge of another one that holds its commits.
    """
    merge = context.get(CommitRow, row.repository, row.commit_sha)
    waiting = merge.parents.split()[1:] if merge and head else [head]
    seen: set[str] = set()
    while waiting:
        commit = waiting.pop()
        if commit == head or len(seen) > _MAX_WALK:
            return True
        if commit in seen or is_mainline(context, row.repository, commit):
            continue
        seen.add(commit)
        known = context.get(CommitRow, row.repository, commit)
        if known is None:
            return True
        waiting += known.parents.split()
    return False


def choose_best(links: Sequence[LinkRow]) -> list[LinkRow]:
    """The links with the best one marked: lowest rank, then number; a patch id only if it is alone.

    A head that is the commit is a merge only where nothing better is known; else it is just a head.
    """
    real = sorted(
        (row for row in links if row.rank < NO_LINK), key=lambda row: (row.rank, row.number)
    )
    ambiguous = len(real) > 1 and real[0].rank == real[1].rank == PATCH
    best = real[0].number if real and not ambiguous else None
    return [
        row._replace(
            best=int(row.number == best),
            role=(MERGED if row.number == best else HEAD) if row.rank == HEAD_ITSELF else row.role,
        )
        for row in links
    ]
