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
from ledger.projections.brought import is_brought, unaccounted
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
# Each followed by the commit that the forge names; it holds for that merge alone.
REBASED, BROUGHT = "rebased", "brought"
BROUGHT_ALONG = "brought_along"  # by a merge whose parents are others
SAID = "the forge says that this commit is the merge of #{number}"
UNGATED = "merged without the forge's gate"
NOT_COMPARED = "what landed was not compared with its head"
OTHER_CONTENT = "merging that head again does not give what landed: nobody approved the difference"


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
    """A link. `differs` says what landed besides what was approved, empty where nothing is known to."""

    repository: str
    commit_sha: str
    number: int
    role: str
    grade: str
    method: str
    rank: int
    reason: str
    differs: str
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
    graph = sorted(
        {
            row.number
            for row in claims
            if row.rank == BY_GRAPH and not row.method.startswith(BROUGHT)
        }
        | {row.number for row in links if row.method == BROUGHT}
    )
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
    mismatch = claims.get("mismatch")
    came = [row for name, row in claims.items() if name.startswith(BROUGHT)]
    for row in came:
        if pull is not None and merged_as and same_commit(row.head_sha, merged_as):
            return _gated(_came(row, mismatch, pull, context), pull, context)
    rebased = claims.get(f"{REBASED} {merged_as}")
    best = _best_of(claims, rebased, pull)
    claim = best or told
    if claim is None:
        return None  # one of a merge that the forge no longer tells of
    if commits > 1 and same_commit(claim.commit_sha, merged_as):
        if best is None:
            return _one_of_several(claim, merged_as, commits)
        merged_as = ""  # what Git shows stands as if the forge told nothing
    if told is not None and pull is not None and merged_as == claim.commit_sha:
        confirmed = _confirmed(told, best, mismatch, pull)
        return _gated(_marked(confirmed, mismatch, pull), pull, context)
    if rebased is not None and merged_as != claim.commit_sha:
        return _beside(rebased, merged_as, context)
    if merged_as and merged_as != claim.commit_sha:
        return _elsewhere(claim, merged_as)
    return _marked(_row(claim, CONTRADICTED if claim.grade == UNLINKED else MERGED), mismatch, pull)


def _best_of(
    claims: Mapping[str, ClaimRow], rebased: ClaimRow | None, pull: ReportedPullRequestRow | None
) -> ClaimRow | None:
    """The best of what Git shows of a commit and a number."""
    mismatch = claims.get("mismatch")
    known = {
        name: row
        for name, row in claims.items()
        if name not in ("forge", "mismatch")
        and not name.startswith(BROUGHT)
        and (row is rebased or not name.startswith(REBASED))
    }
    if mismatch is None:
        return min(known.values(), key=lambda row: row.rank, default=None)
    if known.pop("subject", None) is not None:
        known["mismatch"] = mismatch._replace(reason=_named_but(mismatch))
    best = min(known.values(), key=lambda row: row.rank, default=None)
    if best is None:
        return None
    if best.rank == BY_GRAPH:
        best = _more_than_merged(best, mismatch)
    elif best.grade == PROVED and best.head_sha and _is_head(mismatch, pull):
        # What another head proves says nothing of the one that the forge names.
        return best if _is_head(best, pull) else known.get("mismatch")
    return best


def _named_but(mismatch: ClaimRow) -> str:
    message = f"the message names #{mismatch.number}"
    if mismatch.grade == UNLINKED:
        return f"{message}, but {mismatch.reason}: a contradiction, no link"
    return f"{message}; {mismatch.reason}"


def _is_head(claim: ClaimRow | None, pull: ReportedPullRequestRow | None) -> bool:
    """Whether what was merged again is the head that the forge names."""
    return claim is not None and pull is not None and same_commit(claim.head_sha, pull.head_sha)


def _marked(
    row: LinkRow, mismatch: ClaimRow | None, pull: ReportedPullRequestRow | None
) -> LinkRow:
    """The link, with what is known to have landed besides."""
    if row.grade == PROVED or row.method == REBASED or not _is_head(mismatch, pull):
        return row
    return row._replace(differs=OTHER_CONTENT)


def _came(
    claim: ClaimRow, mismatch: ClaimRow | None, pull: ReportedPullRequestRow, context: Context
) -> LinkRow:
    """The link of the merge that brought the commit as which the forge says that it was merged."""
    merge = context.get(CommitRow, claim.repository, claim.commit_sha)
    parents = merge.parents.split()[1:] if merge is not None else []
    row = _row(claim, MERGED)
    if claim.head_sha not in parents:
        row = row._replace(method=BROUGHT_ALONG)
    if mismatch is not None and mismatch.head_sha == claim.head_sha:
        more = _more_than_merged(claim, mismatch)
        return row._replace(grade=more.grade, reason=more.reason, differs=OTHER_CONTENT)
    claims = context.find(ClaimRow, repository=claim.repository, commit_sha=claim.commit_sha)
    heads = {one.head_sha for one in claims if one.method == "head_is_parent"}
    tips = [one for one in parents if one not in heads]
    others = unaccounted(context, claim.repository, tips)
    if others:
        differs = f"it also brought commits that no pull request was merged as ({others})"
        return row._replace(grade=INFERRED, reason=f"{row.reason}, but {differs}", differs=differs)
    if not same_commit(pull.head_sha, claim.head_sha):
        return row._replace(grade=REPORTED, reason=f"{row.reason}; {NOT_COMPARED}")
    return row


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
        differs="",
        best=0,
        evidence_position=claim.evidence_position,
        recorded_at=claim.recorded_at,
    )
    return made._replace(**changes)  # type: ignore[arg-type]


def _confirmed(
    told: ClaimRow,
    best: ClaimRow | None,
    mismatch: ClaimRow | None,
    pull: ReportedPullRequestRow,
) -> LinkRow:
    """A link of which the forge says that it is the merge, beside what Git alone shows."""
    if best is not None and best.grade == PROVED:
        reason = f"{best.reason}; the forge says that it is its merge"
        return _row(best, MERGED, rank=min(best.rank, FORGE), reason=reason)
    if best is not None and best.rank == BY_GRAPH:
        return _row(told, MERGED, rank=BY_GRAPH, reason=f"{told.reason}; {best.reason}")
    # A head that moved since says nothing of the one that merged.
    if mismatch is None or not _is_head(mismatch, pull):
        compared = best is not None and best.method.startswith(REBASED)
        itself = not pull.head_sha or same_commit(pull.head_sha, told.commit_sha)
        unsaid = "" if compared or itself else f"; {NOT_COMPARED}"
        return _row(told, MERGED, reason=f"{told.reason}{unsaid}")
    if best is not None and best.method.startswith(REBASED):
        return _row(told, MERGED)
    reason = f"{told.reason}, but {mismatch.reason}"
    if best is not None and best.method == "mismatch":
        reason = f"{told.reason}, and {best.reason}"
    elif mismatch.grade == UNLINKED:
        reason = f"{reason}: a contradiction, no link"
    if mismatch.grade == UNLINKED:
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
    elif "github" in host and (
        pull.head_sha == row.commit_sha or row.method in (BROUGHT, BROUGHT_ALONG)
    ):
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
        brought = is_brought(context, row.repository, row.commit_sha, pulls[row.number].head_sha)
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


def choose_best(links: Sequence[LinkRow]) -> list[LinkRow]:
    """The links with the best one marked: lowest rank, then number; a patch id only if it is alone.

    What a merge only brought along comes after what it merged.

    A head that is the commit is a merge only where nothing better is known; else it is just a head.
    """
    real = sorted(
        (row for row in links if row.rank < NO_LINK),
        key=lambda row: (row.rank, row.method == BROUGHT_ALONG, row.number),
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
