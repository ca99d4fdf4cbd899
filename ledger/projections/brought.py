"""What came to a branch with a merge: the commits below its further parents that are no revisions."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.approval import same_commit
from ledger.projections import Context
from ledger.projections.commits import CommitRow
from ledger.projections.reviews import MERGED, ReportedPullRequestRow
from ledger.projections.revisions import is_mainline

_MAX_WALK = 1_000


def is_brought(context: Context, repository: str, merge: str, head: str) -> bool | None:
    """Whether a merge commit brought a head; None where the graph is not known far enough.

    A pull request can be merged by the merge of another one that holds its commits.
    """
    row = context.get(CommitRow, repository, merge)
    if row is None or not head:
        return None
    waiting = row.parents.split()[1:]
    seen: set[str] = set()
    while waiting:
        commit = waiting.pop()
        if same_commit(commit, head):
            return True
        if commit in seen or is_mainline(context, repository, commit):
            continue
        seen.add(commit)
        known = context.get(CommitRow, repository, commit)
        if known is None or len(seen) > _MAX_WALK:
            return None
        waiting += known.parents.split()
    return False


def unaccounted(context: Context, repository: str, tips: Sequence[str]) -> int:
    """How many of the commits that a merge brought belong to no merged pull request, as far as is told.

    A pull request holds as many commits from the one that it was merged as down as its forge counts.
    """
    found = 0
    for tip in tips:
        one, left, seen = tip, 0, 0
        while one and not is_mainline(context, repository, one):
            pulls = context.find(
                ReportedPullRequestRow, repository=repository, merge_commit_sha=one
            )
            held = [row.commits or _MAX_WALK for row in pulls if row.state == MERGED]
            left = max(left - 1, *held, 0)
            found += left == 0
            seen += 1
            known = context.get(CommitRow, repository, one)
            one = known.parents.partition(" ")[0] if known and seen < _MAX_WALK else ""
    return found
