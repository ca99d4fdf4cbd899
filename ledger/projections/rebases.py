"""The revisions that a rebase merge or a fast-forward landed: which commit of the pull request each is.

A forge names only the last of them. So the first-parent line is walked down from there beside the
commits of the pull request, from its head on; commits that came to nothing on the new base are passed
over, and the walk ends at the first revision that is none of them. Git alone decides about each: the
commit itself, or the same files with the same content (*proved*), or only the same patch id
(*inferred*). Who wrote it and what it says, which anybody can write, do not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ledger.events import CommitObserved
from ledger.projections import Context
from ledger.projections.commits import CommitRow
from ledger.projections.revisions import BranchRow, RevisionRow, is_mainline

MOST = 250  # commits of a pull request
_Files = dict[str, tuple[str, str]]


class Landed(NamedTuple):
    """A revision and the commit of the pull request that it is."""

    commit_sha: str
    proposed_sha: str
    proved: bool


def landed_commits(
    context: Context, repository: str, merge: str, head: str, count: int
) -> list[Landed]:
    """The revisions that a merge landed one by one, newest first; none if it was not so.

    `merge` is the last of them, `head` that of the pull request, `count` its commits, 0 where not told.
    """
    commit = context.get(CommitRow, repository, merge)
    if commit is None or (merge != head and len(commit.parents.split()) > 1):
        return []
    proposed = _proposed(context, repository, head, count)
    found: list[Landed] = []
    place = len(proposed)
    for step in _line(context, repository, merge, len(proposed)):
        for at in range(place, 0, -1):
            same = _same(context, repository, step, proposed[at - 1])
            if same is not None:
                found.append(Landed(step, proposed[at - 1], same))
                place = at - 1
                break
        else:
            break
    return found


def _proposed(context: Context, repository: str, head: str, count: int) -> list[str]:
    """The commits of a pull request below its head, oldest first, down to the branch that it left.

    As many as the forge counts, else down to the first that is a revision; none where one of them is
    not known or merges something.
    """
    found: list[str] = []
    one = head
    while one and len(found) < min(count or MOST, MOST):
        if not count and is_mainline(context, repository, one):
            break
        row = context.get(CommitRow, repository, one)
        parents = row.parents.split() if row is not None else ["", ""]
        if len(parents) > 1:
            return []
        found.append(one)
        one = parents[0] if parents else ""
    return found[::-1]


def _line(context: Context, repository: str, tip: str, most: int) -> Iterator[str]:
    """The first-parent line of a tracked branch from a revision down."""
    for branch in context.find(BranchRow, repository=repository):
        step = context.get(RevisionRow, repository, branch.branch, tip)
        left = most
        if step is None:
            continue
        while step is not None and left:
            yield step.commit_sha
            left -= 1
            step = context.get(RevisionRow, repository, branch.branch, step.first_parent)
        return


def _same(context: Context, repository: str, landed: str, proposed: str) -> bool | None:
    """Whether a revision is a commit: True if proved, False by patch id alone, None if it is not."""
    if landed == proposed:
        return True
    one = context.get(CommitRow, repository, landed)
    other = context.get(CommitRow, repository, proposed)
    if one is None or other is None or len(one.parents.split()) > 1:
        return None
    if one.files_changed == other.files_changed:
        files = _files(context, one)
        if files and files == _files(context, other):
            return True
    return False if one.patch_id and one.patch_id == other.patch_id else None


def _files(context: Context, row: CommitRow) -> _Files:
    """path → mode and content of every file that a commit changed."""
    observed = context.event(row.evidence_position).data
    assert isinstance(observed, CommitObserved)
    return {
        one.path: (one.after.mode, one.after.id or one.after.hmac) if one.after else ("", "")
        for one in observed.files
    }
