"""The links of a commit to pull requests, made from every claim about it and what forges say.

A claim is one ground on which a commit may be linked. All are kept, and the links are a function of
those that there are, so that the order in which they came makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from ledger.approval import same_commit
from ledger.projections import Context, Row, Table
from ledger.projections.commits import CommitRow
from ledger.projections.pushes import BYPASS, LandingRow
from ledger.projections.reviews import ReportedPullRequestRow
from ledger.projections.revisions import BranchRow, is_mainline
from ledger.projections.shortened import merge_of
from ledger.tellings import SHORT

PROVED, REPORTED, INFERRED, UNLINKED = "proved", "reported", "inferred", "unlinked"
MERGED, CONTENT, HEAD, CONTRADICTED = "merged", "content", "head", "contradicted"
# The ranks of claims; a lower one is better. What a forge says stands between what the content proves
# and a head that merely is the commit.
BY_GRAPH, SAME_COMMIT, FORGE, HEAD_ITSELF = 0, 2, 4, 5
SUBJECT, DIFFERS, PATCH, AGAIN, NO_LINK = 10, 11, 20, 30, 90
REBASED = "rebased"  # followed by the commit that the forge names; it holds for that merge alone
SAID = "the forge says that this commit is the merge of #{number}"
UNGATED = "merged without the forge's gate"
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
        link = _link({row.method: row for row in found}, pull, context)
        if link is not None:
            links.append(link)
    graph = sorted(row.number for row in claims if row.rank == BY_GRAPH)
    links = [_against_graph(row, graph, pulls, context) for row in links]
    links = [_against_proof(row, context) for row in links]
    for row in choose_best(links):
        if row != context.get(LinkRow, repository, commit, row.number):
            yield row


def _link(
    claims: Mapping[str, ClaimRow], pull: ReportedPullRequestRow | None, context: Context
) -> LinkRow | None:
    """One link out of all claims about a commit and a number, and what the forge says of the number."""
    told = claims.get("forge")
    merged_as, commits = merge_of(context, pull)
    rebased = claims.get(f"{REBASED} {merged_as}")
    known = [
        row
        for name, row in claims.items()
        if name != "forge" and (row is rebased or not name.startswith(REBASED))
    ]
    if "mismatch" in claims:
        known = [row for row in known if row.method != "subject"]
    best = min(known, key=lambda row: row.rank, default=None)
    if best is not None and best.rank == BY_GRAPH and "mismatch" in claims:
        best = _more_than_merged(best, claims["mismatch"])
    claim = best or told
    if claim is None:
        return None  # one of a merge that the forge no longer tells of
    if commits > 1 and same_commit(claim.commit_sha, merged_as):
        if best is None:
            return _one_of_several(claim, merged_as, commits)
        merged_as = ""  # what Git shows stands as if the forge told nothing
    if told is not None and pull is not None and merged_as == claim.commit_sha:
        return _gated(_confirmed(told, best, pull), pull, context)
    if rebased is not None and merged_as != claim.commit_sha:
        return _beside(rebased, merged_as, context)
    if merged_as and merged_as != claim.commit_sha:
        return _elsewhere(claim, merged_as)
    return _row(claim, CONTRADICTED if claim.grade == UNLINKED else MERGED)


def _more_than_merged(graph: ClaimRow, mismatch: ClaimRow) -> ClaimRow:
    """A merge of a head that is not just that: something was changed beside it, or a conflict resolved."""
    if graph.head_sha != mismatch.head_sha:
        return graph
    reason = (
        f"{graph.reason}, but merging it again does not give this tree: more was changed by hand"
    )
    return graph._replace(grade=INFERRED, reason=reason)


def _row(claim: ClaimRow, role: str, **changes: object) -> LinkRow:
    made = LinkRow(
        repository=claim.repository,
        commit_sha=claim.commit_sha,
        number=claim.number,
        role=role,
        grade=claim.grade,
        method=claim.method.partition(" ")[0],
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
    if best is not None and best.rank == BY_GRAPH:
        return _row(told, MERGED, rank=BY_GRAPH, reason=f"{told.reason}; {best.reason}")
    # A head that moved since says nothing of the one that merged.
    same_head = best is not None and pull is not None and same_commit(best.head_sha, pull.head_sha)
    if best is None or best.method != "mismatch" or not same_head:
        return _row(told, MERGED)
    reason = f"{told.reason}, and {best.reason}"
    if best.grade == UNLINKED:
        return _row(told, CONTRADICTED, grade=UNLINKED, rank=NO_LINK, reason=reason)
    return _row(told, MERGED, reason=reason)


def _gated(row: LinkRow, pull: ReportedPullRequestRow, context: Context) -> LinkRow:
    """The link of a merge, with what shows that it did not pass its forge's gate, if anything does."""
    landing = _landing(context, row.repository, row.commit_sha)
    commit = context.get(CommitRow, row.repository, row.commit_sha)
    host = pull.forge.partition("/")[0]
    reason = row.reason
    if landing is not None and landing.kind == BYPASS:
        reason = f"{reason}; {landing.reason}: {UNGATED}"
    elif pull.head_sha == row.commit_sha and "github" in host:
        reason = (
            f"{reason}; it is the head itself, while GitHub's merges are new commits: {UNGATED}"
        )
    elif host == "github.com" and commit and " " in commit.parents and not commit.signature_kind:
        reason = f"{reason}; it is not signed, as GitHub's merges are: perhaps {UNGATED}"
    return row._replace(reason=reason) if row.role == MERGED else row


def _beside(claim: ClaimRow, merged_as: str, context: Context) -> LinkRow:
    """The link of another revision than the one that the forge names, which a rebase merge landed too."""
    merge = _landing(context, claim.repository, merged_as)
    own = _landing(context, claim.repository, claim.commit_sha)
    if merge is None or own is None or own.after_sha == merge.after_sha:
        return _row(claim, MERGED)
    reason = f"{claim.reason}, but it was pushed apart from that merge"
    rank = AGAIN if claim.grade == PROVED else NO_LINK
    return _row(claim, CONTENT, rank=rank, reason=reason)


def _landing(context: Context, repository: str, commit: str) -> LandingRow | None:
    """The push that brought a commit to a tracked branch, where the forge told of it."""
    for row in context.find(BranchRow, repository=repository):
        landing = context.get(LandingRow, repository, row.branch, commit)
        if landing is not None:
            return landing
    return None


def _one_of_several(claim: ClaimRow, merged_as: str, commits: int) -> LinkRow:
    """No link: the forge names its merge by digits that tell it from no other commit."""
    reason = (
        f"the forge says that #{claim.number} was merged as {merged_as}, and {commits} commits of "
        "the mainline begin so: no link"
    )
    return _row(claim, CONTRADICTED, grade=UNLINKED, rank=NO_LINK, reason=reason)


def _elsewhere(claim: ClaimRow, merged_as: str) -> LinkRow:
    """A link to a pull request of which the forge says that another commit is its merge."""
    merge = f"the forge says that #{claim.number} was merged as {merged_as[:SHORT]}"
    if claim.method == "forge" and claim.commit_sha.startswith(merged_as[:SHORT]):
        reason = (
            f"the forge says that #{claim.number} was merged as {merged_as}, which merely begins "
            "like this commit: no link"
        )
    elif claim.method == "forge":
        reason = (
            f"the forge once said that this commit is the merge of #{claim.number}; now {merge}"
        )
    elif claim.method == "head_is_commit":
        return _row(claim, HEAD, rank=NO_LINK, reason=f"{claim.reason}; {merge}")
    elif claim.method == "patch_id" or claim.grade == PROVED or claim.rank == BY_GRAPH:
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
        brought = _brought(row, pulls[row.number].head_sha, context)
        if brought:
            reason = f"{row.reason}; its head came with that of #{graph[0]}: {UNGATED} of its own"
            return row._replace(reason=reason)
        if brought is None:
            return row
        says = SAID.format(number=row.number)
    else:
        return row
    reason = f"{says}, but the graph shows the head of #{graph[0]}: a contradiction, no link"
    return row._replace(role=CONTRADICTED, grade=UNLINKED, rank=NO_LINK, reason=reason)


def _against_proof(row: LinkRow, context: Context) -> LinkRow:
    """A patch id, which promotions and back-ports share, is no merge where the content proves another one."""
    if row.method != "patch_id" or row.role != MERGED:
        return row
    for other in context.find(ClaimedRow, repository=row.repository, number=row.number):
        claims = context.find(ClaimRow, repository=row.repository, commit_sha=other.commit_sha)
        if other.commit_sha != row.commit_sha and any(
            one.number == row.number and one.grade == PROVED and one.rank < FORGE for one in claims
        ):
            reason = f"{row.reason}; its content landed as {other.commit_sha[:12]}"
            return row._replace(role=CONTENT, rank=NO_LINK, reason=reason)
    return row


def _brought(row: LinkRow, head: str, context: Context) -> bool | None:
    """Whether a merge commit brought a head; None where the graph is not known far enough.

    A pull request can be merged by the merge of another one that holds its commits.
    """
    merge = context.get(CommitRow, row.repository, row.commit_sha)
    if merge is None or not head:
        return None
    waiting = merge.parents.split()[1:]
    seen: set[str] = set()
    while waiting:
        commit = waiting.pop()
        if same_commit(commit, head):
            return True
        if commit in seen or is_mainline(context, row.repository, commit):
            continue
        seen.add(commit)
        known = context.get(CommitRow, row.repository, commit)
        if known is None or len(seen) > _MAX_WALK:
            return None
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
